"""The European Central Bank's daily reference rates, in foreign currency per euro."""

from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Final, Literal
from xml.etree.ElementTree import Element
from zoneinfo import ZoneInfo

from pydantic import Field

from exporter.model.readings import Reading
from exporter.sources.contract import SourceContext, number, translating
from exporter.sources.fx import FxSettings
from exporter.sources.http import HttpSettings, HttpSource
from exporter.sources.xml import parse_xml

_PUBLISHED: Final = time(16, tzinfo=ZoneInfo("Europe/Berlin"))


class Settings(HttpSettings, FxSettings):
    """The public daily file, updated about 16:00 CET on working days."""

    kind: Literal["ecb"] = "ecb"
    url: str = Field(
        default="https://www.ecb.europa.eu/stats/eurofxref/eurofxref-daily.xml", description="Address of the API."
    )

    def connect(self, context: SourceContext) -> "_Ecb":
        """Create the source."""
        return _Ecb(self, context)


class _Ecb(HttpSource[Settings]):
    async def fetch(self) -> Reading[Mapping[str, float]]:
        """Request the rates, with the time of their publication."""
        root = parse_xml(await self._endpoint.get_text())
        with translating():
            (day,) = root.iterfind(".//Cube[@time]")
            per_euro = self._per_euro(day)
            dollars = per_euro.pop("USD")
            rates = {"EUR": dollars} | {currency: dollars / rate for currency, rate in per_euro.items()}
            published = datetime.combine(date.fromisoformat(day.attrib["time"]), _PUBLISHED).timestamp()
        return Reading(rates, min(published, self._clock()))

    def _per_euro(self, day: Element) -> dict[str, float]:
        """Read the rates of a day. A currency without a readable rate is discarded, such as a suspended one."""
        rates: dict[str, float] = {}
        for cube in day.iterfind("Cube"):
            currency = cube.attrib["currency"]
            try:
                rates[currency] = number(cube.attrib["rate"])
            except ValueError as error:
                self._discards.note("exchange_rate", f"{currency}: {error}")
        return rates
