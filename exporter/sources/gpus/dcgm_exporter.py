"""The GPUs of one node with NVIDIA's dcgm-exporter, from its /metrics text."""

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
_LONGEST_QUOTE: Final = 80


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
    return read_gpus(_samples(text, [] if unreadable is None else unreadable), settings)


def _samples(text: str, unreadable: list[str]) -> Iterator[Sample]:
    parsed = cache(_labels)  # the families of a GPU have the same labels
    for line in text.split("\n"):
        if line.startswith(_WANTED):
            family, _, rest = line.partition("{")
            labels, _, value = rest.rpartition("}")
            try:
                sample = Sample(family, parsed(labels), float(value.split()[0]))
            except (ValueError, IndexError):
                unreadable.append(f"not a sample: {line[:_LONGEST_QUOTE]!r}")
            else:
                yield sample


def _labels(text: str) -> dict[str, str]:
    return {name: _ESCAPE.sub(_unescape, value) if "\\" in value else value for name, value in _LABEL.findall(text)}


def _unescape(match: re.Match[str]) -> str:
    return "\n" if match[1] == "n" else match[1]
