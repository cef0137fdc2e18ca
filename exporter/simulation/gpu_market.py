"""The simulated market of GPU-hours: offers in the text of 500farm's vastai_exporter, and a daily index like Ornn's."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

from aiohttp import web

from exporter.model.units import SECONDS_PER_DAY
from exporter.simulation.machine import Wave
from exporter.simulation.service import Service

_USD: Final = {"H100 SXM": 2.01, "H100 PCIE": 1.74, "RTX 4090": 0.38}
"""Median of vast.ai's offers by model."""
_INDEX_RATIO: Final = 0.92
"""The index of rented hours against the median offer."""
_PUBLISHED_HOUR: Final = 21
_DAYS: Final = 90
_GPUS: Final = {"yes": 312, "no": 40}  # rented, free
_GROUPS: Final = (("any", 1.0), ("yes", 0.98), ("no", 1.19))
_FIGURES: Final = (("median", 1.0), ("10th_percentile", 0.8), ("90th_percentile", 1.33))


class GpuMarket:
    """Prices in USD per GPU-hour, which move a few per cent in a day."""

    def __init__(self, seed: int, clock: Callable[[], float], host: str, port: int) -> None:
        self._seed = seed
        self._clock = clock
        self._wave = Wave(Random(f"{seed} GPU-hours"), 611.0, 7_001.0, 90_001.0)
        self._scale = 1.0
        self.service = Service(
            "gpu-market",
            host,
            port,
            [web.get("/metrics/global", self._page), web.get("/api/gpu/{gpu}/index-history", self._history)],
        )

    def scale(self, factor: float) -> None:
        """Multiply all offers by a factor."""
        self._scale = factor

    def price(self, gpu: str) -> float:
        """Return the median offer now, in USD per GPU-hour."""
        return _USD[gpu] * self._scale * (1.0 + 0.03 * self._wave(self._clock()))

    def index(self, gpu: str, day: int) -> float:
        """Return the index of a day, numbered from 1970-01-01."""
        return round(_USD[gpu] * _INDEX_RATIO * (1.0 + Random(f"{self._seed} {gpu} {day}").gauss(0.0, 0.01)), 4)

    def text(self) -> str:
        """Return the page of the exporter."""
        lines = [
            f'vastai_ondemand_price_{figure}_dollars{{gpu_name="{gpu}",rented="{rented}",verified="{verified}"}} '
            f"{self.price(gpu) * factor * of_group:.4f}"
            for figure, factor in _FIGURES
            for gpu in _USD
            for rented, of_group in _GROUPS
            for verified in ("any", "yes")
        ]
        lines += [
            f'vastai_gpu_count{{gpu_name="{gpu}",rented="{rented}",verified="yes"}} {count}'
            for gpu in _USD
            for rented, count in _GPUS.items()
        ]
        return "\n".join(lines) + "\n"

    async def _page(self, request: web.Request) -> web.Response:  # noqa: ARG002 - a handler has one
        return web.Response(text=self.text(), content_type="text/plain")

    async def _history(self, request: web.Request) -> web.Response:
        gpu = request.match_info["gpu"]
        if gpu not in _USD:
            answer: dict[str, Any] = {"success": False, "error": f"GPU type {gpu} not found"}
            return web.json_response(answer, status=404)
        published = datetime.fromtimestamp(self._clock(), UTC) - timedelta(hours=_PUBLISHED_HOUR)
        last = int(published.timestamp() // SECONDS_PER_DAY)
        start = datetime(1970, 1, 1, _PUBLISHED_HOUR, tzinfo=UTC)
        days = [(start + timedelta(days=day), self.index(gpu, day)) for day in range(last - _DAYS + 1, last + 1)]
        wanted = request.query.get("startDate", "")
        data = [
            {"timestamp": f"{at:%Y-%m-%dT%H:%M:%S}.000Z", "index_value": value}
            for at, value in days
            if f"{at:%Y-%m-%d}" >= wanted
        ]
        return web.json_response({"success": True, "gpu_type": gpu, "data": data})
