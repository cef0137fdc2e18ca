"""When a plan is asked for: at each interval, and when prices ahead change, but not more than once a minute."""

from types import SimpleNamespace

import pytest
from sites import NOW, SITE, decided, rig, site
from test_decision_dayplan_question import HOUR, day_ahead

from exporter.day_plans import DayPlans
from exporter.decision.dayplan.question import Question
from exporter.decision.dayplan.settings import DayPlanSettings
from exporter.decision.dayplan.worth import Money, Worth
from exporter.decision.settings import DecisionSettings
from exporter.economics.site import price_site
from exporter.model.readings import PriceSlot, Reading
from exporter.model.snapshot import SiteSnapshot, TariffPrice
from exporter.telemetry import Telemetry

ON = DecisionSettings(day_plan=DayPlanSettings())


class Plans(DayPlans):
    """With a clock that stands still until it is moved."""

    def __init__(self) -> None:
        super().__init__(Telemetry(), None)
        self.apply(ON, changed=False)

    def consider_at(self, price: TariffPrice, seconds: float = 0.0, settings: DecisionSettings = ON) -> Question | None:
        known = site(rig(), taken_at=NOW + seconds, tariffs={"ppa": price})
        economics = price_site(known, SITE)
        asked = self.consider(known, economics, decided(known, economics), SITE, settings)
        if asked is not None:
            self.ask(asked)
        return asked


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds by which the monotonic clock of background tasks is moved."""
    moved = [0.0]
    monkeypatch.setattr("exporter.background.time", SimpleNamespace(monotonic=lambda: 1_000.0 + moved[0]))
    return moved


def test_nothing_is_asked_without_settings(wait: list[float]) -> None:
    assert Plans().consider_at(day_ahead(0.03, 0.03, 0.03), settings=DecisionSettings()) is None


def test_a_plan_is_asked_for_at_each_interval(wait: list[float]) -> None:
    plans, prices = Plans(), day_ahead(0.03, 0.03, 0.03)
    assert plans.consider_at(prices) is not None
    wait[0] += 899
    assert plans.consider_at(prices) is None
    wait[0] += 1
    assert plans.consider_at(prices) is not None


@pytest.mark.parametrize(
    ("then", "asked"),
    [
        (day_ahead(0.03, 0.03, 0.03), False),
        (day_ahead(0.03, 0.03, 0.03, 0.03), False),  # an hour more is known
        (day_ahead(0.03, 0.03, 0.03, 0.03, 0.03), True),
        (day_ahead(0.03, 0.04, 0.03), True),
        (TariffPrice(0.03), False),
    ],
    ids=["same prices", "an hour more", "two hours more", "another price", "nothing known ahead"],
)
def test_prices_that_change_are_planned_at_once(then: TariffPrice, asked: bool, wait: list[float]) -> None:
    plans = Plans()
    plans.consider_at(day_ahead(0.03, 0.03, 0.03))
    wait[0] += 60
    assert (plans.consider_at(then) is not None) is asked


def test_a_storm_of_prices_asks_once_a_minute(wait: list[float]) -> None:
    plans, questions = Plans(), 0
    for second in range(600):
        questions += plans.consider_at(day_ahead(0.03, 0.03 + second * 1e-5, 0.03)) is not None
        wait[0] += 1
    assert questions == 10


def test_a_fixed_price_that_is_read_again_is_no_change(wait: list[float]) -> None:
    plans = Plans()
    for read_at in (0, 300):
        wait[0] = read_at
        fixed = TariffPrice(0.05, ahead=(PriceSlot(NOW + read_at, NOW + read_at + 48 * HOUR, 0.05),))
        assert (plans.consider_at(fixed, read_at) is None) is bool(read_at)


def test_a_new_tariff_is_planned_at_once(wait: list[float]) -> None:
    plans, prices = Plans(), day_ahead(0.03, 0.03, 0.03)
    plans.consider_at(prices)
    wait[0] += 60
    known: SiteSnapshot = site(rig(), tariffs={"ppa": prices, "spot": TariffPrice(0.05)})
    economics = price_site(known, SITE)
    assert plans.consider(known, economics, decided(known, economics), SITE, ON) is not None


async def test_the_plan_in_force_is_part_of_the_next_question(wait: list[float]) -> None:
    plans, prices = Plans(), day_ahead(0.03, 0.30, 0.03)
    plans.consider_at(prices)
    await plans.background.answer()
    plan = plans.background.latest(NOW)
    assert plan is not None
    assert plan.problem.slots[0].start == NOW
    wait[0] += 900
    following = plans.consider_at(prices, 60)
    assert following is not None
    assert following.before == plan
    plans.apply(ON, changed=True)
    assert plans.background.latest(NOW) is None
    plans.apply(replace_interval(300.0), changed=False)
    assert plans.background.interval == 300.0
    plans.apply(DecisionSettings(), changed=False)
    assert plans.background.due


def replace_interval(seconds: float) -> DecisionSettings:
    return DecisionSettings(day_plan=DayPlanSettings(interval=seconds))


def test_nothing_is_asked_while_no_price_is_known_ahead(wait: list[float]) -> None:
    assert Plans().consider_at(TariffPrice(0.05)) is None


def test_the_worth_goes_on_after_a_restart() -> None:
    worth = Worth(at=NOW, today=Money(1.0, 2.0, 3.0))
    plans = DayPlans(Telemetry(), Reading(worth, NOW))
    assert plans.kept == worth
