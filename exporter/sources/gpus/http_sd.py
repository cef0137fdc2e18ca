"""The GPUs of many nodes, found through Prometheus' HTTP service discovery.

https://prometheus.io/docs/prometheus/latest/http_sd: ``[{"targets": ["node-1:9400"], "labels": {...}}]``.
"""

from typing import Any, Literal

import structlog
from yarl import URL

from exporter.model.failures import Failure, Reason
from exporter.model.readings import Reading
from exporter.sources.contract import SourceContext, SourceSettings, translating
from exporter.sources.gpus import Gpus, GpuSettings, dcgm_exporter
from exporter.sources.group import SourceGroup
from exporter.sources.http import HttpSettings, HttpSource

_log = structlog.get_logger(__name__)


class Settings(HttpSettings, GpuSettings):
    """``url`` returns the list of targets. Login and certificates are used for the list and the targets."""

    kind: Literal["http_sd"] = "http_sd"

    def connect(self, context: SourceContext) -> "_HttpSd":
        """Create the source."""
        return _HttpSd(self, context)


class _HttpSd(HttpSource[Settings]):
    def __init__(self, settings: Settings, context: SourceContext) -> None:
        super().__init__(settings, context)
        self._group = SourceGroup({}, context)
        self._found = False
        self._lost = False

    async def fetch(self) -> Reading[Gpus]:
        """Request the list, then all targets at once. The GPUs of targets that fail are left out."""
        try:
            self._group.replace(await self._discover())
            self._found, self._lost = True, False
        except Failure as failure:
            if not self._found:
                raise
            if not self._lost:
                _log.warning("the list of targets failed: the last one is used", detail=failure.detail)
            self._lost = True
        readings: list[Reading[Gpus]] = [reading for _, reading in await self._group.ask()]
        gpus = {gpu.gpu: gpu for reading in readings for gpu in reading.value}
        return Reading(tuple(gpus.values()), min(reading.observed_at for reading in readings))

    async def _discover(self) -> dict[str, SourceSettings]:
        groups = await self._endpoint.get_json()
        with translating():
            found = {
                f"gpus:{target}": self._node(target, group.get("labels") or {})
                for group in groups
                for target in group["targets"]
            }
        if not found:
            raise Failure(Reason.NOT_READY, "the list has no targets")
        return found

    def _node(self, target: str, labels: dict[str, Any]) -> SourceSettings:
        own = URL(self._settings.url)
        address = URL(f"{labels.get('__scheme__', own.scheme)}://{target}{labels.get('__metrics_path__', '/metrics')}")
        said = {name: getattr(self._settings, name) for name in dcgm_exporter.Settings.model_fields}
        return dcgm_exporter.Settings.model_validate(said | {"kind": "dcgm_exporter", "url": str(address)})
