"""The two books of hosted rigs: what the customer earns, what the host earns, and who decides on a stop."""

from dataclasses import replace
from typing import Any

import pytest
import sites
from hypothesis import given
from hypothesis import strategies as st
from sites import NOW, flat_market

from exporter.economics.books import Hosting
from exporter.economics.hosting import ContractSettings
from exporter.economics.margin import RigPricer
from exporter.economics.settings import (
    EconomicsSettings,
    OtherCost,
    PayoutScheme,
    PowerSettings,
    SiteSettings,
    StopsWith,
    TariffOverrides,
)
from exporter.economics.site import price_on
from exporter.economics.values import Books, Deciding, MarketEconomics, RigEconomics
from exporter.model.fleet import Block, Rig
from exporter.model.snapshot import LastGood, RigSnapshot, SiteSnapshot, TariffPrice

KILOWATT_YEAR = 365 / 3.5
"""From USD per day of a rig of 3.5 kW to USD per kW and year."""


def contract(**changes: Any) -> ContractSettings:
    facts: dict[str, Any] = {
        "timezone": "America/Chicago",
        "usd_per_kilowatt_hour": 0.08,
        "curtailment_credit_share": 0.5,
        "uptime": {"measure": "sla", "promised": 0.98},
    }
    return ContractSettings.model_validate(facts | changes)


def hosted(**changes: Any) -> RigSnapshot:
    facts = {"customer": "acme", "contract": "c", "rated_power": 3_500.0, "rated_hashrate": 200e12}
    return sites.rig(reject_ratio=0.0, facts=facts | changes.pop("facts", {}), **changes)


def priced(
    rig: RigSnapshot,
    contracts: dict[str, ContractSettings] | None = None,
    *,
    at: MarketEconomics | None = None,
    prices: dict[str, float] | None = None,
    now: float = NOW,
    share: float | None = None,
    **others: Any,
) -> RigEconomics:
    settings = SiteSettings(tariff="ppa", contracts={"c": contract()} if contracts is None else contracts, **others)
    tariffs = {name: TariffPrice(price) for name, price in ({"ppa": 0.05} if prices is None else prices).items()}
    return RigPricer(at or flat_market(), tariffs, settings, now=now).price(rig, share)


def books(rig: RigSnapshot | None = None, changes: dict[str, Any] | None = None, **rest: Any) -> Books:
    found = priced(rig or hosted(), {"c": contract(**(changes or {}))}, **rest).books
    assert found is not None
    return found


def test_a_host_with_three_cents_between_rate_and_power_earns_262_80_per_kilowatt_and_year() -> None:
    """The customer pays $0.08 and the host $0.05: whatever the rig earns, 0.03 x 8,760 = $262.80."""
    for hashprice in (20.0, 33.30, 60.0):
        found = books(at=flat_market(hashprice))
        assert found.host_margin is not None
        assert found.host_margin * KILOWATT_YEAR == pytest.approx(262.80)


def test_the_customer_earns_his_revenue_less_his_rate() -> None:
    found = priced(hosted()).books
    assert found is not None
    assert found.customer_margin == pytest.approx(0.2 * 33.30 - 84 * 0.08)  # 6.66 - 6.72: he loses 6 cents a day


def test_the_margin_at_the_tariff_keeps_its_meaning() -> None:
    assert priced(hosted()).margin == pytest.approx(0.2 * 33.30 - 84 * 0.05)


def test_own_rigs_have_their_margin_as_the_hosts_book_and_no_customers() -> None:
    found = priced(sites.rig(reject_ratio=0.0)).books
    assert found == Books(host_margin=pytest.approx(2.46))


def test_a_customers_rig_without_a_contract_has_no_hosts_book() -> None:
    found = priced(sites.rig(reject_ratio=0.0, facts={"customer": "acme"})).books
    assert found == Books(customer_margin=pytest.approx(2.46))


def test_without_contracts_there_are_no_books() -> None:
    assert priced(sites.rig(), {}).books is None


@pytest.mark.parametrize(("day", "in_force"), [("2026-03-21", True), ("2026-03-20", False)])
def test_a_contract_is_in_force_on_its_last_day_in_its_time_zone(day: str, *, in_force: bool) -> None:
    """NOW is 21 March 2026, 13:33 UTC."""
    found = books(changes={"until": day})
    assert (found.contract == "c") is in_force


@pytest.mark.parametrize(("day", "in_force"), [("2026-03-21", True), ("2026-03-22", False)])
def test_a_contract_is_in_force_from_its_first_day(day: str, *, in_force: bool) -> None:
    found = books(changes={"since": day})
    assert (found.contract == "c") is in_force


def test_a_contract_ends_after_it_begins() -> None:
    with pytest.raises(ValueError, match="until is before since"):
        contract(since="2026-03-02", until="2026-03-01")


def test_each_charge_is_income_of_the_host_and_cost_of_the_customer() -> None:
    """A fixed fee of $12 per kW and month is 12 / 730 x 24 x 3.5 = $1.3808 a day; a tenth of 6.66 is $0.666."""
    rate = books(changes={"usd_per_kilowatt_hour": 0.06})
    every = books(changes={"usd_per_kilowatt_hour": 0.06, "usd_per_kilowatt_month": 12, "revenue_share": 0.1})
    assert (rate.customer_margin, every.customer_margin) == pytest.approx((1.62, 1.62 - 1.380_822 - 0.666))
    assert (rate.host_margin, every.host_margin) == pytest.approx((0.84, 0.84 + 1.380_822 + 0.666))


def test_power_that_is_passed_through_earns_the_host_nothing() -> None:
    """At $0.05 for both, without a rate."""
    found = books(changes={"usd_per_kilowatt_hour": None, "pass_through": True})
    assert (found.customer_margin, found.host_margin) == pytest.approx((2.46, 0.0), abs=1e-12)


def test_a_rate_is_added_to_the_price_that_is_passed_through() -> None:
    """84 kWh at $0.01 and $0.05."""
    found = books(changes={"usd_per_kilowatt_hour": 0.01, "pass_through": True})
    assert (found.customer_margin, found.host_margin) == pytest.approx((6.66 - 5.04, 0.84))


def test_the_host_pays_the_tariff_of_the_contract() -> None:
    found = books(changes={"host_tariff": "index"}, prices={"ppa": 0.05, "index": 0.03})
    assert found.host_margin == pytest.approx(84 * 0.05)
    assert books(changes={"host_tariff": "index"}).host_margin is None  # its price is not known
    unknown = books(changes={"host_tariff": "index", "pass_through": True})
    assert (unknown.customer_margin, unknown.judged) == (None, None)


def test_what_cooling_and_transformers_take_is_the_hosts() -> None:
    """The customer is billed at the rig, times the contract's factor; the host at the utility's meter."""
    found = books(power=PowerSettings(overhead=1.1))
    assert found.host_margin == pytest.approx(84 * 0.08 - 84 * 1.1 * 0.05)
    found = books(changes={"energy_factor": 1.1}, power=PowerSettings(overhead=1.1))
    assert found.host_margin == pytest.approx(84 * 1.1 * 0.03)


def test_by_nameplate_a_rig_that_hashes_is_billed_at_its_rated_power() -> None:
    found = books(hosted(power=3_700.0), {"energy": "nameplate"})
    assert found.host_margin == pytest.approx(84 * 0.08 - 88.8 * 0.05)
    assert found.customer_margin == pytest.approx(6.66 - 6.72)
    stopped = books(hosted(hashrate=0.0, power=20.0), {"energy": "nameplate"})
    assert stopped.customer_margin == 0.0


def test_without_a_rated_power_what_depends_on_it_is_not_known() -> None:
    bare = hosted(facts={"rated_power": None})
    assert books(bare, {"usd_per_kilowatt_month": 12}).customer_margin is None
    assert books(bare, {"energy": "nameplate"}).customer_margin is None
    assert books(bare).customer_margin is not None


def test_a_customer_has_his_own_pool_fee() -> None:
    """Half a per cent in place of the site's two: 6.66 x 0.995."""
    found = books(changes={"pool_fee": 0.005}, economics=EconomicsSettings(pool_fee=0.02))
    assert found.customer_margin == pytest.approx(6.66 * 0.995 - 6.72)
    site_keeps_all = EconomicsSettings(pool_fee=1.0, accept_implausible=True)
    assert books(changes={"pool_fee": 0.005}, economics=site_keeps_all).customer_margin is None


@pytest.mark.parametrize(("scheme", "paid"), [(PayoutScheme.FPPS, 33.30), (PayoutScheme.PPS, 33.30 * 0.99)])
def test_a_customer_has_his_own_scheme(scheme: PayoutScheme, paid: float) -> None:
    market = MarketEconomics(payout_usd=33.30, payout_btc=33.30 / 70_370, hashprice_usd=33.30, subsidy_share=0.99)
    found = books(changes={"scheme": scheme}, at=market)
    assert found.customer_margin == pytest.approx(0.2 * paid - 6.72)
    assert books(changes={"scheme": scheme}).customer_margin is None  # the share of the fees is not known


def test_a_rig_without_a_customer_has_no_contract() -> None:
    hosting = Hosting(SiteSettings(contracts={"c": contract()}), NOW)
    assert hosting.contract(hosted().rig) is not None
    assert hosting.contract(hosted(facts={"customer": ""}).rig) is None


@pytest.mark.parametrize("unknown", [{"hashprice_usd": None}, {"payout_usd": None}, {"subsidy_share": None}])
@pytest.mark.parametrize("scheme", PayoutScheme)
def test_his_own_scheme_pays_what_is_not_known_while_a_part_of_it_is_not(
    scheme: PayoutScheme, unknown: dict[str, None]
) -> None:
    market = MarketEconomics(payout_usd=33.30, hashprice_usd=33.30, subsidy_share=0.99)
    assert books(changes={"scheme": scheme}, at=replace(market, **unknown)).customer_revenue is None


def test_the_work_of_a_hosted_rig_is_what_his_own_pool_pays() -> None:
    assert priced(hosted(), {"c": contract(pool_fee=0.01)}).potential_work == pytest.approx(0.2 * 0.99)


def test_the_customers_revenue_is_by_his_own_fee_and_before_the_hosts_share() -> None:
    found = books(changes={"pool_fee": 0.005, "revenue_share": 0.1}, economics=EconomicsSettings(pool_fee=0.02))
    assert found.customer_revenue == pytest.approx(6.66 * 0.995)
    scheme = {"scheme": PayoutScheme.PPS}
    assert books(changes=scheme).customer_revenue is None  # the share of the fees is not known
    assert books(hosted(hashrate=None)).customer_revenue is None


def test_a_rig_that_stands_still_would_earn_its_customer_his_margin_again() -> None:
    good = LastGood(hashrate=200e12, power=3_500.0, observed_at=NOW)
    stopped = hosted(hashrate=0.0, power=20.0, last_good=good)
    found = books(stopped, {"usd_per_kilowatt_hour": 0.06, "usd_per_kilowatt_month": 12})
    assert found.customer_potential == pytest.approx(6.66 - 84 * 0.06 - 1.380_822)
    assert books(hosted(facts={"rated_power": None}), {"usd_per_kilowatt_month": 12}).customer_potential is None


@pytest.mark.parametrize(
    ("power", "income"),
    [
        ({}, 0.0),
        ({"resale_tariff": "spot"}, 84 * 0.20),
        ({"resale_tariff": "spot", "take_or_pay": True}, 84 * 0.25),
    ],
    ids=["cannot be sold", "optional: less what it saves", "owed: all of the price"],
)
def test_a_curtailed_rig_earns_the_host_what_its_energy_is_sold_for(power: dict[str, Any], income: float) -> None:
    """84 kWh a day, bought at $0.05 and sold at $0.25. The rig is off and does not answer."""
    good = LastGood(hashrate=200e12, power=3_500.0, observed_at=NOW)
    off = hosted(hashrate=None, last_good=good, expected_mining=False)
    prices = {"ppa": 0.05, "spot": 0.25}
    assert books(off, power=PowerSettings(**power), prices=prices).curtailment_income == pytest.approx(income)
    running = books(power=PowerSettings(**power), prices=prices)
    assert running.curtailment_income == 0.0


def test_what_a_rig_of_unknown_draw_would_bring_is_not_known() -> None:
    good = LastGood(hashrate=200e12, power=3_500.0, observed_at=NOW)
    sold = PowerSettings(resale_tariff="spot")
    prices = {"ppa": 0.05, "spot": 0.25}
    assert books(hosted(hashrate=None, last_good=good), power=sold, prices=prices).curtailment_income is None
    assert books(power=sold, prices={"ppa": 0.05}).curtailment_income is None
    unknown = hosted(hashrate=None, facts={"rated_power": None, "rated_hashrate": None}, expected_mining=False)
    assert books(unknown, power=sold, prices=prices).curtailment_income is None


# --- who decides ----------------------------------------------------------------------------------------------------


def test_a_stop_is_judged_on_the_customers_book() -> None:
    """He loses 6 cents at his rate although the rig earns $2.46 at the site's tariff."""
    found = priced(hosted())
    assert found.opportunity_margin == pytest.approx(-0.06)
    assert (found.judged_revenue, found.judged_price) == pytest.approx((6.66, 0.08))
    assert found.avoidable_loss == pytest.approx(0.06)
    assert found.marginal_price == pytest.approx(0.08)


def test_a_revenue_share_does_not_stop_a_customer_who_pays_no_rate() -> None:
    found = priced(hosted(), {"c": contract(usd_per_kilowatt_hour=0.04, revenue_share=0.5)})
    assert found.opportunity_margin == pytest.approx(3.33 - 3.36)
    assert found.marginal_price == pytest.approx(0.08)  # of the whole revenue: the price at which the half breaks even


def test_a_host_who_may_curtail_decides_by_his_own_book() -> None:
    found = priced(hosted(), {"c": contract(host_may_curtail=True)}, prices={"ppa": 0.09})
    assert found.opportunity_margin == pytest.approx(-0.84)
    assert (found.judged_revenue, found.judged_price, found.marginal_price) == pytest.approx((6.72, 0.09, 0.09))
    assert priced(hosted(), {"c": contract(host_may_curtail=True)}, prices={}).opportunity_margin is None


def test_a_rig_that_draws_nothing_loses_nothing_and_one_of_unknown_draw_has_no_loss() -> None:
    good = LastGood(hashrate=200e12, power=3_500.0, observed_at=NOW)
    off = hosted(hashrate=None, last_good=good, expected_mining=False)
    assert priced(off).avoidable_loss == 0.0
    assert priced(hosted(hashrate=None, last_good=good)).avoidable_loss is None


def test_a_power_that_the_rig_reports_is_in_no_doubt() -> None:
    assert priced(hosted(), {"c": contract(host_may_curtail=True)}).nameplate_doubt == 0.0


def test_nothing_is_judged_without_energy_or_beyond_the_finite_numbers() -> None:
    assert books(hosted(hashrate=None, facts={"rated_power": None, "rated_hashrate": None})).judged is None
    unrated = hosted(power=None, facts={"rated_hashrate": None})
    assert books(unrated, {"energy": "nameplate"}).judged is None
    assert books(at=flat_market(1e308), rig=hosted(hashrate=1e20)).judged is None


def test_a_nameplate_is_in_doubt_in_the_book_that_pays_by_the_meter() -> None:
    """A fifth of what the energy costs."""
    unmetered = hosted(power=None)
    assert priced(unmetered).nameplate_doubt == pytest.approx(6.72 * 0.2)
    assert priced(unmetered, {"c": contract(energy="nameplate")}).nameplate_doubt == 0.0
    assert priced(unmetered, {"c": contract(host_may_curtail=True)}).nameplate_doubt == pytest.approx(4.2 * 0.2)


def test_the_hosts_best_is_nothing_while_the_customer_stands_still() -> None:
    """The customer loses at $33.30; at $40 he runs, and the host earns or loses by his own price."""
    assert books().host_best == 0.0
    assert books(at=flat_market(40.0)).host_best == pytest.approx(84 * 0.03)
    assert books(at=flat_market(40.0), prices={"ppa": 0.09}).host_best == pytest.approx(-0.84)
    may = {"host_may_curtail": True}
    assert books(changes=may, at=flat_market(40.0), prices={"ppa": 0.09}).host_best == 0.0
    assert books(at=flat_market(40.0), prices={}).host_best is None


def test_owed_energy_costs_the_host_while_the_customer_stands_still() -> None:
    found = books(power=PowerSettings(take_or_pay=True))
    assert found.host_best == pytest.approx(-84 * 0.05)


def test_a_cost_that_stops_with_the_rig_lowers_the_hosts_best_only_while_it_runs() -> None:
    """$7.30 a kW and month is 1 cent per kWh, on top of $0.05 for power that he sells at $0.08."""
    cost = OtherCost(name="wear", usd_per_kilowatt_month=7.3, stops_with=StopsWith.RIG)
    economics = EconomicsSettings(other_costs=(cost,))
    assert books(economics=economics).host_best == pytest.approx(0.0, abs=1e-12)
    assert books(economics=economics, at=flat_market(40.0)).host_best == pytest.approx(84 * 0.02)


def test_a_customer_who_earns_nothing_stands_still() -> None:
    earning_nothing = replace(hosted(), reject_ratio=1.0)
    free: dict[str, Any] = {"usd_per_kilowatt_hour": None, "usd_per_kilowatt_month": 12}
    assert books(earning_nothing, free).host_best == 0.0


def test_owed_energy_whose_sale_price_is_unknown_has_no_cost() -> None:
    power = PowerSettings(take_or_pay=True, resale_tariff="spot")
    found = books(changes={"host_may_curtail": True}, power=power)
    assert (found.host_price, found.host_best, found.deciding) == (0.05, None, None)


def test_a_block_of_power_is_the_hosts_if_it_is_of_the_rigs_tariff() -> None:
    own = {"ppa": TariffOverrides(block_tariff="block", block_kilowatts=1_000)}
    prices = {"ppa": 0.12, "block": 0.04}
    assert books(share=0.75, tariffs=own, prices=prices).host_margin == pytest.approx(84 * (0.08 - 0.06))
    assert books(tariffs=own, prices=prices).host_margin is None
    other = hosted()
    other = sites.replace_tariff(other, "rate")
    assert books(other, tariffs=own, prices=prices | {"rate": 0.08}).host_margin is None
    both = own | {"rate": TariffOverrides(block_tariff="block", block_kilowatts=500)}
    elsewhere = books(other, share=0.75, tariffs=both, prices=prices | {"rate": 0.08})  # a share of the other block
    assert (elsewhere.host_margin, elsewhere.host_price) == (None, None)


def test_nothing_of_the_hosts_book_is_known_while_his_share_of_a_block_is_not() -> None:
    own = {"ppa": TariffOverrides(block_tariff="block", block_kilowatts=1_000, resale_tariff="spot")}
    prices = {"ppa": 0.12, "block": 0.04, "spot": 0.25}
    unknown = {"tariffs": own, "prices": prices}
    found = books(changes={"host_may_curtail": True}, **unknown)
    assert (found.host_margin, found.host_best, found.deciding, found.judged, found.host_price) == (None,) * 5
    good = LastGood(hashrate=200e12, power=3_500.0, observed_at=NOW)
    off = hosted(hashrate=None, last_good=good, expected_mining=False)
    assert books(off, **unknown).curtailment_income is None
    assert books(off, share=1.0, **unknown).curtailment_income is not None


def test_without_monthly_costs_what_is_left_after_all_is_the_margin() -> None:
    found = deciding({"host_may_curtail": True})
    assert found[3] == pytest.approx(found[0])


def test_the_expected_cost_of_a_peak_is_not_owed_where_a_tag_stands_for_it() -> None:
    tag = OtherCost(name="4CP tag", usd_per_kilowatt_month=5.0, stops_with=StopsWith.PERIOD, peak_tag=True)
    settings = SiteSettings(
        tariff="ppa",
        contracts={"c": contract(host_may_curtail=True)},
        economics=EconomicsSettings(other_costs=(tag,)),
    )

    def left(surcharge: float) -> float | None:
        pricer = RigPricer(flat_market(), {"ppa": TariffPrice(0.05)}, settings, now=NOW, surcharges={"ppa": surcharge})
        found = pricer.price(hosted()).books
        assert found is not None
        assert found.deciding is not None
        return found.deciding.allin_margin

    assert left(0.02) == pytest.approx(left(0.0))


# --- contracts ------------------------------------------------------------------------------------------------------


def test_prices_to_come_matter_where_the_host_decides_at_a_constant_rate() -> None:
    def ahead(**changes: Any) -> str:
        settings = SiteSettings(tariff="ppa", contracts={"c": contract(**changes)})
        return Hosting(settings, NOW).price_tariff(hosted().rig)

    assert ahead() == ""
    assert ahead(host_may_curtail=True) == "ppa"
    assert ahead(host_may_curtail=True, pass_through=True) == ""
    assert Hosting(SiteSettings(), NOW).price_tariff(sites.rig().rig) == "ppa"


def test_leaving_costs_once_for_each_customer_and_contract() -> None:
    settings = SiteSettings(contracts={"c": contract(leave_usd=1_000), "d": contract(leave_usd=50)})
    rigs = [
        Rig(name=str(index), address="127.0.0.1", customer=customer, contract=named)
        for index, (customer, named) in enumerate(
            [("acme", "c"), ("acme", "c"), ("birch", "c"), ("birch", "d"), ("", "")]
        )
    ]
    assert Hosting(settings, NOW).leaving_cost(rigs) == 2_050


# --- the site -------------------------------------------------------------------------------------------------------


def site(*rigs: RigSnapshot, **changes: Any) -> SiteSnapshot:
    facts: dict[str, Any] = {"blocks": (Block(name="north"),)}
    return sites.site(*rigs, **(facts | changes))


def test_blocks_and_customers_add_up_their_books() -> None:
    rigs = (
        hosted(name="a"),
        hosted(name="b", facts={"contract": "mine"}),
        sites.rig(name="c", reject_ratio=0.0),
        sites.rig(name="d", reject_ratio=0.0, facts={"customer": "birch"}),
    )
    settings = SiteSettings(
        tariff="ppa", contracts={"c": contract(), "mine": contract(host_may_curtail=True, usd_per_kilowatt_month=12)}
    )
    found = price_on(flat_market(), site(*rigs), settings)
    acme, birch = found.customers
    assert (acme.name, birch.name) == ("acme", "birch")
    fee = 12 / 730 * 24 * 3.5
    assert acme.margin == pytest.approx(2 * -0.06 - fee)
    assert acme.avoidable_loss == pytest.approx(0.06)  # of the rig on whose stop he decides
    assert birch.margin == pytest.approx(2.46)
    block = found.blocks[0]
    assert block.host_margin == pytest.approx(2 * 2.52 + fee + 2.46)
    assert block.avoidable_loss == 0.0  # the host loses nothing
    assert block.ending_costs == {"customers' monthly fees": pytest.approx(-fee)}


LATER = replace(flat_market(), forward_payout_usd=29.97)
"""After the retarget a tenth less is paid."""


def deciding(changes: dict[str, Any] | None = None, rig: RigSnapshot | None = None, **rest: Any) -> Deciding:
    found = books(rig, changes, **{"at": LATER} | rest).deciding
    assert found is not None
    return found


def test_a_customer_who_decides_pays_his_rate_and_his_fee() -> None:
    """0.2 x 33.30 = 6.66 and, after the retarget, 5.994, less 84 x 0.08 = 6.72 and a fee of 1.380822."""
    assert deciding({"usd_per_kilowatt_month": 12}) == pytest.approx((-0.06, 6.72, -0.726, -0.06 - 1.380_822))


def test_a_host_who_decides_pays_his_power_and_his_monthly_costs() -> None:
    """A tenth of the coins, and $0.06 for power at $0.05; $6 per kW and month for operations are 0.690411 a day."""
    found = deciding(
        {"host_may_curtail": True, "usd_per_kilowatt_hour": 0.06, "revenue_share": 0.1},
        economics=EconomicsSettings(opex_usd_per_kilowatt_month=6),
    )
    assert found == pytest.approx((0.666 + 0.84, 4.2, 0.5994 + 0.84, 0.666 + 0.84 - 0.690_411))


def test_a_customer_who_decides_keeps_what_the_host_does_not_take() -> None:
    """Nine tenths of 6.66, less his rate."""
    assert deciding({"revenue_share": 0.1}).margin == pytest.approx(5.994 - 6.72)


def test_a_host_who_decides_has_the_fee_and_pays_for_owed_energy_also_at_rest() -> None:
    """6.72 and a fee of 1.380822. The energy costs 4.2 whether the rig runs or not."""
    may: dict[str, Any] = {"host_may_curtail": True}
    assert deciding(may | {"usd_per_kilowatt_month": 12}).allin_margin == pytest.approx(6.72 + 1.380_822 - 4.2)
    owed = deciding(may, power=PowerSettings(take_or_pay=True))
    assert (owed.margin, owed.allin_margin) == pytest.approx((6.72, 2.52))


def test_monthly_costs_are_due_for_what_a_running_rig_draws() -> None:
    """It warms up at 2 kW and has run at 3.5 kW: at $6 a kW and month 48 kWh cost 0.394521."""
    good = LastGood(hashrate=200e12, power=3_500.0, observed_at=NOW)
    warming = hosted(hashrate=50e12, power=2_000.0, uptime=60.0, last_good=good)
    found = deciding({"host_may_curtail": True}, warming, economics=EconomicsSettings(opex_usd_per_kilowatt_month=6))
    assert found.allin_margin == pytest.approx(48 * 0.03 - 0.394_521)


def test_what_is_due_for_a_rig_at_rest_of_unknown_size_is_not_known() -> None:
    unrated = hosted(hashrate=0.0, power=0.0, facts={"rated_power": None, "rated_hashrate": None})
    assert deciding({"host_may_curtail": True}, unrated).allin_margin is None


def test_monthly_costs_are_due_while_a_rig_stands_still() -> None:
    found = deciding(
        {"host_may_curtail": True},
        hosted(hashrate=0.0, power=0.0),
        economics=EconomicsSettings(opex_usd_per_kilowatt_month=6),
    )
    assert found == pytest.approx((0.0, 0.0, 0.0, -0.690_411))


def test_what_is_left_after_an_unknown_fee_or_retarget_is_not_known() -> None:
    fee = {"usd_per_kilowatt_month": 12}
    unrated = hosted(facts={"rated_power": None})
    assert deciding(fee, unrated).allin_margin is None
    assert deciding(fee | {"host_may_curtail": True}, unrated).allin_margin is None
    assert deciding(at=replace(LATER, forward_payout_usd=None)).forward_margin is None
    assert deciding(at=replace(LATER, payout_usd=0.0)).forward_margin is None


def test_nothing_is_known_in_the_book_of_a_host_without_a_price() -> None:
    assert books(changes={"host_may_curtail": True}, prices={}).deciding is None
    assert books(prices={}).deciding is not None  # the customer's rate is
    assert books(hosted(hashrate=None)).deciding is None


def test_a_block_adds_up_the_books_that_decide() -> None:
    """Two customers who lose 6 cents each, and a rig of the site that earns 2.46 at its tariff."""
    rigs = (hosted(name="a"), hosted(name="b"), sites.rig(name="c", reject_ratio=0.0))
    settings = SiteSettings(tariff="ppa", contracts={"c": contract()})
    found = price_on(LATER, site(*rigs), settings).blocks[0].deciding
    assert found == pytest.approx((2.34, 2 * 6.72 + 4.2, 2 * -0.726 + 1.794, 2.34))
    settings = replace(settings, economics=EconomicsSettings(opex_usd_per_kilowatt_month=6))
    own = price_on(LATER, site(*rigs), settings).blocks[0].deciding
    assert own is not None
    assert own.allin_margin == pytest.approx(2.34 - 0.690_411)  # the own rig's operations are the site's


def test_a_block_without_a_contract_has_no_book_that_decides() -> None:
    settings = SiteSettings(tariff="ppa", contracts={"c": contract()})
    assert price_on(LATER, site(sites.rig()), settings).blocks[0].deciding is None
    alone = price_on(LATER, site(hosted(hashrate=None)), settings).blocks[0].deciding
    assert alone == Deciding()  # nothing is known of it


def test_the_host_loses_his_monthly_fee_with_a_rig() -> None:
    fee = {"usd_per_kilowatt_month": 12, "usd_per_kilowatt_hour": 0.07}
    assert books(changes=fee).host_potential == pytest.approx(84 * 0.02 + 1.380_822)
    assert books(hosted(facts={"rated_power": None}), fee).host_potential is None


def test_monthly_costs_of_a_hosted_rig_are_those_of_the_hosts_tariff() -> None:
    rig = sites.replace_tariff(hosted(), "rate")
    own = {
        "rate": TariffOverrides(opex_usd_per_kilowatt_month=100),
        "ppa": TariffOverrides(opex_usd_per_kilowatt_month=6),
    }
    settings = SiteSettings(tariff="ppa", contracts={"c": contract()}, tariffs=own)
    found = price_on(flat_market(), site(rig, tariffs={"ppa": TariffPrice(0.05), "rate": TariffPrice(0.08)}), settings)
    assert found.blocks[0].ending_cost == pytest.approx(6 * 3.5 / 730 * 24)


def test_a_configuration_without_contracts_has_no_customers() -> None:
    rigs = (sites.rig(facts={"customer": "acme"}),)
    assert price_on(flat_market(), site(*rigs), SiteSettings()).customers == ()


@given(
    rate=st.floats(0.02, 0.2),
    share=st.floats(0, 1),
    fee=st.floats(0, 50),
    price=st.floats(0.0, 0.2),
    hashprice=st.floats(5, 200),
)
def test_both_books_add_up_to_the_margin_at_the_hosts_tariff(
    rate: float, share: float, fee: float, price: float, hashprice: float
) -> None:
    """What one pays the other receives: money is neither made nor lost by a contract."""
    settings = {"usd_per_kilowatt_hour": rate, "revenue_share": share, "usd_per_kilowatt_month": fee}
    found = priced(hosted(), {"c": contract(**settings)}, at=flat_market(hashprice), prices={"ppa": price})
    assert found.books is not None
    assert found.books.customer_margin is not None
    assert found.books.host_margin is not None
    assert found.books.customer_margin + found.books.host_margin == pytest.approx(found.margin, abs=1e-9)
