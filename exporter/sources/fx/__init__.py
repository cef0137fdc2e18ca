"""Exchange rates: US dollars per unit of each other currency. Never derived from two bitcoin prices."""

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
    """What all exchange rates share: their rhythm and their plausibility."""

    interval: Duration = Field(default=6 * 3600.0, description="How often it is asked.")
    max_age: Duration = Field(
        default=6 * 86_400.0, description="Past this age a rate is refused; there are none at weekends and holidays."
    )

    def check(self, value: Mapping[str, float], last: Mapping[str, float] | None) -> None:
        """Refuse rates that no currency has, and leaps."""
        for currency, rate in value.items():
            implausible_unless(_MIN_RATE, rate, _MAX_RATE, f"US dollars per {currency}")
            before = last.get(currency) if last is not None else None
            if before is not None:
                implausible_unless(before / _MAX_FACTOR, rate, before * _MAX_FACTOR, f"US dollars per {currency}")
