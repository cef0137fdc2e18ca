"""The records that ``/api/v1/obligations`` returns. Powers in watts at the billing point, times in unix seconds."""

from dataclasses import dataclass
from typing import Annotated

from exporter.economics.compliance import Delivery
from exporter.model.obligations import Obligation


@dataclass(frozen=True, slots=True, kw_only=True)
class ObligationRecord:
    """One obligation that holds now or later."""

    source: Annotated[str, "Name of its source."]
    event: Annotated[str, "Identifier of its event at the source."]
    kind: Annotated[str, "`call`, `cap`, `peak`, `award`, `maintenance` or `schedule`."]
    program: Annotated[str, "Program of the event."]
    reason: Annotated[str, "Name or reason of the event."]
    blocks: Annotated[tuple[str, ...], "The blocks that it is about. Empty means the whole site."]
    start_timestamp_seconds: Annotated[float | None, "When it begins. Null if its source gives no beginning."]
    end_timestamp_seconds: Annotated[float | None, "When it ends. Null if it lasts until further notice."]
    cap_watts: Annotated[float | None, "Most that may be drawn."]
    floor_watts: Annotated[float | None, "Least that must run."]
    reduction_watts: Annotated[float | None, "Reduction below a baseline that is not known yet."]
    level: Annotated[int | None, "Level of the call, 1 to 3."]
    unclear: Annotated[str, "Why it is not known what it demands. Empty if it is."]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRecord:
    """One settlement interval of an event that has ended. Powers are means over what was measured of it."""

    source: Annotated[str, "Name of the source."]
    event: Annotated[str, "Identifier of the event at the source."]
    kind: Annotated[str, "`call`, `cap`, `peak`, `award`, `maintenance` or `schedule`."]
    program: Annotated[str, "Program of the event."]
    reason: Annotated[str, "Name or reason of the event."]
    blocks: Annotated[tuple[str, ...], "The blocks that it is about. Empty means the whole site."]
    start_timestamp_seconds: Annotated[float, "When the interval began."]
    end_timestamp_seconds: Annotated[float, "When it ended."]
    cap_watts: Annotated[float | None, "Most that was allowed."]
    floor_watts: Annotated[float | None, "Least that was required."]
    baseline_watts: Annotated[float | None, "What a reduction was counted from."]
    delivered_watts: Annotated[float | None, "Power drawn. Null if nothing was measured."]
    measured_ratio: Annotated[float, "Share of the interval that was measured."]
    power_source: Annotated[str, "`meter`, or the worst source of a rig: `metered`, `reported` or `nameplate`."]
    price_usd_per_kilowatt_hour: Annotated[float | None, "Payment for capacity, per kW and hour."]
    outcome: Annotated[str, "`kept`, `failed` or `not_measured`."]


def obligation_record(obligation: Obligation) -> ObligationRecord:
    """Make the record of an obligation."""
    return ObligationRecord(
        source=obligation.source,
        event=obligation.event,
        kind=obligation.kind,
        program=obligation.program,
        reason=obligation.reason,
        blocks=obligation.blocks,
        start_timestamp_seconds=obligation.start or None,  # 0: it has always held
        end_timestamp_seconds=obligation.end,
        cap_watts=obligation.cap,
        floor_watts=obligation.floor,
        reduction_watts=obligation.reduction,
        level=obligation.level,
        unclear=obligation.unclear,
    )


def delivery_record(delivery: Delivery) -> DeliveryRecord:
    """Make the record of an interval."""
    return DeliveryRecord(
        source=delivery.source,
        event=delivery.event,
        kind=delivery.kind,
        program=delivery.program,
        reason=delivery.reason,
        blocks=delivery.blocks,
        start_timestamp_seconds=delivery.start,
        end_timestamp_seconds=delivery.end,
        cap_watts=delivery.cap,
        floor_watts=delivery.floor,
        baseline_watts=delivery.baseline,
        delivered_watts=delivery.delivered,
        measured_ratio=delivery.measured / (delivery.end - delivery.start),
        power_source=delivery.power_source,
        price_usd_per_kilowatt_hour=delivery.price,
        outcome=delivery.outcome,
    )
