"""Braiins Pool. One request per 5 seconds: more frequent clients are banned.

https://academy.braiins.com/braiins-pool/monitoring
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from exporter.model.fields import Duration
from exporter.model.readings import PoolPayment, PoolWorker
from exporter.model.units import hashes_per_second
from exporter.sources.contract import SourceContext, number, translating
from exporter.sources.pools import KeySettings, PoolSettings, PoolSource, day_of, moment, worker_name


class Settings(PoolSettings, KeySettings):
    """Workers and daily rewards of Braiins Pool. The token is made in *Settings, Access Profiles*, read-only."""

    kind: Literal["braiins"] = "braiins"
    url: str = Field(default="https://pool.braiins.com", description="Address of the API.")
    request_interval: Duration = Field(default=5.0, description="Shortest time between two requests to the pool.")

    def connect(self, context: SourceContext) -> "_Braiins":
        """Create the source."""
        return _Braiins(self, context)


class _Braiins(PoolSource):
    async def workers(self) -> list[PoolWorker]:
        """Read the worker list, which has one page. ``state`` is not used: with `dis` it may be mining."""
        answer = await self.ask("GET", "/accounts/workers/json/btc", headers=self._headers())
        with translating():
            return await self.read_each(answer["btc"]["workers"].items(), self._worker)

    def _worker(self, named: tuple[str, Any]) -> PoolWorker:
        login, row = named
        return PoolWorker(
            worker_name(login, self.settings.account),
            hashes_per_second(number(row["hash_rate_60m"]), row["hash_rate_unit"]),
            moment(row.get("last_share")),
        )

    async def payments(self, days: Mapping[str, datetime]) -> list[PoolPayment]:
        """Read the rewards of each UTC day."""
        span = {"from": f"{days['start']:%Y-%m-%d}", "to": f"{days['end']:%Y-%m-%d}"}
        answer = await self.ask("GET", "/accounts/rewards/json/btc", params=span, headers=self._headers())
        with translating():
            rows = answer["btc"]["daily_rewards"]
            return [PoolPayment(day_of(row["date"]), number(row["total_reward"])) for row in rows]

    def _headers(self) -> dict[str, str]:
        return {"Pool-Auth-Token": self.settings.key}
