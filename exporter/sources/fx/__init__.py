"""Exchange rates: US dollars per unit of each other currency. They are never derived from two bitcoin prices."""

import re
from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from exporter.model.fields import Duration
from exporter.sources.contract import SourceSettings, implausible_unless


def _code(text: str) -> str:
    if _CODE.fullmatch(text) is None:
        hint = f"did you mean {text.upper()!r}?" if _CODE.fullmatch(text.upper()) else "write its code, such as EUR"
        raise ValueError(f"{text!r} is no currency: {hint}")
    return text


_CODE: Final = re.compile("[A-Z]{3}")

Currency = Annotated[str, AfterValidator(_code)]
"""An ISO 4217 code, such as EUR."""

_MIN_RATE: Final = 1e-6
_MAX_RATE: Final = 10.0
_MAX_FACTOR: Final = 1.5  # within `max_age`


class FxSettings(SourceSettings):
    """Settings of all exchange rates: interval, age and plausibility."""

    interval: Duration = Field(default=6 * 3600.0, description="How often the value is requested.")
    max_age: Duration = Field(
        default=6 * 86_400.0,
        description="A rate older than this is not used. No rates are published at weekends and holidays.",
    )

    def check(self, value: Mapping[str, float], last: Mapping[str, float] | None) -> None:
        """Reject rates that no currency has, and rates that differ too much from the last ones."""
        for currency, rate in value.items():
            implausible_unless(_MIN_RATE, rate, _MAX_RATE, f"US dollars per {currency}")
            before = last.get(currency) if last is not None else None
            if before is not None:
                implausible_unless(before / _MAX_FACTOR, rate, before * _MAX_FACTOR, f"US dollars per {currency}")
