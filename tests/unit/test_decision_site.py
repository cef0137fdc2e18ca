"""What the verdicts of a whole site are given: its AI business, its outlooks, contracts that end, and moving prices."""

from dataclasses import replace

import pytest
from sites import LEASE, NOW, decided, flat_market, replace_tariff, site
from test_decision_books import at, in_south, theirs
from test_decision_conversion import BARE, HOUR, QUICK, Desk, of

from exporter.decision.curtailment import MIXED
from exporter.decision.history import FormerHours, MarginHistory
from exporter.decision.latch import Latch
from exporter.decision.price_motion import PriceMotion
from exporter.decision.settings import DecisionSettings, RestartSettings
from exporter.decision.values import BlockOutlook, Clock, DecisionState, Hindrance, Verdict
from exporter.economics.site import price_on
from exporter.model.fleet import Block
from exporter.model.readings import PriceSlot
from exporter.model.snapshot import LastGood, RigSnapshot, TariffPrice

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
    """Of those that are `reassign`, the first that was bears them."""
    leaving = pytest.approx(-13.147, abs=1e-3)
    for hours, values in (
        ({"south": 1}, [None, leaving]),
        ({"north": 1, "south": 2}, [None, leaving]),
        ({"north": 2, "south": 1}, [leaving, None]),
        ({}, [leaving, leaving]),
    ):
        desk = Desk(theirs(29.5), in_south(theirs(29.5, name="b")), site=at(leave_usd=100))
        flagged = {name: Clock(verdict=Verdict.REASSIGN, since=desk.now - ago * HOUR) for name, ago in hours.items()}
        desk.state = DecisionState(blocks=flagged)
        desk.evaluate()
        assert [block.sale_value for block in desk.result.blocks] == values


def test_a_rig_follows_its_block_into_its_reassignment() -> None:
    desk = Desk(of(29.5), in_south(of(29.5, name="b")))
    desk.state = DecisionState(blocks={"south": Clock(verdict=Verdict.REASSIGN, reassign=Latch(on=True))})
    desk.evaluate()
    desk.wait(1)
    assert [rig.verdict for rig in desk.result.rigs] == [Verdict.CURTAIL, Verdict.REASSIGN]


@pytest.mark.parametrize(("coverage", "known"), [(0.5, True), (0.51, False)])
def test_an_hour_is_booked_and_a_margin_is_lost_only_if_enough_of_the_block_is_known(
    coverage: float, *, known: bool
) -> None:
    dark = of(17.5, name="b", hashrate=None, last_good=LastGood(hashrate=1e15 / 17.5, power=1e3, observed_at=NOW))
    desk = Desk(of(17.5), dark, decision=QUICK.model_copy(update={"coverage": coverage}))
    desk.evaluate()
    desk.wait(1)
    assert desk.block.coverage == 0.5
    assert (desk.block.watched > 0, desk.block.margin_lost is not None) == (known, known)
    assert desk.block.hindrance is (Hindrance.SCORE_TOO_LOW if known else Hindrance.NOT_OBSERVED)


def test_the_price_ahead_of_a_block_is_the_mean_of_its_tariffs_by_power() -> None:
    """Two rigs of 1 kW pay $0.20 and one $0.02, which is $0.14 a kWh: each hour loses $0.0607 a kW, of $0.0793."""
    billed = [replace_tariff(of(17.5, name=f"rig-{n}"), tariff) for n, tariff in enumerate(("ppa", "ppa", "grid"))]
    prices = {"ppa": 0.20, "grid": 0.02}
    slots = {name: [PriceSlot(NOW + n * HOUR, NOW + (n + 1) * HOUR, price) for n in range(2)]
             for name, price in prices.items()}  # fmt: skip
    tariffs = {name: TariffPrice(prices[name], ahead=tuple(slots[name])) for name in prices}
    snapshot = site(*billed, tariffs=tariffs, blocks=(Block(name="north"),))
    for dollars, verdict in ((0.119, Verdict.CURTAIL), (0.124, Verdict.MINE)):
        costly = DecisionSettings(restart=RestartSettings(usd=dollars))
        economics = price_on(flat_market(), snapshot, BARE)
        assert decided(snapshot, economics, costly, BARE).blocks[0].verdict is verdict


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
    desk.wait(1)
    assert all(motion.samples > 1 for motion in desk.state.motions.values())


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
