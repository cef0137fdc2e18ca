"""A mempool instance (own, or mempool.space) over its REST interface: https://mempool.space/docs/api/rest."""

from typing import Literal

from pydantic import Field

from exporter.failures import Failure, Reason
from exporter.fields import Duration
from exporter.readings import NetworkState, Reading
from exporter.sources.contract import SourceContext, integer, number, translating
from exporter.sources.http import HttpSettings, HttpSource
from exporter.sources.network import FEE_BLOCKS, NetworkSettings
from exporter.units import bitcoins


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
        """Ask for difficulty, epoch, rewards and the tip, one after the other: the public instance counts requests."""
        now = self._clock()
        mining = await self._endpoint.get_json("/api/v1/mining/hashrate/3d")
        epoch = await self._endpoint.get_json("/api/v1/difficulty-adjustment")
        rewards = await self._endpoint.get_json(f"/api/v1/mining/reward-stats/{FEE_BLOCKS}")
        with translating():
            blocks = integer(rewards["endBlock"]) - integer(rewards["startBlock"]) + 1
            height = integer(epoch["nextRetargetHeight"]) - integer(epoch["remainingBlocks"])
            hashrate, since = mining.get("currentHashrate"), epoch.get("previousTime")
            state = NetworkState(
                height=height,
                difficulty=number(mining["currentDifficulty"]),
                block_fees=bitcoins(integer(rewards["totalFee"])) / blocks,
                epoch_start_time=number(since) if since is not None else None,
                tip_time=await self._tip_time(height),
                hashrate=number(hashrate) if hashrate is not None else None,
            )
        return Reading(state, now)

    async def _tip_time(self, height: int) -> float | None:
        """When the last block was found; only the estimate of the retarget needs it."""
        try:
            blocks = await self._endpoint.get_json("/api/v1/blocks")
        except Failure as failure:
            if failure.reason is Reason.RATE_LIMITED:
                raise
            return None
        return next((number(block["timestamp"]) for block in blocks if block["height"] == height), None)
