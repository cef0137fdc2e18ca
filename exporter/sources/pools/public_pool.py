"""public-pool, such as public-pool.io or one of your own: by payout address, without a key.

https://github.com/benjamin-wilson/public-pool
"""

from collections import defaultdict
from typing import Any, Literal

from pydantic import Field
from yarl import URL

from exporter.economics.reconciliation import PoolScheme
from exporter.model.fields import Duration
from exporter.model.readings import PoolWorker
from exporter.sources.contract import SourceContext, number, translating
from exporter.sources.http import HttpSettings
from exporter.sources.pools import PoolSettings, PoolSource, moment, worker_name


class Settings(PoolSettings, HttpSettings):
    """Workers of a payout address at a public-pool. No key is needed; a solo pool pays only for blocks."""

    kind: Literal["public_pool"] = "public_pool"
    url: str = Field(default="https://public-pool.io:40557", description="Address of the API.")
    scheme: PoolScheme = Field(default=PoolScheme.SOLO, description="What the pool pays for: solo.")
    window: Duration = Field(
        description="Time over which the server averages a worker's hashrate, which it does not report. Compare a "
        "worker that just stopped: after this time its hashrate is 0.",
    )

    def connect(self, context: SourceContext) -> "_PublicPool":
        """Create the source."""
        return _PublicPool(self, context)


class _PublicPool(PoolSource):
    def __init__(self, settings: Settings, context: SourceContext) -> None:
        super().__init__(settings, context)
        self.window = settings.window

    async def workers(self) -> list[PoolWorker]:
        """Read the workers of the address. A worker has an entry per session; they are added up."""
        answer = await self.ask("GET", URL.build(path=f"/api/client/{self.settings.account}").raw_path)
        with translating():
            sessions = await self.read_each(answer["workers"], self._worker)
        by_name: dict[str, list[PoolWorker]] = defaultdict(list)
        for session in sessions:
            by_name[session.name].append(session)
        return [_joined(name, found) for name, found in by_name.items()]

    def _worker(self, row: dict[str, Any]) -> PoolWorker:
        name = worker_name(row["name"], self.settings.account)
        return PoolWorker(name, number(row["hashRate"]), moment(row.get("lastSeen")))


def _joined(name: str, sessions: list[PoolWorker]) -> PoolWorker:
    rates = [session.hashrate for session in sessions if session.hashrate is not None]
    seen = [session.last_share_at for session in sessions if session.last_share_at is not None]
    return PoolWorker(name, sum(rates) if len(rates) == len(sessions) else None, max(seen, default=None))
