"""The record that ``/api/v1/plan`` returns: the day-ahead plan, slot by slot."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from exporter.decision.dayplan.timetable import BlockHours
from exporter.exposition.views import PlanView


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedBlockRecord:
    """One block in one slot of the plan."""

    watts: Annotated[float, "Planned power at the billing meter."]
    profile: Annotated[str | None, "Operating point, or `off`. Null where its groups have several."]
    profiles: Annotated[Mapping[str, str], "Operating point by group of rigs: model, tariff and points."]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSlotRecord:
    """One slot of the plan."""

    start: Annotated[str, "Begin, UTC."]
    end: Annotated[str, "End, UTC."]
    price_usd_per_kilowatt_hour: Annotated[float | None, "Mean marginal price of the planned rigs."]
    watts: Annotated[float, "Planned power of all blocks."]
    blocks: Annotated[Mapping[str, PlannedBlockRecord], "Planned blocks, by name."]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRecord:
    """The day-ahead plan of `decision.day_plan`. Null while there is none."""

    computed_at: Annotated[str, "Time of the evaluation that it starts from, UTC."]
    horizon_end: Annotated[str, "End of the last slot, UTC: prices are known no further."]
    unit: Annotated[str, "Unit of all powers: W."]
    value_usd: float
    bound_usd: float
    gap_ratio: Annotated[float, "By how much a better plan could beat this one at most, as a share of the bound."]
    violation_watts: float
    early_starts_and_stops: Annotated[
        int, "Starts and stops before the shortest times, where a limit leaves no choice."
    ]
    excess_kilowatt_hours: Annotated[float, "Energy beyond the energy of a day."]
    earned_usd: Annotated[
        Mapping[str, Mapping[str, float]],
        "What was earned `today` and `yesterday` (UTC), by `plan`, `verdict`, `done`.",
    ]
    slots: Annotated[tuple[PlannedSlotRecord, ...], "The slots that are not over, in order."]


def plan_record(view: PlanView) -> PlanRecord:
    """Make the record of a plan."""
    plan, worth = view.timetable.plan, view.worth
    earned = {"today": worth.today, "yesterday": worth.yesterday}
    return PlanRecord(
        computed_at=_utc(plan.asked_at),
        horizon_end=_utc(plan.problem.slots[-1].end),
        unit="W",
        value_usd=plan.value,
        bound_usd=plan.bound,
        gap_ratio=plan.gap,
        violation_watts=view.timetable.violation_watts,
        early_starts_and_stops=plan.broken,
        excess_kilowatt_hours=plan.excess,
        earned_usd={day: money._asdict() for day, money in earned.items() if money is not None},
        slots=tuple(
            PlannedSlotRecord(
                start=_utc(slot.start),
                end=_utc(slot.end),
                price_usd_per_kilowatt_hour=price,
                watts=sum(hours.watts for hours in blocks.values()),
                blocks={name: _block_record(hours) for name, hours in blocks.items()},
            )
            for slot, price, blocks in view.timetable.slots
        ),
    )


def _block_record(hours: BlockHours) -> PlannedBlockRecord:
    points = dict(hours.points)
    same = set(points.values())
    return PlannedBlockRecord(watts=hours.watts, profile=same.pop() if len(same) == 1 else None, profiles=points)


def _utc(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
