"""Revenue, power cost and margin of each GPU. Its power includes its share of the node's."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from exporter.economics.gpu_market import FeedPrices, gpu_hour, market_of, pick
from exporter.economics.settings import GpuEconomicsSettings, GpuRate
from exporter.economics.values import GpuEconomics
from exporter.model.gpu_names import gpu_model
from exporter.model.readings import GpuReading
from exporter.model.snapshot import TariffPrice
from exporter.model.units import HOURS_PER_DAY, finite, kilowatts


def price_gpus(
    gpus: tuple[GpuReading, ...],
    settings: GpuEconomicsSettings,
    tariffs: Mapping[str, TariffPrice],
    site_tariff: str,
    feeds: FeedPrices = MappingProxyType({}),
) -> tuple[GpuEconomics, ...]:
    """Price each GPU. Values that need a missing input are None. Utilisation does not change revenue."""
    tariff = tariffs.get(settings.tariff or site_tariff)
    price = tariff.price if tariff is not None else None
    # The GPUs with a power reading share the host's whole power, because the host draws it even if other GPUs fail.
    on_node = Counter(gpu.hostname for gpu in gpus if _has_power(gpu))
    priced = [_price_gpu(gpu, _rate(gpu, settings), settings.pue, price, on_node[gpu.hostname]) for gpu in gpus]
    if settings.market:
        priced = [_valued(gpu, each, settings, price, feeds) for gpu, each in zip(gpus, priced, strict=True)]
    return tuple(priced)


def _valued(
    gpu: GpuReading, priced: GpuEconomics, settings: GpuEconomicsSettings, power_price: float | None, feeds: FeedPrices
) -> GpuEconomics:
    """Add what the GPU would earn on the market, and what it costs that nobody rents it."""
    market = market_of(gpu_model(gpu.model), settings.market)
    price = None if market is None else pick(feeds, market.feed, market.model, market.commitment)
    if market is None or price is None:
        return priced
    hour = gpu_hour(market, price.price, power_price or 0.0, settings.pue)
    unrented: float | None = None
    if priced.contracted or gpu.allocated:
        unrented = 0.0
    elif gpu.allocated is not None and priced.billed_power is not None and power_price is not None:
        more = hour.reserved - kilowatts(priced.billed_power)
        unrented = (hour.value - max(more, 0.0) * power_price) * HOURS_PER_DAY
    return replace(
        priced,
        market_value=finite(hour.value * HOURS_PER_DAY),
        market_margin=None if power_price is None else finite(hour.net * HOURS_PER_DAY),
        unrented_cost=finite(unrented),
    )


def _has_power(gpu: GpuReading) -> bool:
    return gpu.power is not None and gpu.power >= 0


def _rate(gpu: GpuReading, settings: GpuEconomicsSettings) -> tuple[float | None, bool, float | None]:
    """Return the revenue per billed hour (USD), whether it is contracted, and the watts of the node beside its GPUs."""
    for rate in settings.rates:
        if rate.model in (None, gpu.model) and rate.hostname in (None, gpu.hostname):
            return rate.revenue_usd_per_hour, rate.billing == "contracted", _host_watts(rate, settings)
    return settings.revenue_usd_per_hour, settings.billing == "contracted", settings.host_watts


def _host_watts(rate: GpuRate, settings: GpuEconomicsSettings) -> float | None:
    return settings.host_watts if rate.host_watts is None else rate.host_watts


def _price_gpu(
    gpu: GpuReading, rate: tuple[float | None, bool, float | None], pue: float, price: float | None, on_node: int
) -> GpuEconomics:
    hourly, contracted, host_watts = rate
    billed = 1.0 if contracted else None if gpu.allocated is None else float(gpu.allocated)
    revenue = None if hourly is None or billed is None else hourly * billed * HOURS_PER_DAY
    watts = kwh = cost = margin = None
    if gpu.power is not None and gpu.power >= 0 and host_watts is not None:
        watts = (gpu.power + host_watts / on_node) * pue
        kwh = kilowatts(watts) * HOURS_PER_DAY
        cost = None if price is None else kwh * price
    if revenue is not None and cost is not None:
        margin = revenue - cost
    return GpuEconomics(
        contracted=None if hourly is None else contracted,
        billed_power=finite(watts),
        revenue=finite(revenue),
        power_cost=finite(cost),
        margin=finite(margin),
        margin_per_kwh=finite(margin / kwh) if margin is not None and kwh else None,
    )
