"""One GPU: what it is paid, what it draws with its share of the node, and what is left."""

from typing import Any

import pytest

from exporter.economics.gpu import price_gpus
from exporter.economics.settings import GpuEconomicsSettings, GpuRate
from exporter.economics.values import GpuEconomics
from exporter.model.readings import GpuReading
from exporter.model.snapshot import TariffPrice

TERMS = GpuEconomicsSettings(revenue_usd_per_hour=2.1, host_watts=4_600, pue=1.25)
NODE = tuple(
    GpuReading(gpu=f"GPU-{slot}", model="NVIDIA H100 80GB HBM3", hostname="node-1", power=600.0) for slot in range(8)
)


def price(
    gpus: tuple[GpuReading, ...] = NODE, settings: GpuEconomicsSettings = TERMS, at: float | None = 0.05
) -> GpuEconomics:
    tariffs = {} if at is None else {"ppa": TariffPrice(at)}
    return price_gpus(gpus, settings, tariffs, "ppa")[0]


def gpu(**changes: Any) -> tuple[GpuReading, ...]:
    return (GpuReading(**({"gpu": "GPU-0", "hostname": "node-1", "power": 600.0} | changes)),)


def test_a_contracted_gpu_earns_by_the_clock() -> None:
    priced = price()
    cost = (600 + 575) / 1_000 * 1.25 * 24 * 0.05
    assert priced.revenue == pytest.approx(2.1 * 24)
    assert priced.power_cost == pytest.approx(cost)
    assert priced.margin == pytest.approx(2.1 * 24 - cost)
    assert priced.margin_per_kwh == pytest.approx((2.1 * 24 - cost) / (1.175 * 1.25 * 24))
    assert priced.contracted is True


def test_how_busy_it_is_never_changes_what_it_is_paid() -> None:
    idle, busy = (price(gpu(utilization=share, engine_active=share)) for share in (0.0, 1.0))
    assert idle == busy


def test_an_allocated_gpu_earns_while_it_is_held() -> None:
    settings = TERMS.model_copy(update={"billing": "allocated"})
    assert price(gpu(allocated=True), settings).revenue == pytest.approx(2.1 * 24)
    assert price(gpu(allocated=False), settings).revenue == 0.0
    assert price(gpu(allocated=None), settings).revenue is None


def test_the_nodes_power_is_shared_by_the_gpus_that_are_left() -> None:
    alone = price(NODE[:1])
    assert alone.power_cost == pytest.approx((600 + 4_600) / 1_000 * 1.25 * 24 * 0.05)


def test_the_other_gpus_share_the_host_power_of_a_gpu_without_power() -> None:
    failed = (*NODE[:7], GpuReading(gpu="GPU-7", hostname="node-1"))
    priced = price_gpus(failed, TERMS, {"ppa": TariffPrice(0.05)}, "ppa")
    assert sum(each.billed_power or 0 for each in priced) == pytest.approx((7 * 600 + 4_600) * 1.25)
    assert priced[7].billed_power is None


def test_a_gpu_that_draws_nothing_still_has_its_share_of_the_host() -> None:
    idle = (GpuReading(gpu="GPU-7", hostname="node-1", power=0.0), *NODE[:7])
    assert price(idle).billed_power == pytest.approx(4_600 / 8 * 1.25)
    assert price((GpuReading(gpu="GPU-7", hostname="node-1", power=-1.0),)).billed_power is None


def test_the_first_rate_that_fits_is_taken() -> None:
    settings = TERMS.model_copy(
        update={
            "rates": (
                GpuRate(hostname="node-2", revenue_usd_per_hour=9.0),
                GpuRate(model="NVIDIA H100 80GB HBM3", revenue_usd_per_hour=3.0, billing="allocated", host_watts=0),
                GpuRate(revenue_usd_per_hour=1.0),
            )
        }
    )
    h100 = price(gpu(model="NVIDIA H100 80GB HBM3", allocated=True), settings)
    assert h100.revenue == pytest.approx(72)
    assert h100.power_cost == pytest.approx(0.6 * 1.25 * 24 * 0.05)
    assert h100.contracted is False
    assert price(gpu(model="B200"), settings).revenue == pytest.approx(24)


def test_missing_inputs_leave_what_depends_on_them_out() -> None:
    assert price(settings=GpuEconomicsSettings(host_watts=4_600)).revenue is None
    assert price(settings=GpuEconomicsSettings(host_watts=4_600)).contracted is None
    assert price(settings=GpuEconomicsSettings(revenue_usd_per_hour=2.1)).power_cost is None
    assert price(gpu(power=None)).margin is None
    assert price(at=None).margin is None
    assert price(at=None).revenue is not None
