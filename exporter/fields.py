"""Field types that settings everywhere share: how an operator writes durations, ratios, sizes and secrets."""

import re
from typing import Annotated, Final

from pydantic import BeforeValidator, Field

_DURATION: Final = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?")
_DURATION_SECONDS: Final = (604_800.0, 86_400.0, 3_600.0, 60.0, 1.0, 0.001)


def parse_duration(value: object) -> object:
    """Read a Prometheus duration (``15s``, ``1h30m``, ``2d``) as seconds. Raises ValueError for text that is none."""
    if not isinstance(value, str):
        return value
    match = _DURATION.fullmatch(value.strip())
    if match is None or not any(match.groups()):
        raise ValueError(f"{value!r} is not a duration: write it like 15s, 5m, 1h30m or 2d")
    return sum(int(part) * seconds for part, seconds in zip(match.groups(), _DURATION_SECONDS, strict=True) if part)


Duration = Annotated[float, BeforeValidator(parse_duration), Field(gt=0)]
"""Seconds, written like Prometheus does: ``15s``, ``5m``, ``1h30m``."""

Ratio = Annotated[float, Field(ge=0, le=1)]
"""A share of one: 0.01 is one per cent."""
