"""The European Central Bank's daily reference rates, in foreign currency per euro."""

from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Final, Literal
from zoneinfo import ZoneInfo

from pydantic import Field

from exporter.model.readings import Reading
from exporter.sources.contract import SourceContext, number, translating
from exporter.sources.fx import FxSettings
from exporter.sources.http import HttpSettings, HttpSource
from exporter.sources.xml import parse_xml

_PUBLISHED: Final = time(16, tzinfo=ZoneInfo("Europe/Berlin"))


class Settings(HttpSettings, FxSettings):
    """The public daily file; about 16:00 CET on working days."""

    kind: Literal["ecb"] = "ecb"
    url: str = Field(
        default="https://www.ecb.europa.eu/stats/eurofxref/eurofxref-daily.xml", description="Where it is asked."
    )

    def connect(self, context: SourceContext) -> "_Ecb":
        """Make the source."""
        return _Ecb(self, context)


class _Ecb(HttpSource[Settings]):
    async def fetch(self) -> Reading[Mapping[str, float]]:
        """Ask for the rates, observed on the day that they are for."""
        root = parse_xml(await self._endpoint.get_text())
        with translating():
            (day,) = root.iterfind(".//Cube[@time]")
            per_euro = {cube.attrib["currency"]: number(cube.attrib["rate"]) for cube in day.iterfind("Cube")}
            dollars = per_euro.pop("USD")
            rates = {"EUR": dollars} | {currency: dollars / rate for currency, rate in per_euro.items()}
            published = datetime.combine(date.fromisoformat(day.attrib["time"]), _PUBLISHED).timestamp()
        return Reading(rates, min(published, self._clock()))
