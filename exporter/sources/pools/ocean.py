"""OCEAN, by payout address and without a key.

https://github.com/Retropex/custom-ocean.xyz-dashboard/blob/main/docs/ocean-api-integration.md
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import Field
from yarl import URL

from exporter.economics.reconciliation import PoolScheme
from exporter.model.failures import Failure, Reason
from exporter.model.readings import PoolPayment, PoolReading, PoolWorker, Reading
from exporter.model.units import bitcoins
from exporter.sources.contract import SourceContext, integer, number, translating
from exporter.sources.http import HttpSettings
from exporter.sources.pools import PoolSettings, PoolSource, day_of, moment, worker_name


class Settings(PoolSettings, HttpSettings):
    """Workers and earnings of a payout address at OCEAN. No key is needed."""

    kind: Literal["ocean"] = "ocean"
    url: str = Field(default="https://api.ocean.xyz", description="Address of the API.")
    scheme: PoolScheme = Field(default=PoolScheme.TIDES, description="What the pool pays for: tides.")

    def connect(self, context: SourceContext) -> "_Ocean":
        """Create the source."""
        return _Ocean(self, context)


class _Ocean(PoolSource):
    _taken_at: float | None = None

    async def fetch(self) -> Reading[PoolReading]:
        """Read the workers. Their time is that of the pool's own snapshot, if that is older."""
        reading = await super().fetch()
        taken_at = self._taken_at
        return reading if taken_at is None else Reading(reading.value, min(taken_at, reading.observed_at))

    async def workers(self) -> list[PoolWorker]:
        """Read the worker list. Each worker is a list of one, and numbers may be text."""
        address = URL.build(path=f"/v1/user_hashrate_full/{self.settings.account}").raw_path
        answer = await self.ask("GET", address)
        if isinstance(answer, dict) and not answer.get("result"):
            raise Failure(Reason.NOT_READY, "OCEAN knows no user of this address: is `account` the payout address?")
        with translating():
            self._taken_at = moment(answer["result"].get("snap_ts"))
            return await self.read_each(answer["result"]["workers"].items(), self._worker)

    def _worker(self, named: tuple[str, Any]) -> PoolWorker:
        login, rows = named
        (row,) = rows
        return PoolWorker(worker_name(login, self.settings.account), number(row["hashrate_3600s"]))

    async def payments(self, days: Mapping[str, datetime]) -> list[PoolPayment]:
        """Read the earnings of each block, which count for the UTC day of the block."""
        start, end = (round(days[name].timestamp()) for name in ("start", "end"))
        path = URL.build(path=f"/v1/earnpay/{self.settings.account}/{start}/{end}").raw_path
        answer = await self.ask("GET", path)
        with translating():
            rows = answer["result"]["earnings"] if "result" in answer else answer["earnings"]
            return [PoolPayment(day_of(row["ts"]), bitcoins(integer(row["satoshis_net_earned"]))) for row in rows]
