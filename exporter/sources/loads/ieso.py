"""IESO (Ontario): Ontario Demand of the last hours in five minutes, as XML files, one for each hour.

https://reports-public.ieso.ca/public/RealtimeConstTotals. Hours are counted from 1 to 24 in Eastern Standard Time all
year. There is no forecast in it.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final, Literal
from xml.etree.ElementTree import Element
from zoneinfo import ZoneInfo

from pydantic import Field

from exporter.model.readings import LoadPoint, Reading, SystemLoad
from exporter.sources.contract import SourceContext, integer, number, translating
from exporter.sources.http import HttpSettings, HttpSource
from exporter.sources.loads import LoadSettings, megawatts
from exporter.sources.xml import parse_xml, text_of

_ZONE: Final = ZoneInfo("Etc/GMT+5")
_FIVE_MINUTES: Final = 300.0
_HOUR: Final = 3600.0
_HOURS: Final = 2  # the one before, and the one in force
_DEMAND: Final = "ONTARIO DEMAND"


class Settings(HttpSettings, LoadSettings):
    """Ontario Demand."""

    kind: Literal["ieso"] = "ieso"
    url: str = Field(
        default="https://reports-public.ieso.ca/public/RealtimeConstTotals", description="Address of the files."
    )

    def connect(self, context: SourceContext) -> "_Ieso":
        """Create the source."""
        return _Ieso(self, context)


class _Ieso(HttpSource[Settings]):
    async def fetch(self) -> Reading[SystemLoad]:
        """Request the files of the last hours. The file of an hour that has just begun may not be there yet."""
        now = self._clock()
        points: list[LoadPoint] = []
        for back in range(_HOURS - 1, -1, -1):
            begin = (now - back * _HOUR) // _HOUR * _HOUR
            local = datetime.fromtimestamp(begin, _ZONE)
            answer = await self._endpoint.ask(path=f"/PUB_RealtimeConstTotals_{local:%Y%m%d}{local.hour + 1:02}.xml")
            if answer.status == HTTPStatus.NOT_FOUND and (points or back):
                continue
            root = parse_xml(answer.check().text())
            with translating():
                points += self._points(root, begin)
        return Reading(SystemLoad(measured=tuple(points)), now)

    @staticmethod
    def _points(root: Element, begin: float) -> Iterator[LoadPoint]:
        day = datetime.fromisoformat(text_of(root, "DocBody/DeliveryDate"))
        hour = integer(text_of(root, "DocBody/DeliveryHour"))
        stated = (day.replace(tzinfo=_ZONE) + timedelta(hours=hour - 1)).timestamp()
        if stated != begin:
            raise ValueError(f"it is of hour {hour} of {day.date()}")
        for interval in root.iterfind("DocBody/Energies/IntervalEnergy"):
            number_of = integer(text_of(interval, "Interval"))
            for quantity in interval.iterfind("MQ"):
                if text_of(quantity, "MarketQuantity").upper() == _DEMAND:
                    start = begin + (number_of - 1) * _FIVE_MINUTES
                    yield megawatts(start, start + _FIVE_MINUTES, number(text_of(quantity, "EnergyMW")))
