"""What an outlook is asked: the market now, and of each block its margin at any hashprice, its lease and its sale."""

from dataclasses import replace

import pytest
from sites import NOW, SITE, network, rig, site
from test_economics_books import contract

from exporter.decision.history import MarginHistory
from exporter.decision.prospect import Question, lease_value, question
from exporter.decision.settings import DecisionSettings
from exporter.decision.site import decide
from exporter.decision.values import Clock, DecisionState, Verdict
from exporter.economics.ai import value_ai
from exporter.economics.settings import AiSettings, PayoutScheme, SiteSettings
from exporter.economics.site import price_site
from exporter.model.fleet import Block
from exporter.model.snapshot import RigSnapshot, SiteSnapshot

HOUR = 3_600.0
OUTLOOK = {
    "drift": 0.0,
    "volatility": 0.5,
    "difficulty_growth": 0.2,
    "elasticity": 0.5,
    "fees_bitcoins_per_block": {"low": 0.01, "base": 0.02, "high": 0.08},
}
LEASE = {"rent_usd_per_kilowatt_month": 150, "capex_usd_per_kilowatt": 10_000, "outlook": OUTLOOK}
AI = AiSettings.model_validate(LEASE)
TERMS = replace(SITE, ai=AI)
TWO = (Block(name="north", capacity_watts=8_000.0), Block(name="south", capacity_watts=8_000.0))
DECISION = DecisionSettings(longest_gap=HOUR)


def snapshot(
    *rigs: RigSnapshot, blocks: tuple[Block, ...] = (Block(name="north", capacity_watts=4_000.0),)
) -> SiteSnapshot:
    return site(*(rigs or (rig(),)), blocks=blocks)


def past(settings: SiteSettings = TERMS, hours: int = 2, of: SiteSnapshot | None = None) -> MarginHistory:
    """So many hours of evaluations before ``NOW``."""
    state, history = DecisionState(), MarginHistory()
    for hour in range(-hours, 1):
        known = replace(of or snapshot(), taken_at=NOW + hour * HOUR)
        _, state, history = decide(state, known, price_site(known, settings), history, settings, DECISION)
    return history


def asked(
    settings: SiteSettings = TERMS,
    decision: DecisionSettings = DECISION,
    hours: int = 2,
    of: SiteSnapshot | None = None,
    state: DecisionState | None = None,
) -> Question | None:
    known, past_hours = of or snapshot(), past(settings, hours, of)
    return question(known, price_site(known, settings), past_hours, settings, decision, state or DecisionState())


def a_question() -> Question:
    found = asked()
    assert found is not None
    return found


def test_the_question_has_the_market_and_the_blocks_margin() -> None:
    found = a_question()
    assert (found.bitcoin_price, found.difficulty, found.height) == (70_370.0, 133.79e12, network().height)
    assert (found.asked_at, found.rate, found.settings) == (NOW, 0.1, AI.outlook)
    assert (found.pays_fees, found.mining_goes_on_months) == (True, 0)
    (prospect,) = found.prospects
    assert prospect.block == "north"
    (mining,) = prospect.mining
    margin = price_site(snapshot(), TERMS).blocks[0].potential_margin
    payout = price_site(snapshot(), TERMS).market.payout_usd
    assert margin is not None
    assert payout is not None
    at_payout = mining.floor + sum(
        w * max(payout - b, 0.0) for b, w in zip(mining.breakevens, mining.work, strict=True)
    )
    assert at_payout * 12 == pytest.approx(margin * 365 / 4)
    assert (mining.life_months, mining.fixed, prospect.sale, prospect.removal) == (48, 0.0, 0.0, 0.0)
    assert prospect.lease_months == 180
    value = value_ai(AI)
    assert value is not None
    assert value.lease is not None
    assert prospect.lease_value == pytest.approx(lease_value(value.lease))


def test_the_terms_of_the_lease_and_of_the_pool_are_in_it() -> None:
    terms = {"months_until_power_earns": 15, "mining_goes_on_months": 3, "discount_rate": 0.12, "rig_life_years": 3}
    ai = AiSettings.model_validate(LEASE | terms)
    pps = TERMS.economics.model_copy(update={"scheme": PayoutScheme.PPS})
    found = asked(replace(TERMS, ai=ai, economics=pps))
    assert found is not None
    assert (found.pays_fees, found.mining_goes_on_months, found.rate) == (False, 3, 0.12)
    (prospect,) = found.prospects
    assert prospect.lease_months == 15 + 180
    assert prospect.mining[0].life_months == 36


def test_costs_that_a_conversion_ends_and_the_rigs_sale_are_in_it() -> None:
    economics = TERMS.economics.model_copy(update={"opex_usd_per_kilowatt_month": 6.0})
    selling = DECISION.model_copy(update={"rigs_sale_usd_per_terahash": 8.0, "rigs_removal_usd_per_rig": 40.0})
    found = asked(replace(TERMS, economics=economics), selling)
    assert found is not None
    (prospect,) = found.prospects
    assert prospect.mining[0].fixed == pytest.approx(6.0 * 3.5 * 1.03 / 4)
    assert prospect.sale == pytest.approx(8.0 * 200 / 4)
    assert prospect.removal == pytest.approx(10.0)
    removing = DECISION.model_copy(update={"rigs_removal_usd_per_rig": 40.0})  # nothing is sold, so nothing is removed
    kept = asked(TERMS, removing)
    assert kept is not None
    assert (kept.prospects[0].sale, kept.prospects[0].removal) == (0.0, 0.0)


def test_a_line_that_stands_for_several_rigs_is_removed_as_often() -> None:
    selling = DECISION.model_copy(update={"rigs_sale_usd_per_terahash": 8.0, "rigs_removal_usd_per_rig": 40.0})
    found = asked(TERMS, selling, of=snapshot(rig(hashrate=600e12, power=10_500.0, facts={"count": 3}), blocks=TWO[:1]))
    assert found is not None
    (prospect,) = found.prospects
    assert prospect.sale == pytest.approx(8.0 * 600 / 8)
    assert prospect.removal == pytest.approx(3 * 40.0 / 8)


def customers(block: str = "north", name: str = "c-01") -> RigSnapshot:
    return rig(name=name, block=block, facts={"customer": "acme", "contract": "c", "rated_power": 3_500.0})


HOSTED = replace(TERMS, contracts={"c": contract(leave_usd=1_000)})


def test_customers_remove_their_own_rigs_and_leaving_costs() -> None:
    selling = DECISION.model_copy(update={"rigs_sale_usd_per_terahash": 8.0, "rigs_removal_usd_per_rig": 40.0})
    found = asked(HOSTED, selling, of=snapshot(rig(), customers(), blocks=TWO[:1]))
    assert found is not None
    (prospect,) = found.prospects
    assert prospect.sale == pytest.approx(8.0 * 200 / 8)
    assert prospect.removal == pytest.approx((40.0 + 1_000) / 8)


def test_a_contract_that_another_blocks_conversion_ends_is_left_once() -> None:
    known = snapshot(customers(), customers("south", "c-02"), blocks=TWO)
    flagged = DecisionState(blocks={"north": Clock(verdict=Verdict.REASSIGN, since=NOW - HOUR)})
    found = asked(HOSTED, of=known, state=flagged)
    assert found is not None
    assert [each.removal for each in found.prospects] == pytest.approx([1_000 / 8, 0.0])


def test_hours_of_before_a_contract_are_no_history() -> None:
    known = snapshot(customers())
    before = past(TERMS, of=snapshot())
    assert question(known, price_site(known, HOSTED), before, HOSTED, DECISION, DecisionState()) is None
    assert asked(HOSTED, of=known) is not None


def test_a_block_without_a_history_or_power_costs_no_other_its_outlook() -> None:
    blocks = (Block(name="a"), *(Block(name=name, capacity_watts=4_000.0) for name in ("b", "north")))
    a, b, c = (rig(name=name, block=block) for name, block in (("a-01", "a"), ("b-01", "b"), ("c-01", "north")))
    history = past(of=snapshot(a, b, c, blocks=blocks)).blocks
    known = snapshot(a, replace(b, reading=None), c, blocks=blocks)
    without = MarginHistory(blocks={name: each for name, each in history.items() if name != "a"})
    found = question(known, price_site(known, TERMS), without, TERMS, DECISION, DecisionState())
    assert found is not None
    assert [each.block for each in found.prospects] == ["north"]


def test_energy_that_a_contract_still_owes_lowers_the_lease() -> None:
    owed = replace(TERMS, power=TERMS.power.model_copy(update={"take_or_pay": True}))
    free, bound = asked(), asked(replace(owed, ai=AI.model_copy(update={"tenant_pays_energy": False})))
    assert free is not None
    assert bound is not None
    lost = (free.prospects[0].lease_value - bound.prospects[0].lease_value) * 0.131474  # yearly: 15 years at 10 %
    assert lost == pytest.approx(0.05 * 8_760 * 3.5 * 1.03 / 4, rel=1e-5)


@pytest.mark.parametrize(
    ("site_settings", "hours"),
    [
        (replace(TERMS, ai=None), 2),
        (replace(TERMS, ai=AI.model_copy(update={"outlook": None})), 2),
        (TERMS, 0),
    ],
    ids=["no AI", "no settings of an outlook", "no history"],
)
def test_nothing_is_asked_without_settings_or_a_history(site_settings: SiteSettings, hours: int) -> None:
    assert asked(site_settings, hours=hours) is None


@pytest.mark.parametrize("missing", ["network", "bitcoin_price"])
def test_nothing_is_asked_without_a_market(missing: str) -> None:
    known = snapshot()
    unknown = site(*known.rigs, blocks=known.blocks, **{missing: None})
    assert question(unknown, price_site(unknown, TERMS), past(), TERMS, DECISION, DecisionState()) is None
