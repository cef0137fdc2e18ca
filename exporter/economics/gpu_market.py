"""What a GPU-hour earns on a market, per kilowatt-hour and per kilowatt-year, and which feed's price it is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from exporter.economics.settings import Band, GpuMarketSettings, SiteSettings
from exporter.economics.values import PricingFeed, RentingEconomics
from exporter.model.readings import Commitment, GpuPrice
from exporter.model.units import HOURS_PER_YEAR, finite

FeedPrices = Mapping[str, Sequence[GpuPrice]]
"""The fresh prices of each feed, by its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuHour:
    """An hour of a GPU that is offered on a market. US dollars; power with the GPU's share of the node."""

    price: float  # per rented GPU-hour
    utilization: float  # share of hours rented
    power_price: float  # per kWh
    kilowatts: float  # IT kW under load
    pue: float
    platform_fee: float = 0.0  # share of the price
    idle_power_ratio: float = 1.0  # power when not rented, per power when rented
    failures: float = 0.0  # USD per hour, to replace the GPUs that fail

    @property
    def value(self) -> float:
        """What a rented hour earns after the platform's fee."""
        return self.price * (1 - self.platform_fee)

    @property
    def reserved(self) -> float:
        """Utility kW that a GPU occupies, rented or not."""
        return self.kilowatts * self.pue

    @property
    def draw(self) -> float:
        """Mean kW at the utility's meter: k x PUE x (u + (1 - u) x idle)."""
        return self.reserved * (self.utilization + (1 - self.utilization) * self.idle_power_ratio)

    @property
    def gross(self) -> float:
        """Rent after the fee, per hour of the GPU: price x u x (1 - fee). Per reserved kWh, divide by `reserved`."""
        return self.value * self.utilization

    @property
    def net(self) -> float:
        """The gross less power and failures, before capital."""
        return self.gross - self.draw * self.power_price - self.failures

    @property
    def net_per_kilowatt_hour(self) -> float:
        """The net per kWh consumed."""
        return self.net / self.draw

    @property
    def net_per_kilowatt_year(self) -> float:
        """The net per reserved utility kW and year."""
        return self.net * HOURS_PER_YEAR / self.reserved


def pick(prices: FeedPrices, feed: str, model: str | None, commitment: Commitment) -> GpuPrice | None:
    """Return the price of a model in a feed, or of its only one; None if it is not known or not unique."""
    found = [price for price in prices.get(feed, ()) if price.commitment is commitment and model in (None, price.model)]
    return found[0] if len(found) == 1 else None


def scenarios(price: GpuPrice) -> tuple[tuple[str, float], ...]:
    """Return the figures of a price by scenario: low and high only where the feed has them."""
    figures = (("low", price.low), ("base", price.price), ("high", price.high))
    return tuple((name, figure) for name, figure in figures if figure is not None)


def pricing_feed(settings: SiteSettings) -> PricingFeed | None:
    """Return the feed that prices the AI value; None if a figure of the operator does, or nothing."""
    rental = None if settings.ai is None else settings.ai.gpu_rental
    if rental is None or not isinstance(rental.price_usd_per_gpu_hour, str):
        return None
    return PricingFeed(rental.price_usd_per_gpu_hour, rental.gpu_model or "", rental.commitment)


def with_feed_price(settings: SiteSettings, prices: FeedPrices) -> SiteSettings:
    """Return the settings with the price of the feed that they name. Without a fresh price they keep its name.

    A feed without percentiles stands for all three scenarios with its one figure.
    """
    feed = pricing_feed(settings)
    price = None if feed is None else pick(prices, feed.feed, feed.model or None, feed.commitment)
    if price is None or settings.ai is None or settings.ai.gpu_rental is None:
        return settings
    band = Band(
        low=price.price if price.low is None else price.low,
        base=price.price,
        high=price.price if price.high is None else price.high,
    )
    rental = settings.ai.gpu_rental.model_copy(update={"price_usd_per_gpu_hour": band})
    return replace(settings, ai=settings.ai.model_copy(update={"gpu_rental": rental}))


def market_of(model: str, markets: Sequence[GpuMarketSettings]) -> GpuMarketSettings | None:
    """Return the settings by which a GPU of a model is valued, None if it is not."""
    return next((market for market in markets if model in (market.gpus or (market.model,))), None)


def gpu_hour(market: GpuMarketSettings, price: float, power_price: float, pue: float) -> GpuHour:
    """Return an hour on a market at a price."""
    return GpuHour(
        price=price,
        utilization=market.utilization,
        power_price=power_price,
        kilowatts=market.kilowatts_per_gpu,
        pue=pue,
        platform_fee=market.platform_fee,
        idle_power_ratio=market.idle_power_ratio,
        failures=market.failures_per_year * (market.gpu_usd or 0.0) / HOURS_PER_YEAR,
    )


def price_renting(
    markets: Sequence[GpuMarketSettings], prices: FeedPrices, power_price: float | None, pue: float
) -> tuple[RentingEconomics, ...]:
    """Return the margin of renting on each market, by scenario. Markets without a fresh price are left out."""
    found: list[RentingEconomics] = []
    for market in markets:
        price = pick(prices, market.feed, market.model, market.commitment)
        if price is None or power_price is None:
            continue
        for scenario, figure in scenarios(price):
            hour = gpu_hour(market, figure, power_price, pue)
            found.append(
                RentingEconomics(
                    feed=market.feed,
                    model=market.model,
                    commitment=market.commitment,
                    scenario=scenario,
                    margin_per_kwh=finite(hour.net_per_kilowatt_hour),
                    margin_per_kilowatt_year=finite(hour.net_per_kilowatt_year),
                )
            )
    return tuple(found)
