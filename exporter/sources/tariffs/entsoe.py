"""ENTSO-E's transparency platform: day-ahead prices (A44) of every European bidding zone, as XML.

https://transparency.entsoe.eu allows 400 requests a minute and then bans the address for ten minutes. A position whose
price equals the one before is left out.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final, Literal
from xml.etree.ElementTree import Element

from pydantic import Field

from exporter.model.failures import Failure, Reason
from exporter.model.fields import Duration
from exporter.model.readings import PriceSlot, Reading
from exporter.model.units import per_kilowatt_hour
from exporter.sources.contract import SourceContext, integer, number, translating
from exporter.sources.fx import Currency
from exporter.sources.http import HttpSettings, HttpSource
from exporter.sources.tariffs import Slots, TariffSettings
from exporter.sources.xml import parse_xml, text_of

_RESOLUTIONS: Final = {"PT15M": 900.0, "PT30M": 1800.0, "PT60M": 3600.0}
_LONGEST_PERIOD: Final = timedelta(days=4)
"""One has a day; broken ends would make millions of slots."""
_AUCTION: Final = "classificationSequence_AttributeInstanceComponent.position"


class Settings(HttpSettings, TariffSettings):
    """One bidding zone. The token goes into ``parameters: {securityToken: ...}``."""

    kind: Literal["entsoe"] = "entsoe"
    url: str = Field(default="https://web-api.tp.entsoe.eu/api", description="Address of the API.")
    interval: Duration = Field(default=900.0, description="How often the prices are requested.")
    currency: Currency = Field(default="EUR", description="Currency of the zone's prices. Others than USD need `fx`.")
    zone: str = Field(pattern=r"^[0-9A-Z-]{16}$", description="EIC code of the zone, such as 10Y1001A1001A82H (DE-LU).")
    auction: int = Field(default=1, ge=1, description="Number of the auction. 1 is the day-ahead coupling.")

    def energy(self, context: SourceContext) -> "_Entsoe":
        """Create the source."""
        return _Entsoe(self, context)


class _Entsoe(HttpSource[Settings]):
    async def fetch(self) -> Reading[Slots]:
        """Request from yesterday evening to tomorrow: market days start before those of UTC."""
        now = self._clock()
        day = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0)
        asked = {
            "documentType": "A44",
            "in_Domain": self._settings.zone,
            "out_Domain": self._settings.zone,
            "periodStart": f"{day - timedelta(hours=2):%Y%m%d%H%M}",
            "periodEnd": f"{day + timedelta(days=2):%Y%m%d%H%M}",
        }
        root = parse_xml(await self._endpoint.get_text(params=asked))
        with translating():
            if root.tag == "Acknowledgement_MarketDocument":
                raise Failure(Reason.NOT_READY, f"no prices: {text_of(root, 'Reason/text'):.120}")
            series = root.findall("TimeSeries")
            slots = tuple(slot for each in series for slot in self._slots(each))
        if series and not slots:
            detail = f"the answer has no prices of auction {self._settings.auction}"
            raise Failure(Reason.GARBLED, detail, advice="set auction to one that the area holds, or check area")
        return Reading(slots, now)

    def _slots(self, series: Element) -> Iterator[PriceSlot]:
        if integer(series.findtext(_AUCTION, str(self._settings.auction))) != self._settings.auction:
            return
        currency, unit = text_of(series, "currency_Unit.name"), text_of(series, "price_Measure_Unit.name")
        if (currency, unit) != (self._settings.currency, "MWH"):
            raise Failure(Reason.IMPLAUSIBLE, f"prices in {currency} per {unit}, not {self._settings.currency} per MWH")
        for period in series.iterfind("Period"):
            yield from self._period(period)

    def _period(self, period: Element) -> Iterator[PriceSlot]:
        """Read the slots of a period. A position that is left out has the price of the one before it."""
        start, end = (datetime.fromisoformat(text_of(period, f"timeInterval/{edge}")) for edge in ("start", "end"))
        step = _RESOLUTIONS[text_of(period, "resolution")]
        prices = {
            integer(text_of(point, "position")): number(text_of(point, "price.amount"))
            for point in period.iterfind("Point")
        }
        if end - start > _LONGEST_PERIOD:
            self._discards.note("period", f"a period of {(end - start).days} days, where one has a day")
            return
        count = round((end - start).total_seconds() / step)
        outside = sum(not 1 <= position <= count for position in prices)
        if outside:
            resolution, first = text_of(period, "resolution"), text_of(period, "timeInterval/start")
            self._discards.note("position", f"the period from {first} has {count} slots of {resolution}", outside)
        if 2 * outside > len(prices):
            return  # resolution and positions contradict each other
        price = None
        for index in range(count):
            price = prices.get(index + 1, price)
            if price is not None:
                begin = start.timestamp() + index * step
                yield PriceSlot(begin, begin + step, per_kilowatt_hour(price, "MWh"))
