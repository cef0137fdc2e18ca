"""A file with day-ahead positions, which people or a script edit. A change is read at the next interval."""

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Annotated, Final, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, AliasChoices, Field, model_validator

from exporter.model.fields import ConfigPath, SettingsGroup
from exporter.model.readings import DatedPositions, PositionSlot, Reading
from exporter.model.units import SECONDS_PER_HOUR
from exporter.sources.contract import SourceContext
from exporter.sources.edited_file import EditedFile, Time, entries_of, local_seconds
from exporter.sources.positions import PositionSourceSettings

_HOUR: Final = re.compile(r"(\d{1,2})(?::00)?\s*([*xX]?)")
_LAST_HOUR: Final = 24


class Settings(PositionSourceSettings):
    """A CSV file, or a YAML list with the same keys: `start`, `end` (or `from`, `until`) and `kilowatts`.

    Instead of the times it may have `date` and `hour` (0 to 23, at which the hour begins) or `hour_ending` (1 to 24).
    """

    kind: Literal["schedule"] = "schedule"
    path: ConfigPath = Field(description="The file. It is YAML if its name ends in .yml or .yaml, else CSV.")
    timezone: ZoneInfo = Field(default=ZoneInfo("UTC"), description="Time zone of times without one.")

    def connect(self, context: SourceContext) -> "_Schedule":
        """Create the source."""
        return _Schedule(self, context)


def _an_hour(text: str) -> str:
    if _HOUR.fullmatch(text) is None:
        raise ValueError("must be an hour such as 7, 07:00 or 2*")
    return text


HourOfDay = Annotated[str, Field(coerce_numbers_to_str=True), AfterValidator(_an_hour)]


class Entry(SettingsGroup):
    """One line: the power that was bought from when (included) until when (excluded), or for an hour of a day."""

    start: Time = Field(default=None, validation_alias=AliasChoices("start", "from"))
    end: Time = Field(default=None, validation_alias=AliasChoices("end", "until"))
    day: date | None = Field(default=None, alias="date")
    hour: HourOfDay | None = None
    hour_ending: HourOfDay | None = None
    kilowatts: Annotated[float, Field(ge=0, allow_inf_nan=False)]

    @model_validator(mode="after")
    def _one_time(self) -> Self:
        given = [name for name in ("start", "end", "day", "hour", "hour_ending") if getattr(self, name) is not None]
        if given not in (["start", "end"], ["day", "hour"], ["day", "hour_ending"]):
            raise ValueError("give start and end, or date and hour, or date and hour_ending")
        if self.day is not None:
            first = 0 if self.hour is not None else 1
            number = int(self._hour[0])
            if not first <= number < _LAST_HOUR + first:
                raise ValueError(f"{given[1]}: must be {first} to {_LAST_HOUR + first - 1}")
        return self

    @property
    def _hour(self) -> tuple[str, str]:
        found = _HOUR.fullmatch(self.hour or self.hour_ending or "")
        assert found is not None  # noqa: S101 -- for mypy: the field's pattern
        return found[1], found[2]

    @property
    def clock(self) -> datetime | None:
        """The local time at which the hour begins. None if the line gives its times."""
        if self.day is None:
            return None
        number = int(self._hour[0]) - (self.hour is None)
        return datetime.combine(self.day, datetime.min.time()) + timedelta(hours=number)

    @property
    def repeated(self) -> bool:
        """Whether it is marked as the second occurrence of its hour, as markets do: 2* or 02X."""
        return self.day is not None and bool(self._hour[1])


@dataclass(frozen=True, slots=True)
class _Line:
    """A line that was read. ``second`` is None if it stands for every occurrence of its hour."""

    entry: Entry
    second: bool | None = None

    def slot(self, timezone: ZoneInfo) -> PositionSlot:
        entry = self.entry
        if entry.clock is None:
            assert entry.start is not None and entry.end is not None  # noqa: S101, PT018 -- for mypy: validated
            begin, until = local_seconds(entry.start, timezone), local_seconds(entry.end, timezone, fold=1)
        else:
            first, last = (local_seconds(entry.clock, timezone, fold) for fold in (0, 1))
            begin = last if self.second else first
            until = (first if self.second is False else last) + SECONDS_PER_HOUR
        return PositionSlot(begin, until, entry.kilowatts)


class _Schedule:
    def __init__(self, settings: Settings, context: SourceContext) -> None:
        self._settings = settings
        self._clock = context.clock
        self._complete = True
        self._file = EditedFile(settings.path, self._slots, "day-ahead positions")

    async def fetch(self) -> Reading[DatedPositions]:
        """Read the file if it has changed."""
        slots = tuple(await asyncio.to_thread(self._file.read))
        return Reading(DatedPositions(slots, complete=self._complete), self._clock())

    def _slots(self, text: str, errors: list[str]) -> Iterator[PositionSlot | None]:
        settings = self._settings
        entries = entries_of(settings.path, text, Entry.model_validate, self._complaint, errors)
        slots = [line.slot(settings.timezone) for line in _lines([entry for entry in entries if entry is not None])]
        ordered = sorted(slots, key=lambda slot: (slot.start, slot.end))
        for before, after in pairwise(ordered):
            if after.start < before.end and after.kilowatts != before.kilowatts:
                at = datetime.fromtimestamp(after.start, settings.timezone).isoformat(" ", "minutes")
                errors.append(f"{at}: {before.kilowatts:g} and {after.kilowatts:g} kW: give one line with their sum")
        self._complete = not errors
        yield from slots

    def _complaint(self, entry: Entry) -> str:
        timezone, clock = self._settings.timezone, entry.clock
        if clock is None:
            slot = _Line(entry).slot(timezone)
            return "" if slot.start < slot.end else "it ends before it begins"
        first, last = (local_seconds(clock, timezone, fold) for fold in (0, 1))
        if first > last:
            return f"hour: {clock:%H:%M} does not exist on {clock:%Y-%m-%d}, when the clocks change"
        if entry.repeated and first == last:
            return f"hour: {clock:%H:%M} occurs only once on {clock:%Y-%m-%d}"
        return ""


def _lines(entries: list[Entry]) -> Iterator[_Line]:
    """Find out which of two equal hours each line means: the marked one or the later line is the second."""
    clocks = Counter(entry.clock for entry in entries)
    seen: set[datetime] = set()
    for entry in entries:
        clock = entry.clock
        if clock is None or clocks[clock] == 1:
            yield _Line(entry, second=True if entry.repeated else None)
        else:
            yield _Line(entry, second=entry.repeated or clock in seen)
            if not entry.repeated:
                seen.add(clock)
