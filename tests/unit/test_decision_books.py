"""Verdicts of hosted rigs: each by the book of the one whose money it is."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sites import HASHPRICE, LEASE, NOW, network
from test_decision_conversion import BARE, DAY, Desk, flagged, of
from test_economics_books import contract

from exporter.decision.explain import Case, explain
from exporter.decision.history import HOSTED, Curve, Hosted, Moment, Rules
from exporter.decision.prospect import question
from exporter.decision.settings import DecisionSettings
from exporter.decision.values import BlockDecision, Hindrance, Verdict
from exporter.economics.settings import OutlookSettings, SiteSettings, TariffOverrides
from exporter.model.readings import Reading
from exporter.model.snapshot import RigSnapshot, SiteSnapshot


def theirs(efficiency: float = 17.5, *, named: str = "c", **changes: Any) -> RigSnapshot:
    """A customer's rig of 1 kW on the site's tariff."""
    rig = of(efficiency, **changes)
    return replace(rig, rig=replace(rig.rig, customer="acme", contract=named, rated_power=1_000.0))


def at(site: SiteSettings = BARE, **changes: Any) -> SiteSettings:
    return replace(site, contracts={"c": contract(**changes)})


def appraised(*rigs: RigSnapshot, site: SiteSettings, hashprice: float = HASHPRICE, **prices: float) -> BlockDecision:
    desk = Desk(*rigs, site=site)
    desk.hashprice = hashprice
    desk.prices |= prices
    return desk.evaluate()


# --- reassign: the host's margin in the hours that the customer would run ---------------------------------------------


def test_11_a_hosted_block_is_judged_on_what_its_host_earns() -> None:
    """$0.03 between rate and power: 262.80, while the customer runs. AI's value of 153.76 does not beat it."""
    block = appraised(theirs(), site=at(), hashprice=50.0)
    assert block.conversion_margin == pytest.approx(262.80)
    assert block.reassign_score == pytest.approx(153.758737 - 262.80, abs=1e-4)
    desk = Desk(theirs(), site=at())
    desk.hashprice = 50.0
    assert not flagged(desk)


def test_hours_in_which_the_customer_would_stand_still_earn_the_host_nothing() -> None:
    """At $33.30 a rig of 29.5 J/TH earns $0.0470 a kWh: less than the rate of $0.08."""
    block = appraised(theirs(29.5), site=at())
    assert block.conversion_margin == pytest.approx(0.0, abs=1e-6)
    assert block.reassign_score == pytest.approx(153.758737, abs=1e-4)
    assert block.margin_lines["revenue"] == pytest.approx(0.08 * 8_760)
    assert sum(block.margin_lines.values()) == pytest.approx(block.conversion_margin, abs=1e-6)


def test_a_hosted_block_whose_host_earns_less_than_ai_is_flagged() -> None:
    assert flagged(Desk(theirs(29.5), site=at()))


def test_the_floor_stands_only_where_the_host_may_stop_the_rig() -> None:
    """The customer runs at $0.08, and the power costs $0.09: -87.60, or nothing if the host may stop it."""
    assert appraised(theirs(), site=at(), hashprice=50.0, ppa=0.09).conversion_margin == pytest.approx(-87.60)
    may = at(host_may_curtail=True)
    assert appraised(theirs(), site=may, hashprice=50.0, ppa=0.09).conversion_margin == 0.0


def test_a_monthly_fee_ends_with_the_conversion() -> None:
    block = appraised(theirs(29.5), site=at(usd_per_kilowatt_month=12))
    assert block.conversion_margin == pytest.approx(144.0, abs=1e-6)
    assert block.margin_lines["customers' monthly fees"] == pytest.approx(144.0)


def test_a_revenue_share_is_the_hosts_income() -> None:
    """A tenth of 50 / 17.5 x 365 = 1,042.857 a kW and year, beside 262.80."""
    block = appraised(theirs(), site=at(revenue_share=0.1), hashprice=50.0)
    assert block.conversion_margin == pytest.approx(262.80 + 104.2857, abs=1e-3)


def test_own_and_customers_rigs_add_up() -> None:
    """Per kW of both: half of 262.80, and half of the own rig's margin at $50 and $0.05."""
    block = appraised(theirs(), of(17.5, name="ours"), site=at(), hashprice=50.0)
    assert block.conversion_margin == pytest.approx((262.80 + (50 / 17.5 / 24 - 0.05) * 8_760) / 2, rel=1e-6)


def test_customers_rigs_are_not_sold_and_leaving_costs() -> None:
    """$1,000 over 1 kW, levelised over the AI term: the annuity of 15 years at 10 % is 0.131474."""
    decision = DecisionSettings(rigs_sale_usd_per_terahash=8)
    desk = Desk(theirs(29.5), site=at(leave_usd=1_000), decision=decision)
    block = desk.evaluate()
    assert block.sale_value == pytest.approx(-131.474, abs=1e-3)
    assert block.reassign_score == pytest.approx(153.758737 - 131.474, abs=1e-3)
    assert appraised(theirs(29.5), site=at(leave_usd=1_000)).sale_value == pytest.approx(-131.474, abs=1e-3)
    assert appraised(theirs(29.5), site=at()).sale_value is None


def test_a_contract_that_is_missing_or_has_ended_keeps_the_block_from_being_reassigned() -> None:
    for site in (replace(BARE, contracts={"other": contract()}), at(until="2026-03-01")):
        assert appraised(theirs(29.5), site=site).hindrance is Hindrance.CUSTOMER_WITHOUT_CONTRACT
    assert appraised(theirs(29.5), site=at()).hindrance is not Hindrance.CUSTOMER_WITHOUT_CONTRACT


def test_hours_of_before_the_contract_are_no_evidence() -> None:
    """They were booked on the customer's tariff: the wrong book."""
    desk = Desk(replace(theirs(), rig=replace(theirs().rig, contract="")), site=at())
    desk.evaluate()
    assert desk.wait(5).watched > 0
    desk.rigs = (theirs(),)
    assert desk.evaluate().watched == 0
    desk.hashprice = 50.0
    assert desk.wait(3).window_margin == pytest.approx(262.80)
    assert desk.block.watched == pytest.approx(3 * 3_600)


def test_hours_that_were_recorded_elsewhere_are_no_evidence() -> None:
    """They do not record who paid."""
    moment = Moment(50.0, {f"{HOSTED}c": (0.05, 0.08)}, {(f"{HOSTED}c", 175): (1 / 17.5, 1.0)})
    rules, hour = Rules(at(), NOW, only_hosted=True), moment.hour(NOW, 3_600.0)
    assert Curve.of([hour], rules).seconds == 3_600
    assert Curve.of([replace(hour, recorded=True)], rules).seconds == 0


def test_hours_of_a_contract_that_is_gone_are_no_evidence() -> None:
    desk = Desk(theirs(), site=at())
    desk.evaluate()
    desk.wait(5)
    desk.rigs, desk.site = (of(17.5),), BARE
    assert desk.wait(2).watched == pytest.approx(2 * 3_600, abs=3_601)


def test_owed_energy_is_due_while_the_customer_stands_still() -> None:
    """The host owes $0.05 for every hour, and earns nothing of a customer who does not run."""
    site = at(replace(BARE, tariffs={"ppa": TariffOverrides(take_or_pay=True)}))
    assert appraised(theirs(29.5), site=site).conversion_margin == pytest.approx(-438.0, abs=1e-6)
    assert appraised(theirs(), site=site, hashprice=50.0).conversion_margin == pytest.approx(262.80)


# --- the curve -----------------------------------------------------------------------------------------------------


def curve(settings: Hosted, *, charge: float, cost: float, payout: float) -> Curve:
    """An hour of 1 kW and 17.5 J/TH under a contract."""
    rules = Rules(at(revenue_share=settings.share, host_may_curtail=settings.may_stop), NOW)
    moment = Moment(payout, {f"{HOSTED}c": (cost, charge)}, {(f"{HOSTED}c", 175): (1 / 17.5, 1.0)})
    return Curve.of([moment.hour(NOW, 3_600.0)], rules)


@given(
    charge=st.floats(0, 0.2),
    cost=st.floats(-0.05, 0.2),
    share=st.floats(0, 1),
    may_stop=st.booleans(),
    payout=st.floats(1, 200),
    other=st.floats(1, 200),
)
def test_the_hosts_margin_at_any_hashprice_is_that_of_the_customers_choice(
    *, charge: float, cost: float, share: float, may_stop: bool, payout: float, other: float
) -> None:
    found = curve(Hosted(share, may_stop), charge=charge, cost=cost, payout=payout)
    for hashprice, margin in ((payout, found.margin), (other, found.at(other))):
        revenue = hashprice / 17.5 / 24
        customer = (1 - share) * revenue - charge
        host = share * revenue + charge - cost
        expected = max(host, 0.0) if may_stop else host
        if abs(customer) > 1e-6:
            assert margin == pytest.approx(expected if customer > 0 else 0.0, abs=1e-7)


def test_a_customer_who_keeps_nothing_does_not_run_for_a_rate() -> None:
    assert Hosted(share=1.0).kinks(0.05, 0.02, 1.0) == ()
    assert Hosted().kinks(0.05, 0.02, 0.0) == ()
    assert Hosted().kinks(1e300, 0.02, 1e-300) == ()
    assert curve(Hosted(share=1.0), charge=0.0, cost=0.02, payout=33.3).margin == pytest.approx(33.3 / 17.5 / 24 - 0.02)


def test_hours_without_what_the_customer_was_charged_are_left_out() -> None:
    moment = Moment(33.3, {f"{HOSTED}c": (0.05, None)}, {(f"{HOSTED}c", 175): (1 / 17.5, 1.0)})
    assert Curve.of([moment.hour(NOW, 3_600.0)], Rules(at(), NOW)).seconds == 0


# --- curtail -------------------------------------------------------------------------------------------------------


def verdict(site: SiteSettings, **prices: float) -> Verdict | None:
    desk = Desk(theirs(), site=site)
    desk.prices |= prices
    desk.evaluate()
    desk.wait(2)
    assert desk.result.rigs[0].verdict is desk.block.verdict
    return desk.block.verdict


def test_curtail_is_judged_on_the_customers_book() -> None:
    """A rig of 17.5 J/TH earns $0.0793 a kWh: less than $0.08, more than $0.075, whatever the host pays."""
    assert verdict(at()) is Verdict.CURTAIL
    assert verdict(at(usd_per_kilowatt_hour=0.075)) is Verdict.MINE
    assert verdict(at(usd_per_kilowatt_hour=0.075), ppa=0.5) is Verdict.MINE


def test_curtail_is_judged_on_the_book_of_a_host_who_may_curtail() -> None:
    assert verdict(at(host_may_curtail=True)) is Verdict.MINE
    assert verdict(at(host_may_curtail=True), ppa=0.09) is Verdict.CURTAIL


# --- explain and the outlook ---------------------------------------------------------------------------------------


def explained(rig: RigSnapshot, site: SiteSettings) -> tuple[dict[str, float | None], set[tuple[str, str]]]:
    desk = Desk(rig, site=site)
    desk.evaluate()
    assert desk.economics is not None
    snapshot = SiteSnapshot(taken_at=desk.now, rigs=desk.rigs)
    case = Case(
        snapshot=snapshot,
        economics=desk.economics,
        decision=desk.result,
        settings=site,
        decision_settings=desk.decision,
    )
    found = explain(case, rig.rig.name)
    assert found is not None
    return {line.name: line.value for line in found.lines}, {(flip.change, flip.name) for flip in found.flips}


def test_explain_shows_both_books() -> None:
    lines, flips = explained(theirs(), at())
    assert lines["customer's margin"] == pytest.approx(33.3 / 17.5 - 1.92)
    assert lines["host's margin"] == pytest.approx(0.72)
    assert lines["curtail is judged on the customer's margin, if it ran"] == pytest.approx(33.3 / 17.5 - 1.92)
    assert lines["host's margin at the customer's best use"] == 0.0
    assert {change for change, _ in flips} == {"mine or curtail"}
    lines, flips = explained(theirs(), at(host_may_curtail=True))
    assert "curtail is judged on the host's margin, if it ran" in lines
    assert not flips


def test_explain_says_that_a_customers_rig_has_no_contract() -> None:
    lines, flips = explained(replace(theirs(), rig=replace(theirs().rig, contract="")), at())
    assert "no host's margin: the customer's rig has no hosting contract" in lines
    assert lines["host's margin"] is None
    assert {change for change, _ in flips} == {"mine or curtail", "mine or reassign"}
    assert "customer's margin" not in explained(of(17.5), at())[0]


def in_south(rig: RigSnapshot) -> RigSnapshot:
    return replace(rig, rig=replace(rig.rig, block="south"))


def test_leaving_counts_once_for_all_blocks_of_a_contract() -> None:
    """$100 over 1 kW are 13.15 a kW and year. The first block that is flagged bears them; until then both do."""
    desk = Desk(theirs(29.5), in_south(theirs(29.5, name="b")), site=at(leave_usd=100))
    desk.evaluate()
    assert [block.sale_value for block in desk.result.blocks] == pytest.approx([-13.147, -13.147], abs=1e-3)
    desk.wait(90)
    assert [block.verdict for block in desk.result.blocks] == [Verdict.REASSIGN, Verdict.REASSIGN]
    assert [block.sale_value for block in desk.result.blocks] == [pytest.approx(-13.147, abs=1e-3), None]


def test_another_contract_is_left_at_its_own_cost() -> None:
    site = replace(BARE, contracts={"c": contract(leave_usd=100), "d": contract(leave_usd=200)})
    desk = Desk(theirs(29.5), in_south(theirs(29.5, name="b", named="d")), site=site)
    desk.evaluate()
    desk.wait(90)
    assert [block.sale_value for block in desk.result.blocks] == pytest.approx([-13.147, -26.295], abs=1e-3)


def test_an_outlook_starts_from_what_the_host_earns() -> None:
    outlook = OutlookSettings(
        drift=0.1, volatility=0.5, difficulty_growth=0.2, elasticity=0.5, fees_bitcoins_per_block=0.02
    )
    site = at(replace(BARE, ai=LEASE.model_copy(update={"outlook": outlook})), leave_usd=1_000)
    desk = Desk(theirs(), site=site)
    desk.hashprice = 50.0
    desk.evaluate()
    desk.wait(3)
    assert desk.economics is not None
    snapshot = SiteSnapshot(
        taken_at=desk.now,
        rigs=desk.rigs,
        network=Reading(network(), NOW),
        bitcoin_price=Reading(70_370.0, NOW),
        blocks=(desk.block_facts,),
    )
    asked = question(snapshot, desk.economics, desk.history, site, DecisionSettings(history=7 * DAY), desk.state)
    assert asked is not None
    mining = asked.prospects[0].mining[0]
    income = sum(max(50.0 - at, 0.0) * work for at, work in zip(mining.breakevens, mining.work, strict=True))
    assert income + mining.floor - mining.fixed == pytest.approx(262.80 / 12, rel=1e-4)
    assert asked.prospects[0].removal == pytest.approx(1_000)
