"""Local days and months of recorded time, and pages about them that are made for print."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader

from exporter.model.units import SECONDS_PER_HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A day or month in a time zone, half-open. Unix seconds."""

    name: str  # 2026-11-28, or 2026-11
    zone: str
    start: float
    end: float

    @property
    def seconds(self) -> float:
        """Its length: a day may have 23 or 25 hours."""
        return self.end - self.start

    @property
    def hours(self) -> float:
        """Its length in hours."""
        return self.seconds / SECONDS_PER_HOUR

    @classmethod
    def day(cls, text: str, zone: ZoneInfo) -> Self:
        """Return a local day, such as 2026-11-28. Raises ValueError."""
        first = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=zone)
        return cls._of(text, zone, first, first + timedelta(days=1))

    @classmethod
    def month(cls, text: str, zone: ZoneInfo) -> Self:
        """Return a local calendar month, such as 2026-11. Raises ValueError."""
        first = datetime.strptime(text, "%Y-%m").replace(tzinfo=zone)
        return cls._of(text, zone, first, (first.replace(day=28) + timedelta(days=4)).replace(day=1))

    @classmethod
    def _of(cls, name: str, zone: ZoneInfo, first: datetime, following: datetime) -> Self:
        return cls(name=name, zone=zone.key, start=first.timestamp(), end=following.timestamp())


def local_time(moment: float, zone: str) -> str:
    """Write unix seconds in ISO format, local to a zone."""
    return datetime.fromtimestamp(moment, ZoneInfo(zone)).isoformat(timespec="seconds")


def printable(template: str, content: dict[str, Any]) -> str:
    """Fill a template of a page made for print."""
    templates = PackageLoader("exporter.tools")
    environment = Environment(loader=templates, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template(template).render(content)
