"""The dashboards, as code: each module makes one, :data:`DASHBOARDS` names them by file."""

from collections.abc import Callable, Mapping
from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard

from dashboards import (
    block,
    customer,
    economics,
    exporter_health,
    fleet,
    gpu,
    ops_room,
    pool_against_rig,
    reassignment,
    rig,
)

DASHBOARDS: Final[Mapping[str, Callable[[], Dashboard]]] = {
    "ops-room": ops_room.build,
    "fleet": fleet.build,
    "economics": economics.build,
    "ai-reassignment": reassignment.build,
    "rig": rig.build,
    "block": block.build,
    "customer": customer.build,
    "gpu": gpu.build,
    "pool-against-rig": pool_against_rig.build,
    "exporter-health": exporter_health.build,
}
