"""A GPU-hour on a market: the known answers, the feed that prices it, own GPUs on it, and signed leases."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from exporter.decision.values import SiteDecision
from exporter.economics.ai import capital_recovery_factor, value_ai
from exporter.economics.gpu import price_gpus
from exporter.economics.gpu_market import GpuHour, price_renting, pricing_feed, with_feed_price
from exporter.economics.leases import curtailable_value, price_leases
from exporter.economics.settings import (
    AiLeaseSettings,
    AiSettings,
    Band,
    GpuEconomicsSettings,
    GpuMarketSettings,
    GpuRentalSettings,
    SiteSettings,
)
from exporter.economics.site import price_site
from exporter.economics.values import GpuEconomics, PricingFeed
from exporter.exposition.publication import Encoding, Format
from exporter.exposition.render import Renderer
from exporter.exposition.settings import ExpositionSettings
from exporter.exposition.views import SiteView
from exporter.model.readings import Commitment, GpuPrice, GpuReading
from exporter.model.snapshot import SiteSnapshot, TariffPrice

H100 = {"kilowatts": 1.275, "pue": 1.3, "power_price": 0.05}
FIRM, INTERRUPTIBLE = Commitment.FIRM, Commitment.INTERRUPTIBLE
VAST = GpuPrice(model="H100 SXM", commitment=FIRM, price=2.0, low=1.6, high=2.7)
FEEDS = {"vast": (VAST,)}
NOW = 1_796_000_000.0  # 2026-11-30


def hour(**changes: Any) -> GpuHour:
    return GpuHour(**({"price": 2.0, "utilization": 1.0} | H100 | changes))


@pytest.mark.parametrize(
    ("changes", "per_kwh", "per_kilowatt_year"),
    [
        ({}, 1.206637, 10_570.14),
        ({"utilization": 0.7, "platform_fee": 0.25}, 0.633484, 5_549.32),
        ({"price": 3.99, "utilization": 0.8}, 1.925792, 16_869.94),
        ({"price": 5.30, "utilization": 0.8, "kilowatts": 1.79}, 1.822089, 15_961.50),
        ({"kilowatts": 0.7, "pue": 1.0}, 2.857143, 25_028.57),  # the chip's TDP: 2.37 times too much
    ],
)
def test_the_gross_of_a_reserved_kilowatt_hour(
    changes: dict[str, float], per_kwh: float, per_kilowatt_year: float
) -> None:
    offered = hour(**changes)
    gross = offered.gross / offered.reserved
    assert gross == pytest.approx(per_kwh, abs=1e-6)
    assert gross * 8_760 == pytest.approx(per_kilowatt_year, abs=0.01)


def test_what_is_left_after_power_with_idle_hours() -> None:
    waiting = hour(utilization=0.7, platform_fee=0.25, idle_power_ratio=0.35)
    assert waiting.draw == pytest.approx(1.3342875)
    assert waiting.net == pytest.approx(0.983286, abs=1e-6)
    assert waiting.net_per_kilowatt_hour == pytest.approx(0.736937, abs=1e-6)
    assert waiting.net_per_kilowatt_year == pytest.approx(5_196.73, abs=0.01)


def test_a_new_gpu_does_not_pay_at_two_dollars() -> None:
    recovery = capital_recovery_factor(0.10, 4)
    capital = recovery * 30_000 / 8_760
    assert recovery == pytest.approx(0.315470804, abs=1e-9)
    assert capital == pytest.approx(1.080379, abs=1e-6)
    assert capital / 0.7 == pytest.approx(1.543399, abs=1e-6)
    net = hour(utilization=0.7, platform_fee=0.25, idle_power_ratio=0.35).net
    assert net - capital == pytest.approx(-0.097093, abs=1e-6)


def test_the_price_at_which_renting_grosses_what_mining_does() -> None:
    mining = 33.30 / 24 / 17.5  # USD per kWh at 17.5 J/TH
    assert mining == pytest.approx(0.0792857, abs=1e-7)
    offered = hour(price=0.250316, utilization=0.7, platform_fee=0.25)
    assert offered.gross / offered.reserved == pytest.approx(mining, abs=1e-6)


@given(st.floats(0.05, 20), st.floats(0.2, 1), st.floats(0, 0.5), st.floats(0.1, 1))
def test_no_hour_that_waits_draws_more_than_one_that_is_rented(
    price: float, utilization: float, fee: float, idle: float
) -> None:
    offered = hour(price=price, utilization=utilization, platform_fee=fee, idle_power_ratio=idle)
    assert idle * offered.reserved - 1e-12 <= offered.draw <= offered.reserved + 1e-12
    assert offered.net <= offered.gross <= price


def rental(**changes: Any) -> GpuRentalSettings:
    plain = {
        "price_usd_per_gpu_hour": "vast",
        "utilization": 0.7,
        "power_usd_per_kilowatt_hour": 0.05,
        "kilowatts_per_gpu": 1.275,
        "gpu_capex_usd": 30_000,
        "gpu_life_years": 4,
        "capex_usd_per_kilowatt": 0,
        "opex_usd_per_gpu_year": 0,
    }
    return GpuRentalSettings.model_validate(plain | changes)


def site(**changes: Any) -> SiteSettings:
    return SiteSettings(ai=AiSettings(gpu_rental=rental(**changes)))


def test_the_percentiles_of_the_named_feed_are_the_scenarios() -> None:
    ai = value_ai(with_feed_price(site(), FEEDS).ai)
    banded = value_ai(site(price_usd_per_gpu_hour={"low": 1.6, "base": 2.0, "high": 2.7}).ai)
    assert ai is not None
    assert ai == banded
    assert ai.low_per_kilowatt_year < ai.per_kilowatt_year


def test_a_feed_without_percentiles_is_one_figure() -> None:
    ai = value_ai(with_feed_price(site(), {"vast": (replace(VAST, low=None, high=None),)}).ai)
    assert ai == value_ai(site(price_usd_per_gpu_hour=2.0).ai)


def test_today_s_forms_of_the_price_still_work() -> None:
    for price in (2.0, "2.0", 2, {"low": 2, "base": 2, "high": 2}):
        assert rental(price_usd_per_gpu_hour=price).price_usd_per_gpu_hour == Band(low=2, base=2, high=2)


@pytest.mark.parametrize(
    "prices",
    [
        {},
        {"vast": ()},
        {"other": (VAST,)},
        {"vast": (replace(VAST, commitment=INTERRUPTIBLE),)},
        {"vast": (VAST, replace(VAST, model="B200", price=5.0))},  # which one?
    ],
)
def test_without_the_price_of_the_feed_there_is_no_ai_value(prices: dict[str, tuple[GpuPrice, ...]]) -> None:
    snapshot = SiteSnapshot(taken_at=NOW, ai_prices=prices)
    market = price_site(snapshot, site()).market
    assert market.ai_value_per_kwh == ()
    assert market.ai_value_per_kilowatt_year is None
    assert market.ai_pricing == PricingFeed("vast", "", FIRM)


def test_a_model_and_a_commitment_are_selected() -> None:
    prices = {"vast": (VAST, replace(VAST, commitment=INTERRUPTIBLE, price=1.2, low=None, high=None))}
    chosen = with_feed_price(site(gpu_model="h100_sxm5", commitment="interruptible"), prices)
    assert value_ai(chosen.ai) == value_ai(site(price_usd_per_gpu_hour=1.2).ai)


def test_of_several_models_the_named_one_is_priced() -> None:
    prices = {"vast": (VAST, replace(VAST, model="B200", price=5.0))}
    chosen = with_feed_price(site(gpu_model="h100_sxm5"), prices)
    assert value_ai(chosen.ai) == value_ai(site(price_usd_per_gpu_hour={"low": 1.6, "base": 2.0, "high": 2.7}).ai)


def test_a_figure_of_the_operator_has_no_feed() -> None:
    typed = site(price_usd_per_gpu_hour=2.0)
    assert pricing_feed(typed) is None
    assert pricing_feed(SiteSettings()) is None
    assert with_feed_price(typed, FEEDS) is typed


def test_the_feed_s_price_is_not_held_to_the_setting_s_own_range() -> None:
    with pytest.raises(ValueError, match=r"0\.25 is implausible"):
        rental(price_usd_per_gpu_hour=0.25)
    cheap = with_feed_price(site(), {"vast": (replace(VAST, price=0.25, low=0.2, high=0.3),)})
    assert value_ai(cheap.ai) is not None


def test_fee_idle_hours_and_failures_lower_the_value() -> None:
    def value(**changes: Any) -> float:
        ai = value_ai(site(price_usd_per_gpu_hour=2.0, **changes).ai)
        assert ai is not None
        return ai.per_kilowatt_year

    assert value(platform_fee=0.25) - value() == pytest.approx(-8_760 * 0.7 * 2.0 * 0.25 / (1.275 * 1.3))
    assert value(idle_power_ratio=0.35) - value() == pytest.approx(8_760 * 0.3 * 0.65 * 0.05)
    assert value(failures_per_year=0.05) - value() == pytest.approx(-0.05 * 30_000 / (1.275 * 1.3))


def test_the_known_answer_is_the_rental_s_noi() -> None:
    ai = value_ai(site(price_usd_per_gpu_hour=2.0, platform_fee=0.25, idle_power_ratio=0.35).ai)
    assert ai is not None
    assert ai.noi_per_kilowatt_year == pytest.approx(5_196.73, abs=0.01)
    assert ai.per_kilowatt_year == pytest.approx(-0.097093 * 8_760 / (1.275 * 1.3), abs=0.01)


MARKET = GpuMarketSettings(
    feed="vast", model="H100 SXM", utilization=0.7, kilowatts_per_gpu=1.275, platform_fee=0.25, idle_power_ratio=0.35
)
GPU = GpuReading(gpu="GPU-0", model="NVIDIA H100 80GB HBM3", hostname="node-1", power=120.0, allocated=False)


def own(
    gpu: GpuReading = GPU,
    market: tuple[GpuMarketSettings, ...] = (MARKET,),
    power_price: float | None = 0.05,
    feeds: dict[str, tuple[GpuPrice, ...]] | None = None,
    **changes: Any,
) -> GpuEconomics:
    settings = GpuEconomicsSettings(market=market, host_watts=300, pue=1.3, **changes)
    tariffs = {} if power_price is None else {"ppa": TariffPrice(power_price)}
    return price_gpus((gpu,), settings, tariffs, "ppa", FEEDS if feeds is None else feeds)[0]


def test_an_own_gpu_has_its_market_value_and_margin() -> None:
    priced = own()
    assert priced.market_value == pytest.approx(24 * 2.0 * 0.75)
    assert priced.market_margin == pytest.approx(24 * 0.983286, abs=1e-4)


def test_failures_are_paid_from_the_margin() -> None:
    failing = MARKET.model_copy(update={"failures_per_year": 0.05, "gpu_usd": 30_000.0})
    lost = 0.05 * 30_000 / 365
    assert own(market=(failing,)).market_margin == pytest.approx((own().market_margin or 0) - lost)
    with pytest.raises(ValueError, match="failures_per_year needs gpu_usd"):
        GpuMarketSettings.model_validate(MARKET.model_dump() | {"failures_per_year": 0.05, "gpu_usd": None})


def test_an_unrented_hour_costs_its_rent_less_the_power_that_standing_still_saves() -> None:
    drawn = (120 + 300) / 1_000 * 1.3
    assert own().unrented_cost == pytest.approx(24 * (1.5 - (1.275 * 1.3 - drawn) * 0.05))


def test_a_rented_gpu_costs_nothing_by_standing_still() -> None:
    assert own(replace(GPU, allocated=True)).unrented_cost == 0
    assert own(revenue_usd_per_hour=2.1).unrented_cost == 0  # contracted


@pytest.mark.parametrize(
    "unknown",
    [
        {"gpu": replace(GPU, allocated=None)},
        {"gpu": replace(GPU, power=None)},
        {"power_price": None},
        {"feeds": {}},
        {"gpu": replace(GPU, model="NVIDIA H100 PCIe")},
    ],
)
def test_what_is_not_known_is_absent(unknown: dict[str, Any]) -> None:
    assert own(**unknown).unrented_cost is None


def test_of_a_feed_of_several_models_its_own_is_taken() -> None:
    both = {"vast": (replace(VAST, model="H200", price=3.0), VAST)}
    assert own(feeds=both).market_value == pytest.approx(36.0)


def test_free_power_costs_nothing_and_a_gpu_that_draws_all_that_is_reserved_saves_none_by_standing_still() -> None:
    assert own(power_price=0.0).market_margin == pytest.approx(24 * 2.0 * 0.75 * 0.7)
    assert own(replace(GPU, power=1_500.0)).unrented_cost == pytest.approx(36.0)


def test_a_gpu_without_a_power_price_still_has_a_market_value() -> None:
    priced = own(power_price=None)
    assert priced.market_value == pytest.approx(36.0)
    assert priced.market_margin is None


def test_gpus_can_be_named_where_the_feed_is_less_exact() -> None:
    flops = {"flops": (GpuPrice(model="H100", commitment=FIRM, price=6.155),)}
    market = GpuMarketSettings(
        feed="flops", model="H100", gpus=("NVIDIA H100 80GB HBM3",), utilization=0.7, kilowatts_per_gpu=1.275
    )
    assert own(market=(market,), feeds=flops).market_value == pytest.approx(24 * 6.155)
    assert own(replace(GPU, model="H100"), market=(market,), feeds=flops).market_value is None


def test_renting_is_priced_per_scenario_on_the_axis_of_mining() -> None:
    renting = price_renting((MARKET,), FEEDS, 0.05, 1.3)
    assert [each.scenario for each in renting] == ["low", "base", "high"]
    assert renting[1].margin_per_kwh == pytest.approx(0.736937, abs=1e-6)
    assert renting[1].margin_per_kilowatt_year == pytest.approx(5_196.73, abs=0.01)
    assert price_renting((MARKET,), FEEDS, None, 1.3) == ()
    assert price_renting((MARKET,), {}, 0.05, 1.3) == ()


def test_each_market_is_priced_by_its_own_model_and_one_without_a_price_hides_no_other() -> None:
    feeds = {"vast": (VAST, replace(VAST, model="H200", price=3.0))}
    markets = tuple(MARKET.model_copy(update={"model": model}) for model in ("B200", "H200", "H100 SXM"))
    base = [each for each in price_renting(markets, feeds, 0.05, 1.3) if each.scenario == "base"]
    assert [(each.model, each.commitment) for each in base] == [("H200", FIRM), ("H100 SXM", FIRM)]
    assert base[0].margin_per_kwh != base[1].margin_per_kwh


def test_a_site_prices_renting_and_leases() -> None:
    snapshot = SiteSnapshot(taken_at=NOW, tariffs={"ppa": TariffPrice(0.05)}, ai_prices=FEEDS)
    settings = SiteSettings(
        gpus=GpuEconomicsSettings(market=(MARKET,), pue=1.3), tariff="ppa", leases={"north-hall": lease()}
    )
    priced = price_site(snapshot, settings)
    assert [each.feed for each in priced.renting] == ["vast"] * 3
    assert [each.lease for each in priced.leases] == ["north-hall"]
    assert price_site(replace(snapshot, tariffs={}), settings).renting == ()


def lease(**changes: Any) -> AiLeaseSettings:
    plain: dict[str, Any] = {"start": "2026-07-01", "firm_kilowatts": 20_000, "usd_per_kilowatt_month": 150}
    return AiLeaseSettings.model_validate(plain | changes)


def test_a_lease_earns_its_rent() -> None:
    (part,) = price_leases({"north-hall": lease()}, NOW)
    assert part.revenue == pytest.approx(12 * 150 * 20_000 / 365)
    assert part.power == 20e6
    assert part.value_per_kilowatt_year == 1_800
    assert (part.tenant, part.commitment) == ("north-hall", FIRM)
    assert part.start == 1_782_864_000  # 2026-07-01, UTC


@pytest.mark.parametrize(
    ("changes", "now", "due"),
    [
        ({"start": "2026-11-30"}, "2026-11-29T23:59:59", False),
        ({"start": "2026-11-30"}, "2026-11-30T00:00:00", True),
        ({"end": "2026-11-30"}, "2026-11-30T23:59:59", True),
        ({"end": "2026-11-30"}, "2026-12-01T00:00:00", False),
    ],
)
def test_rent_is_due_from_the_first_day_to_the_last(changes: dict[str, str], now: str, due: bool) -> None:
    at = (date.fromisoformat(now[:10]) - date(1970, 1, 1)).days * 86_400.0 + (86_399 if now.endswith("59") else 0)
    (part,) = price_leases({"hall": lease(**changes)}, at)
    assert (part.revenue > 0) is due


def test_firm_and_curtailable_power_are_apart() -> None:
    both = lease(
        tenant="tenant-a",
        curtailable_kilowatts=5_000,
        curtailable_usd_per_kilowatt_month=120,
        curtailed_hours_per_year=438,
        throttled_power_ratio=0.4,
        throttled_rent_ratio=0.6,
        response_usd_per_kilowatt_year=80,
    )
    firm, curtailable = price_leases({"hall": both}, NOW)
    rent = 12 * 120 * (1 - 438 / 8_760 * 0.4)  # 1411.2
    assert firm.revenue == pytest.approx(12 * 150 * 20_000 / 365)
    assert curtailable.commitment is INTERRUPTIBLE
    assert curtailable.tenant == "tenant-a"
    assert curtailable.power == 5e6
    assert curtailable.revenue == pytest.approx(rent * 5_000 / 365)
    assert curtailable.value_per_kilowatt_year == pytest.approx(1_411.2 + 80 * 0.6)
    assert curtailable_value(both) == curtailable.value_per_kilowatt_year


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"firm_kilowatts": 0}, "firm_kilowatts, curtailable_kilowatts, or both"),
        ({"usd_per_kilowatt_month": None}, "needs usd_per_kilowatt_month"),
        ({"curtailable_kilowatts": 5}, "needs curtailable_usd_per_kilowatt_month"),
        ({"end": "2026-06-30"}, "is before start"),
        ({"usd_per_kilowatt_month": 1_500}, "1500 is implausible"),
    ],
)
def test_an_incomplete_lease_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        lease(**changes)


def test_a_configuration_without_feeds_markets_and_leases_has_no_new_series() -> None:
    settings = SiteSettings(ai=AiSettings(gpu_rental=rental(price_usd_per_gpu_hour=2.0)), gpus=GpuEconomicsSettings())
    snapshot = SiteSnapshot(taken_at=NOW, gpus=(GPU,))
    view = SiteView(snapshot=snapshot, economics=price_site(snapshot, settings), decision=SiteDecision())
    publication = Renderer(ExpositionSettings(), CollectorRegistry()).render(view)
    text = b"".join(publication.body(Encoding(Format.TEXT, gzip=False)).chunks).decode()
    samples = {line.partition("{")[0].split()[0] for line in text.splitlines() if line and not line.startswith("#")}
    assert "mining_ai_value_usd_per_kilowatt_hour" in samples
    new = ("mining_ai_price", "mining_ai_pricing", "mining_ai_renting", "mining_ai_lease", "mining_gpu_market")
    assert not [name for name in samples if name.startswith((*new, "mining_gpu_unrented"))]
