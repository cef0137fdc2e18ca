"""The price of a bitcoin in US dollars: a file per market."""

from typing import Final

from exporter.sources.contract import SourceSettings, implausible_unless

_MIN_PRICE: Final = 100.0
_MAX_PRICE: Final = 1e8
_MAX_FACTOR: Final = 2.0  # within `max_age`


class BitcoinSettings(SourceSettings):
    """What all price sources share: the plausibility of a price."""

    def check(self, value: float, last: float | None) -> None:
        """Refuse a price that was never seen, or twice or half the last one."""
        implausible_unless(_MIN_PRICE, value, _MAX_PRICE, "bitcoin price")
        if last is not None:
            implausible_unless(last / _MAX_FACTOR, value, last * _MAX_FACTOR, "bitcoin price")
