"""The price of a bitcoin in US dollars: a file per market."""

from typing import Final

from exporter.model.failures import Failure, Reason
from exporter.sources.contract import SourceSettings, implausible_unless, within

_MIN_PRICE: Final = 100.0
_MAX_PRICE: Final = 1e8
_DOUBTED_FACTOR: Final = 2.0  # no hour or day had more
_MAX_FACTOR: Final = 3.0  # after an outage, more for each month of it
_MOST_FACTOR_AFTER: Final = 10.0
_AGREEING_FACTOR: Final = 1.1
_MONTH: Final = 30 * 86_400.0


def contradicted(price: float, low: float | None, high: float | None, tolerance: float = 0.05) -> None:
    """Raise a Failure IMPLAUSIBLE if a last trade is outside the bid and ask, or low and high, of the same answer."""
    if low is not None and high is not None and not low * (1 - tolerance) <= price <= high * (1 + tolerance):
        raise Failure(Reason.IMPLAUSIBLE, f"the last trade {price:g} is outside {low:g} to {high:g} of the same answer")


class BitcoinSettings(SourceSettings):
    """Settings of all price sources: the plausibility of a price."""

    def check(self, value: float, last: float | None) -> None:
        """Reject a price that bitcoin never had, or that is more than three times or less than a third the last one."""
        implausible_unless(_MIN_PRICE, value, _MAX_PRICE, "bitcoin price")
        if last is not None:
            self.check_after(value, last, 0.0)

    def check_after(self, value: float, last: float, age: float) -> None:
        """Reject a price that bitcoin cannot have reached in ``age`` seconds."""
        factor = min(_MAX_FACTOR * (1 + age / _MONTH), _MOST_FACTOR_AFTER)
        implausible_unless(last / factor, value, last * factor, "bitcoin price")

    def doubt(self, value: float, last: float) -> None:
        """Doubt a price that is more than twice or less than half the last one."""
        implausible_unless(last / _DOUBTED_FACTOR, value, last * _DOUBTED_FACTOR, "bitcoin price")

    def agree(self, value: float, other: float) -> bool:
        """Whether two prices differ by at most a tenth."""
        return within(value, other, _AGREEING_FACTOR)
