"""The whole exporter with a feed that prices the AI value: down, back, doubled, and after a restart."""

from pathlib import Path
from typing import Any

import pytest
from whole_exporter import Exporter, Samples, ended, one

from exporter.simulation.service import SourceFault
from exporter.simulation.site import SimulatedSite

RENTAL = {
    "price_usd_per_gpu_hour": "marketplace",
    "gpu_model": "H100 SXM",
    "utilization": 0.7,
    "platform_fee": 0.25,
    "idle_power_ratio": 0.35,
    "power_usd_per_kilowatt_hour": 0.05,
    "kilowatts_per_gpu": 1.275,
    "gpu_capex_usd": 3_000,
    "capex_usd_per_kilowatt": 0,
    "opex_usd_per_gpu_year": 0,
}


def base(samples: Samples) -> float | None:
    return one(samples, "mining_ai_value_usd_per_kilowatt_hour", scenario="base")


def price(samples: Samples, feed: str = "marketplace", commitment: str = "firm") -> float | None:
    labels = {"feed": feed, "model": "H100 SXM", "commitment": commitment, "scenario": "base"}
    return one(samples, "mining_ai_price_usd_per_gpu_hour", **labels)


def exporter_of(site: SimulatedSite, folder: Path, max_age: str) -> Exporter:
    config: dict[str, Any] = site.config() | {"ai": {"gpu_rental": RENTAL}}
    config["ai_prices"]["marketplace"] |= {"interval": "1s", "max_age": max_age}
    return Exporter(folder, config)


@pytest.mark.parametrize("fault", [SourceFault.DOWN, SourceFault.GARBAGE, SourceFault.HANG])
async def test_while_the_pricing_feed_has_no_fresh_price_there_is_no_ai_value(
    site: SimulatedSite, tmp_path: Path, fault: SourceFault
) -> None:
    exporter = exporter_of(site, tmp_path, "3s")
    async with exporter.running() as process:
        first = await exporter.until(
            lambda samples: base(samples) is not None and price(samples, "index", "interruptible") is not None
        )
        assert price(first) == pytest.approx(site.gpu_market.price("H100 SXM") * 1.0, rel=0.02)
        await site.set_source_fault("gpu-market", fault)
        stale = await exporter.until(lambda samples: base(samples) is None)
        assert price(stale) is None
        feed = {"feed": "marketplace", "model": "H100 SXM", "commitment": "firm"}
        assert one(stale, "mining_ai_pricing_feed_info", **feed) == 1
        assert (
            price(stale, "index", "interruptible") is not None
        )  # a daily index is still fresh, and takes no one's place
        await site.set_source_fault("gpu-market", None)
        await exporter.until(lambda samples: base(samples) is not None)
        await ended(process)


async def test_a_doubled_price_is_not_used_and_the_last_one_survives_a_restart(
    site: SimulatedSite, tmp_path: Path
) -> None:
    exporter = exporter_of(site, tmp_path, "1h")
    async with exporter.running() as process:
        before = price(await exporter.until(lambda samples: base(samples) is not None))
        await ended(process)
    site.gpu_market.scale(3.0)
    async with exporter.running() as process:
        discarded = "mining_source_failures_total"
        after = await exporter.until(
            lambda samples: (
                one(samples, discarded, source="ai_price:marketplace", reason="implausible") is not None
                and base(samples) is not None
            )
        )
        assert price(after) == pytest.approx(before, rel=0.05)  # the market moves until the end of the first run
        await ended(process)
