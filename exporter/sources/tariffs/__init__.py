"""Power prices as slots on the UTC axis: a file per tariff, and on top of each currency, adders, losses and taxes."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Self

from pydantic import Field, model_validator

from exporter.economics.settings import TariffOverrides
from exporter.model.configuration_errors import unknown
from exporter.model.failures import Failure, Reason
from exporter.model.fields import Duration
from exporter.model.readings import PriceSlot, Reading
from exporter.sources.contract import Source, SourceContext, SourceSettings, implausible_unless
from exporter.sources.fx import Currency
from exporter.sources.fx.fixed import Settings as FixedFx
from exporter.sources.registry import FxSource

Slots = tuple[PriceSlot, ...]

HORIZON: Final = 48 * 3600.0
"""How far ahead (s) a tariff that knows its prices for ever tells them."""

_MAX_PRICE: Final = 20.0  # USD per kWh: the highest market caps are near 12, and EUR/MWh taken for EUR/kWh lies above


_MAX_LISTED: Final = 2.0  # USD per kWh: critical-peak prices end near 1.5, and prices in cents lie above


class TariffSettings(SourceSettings):
    """What all tariffs share: how the price that is paid comes from the price of the energy.

    ``(min(max(energy * multiplier, floor), cap) * (1 + losses) + adder) * (1 + taxes)``

    All in US dollars per kilowatt-hour; ``energy`` is the source's price, converted from its currency.
    """

    interval: Duration = Field(default=300.0, description="How often it is asked.")
    max_age: Duration = Field(
        default=2 * 86_400.0, description="Past this age the known slots are refused, even those that lie ahead."
    )
    currency: Currency = Field(default="USD", description="Currency of the source's prices; not USD needs `fx`.")
    fx: FxSource | None = Field(default=None, description="Where the exchange rate comes from.")
    multiplier: float = Field(default=1.0, gt=0, le=100, description="Share of the index that the contract charges.")
    floor_usd_per_kilowatt_hour: float | None = Field(default=None, description="The energy price is never below it.")
    cap_usd_per_kilowatt_hour: float | None = Field(default=None, description="The energy price is never above it.")
    losses: float = Field(default=0.0, ge=0, le=1, description="Line losses billed on top: 0.03 is three per cent.")
    adder_usd_per_kilowatt_hour: float = Field(
        default=0.0, ge=-1, le=1, description="Grid fees and margins per kWh; negative is a rebate."
    )
    taxes: float = Field(default=0.0, ge=0, le=1, description="Taxes on all of it: 0.08 is eight per cent.")
    terms: TariffOverrides | None = Field(
        default=None, description="What its contract or feeder has otherwise than `power` and `economics` say."
    )

    @model_validator(mode="after")
    def _convertible(self) -> Self:
        if (self.currency == "USD") != (self.fx is None):
            raise ValueError(
                f"prices in {self.currency} need fx: where its rate comes from"
                if self.fx is None
                else "prices in USD need no fx: set currency"
            )
        if isinstance(self.fx, FixedFx) and self.currency not in self.fx.usd_per:
            raise ValueError(unknown("exchange rate for", self.currency, self.fx.usd_per))
        floor, cap = self.floor_usd_per_kilowatt_hour, self.cap_usd_per_kilowatt_hour
        if floor is not None and cap is not None and floor > cap:
            raise ValueError(f"the floor {floor:g} is above the cap {cap:g}")
        return self

    def energy(self, context: SourceContext) -> Source[Slots]:
        """Make the bare source of energy prices, in ``currency`` per kilowatt-hour: what each tariff defines."""
        raise NotImplementedError

    def connect(self, context: SourceContext) -> Source[Slots]:
        """Make the source of what the site pays."""
        return _Priced(self, context)

    def charge(self, energy: float) -> float:
        """Make the price from the energy price, both in US dollars per kilowatt-hour."""
        charged = energy * self.multiplier
        if self.floor_usd_per_kilowatt_hour is not None:
            charged = max(charged, self.floor_usd_per_kilowatt_hour)
        if self.cap_usd_per_kilowatt_hour is not None:
            charged = min(charged, self.cap_usd_per_kilowatt_hour)
        return (charged * (1 + self.losses) + self.adder_usd_per_kilowatt_hour) * (1 + self.taxes)

    def believe(self, price: float) -> float:
        """Return a price that stands on a contract or price list. Raises ValueError for one that nobody pays."""
        if self.currency == "USD" and abs(price) > _MAX_LISTED:
            raise ValueError(f"{price:g} USD per kWh is implausible, expected at most {_MAX_LISTED:g}: is it in cents?")
        return price

    def check(self, value: Slots, last: Slots | None) -> None:  # noqa: ARG002 spot prices may leap
        """Refuse two prices for one slot, slots that end before they start, and prices that no market allows."""
        known: dict[tuple[float, float], float] = {}
        for slot in value:
            if slot.end <= slot.start:
                raise Failure(Reason.IMPLAUSIBLE, f"a price slot ends before it starts, at {slot.start:.0f}")
            if known.setdefault((slot.start, slot.end), slot.price) != slot.price:
                raise Failure(Reason.IMPLAUSIBLE, f"two prices for the slot at {slot.start:.0f}: is a filter missing?")
            implausible_unless(-_MAX_PRICE, slot.price, _MAX_PRICE, "power price in USD per kWh")


class _Priced:
    """A tariff with its currency converted and its formula applied."""

    def __init__(self, settings: TariffSettings, context: SourceContext) -> None:
        self._settings = settings
        self._energy = settings.energy(context)
        self._rate = _Rate(settings.currency, settings.fx, context) if settings.fx is not None else None

    async def fetch(self) -> Reading[Slots]:
        """Ask for the energy prices, and price them."""
        rate = await self._rate.fetch() if self._rate is not None else 1.0
        energy = await self._energy.fetch()
        charge = self._settings.charge
        slots = sorted(energy.value, key=lambda slot: (slot.start, slot.end))
        return Reading(tuple(replace(slot, price=charge(slot.price * rate)) for slot in slots), energy.observed_at)


class _Rate:
    """One exchange rate, asked on its own rhythm and not with every price."""

    def __init__(self, currency: str, settings: SourceSettings, context: SourceContext) -> None:
        self._currency = currency
        self._settings = settings
        self._source = settings.build(context)
        self._clock = context.clock
        self._asked_at = float("-inf")
        self._rates: Reading[Mapping[str, float]] | None = None

    async def fetch(self) -> float:
        """US dollars per unit of the currency. Raises a Failure where there is no fresh rate."""
        now = self._clock()
        if now - self._asked_at >= self._settings.interval:
            try:
                self._rates = await self._source.fetch()
                self._asked_at = now
            except Failure:
                if self._rates is None or self._expired(self._rates, now):
                    raise
        if self._rates is None or self._expired(self._rates, now):
            raise Failure(Reason.STALE, f"the exchange rates are older than {self._settings.max_age:.0f} s")
        rate = self._rates.value.get(self._currency)
        if rate is None:
            raise Failure(Reason.UNSUPPORTED, f"there is no exchange rate for {self._currency}")
        return rate

    def _expired(self, rates: Reading[Mapping[str, float]], now: float) -> bool:
        return now - rates.observed_at > self._settings.max_age
