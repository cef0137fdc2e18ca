"""The GPUs of one node with NVIDIA's dcgm-exporter, from its /metrics text."""

import asyncio
from typing import Literal

from exporter.model.failures import Failure, Reason
from exporter.model.readings import Reading
from exporter.sources.contract import SourceContext, translating
from exporter.sources.gpus import FAMILIES, MAX_BYTES, Gpus, GpuSettings, read_gpus
from exporter.sources.http import HttpSettings, HttpSource
from exporter.sources.metrics_text import samples


class Settings(HttpSettings, GpuSettings):
    """One endpoint. ``url`` is its whole address, such as http://node-1:9400/metrics."""

    kind: Literal["dcgm_exporter"] = "dcgm_exporter"

    @property
    def likely_cause(self) -> str:
        """The most likely cause of an answer without a GPU."""
        return "it has no GPU with a UUID: is it the text of dcgm-exporter?"

    def connect(self, context: SourceContext) -> "_DcgmExporter":
        """Create the source."""
        return _DcgmExporter(self, context)


class _DcgmExporter(HttpSource[Settings]):
    def __init__(self, settings: Settings, context: SourceContext) -> None:
        super().__init__(settings, context)
        context.claims.setdefault(settings.where, self)

    async def fetch(self) -> Reading[Gpus]:
        """Scrape the node. The text is parsed in a thread."""
        text = await self._endpoint.get_text(max_bytes=MAX_BYTES)
        unreadable: list[str] = []
        with translating():
            gpus = await asyncio.to_thread(parse, text, self._settings, unreadable)
        if not gpus:
            detail = unreadable[0] if unreadable else self._settings.likely_cause
            advice = (
                "open url in a browser: it must show DCGM_FI_ or gpu_ metrics; their exporter's port is 9400 or 5000"
            )
            raise Failure(Reason.GARBLED, detail, advice=advice)
        if unreadable:
            self._discards.note("line", unreadable[0], len(unreadable))
        return Reading(gpus, self._clock())


def parse(text: str, settings: GpuSettings, unreadable: list[str] | None = None) -> Gpus:
    """Read the GPUs from the text. Lines of other families are skipped. Broken lines go to ``unreadable``."""
    return read_gpus(samples(text, FAMILIES, [] if unreadable is None else unreadable), settings)
