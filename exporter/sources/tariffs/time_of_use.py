"""A price list by weekday, holiday, season and hour, in the tariff's own time zone."""

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import groupby, pairwise
from typing import Annotated, Any, Final, Literal, NamedTuple, Self
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, model_validator

from exporter.model.configuration_errors import unknown
from exporter.model.fields import MINUTES_PER_DAY, WEEK, SettingsGroup, TimeOfDay, Weekday, read_days
from exporter.model.readings import PriceSlot, Reading
from exporter.sources.contract import SourceContext
from exporter.sources.tariffs import HORIZON, Slots, TariffSettings

_LEAP_YEAR: Final = 2024
_OFFSET_MINUTES: Final = 15  # today's UTC offsets are all multiples of it


_HOLIDAY: Final = "holiday"  # a kind of day which is none of the weekdays
_Day = Weekday | Literal["holiday"]
_DAYS: Final[tuple[_Day, ...]] = (*WEEK, _HOLIDAY)


class MonthDay(NamedTuple):
    """A day of any year."""

    month: int
    day: int


def _read_month_day(value: Any) -> Any:
    """Read ``06-01`` as the first of June."""
    if isinstance(value, str):
        try:
            read = date.fromisoformat(f"{_LEAP_YEAR}-{value}")
        except ValueError:
            raise ValueError(f"{value!r} is not a day of the year: write it like 06-01") from None
        return MonthDay(read.month, read.day)
    return value


_Days = Annotated[tuple[_Day, ...], BeforeValidator(partial(read_days, all=_DAYS)), Field(min_length=1)]
_MonthDay = Annotated[MonthDay, BeforeValidator(_read_month_day)]


class Season(SettingsGroup):
    """A part of each year, both ends included. It may contain New Year."""

    first: _MonthDay = Field(description="First day, such as 06-01.")
    last: _MonthDay = Field(description="Last day, such as 09-30.")

    def holds(self, day: MonthDay) -> bool:
        """Whether a day of the year belongs to it."""
        if self.first <= self.last:
            return self.first <= day <= self.last
        return day >= self.first or day <= self.last


class Period(SettingsGroup):
    """A price, and the days, hours and season in which it is in force. Each of these defaults to always."""

    price: float = Field(allow_inf_nan=False, description="Price per kWh, in the tariff's currency.")
    days: _Days = Field(default=_DAYS, description="mon to sun, holiday, weekday, weekend or all.")
    start: TimeOfDay = Field(default=0, alias="from", description="Local time at which it starts, such as 06:00.")
    end: TimeOfDay = Field(
        default=MINUTES_PER_DAY, alias="to", description="Local time at which it ends, such as 22:00."
    )
    season: str | None = Field(default=None, description="Season in which it is in force. Default: the whole year.")

    @model_validator(mode="after")
    def _one_day(self) -> Self:
        if self.start >= self.end and set(self.days) != set(_DAYS):
            raise ValueError(
                "its days are ambiguous over midnight: write one period until 24:00 and another from 00:00"
            )
        return self

    def holds(self, day: _Day, minute: int) -> bool:
        """Whether it is in force at this minute of such a day."""
        if day not in self.days:
            return False
        if self.start < self.end:
            return self.start <= minute < self.end
        return minute >= self.start or minute < self.end


class Settings(TariffSettings):
    """A list of periods. The first that is in force has the price. Every minute of every kind of day needs one."""

    kind: Literal["time_of_use"] = "time_of_use"
    timezone: ZoneInfo = Field(description="Time zone of the tariff, such as America/Chicago.")
    periods: tuple[Period, ...] = Field(min_length=1, description="Prices. The first that matches is in force.")
    seasons: dict[str, Season] = Field(default={}, description="Parts of the year, for `season` of periods.")
    holidays: tuple[date, ...] = Field(default=(), description="Dates on which only `holiday` prices are in force.")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for period in self.periods:
            self.believe(period.price)
        nameless = {period.season for period in self.periods if period.season is not None} - self.seasons.keys()
        if nameless:
            raise ValueError(unknown("season", min(nameless), self.seasons))
        for day in _DAYS if self.holidays else WEEK:
            for month_day in self._season_edges():
                for minute in sorted(self._edges()):
                    self._find(day, month_day, minute)
        return self

    def price_at(self, instant: float) -> float:
        """Return the energy price at an instant (unix seconds), in the tariff's currency per kilowatt-hour."""
        local = datetime.fromtimestamp(instant, UTC).astimezone(self.timezone)
        day: _Day = _HOLIDAY if local.date() in self.holidays else WEEK[local.weekday()]
        return self._find(day, MonthDay(local.month, local.day), local.hour * 60 + local.minute)

    def slots(self, start: float, end: float) -> Slots:
        """Return the slots between two instants (unix seconds), each as long as its price is in force."""
        step = math.gcd(_OFFSET_MINUTES, *self._edges()) * 60
        instants = range(int(start) // step * step, math.ceil(end / step) * step + 1, step)
        spans = [(price, next(group)) for price, group in groupby(instants, self.price_at)]
        edges = [first for _, first in spans] + [instants[-1]]
        return tuple(
            PriceSlot(float(first), float(after), price)
            for (price, _), (first, after) in zip(spans, pairwise(edges), strict=True)
            if after > first
        )

    def energy(self, context: SourceContext) -> "_TimeOfUse":
        """Create the source."""
        return _TimeOfUse(self, context)

    def _find(self, day: _Day, month_day: MonthDay, minute: int) -> float:
        for period in self.periods:
            in_season = period.season is None or self.seasons[period.season].holds(month_day)
            if in_season and period.holds(day, minute):
                return period.price
        at = f"{minute // 60:02}:{minute % 60:02} from {month_day.month:02}-{month_day.day:02} on"
        raise ValueError(f"there is no price for {day} at {at}")

    def _edges(self) -> set[int]:
        """Return the minutes of the day at which a price may change."""
        return {0} | {edge % MINUTES_PER_DAY for period in self.periods for edge in (period.start, period.end)}

    def _season_edges(self) -> set[MonthDay]:
        """Return the days of the year at which a price may change."""
        edges = {MonthDay(1, 1)}
        for season in self.seasons.values():
            after = date(_LEAP_YEAR, *season.last) + timedelta(days=1)
            edges |= {season.first, MonthDay(after.month, after.day)}
        return edges


@dataclass(frozen=True, slots=True)
class _TimeOfUse:
    settings: Settings
    context: SourceContext

    async def fetch(self) -> Reading[Slots]:
        """Return the slots of the next two days."""
        now = self.context.clock()
        return Reading(self.settings.slots(now, now + HORIZON), now)
