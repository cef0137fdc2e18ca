"""Power prices as slots in UTC: one file per tariff, and the formula from energy price to price."""

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from math import isfinite
from typing import Final, Self

from pydantic import Field, model_validator

from exporter.economics.settings import TariffOverrides
from exporter.model.failures import Failure, Reason
from exporter.model.fields import Duration
from exporter.model.readings import PriceSlot, Reading
from exporter.sources.contract import Discards, Source, SourceContext, SourceSettings
from exporter.sources.exchange import ExchangeRate, check_convertible
from exporter.sources.fx import Currency
from exporter.sources.registry import FxSource

Slots = tuple[PriceSlot, ...]

HORIZON: Final = 48 * 3600.0
"""How far ahead (s) a tariff without an end provides prices."""

_MAX_PRICE: Final = 20.0  # USD per kWh: the highest market caps are near 12, and EUR/MWh taken for EUR/kWh lies above
_MAX_LISTED: Final = 2.0  # USD per kWh: critical-peak prices end near 1.5, and prices in cents lie above


class TariffSettings(SourceSettings):
    """Settings of all tariffs: the formula from the energy price to the price that is paid.

    ``(min(max(energy * multiplier, floor), cap) * (1 + losses) + adder) * (1 + taxes)``

    All in US dollars per kilowatt-hour; ``energy`` is the source's price, converted from its currency.
    """

    interval: Duration = Field(default=300.0, description="How often the prices are requested.")
    max_age: Duration = Field(
        default=2 * 86_400.0,
        description="Prices requested longer ago than this are not used, not even those of later hours.",
    )
    currency: Currency = Field(default="USD", description="Currency of the source's prices. Others than USD need `fx`.")
    fx: FxSource | None = Field(default=None, description="Source of the exchange rate.")
    multiplier: float = Field(
        default=1.0, gt=0, le=100, description="Factor on the energy price, such as 0.97 of the index."
    )
    floor_usd_per_kilowatt_hour: float | None = Field(default=None, description="Lowest energy price.")
    cap_usd_per_kilowatt_hour: float | None = Field(default=None, description="Highest energy price.")
    losses: float = Field(default=0.0, ge=0, le=1, description="Line losses that are billed: 0.03 is 3 %.")
    adder_usd_per_kilowatt_hour: float = Field(
        default=0.0, ge=-1, le=1, description="Grid fees and margins per kWh. Negative is a rebate."
    )
    taxes: float = Field(default=0.0, ge=0, le=1, description="Taxes on the sum: 0.08 is 8 %.")
    terms: TariffOverrides | None = Field(
        default=None, description="Overrides of `power` and `economics` for this contract or feeder."
    )

    @model_validator(mode="after")
    def _convertible(self) -> Self:
        check_convertible(self.currency, self.fx)
        floor, cap = self.floor_usd_per_kilowatt_hour, self.cap_usd_per_kilowatt_hour
        if floor is not None and cap is not None and floor > cap:
            raise ValueError(f"the floor {floor:g} is above the cap {cap:g}")
        return self

    def energy(self, context: SourceContext) -> Source[Slots]:
        """Create the source of energy prices, in ``currency`` per kilowatt-hour. Each kind defines it."""
        raise NotImplementedError

    def connect(self, context: SourceContext) -> Source[Slots]:
        """Create the source of the prices that the site pays."""
        return _Priced(self, context)

    def charge(self, energy: float) -> float:
        """Return the price for an energy price, both in US dollars per kilowatt-hour."""
        charged = energy * self.multiplier
        if self.floor_usd_per_kilowatt_hour is not None:
            charged = max(charged, self.floor_usd_per_kilowatt_hour)
        if self.cap_usd_per_kilowatt_hour is not None:
            charged = min(charged, self.cap_usd_per_kilowatt_hour)
        return (charged * (1 + self.losses) + self.adder_usd_per_kilowatt_hour) * (1 + self.taxes)

    def believe(self, price: float) -> float:
        """Return a price of a contract or price list. Raises ValueError for one that nobody pays."""
        if self.currency == "USD" and abs(price) > _MAX_LISTED:
            raise ValueError(f"{price:g} USD per kWh is implausible, expected at most {_MAX_LISTED:g}: is it in cents?")
        return price

    def reconcile(self, value: Slots, discards: Discards) -> Slots:
        """Leave out slots with two prices, that end before they start, or with a price that no market has.

        Raises a Failure IMPLAUSIBLE if that is most of them: then the filter or the unit is wrong.
        """
        prices: dict[tuple[float, float], set[float]] = defaultdict(set)
        for slot in value:
            prices[slot.start, slot.end].add(slot.price)
        bad: dict[tuple[float, float], str] = {}
        for (start, end), listed in prices.items():
            if not (isfinite(start) and isfinite(end)):
                bad[start, end] = f"the price slot from {_utc(start)} to {_utc(end)} has no beginning or no end"
            elif end <= start:
                bad[start, end] = f"the price slot at {_utc(start)} ends before it starts"
            elif len(listed) > 1:
                low, high = min(listed), max(listed)
                bad[start, end] = (
                    f"two prices for the slot at {_utc(start)}, {low:g} and {high:g}: is a filter missing?"
                )
            elif not -_MAX_PRICE <= (price := next(iter(listed))) <= _MAX_PRICE:
                limits = f"{-_MAX_PRICE:g} to {_MAX_PRICE:g}"
                bad[start, end] = f"power price {price:g} USD per kWh at {_utc(start)} is outside {limits}: check unit"
        if 2 * len(bad) > len(prices):
            raise Failure(Reason.IMPLAUSIBLE, next(iter(bad.values())))
        if bad:
            discards.note("slot", next(iter(bad.values())), len(bad))
        kept: dict[tuple[float, float], PriceSlot] = {
            (slot.start, slot.end): slot for slot in value if (slot.start, slot.end) not in bad
        }
        return tuple(kept.values())

    def check_usable(self, value: Slots, now: float) -> None:
        """Raise a Failure if no slot is in force at ``now`` (unix seconds)."""
        if not value:
            raise Failure(Reason.NOT_READY, f"the answer has no prices: {self.likely_cause}", retry_after=self.interval)
        if any(slot.start <= now < slot.held_until for slot in value):
            return
        over = [slot for slot in value if slot.start <= now]
        if over:
            last = max(over, key=lambda slot: slot.end)
            detail = f"the last price ended at {_utc(last.end)}: {self.likely_cause}"
            raise Failure(Reason.STALE, detail, retry_after=self.interval)
        first = _utc(min(slot.start for slot in value))
        raise Failure(Reason.NOT_READY, f"no price for now, the first starts at {first}", retry_after=self.interval)

    @property
    def likely_cause(self) -> str:
        """The most likely cause of an answer without a usable price."""
        return "not published yet, or the zone or product does not exist any more; check time_format and timezone"


def _utc(instant: float) -> str:
    try:
        return f"{datetime.fromtimestamp(instant, UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError, OSError):
        return f"{instant:.0f}"


class _Priced:
    """A tariff after currency conversion and formula."""

    def __init__(self, settings: TariffSettings, context: SourceContext) -> None:
        self._settings = settings
        self._energy = settings.energy(context)
        self._rate = ExchangeRate(settings.currency, settings.fx, context) if settings.fx is not None else None

    async def fetch(self) -> Reading[Slots]:
        """Request the energy prices and apply the formula."""
        rate = await self._rate.fetch() if self._rate is not None else 1.0
        energy = await self._energy.fetch()
        charge = self._settings.charge
        slots = sorted(energy.value, key=lambda slot: (slot.start, slot.end))
        return Reading(tuple(replace(slot, price=charge(slot.price * rate)) for slot in slots), energy.observed_at)
