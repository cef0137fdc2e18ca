"""Difficulty, height and fees of the bitcoin network: a file per provider."""

from typing import Final

from exporter.readings import NetworkState
from exporter.sources.contract import SourceSettings, implausible_unless

EPOCH_BLOCKS: Final = 2016
FEE_BLOCKS: Final = 144
_MAX_DIFFICULTY: Final = 1e20
_MAX_FEES: Final = 300.0  # bitcoins per block; the dearest block ever paid 291, by mistake
_RETARGET_LIMIT: Final = 4.0


class NetworkSettings(SourceSettings):
    """What all network sources share: the plausibility of a network state."""

    def check(self, value: NetworkState, last: NetworkState | None) -> None:
        """Refuse a difficulty of zero, fees of a whole day in one block, and a difficulty no retarget could reach."""
        implausible_unless(1, value.difficulty, _MAX_DIFFICULTY, "difficulty")
        implausible_unless(0, value.height, 1e8, "height")
        if value.block_fees is not None:
            implausible_unless(0, value.block_fees, _MAX_FEES, "fees per block")
        if last is not None:
            low, high = last.difficulty / _RETARGET_LIMIT, last.difficulty * _RETARGET_LIMIT
            implausible_unless(low * 0.999, value.difficulty, high * 1.001, "difficulty")


def epoch_start(height: int) -> int:
    """Height of the first block in the difficulty epoch of ``height``."""
    return height - height % EPOCH_BLOCKS
