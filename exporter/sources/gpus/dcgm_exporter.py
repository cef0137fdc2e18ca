"""One node's dcgm-exporter, read from its own /metrics text."""

import asyncio
import re
from collections.abc import Iterator
from functools import cache
from typing import Final, Literal

from exporter.model.failures import Failure, Reason
from exporter.model.readings import Reading
from exporter.sources.contract import SourceContext, translating
from exporter.sources.gpus import FAMILIES, MAX_BYTES, Gpus, GpuSettings, Sample, read_gpus
from exporter.sources.http import HttpSettings, HttpSource

_WANTED: Final = tuple(f"{family}{{" for family in FAMILIES)
_LABEL: Final = re.compile(r'([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"')
_ESCAPE: Final = re.compile(r"\\(.)")


class Settings(HttpSettings, GpuSettings):
    """One endpoint; ``url`` is its whole address, such as http://node-1:9400/metrics."""

    kind: Literal["dcgm_exporter"] = "dcgm_exporter"

    def connect(self, context: SourceContext) -> "_DcgmExporter":
        """Make the source."""
        return _DcgmExporter(self, context)


class _DcgmExporter(HttpSource[Settings]):
    async def fetch(self) -> Reading[Gpus]:
        """Scrape the node; its text is parsed off the event loop."""
        text = await self._endpoint.get_text(max_bytes=MAX_BYTES)
        with translating():
            gpus = await asyncio.to_thread(parse, text, self._settings)
        if not gpus:
            raise Failure(Reason.GARBLED, "the text holds no GPU with a UUID: is it dcgm-exporter's?")
        return Reading(gpus, self._clock())


def parse(text: str, settings: GpuSettings) -> Gpus:
    """Read the GPUs from dcgm-exporter's text; lines of other families are skipped unparsed."""
    return read_gpus(_samples(text), settings)


def _samples(text: str) -> Iterator[Sample]:
    parsed = cache(_labels)  # a GPU's families carry the same labels
    for line in text.split("\n"):
        if line.startswith(_WANTED):
            family, _, rest = line.partition("{")
            labels, _, value = rest.rpartition("}")
            yield Sample(family, parsed(labels), float(value.split()[0]))


def _labels(text: str) -> dict[str, str]:
    return {name: _ESCAPE.sub(_unescape, value) if "\\" in value else value for name, value in _LABEL.findall(text)}


def _unescape(match: re.Match[str]) -> str:
    return "\n" if match[1] == "n" else match[1]
