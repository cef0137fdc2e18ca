"""A mempool instance (own, or mempool.space) over its REST interface: https://mempool.space/docs/api/rest."""

from typing import Final, Literal

from pydantic import Field

from exporter.model.failures import Failure, Reason
from exporter.model.fields import Duration
from exporter.model.readings import NetworkState, Reading
from exporter.model.units import bitcoins
from exporter.sources.contract import SourceContext, integer, number, translating
from exporter.sources.http import HttpSettings, HttpSource
from exporter.sources.network import FEE_BLOCKS, NetworkSettings

_NEW_BLOCKS: Final = 3  # that may be found while the requests run


class Settings(HttpSettings, NetworkSettings):
    """One instance. The public one answers 429 to frequent requests and then bans the address."""

    kind: Literal["mempool"] = "mempool"
    url: str = Field(default="https://mempool.space", description="Address of the instance, without /api.")
    interval: Duration = Field(default=300.0, description="How often the value is requested.")
    max_age: Duration = Field(default=1800.0, description="A value older than this is not used.")

    def connect(self, context: SourceContext) -> "_Mempool":
        """Create the source."""
        return _Mempool(self, context)


class _Mempool(HttpSource[Settings]):
    async def fetch(self) -> Reading[NetworkState]:
        """Request difficulty, epoch, rewards and blocks, one after the other: the public instance limits requests."""
        now = self._clock()
        mining = await self._endpoint.get_json("/api/v1/mining/hashrate/3d")
        epoch = await self._endpoint.get_json("/api/v1/difficulty-adjustment")
        rewards = await self._endpoint.get_json(f"/api/v1/mining/reward-stats/{FEE_BLOCKS}")
        with translating():
            first, last = integer(rewards["startBlock"]), integer(rewards["endBlock"])
            height = integer(epoch["nextRetargetHeight"]) - integer(epoch["remainingBlocks"])
            hashrate, since = mining.get("currentHashrate"), epoch.get("previousTime")
            times = await self._times("/api/v1/blocks")
            self._check_height(height, times)
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

    def _check_height(self, height: int, times: dict[int, float]) -> None:
        """Raise a Failure if the height of the epoch contradicts the newest block. A new block may come in between."""
        newest = max(times, default=height)
        if abs(newest - height) > _NEW_BLOCKS:
            raise Failure(Reason.IMPLAUSIBLE, f"height {height} by the epoch, but the newest block is {newest}")

    async def _times(self, path: str) -> dict[int, float]:
        """Return the times of blocks by height. An instance without them only loses the estimates."""
        try:
            blocks = await self._endpoint.get_json(path)
        except Failure as failure:
            if failure.reason is Reason.RATE_LIMITED:
                raise
            self._discards.note("block_times", failure.detail)
            return {}
        return {integer(block["height"]): number(block["timestamp"]) for block in blocks}


def _interval(begun: float | None, ended: float | None, blocks: int) -> float | None:
    """Return the mean seconds between blocks, from the first one to the last, ``blocks`` later."""
    return None if begun is None or ended is None or ended <= begun else (ended - begun) / blocks
