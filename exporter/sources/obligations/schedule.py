"""A file with obligations, which people or a broker's script edit. A change is read at the next interval."""

import asyncio
from collections.abc import Iterator
from typing import Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, model_validator

from exporter.model.fields import ConfigPath, SettingsGroup, Text
from exporter.model.obligations import Obligation, ObligationKind
from exporter.model.readings import Reading
from exporter.model.units import WATTS_PER_KILOWATT, per_kilowatt_hour
from exporter.sources.contract import SourceContext
from exporter.sources.edited_file import EditedFile, Time, entries_of, local_seconds
from exporter.sources.obligations import Kilowatts, Level, Obligations, ObligationSettings


class Settings(ObligationSettings):
    """A CSV file, or a YAML list with the same keys. See the page about demand response for its columns.

    `kind` and one of `cap_kilowatts`, `reduce_kilowatts`, `floor_kilowatts` and `level` are needed. Without `from` it
    has begun, without `until` it lasts until the line is removed.
    """

    kind: Literal["schedule"] = "schedule"
    path: ConfigPath = Field(description="The file. It is YAML if its name ends in .yml or .yaml, else CSV.")
    timezone: ZoneInfo = Field(default=ZoneInfo("UTC"), description="Time zone of times without one.")

    def connect(self, context: SourceContext) -> "_Schedule":
        """Create the source."""
        return _Schedule(self, context)


class Entry(SettingsGroup):
    """One line: what is owed from when (included) until when (excluded), by the site or by a block."""

    kind: ObligationKind
    block: Text = ""
    begin: Time = Field(default=None, alias="from")
    until: Time = None
    cap_kilowatts: Kilowatts | None = None
    reduce_kilowatts: Kilowatts | None = None
    floor_kilowatts: Kilowatts | None = None
    level: Level | None = None
    price_usd_per_megawatt_hour: float | None = Field(default=None, allow_inf_nan=False)
    event: str = ""
    reason: str = ""

    @model_validator(mode="after")
    def _one_amount(self) -> Self:
        amounts = (self.cap_kilowatts, self.reduce_kilowatts, self.floor_kilowatts, self.level)
        if sum(amount is not None for amount in amounts) != 1:
            raise ValueError("give one of cap_kilowatts, reduce_kilowatts, floor_kilowatts and level")
        return self

    def obligation(self, timezone: ZoneInfo) -> Obligation:
        """Return it with unix seconds and watts."""
        start = 0.0 if self.begin is None else local_seconds(self.begin, timezone)
        price = self.price_usd_per_megawatt_hour
        return Obligation(
            kind=self.kind,
            start=start,
            end=None if self.until is None else local_seconds(self.until, timezone, fold=1),
            cap=_watts(self.cap_kilowatts),
            reduction=_watts(self.reduce_kilowatts),
            floor=_watts(self.floor_kilowatts),
            level=self.level,
            blocks=(self.block,) if self.block else (),
            event=self.event or f"{self.kind}-{start:.0f}",
            reason=self.reason,
            price=None if price is None else per_kilowatt_hour(price, "MWh"),
        )


def _watts(kilowatts: float | None) -> float | None:
    return None if kilowatts is None else kilowatts * WATTS_PER_KILOWATT


class _Schedule:
    def __init__(self, settings: Settings, context: SourceContext) -> None:
        self._settings = settings
        self._clock = context.clock
        self._file = EditedFile(settings.path, self._entries, "schedule of obligations")

    async def fetch(self) -> Reading[Obligations]:
        """Read the file if it has changed."""
        return Reading(tuple(await asyncio.to_thread(self._file.read)), self._clock())

    def _entries(self, text: str, errors: list[str]) -> Iterator[Obligation | None]:
        settings = self._settings
        for entry in entries_of(settings.path, text, Entry.model_validate, self._complaint, errors):
            yield None if entry is None else entry.obligation(settings.timezone)

    def _complaint(self, entry: Entry) -> str:
        made = entry.obligation(self._settings.timezone)
        return "" if made.end is None or made.start < made.end else "until: it ends before it begins"
