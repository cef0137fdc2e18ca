"""What the verdicts of a whole site are given: its AI business, its outlooks, contracts that end, and moving prices."""

from dataclasses import replace

import pytest
from sites import LEASE
from test_decision_books import at, in_south, theirs
from test_decision_conversion import BARE, HOUR, QUICK, Desk, of

from exporter.decision.curtailment import MIXED
from exporter.decision.history import FormerHours, MarginHistory
from exporter.decision.price_motion import PriceMotion
from exporter.decision.settings import DecisionSettings, RestartSettings
from exporter.decision.values import BlockOutlook, Clock, DecisionState, Hindrance, Verdict
from exporter.model.snapshot import RigSnapshot

COSTLY = QUICK.model_copy(update={"restart": RestartSettings(minutes=10)})
MOVING = PriceMotion(samples=200.0, mean=0.05, variance=1e-4, change=2e-5, changes=199.0, price=0.05)
"""A price that was known for days, and moved by about $0.01 around $0.05."""


def test_a_block_below_the_least_size_of_the_ai_business_is_not_reassigned() -> None:
    site = replace(BARE, ai=LEASE.model_copy(update={"least_kilowatts": 10.0}))
    assert Desk(of(29.5, kilowatts=9.0), site=site).evaluate().hindrance is Hindrance.BELOW_LEAST_SIZE
    assert Desk(of(29.5, kilowatts=10.0), site=site).evaluate().hindrance is Hindrance.EVIDENCE


def test_the_decision_on_a_block_has_its_outlook() -> None:
    desk = Desk(of(29.5), in_south(of(29.5, name="b")))
    desk.outlooks = {"south": BlockOutlook(probability=0.9, lead=1.0)}
    desk.evaluate()
    assert [block.outlook for block in desk.result.blocks] == [None, desk.outlooks["south"]]


def test_hours_of_a_former_version_are_kept_and_shown_with_their_block() -> None:
    desk = Desk(of(29.5), in_south(of(29.5, name="b")))
    former = {"south": FormerHours(hours=48, margin=12.0, kwh=100.0)}
    desk.history = MarginHistory(former=former)
    desk.evaluate()
    assert [block.former for block in desk.result.blocks] == [None, former["south"]]
    assert [block.verdict for block in desk.result.blocks] == [Verdict.MINE, Verdict.MINE]
    assert desk.history.former == former


def test_each_rig_has_a_clock_of_its_own() -> None:
    desk = Desk(of(29.5), of(17.5, name="b"))
    desk.evaluate()
    desk.wait(2)
    assert [rig.verdict for rig in desk.result.rigs] == [Verdict.CURTAIL, Verdict.MINE]


def test_a_contract_that_one_blocks_conversion_ends_costs_the_other_blocks_nothing() -> None:
    desk = Desk(theirs(29.5), in_south(theirs(29.5, name="b")), site=at(leave_usd=100))
    desk.state = DecisionState(blocks={"south": Clock(verdict=Verdict.REASSIGN, since=desk.now - HOUR)})
    desk.evaluate()
    assert [block.sale_value for block in desk.result.blocks] == [None, pytest.approx(-13.147, abs=1e-3)]


@pytest.mark.parametrize(("motions", "verdict"), [({"ppa": MOVING}, Verdict.CURTAIL), ({}, Verdict.MINE)])
def test_a_price_far_above_its_mean_stops_a_rig_at_once_where_its_motion_is_known(
    motions: dict[str, PriceMotion], verdict: Verdict
) -> None:
    desk = Desk(of(17.5), decision=COSTLY)
    desk.state = DecisionState(motions=motions)
    desk.prices["ppa"] = 0.2
    desk.evaluate()
    assert (desk.result.rigs[0].verdict, desk.block.verdict) == (verdict, verdict)


@pytest.mark.parametrize(
    ("rigs", "decision", "names"),
    [
        ((of(17.5), of(17.5, name="b")), COSTLY, {"ppa", "grid"}),
        ((of(17.5), replace(of(17.5), rig=replace(of(17.5, name="b").rig, tariff="grid"))), COSTLY,
         {"ppa", "grid", f"{MIXED}north"}),
        ((of(17.5),), QUICK, set()),
    ],
    ids=["one tariff", "two tariffs", "free starts"],
)  # fmt: skip
def test_the_price_of_a_block_is_observed_on_its_own_only_with_several_tariffs(
    rigs: tuple[RigSnapshot, ...], decision: DecisionSettings, names: set[str]
) -> None:
    desk = Desk(*rigs, decision=decision)
    desk.prices["grid"] = 0.04
    desk.evaluate()
    assert set(desk.state.motions) == names


def test_what_a_rig_has_lost_by_running_is_remembered_when_it_earns_again() -> None:
    """Each of two hours at $0.085 loses $0.0057, of a start that costs $0.0132."""
    desk = Desk(of(17.5), decision=COSTLY)
    desk.prices["ppa"] = 0.085
    desk.evaluate()
    desk.wait(1)
    lost = desk.state.rigs["a"].regret
    assert lost == pytest.approx(0.085 - 33.3 / 17.5 / 24)
    desk.prices["ppa"] = 0.079
    desk.wait(1)
    assert desk.state.rigs["a"].regret == pytest.approx(2 * lost)
