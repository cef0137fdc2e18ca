"""Foundry USA Pool. https://api.foundryusapool.com/openapi-spec.json."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import Field
from yarl import URL

from exporter.model.fields import Duration
from exporter.model.readings import PoolPayment, PoolWorker
from exporter.model.units import hashes_per_second
from exporter.sources.contract import SourceContext, integer, number, translating
from exporter.sources.pools import (
    KeySettings,
    PoolSettings,
    PoolSource,
    checked_total,
    day_of,
    moment,
    pages,
    worker_name,
)


class Settings(PoolSettings, KeySettings):
    """Workers and daily earnings of a Foundry sub-account. The key is made in *Account, API keys*, as read-only."""

    kind: Literal["foundry"] = "foundry"
    url: str = Field(default="https://api.foundryusapool.com", description="Address of the API.")
    request_interval: Duration = Field(default=0.1, description="Shortest time between two requests to the pool.")
    hashrate_unit: Literal["H/s", "GH/s", "TH/s"] = Field(
        description="Unit of `hashrate_1h` in the worker list. Foundry documents GH/s for its hourly and daily "
        "figures only: compare one worker with the pool's own page, and confirm it here.",
    )
    page_size: int = Field(default=1_000, ge=10, le=10_000, description="Workers per page to ask for.")
    first_page: Literal[0, 1] = Field(default=0, description="Number of the first page.")

    def connect(self, context: SourceContext) -> "_Foundry":
        """Create the source."""
        return _Foundry(self, context)


class _Foundry(PoolSource):
    async def workers(self) -> list[PoolWorker]:
        """Read all pages of the worker list."""
        settings = self.settings
        path = URL.build(path=f"/workers/{settings.account}").raw_path
        found: list[PoolWorker] = []
        listed = total = 0
        for page in pages(settings.first_page):
            params = {"coin": "BTC", "pageNumber": str(page), "pageSize": str(settings.page_size)}
            answer = await self.ask("GET", path, params=params, headers=self._headers())
            with translating():
                rows, total = answer["workersList"], integer(answer["totalWorkerCount"])
                found += await self.read_each(rows, self._worker)
                listed += len(rows)
            if listed >= total or not rows:
                break
        return checked_total(found, listed, total)

    def _worker(self, row: dict[str, Any]) -> PoolWorker:
        rate = hashes_per_second(number(row["hashrate_1h"]), self.settings.hashrate_unit)
        return PoolWorker(worker_name(row["workerName"], self.settings.account), rate, moment(row.get("lastShareTime")))

    async def payments(self, days: Mapping[str, datetime]) -> list[PoolPayment]:
        """Read the earnings of each UTC day, after the pool's fee."""
        path = URL.build(path=f"/v2/earnings/{self.settings.account}").raw_path
        params = {"coin": "BTC", "startDateUnixMs": str(round(days["start"].timestamp() * 1e3))}
        rows = await self.ask("GET", path, params=params, headers=self._headers())
        with translating():
            return [PoolPayment(day_of(row["startTime"]), number(row["totalAmount"])) for row in rows]

    def _headers(self) -> dict[str, str]:
        return {"X-API-KEY": self.settings.key}
