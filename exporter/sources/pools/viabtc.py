"""ViaBTC. Profits need a signed request with more rights than a watcher has, and are not read.

https://github.com/viabtc/viapool_api/wiki
"""

from typing import Any, Literal

from pydantic import Field

from exporter.model.fields import Duration
from exporter.model.readings import PoolWorker
from exporter.sources.contract import SourceContext, flag, number, translating
from exporter.sources.pools import KeySettings, PoolSettings, PoolSource, checked_total, moment, pages, worker_name


class Settings(PoolSettings, KeySettings):
    """Workers of a ViaBTC account. The key is made in *Account settings, API*."""

    kind: Literal["viabtc"] = "viabtc"
    url: str = Field(default="https://www.viabtc.net/res/openapi/v1", description="Address of the API.")
    request_interval: Duration = Field(default=0.05, description="Shortest time between two requests to the pool.")
    page_size: int = Field(default=500, ge=1, le=10_000, description="Workers per page to ask for.")

    def connect(self, context: SourceContext) -> "_ViaBTC":
        """Create the source."""
        return _ViaBTC(self, context)


class _ViaBTC(PoolSource):
    async def workers(self) -> list[PoolWorker]:
        """Read all pages of the worker list."""
        found: list[PoolWorker] = []
        for page in pages():
            params = {"coin": "BTC", "page": str(page), "limit": str(self.settings.page_size)}
            answer = await self.ask("GET", "/hashrate/worker", params=params, headers={"X-API-KEY": self.settings.key})
            with translating():
                data = answer["data"]
                found += await self.read_each(data["data"], self._worker)
                more = flag(data["has_next"])
            if not more:
                break
        return checked_total(found, len(found), len(found))

    def _worker(self, row: dict[str, Any]) -> PoolWorker:
        name = worker_name(row["worker_name"], self.settings.account)
        return PoolWorker(name, number(row["hashrate_1hour"]), moment(row.get("last_active")))
