"""The whole site: blocks are sums of rigs, and nothing but finite numbers ever leaves."""

from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta
from math import isfinite
from typing import Any

import calculator
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from operating_points import candidate
from sites import LEASE, NOW, SITE, decided, flat_market, network, rig, site
from test_economics_books import contract

from exporter.economics.points import Curve
from exporter.economics.settings import (
    AiSettings,
    Band,
    Basis,
    EconomicsSettings,
    GpuEconomicsSettings,
    GpuMarketSettings,
    OtherCost,
    PowerSettings,
    SiteSettings,
    TariffOverrides,
)
from exporter.economics.site import per_kilowatt_year, price_on, price_site
from exporter.economics.values import MarketEconomics
from exporter.model.fleet import UNASSIGNED, Block
from exporter.model.readings import Commitment, GpuPrice, GpuReading, Reading, RigIdentity
from exporter.model.snapshot import LastGood, RigSnapshot, SiteSnapshot, TariffPrice


def test_a_block_is_the_sum_of_its_priced_rigs() -> None:
    snapshot = site(rig(name="a"), rig(name="b", hashrate=100e12, power=3_250.0), rig(name="c", power=None))
    priced = price_site(snapshot, SITE)
    block, (a, b, c) = priced.blocks[0], priced.rigs
    assert (block.rigs, block.priced) == (3, 2)
    assert block.margin == pytest.approx((a.margin or 0) + (b.margin or 0))
    assert block.revenue == pytest.approx((a.revenue or 0) + (b.revenue or 0))  # c's is left out: it has no cost
    assert c.revenue is not None
    assert block.hashrate == 500e12
    assert block.avoidable_loss == pytest.approx(-(b.margin or 0))
    assert block.margin_per_kwh == pytest.approx((block.margin or 0) / (24 * 1.03 * 6.75))


def test_a_block_sums_up_what_its_rigs_draw_cost_and_could_earn() -> None:
    settings = SiteSettings(
        tariff="ppa",
        economics=EconomicsSettings(opex_usd_per_kilowatt_month=6),
        power=PowerSettings(nameplate_error=0.1, resale_tariff="spot"),
    )
    rated = rig(name="c", hashrate=None, facts={"rated_hashrate": 200e12, "rated_power": 3_600.0})
    unpriced = replace(rig(), rig=replace(rig().rig, name="d", tariff="unknown"))
    snapshot = site(
        rig(name="a"),
        rig(name="b", hashrate=0.0, power=20.0, last_good=LastGood(hashrate=100e12, power=3_000.0, observed_at=NOW)),
        replace(rated, expected_mining=False),
        unpriced,
        tariffs={"ppa": TariffPrice(0.05), "spot": TariffPrice(0.09)},
    )
    economics = price_site(snapshot, settings)
    block, rigs = economics.blocks[0], economics.rigs
    assert block.power == 7_020.0
    assert block.billed_power == pytest.approx(3_520.0)  # of the two that are priced as they run
    for name in ("potential_revenue", "potential_power", "sale_income", "allin_cost", "nameplate_doubt"):
        known = [figure for each in rigs[:3] if (figure := getattr(each, name)) is not None]
        assert getattr(block, name) == pytest.approx(sum(known)) != 0
    work = sum(each.potential_work or 0.0 for each in rigs if each.allin_cost is not None)
    assert rigs[3].potential_work is not None
    assert block.allin_breakeven_hashprice == pytest.approx((block.allin_cost or 0.0) / work)
    mined = work * (economics.market.payout_btc or 0.0)
    assert block.allin_cost_per_bitcoin == pytest.approx((block.allin_cost or 0.0) / mined)
    unknown = price_on(MarketEconomics(), snapshot, settings).blocks[0]
    assert unknown.allin_cost == block.allin_cost
    assert unknown.allin_cost_per_bitcoin is None


def test_costs_that_end_at_a_conversion_are_those_of_each_tariff() -> None:
    """A rig whose power is not known counts at the mean of the others."""
    costs = EconomicsSettings(opex_usd_per_kilowatt_month=7.3)  # $0.01 per kWh
    grid = replace(rig(power=None), rig=replace(rig().rig, name="b", tariff="grid"))
    settings = SiteSettings(
        tariff="ppa", economics=costs, tariffs={"grid": TariffOverrides(opex_usd_per_kilowatt_month=73)}
    )
    snapshot = site(rig(name="a", power=1_000.0), rig(name="c", power=3_000.0), grid, blocks=(Block(name="north"),))
    block = price_site(snapshot, settings).blocks[0]
    assert block.ending_costs == {"opex": pytest.approx(24 * (4.0 * 0.01 + 2.0 * 0.1))}
    capacity = replace(settings, economics=costs.model_copy(update={"basis": {"opex": Basis.CAPACITY}}))
    assert price_site(snapshot, capacity).blocks[0].ending_costs == block.ending_costs  # of a block without capacity
    dark = site(rig(power=None), blocks=(Block(name="north"),))
    assert price_site(dark, settings).blocks[0].ending_costs == {}


def test_a_rig_at_a_cost_of_capacity_is_judged_at_its_best_point_too() -> None:
    cost = OtherCost(name="space", usd_per_kilowatt_month=7.3, basis=Basis.CAPACITY)
    settings = SiteSettings(tariff="ppa", economics=EconomicsSettings(other_costs=(cost,)))
    low = Curve.of([candidate("low", 150.0, 2_000.0)])
    snapshot = site(rig(reject_ratio=0.0), tariffs={"ppa": TariffPrice(0.09)})
    (best,) = price_site(snapshot, settings, {"a-01": low}).rigs
    assert best.potential_work == pytest.approx(0.15)


def test_energy_is_owed_until_the_contract_ends() -> None:
    for last, worth in ((date(2020, 1, 1), 0.05), (date(2099, 1, 1), 0.0)):
        own = {"ppa": TariffOverrides(take_or_pay=True, take_or_pay_until=last)}
        (priced,) = price_site(site(rig()), SiteSettings(tariff="ppa", tariffs=own)).rigs
        assert priced.marginal_price == worth


def test_the_gpus_of_a_site_are_valued_by_its_feeds() -> None:
    market = GpuMarketSettings(feed="vast", model="H100 SXM", utilization=0.7, kilowatts_per_gpu=1.275)
    gpu = GpuReading(gpu="GPU-0", model="NVIDIA H100 80GB HBM3", hostname="node-1", power=120.0, allocated=False)
    feeds = {"vast": (GpuPrice(model="H100 SXM", commitment=Commitment.FIRM, price=2.0),)}
    settings = SiteSettings(tariff="ppa", gpus=GpuEconomicsSettings(market=(market,), host_watts=300, pue=1.3))
    (priced,) = price_site(site(gpus=(gpu,), ai_prices=feeds), settings).gpus
    assert priced.market_value == pytest.approx(48.0)


def test_a_flow_per_kilowatt_needs_kilowatts() -> None:
    assert per_kilowatt_year(2.0, 1_000.0) == 730.0
    assert per_kilowatt_year(2.0, None) is None
    assert per_kilowatt_year(2.0, 0.0) is None


def test_hashes_of_another_algorithm_are_never_priced_as_bitcoins() -> None:
    scrypt = RigIdentity(reader="pyasic", make="AntMiner", model="L7", algorithm="Scrypt")
    priced = price_site(site(rig(name="a"), rig(name="b", identity=scrypt, facts={"rated_hashrate": 9.5e9})), SITE)
    alone = price_site(site(rig(name="a")), SITE)
    other = priced.rigs[1]
    assert (other.revenue, other.margin, other.potential_margin, other.efficiency) == (None, None, None, None)
    assert (other.breakeven_power_price, other.cost_per_bitcoin, other.forward_margin) == (None, None, None)
    assert other.power == 3_500.0
    assert other.power_cost is not None
    assert (priced.blocks[0].hashrate, priced.blocks[0].margin) == (alone.blocks[0].hashrate, alone.blocks[0].margin)
    assert (priced.blocks[0].rigs, priced.blocks[0].priced) == (2, 1)


def test_the_ai_value_of_a_block_is_that_of_its_feeder() -> None:
    block = price_site(site(rig()), SITE).blocks[0]
    assert block.ai_value == pytest.approx(153.758737 * 500 / 365)
    bare = price_site(site(rig(), blocks=(Block(name="north"),)), SITE).blocks[0]
    assert bare.ai_value is None


def test_every_block_is_there_and_rigs_in_none_are_unassigned() -> None:
    snapshot = site(
        rig(block="north"),
        rig(block="south"),
        rig(block=UNASSIGNED),
        blocks=(Block(name="empty"), Block(name="north")),
    )
    assert [(block.name, block.rigs) for block in price_site(snapshot, SITE).blocks] == [
        ("empty", 0),
        ("north", 1),
        ("south", 1),
        (UNASSIGNED, 1),
    ]
    assert [block.name for block in price_site(site(rig()), SITE).blocks] == ["north"]


def test_a_block_without_priced_rigs_has_no_sums() -> None:
    block = price_site(site(rig(), tariffs={}), SITE).blocks[0]
    assert (block.priced, block.margin, block.revenue, block.avoidable_loss) == (0, None, None, None)


def test_mining_over_the_rigs_life_stands_beside_the_lease() -> None:
    settings = SiteSettings(
        economics=SITE.economics, power=SITE.power, ai=LEASE.model_copy(update={"difficulty_growth": 0.3})
    )
    value = price_site(site(rig()), settings).blocks[0].mining_value
    assert value is not None
    assert 0 < value < 228
    assert price_site(site(rig()), SITE).blocks[0].mining_value is None
    assert price_site(site(rig(), tariffs={}), settings).blocks[0].mining_value is None  # its power has no price

    def ahead(**changes: Any) -> float | None:
        market = replace(flat_market(), **({"halving_time": NOW, "subsidy_share": 0.9} | changes))
        return price_on(market, site(rig()), settings).blocks[0].mining_value

    soon, late = ahead(halving_time=NOW + 365 * 86_400), ahead(halving_time=NOW + 100 * 365 * 86_400)
    assert soon is not None
    assert late is not None
    assert soon < late
    assert ahead(halving_time=None) is None
    assert ahead(subsidy_share=None) is None


def test_without_an_ai_section_there_is_no_ai_anywhere() -> None:
    settings = SiteSettings(economics=SITE.economics, power=SITE.power)
    priced = price_site(site(rig()), settings)
    assert priced.market.ai_value_per_kwh == ()
    assert priced.blocks[0].ai_value is None
    decision = decided(site(rig()), priced)
    assert decision.rigs[0].reassign_score is None
    assert (decision.blocks[0].reassign_score, decision.blocks[0].payback_years) == (None, None)


# --- owed energy and AI ---------------------------------------------------------------------------------------------

PAYING_ENERGY = LEASE.model_copy(
    update={"months_until_power_earns": Band(low=12, base=12, high=12), "tenant_pays_energy": False}
)
BUILT_IN_A_YEAR = LEASE.model_copy(update={"months_until_power_earns": Band(low=12, base=12, high=12)})
OWED = TariffOverrides(take_or_pay=True)


def while_building(price: float) -> float:
    """What a kilowatt at this price costs while building, levelised over the lease, USD per kW and year."""
    return sum(price * 730 / 1.1 ** ((month + 0.5) / 12) for month in range(12)) * calculator.annuity(0.1, 15)


def ai_of_blocks(
    *rigs: RigSnapshot,
    own: dict[str, TariffOverrides],
    prices: dict[str, float],
    capacity: float | None = None,
    lease: AiSettings | None = None,
) -> list[tuple[float | None, float | None]]:
    """The AI value of each block, base and low, USD per kW and year."""
    names = dict.fromkeys(rig.rig.block for rig in rigs)
    snapshot = site(
        *rigs,
        blocks=tuple(Block(name=name, capacity_watts=capacity) for name in names),
        tariffs={name: TariffPrice(price) for name, price in prices.items()},
    )
    priced = price_site(snapshot, SiteSettings(ai=lease or BUILT_IN_A_YEAR, tariff="ppa", tariffs=own))
    return [(block.ai_value_per_kilowatt_year, block.ai_low_per_kilowatt_year) for block in priced.blocks]


def plain_ai() -> float:
    """The AI value of a site that owes nothing."""
    ((base, low),) = ai_of_blocks(rig(), own={}, prices={"ppa": 0.05})
    assert base is not None
    assert low == pytest.approx(base)  # the lease has no bands
    return base


def test_only_the_block_that_owes_energy_pays_for_it_while_ai_is_built() -> None:
    south = rig(block="south")
    south = replace(south, rig=replace(south.rig, tariff="grid"))
    owing, free = ai_of_blocks(rig(), south, own={"ppa": OWED}, prices={"ppa": 0.02, "grid": 0.05})
    assert owing == pytest.approx((plain_ai() - while_building(0.02),) * 2)
    assert free == pytest.approx((plain_ai(),) * 2)


def test_a_rig_of_unknown_power_owes_the_mean_and_each_scenario_its_own_share() -> None:
    lease = BUILT_IN_A_YEAR.model_copy(update={"discount_rate": Band(low=0.08, base=0.1, high=0.12)})
    snapshot = [rig(name="a"), rig(name="b", power=None)]
    ((base, low),) = ai_of_blocks(*snapshot, own={"ppa": OWED}, prices={"ppa": 0.02}, lease=lease)
    ((free_base, free_low),) = ai_of_blocks(*snapshot, own={}, prices={"ppa": 0.02}, lease=lease)
    assert None not in (base, low, free_base, free_low)
    owed, owed_low = (free_base or 0) - (base or 0), (free_low or 0) - (low or 0)
    assert owed == pytest.approx(while_building(0.02))
    assert owed_low != pytest.approx(owed)


def test_of_a_block_and_index_only_what_is_billed_as_the_block_is_owed() -> None:
    rigs = [rig(name=f"r{n}", hashrate=1e17 / 17.5, power=1e5) for n in range(10)]
    own = {"ppa": TariffOverrides(block_tariff="block", block_kilowatts=700), "block": OWED}
    (value,) = ai_of_blocks(*rigs, own=own, prices={"ppa": 0.12, "block": 0.04})
    assert value == pytest.approx((plain_ai() - 0.7 * while_building(0.04),) * 2)
    both = own | {"ppa": TariffOverrides(block_tariff="block", block_kilowatts=700, take_or_pay=True)}
    (value,) = ai_of_blocks(*rigs, own=both, prices={"ppa": 0.12, "block": 0.04})
    assert value == pytest.approx((plain_ai() - 0.7 * while_building(0.04) - 0.3 * while_building(0.12),) * 2)


def test_what_owed_energy_costs_while_building_is_spread_over_the_feeder() -> None:
    (value,) = ai_of_blocks(rig(), own={"ppa": OWED}, prices={"ppa": 0.02}, capacity=7_000)
    assert value == pytest.approx((plain_ai() - while_building(0.02) / 2,) * 2)


def test_energy_that_is_owed_for_half_of_the_building_time_costs_that_half() -> None:
    until = datetime.fromtimestamp(NOW, UTC).date() + timedelta(days=90)
    owed = TariffOverrides(take_or_pay=True, take_or_pay_until=until)
    days = (datetime(until.year, until.month, until.day, tzinfo=UTC).timestamp() - NOW) / 86_400 + 1
    months = days / 365 * 12
    whole, part = int(months), months % 1
    middles = [*((month + 0.5, 1.0) for month in range(whole)), (whole + part / 2, part)]
    cost = sum(length * 0.02 * 730 / 1.1 ** (middle / 12) for middle, length in middles) * calculator.annuity(0.1, 15)
    (value,) = ai_of_blocks(rig(), own={"ppa": owed}, prices={"ppa": 0.02})
    assert value == pytest.approx((plain_ai() - cost,) * 2)
    (paying,) = ai_of_blocks(rig(), own={"ppa": owed}, prices={"ppa": 0.02}, lease=PAYING_ENERGY)
    assert paying == pytest.approx((plain_ai() - cost,) * 2)  # nothing is owed after the building time


def test_a_site_that_pays_its_tenants_energy_pays_what_it_owes_and_no_more() -> None:
    other = replace(rig(power=7_000.0), rig=replace(rig().rig, name="b", tariff="grid"))
    owing = while_building(0.02) + 0.02 * 8_760 / 1.1
    for own, share in (({"ppa": OWED}, 1 / 3), ({"ppa": OWED, "grid": OWED}, 1.0)):
        (value,) = ai_of_blocks(rig(), other, own=own, prices={"ppa": 0.02, "grid": 0.02}, lease=PAYING_ENERGY)
        assert value == pytest.approx((plain_ai() - share * owing,) * 2)


def test_the_ai_value_is_unknown_if_what_is_owed_is() -> None:
    sold = TariffOverrides(take_or_pay=True, resale_tariff="grid")
    assert ai_of_blocks(rig(), own={"ppa": sold}, prices={"ppa": 0.02}) == [(None, None)]
    (known,) = ai_of_blocks(rig(), own={"ppa": sold}, prices={"ppa": 0.02, "grid": 0.005})
    assert known == pytest.approx((plain_ai() - while_building(0.015),) * 2)
    assert ai_of_blocks(rig(power=None), own={"ppa": OWED}, prices={"ppa": 0.02}) == [(None, None)]
    assert ai_of_blocks(rig(), own={"ppa": OWED}, prices={"ppa": 1e308}) == [(None, None)]


# --- properties -----------------------------------------------------------------------------------------------------

numbers = st.one_of(
    st.none(), st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([0.0, 1e308, -1e308, 5e-324])
)
finite_numbers = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([0.0, 1e308, 5e-324]))


@st.composite
def rigs(draw: st.DrawFn) -> Any:
    good = draw(st.none() | st.builds(LastGood, hashrate=finite_numbers, power=numbers, observed_at=finite_numbers))
    return rig(
        hashrate=draw(numbers),
        power=draw(numbers),
        reject_ratio=draw(numbers),
        uptime=draw(numbers),
        block=draw(st.sampled_from(["north", "south"])),
        metered_power=draw(numbers),
        last_good=good,
        facts={
            "rated_hashrate": draw(numbers),
            "rated_power": draw(numbers),
            "customer": draw(st.sampled_from(["", "acme"])),
            "contract": draw(st.sampled_from(["", "rate", "may"])),
        },
    )


@st.composite
def sites(draw: st.DrawFn) -> SiteSnapshot:
    state = network(
        height=draw(st.integers(-1, 2**40)),
        difficulty=draw(finite_numbers),
        block_fees=draw(numbers),
        epoch_start_time=draw(numbers),
        tip_time=draw(numbers),
        next_difficulty=draw(numbers),
        hashrate=draw(numbers),
        block_interval=draw(numbers),
    )
    price = draw(numbers)
    return site(
        *draw(st.lists(rigs(), max_size=3)),
        network=draw(st.sampled_from([None, Reading(state, NOW)])),
        bitcoin_price=None if price is None else Reading(price, NOW),
        tariffs={"ppa": TariffPrice(draw(finite_numbers)), "grid": TariffPrice(draw(finite_numbers))},
        blocks=(Block(name="north", capacity_watts=draw(numbers)),),
        gpus=(GpuReading(gpu="GPU-0", power=draw(numbers), allocated=draw(st.sampled_from([None, True, False]))),),
        taken_at=draw(finite_numbers),
    )


def _numbers(value: Any) -> list[float]:
    if isinstance(value, float):
        return [value]
    if isinstance(value, tuple):
        return [number for part in value for number in _numbers(part)]
    if hasattr(value, "__dataclass_fields__"):
        return [number for field in fields(value) for number in _numbers(getattr(value, field.name))]
    return []


WIDE = SiteSettings(
    economics=SITE.economics.model_copy(
        update={"hosting_usd_per_kilowatt_month": 5.0, "rig_price_usd_per_terahash": 15.0}
    ),
    power=PowerSettings(resale_tariff="grid"),
    ai=LEASE.model_copy(update={"difficulty_growth": 0.3}),
    gpus=GpuEconomicsSettings(revenue_usd_per_hour=2.1, host_watts=4_600),
    tariff="ppa",
    contracts={
        "rate": contract(usd_per_kilowatt_month=12, leave_usd=1_000, pool_fee=0.01, until="2027-12-31"),
        "may": contract(pass_through=True, revenue_share=0.5, host_may_curtail=True, scheme="pps", energy="nameplate"),
    },
)


@settings(max_examples=4 * settings.default.max_examples, deadline=None)
@given(sites())
def test_no_nan_and_no_infinity_ever_leaves(snapshot: SiteSnapshot) -> None:
    priced = price_site(snapshot, WIDE)
    decision = decided(snapshot, priced)
    assert all(isfinite(number) for number in _numbers(priced) + _numbers(decision))


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1e15), st.floats(0, 1e4), st.sampled_from("abc")), min_size=1, max_size=20))
def test_sums_add_up(fleet: list[tuple[float, float, str]]) -> None:
    snapshot = site(*(rig(hashrate=hashrate, power=power, block=block) for hashrate, power, block in fleet), blocks=())
    priced = price_site(snapshot, SITE)
    for quantity in ("revenue", "power_cost", "margin", "potential_margin", "avoidable_loss"):
        blocks = sum(getattr(block, quantity) or 0.0 for block in priced.blocks)
        known = [r for r in priced.rigs if quantity in ("potential_margin", "avoidable_loss") or r.margin is not None]
        assert blocks == pytest.approx(sum(getattr(r, quantity) or 0.0 for r in known), abs=1e-9)
    for block in priced.blocks:
        if block.margin is not None:
            assert block.margin == pytest.approx((block.revenue or 0.0) - (block.power_cost or 0.0), abs=1e-9)
