"""The records that ``/api/v1/setpoints`` and ``/api/v1/shed`` return."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from exporter.decision.shedding import Load, Shedding, loads, order, shed
from exporter.exposition.views import RigView, SiteView
from exporter.model.units import HOURS_PER_DAY, WATTS_PER_KILOWATT, kilowatts


@dataclass(frozen=True, slots=True, kw_only=True)
class SetpointRecord:
    """At which operating point a rig runs and should run. The rigs that shed most per dollar lost come first."""

    rig: Annotated[str, "Name of the rig."]
    address: Annotated[str, "IP address or host name."]
    block: Annotated[str, "Block of the rig."]
    model: Annotated[str, "Model. Empty until the rig is identified."]
    firmware: Annotated[str, "Firmware. Empty until the rig is identified."]
    verdict: Annotated[str | None, "Verdict of the rig."]
    operating_point: Annotated[str | None, "Point in force, named as in the firmware. Null if it cannot be judged."]
    best_point: Annotated[str | None, "Point at which it should run, or `off`. Null if no point can be judged."]
    best_point_confidence: Annotated[
        str | None,
        "Origin of its figures: `measured` on the rig, `pooled` from its model, or `estimate` of the firmware.",
    ]
    best_power_watts: float | None
    best_margin_usd_per_day: float | None
    tuning_gain_usd_per_day: float | None
    tuning_gain_low_usd_per_day: float | None
    valid_until_timestamp_seconds: Annotated[float | None, "Until when the setpoint may be acted on."]
    lower_point: Annotated[str | None, "Next lower point, or `off`. Null if the rig draws no known power."]
    lower_point_shed_watts: Annotated[float | None, "What that sheds at the billing meter."]
    lower_point_loss_usd_per_kilowatt_hour: Annotated[
        float | None, "What that loses per kWh not used; below 0 if it earns more."
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class CutRecord:
    """One rig that changes its point, to shed power."""

    rig: Annotated[str, "Name of the rig."]
    address: Annotated[str, "IP address or host name."]
    block: Annotated[str, "Block of the rig."]
    firmware: Annotated[str, "Firmware. Empty until the rig is identified."]
    operating_point: Annotated[str | None, "Point in force. Null if it cannot be judged."]
    point: Annotated[str, "Point to run at instead, or `off`."]
    shed_watts: Annotated[float, "What that sheds at the billing meter."]
    loss_usd_per_day: Annotated[
        float, "What that loses the one who decides whether the rig runs; below 0 if it earns more."
    ]
    valid_until_timestamp_seconds: Annotated[
        float | None, "Until when the cut may be acted on. Null if the rig's points cannot be judged."
    ]
    missing_watts: Annotated[float, "What all cuts together fall short of what was asked for, the same in each row."]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShedRecord:
    """How to shed power at the least loss."""

    shed_watts: Annotated[float, "What the cuts shed at the billing meter: at least what was asked for, if possible."]
    missing_watts: Annotated[float, "What cannot be shed."]
    loss_usd_per_day: Annotated[float, "What the cuts lose together; below 0 if they earn more."]
    valid_until_timestamp_seconds: Annotated[
        float | None, "Until when the cuts may be acted on. Null if the points of none of these rigs can be judged."
    ]
    blocks_over_capacity: Annotated[tuple[str, ...], "Blocks above their feeder's capacity, which are cut first."]
    cuts: Annotated[tuple[CutRecord, ...], "The rigs that change their point, least loss per kW first."]


def setpoint_records(view: SiteView) -> list[SetpointRecord]:
    """Return the record of every rig, most kilowatts per dollar lost first; rigs that can shed nothing come last."""
    found = {load.slot: load for load in loads(view.snapshot, view.economics, view.setpoints, view.contracts)}
    able = sorted(found, key=lambda index: (order(found[index]), found[index].rig))
    rest = [index for index in range(len(view.rigs)) if index not in found]
    return [_setpoint(view, index, found.get(index)) for index in (*able, *rest)]


def _setpoint(view: SiteView, index: int, load: Load | None) -> SetpointRecord:
    rig = view.rigs[index]
    setpoint = view.setpoints.rigs[index] if view.setpoints.rigs else None
    best = None if setpoint is None else setpoint.best
    lower = None if load is None else load.lower[0]
    model, firmware = _product(rig)
    return SetpointRecord(
        rig=rig.snapshot.rig.name,
        address=rig.snapshot.rig.address,
        block=rig.snapshot.rig.block,
        model=model,
        firmware=firmware,
        verdict=rig.decision.verdict,
        operating_point=None if setpoint is None or setpoint.in_force is None else setpoint.in_force.name,
        best_point=None if setpoint is None else setpoint.name,
        best_point_confidence=None if best is None else best.trust,
        best_power_watts=None if setpoint is None else setpoint.best_power,
        best_margin_usd_per_day=None if setpoint is None else setpoint.best_margin,
        tuning_gain_usd_per_day=None if setpoint is None else setpoint.gain,
        tuning_gain_low_usd_per_day=None if setpoint is None else setpoint.gain_low,
        valid_until_timestamp_seconds=None if setpoint is None else setpoint.valid_until,
        lower_point=None if lower is None else lower.name,
        lower_point_shed_watts=None if lower is None else lower.kilowatts * WATTS_PER_KILOWATT,
        lower_point_loss_usd_per_kilowatt_hour=None if lower is None else lower.loss / lower.kilowatts / HOURS_PER_DAY,
    )


def _product(rig: RigView) -> tuple[str, str]:
    who = rig.snapshot.identity
    return ("", "") if who is None else (who.model, who.firmware)


def shed_record(view: SiteView, wanted: float) -> ShedRecord:
    """Return how to shed so many kilowatts."""
    capacities = {
        block.name: kilowatts(block.capacity_watts)
        for block in view.snapshot.blocks
        if block.capacity_watts is not None
    }
    drawn = {block.name: kilowatts(block.billed_power) for block in view.economics.blocks if block.billed_power}
    found = shed(loads(view.snapshot, view.economics, view.setpoints, view.contracts), wanted, capacities, drawn)
    return ShedRecord(
        shed_watts=found.kilowatts * WATTS_PER_KILOWATT,
        missing_watts=found.missing * WATTS_PER_KILOWATT,
        loss_usd_per_day=found.loss,
        valid_until_timestamp_seconds=_valid_until(view, found),
        blocks_over_capacity=tuple(found.over_capacity),
        cuts=tuple(_cuts(view, found)),
    )


def _valid_until(view: SiteView, found: Shedding) -> float | None:
    """Return when the first of the cuts' setpoints ends."""
    return min((until for cut in found.cuts if (until := _end(view, cut.slot)) is not None), default=None)


def _end(view: SiteView, index: int) -> float | None:
    setpoint = view.setpoints.rigs[index] if view.setpoints.rigs else None
    return None if setpoint is None else setpoint.valid_until


def _cuts(view: SiteView, found: Shedding) -> Iterator[CutRecord]:
    for cut in found.cuts:
        rig = view.rigs[cut.slot]
        yield CutRecord(
            rig=cut.rig,
            address=rig.snapshot.rig.address,
            block=cut.block,
            firmware=_product(rig)[1],
            operating_point=cut.in_force or None,
            point=cut.point,
            shed_watts=cut.kilowatts * WATTS_PER_KILOWATT,
            loss_usd_per_day=cut.loss,
            valid_until_timestamp_seconds=_end(view, cut.slot),
            missing_watts=found.missing * WATTS_PER_KILOWATT,
        )
