"""A file with planned maintenance, which people edit. A change is read at the next interval."""

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, model_validator

from exporter.model.fields import ConfigPath, SettingsGroup, Text
from exporter.model.obligations import ObligationKind
from exporter.model.readings import ExpectedOff, Reading
from exporter.sources.contract import SourceContext
from exporter.sources.edited_file import EditedFile, Time, entries_of, local_seconds
from exporter.sources.expected_off import ExpectedOffSettings

_CORRECT: Final = "correct the file: `hashmargin maintenance list` reads it in the same way"


class Settings(ExpectedOffSettings):
    """A CSV file with the columns rig, block, from, until and reason, or a YAML list with the same keys.

    Each line is for a rig or a block. Without ``from`` it has begun. Without ``until`` it lasts until the line is
    removed.
    """

    kind: Literal["maintenance"] = "maintenance"
    path: ConfigPath = Field(description="The file. It is YAML if its name ends in .yml or .yaml, else CSV.")
    timezone: ZoneInfo = Field(default=ZoneInfo("UTC"), description="Time zone of times without one.")
    off_because: ObligationKind = Field(
        default=ObligationKind.MAINTENANCE, description="Why the rigs are off, for `mining_rig_expected_off_info`."
    )

    def connect(self, context: SourceContext) -> "_Maintenance":
        """Create the source."""
        return _Maintenance(self, context)


class Outage(SettingsGroup):
    """One line: a rig or a block, and from when (included) until when (excluded) it should be off."""

    rig: Text = ""
    block: Text = ""
    begin: Time = Field(default=None, alias="from")
    until: Time = None
    reason: str = ""  # for people

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        if bool(self.rig) == bool(self.block):
            raise ValueError("name a rig or a block, and not both")
        return self

    def lasts(self, timezone: ZoneInfo) -> bool:
        """Whether it ends after it begins."""
        return (
            not self.begin
            or not self.until
            or local_seconds(self.begin, timezone) < local_seconds(self.until, timezone, fold=1)
        )

    def begins_after(self, now: float, timezone: ZoneInfo) -> bool:
        """Whether it has not begun at ``now`` (unix seconds)."""
        return self.begin is not None and local_seconds(self.begin, timezone) > now

    def holds(self, now: float, timezone: ZoneInfo) -> bool:
        """Whether it lasts at ``now`` (unix seconds)."""
        return not self.begins_after(now, timezone) and (
            self.until is None or now < local_seconds(self.until, timezone, fold=1)
        )


class _Maintenance:
    def __init__(self, settings: Settings, context: SourceContext) -> None:
        self._settings = settings
        self._clock = context.clock
        self._file = EditedFile(
            settings.path,
            lambda text, errors: outages(settings.path, text, settings.timezone, errors),
            "maintenance file",
        )

    async def fetch(self) -> Reading[ExpectedOff]:
        """Read the file if it has changed, and return what is under maintenance now."""
        known = await asyncio.to_thread(self._file.read)
        now = self._clock()
        lasting = [outage for outage in known if outage.holds(now, self._settings.timezone)]
        blocks = {outage.block for outage in lasting if outage.block}
        rigs = {outage.rig for outage in lasting if outage.rig}
        off = ExpectedOff(blocks=tuple(sorted(blocks)), rigs=tuple(sorted(rigs)), kind=self._settings.off_because)
        return Reading(off, now)


def outages(path: Path, text: str, timezone: ZoneInfo, errors: list[str]) -> Iterator[Outage | None]:
    """Yield each entry, None for one with an error, which goes to ``errors`` with its place.

    Raises Failure if the text has no entries at all.
    """
    return entries_of(path, text, Outage.model_validate, partial(_complaint, timezone), errors, advice=_CORRECT)


def _complaint(timezone: ZoneInfo, outage: Outage) -> str:
    return "" if outage.lasts(timezone) else "until: it ends before it begins"
