"""What the plan was worth: the money of three policies on the same rigs, by UTC day, at the prices that came.

Energy is priced at what it was worth if it was not used, so that the policies compare: the plan, the verdicts, and what
was done. A start costs each of them the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from exporter.decision.dayplan.problem import Plan
from exporter.decision.dayplan.question import GroupKey, Rigs, Setting, point_now, rig_groups
from exporter.decision.judged import Terms, terms
from exporter.decision.values import SiteDecision, Verdict
from exporter.economics.values import RigEconomics, SiteEconomics
from exporter.model.snapshot import SiteSnapshot
from exporter.model.units import HOURS_PER_DAY, SECONDS_PER_DAY, kilowatts


class Money(NamedTuple):
    """USD by policy."""

    plan: float = 0.0
    verdict: float = 0.0
    done: float = 0.0


NOTHING: Final = Money()


class Running(NamedTuple):
    """Whether a group runs by each policy."""

    plan: bool
    verdict: bool
    done: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """The money so far. Only time counts in which a plan was in force."""

    at: float | None = None  # unix seconds of the last evaluation
    today: Money = NOTHING
    yesterday: Money | None = None
    running: Mapping[GroupKey, Running] = field(default_factory=dict)


def booked(
    before: Worth,
    plan: Plan | None,
    snapshot: SiteSnapshot,
    economics: SiteEconomics,
    decision: SiteDecision,
    setting: Setting,
) -> Worth:
    """Book the time since the last evaluation at the figures of this one. Longer gaps than watched are not booked."""
    now = snapshot.taken_at
    worth = _rolled(before, now)
    elapsed = 0.0 if before.at is None else now - before.at
    slot = (
        None
        if plan is None
        else next((n for n, each in enumerate(plan.problem.slots) if each.start <= now < each.end), None)
    )
    if plan is None or slot is None or not 0 <= elapsed <= setting.decision.longest_gap:
        return replace(worth, at=now, running={})
    groups, _ = rig_groups(snapshot, economics, decision, snapshot.tariffs, setting)
    money, running = worth.today, {}
    for number, group in enumerate(plan.problem.groups):
        key = GroupKey(group.block, group.name)
        rigs = groups.get(key)
        priced = [] if rigs is None else [economics.rigs[index] for index in rigs.indices]
        payout = economics.market.payout_usd
        if rigs is None or payout is None or (price := _price(priced[0], rigs)) is None:
            continue
        contracts = setting.site_settings.contracts
        point = plan.problem.groups[number].points[plan.choices[number][slot]]
        stops = [decision.rigs[index].verdict is Verdict.CURTAIL for index in rigs.indices]
        now_running = Running(point.kilowatts > 0, sum(stops) * 2 < len(stops), point_now(rigs) > 0)
        rates = Money(
            plan=point.work * payout - point.kilowatts * price * HOURS_PER_DAY,
            verdict=sum(each.opportunity_margin or 0.0 for each, stop in zip(priced, stops, strict=True) if not stop),
            done=sum(_done(each, price, terms(each, payout, contracts, stopping=True)) for each in priced),
        )
        former = worth.running.get(key, now_running)
        money = Money(
            *(
                total + rate * elapsed / SECONDS_PER_DAY - (group.start_cost if on and not was else 0.0)
                for total, rate, on, was in zip(money, rates, now_running, former, strict=True)
            )
        )
        running[key] = now_running
    return replace(worth, at=now, today=money, running=running)


def _price(rig: RigEconomics, rigs: Rigs) -> float | None:
    """Return what a kWh costs the one who decides on a rig of a group now; None if it is not known."""
    if not rig.hosted:
        return rig.marginal_price
    if rigs.tariff is None:
        return rigs.rate
    return None if rig.judged_price is None else rig.judged_price - rigs.rate


def _done(rig: RigEconomics, price: float, judged: Terms | None) -> float:
    """Return what a rig earns the one who decides on it now, USD per day, at his price of energy."""
    share = 1.0 if judged is None else judged.share
    factor = 1.0 if rig.books is None or rig.books.work_factor is None else rig.books.work_factor
    return (rig.revenue or 0.0) * factor * share - kilowatts(rig.billed_power or 0.0) * HOURS_PER_DAY * price


def _rolled(before: Worth, now: float) -> Worth:
    """Return it with a new day begun where midnight (UTC) has passed."""
    if before.at is None or now // SECONDS_PER_DAY == before.at // SECONDS_PER_DAY:
        return before
    follows = now // SECONDS_PER_DAY == before.at // SECONDS_PER_DAY + 1
    return replace(before, today=NOTHING, yesterday=before.today if follows else None)
