"""The dashboards, as code: each module makes one, :data:`DASHBOARDS` names them by file."""

from collections.abc import Callable, Mapping
from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard

from dashboards import ops_room

DASHBOARDS: Final[Mapping[str, Callable[[], Dashboard]]] = {
    "ops-room": ops_room.build,
}
