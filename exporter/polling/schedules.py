"""Weekly schedules of mining, as windows of local time."""

from datetime import datetime, timedelta
from typing import ClassVar
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

from exporter.model.fields import WEEK, Days, SettingsGroup, TimeOfDay


class Window(SettingsGroup):
    """A window of local time on some weekdays. If ``end`` is not after ``start``, it ends on the next day."""

    model_config: ClassVar[ConfigDict] = ConfigDict(serialize_by_alias=True)

    days: Days = Field(default=WEEK, description="The days on which it starts: mon to sun, weekday, weekend or all.")
    start: TimeOfDay = Field(alias="from", description="When it starts, local time.")
    end: TimeOfDay = Field(alias="to", description="When it ends, local time; on the next day unless after `from`.")

    def holds(self, local: datetime) -> bool:
        """Return whether a local time is in the window."""
        minute = local.hour * 60 + local.minute
        today = WEEK[local.weekday()] in self.days
        if self.start < self.end:
            return today and self.start <= minute < self.end
        yesterday = WEEK[(local - timedelta(days=1)).weekday()] in self.days
        return (today and minute >= self.start) or (yesterday and minute < self.end)


class ScheduleSettings(BaseModel):
    """The windows in which the rigs of a schedule should mine."""

    timezone: ZoneInfo = Field(description="The time zone of the windows, such as America/Chicago.")
    mining: tuple[Window, ...] = Field(description="When to mine; off at all other times.")

    def mining_at(self, now: float) -> bool:
        """Return whether rigs should mine at ``now`` (unix seconds)."""
        local = datetime.fromtimestamp(now, self.timezone)
        return any(window.holds(local) for window in self.mining)
