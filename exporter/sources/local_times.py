"""Times of a table as a market writes them: epochs, ISO, patterns, hour 24, and hours that occur twice in autumn."""

import math
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

EPOCH_UNITS: Final = {"epoch_seconds": 1.0, "epoch_milliseconds": 1e-3}

_REPEATED: Final = "*"  # after an hour that occurs for the second time, as Alberta writes it
_PATTERNS: Final = (
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d %H",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M",
    "%m/%d/%Y %I:%M:%S %p",
    "%m/%d/%Y %I:%M %p",
    "%m/%d/%Y %H",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d/%m/%Y %H:%M",
    "%d-%b-%Y %H:%M",
    "%Y%m%d %H:%M",
    "%Y%m%d%H%M",
)
_FIRST_MILLISECONDS: Final = 1e11  # as seconds this is the year 5138
_FIRST_SECONDS: Final = 1e8
_ZERO: Final = datetime(1970, 1, 1)  # noqa: DTZ001 -- of wall clocks


def read_time(value: object, form: str, zone: ZoneInfo) -> datetime | float:
    """Read a time as unix seconds, or as a local time of ``zone`` if it states no offset.

    ``form`` is ``iso``, a key of :data:`EPOCH_UNITS` or a pattern of strptime. Hour 24 is the end of the day. Raises
    ValueError with the right ``form`` if it can be guessed.
    """
    if form in EPOCH_UNITS:
        try:
            return float(value) * EPOCH_UNITS[form]  # type: ignore[arg-type]
        except (TypeError, ValueError):
            raise ValueError(f"{value!r:.40} is not a number of {form}{_hint(value)}") from None
    if not isinstance(value, str):
        raise ValueError(f"{value!r:.40} is not a text{_hint(value)}")  # noqa: TRY004 -- one bad row, not a bug
    text = value.strip()
    repeated = text.endswith(_REPEATED)
    text = text.removesuffix(_REPEATED)
    read = _parsed(text, form)
    if read is None:
        expected = "an ISO time" if form == "iso" else f"a time like {form!r}"
        raise ValueError(f"{value!r:.40} is not {expected}{_hint(value)}")
    if read.tzinfo is not None:
        return read.timestamp()
    return read.replace(tzinfo=zone, fold=int(repeated))


def _parsed(text: str, form: str) -> datetime | None:
    """Parse a time, also one in the 24th hour: midnight at the end of its day."""
    read = _strictly(text, form)
    if read is not None:
        return read
    at = text.rfind("24")
    while at >= 0:
        read = _strictly(f"{text[:at]}00{text[at + 2 :]}", form)
        if read is not None and read.hour == 0:
            return read + timedelta(days=1)
        at = text.rfind("24", 0, at)
    return None


def _strictly(text: str, form: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if form == "iso" else datetime.strptime(text, form)  # noqa: DTZ007
    except (ValueError, OverflowError):
        return None


def _hint(value: object) -> str:
    """Suggest the ``time_format`` that fits a value."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = 0.0
    if number >= _FIRST_MILLISECONDS:
        return ": set time_format to epoch_milliseconds"
    if number >= _FIRST_SECONDS:
        return ": set time_format to epoch_seconds"
    text = str(value)
    if _strictly(text, "iso") is not None:
        return ": set time_format to iso"
    pattern = next((pattern for pattern in _PATTERNS if _parsed(text.rstrip(_REPEATED), pattern) is not None), None)
    return f': set time_format to "{pattern}"' if pattern is not None else ""


def newest_first(times: Sequence[datetime | float]) -> bool:
    """Whether rows run backwards. One step against the others is the hour that occurs twice."""
    steps = [_clock(after) - _clock(before) for before, after in pairwise(times)]
    return sum(step < 0 for step in steps) > sum(step > 0 for step in steps)


def instants(times: Sequence[datetime | float], now: float) -> list[float]:
    """Convert times in rising order to unix seconds.

    The order of the rows decides which of two equal hours a row means. If it does not, the
    occurrence nearest to ``now`` (unix seconds) is taken.
    """
    first = _ascending(times, later=False)
    ambiguous = [index for index, time in enumerate(times) if _is_ambiguous(time)]
    if not ambiguous or any(_fold(times[index]) for index in ambiguous):
        return first
    second = _ascending(times, later=True)
    settled = any(not _same_offset(times[index], first[index]) for index in ambiguous)  # both occurrences are there
    rising = all(before < after for before, after in pairwise(second))
    if settled or not rising or _continues(first, ambiguous):
        return first
    return min(first, second, key=lambda each: abs(each[ambiguous[-1]] - now))


def _ascending(times: Sequence[datetime | float], *, later: bool) -> list[float]:
    """Convert times; of an ambiguous one the ``later`` occurrence, else the first that is after the row before."""
    found: list[float] = []
    for time in times:
        instant = _instant(time)
        if isinstance(time, datetime) and _is_ambiguous(time) and (later or (found and instant <= found[-1])):
            instant = time.replace(fold=1).timestamp()
        found.append(instant)
    return found


def _continues(instants: Sequence[float], ambiguous: Sequence[int]) -> bool:
    """Whether ambiguous rows follow the row before them at the usual step. They are then the first occurrence."""
    index = ambiguous[0]
    steps = [after - before for before, after in pairwise(instants) if after > before]
    return index > 0 and bool(steps) and instants[index] - instants[index - 1] <= min(steps)


def _is_ambiguous(time: datetime | float) -> bool:
    if not isinstance(time, datetime):
        return False
    return time.replace(fold=0).timestamp() < time.replace(fold=1).timestamp()


def _fold(time: datetime | float) -> int:
    return time.fold if isinstance(time, datetime) else 0


def _same_offset(time: datetime | float, instant: float) -> bool:
    return _instant(time) == instant


def _instant(time: datetime | float) -> float:
    return time.timestamp() if isinstance(time, datetime) else time


def _clock(time: datetime | float) -> float:
    """What the clock on the wall shows, as a number that grows with it."""
    return (time.replace(tzinfo=None) - _ZERO).total_seconds() if isinstance(time, datetime) else time


def unix_seconds(text: str) -> float:
    """Read unix seconds, or ISO 8601, which is UTC without an offset. Raises ValueError."""
    with suppress(ValueError):
        seconds = float(text)
        if math.isfinite(seconds):
            return seconds
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"time {text!r:.40} must be like 2026-03-21T14:00:00Z, or unix seconds") from None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
