"""The power price in force, from the slots that a tariff gave earlier: it changes on its boundary without a fetch."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from exporter.model.readings import PriceSlot
from exporter.model.snapshot import TariffPrice
from exporter.polling.latest import Latest


def price_in_force(slots: Sequence[PriceSlot], now: float) -> TariffPrice | None:
    """Pick the slot in force at ``now`` (unix seconds) and the one after it.

    Where the next slot is late, the last one is held for at most its own length; after that the price is unknown.
    """
    begun = [slot for slot in slots if slot.start <= now]
    if not begun:
        return None
    # Of two that overlap, the one that began later is the finer or the newer one.
    current = max(begun, key=lambda slot: (now < slot.end, slot.start))
    held_until = current.end + (current.end - current.start)
    if now >= held_until:
        return None
    following = min((slot for slot in slots if slot.start > now), key=lambda slot: slot.start, default=None)
    if following is None or following.start > held_until:
        return TariffPrice(current.price)
    return TariffPrice(current.price, following.price)


def next_boundary(tariffs: Mapping[str, Latest[tuple[PriceSlot, ...]]], now: float) -> float | None:
    """When the next slot of any tariff begins (unix seconds), as far as is known at ``now``."""
    readings = [latest.fresh(now) for latest in tariffs.values()]
    starts = (slot.start for reading in readings if reading is not None for slot in reading.value if slot.start > now)
    return min(starts, default=None)


def tariff_prices(tariffs: Mapping[str, Latest[tuple[PriceSlot, ...]]], now: float) -> dict[str, TariffPrice]:
    """Price every tariff at ``now``; one whose slots are too old or have run out is left out."""
    prices: dict[str, TariffPrice] = {}
    for name, latest in tariffs.items():
        reading = latest.fresh(now)
        price = None if reading is None else price_in_force(reading.value, now)
        if reading is not None and price is not None:
            prices[name] = replace(price, observed_at=reading.observed_at)
    return prices
