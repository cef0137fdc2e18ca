"""A file with planned maintenance, which people edit. A change is read at the next interval."""

import asyncio
import csv
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from zoneinfo import ZoneInfo

import structlog
import yaml
from pydantic import BeforeValidator, Field, ValidationError, model_validator

from exporter.model.configuration_errors import sentence
from exporter.model.failures import Failure, Reason
from exporter.model.fields import ConfigPath, SettingsGroup, Text
from exporter.model.readings import ExpectedOff, Reading
from exporter.sources.contract import SourceContext
from exporter.sources.expected_off import ExpectedOffSettings
from exporter.sources.tables import delimiter_of

_log = structlog.get_logger(__name__)

_MOST_LOGGED: Final = 20
_MOST_BYTES: Final = 8 * 1024 * 1024

_Signature = tuple[int, int]  # of a file: when it was written (ns), and its size


class Settings(ExpectedOffSettings):
    """A CSV file with the columns rig, block, from, until and reason, or a YAML list with the same keys.

    Each line is for a rig or a block. Without ``from`` it has begun. Without ``until`` it lasts until the line is
    removed.
    """

    kind: Literal["maintenance"] = "maintenance"
    path: ConfigPath = Field(description="The file. It is YAML if its name ends in .yml or .yaml, else CSV.")
    timezone: ZoneInfo = Field(default=ZoneInfo("UTC"), description="Time zone of times without one.")

    def connect(self, context: SourceContext) -> "_Maintenance":
        """Create the source."""
        return _Maintenance(self, context)


Time = Annotated[datetime | None, BeforeValidator(lambda value: value or None)]


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
            not self.begin or not self.until or _seconds(self.begin, timezone) < _seconds(self.until, timezone, fold=1)
        )

    def begins_after(self, now: float, timezone: ZoneInfo) -> bool:
        """Whether it has not begun at ``now`` (unix seconds)."""
        return self.begin is not None and _seconds(self.begin, timezone) > now

    def holds(self, now: float, timezone: ZoneInfo) -> bool:
        """Whether it lasts at ``now`` (unix seconds)."""
        return not self.begins_after(now, timezone) and (
            self.until is None or now < _seconds(self.until, timezone, fold=1)
        )


class _Maintenance:
    def __init__(self, settings: Settings, context: SourceContext) -> None:
        self._settings = settings
        self._clock = context.clock
        self._signature: _Signature | None = None
        self._outages: tuple[Outage, ...] = ()

    async def fetch(self) -> Reading[ExpectedOff]:
        """Read the file if it has changed, and return what is under maintenance now."""
        await asyncio.to_thread(self._refresh)
        now = self._clock()
        lasting = [outage for outage in self._outages if outage.holds(now, self._settings.timezone)]
        blocks = {outage.block for outage in lasting if outage.block}
        rigs = {outage.rig for outage in lasting if outage.rig}
        return Reading(ExpectedOff(blocks=tuple(sorted(blocks)), rigs=tuple(sorted(rigs))), now)

    def _refresh(self) -> None:
        path = self._settings.path
        try:
            status = path.stat()
            signature = (status.st_mtime_ns, status.st_size)
            if signature == self._signature:
                return
            if status.st_size > _MOST_BYTES:
                raise Failure(Reason.TOO_LARGE, f"{path} has more than {_MOST_BYTES} bytes")
            text = path.read_text("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise Failure(Reason.NOT_READY, f"{path}: {getattr(error, 'strerror', None) or 'not UTF-8 text'}") from None
        errors: list[str] = []
        found = outages(path, text, self._settings.timezone, errors)
        self._outages = tuple(outage for outage in found if outage is not None)
        self._signature = signature
        if errors:
            _log.warning(
                "lines of the maintenance file are left out",
                path=str(path),
                lines=len(errors),
                errors=errors[:_MOST_LOGGED],
            )


def outages(path: Path, text: str, timezone: ZoneInfo, errors: list[str]) -> Iterator[Outage | None]:
    """Yield each entry, None for one with an error, which goes to ``errors`` with its place.

    Raises Failure if the text has no entries at all.
    """
    for place, row in _yaml_rows(text) if path.suffix in (".yml", ".yaml") else _csv_rows(text):
        try:
            outage = Outage.model_validate(row)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = str(first["loc"][0]) if first["loc"] else ""
            errors.append(f"{place}: {key}: {sentence(first)}" if key else f"{place}: {sentence(first)}")
            yield None
        else:
            if not outage.lasts(timezone):
                errors.append(f"{place}: until: it ends before it begins")
            yield outage if outage.lasts(timezone) else None


def _csv_rows(text: str) -> Iterator[tuple[str, Any]]:
    delimiter, body = delimiter_of(text)
    lines = csv.DictReader(
        body.split("\n"), skipinitialspace=True, restkey="more values than columns", delimiter=delimiter
    )
    for row in lines:
        if any(row.values()) and not str(next(iter(row.values()))).startswith("#"):
            given = {key: value for key, value in row.items() if value and any(value)}  # values in excess are a list
            yield f"line {lines.line_num}", {key.strip().lower(): value for key, value in given.items()}


_CORRECT: Final = "correct the file: `hashmargin maintenance list` reads it in the same way"


def _yaml_rows(text: str) -> Iterator[tuple[str, Any]]:
    try:
        rows = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise Failure(Reason.GARBLED, f"not YAML: {str(error).replace(chr(10), ' ')}", advice=_CORRECT) from None
    if rows is not None and not isinstance(rows, list):
        raise Failure(Reason.GARBLED, "not a YAML list: begin each entry with a dash", advice=_CORRECT)
    for number, row in enumerate(rows or (), start=1):
        yield f"entry {number}", dict(row) if isinstance(row, Mapping) else row


def _seconds(time: datetime, timezone: ZoneInfo, fold: int = 0) -> float:
    """Convert to unix seconds. An hour that occurs twice begins at its first and ends at its second occurrence."""
    local = time if time.tzinfo is not None else time.replace(tzinfo=timezone, fold=fold)
    return local.astimezone(UTC).timestamp()
