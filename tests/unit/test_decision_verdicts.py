"""Verdicts over time: they come on evidence that lasts, are held while inputs are stale, and do not flap."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from pydantic import TypeAdapter
from pydantic_core import to_json
from sites import LEASE, NOW, SITE, rig, site

from exporter.decision.conversion import BlockCase, Turn
from exporter.decision.curtailment import Slot
from exporter.decision.history import BlockHour, MarginHistory, Rules, Window
from exporter.decision.latch import OFF, Latch, step
from exporter.decision.price_motion import Swing
from exporter.decision.settings import DecisionSettings, RestartSettings
from exporter.decision.site import decide
from exporter.decision.survey import Survey
from exporter.decision.values import BlockDecision, Clock, DecisionState, Hindrance, RigDecision, SiteDecision, Verdict
from exporter.decision.verdict import decide_block, decide_rig
from exporter.economics.settings import SiteSettings
from exporter.economics.site import price_site
from exporter.economics.values import BlockEconomics, MarketEconomics, RigEconomics
from exporter.model.fleet import UNASSIGNED, Block
from exporter.model.snapshot import LastGood, RigSnapshot, TariffPrice

HOUR = 3_600.0
MINUTE = 60.0
DAY = 24 * HOUR
TERMS = DecisionSettings(longest_gap=HOUR, history=7 * DAY, history_needed=2 * DAY)
GOOD = LastGood(hashrate=200e12, power=3_500.0, observed_at=NOW)


def old(**changes: Any) -> RigSnapshot:
    """A rig of 29.5 J/TH: it loses at $0.05 and earns at $0.03."""
    return rig(**({"hashrate": 110e12, "power": 3_245.0} | changes))


class Desk:
    """A site that is evaluated again and again, as the exporter does it."""

    def __init__(
        self, *rigs: RigSnapshot, settings: DecisionSettings = TERMS, site_settings: SiteSettings = SITE
    ) -> None:
        self.now = NOW - NOW % HOUR
        self.rigs: Sequence[RigSnapshot] = rigs
        self.settings = settings
        self.site_settings = site_settings
        self.price: float | None = 0.05
        self.facts: dict[str, Any] = {}
        self.history = MarginHistory()
        self.state = DecisionState()
        self.decision = SiteDecision()

    def wait(self, seconds: float, *, every: float | None = None) -> None:
        every = every or seconds
        for _ in range(round(seconds / every)):
            self.now += every
            self.evaluate()

    def evaluate(self) -> None:
        tariffs = {} if self.price is None else {"ppa": TariffPrice(self.price)}
        facts = {"tariffs": tariffs, "blocks": (Block(name="north"),)} | self.facts
        snapshot = site(*self.rigs, taken_at=self.now, **facts)
        economics = price_site(snapshot, self.site_settings)
        self.decision, self.state, self.history = decide(
            self.state, snapshot, economics, self.history, self.site_settings, self.settings
        )

    @property
    def rig(self) -> RigDecision:
        return self.decision.rigs[0]

    @property
    def block(self) -> BlockDecision:
        return self.decision.blocks[0]


# --- the latch ------------------------------------------------------------------------------------------------------


def test_a_latch_needs_evidence_that_lasts() -> None:
    latch = step(OFF, calls=True, dwell=100, elapsed=50)
    assert latch == Latch(on=False, evidence=0.0)  # when it began to be called for is not known
    latch = step(latch, calls=True, dwell=100, elapsed=99)
    assert not latch.on
    assert step(latch, calls=False, dwell=100, elapsed=1) == OFF
    assert step(latch, calls=True, dwell=100, elapsed=1) == Latch(on=True)


# --- curtail --------------------------------------------------------------------------------------------------------


def test_a_losing_rig_is_curtailed_after_its_intervals_and_resumed_after_others() -> None:
    desk = Desk(old())
    desk.evaluate()
    assert desk.rig.verdict is Verdict.MINE
    desk.wait(9 * MINUTE, every=MINUTE)
    assert desk.rig.verdict is Verdict.MINE
    desk.wait(MINUTE)
    assert (desk.rig.verdict, desk.rig.verdict_since) == (Verdict.CURTAIL, desk.now)
    desk.price = 0.03
    desk.wait(15 * MINUTE, every=MINUTE)
    assert desk.rig.verdict is Verdict.CURTAIL
    desk.wait(MINUTE)
    assert desk.rig.verdict is Verdict.MINE


def test_a_price_that_dips_starts_the_count_anew() -> None:
    desk = Desk(old())
    for _ in range(5):
        desk.price = 0.05
        desk.wait(9 * MINUTE, every=MINUTE)
        desk.price = 0.03
        desk.wait(MINUTE)
    assert desk.rig.verdict is Verdict.MINE


def test_from_the_immediate_price_a_losing_rig_stops_at_once() -> None:
    desk = Desk(rig(), settings=TERMS.model_copy(update={"immediate_stop_usd_per_kilowatt_hour": 0.2}))
    desk.evaluate()
    desk.price = 0.19
    desk.wait(15)
    assert desk.rig.verdict is Verdict.MINE
    desk.price = 0.2
    desk.wait(15)
    assert desk.rig.verdict is Verdict.CURTAIL
    desk.price = 0.05
    desk.wait(15 * MINUTE, every=MINUTE)
    assert desk.rig.verdict is Verdict.CURTAIL  # it resumes no sooner


def test_power_that_could_be_sold_dearer_stops_a_rig_that_earns() -> None:
    resale = SITE.power.model_copy(update={"resale_tariff": "grid"})
    desk = Desk(rig(), site_settings=replace(SITE, power=resale))
    desk.facts = {"tariffs": {"ppa": TariffPrice(0.05), "grid": TariffPrice(0.09)}}
    desk.wait(30 * MINUTE, every=MINUTE)
    assert desk.rig.verdict is Verdict.CURTAIL
    desk.facts = {"tariffs": {"ppa": TariffPrice(0.05), "grid": TariffPrice(0.06)}}
    desk.wait(30 * MINUTE, every=MINUTE)
    assert desk.rig.verdict is Verdict.MINE


def test_a_curtailed_rig_that_stands_still_gets_the_verdict_resume() -> None:
    asleep = rig(hashrate=0.0, power=20.0, last_good=GOOD, expected_mining=False)
    desk = Desk(asleep)
    desk.price = 0.09
    desk.wait(HOUR, every=MINUTE)
    assert desk.rig.verdict is Verdict.CURTAIL
    desk.price = 0.05
    desk.wait(HOUR, every=MINUTE)
    assert desk.rig.verdict is Verdict.MINE


def test_a_nameplate_must_agree_at_both_ends_of_its_band() -> None:
    facts = {"rated_hashrate": 100e12, "rated_power": 2_500.0}  # 25 J/TH: breaks even near $0.0532
    desk = Desk(rig(hashrate=100e12, power=None, facts=facts))
    desk.price = 0.06  # a loss, but a gain if the nameplate overstates by 20 per cent
    desk.wait(HOUR, every=MINUTE)
    assert desk.rig.verdict is Verdict.MINE
    desk.price = 0.07
    desk.wait(HOUR, every=MINUTE)
    assert desk.rig.verdict is Verdict.CURTAIL
    desk.price = 0.05  # a gain, but a loss if it understates
    desk.wait(HOUR, every=MINUTE)
    assert desk.rig.verdict is Verdict.CURTAIL
    desk.price = 0.04
    desk.wait(HOUR, every=MINUTE)
    assert desk.rig.verdict is Verdict.MINE


# --- repair ---------------------------------------------------------------------------------------------------------


def test_a_rig_that_should_hash_and_does_not_is_a_repair() -> None:
    desk = Desk(rig(hashrate=0.0))
    desk.evaluate()
    assert desk.rig.verdict is not Verdict.REPAIR  # it may be starting
    desk.wait(10 * MINUTE, every=MINUTE)
    assert desk.rig.verdict is Verdict.REPAIR
    desk.rigs = (rig(),)
    desk.wait(5 * MINUTE, every=MINUTE)
    assert desk.rig.verdict is Verdict.REPAIR
    desk.wait(6 * MINUTE, every=MINUTE)
    assert desk.rig.verdict is Verdict.MINE


def test_a_repair_needs_no_price() -> None:
    desk = Desk(rig(hashrate=0.0))
    desk.price = None
    desk.wait(20 * MINUTE, every=MINUTE)
    assert desk.rig.verdict is Verdict.REPAIR


def test_a_rig_that_is_off_on_purpose_is_no_repair() -> None:
    desk = Desk(rig(hashrate=0.0, last_good=GOOD, expected_mining=False))
    desk.wait(HOUR, every=MINUTE)
    assert desk.rig.verdict is Verdict.MINE


def test_a_rig_that_stopped_on_command_is_no_repair() -> None:
    desk = Desk(old())
    desk.wait(HOUR, every=MINUTE)
    desk.rigs = (old(hashrate=0.0, power=20.0, last_good=LastGood(hashrate=110e12, power=3_245.0, observed_at=NOW)),)
    desk.wait(HOUR, every=MINUTE)
    assert desk.rig.verdict is Verdict.CURTAIL


def test_a_silent_rig_is_a_repair_only_where_a_meter_says_so() -> None:
    silent = Desk(rig(hashrate=None, last_good=GOOD))
    silent.wait(HOUR, every=MINUTE)
    assert silent.rig.verdict is Verdict.UNKNOWN
    metered = Desk(rig(hashrate=None, last_good=GOOD, metered_power=5.0))
    metered.wait(HOUR, every=MINUTE)
    assert metered.rig.verdict is Verdict.REPAIR
    running = Desk(rig(hashrate=None, last_good=GOOD, metered_power=3_500.0))
    running.wait(HOUR, every=MINUTE)
    assert running.rig.verdict is Verdict.UNKNOWN


# --- stale inputs ---------------------------------------------------------------------------------------------------


def test_no_verdict_without_inputs() -> None:
    desk = Desk(rig())
    desk.price = None
    desk.wait(HOUR, every=MINUTE)
    assert (desk.rig.verdict, desk.block.verdict) == (Verdict.UNKNOWN, Verdict.UNKNOWN)
    assert not desk.rig.held


def test_a_verdict_is_held_for_a_while_and_says_so() -> None:
    desk = Desk(old())
    desk.wait(HOUR, every=MINUTE)
    since = desk.rig.verdict_since
    desk.price = None
    desk.wait(HOUR + MINUTE, every=MINUTE)
    assert (desk.rig.verdict, desk.rig.held, desk.rig.verdict_since) == (Verdict.CURTAIL, True, since)
    assert (desk.block.verdict, desk.block.held) == (Verdict.CURTAIL, True)
    desk.wait(2 * MINUTE, every=MINUTE)
    assert (desk.rig.verdict, desk.rig.held) == (Verdict.UNKNOWN, False)
    assert desk.block.verdict is Verdict.UNKNOWN
    desk.price = 0.05
    desk.wait(MINUTE)
    assert (desk.rig.verdict, desk.rig.held) == (Verdict.CURTAIL, False)


def test_a_block_is_judged_only_where_most_of_its_rigs_are_known() -> None:
    desk = Desk(*(rig(name=f"known-{n}") for n in range(7)), *(rig(name=f"dark-{n}", power=None) for n in range(3)))
    desk.wait(HOUR, every=MINUTE)
    assert desk.block.verdict is Verdict.UNKNOWN
    desk.rigs = (*(rig(name=f"known-{n}") for n in range(8)), *(rig(name=f"dark-{n}", power=None) for n in range(2)))
    desk.wait(MINUTE)
    assert desk.block.verdict is Verdict.MINE


def test_a_block_is_stopped_at_once_by_the_mean_price_of_its_rigs_that_have_one() -> None:
    settings = TERMS.model_copy(update={"immediate_stop_usd_per_kilowatt_hour": 0.2})
    rigs = [rig(name=f"priced-{n}") for n in range(8)]
    desk = Desk(*rigs, rig(name="without", power=None), settings=settings)
    desk.price = 0.01
    desk.evaluate()
    desk.price = 0.21
    desk.wait(15)
    assert desk.block.verdict is Verdict.CURTAIL


# --- one rig, priced ------------------------------------------------------------------------------------------------

PRICED = RigEconomics(
    power=1_000.0,
    best_margin=1.0,
    opportunity_margin=1.0,
    judged_revenue=2.2,
    judged_price=0.05,
    potential_power=1_000.0,
)
"""A rig of 1 kW that earns $1 a day, which is $365 per kW and year."""


def turn(elapsed: float = 0.0, ai_value: float | None = None, **changes: Any) -> Turn:
    market = MarketEconomics(ai_value_per_kilowatt_year=ai_value)
    return Turn(**({"settings": DecisionSettings(), "market": market, "now": NOW, "elapsed": elapsed} | changes))


def block_of(priced: RigEconomics, *rigs: RigSnapshot) -> BlockCase:
    """A block of such rigs; money and power are those of all."""
    summed = BlockEconomics(
        name="north",
        rigs=len(rigs),
        judged=len(rigs),
        judged_revenue=priced.judged_revenue,
        judged_power=priced.potential_power,
        marginal_price=priced.judged_price,
        opportunity_margin=priced.opportunity_margin,
        nameplate_doubt=priced.nameplate_doubt,
    )
    return BlockCase(
        block=Block(name="north"),
        economics=summed,
        rigs=rigs,
        survey=Survey(coverage=1.0, sight=1.0, observed=True, moment=None),
        window=Window(()),
        rules=Rules(SITE, NOW),
        tariffs={"ppa": 1_000.0},
    )


def curtailed(priced: RigEconomics, *, count: int = 1, **changes: Any) -> bool:
    """Whether a rig is curtailed whose start costs something, and a block of this rig alone."""
    restart = changes.pop("restart", RestartSettings(usd=0.09))
    asked, one = turn(settings=DecisionSettings(restart=restart), **changes), rig(facts={"count": count})
    clock = Clock(price=priced.judged_price)
    of_rig = decide_rig(clock, one, priced, asked, block_reassigned=False)[0].verdict
    assert decide_block(clock, block_of(priced, one), asked)[0].verdict is of_rig
    return of_rig is Verdict.CURTAIL


def test_a_start_of_a_block_costs_wear_for_each_rig_of_each_of_its_entries() -> None:
    """Six rigs in two entries, at $0.09 a start, lose $0.05 an hour."""
    priced = PRICED._replace(opportunity_margin=-1.2, judged_revenue=2.4, judged_price=0.15)
    case = block_of(priced, rig(facts={"count": 2}), rig(name="b", facts={"count": 4}))
    for hours, verdict in ((10.7, Verdict.MINE), (10.9, Verdict.CURTAIL)):
        costly = DecisionSettings(restart=RestartSettings(usd=0.09))
        asked = turn(settings=costly, ahead={"ppa": [Slot(hours, 0.15)]})
        assert decide_block(Clock(), case, asked)[0].verdict is verdict


def test_a_rig_that_earns_nothing_is_stopped_if_its_power_costs_more_than_a_start() -> None:
    priced = PRICED._replace(opportunity_margin=-1.2, judged_revenue=0.0)
    for hours, stops in ((1.7, False), (1.9, True)):
        assert curtailed(priced, ahead={"ppa": [Slot(hours, 0.05)]}) is stops


def test_a_rig_whose_loss_is_in_doubt_is_not_stopped() -> None:
    priced = PRICED._replace(opportunity_margin=-1.2, judged_revenue=0.0)
    ahead = {"ppa": [Slot(10.0, 0.05)]}
    assert curtailed(priced._replace(nameplate_doubt=1.1), ahead=ahead)
    assert not curtailed(priced._replace(nameplate_doubt=1.3), ahead=ahead)


@pytest.mark.parametrize(
    ("restart", "dollars"), [(RestartSettings(usd=0.09), 0.18), (RestartSettings(minutes=30), 0.05)]
)
def test_a_start_costs_wear_for_each_of_the_rigs_and_revenue_of_them_all(
    restart: RestartSettings, dollars: float
) -> None:
    """Two rigs that earn $2.40 a day together and lose $0.05 an hour."""
    priced = PRICED._replace(opportunity_margin=-1.2, judged_revenue=2.4, judged_price=0.15)
    for hours, stops in ((0.95, False), (1.05, True)):
        ahead = {"ppa": [Slot(hours * dollars / 0.05, 0.15)]}
        assert curtailed(priced, count=2, restart=restart, ahead=ahead) is stops


def test_a_rig_is_stopped_by_the_motion_of_its_own_tariffs_price() -> None:
    priced = PRICED._replace(opportunity_margin=-1.2, judged_revenue=2.4, judged_price=0.15)
    swing = Swing(mean=0.05, mean_error=0.0, deviation=0.05, hours=10.0)
    assert curtailed(priced, swings={"ppa": swing})
    assert not curtailed(priced, swings={"grid": swing})


def following(clock: Clock, priced: RigEconomics, ai_value: float, **settings: float) -> Clock:
    """The clock of a rig in a block that is `reassign`, an hour later."""
    asked = turn(HOUR, ai_value, settings=DecisionSettings.model_validate(settings))
    return decide_rig(clock, rig(), priced, asked, block_reassigned=True)[1]


REASSIGNED = Clock(verdict=Verdict.REASSIGN, reassign=Latch(on=True))


def test_a_rig_leaves_its_blocks_reassignment_after_a_day_in_which_it_earned_more_than_ai() -> None:
    clock, verdicts = REASSIGNED, []
    for _ in range(26):
        clock = following(clock, PRICED, 364.0)
        verdicts.append(clock.verdict)
    assert verdicts == [Verdict.REASSIGN] * 24 + [Verdict.MINE] * 2
    assert following(REASSIGNED, PRICED, 365.0) == replace(REASSIGNED, since=NOW, price=0.05)  # AI pays the same


@pytest.mark.parametrize(
    ("ai_value", "settings", "follows"),
    [
        (405.0, {"reassign_share": 0.0}, False),  # a score of 40
        (405.5, {"reassign_share": 0.0}, True),
        (405.5, {"reassign_share": 0.1}, False),  # a threshold of 40.55
        (406.0, {"reassign_share": 0.1}, True),
    ],
)
def test_a_rig_follows_its_block_above_the_threshold(
    ai_value: float, settings: dict[str, float], *, follows: bool
) -> None:
    clock = following(Clock(), PRICED, ai_value, **settings)
    assert clock.reassign == (Latch(evidence=0.0) if follows else OFF)
    again = following(following(clock, PRICED, ai_value, **settings), PRICED, ai_value, **settings)
    assert (again.verdict is Verdict.REASSIGN) is follows


def test_what_the_fence_of_a_stop_needs_is_kept_by_the_rig() -> None:
    """It lagged $0.06 behind, and earned a 24th of a dollar since."""
    asked = turn(HOUR, settings=DecisionSettings(restart=RestartSettings(usd=0.09)))
    clock = Clock(verdict=Verdict.MINE, since=NOW, regret=0.06, price=0.05, spare=0.04)
    moved = decide_rig(clock, rig(), PRICED, asked, block_reassigned=False)[1]
    assert (moved.regret, moved.spare) == (pytest.approx(0.06 - 1 / 24), 0.04)


def test_the_fence_of_a_block_is_that_of_its_one_rig() -> None:
    desk = Desk(rig(), settings=TERMS.model_copy(update={"restart": RestartSettings(usd=0.3)}))
    clock = Clock(verdict=Verdict.MINE, since=desk.now - HOUR, regret=0.2, price=0.05, spare=0.04)
    desk.state = DecisionState(evaluated_at=desk.now - HOUR, rigs={"a-01": clock}, blocks={"north": clock})
    desk.evaluate()
    one, block = desk.state.rigs["a-01"], desk.state.blocks["north"]
    assert (block.regret, block.price, block.spare) == pytest.approx((one.regret, one.price, one.spare))
    assert (block.since, desk.block.verdict_since) == (clock.since, clock.since)
    assert 0 < block.regret < 0.2


def test_a_clock_that_does_not_move_is_not_made_anew() -> None:
    clock = Clock(verdict=Verdict.MINE, since=NOW, price=0.05)
    for free in (False, True):
        assert decide_rig(clock, rig(), PRICED, turn(free_starts=free), block_reassigned=False)[1] is clock
    moved = decide_rig(clock, rig(), PRICED._replace(judged_price=0.04), turn(), block_reassigned=False)[1]
    assert moved == replace(clock, price=0.04)


def test_a_verdict_that_is_held_no_longer_began_to_be_unknown_now() -> None:
    clock = Clock(verdict=Verdict.MINE, since=NOW - DAY, stale_since=NOW - HOUR - 1)
    decision, moved = decide_rig(clock, rig(hashrate=None), RigEconomics(), turn(), block_reassigned=False)
    assert (decision.verdict, decision.verdict_since) == (Verdict.UNKNOWN, NOW)
    assert (moved.verdict, moved.since) == (Verdict.UNKNOWN, NOW)


@pytest.mark.parametrize(("drawn", "verdict"), [(99.0, Verdict.REPAIR), (100.0, Verdict.UNKNOWN)])
def test_a_silent_rig_stands_still_if_it_draws_less_than_a_tenth_of_its_power(drawn: float, verdict: Verdict) -> None:
    nearly, priced = Clock(repair=Latch(evidence=599.0)), PRICED._replace(billed_power=drawn)
    decision, _ = decide_rig(nearly, rig(hashrate=None), priced, turn(1.0), block_reassigned=False)
    assert decision.verdict is verdict


@pytest.mark.parametrize(
    ("clock", "drawn"), [(Clock(), 5.0), (Clock(verdict=Verdict.CURTAIL, curtail=Latch(on=True)), None)]
)
def test_a_silent_rig_has_a_new_verdict_only_if_it_is_curtailed_and_its_meter_shows_that_it_is_off(
    clock: Clock, drawn: float | None
) -> None:
    priced = PRICED._replace(billed_power=drawn, opportunity_margin=-1.0)
    decision, moved = decide_rig(clock, rig(hashrate=None), priced, turn(), block_reassigned=False)
    assert (decision.verdict, moved.stale_since) == (clock.verdict, NOW)  # held, or unknown as before


def test_a_silent_rig_that_is_off_on_purpose_or_as_curtailed_is_judged_by_its_margin() -> None:
    silent = rig(hashrate=None, expected_mining=False)
    decision, moved = decide_rig(Clock(), silent, PRICED, turn(), block_reassigned=False)
    assert (decision.verdict, moved.stale_since) == (Verdict.MINE, None)
    off = PRICED._replace(billed_power=5.0, opportunity_margin=-1.0)
    clock = Clock(verdict=Verdict.CURTAIL, since=NOW, curtail=Latch(on=True))
    decision, moved = decide_rig(clock, rig(hashrate=None), off, turn(), block_reassigned=False)
    assert (decision.verdict, moved.stale_since) == (Verdict.CURTAIL, None)


def test_a_repair_and_its_end_need_evidence_of_their_own_length_without_a_break() -> None:
    settings = TERMS.model_copy(update={"repair_after": 300.0, "recover_after": 600.0})
    desk = Desk(rig(hashrate=0.0), settings=settings)
    desk.wait(5 * MINUTE, every=MINUTE)
    desk.rigs = (rig(),)
    desk.wait(MINUTE)
    desk.rigs = (rig(hashrate=0.0),)
    desk.wait(5 * MINUTE, every=MINUTE)
    assert desk.rig.verdict is not Verdict.REPAIR  # it hashed in between
    desk.wait(MINUTE)
    assert desk.rig.verdict is Verdict.REPAIR
    desk.rigs = (rig(),)
    desk.wait(10 * MINUTE, every=MINUTE)
    assert desk.rig.verdict is Verdict.REPAIR
    desk.wait(MINUTE)
    assert desk.rig.verdict is Verdict.MINE


# --- reassign -------------------------------------------------------------------------------------------------------


def test_a_block_is_reassigned_after_its_evidence_and_then_its_dwell() -> None:
    desk = Desk(old())
    desk.evaluate()
    desk.wait(47 * HOUR, every=HOUR)
    assert (desk.block.verdict, desk.block.hindrance) == (Verdict.CURTAIL, Hindrance.EVIDENCE)
    assert desk.block.evidence == pytest.approx(47 / 48)
    assert desk.block.dwell == 0.0
    assert desk.block.reassign_score == pytest.approx(153.758737)  # it shows at once
    desk.wait(72 * HOUR, every=HOUR)
    assert (desk.block.verdict, desk.block.hindrance) == (Verdict.CURTAIL, Hindrance.DWELL)
    assert desk.block.dwell == pytest.approx(71 / 72)
    desk.wait(HOUR)
    assert (desk.block.verdict, desk.block.hindrance) == (Verdict.REASSIGN, None)
    desk.wait(2 * HOUR, every=HOUR)
    assert desk.rig.verdict is Verdict.REASSIGN
    assert desk.block.power_freed == pytest.approx(3_245 * 1.03)
    assert desk.block.margin_lost == 0.0
    assert desk.block.payback_years == pytest.approx(10_000 / (12 * 150 * 0.85))


def test_reassign_is_taken_back_below_zero_for_a_day() -> None:
    desk = Desk(old())
    desk.wait(121 * HOUR, every=HOUR)
    assert desk.block.verdict is Verdict.REASSIGN
    desk.rigs = (rig(),)
    desk.wait(23 * HOUR, every=HOUR)
    assert desk.block.verdict is Verdict.REASSIGN  # the week's mean is still low
    desk.wait(200 * HOUR, every=HOUR)
    assert desk.block.verdict is Verdict.MINE


def test_a_good_rig_stays_out_of_its_blocks_reassignment() -> None:
    many_old = tuple(old(name=f"old-{n}") for n in range(9))
    desk = Desk(rig(name="new"), *many_old)
    desk.wait(125 * HOUR, every=HOUR)
    assert desk.block.verdict is Verdict.REASSIGN
    assert desk.rig.verdict is Verdict.MINE
    assert {decided.verdict for decided in desk.decision.rigs[1:]} == {Verdict.REASSIGN}


@pytest.mark.parametrize(("watts", "verdict"), [(3_500.0, Verdict.REASSIGN), (None, Verdict.MINE)])
def test_ai_must_beat_what_a_rig_earns_if_its_nameplate_overstates_its_power(
    watts: float | None, verdict: Verdict
) -> None:
    """It earns $95 per kW and year, and a fifth less power would earn $88 more. AI earns $154."""
    rated = rig(hashrate=160e12, power=watts, facts={"rated_hashrate": 160e12, "rated_power": 3_500.0})
    desk = Desk(rated, *(old(name=f"old-{n}") for n in range(9)))
    desk.wait(125 * HOUR, every=HOUR)
    assert desk.block.verdict is Verdict.REASSIGN
    assert desk.rig.verdict is verdict


@pytest.mark.parametrize(
    "gone",
    [
        old(hashrate=0.0),
        old(power=None),
        old(power=None, uptime=60.0, last_good=LastGood(hashrate=110e12, power=3_245.0, observed_at=NOW)),
        old(hashrate=None),
    ],
    ids=["zero hashrate", "no watts", "no watts since its start", "silent"],
)
def test_reassign_is_left_at_once_when_hashrate_or_watts_are_gone(gone: RigSnapshot) -> None:
    desk = Desk(old())
    desk.wait(122 * HOUR, every=HOUR)
    assert desk.rig.verdict is Verdict.REASSIGN
    desk.rigs = (gone,)
    desk.wait(15)
    assert desk.rig.verdict is not Verdict.REASSIGN


def test_a_rig_whose_price_is_gone_for_a_moment_is_reassigned_again_at_once() -> None:
    desk = Desk(old())
    desk.wait(122 * HOUR, every=HOUR)
    assert desk.rig.verdict is Verdict.REASSIGN
    desk.price = None
    desk.wait(15)
    assert (desk.block.verdict, desk.block.held) == (Verdict.REASSIGN, True)
    assert (desk.rig.verdict, desk.rig.reassign_score) == (Verdict.UNKNOWN, None)
    desk.price = 0.05
    desk.wait(15)
    assert desk.rig.verdict is Verdict.REASSIGN


@pytest.mark.parametrize(
    ("blocks", "rig_block", "settings"),
    [
        ((Block(name="north", convertible_share=0.0),), "north", SITE),
        ((), UNASSIGNED, SITE),
        ((Block(name="north"),), "north", replace(SITE, ai=None)),
        (
            (Block(name="north"),),
            "north",
            replace(SITE, ai=LEASE.model_copy(update={"capex_usd_per_kilowatt": LEASE.rent_usd_per_kilowatt_month})),
        ),
    ],
    ids=["not convertible", "unassigned", "no ai section", "control: cheap capex"],
)
def test_only_what_can_be_converted_is_reassigned(blocks: Any, rig_block: str, settings: SiteSettings) -> None:
    desk = Desk(old(block=rig_block), site_settings=settings)
    desk.facts = {"blocks": blocks}
    desk.wait(130 * HOUR, every=HOUR)
    control = settings is not SITE and settings.ai is not None
    assert (desk.block.verdict is Verdict.REASSIGN) is control


def test_stale_inputs_stop_the_clock_of_a_block_and_hold_it() -> None:
    desk = Desk(old())
    desk.wait(50 * HOUR, every=HOUR)
    before = desk.state.blocks["north"].reassign
    assert before.evidence is not None
    desk.price = None
    desk.wait(HOUR)
    assert desk.state.blocks["north"].reassign == before
    assert desk.block.held


def test_time_without_evaluations_is_no_evidence_and_a_day_of_it_starts_the_clock_anew() -> None:
    desk = Desk(old())
    desk.wait(60 * HOUR, every=HOUR)
    before = desk.state.blocks["north"].reassign
    assert before.evidence == 11 * HOUR
    desk.wait(10 * HOUR)  # the exporter was down
    assert desk.state.blocks["north"].reassign == before
    desk.wait(HOUR)
    assert desk.state.blocks["north"].reassign.evidence == 12 * HOUR
    desk.wait(30 * HOUR)
    assert desk.state.blocks["north"].reassign.evidence == 0
    assert desk.block.watched == 60 * HOUR  # the history stays
    desk.now -= 2_000 * HOUR  # the clock went back
    desk.evaluate()
    assert desk.rig.verdict_since is not None
    assert desk.rig.verdict_since <= desk.now


def test_the_state_survives_as_json() -> None:
    desk = Desk(old(), rig(name="b", hashrate=0.0))
    desk.wait(123 * HOUR, every=HOUR)
    assert TypeAdapter(DecisionState).validate_json(to_json(desk.state)) == desk.state


# --- history --------------------------------------------------------------------------------------------------------


def hours_of(desk: Desk) -> list[BlockHour]:
    return list(desk.history.blocks["north"].hours)


def test_history_is_booked_by_the_hour() -> None:
    desk = Desk(rig())
    desk.evaluate()
    desk.wait(2 * HOUR, every=15 * MINUTE)
    first, *rest = hours_of(desk)
    assert len(rest) == 2
    assert sum(first.tariffs[0].kwh) == pytest.approx(3.605 * 0.75)  # the quarter that ends on the hour opens the next
    assert sum(hour.seconds for hour in hours_of(desk)) == 2 * HOUR
    assert desk.block.conversion_margin == pytest.approx(228.2319, rel=1e-5)


def test_history_keeps_only_its_window() -> None:
    desk = Desk(rig(), settings=TERMS.model_copy(update={"history": 30 * HOUR}))
    desk.wait(50 * HOUR, every=HOUR)
    assert len(hours_of(desk)) == 31
    assert desk.block.watched <= 31 * HOUR


def test_with_everything_shortened_a_block_turns_and_turns_back_in_minutes() -> None:
    quick = {
        "history": 2 * MINUTE,
        "history_needed": MINUTE,
        "reassign_after": MINUTE,
        "reassign_clear_after": MINUTE,
        "longest_gap": MINUTE,
    }
    desk = Desk(old(), settings=TERMS.model_copy(update=quick))
    desk.wait(3 * MINUTE, every=5)
    assert desk.block.verdict is Verdict.REASSIGN
    desk.price = 0.01  # 29.5 J/TH earn more than AI pays
    desk.wait(3 * MINUTE, every=5)
    assert desk.block.verdict is Verdict.MINE


def test_a_clock_that_jumps_ahead_for_a_moment_wipes_no_history() -> None:
    desk = Desk(rig())
    desk.wait(50 * HOUR, every=HOUR)
    before = desk.history.blocks["north"]
    desk.now += 10_000 * HOUR
    desk.evaluate()
    assert desk.block.watched == 0  # what is too old says nothing
    desk.now -= 10_000 * HOUR
    desk.evaluate()
    assert desk.history.blocks["north"] is before


def test_missing_inputs_book_nothing() -> None:
    desk = Desk(rig())
    desk.price = None
    desk.wait(5 * HOUR, every=HOUR)
    assert hours_of(desk) == []


# --- the model ------------------------------------------------------------------------------------------------------

MODEL = TERMS.model_copy(
    update={
        "history": 12 * HOUR,
        "history_needed": 4 * HOUR,
        "reassign_after": 6 * HOUR,
        "reassign_clear_after": 3 * HOUR,
    }
)
RANK = {Verdict.MINE: 0, Verdict.CURTAIL: 1, Verdict.REASSIGN: 2}


class Verdicts(RuleBasedStateMachine):
    """Two rigs in one block, the second never better than the first, in a market that does what it likes."""

    @initialize()
    def begin(self) -> None:
        self.desk = Desk(rig(name="good"), rig(name="bad", hashrate=180e12), settings=MODEL)
        self.left_mine: float | None = None
        self.latched_at = 0.0
        self.resumed: float | None = None
        self.desk.evaluate()

    @rule(price=st.sampled_from([-0.03, 0.05, 0.08, 0.12, None]))
    def power_price(self, price: float | None) -> None:
        self.desk.price = price
        self.time_passes(15.0, 1)

    @rule(
        good=st.sampled_from([250e12, 200e12, 150e12]),
        worse=st.sampled_from([1.0, 0.9, 0.6]),
        power=st.sampled_from([3_500.0, 5_000.0]),
    )
    def rigs_run(self, good: float, worse: float, power: float) -> None:
        self.desk.rigs = (
            rig(name="good", hashrate=good, power=power),
            rig(name="bad", hashrate=good * worse, power=power),
        )
        self.time_passes(15.0, 1)

    @rule(hashrate=st.sampled_from([0.0, None]), power=st.sampled_from([None, 30.0]), expected=st.booleans())
    def rigs_stop(self, hashrate: float | None, power: float | None, expected: bool) -> None:
        self.desk.rigs = tuple(
            rig(name=name, hashrate=hashrate, power=power, last_good=GOOD, expected_mining=expected)
            for name in ("good", "bad")
        )
        self.time_passes(15.0, 1)

    @rule(seconds=st.sampled_from([15.0, 300.0, 3_600.0]), times=st.sampled_from([1, 4, 12, 40]))
    def time_passes(self, seconds: float, times: int) -> None:
        for _ in range(times):
            before, latched = self.desk.decision, self.desk.state.blocks["north"].reassign.on
            self.desk.wait(seconds)
            self._check_step(before, was_latched=latched)

    @rule(hours=st.sampled_from([-5, 30]))
    def clock_jumps(self, hours: float) -> None:
        latched = self.desk.state.blocks["north"].reassign.on
        self.desk.now += hours * HOUR
        self.desk.evaluate()
        assert self.desk.block.watched <= 12 * HOUR
        assert latched or self.desk.block.verdict is not Verdict.REASSIGN
        self.left_mine = self.resumed = None
        self.latched_at = min(self.latched_at, self.desk.now)

    def _check_step(self, before: SiteDecision, *, was_latched: bool) -> None:
        was, now = before.blocks[0], self.desk.block
        if was.verdict is Verdict.MINE and now.verdict is Verdict.CURTAIL:
            assert self.resumed is None or self.desk.now - self.resumed >= 2 * 300
            self.left_mine = self.desk.now
        if was.verdict is Verdict.CURTAIL and now.verdict is Verdict.MINE:
            assert self.left_mine is None or self.desk.now - self.left_mine >= 3 * 300
            self.resumed = self.desk.now
        latched = self.desk.state.blocks["north"].reassign.on
        if latched and not was_latched:
            assert now.watched >= 4 * HOUR
            assert now.reassign_score is not None
            assert now.reassign_score > 40
            self.latched_at = self.desk.now
        if was_latched and not latched and now.hindrance is not Hindrance.NOT_OBSERVED:  # a blind block loses its flag
            assert self.desk.now - self.latched_at >= 3 * HOUR
            assert now.reassign_score is not None
            assert now.reassign_score < 0
        if now.verdict is Verdict.REASSIGN:
            assert latched
            assert now.coverage >= 0.8 or now.held

    @invariant()
    def verdicts_have_inputs(self) -> None:
        for snapshot, decided in zip(self.desk.rigs, self.desk.decision.rigs, strict=True):
            if decided.verdict in RANK and not decided.held:
                assert self.desk.price is not None
                assert snapshot.reading is not None or not snapshot.expected_mining
            if decided.verdict is Verdict.REASSIGN:
                assert snapshot.reading is not None
                assert snapshot.reading.value.hashrate > 0
                assert snapshot.reading.value.power is not None

    @invariant()
    def a_worse_rig_never_looks_better(self) -> None:
        good, bad = self.desk.decision.rigs
        if good.verdict in RANK and bad.verdict in RANK:
            assert RANK[bad.verdict] >= RANK[good.verdict]
        if good.reassign_score is not None and bad.reassign_score is not None:
            assert bad.reassign_score >= good.reassign_score

    @invariant()
    def no_verdict_began_in_the_future(self) -> None:
        for decided in (*self.desk.decision.rigs, self.desk.block):
            assert decided.verdict_since is not None
            assert decided.verdict_since <= self.desk.now


TestVerdicts = pytest.mark.exhaustive(Verdicts.TestCase)
TestVerdicts.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
