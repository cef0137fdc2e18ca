"""F2Pool, API v2. https://api.f2pool.com/v2/doc/en.html."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from exporter.model.readings import PoolPayment, PoolWorker
from exporter.sources.contract import SourceContext, number, translating
from exporter.sources.pools import KeySettings, PoolSettings, PoolSource, checked_total, day_of, moment, worker_name


class Settings(PoolSettings, KeySettings):
    """Workers and daily revenue of an F2Pool account. The secret is made in *Settings, API*."""

    kind: Literal["f2pool"] = "f2pool"
    url: str = Field(default="https://api.f2pool.com/v2", description="Address of the API.")

    def connect(self, context: SourceContext) -> "_F2Pool":
        """Create the source."""
        return _F2Pool(self, context)


class _F2Pool(PoolSource):
    async def workers(self) -> list[PoolWorker]:
        """Read the worker list, which has one page."""
        answer = await self._post("/hash_rate/worker/list")
        with translating():
            found = await self.read_each(answer["workers"], self._worker)
        return checked_total(found, len(found), len(found))

    def _worker(self, row: dict[str, Any]) -> PoolWorker:
        rates = row["hash_rate_info"]
        name = worker_name(rates["name"], self.settings.account)
        return PoolWorker(name, number(rates["h1_hash_rate"]), moment(row.get("last_share_at")))

    async def payments(self, days: Mapping[str, datetime]) -> list[PoolPayment]:
        """Read the revenue by the day on which it was mined."""
        span = {"start_time": round(days["start"].timestamp()), "end_time": round(self.clock())}  # of the booking
        answer = await self._post("/assets/transactions/list", type="revenue", **span)
        with translating():
            return [
                PoolPayment(day_of(row["mining_extra"]["mining_date"]), number(row["changed_balance"]))
                for row in answer["transactions"]
            ]

    async def _post(self, path: str, **more: object) -> Any:
        payload = {"mining_user_name": self.settings.account, "currency": "bitcoin"} | more
        return await self.ask("POST", path, payload=payload, headers={"F2P-API-SECRET": self.settings.key})
