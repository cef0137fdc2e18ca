"""Difficulty, height and fees of the bitcoin network: a file per provider."""

from typing import Final

from exporter.model.readings import NetworkState
from exporter.sources.contract import SourceSettings, implausible_unless

EPOCH_BLOCKS: Final = 2016
FEE_BLOCKS: Final = 144
_MAX_DIFFICULTY: Final = 1e20
_MAX_FEES: Final = 300.0  # bitcoins per block; the dearest block ever paid 291, by mistake
_RETARGET_LIMIT: Final = 4.0
_MAX_INTERVAL: Final = 86_400.0  # s per block
_MAX_FACTOR: Final = 10.0  # between a hashrate and what the difficulty makes of it
_HASHES_PER_DIFFICULTY: Final = 2.0**32
_BLOCK_SECONDS: Final = 600.0
_CLOCK_SKEW: Final = 7200.0  # s that a block's time may lie before that of the one it follows


class NetworkSettings(SourceSettings):
    """What all network sources share: the plausibility of a network state."""

    def check(self, value: NetworkState, last: NetworkState | None) -> None:
        """Refuse what no network is like, such as a difficulty of zero, and leaps that no retarget makes."""
        implausible_unless(1, value.difficulty, _MAX_DIFFICULTY, "difficulty")
        implausible_unless(0, value.height, 1e8, "height")
        if value.block_fees is not None:
            implausible_unless(0, value.block_fees, _MAX_FEES, "fees per block")
        if value.block_interval is not None:
            implausible_unless(1, value.block_interval, _MAX_INTERVAL, "seconds per block")
        if value.hashrate is not None:
            expected = value.difficulty * _HASHES_PER_DIFFICULTY / _BLOCK_SECONDS
            implausible_unless(expected / _MAX_FACTOR, value.hashrate, expected * _MAX_FACTOR, "network hashrate")
        if value.tip_time is not None and value.epoch_start_time is not None:
            elapsed = value.tip_time - value.epoch_start_time
            implausible_unless(-_CLOCK_SKEW, elapsed, _MAX_INTERVAL * EPOCH_BLOCKS, "seconds since the last retarget")
        if last is not None:
            low, high = last.difficulty / _RETARGET_LIMIT, last.difficulty * _RETARGET_LIMIT
            implausible_unless(low * 0.999, value.difficulty, high * 1.001, "difficulty")


def epoch_start(height: int) -> int:
    """Height of the first block in the difficulty epoch of ``height``."""
    return height - height % EPOCH_BLOCKS
