"""OpenADR 3.0 and 3.1: a power price that a VTN sends as events, read as a VEN that never writes."""

import asyncio
from collections.abc import Iterator, Sequence
from math import inf
from typing import Any, Final, Literal, NamedTuple

from pydantic import Field

from exporter.model.failures import Failure, Reason
from exporter.model.readings import PriceSlot, Reading
from exporter.model.units import per_kilowatt_hour
from exporter.sources.contract import UNEXPECTED, Discards, SourceContext, in_words, number
from exporter.sources.openadr import Event, OpenAdrSettings, Vtn, segments
from exporter.sources.tariffs import HORIZON, Slots, TariffSettings

_UNITS: Final = {"WH": "Wh", "KWH": "kWh", "MWH": "MWh", "GWH": "GWh"}


class Settings(OpenAdrSettings, TariffSettings):
    """Price events of a VTN. Where events of one program overlap, a lower `priority` number wins."""

    kind: Literal["openadr"] = "openadr"
    payload_type: Literal["PRICE", "EXPORT_PRICE"] = Field(
        default="PRICE", description="`PRICE` of power that is used, or `EXPORT_PRICE` of power that is sold."
    )

    @property
    def likely_cause(self) -> str:
        """Why there may be no prices in an answer."""
        return f"the VTN lists no {self.payload_type} events that are readable and for this site"

    def energy(self, context: SourceContext) -> "_OpenAdr":
        """Create the source."""
        return _OpenAdr(self, context)


class _Offer(NamedTuple):
    """A price of an event. The lowest ``rank`` is in force."""

    rank: float
    slot: PriceSlot


class _OpenAdr:
    def __init__(self, settings: Settings, context: SourceContext) -> None:
        self._settings = settings
        self._clock = context.clock
        self._discards: Discards = context.discards
        self._vtn = Vtn(settings, context)

    async def fetch(self) -> Reading[Slots]:
        """Request programs and events. Raises Failure."""
        events = await self._vtn.events()
        now = self._clock()
        offers = [offer for event in events for offer in self._offers(event, now)]
        return Reading(await asyncio.to_thread(lambda: tuple(_in_force(offers))), now)

    def _offers(self, event: Event, now: float) -> Iterator[_Offer]:
        """Yield the prices of an event from now on. An interval without an end lasts as far as tariffs look ahead."""
        payload = self._settings.payload_type
        rank = inf if event.priority is None else float(event.priority)
        for interval in event.intervals:
            end = min(interval.end, max(interval.start, now) + HORIZON)
            if payload in interval.payloads and end > now:
                try:
                    yield _Offer(rank, PriceSlot(interval.start, end, self._price(event, interval.payloads[payload])))
                except UNEXPECTED as error:
                    self._discards.note("event", f"{payload} of event {event.id:.40}: {in_words(error)}")

    def _price(self, event: Event, values: Sequence[Any]) -> float:
        """Return a price per kWh. Raises Failure for another currency, ValueError for what is no price of energy."""
        payload = self._settings.payload_type
        currency, unit = event.currencies.get(payload), event.units.get(payload, "KWH").upper()
        if currency is not None and currency.upper() != self._settings.currency:
            raise Failure(Reason.GARBLED, f"the VTN sends prices in {currency:.10}: set `currency` and `fx`")
        if unit not in _UNITS:
            raise ValueError(f"unit {unit!r:.20} is not KWH")
        return per_kilowatt_hour(number(values[0]), _UNITS[unit])


def _in_force(offers: Sequence[_Offer]) -> Iterator[PriceSlot]:
    """Yield the slots of the best rank at each time. Two of the same rank both stay, for others to refuse."""
    if len({offer.rank for offer in offers}) <= 1:
        yield from (offer.slot for offer in offers)
        return
    for start, end, held in segments(offers, lambda offer: (offer.slot.start, offer.slot.end)):
        best = min((offer.rank for offer in held), default=inf)
        yield from (PriceSlot(start, end, offer.slot.price) for offer in held if offer.rank == best)
