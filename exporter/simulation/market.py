"""The simulated markets: a power price that changes through the day and is sometimes negative, and bitcoin."""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from random import Random
from typing import Any, Final

from aiohttp import web

from exporter.model.units import SECONDS_PER_DAY
from exporter.simulation.machine import UTC_OFFSET_HOURS, Wave
from exporter.simulation.service import Service

ZONE: Final = "HB_PRAIRIE"
SLOT_SECONDS: Final = 900.0
BITCOIN_USD: Final = 70_370.0

_SLOTS_PER_DAY: Final = round(SECONDS_PER_DAY / SLOT_SECONDS)
_DAYS_BEFORE: Final = 1
_DAYS: Final = 4
_SUNNY_DAYS: Final = 0.4
_SCARCE_DAYS: Final = 0.12
_SCRIPTED_MEAN: Final = 31.0
_SCRIPTED_SWING: Final = 25.0


class PowerMarket:
    """Prices in USD per MWh for slots of 15 market minutes; a slot lasts ``slot_seconds`` of the clock.

    Most hours cost 47-65, so that a rig of 30 J/TH loses at a hashprice of $33.30 while one of 17.5 earns; sunny
    middays are cheap or negative, a few evenings expensive. With ``wave_seconds`` the prices are scripted instead: they
    fall from high to nearly zero and rise again in that time, so that a viewer sees the verdicts follow.
    """

    def __init__(
        self,
        seed: int,
        clock: Callable[[], float],
        host: str,
        port: int,
        *,
        slot_seconds: float,
        wave_seconds: float | None = None,
    ) -> None:
        self._seed = seed
        self._clock = clock
        self.slot_seconds = slot_seconds
        self.wave_seconds = wave_seconds
        now = clock()
        self._anchor = now - now % slot_seconds
        self._anchor_slot = int(now // SLOT_SECONDS)
        self._drift = Wave(Random(f"{seed} drift"), 31.0 * 3_600.0, 77.0 * 3_600.0)
        self._override: tuple[float, float] | None = None  # price, and the start of the first slot that has it
        self.service = Service("power", host, port, [web.get("/prices", self._handle)])

    def override(self, price: float | None) -> None:
        """Set the price of the current slot and all later ones. None returns to the market's price."""
        self._override = None if price is None else (price, self._start(self._slot(self._clock())))

    def price(self, at: float) -> float:
        """Return the price in force at a time, in USD per MWh."""
        return self._price(self._slot(at))

    def slots(self) -> list[tuple[float, float, float]]:
        """List (start, end, price) from the start of the market's yesterday to the end of its day after tomorrow."""
        today = self._slot(self._clock()) // _SLOTS_PER_DAY
        first = (today - _DAYS_BEFORE) * _SLOTS_PER_DAY
        return [
            (self._start(slot), self._start(slot + 1), self._price(slot))
            for slot in range(first, first + _DAYS * _SLOTS_PER_DAY)
        ]

    def _slot(self, at: float) -> int:
        return self._anchor_slot + math.floor((at - self._anchor) / self.slot_seconds)

    def _start(self, slot: int) -> float:
        return self._anchor + (slot - self._anchor_slot) * self.slot_seconds

    def _price(self, slot: int) -> float:
        if self._override is not None and self._start(slot) >= self._override[1]:
            return self._override[0]
        if self.wave_seconds is not None:
            return _scripted((self._start(slot) - self._anchor) / self.wave_seconds)
        market_time = slot * SLOT_SECONDS + UTC_OFFSET_HOURS * 3_600.0
        day, hour = int(market_time // SECONDS_PER_DAY), market_time % SECONDS_PER_DAY / 3_600.0
        of_day = Random(f"{self._seed} day {day}")
        sun = of_day.uniform(25.0, 90.0) if of_day.random() < _SUNNY_DAYS else of_day.uniform(0.0, 8.0)
        evening = of_day.uniform(30.0, 60.0) if of_day.random() < _SCARCE_DAYS else of_day.uniform(4.0, 16.0)
        price = 52.0 + 4.0 * self._drift(market_time) + Random(f"{self._seed} slot {slot}").gauss(0.0, 1.5)
        price += 8.0 * _bump(hour, 7.5, 1.3) - sun * _bump(hour, 13.0, 2.2) + evening * _bump(hour, 19.5, 1.6)
        return round(price, 2)

    async def _handle(self, request: web.Request) -> web.Response:  # noqa: ARG002 - a handler has one
        slots = [{"start": _iso(start), "end": _iso(end), "price": price} for start, end, price in self.slots()]
        return web.json_response({"zone": ZONE, "currency": "USD", "unit": "MWh", "slots": slots})


class BitcoinMarket:
    """A bitcoin price near a given value, in Coinbase's format."""

    def __init__(self, seed: int, clock: Callable[[], float], host: str, port: int) -> None:
        self._clock = clock
        self._wave = Wave(Random(f"{seed} bitcoin"), 97.0, 611.0, 4_001.0, 30_011.0)
        self.set(BITCOIN_USD)
        self.service = Service("bitcoin", host, port, [web.get("/v2/prices/{pair}/spot", self._handle)])

    def set(self, usd: float) -> None:
        """Set the price. It moves on from there."""
        self._usd = usd
        self._zero = self._wave(self._clock())

    def price(self) -> float:
        """Return the price now, in USD."""
        return round(self._usd * (1.0 + 0.004 * (self._wave(self._clock()) - self._zero)), 2)

    async def _handle(self, request: web.Request) -> web.Response:
        base, _, currency = request.match_info["pair"].partition("-")
        if (base, currency) != ("BTC", "USD"):
            answer: dict[str, Any] = {"errors": [{"id": "not_found", "message": "Invalid base currency"}]}
            return web.json_response(answer, status=404)
        return web.json_response({"data": {"amount": f"{self.price():.2f}", "base": base, "currency": currency}})


def _scripted(turns: float) -> float:
    """Return the scripted price: a third of each turn dear, a third nearly free, and the way between them."""
    swing = min(max(1.5 * math.cos(math.tau * turns), -1.0), 1.0)
    return round(_SCRIPTED_MEAN + _SCRIPTED_SWING * swing, 2)


def _bump(hour: float, centre: float, width: float) -> float:
    return math.exp(-(((hour - centre) / width) ** 2))


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
