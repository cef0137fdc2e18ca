"""Keeps the day-ahead plan in force, and what following it would have earned."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from exporter.background import Background
from exporter.decision.dayplan.points import planned_points
from exporter.decision.dayplan.problem import Plan
from exporter.decision.dayplan.question import GroupKey, Question, Setting, Standing, question, standings
from exporter.decision.dayplan.settings import DayPlanSettings
from exporter.decision.dayplan.worth import Worth, booked
from exporter.decision.setpoints import NO_SETPOINTS, SiteSetpoints
from exporter.decision.settings import DecisionSettings
from exporter.decision.values import SiteDecision
from exporter.economics.settings import SiteSettings
from exporter.economics.values import SiteEconomics
from exporter.model.obligations import Obligation
from exporter.model.readings import PriceSlot, Reading
from exporter.model.snapshot import SiteSnapshot, TariffPrice
from exporter.telemetry import Telemetry

_SHORTEST_WAIT: Final = 60.0
"""Seconds between questions at least, however often prices change."""
_MORE_KNOWN: Final = 7_200.0
"""Seconds by which prices must be known further ahead, for a new plan at once."""


class DayPlans:
    """Asks for a plan at each interval, and when prices ahead or obligations change."""

    def __init__(self, telemetry: Telemetry, worth: Reading[Worth] | None) -> None:
        """Go on with the ``worth`` of before a restart."""
        self.background: Background[Question, Plan] = Background(
            "day-ahead plan", DayPlanSettings().interval, telemetry.day_plan_failures
        )
        self.worth = Worth() if worth is None else worth.value
        self._standings: Mapping[GroupKey, Standing] = {}
        self._asked_of: tuple[Mapping[str, TariffPrice], Sequence[Obligation]] = ({}, ())

    def apply(self, settings: DecisionSettings, *, changed: bool) -> None:
        """Take the settings; a plan that was made with others is dropped."""
        if settings.day_plan is not None:
            self.background.interval = settings.day_plan.interval
        if changed or settings.day_plan is None:
            self.background.forget()

    def consider(
        self,
        snapshot: SiteSnapshot,
        economics: SiteEconomics,
        decision: SiteDecision,
        site_settings: SiteSettings,
        settings: DecisionSettings,
        setpoints: SiteSetpoints = NO_SETPOINTS,
    ) -> Question | None:
        """Book the time since the last evaluation, and return a question for :meth:`ask` if it is time for one."""
        if settings.day_plan is None:
            return None
        setting = Setting(
            site_settings=site_settings,
            decision=settings,
            plan=settings.day_plan,
            obligations=snapshot.obligations.listed,
            standings=self._standings,
            points=planned_points(snapshot, setpoints, economics.market.payout_usd or 0.0),
        )
        before = self.background.latest(snapshot.taken_at)
        self.worth = booked(self.worth, before, snapshot, economics, decision, setting)
        if not self.background.due and (
            self.background.waited < _SHORTEST_WAIT or not self._differs(snapshot, setting.obligations)
        ):
            return None
        found = question(snapshot, economics, decision, setting)
        if found is None:
            return None
        self._standings = standings(self._standings, found.problem.groups, snapshot.taken_at)
        self._asked_of = snapshot.tariffs, setting.obligations
        return replace(found, before=before)

    @property
    def kept(self) -> Worth:
        """The worth as a restart keeps it: without what runs, which may have changed by then."""
        return replace(self.worth, running={})

    def ask(self, question: Question) -> None:
        """Let the worker answer the question."""
        self.background.ask(question)

    def _differs(self, snapshot: SiteSnapshot, obligations: Sequence[Obligation]) -> bool:
        tariffs, owed = self._asked_of
        return owed != obligations or any(
            _changed(tariffs.get(name), price) for name, price in snapshot.tariffs.items()
        )


def _changed(before: TariffPrice | None, now: TariffPrice) -> bool:
    """Return whether a tariff has another price for a slot, or is known much further ahead."""
    if before is None:
        return True
    known = {(slot.start, slot.end): slot.price for slot in before.ahead}
    return _end(now.ahead) - _end(before.ahead) >= _MORE_KNOWN or any(
        known.get((slot.start, slot.end), slot.price) != slot.price for slot in now.ahead
    )


def _end(slots: Sequence[PriceSlot]) -> float:
    return slots[-1].end if slots else 0.0
