"""A mempool instance (own, or mempool.space) over its REST interface: https://mempool.space/docs/api/rest."""

from typing import Literal

from pydantic import Field

from exporter.model.failures import Failure, Reason
from exporter.model.fields import Duration
from exporter.model.readings import NetworkState, Reading
from exporter.model.units import bitcoins
from exporter.sources.contract import SourceContext, integer, number, translating
from exporter.sources.http import HttpSettings, HttpSource
from exporter.sources.network import FEE_BLOCKS, NetworkSettings


class Settings(HttpSettings, NetworkSettings):
    """One instance; the public one answers 429 and then bans whoever asks too often."""

    kind: Literal["mempool"] = "mempool"
    url: str = Field(default="https://mempool.space", description="Where the instance is, without /api.")
    interval: Duration = Field(default=300.0, description="How often it is asked.")
    max_age: Duration = Field(default=1800.0, description="Past this age its value is refused.")

    def connect(self, context: SourceContext) -> "_Mempool":
        """Make the source."""
        return _Mempool(self, context)


class _Mempool(HttpSource[Settings]):
    async def fetch(self) -> Reading[NetworkState]:
        """Ask for difficulty, epoch, rewards and blocks, one after the other: the public instance counts requests."""
        now = self._clock()
        mining = await self._endpoint.get_json("/api/v1/mining/hashrate/3d")
        epoch = await self._endpoint.get_json("/api/v1/difficulty-adjustment")
        rewards = await self._endpoint.get_json(f"/api/v1/mining/reward-stats/{FEE_BLOCKS}")
        with translating():
            first, last = integer(rewards["startBlock"]), integer(rewards["endBlock"])
            height = integer(epoch["nextRetargetHeight"]) - integer(epoch["remainingBlocks"])
            hashrate, since = mining.get("currentHashrate"), epoch.get("previousTime")
            times = await self._times("/api/v1/blocks")
            begun = (await self._times(f"/api/v1/blocks/{first}")).get(first)
            ended = times.get(last)
            state = NetworkState(
                height=height,
                difficulty=number(mining["currentDifficulty"]),
                block_fees=bitcoins(integer(rewards["totalFee"])) / (last - first + 1),
                epoch_start_time=number(since) if since is not None else None,
                tip_time=times.get(height),
                hashrate=number(hashrate) if hashrate is not None else None,
                block_interval=_interval(begun, ended, last - first),
            )
        return Reading(state, now)

    async def _times(self, path: str) -> dict[int, float]:
        """When blocks were found, by height; only estimates need it, so that an instance may do without."""
        try:
            blocks = await self._endpoint.get_json(path)
        except Failure as failure:
            if failure.reason is Reason.RATE_LIMITED:
                raise
            return {}
        return {integer(block["height"]): number(block["timestamp"]) for block in blocks}


def _interval(begun: float | None, ended: float | None, blocks: int) -> float | None:
    """Mean seconds between the blocks from the first one to the last, ``blocks`` later."""
    return None if begun is None or ended is None or ended <= begun else (ended - begun) / blocks
