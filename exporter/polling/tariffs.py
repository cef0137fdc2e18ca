"""The power price in force, from slots that a tariff provided earlier. It changes at the boundary of a slot."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from exporter.model.readings import PriceSlot
from exporter.model.snapshot import TariffPrice
from exporter.polling.latest import Latest


def price_in_force(slots: Sequence[PriceSlot], now: float) -> TariffPrice | None:
    """Return the prices in force at ``now`` (unix seconds) and after it.

    If the next slot is late, the last price is held until :attr:`PriceSlot.held_until`. After that it is None.
    """
    begun = [slot for slot in slots if slot.start <= now]
    if not begun:
        return None
    # Of two that overlap, the one that began later is the finer or the newer one.
    current = max(begun, key=lambda slot: (now < slot.end, slot.start))
    if now >= current.held_until:
        return None
    following = min((slot for slot in slots if slot.start > now), key=lambda slot: slot.start, default=None)
    if following is None or following.start > current.held_until:
        return TariffPrice(current.price, ahead=(current,) if now < current.end else ())
    return TariffPrice(current.price, following.price, ahead=_chain(slots, current))


def _chain(slots: Sequence[PriceSlot], current: PriceSlot) -> tuple[PriceSlot, ...]:
    """Return the slot in force and those that follow it without a gap or an overlap."""
    chain = [current]
    for slot in sorted(slots, key=lambda slot: slot.start):
        if slot.start == chain[-1].end:
            chain.append(slot)
    return tuple(chain)


def next_boundary(tariffs: Mapping[str, Latest[tuple[PriceSlot, ...]]], now: float) -> float | None:
    """Return when the next slot of any tariff begins (unix seconds). None if no slot after ``now`` is known."""
    readings = [latest.fresh(now) for latest in tariffs.values()]
    starts = (slot.start for reading in readings if reading is not None for slot in reading.value if slot.start > now)
    return min(starts, default=None)


def tariff_prices(tariffs: Mapping[str, Latest[tuple[PriceSlot, ...]]], now: float) -> dict[str, TariffPrice]:
    """Return the price of every tariff at ``now``. Tariffs whose slots are too old or have ended are left out."""
    prices: dict[str, TariffPrice] = {}
    for name, latest in tariffs.items():
        reading = latest.fresh(now)
        price = None if reading is None else price_in_force(reading.value, now)
        if reading is not None and price is not None:
            prices[name] = replace(price, observed_at=reading.observed_at)
    return prices
