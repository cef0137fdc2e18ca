"""Luxor Pool, API v2. https://docs.luxor.tech/mining/api/v2/reporting."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import Field

from exporter.model.fields import Duration
from exporter.model.readings import PoolPayment, PoolWorker
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

_PAGE: Final = 1_000


class Settings(PoolSettings, KeySettings):
    """Workers and daily revenue of one Luxor sub-account. The key is made in *Settings, API keys*, as a viewer's."""

    kind: Literal["luxor"] = "luxor"
    url: str = Field(default="https://app.luxor.tech/api/v2", description="Address of the API.")
    request_interval: Duration = Field(default=0.1, description="Shortest time between two requests to the pool.")
    window: Duration = Field(
        description="Time over which the worker list averages, which Luxor does not document. Compare a worker that "
        "just stopped: after this time its hashrate is 0.",
    )

    def connect(self, context: SourceContext) -> "_Luxor":
        """Create the source."""
        return _Luxor(self, context)


class _Luxor(PoolSource):
    def __init__(self, settings: Settings, context: SourceContext) -> None:
        super().__init__(settings, context)
        self.window = settings.window

    async def workers(self) -> list[PoolWorker]:
        """Read all pages of the worker list."""
        found: list[PoolWorker] = []
        listed = total = 0
        for page in pages():
            params = {
                "subaccount_names": self.settings.account,
                "page_number": str(page),
                "page_size": str(_PAGE),
            }
            answer = await self.ask("GET", "/pool/workers/BTC", params=params, headers=self._headers())
            with translating():
                rows = answer["workers"]
                total = integer(answer["total_active"]) + integer(answer["total_inactive"])
                found += await self.read_each(rows, self._worker)
                listed += len(rows)
            if listed >= total or not rows:
                break
        return checked_total(found, listed, total)

    def _worker(self, row: dict[str, Any]) -> PoolWorker:
        return PoolWorker(
            worker_name(row["name"], self.settings.account), number(row["hashrate"]), moment(row.get("last_share_time"))
        )

    async def payments(self, days: Mapping[str, datetime]) -> list[PoolPayment]:
        """Read the settled revenue of each UTC day. That of single workers is an estimate, and not used."""
        params = {
            "subaccount_names": self.settings.account,
            "start_date": f"{days['start']:%Y-%m-%d}",
            "end_date": f"{days['end']:%Y-%m-%d}",
        }
        answer = await self.ask("GET", "/pool/revenue/BTC", params=params, headers=self._headers())
        with translating():
            return [
                PoolPayment(day_of(row["date_time"]), number(row["revenue"]["revenue"])) for row in answer["revenue"]
            ]

    def _headers(self) -> dict[str, str]:
        return {"authorization": self.settings.key}
