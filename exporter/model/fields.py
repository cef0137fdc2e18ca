"""Field types of all settings (durations, ratios, paths, texts), and the rules for which values are secret."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, ClassVar, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer


class SettingsGroup(BaseModel):
    """Base of every group of settings: immutable, and an unknown key is a configuration error."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)


_DURATION: Final = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?")
_DURATION_SECONDS: Final = (604_800.0, 86_400.0, 3_600.0, 60.0, 1.0, 0.001)
_DURATION_UNITS: Final = ("w", "d", "h", "m", "s", "ms")


def parse_duration(value: object) -> object:
    """Convert a Prometheus duration (``15s``, ``1h30m``, ``2d``) to seconds. Raises ValueError for other text."""
    if not isinstance(value, str):
        return value
    match = _DURATION.fullmatch(value.strip())
    if match is None or not any(match.groups()):
        text = value.strip()
        hint = f"did you mean {text + 's'!r}?" if text.isdecimal() else "write it like 15s, 5m, 1h30m or 2d"
        raise ValueError(f"{value!r} is not a duration: {hint}")
    parts = zip(match.groups(), _DURATION_SECONDS, strict=True)
    try:
        return sum(int(part) * seconds for part, seconds in parts if part)
    except (ValueError, OverflowError):
        raise ValueError("is longer than any duration") from None


def format_duration(seconds: float) -> str:
    """Format seconds as a Prometheus duration, to the millisecond: 5400.0 becomes ``1h30m``."""
    rest = round(seconds * 1000)
    text = ""
    for unit, size in zip(_DURATION_UNITS, _DURATION_SECONDS, strict=True):
        count, rest = divmod(rest, round(size * 1000))
        text += f"{count}{unit}" if count else ""
    return text or "0s"


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    Field(gt=0, allow_inf_nan=False),
    PlainSerializer(format_duration, return_type=str),
]
"""Seconds, written as a Prometheus duration: ``15s``, ``5m``, ``1h30m``."""

MINUTES_PER_DAY: Final = 24 * 60


class Weekday(StrEnum):
    """A day of the week, in the order of :meth:`datetime.date.weekday`."""

    MONDAY = "mon"
    TUESDAY = "tue"
    WEDNESDAY = "wed"
    THURSDAY = "thu"
    FRIDAY = "fri"
    SATURDAY = "sat"
    SUNDAY = "sun"


WEEK: Final = tuple(Weekday)
_DAY_GROUPS: Final = {"weekday": WEEK[:5], "weekend": WEEK[5:], "all": WEEK}


def read_days(value: object, **more: tuple[str, ...]) -> object:
    """Replace ``weekday``, ``weekend`` and ``all`` by their days, and others by those of ``more``."""
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple):
        return value
    groups = _DAY_GROUPS | more
    return tuple(day for name in names for day in (groups.get(name, (name,)) if isinstance(name, str) else (name,)))


Days = Annotated[tuple[Weekday, ...], BeforeValidator(read_days), Field(min_length=1)]
"""Days of the week: ``mon`` to ``sun``, ``weekday``, ``weekend`` or ``all``."""


def _minutes(value: object) -> object:
    """Convert ``22:30`` to minutes since midnight. A YAML 1.1 parser has already done so for an unquoted value."""
    if not isinstance(value, str):
        return value
    hour, _, minute = value.partition(":")
    is_clock = hour.isdecimal() and minute.isdecimal() and len(minute) == 2 and int(minute) < 60  # noqa: PLR2004
    if not is_clock or int(hour) * 60 + int(minute) > MINUTES_PER_DAY:
        raise ValueError(f"{value!r} is not a time of day: write it like 06:00 or 22:30")
    return int(hour) * 60 + int(minute)


TimeOfDay = Annotated[
    int,
    BeforeValidator(_minutes),
    Field(ge=0, le=MINUTES_PER_DAY),
    PlainSerializer(lambda minutes: f"{minutes // 60:02}:{minutes % 60:02}", return_type=str),
]
"""Minutes since local midnight, written ``22:30``. ``24:00`` is the end of the day."""

Ratio = Annotated[float, Field(ge=0, le=1)]
"""A number from 0 to 1: 0.01 is one per cent."""

_directory: ContextVar[Path] = ContextVar("directory", default=Path())


@contextmanager
def paths_relative_to(directory: Path) -> Iterator[None]:
    """Resolve :data:`ConfigPath` fields that are validated inside this context against ``directory``."""
    token = _directory.set(directory)
    try:
        yield
    finally:
        _directory.reset(token)


_offline: ContextVar[bool] = ContextVar("offline", default=False)


@contextmanager
def offline() -> Iterator[None]:
    """Validate settings inside without what only the production host has: secrets, secret files and the network."""
    token = _offline.set(True)
    try:
        yield
    finally:
        _offline.reset(token)


def is_offline() -> bool:
    """Whether settings are validated without secrets and network, for a check in CI."""
    return _offline.get()


def _config_path(path: Path) -> Path:
    try:
        encoded = os.fsencode(path)
    except UnicodeEncodeError:
        encoded = b"\0"
    if b"\0" in encoded:
        raise ValueError("is not a path: it contains a character that no path can have")
    return _directory.get() / path


ConfigPath = Annotated[Path, AfterValidator(_config_path)]
"""A path. A relative one is resolved against the directory of the configuration file."""


def _plain_number(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Text = Annotated[str, BeforeValidator(_plain_number)]
"""A text such as a rack or a position. An unquoted number is accepted: 12 means "12"."""


def _network(value: object) -> object:
    try:
        return ip_network(value, strict=False) if isinstance(value, str) else value
    except ValueError:
        raise ValueError(f"{value!r} is not a network: write it like 10.1.0.0/16") from None


Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network), PlainSerializer(str, return_type=str)]
"""An IPv4 or IPv6 network, written ``10.1.0.0/16``. A single address is a network too."""
