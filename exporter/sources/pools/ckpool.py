"""ckpool, such as solo.ckpool.org: by payout address, without a key. At most one request a minute.

https://bitbucket.org/ckolivas/ckpool
"""

from typing import Any, Final, Literal, Self

from pydantic import Field, model_validator
from yarl import URL

from exporter.economics.reconciliation import PoolScheme
from exporter.model.readings import PoolWorker
from exporter.model.units import suffixed_hashes_per_second
from exporter.sources.contract import SourceContext, translating
from exporter.sources.http import HttpSettings
from exporter.sources.pools import PoolSettings, PoolSource, checked_total, moment, worker_name

_SHORTEST_INTERVAL: Final = 60.0  # s


class Settings(PoolSettings, HttpSettings):
    """Workers of a payout address at a ckpool. No key is needed; a solo pool pays only for blocks."""

    kind: Literal["ckpool"] = "ckpool"
    url: str = Field(default="https://solo.ckpool.org", description="Address of the pool.")
    scheme: PoolScheme = Field(default=PoolScheme.SOLO, description="What the pool pays for: solo.")

    @model_validator(mode="after")
    def _seldom(self) -> Self:
        if self.interval < _SHORTEST_INTERVAL:
            raise ValueError(f"interval: ckpool allows one request a minute, {self.interval:g} s is too often")
        return self

    def connect(self, context: SourceContext) -> "_Ckpool":
        """Create the source."""
        return _Ckpool(self, context)


class _Ckpool(PoolSource):
    async def workers(self) -> list[PoolWorker]:
        """Read the page of the address. Hashrates are texts with a suffix."""
        answer = await self.ask("GET", URL.build(path=f"/users/{self.settings.account}").raw_path)
        with translating():
            found = await self.read_each(answer["worker"], self._worker)
        return checked_total(found, len(found), len(found))

    def _worker(self, row: dict[str, Any]) -> PoolWorker:
        rate = suffixed_hashes_per_second(str(row["hashrate1hr"]))
        return PoolWorker(worker_name(row["workername"], self.settings.account), rate, moment(row.get("lastshare")))
