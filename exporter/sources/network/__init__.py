"""Difficulty, height and fees of the bitcoin network: a file per provider."""

from collections.abc import Iterator
from dataclasses import replace
from math import sqrt
from typing import Any, Final

from exporter.model.readings import NetworkState
from exporter.sources.contract import Discards, SourceSettings, implausible_unless, within

EPOCH_BLOCKS: Final = 2016
FEE_BLOCKS: Final = 144
_MAX_DIFFICULTY: Final = 1e20
_MAX_FEES: Final = 300.0  # bitcoins per block; the dearest block ever paid 291, by mistake
_RETARGET_LIMIT: Final = 4.0
_DOUBTED_FACTOR: Final = 2.0
_AGREEING_FACTOR: Final = 1.1
_FASTEST_EPOCH: Final = 3.5 * 86_400.0  # s: at four times the pace
_MOST_FACTOR_AFTER: Final = 16.0  # after an outage of any length; no year since 2014 had more
_MAX_INTERVAL: Final = 86_400.0  # s per block
_MAX_FACTOR: Final = 10.0  # between a hashrate and what the difficulty makes of it
_HASHES_PER_DIFFICULTY: Final = 2.0**32
_BLOCK_SECONDS: Final = 600.0
_FEWEST_BLOCKS: Final = 36  # fewer say little about the pace of an epoch
_MAX_DRIFT: Final = 1.5  # of the pace within an epoch
_SCATTER: Final = 4.0  # standard deviations of the mean of so many block times
_NEXT_TOLERANCE: Final = 1.1  # known exactly only at the end of an epoch, when the pace is known too
_CLOCK_SKEW: Final = 7200.0  # s that a block's time may lie before that of the one it follows


class NetworkSettings(SourceSettings):
    """Settings of all network sources: the plausibility of a network state."""

    def reconcile(self, value: NetworkState, discards: Discards) -> NetworkState:
        """Leave out the figures that contradict the difficulty, the height or the block times of the same answer."""
        lost: dict[str, str] = dict(_contradictions(value))
        for figure, detail in lost.items():
            discards.note(figure, detail)
        cleared: dict[str, Any] = dict.fromkeys(lost)
        return replace(value, **cleared) if lost else value

    def check(self, value: NetworkState, last: NetworkState | None) -> None:
        """Reject values that the network cannot have, such as difficulty 0, and changes that no retarget makes."""
        implausible_unless(1, value.difficulty, _MAX_DIFFICULTY, "difficulty")
        implausible_unless(0, value.height, 1e8, "height")
        if value.block_fees is not None:
            implausible_unless(0, value.block_fees, _MAX_FEES, "fees per block")
        if last is not None:
            low, high = last.difficulty / _RETARGET_LIMIT, last.difficulty * _RETARGET_LIMIT
            implausible_unless(low * 0.999, value.difficulty, high * 1.001, "difficulty")

    def check_after(self, value: NetworkState, last: NetworkState, age: float) -> None:
        """Reject a difficulty that the network cannot have reached in ``age`` seconds."""
        retargets = 1 + age // _FASTEST_EPOCH
        factor = min(_RETARGET_LIMIT ** min(retargets, 9.0), _MOST_FACTOR_AFTER) * 1.001
        implausible_unless(last.difficulty / factor, value.difficulty, last.difficulty * factor, "difficulty")

    def doubt(self, value: NetworkState, last: NetworkState) -> None:
        """Doubt a difficulty that is more than twice or less than half the last one: few retargets change a third."""
        low, high = last.difficulty / _DOUBTED_FACTOR, last.difficulty * _DOUBTED_FACTOR
        implausible_unless(low, value.difficulty, high, "difficulty")

    def agree(self, value: NetworkState, other: NetworkState) -> bool:
        """Whether the difficulties differ by at most a tenth."""
        return within(value.difficulty, other.difficulty, _AGREEING_FACTOR)


def _contradictions(state: NetworkState) -> Iterator[tuple[str, str]]:
    """Yield the figures that another figure of the same state excludes, each with the reason."""
    interval = state.block_interval
    if interval is not None and not 1 <= interval <= _MAX_INTERVAL:
        yield "block_interval", f"{interval:g} s per block"
        interval = None
    if state.hashrate is not None and state.difficulty > 0:
        expected = state.difficulty * _HASHES_PER_DIFFICULTY / _BLOCK_SECONDS
        if not expected / _MAX_FACTOR <= state.hashrate <= expected * _MAX_FACTOR:
            yield "hashrate", f"{state.hashrate:.3g} H/s with a difficulty that needs {expected:.3g} H/s"
    blocks = state.height % EPOCH_BLOCKS
    pace = None
    if state.tip_time is not None and state.epoch_start_time is not None:
        elapsed = state.tip_time - state.epoch_start_time
        mean = elapsed / blocks if blocks else None
        wrong = not -_CLOCK_SKEW <= elapsed <= _MAX_INTERVAL * EPOCH_BLOCKS
        if not wrong and mean is not None and interval is not None and blocks >= _FEWEST_BLOCKS:
            factor = _MAX_DRIFT + _SCATTER / sqrt(blocks)
            wrong = not interval / factor <= mean <= interval * factor
        if wrong:
            per_block = "" if mean is None else f", {mean:.0f} s per block"
            compared = "" if interval is None else f", but the last {FEE_BLOCKS} blocks took {interval:.0f} s each"
            yield "epoch_start_time", f"{elapsed:.0f} s for {blocks} blocks of the epoch{per_block}{compared}"
        else:
            pace = mean
    if state.next_difficulty is not None and state.difficulty > 0:
        change = state.next_difficulty / state.difficulty
        wrong = not 1 / (_RETARGET_LIMIT * 1.001) <= change <= _RETARGET_LIMIT * 1.001
        if not wrong and pace is not None and pace > 0:
            expected = min(max(_BLOCK_SECONDS / pace, 1 / _RETARGET_LIMIT), _RETARGET_LIMIT)
            wrong = not expected / _NEXT_TOLERANCE <= change <= expected * _NEXT_TOLERANCE
        if wrong:
            detail = "" if pace is None else f", but blocks took {pace:.0f} s each"
            yield "next_difficulty", f"the next difficulty is {change:.3g} times the current one{detail}"


def epoch_start(height: int) -> int:
    """Height of the first block in the difficulty epoch of ``height``."""
    return height - height % EPOCH_BLOCKS
