"""The next difficulty: Bitcoin Core's rule, and an estimate of it while the epoch runs."""

from dataclasses import dataclass
from typing import Final

from exporter.economics.hashprice import bits_from_target, target_from_bits
from exporter.model.readings import NetworkState

EPOCH_BLOCKS: Final = 2_016
EPOCH_INTERVALS: Final = EPOCH_BLOCKS - 1
"""Core's window holds 2,016 blocks and so spans one interval fewer: the well-known off by one."""
BLOCK_SECONDS: Final = 600
EPOCH_SECONDS: Final = EPOCH_BLOCKS * BLOCK_SECONDS
CONFIDENT_BLOCKS: Final = 500
"""Below so many intervals an estimate is a guess."""

_MIN_SECONDS: Final = EPOCH_SECONDS // 4
_MAX_SECONDS: Final = EPOCH_SECONDS * 4
_POW_LIMIT: Final = (1 << 224) - 1


def next_difficulty(difficulty: float, seconds: float) -> float:
    """Return the difficulty after an epoch whose first and last block lie ``seconds`` apart."""
    return difficulty * EPOCH_SECONDS / _clamp(seconds)


def next_bits(bits: int, first_time: int, last_time: int) -> int:
    """Return the next compact target exactly as Core computes it (``CalculateNextWorkRequired``, main chain)."""
    target = target_from_bits(bits) * int(_clamp(last_time - first_time)) // EPOCH_SECONDS
    return bits_from_target(min(target, _POW_LIMIT))


def _clamp(seconds: float) -> float:
    return min(max(seconds, _MIN_SECONDS), _MAX_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retarget:
    """The coming retarget. ``difficulty`` and ``time`` (unix seconds) are None where they are unknown."""

    blocks_remaining: int  # until the first block of the next epoch is found
    difficulty: float | None
    time: float | None
    confident: bool
    mean_interval: float | None  # s, of this epoch's blocks; None in its first


def expect_retarget(network: NetworkState) -> Retarget:
    """Take the next difficulty from a source that knows it, else estimate it from the epoch so far."""
    intervals = network.height % EPOCH_BLOCKS
    remaining = EPOCH_BLOCKS - intervals
    mean_interval = None
    estimate = network.next_difficulty
    if intervals and network.tip_time is not None and network.epoch_start_time is not None:
        elapsed = network.tip_time - network.epoch_start_time
        mean_interval = elapsed / intervals if elapsed > 0 else None
        if estimate is None:
            estimate = next_difficulty(network.difficulty, EPOCH_INTERVALS * elapsed / intervals)
    settled = intervals >= CONFIDENT_BLOCKS
    pace = mean_interval if settled else network.block_interval
    return Retarget(
        blocks_remaining=remaining,
        difficulty=estimate,
        time=None if network.tip_time is None else network.tip_time + remaining * (pace or BLOCK_SECONDS),
        confident=estimate is not None and (settled or network.next_difficulty is not None),
        mean_interval=mean_interval if settled else None,
    )
