"""Power contracts and cost lines: which price counts for which decision, and the best use of an hour's energy."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sites import HASHPRICE, flat_market, price, rig

from exporter.economics.contract import Contract, best, contract_of
from exporter.economics.lines import cost_lines
from exporter.economics.margin import RigPricer
from exporter.economics.settings import (
    AiSettings,
    EconomicsSettings,
    OtherCost,
    PowerSettings,
    SiteSettings,
    StopsWith,
    TariffOverrides,
)
from exporter.economics.site import per_kilowatt_year, price_on
from exporter.economics.values import RigEconomics, SiteEconomics
from exporter.model.fleet import Block
from exporter.model.snapshot import RigSnapshot, SiteSnapshot, TariffPrice

BARE = EconomicsSettings()
HOURS = 8_760


def revenue(efficiency: float, hashprice: float = HASHPRICE) -> float:
    """What a rig of so many J/TH earns per kWh, USD."""
    return hashprice / 24 / efficiency


def year(efficiency: float, *hours: tuple[float, Contract]) -> float:
    """What a kilowatt of such rigs is worth per year, of hours that each have a share and a contract."""
    return sum(share * HOURS * best(revenue(efficiency), 1.0, contract) for share, contract in hours)


def bare(efficiency: float, **changes: Any) -> RigEconomics:
    """A rig of so many J/TH without fees, rejects or overhead, at $0.05."""
    at = {"economics": BARE, "power": PowerSettings()} | changes
    return price(rig(hashrate=100e12, power=efficiency * 100, reject_ratio=0.0), **at)


# --- what an hour is worth ------------------------------------------------------------------------------------------


def test_energy_is_not_sold_at_its_own_tariff() -> None:
    own = contract_of("ppa", PowerSettings(resale_tariff="ppa"), {"ppa": 0.05}, 0.0)
    assert own is not None
    assert own.sale is None


def test_owed_energy_that_sells_for_little_is_mined_with() -> None:
    owed = Contract(price=0.055, owed=True, sale=0.02)
    assert year(21.5, (1.0, owed)) == pytest.approx(83.5256, abs=5e-5)
    assert (owed.sale_gain - owed.price) * HOURS == pytest.approx(-306.60, abs=5e-3)
    assert revenue(21.5) == pytest.approx(0.0645349, abs=5e-8)
    assert revenue(21.5) > owed.marginal_price == 0.02


def test_energy_that_sells_dear_in_a_tenth_of_the_hours_is_sold_then() -> None:
    cheap, dear = Contract(price=0.03), Contract(price=0.03, sale=0.09)
    assert year(17.5, (0.9, cheap), (0.1, dear)) == pytest.approx(441.1286, abs=5e-5)
    assert year(17.5, (1.0, cheap)) == pytest.approx(431.7429, abs=5e-5)


def test_owed_energy_that_cannot_be_sold_never_curtails() -> None:
    owed = Contract(price=0.2, owed=True)
    assert (owed.cost, owed.marginal_price) == (0.0, 0.0)
    assert best(0.0, 1.0, owed) == -0.2


prices = st.floats(-0.5, 1)
contracts = st.builds(Contract, price=prices, owed=st.booleans(), sale=st.none() | prices)
revenues = st.floats(0, 10)
energies = st.floats(0.01, 100)


@given(revenues, energies, contracts)
def test_a_rig_is_curtailed_where_mining_is_not_the_best_of_its_hour(r: float, e: float, contract: Contract) -> None:
    p, s = contract.price, contract.sale
    if contract.owed:
        expected = max(r, 0.0 if s is None else s * e, 0.0) - p * e
    else:
        expected = max(r - p * e, 0.0 if s is None else (s - p) * e, 0.0)
    assert best(r, e, contract) == pytest.approx(expected, abs=1e-9)
    mines = r - p * e
    if r < contract.marginal_price * e - 1e-9:
        assert best(r, e, contract) > mines
    elif r > contract.marginal_price * e + 1e-9:
        assert best(r, e, contract) == pytest.approx(mines)


@given(st.lists(st.tuples(revenues, energies), min_size=1, max_size=6), contracts)
def test_the_floor_stands_before_the_sum(rigs: list[tuple[float, float]], contract: Contract) -> None:
    apart = sum(best(r, e, contract) for r, e in rigs)
    together = best(sum(r for r, _ in rigs), sum(e for _, e in rigs), contract)
    assert apart >= together - 1e-9


@given(revenues, energies, contracts, st.floats(0.01, 100))
def test_best_is_homogeneous(r: float, e: float, contract: Contract, scale: float) -> None:
    assert best(scale * r, scale * e, contract) == pytest.approx(scale * best(r, e, contract), abs=1e-9, rel=1e-9)


# --- in a rig's margins ---------------------------------------------------------------------------------------------


def test_the_cash_margin_of_owed_energy_counts_what_it_could_be_sold_for() -> None:
    own = TariffOverrides(take_or_pay=True, resale_tariff="grid")
    priced = bare(21.5, own=own, power_price=0.055, grid=0.02)
    assert priced.power_price == 0.055
    assert priced.marginal_price == 0.02
    assert priced.power_cost == pytest.approx(2.15 * 24 * 0.02)
    assert priced.margin == pytest.approx(3.33 - 2.15 * 24 * 0.02)
    assert priced.allin_margin == pytest.approx(3.33 - 2.15 * 24 * 0.055)
    assert per_kilowatt_year(priced.best_margin, priced.potential_power) == pytest.approx(83.5256, abs=5e-5)
    unsold = bare(21.5, own=own, power_price=0.055, grid=-0.3)
    assert unsold.marginal_price == 0.0
    unknown = bare(21.5, own=own, power_price=0.055)
    assert (unknown.margin, unknown.marginal_price, unknown.best_margin) == (None, None, None)


def test_energy_is_owed_until_the_contract_ends() -> None:
    own = TariffOverrides(take_or_pay=True, take_or_pay_until=date(1969, 12, 31))
    assert bare(21.5, own=own).marginal_price == 0.05
    assert bare(21.5, own=own.model_copy(update={"take_or_pay_until": date(1970, 1, 1)})).marginal_price == 0.0


def test_income_from_power_sales_is_that_of_energy_that_is_not_used() -> None:
    own = TariffOverrides(resale_tariff="grid")
    facts = {"rated_hashrate": 100e12, "rated_power": 2_150.0}
    off = price(
        rig(hashrate=0.0, power=0.0, reject_ratio=0.0, facts=facts),
        own=own, power_price=0.03, grid=0.09, power=PowerSettings(), economics=BARE,
    )  # fmt: skip
    assert off.sale_income == pytest.approx(2.15 * 24 * 0.06)
    assert bare(21.5, own=own, power_price=0.03, grid=0.09).sale_income == 0.0
    assert bare(21.5, own=own, power_price=0.03).sale_income is None


# --- block and index ------------------------------------------------------------------------------------------------

BLOCK_AND_INDEX = SiteSettings(
    tariffs={"ppa": TariffOverrides(block_tariff="block", block_kilowatts=700)}, tariff="ppa"
)


def on_block_and_index(*efficiencies: float, kilowatts: float = 100, index: float = 0.12) -> SiteEconomics:
    rigs = tuple(
        rig(name=f"r{n}", hashrate=kilowatts * 1e15 / efficiency, power=kilowatts * 1e3, reject_ratio=0.0)
        for n, efficiency in enumerate(efficiencies)
    )
    tariffs = {"ppa": TariffPrice(index), "block": TariffPrice(0.04)}
    snapshot = SiteSnapshot(taken_at=0.0, rigs=rigs, blocks=(Block(name="north"),), tariffs=tariffs)
    return price_on(flat_market(), snapshot, BLOCK_AND_INDEX)


def test_of_a_block_and_index_what_exceeds_the_block_is_curtailed() -> None:
    priced = on_block_and_index(*[17.5] * 10)
    judged = [rig.opportunity_margin for rig in priced.rigs]
    assert all(margin is not None for margin in judged)
    stop = [margin for margin in judged if margin is not None and margin < 0]
    assert len(stop) == 3
    (block,) = priced.blocks
    assert block.power_cost is not None
    assert block.margin is not None
    assert block.power_cost / 24_000 == pytest.approx(0.064)
    assert block.margin / 24 == pytest.approx(15.29, abs=5e-3)
    assert sum(rig.best_margin or 0.0 for rig in priced.rigs) / 24 == pytest.approx(27.50, abs=5e-3)


def test_the_rigs_with_the_lowest_breakeven_are_curtailed_first_and_always_the_same() -> None:
    efficiencies = [15.0, 21.5, 17.5, 29.5, 17.5, 17.5, 15.0, 21.5, 17.5, 17.5]
    first = [rig.block_share for rig in on_block_and_index(*efficiencies).rigs]
    assert [n for n, share in enumerate(first) if share == 0] == [1, 3, 7]
    wobble = [efficiency * (1.0005 if n % 2 else 0.9995) for n, efficiency in enumerate(efficiencies)]
    assert [rig.block_share for rig in on_block_and_index(*wobble).rigs] == [
        pytest.approx(share, abs=0.01) for share in first
    ]


def test_below_the_block_its_own_rule_holds() -> None:
    priced = on_block_and_index(*[17.5] * 5)
    assert {rig.marginal_price for rig in priced.rigs} == {0.04}


def test_a_rig_across_the_edge_of_the_block_pays_both_prices() -> None:
    priced = on_block_and_index(*[17.5] * 3, kilowatts=300)
    assert [rig.power_price for rig in priced.rigs] == [
        pytest.approx(0.04), pytest.approx(0.04), pytest.approx((100 * 0.04 + 200 * 0.12) / 300),
    ]  # fmt: skip


def test_a_rig_that_is_paid_for_nothing_takes_from_the_block_last() -> None:
    known = [rig(name=f"r{n}", hashrate=1e17 / 17.5, power=1e5, reject_ratio=0.0) for n in range(7)]
    unpaid = rig(name="a", hashrate=1e17 / 17.5, power=1e5, reject_ratio=1.0)
    tariffs = {"ppa": TariffPrice(0.12), "block": TariffPrice(0.04)}
    snapshot = SiteSnapshot(taken_at=0.0, rigs=(unpaid, *known), blocks=(Block(name="north"),), tariffs=tariffs)
    priced = price_on(flat_market(), snapshot, BLOCK_AND_INDEX).rigs
    assert [rig.block_share for rig in priced] == [0.0] + [1.0] * 7


def shares(*rigs: RigSnapshot, kilowatts: float) -> list[float | None]:
    """The share of each rig's energy in a block of so many kW."""
    settings = SiteSettings(
        tariffs={"ppa": TariffOverrides(block_tariff="block", block_kilowatts=kilowatts)}, tariff="ppa"
    )
    tariffs = {"ppa": TariffPrice(0.12), "block": TariffPrice(0.04)}
    snapshot = SiteSnapshot(taken_at=0.0, rigs=rigs, blocks=(Block(name="north"),), tariffs=tariffs)
    return [rig.block_share for rig in price_on(flat_market(), snapshot, settings).rigs]


def test_a_rig_of_unknown_power_takes_nothing_from_a_block() -> None:
    unknown, warming = rig(name="a", power=None), rig(name="b", hashrate=0.0, power=1e5)
    assert shares(unknown, warming, kilowatts=100) == [1.0, 1.0]
    assert shares(warming, replace(unknown, rig=replace(unknown.rig, name="c")), kilowatts=100) == [1.0, 0.0]


def test_a_price_that_a_rig_does_not_pay_may_be_unknown() -> None:
    pricer = RigPricer(flat_market(), {"block": TariffPrice(0.04)}, BLOCK_AND_INDEX)
    assert pricer.price(rig(), 1.0).power_price == 0.04
    half = pricer.price(rig(), 0.5)
    assert (half.power_price, half.marginal_price, half.best_margin) == (None, None, None)


def test_a_rig_that_is_meant_to_be_off_leaves_the_block_to_the_others() -> None:
    off = rig(name="a", hashrate=1e17 / 15, power=1e5, expected_mining=False)
    assert shares(off, rig(name="b", hashrate=1e17 / 17.5, power=1e5), kilowatts=100) == [1.0, 1.0]


def test_a_rig_of_unknown_breakeven_takes_from_the_block_first() -> None:
    known = [rig(name=f"r{n}", hashrate=1e17 / 17.5, power=1e5, reject_ratio=0.0) for n in range(7)]
    snapshot = SiteSnapshot(
        taken_at=0.0,
        rigs=(*known, rig(name="warming", hashrate=0.0, power=1e5)),
        blocks=(Block(name="north"),),
        tariffs={"ppa": TariffPrice(0.12), "block": TariffPrice(0.04)},
    )
    priced = price_on(flat_market(), snapshot, BLOCK_AND_INDEX).rigs
    assert priced[-1].potential_breakeven_power_price is None
    assert (priced[-1].block_share, priced[-1].power_price) == (1.0, 0.04)
    assert sorted(rig.block_share or 0.0 for rig in priced[:-1]) == [0.0] + [1.0] * 6


@pytest.mark.parametrize("settings", [PowerSettings, TariffOverrides])
@pytest.mark.parametrize("said", [{"block_tariff": "block"}, {"block_kilowatts": 700}])
def test_a_block_needs_a_tariff_and_a_size(
    settings: type[PowerSettings | TariffOverrides], said: dict[str, object]
) -> None:
    with pytest.raises(ValidationError, match="set both or neither"):
        settings.model_validate(said)


# --- cost lines -----------------------------------------------------------------------------------------------------

MONTHLY = EconomicsSettings(opex_usd_per_kilowatt_month=6)
DEMAND = PowerSettings(demand_charge_usd_per_kilowatt_month=9.5)


@pytest.mark.parametrize(("efficiency", "cash", "allin"), [(21.5, 25.80, 36.7562), (17.5, 21.00, 29.9178)])
def test_allin_figures_add_the_monthly_costs(efficiency: float, cash: float, allin: float) -> None:
    priced = bare(efficiency, economics=MONTHLY, power=DEMAND)
    assert priced.breakeven_hashprice == pytest.approx(cash)
    assert priced.allin_breakeven_hashprice == pytest.approx(allin, abs=5e-5)
    assert priced.allin_cost_per_bitcoin == pytest.approx(allin / HASHPRICE * 70_370, rel=1e-5)
    assert bare(efficiency).allin_breakeven_hashprice is None


@pytest.mark.parametrize(
    ("stops_with", "tenant_pays", "ends"),
    [
        (StopsWith.RIG, False, True),
        (StopsWith.PERIOD, True, True),
        (StopsWith.PERIOD, False, False),
        (StopsWith.CONVERSION, False, True),
        (StopsWith.NEVER, True, False),
    ],
)
def test_a_line_counts_against_a_conversion_that_ends_it(stops_with: StopsWith, tenant_pays: bool, ends: bool) -> None:
    economics = EconomicsSettings(
        other_costs=(OtherCost(name="land", usd_per_kilowatt_month=1, stops_with=stops_with),)
    )
    ai = AiSettings(rent_usd_per_kilowatt_month=150, capex_usd_per_kilowatt=1, tenant_pays_demand=tenant_pays)
    (line,) = cost_lines(economics, PowerSettings())
    assert line.stops_at_conversion(ai) is ends


def test_each_cost_stops_where_the_operator_says() -> None:
    economics = EconomicsSettings(
        hosting_usd_per_kilowatt_month=10,
        credits_usd_per_kilowatt_month=2,
        stops_with={"hosting": StopsWith.NEVER, "demand_charge": StopsWith.NEVER},
    )
    lines = {line.name: line for line in cost_lines(economics, DEMAND)}
    assert {name: line.stops_with for name, line in lines.items()} == {
        "demand charge": StopsWith.NEVER,
        "hosting": StopsWith.NEVER,
        "credits": StopsWith.CONVERSION,
    }
    assert lines["credits"].usd_per_kilowatt_month == -2


def test_a_cost_that_stops_with_the_rig_is_part_of_its_cash_margin() -> None:
    economics = EconomicsSettings(
        other_costs=(OtherCost(name="peak", usd_per_kilowatt_month=7.3, stops_with=StopsWith.RIG),)
    )
    priced = bare(17.5, economics=economics)
    assert priced.marginal_price == pytest.approx(0.06)
    assert priced.breakeven_hashprice == pytest.approx(24 * 17.5 * 0.06)
    assert per_kilowatt_year(priced.best_margin, priced.potential_power) == pytest.approx(
        (revenue(17.5) - 0.06) * HOURS
    )


@given(st.floats(10, 60), st.floats(0, 50), st.floats(0, 100), st.sampled_from(list(StopsWith)), prices)
def test_a_cost_is_in_the_cash_or_in_the_fixed_part_of_the_allin_margin(
    efficiency: float, monthly: float, other: float, stops_with: StopsWith, power_price: float
) -> None:
    economics = EconomicsSettings(
        opex_usd_per_kilowatt_month=monthly,
        other_costs=(OtherCost(name="x", usd_per_kilowatt_month=other, stops_with=stops_with),),
    )
    priced = bare(efficiency, economics=economics, power_price=power_price)
    assert priced.revenue is not None
    assert priced.allin_cost is not None
    assert priced.allin_margin == pytest.approx(priced.revenue - priced.allin_cost, abs=1e-9)
    kilowatts = efficiency / 10
    assert priced.allin_cost == pytest.approx(24 * kilowatts * (power_price + (monthly + other) / 730), abs=1e-9)


def test_energy_that_cannot_be_sold_brings_nothing_if_it_is_not_used() -> None:
    assert Contract(price=0.05).sale_gain == 0.0
    assert Contract(price=0.05, owed=True).sale_gain == 0.0
