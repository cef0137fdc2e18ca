"""The common parts of firmware that descends from cgminer: pools, and Bitmain's boards and fans."""

import math
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import replace
from functools import cache, lru_cache, partial
from operator import itemgetter
from typing import Any, Final, NamedTuple

from exporter.model.fault_codes import FaultCode
from exporter.model.readings import Board, Fan, Fault, Pool
from exporter.sources.rigs import coerce
from exporter.sources.rigs.contract import Answer
from exporter.sources.rigs.faults import fault, missing_board
from exporter.sources.rigs.implausible import noting
from exporter.sources.rigs.seldom import Lacking
from exporter.sources.rigs.transport import optional as losable
from exporter.sources.rigs.transport import rpc

_SLOTS: Final = 16
_LATE_SLOT: Final = 6  # of the first board of an S9
_MOST_FANS: Final = 8
_FANS: Final = tuple(f"fan{slot}" for slot in range(1, _MOST_FANS + 1))
_fan_speeds: Final = coerce.table(*((key, coerce.rpm) for key in _FANS))
_DEAD_CHIP: Final = "x"
_LONGEST_MAP: Final = 1_024
_MASKED: Final = "*"
_LEAST_BOARD_VOLTS: Final = 5.0
_DIFFICULTIES: Final = ("Stratum Difficulty", "Work Difficulty", "Diff")


async def version(address: str) -> Answer:
    """Ask for ``version``: the probe of every cgminer descendant. Raises Failure."""
    return await rpc(address, "version")


def optional(address: str, command: str) -> Coroutine[Any, Any, Answer]:
    """Ask for what a read can do without: empty if the answer is unusable. Raises Failure if none comes."""
    return losable(rpc(address, command))


class Joined:
    """Asks several commands in one question, or one by one on builds that refuse that, and remembers which do.

    The first command is the one that a read cannot do without.
    """

    def __init__(self, *commands: str, usable: Callable[[Answer], bool]) -> None:
        """Make it; ``usable`` returns whether an answer to the first command is usable."""
        self._commands = commands
        self._usable = usable
        self._one_by_one: set[str] = set()  # addresses
        self._lacking = Lacking()

    def forget(self, address: str) -> None:
        """Try the joined question first again, as after an identification."""
        self._one_by_one.discard(address)
        self._lacking.forget(address)

    async def ask(self, address: str) -> dict[str, Answer]:
        """Return the answer to each command; empty ones where a build has none. Raises Failure."""
        first, *others = self._commands
        if address not in self._one_by_one:
            answer = await optional(address, "+".join(self._commands))
            answers = {command: coerce.first(answer, command) for command in self._commands}
            if self._usable(answers[first]):
                return answers
        alone: dict[str, Answer] = {first: await rpc(address, first)}
        if self._usable(alone[first]):
            self._one_by_one.add(address)
            ask = partial(rpc, address)
            return alone | {command: await losable(self._lacking.ask(address, command, ask)) for command in others}
        return alone | dict.fromkeys(others, _EMPTY)


_EMPTY: Final[Answer] = {}


class Pools(NamedTuple):
    """The pools of a rig in their order, and their shares together. A sum is None if one pool does not report it."""

    pools: tuple[Pool, ...]
    accepted_difficulty: float | None
    rejected_difficulty: float | None
    discarded_work: float | None
    best_share: float | None  # difficulty of the best share sent to any pool; None before the first
    last_share_at: float | None  # unix seconds, when any pool last accepted a share


_Row = tuple[Pool | None, float | None, float | None, float, float, float]
"""A pool, None for a slot without one, its accepted shares and best share, and its part in three sums: difficulty
accepted and rejected, and discarded work. A part is NaN if unknown, as the sum then is."""

_NUMBERS: Final = coerce.table(
    ("Accepted", coerce.counter),
    ("Rejected", coerce.counter),
    ("Stale", coerce.counter),
    ("Best Share", coerce.difficulty),
    ("Difficulty Accepted", coerce.counter),
    ("Difficulty Rejected", coerce.counter),
    ("Discarded", coerce.counter),
)
_IDLE: Final = (
    *("URL", "User", "Status", "Stratum Active", "Accepted", "Rejected", "Stale", "Best Share"),
    *("Difficulty Accepted", "Difficulty Rejected", "Discarded"),
)
"""What is read of a pool that is not in use."""
_idle_values: Final = itemgetter(*_IDLE)


def pools(answer: Answer, *, clock: bool = True) -> Pools:
    """Read the ``POOLS`` section, without the pools of the firmware's maker, whose addresses are masked.

    Slots without a pool are left out, but count in the sums. Without a ``clock``, the times of shares are not read.
    """
    rows = [row for row in coerce.items(answer.get("POOLS")) if row.get("URL") != _MASKED]
    if not rows:
        return _NO_POOLS
    some: list[Pool] = []
    difficulty_accepted = difficulty_rejected = discarded_work = best = last = 0.0
    for index, row in enumerate(rows):
        pool, accepted, best_share, of_accepted, of_rejected, discarded = _row(index, row)
        if pool is not None:
            some.append(pool)
        difficulty_accepted += of_accepted
        difficulty_rejected += of_rejected
        discarded_work += discarded
        if best_share is not None and best_share > best:
            best = best_share
        if clock and accepted != 0:  # LuxOS reports its start as the last share of a pool without any
            last = max(last, coerce.share_time(row.get("Last Share Time"), time.time()) or 0.0)
    return Pools(
        tuple(some),
        None if math.isnan(difficulty_accepted) else difficulty_accepted,
        None if math.isnan(difficulty_rejected) else difficulty_rejected,
        None if math.isnan(discarded_work) else discarded_work,
        best or None,
        last or None,
    )


_NO_POOLS: Final = Pools((), None, None, None, None, None)


def _row(index: int, row: Answer) -> _Row:
    if row.get("Stratum Active") is False:
        try:
            return _idle(index, *_idle_values(row))
        except (KeyError, TypeError, ValueError):  # one is missing, cannot be a key, or is implausible
            pass
    return _read(index, row)


@lru_cache(maxsize=65_536, typed=True)  # a pool that is not in use is the same at each poll
def _idle(index: int, *values: object) -> _Row:
    with noting() as implausible:
        row = _read(index, dict(zip(_IDLE, values, strict=True)))
    if implausible:
        raise ValueError("an implausible value is to be noted at each poll")
    return row


def _read(index: int, row: Answer) -> _Row:
    accepted, rejected, stale, share, of_accepted, of_rejected, discarded = _NUMBERS(row)
    pool = None
    scheme, host = coerce.endpoint(row.get("URL"))
    if host or coerce.text(row.get("URL")):
        worker, status = coerce.text(row.get("User")), row.get("Status")
        up = status == "Alive" if isinstance(status, str) else None
        active = coerce.flag(row.get("Stratum Active"))
        difficulty = None if active is False else _difficulty(row)  # it keeps its last one
        pool = Pool(index, host, scheme, worker, up, active, difficulty, accepted, rejected, stale)
    return (
        pool,
        accepted,
        share,
        math.nan if of_accepted is None else of_accepted,
        math.nan if of_rejected is None else of_rejected,
        math.nan if discarded is None else discarded,
    )


def _difficulty(row: Answer) -> float | None:
    for key in _DIFFICULTIES:
        if key in row and (known := coerce.difficulty(row[key])):
            return known
    return None


class _Keys:
    """The keys of one slot in Bitmain's ``stats``."""

    def __init__(self, slot: int) -> None:
        self.chips = f"chain_acn{slot}"
        self.chip_map = f"chain_acs{slot}"
        self.rates = f"chain_rate{slot}", f"chain_rateideal{slot}"
        self.errors = f"chain_hw{slot}"
        self.pcb, self.old_pcb = f"temp_pcb{slot}", f"temp{slot}"  # the other one on builds from before 2019
        self.chip, self.old_chip = f"temp_chip{slot}", f"temp2_{slot}"
        self.frequency = f"freq{slot}", f"freq_avg{slot}"
        self.volts, self.millivolts = f"chain_voltage{slot}", f"chain_vol{slot}"
        self.power = f"chain_power{slot}", f"chain_consumption{slot}"  # of builds that have it by board; VNish's


_KEYS: Final = {slot: _Keys(slot) for slot in range(1, _SLOTS + 1)}
_CHIPS: Final = tuple((slot, keys.chips) for slot, keys in _KEYS.items())


def chains(stats: Answer, unit: str, expected: int) -> tuple[Board, ...]:
    """Read the boards from the ``chain_...N`` keys of Bitmain's ``stats``, which other firmware for its rigs kept.

    A slot without chips is empty, whatever else is listed for it. Builds for the S9 and its
    generation list 16 slots and have their boards from slot 6 on; others have them from slot 1 on.

    Args:
        stats: The row that has them.
        unit: Of ``chain_rateN``.
        expected: How many boards the model has, 0 if unknown. Fewer boards are filled up with empty slots.

    Returns:
        The boards by index, from 0. One without chips is missing.
    """
    chips = {slot: coerce.count(stats[key]) for slot, key in _CHIPS if key in stats}
    listed = [slot for slot, count in chips.items() if count]
    first = _LATE_SLOT if listed and listed[0] >= _LATE_SLOT else 1
    if len(listed) < expected:
        empty = [slot for slot in range(first, first + expected) if chips.get(slot) == 0]
        listed = sorted((*listed, *empty[: expected - len(listed)]))
    return tuple([_board(stats, slot, slot - first, chips[slot] or 0, unit) for slot in listed])


@cache  # as many as slots times units that are known
def _numbers_of(slot: int, rate: coerce.NumberReader) -> Callable[[Answer], tuple[float | None, ...]]:
    """Return what reads a slot's numbers, with ``rate`` for hashrates."""
    keys = _KEYS[slot]
    return coerce.table(
        *((key, rate) for key in keys.rates),
        (keys.errors, coerce.counter),
        *((key, coerce.megahertz) for key in keys.frequency),
        (keys.volts, coerce.volts),
    )


def at_rest(boards: tuple[Board, ...]) -> tuple[Board, ...]:
    """Return the boards of a rig that does not hash: the map of their chips then shows none that works."""
    return tuple(replace(board, failed_chips=()) if board.failed_chips else board for board in boards)


def _board(stats: Answer, slot: int, index: int, chips: int, unit: str) -> Board:
    keys = _KEYS[slot]
    rate, ideal, errors, clock, average_clock, volts = _numbers_of(slot, coerce.hashrate_in(unit))(stats)
    pcb_min, pcb_mean, pcb_max = _sensors(stats, keys.pcb, keys.old_pcb)
    chip_min, chip_mean, chip_max = _sensors(stats, keys.chip, keys.old_chip)
    chip_map = stats.get(keys.chip_map)
    mapped, failed = _mapped(chip_map[:_LONGEST_MAP]) if isinstance(chip_map, str) else (0, ())
    if not chips:  # empty slots may have these too
        ideal = volts = errors = None
    elif keys.millivolts in stats:
        volts = _from_millivolts(stats[keys.millivolts])
    return Board(
        index,
        rate,
        ideal or None,
        pcb_max,
        pcb_min,
        pcb_mean,
        chip_max,
        chip_min,
        chip_mean,
        chips,
        max(mapped, chips) or None,
        failed,
        clock if keys.frequency[0] in stats else average_clock,
        volts,
        _board_power(stats, keys),
        errors,
    )


def _from_millivolts(written: object) -> float | None:
    """Read a board's voltage under VNish's key, in mV, which its releases for the S9 write in cV."""
    volts = coerce.millivolts(written)
    return coerce.centivolts(written) if volts and volts < _LEAST_BOARD_VOLTS else volts


def _board_power(stats: Answer, keys: _Keys) -> float | None:
    for key in keys.power:
        if key in stats:
            return coerce.watts(coerce.leading_number(stats[key]))
    return None


def _sensors(stats: Answer, key: str, old_key: str) -> tuple[float | None, float | None, float | None]:
    """Return the lowest, the mean and the highest of a board's sensors of one kind.

    Builds from before 2019 have one per board, under another key.
    """
    if key in stats:
        return coerce.sensor_spread(stats[key])
    known = coerce.celsius(stats.get(old_key))
    return known, known, known


@lru_cache(maxsize=1_024)  # almost all boards of one model have the same
def _mapped(chip_map: str) -> tuple[int, tuple[int, ...]]:
    """Return the number of chips on a board's map, and the indexes of those that do not work.

    The map has ``o`` for a chip that works, ``x`` for one that does not, with spaces between.
    """
    chips = chip_map.strip().replace(" ", "")
    return len(chips), tuple(index for index, chip in enumerate(chips) if chip == _DEAD_CHIP)


def fans(stats: Answer) -> tuple[tuple[Fan, ...], int | None]:
    """Read ``fanN`` and ``fan_num``. A stopped fan and a slot without one both read 0.

    While all fans turn, slots that read 0 are left out. If fewer turn, those that may have a fan are kept; the poller
    knows which of them ever turned. These are the first slots, except on the S9 and its generation (5 and 6 of 8).
    """
    expected = coerce.count(stats.get("fan_num"), _MOST_FANS)
    speeds = _fan_speeds(stats)
    last = 0
    if 0.0 in speeds:
        turning = [index for index, speed in enumerate(speeds) if speed != 0 and _FANS[index] in stats]
        if expected is not None and turning and len(turning) < expected:
            last = expected if turning[-1] < expected else _MOST_FANS
    some = []
    for index, speed in enumerate(speeds):
        if speed or (_FANS[index] in stats and (speed is None or index < last)):
            some.append(coerce.fan(index, speed))
    return tuple(some), expected


def fan_faults(some: tuple[Fan, ...], expected: int | None = None) -> list[Fault]:
    """Report the fans that do not turn, if others do.

    None is reported if the rig lists more slots than it has fans, or if most of ``expected`` stand still: builds for
    the S7 count slots, and with most of its fans stopped a rig would not run.
    """
    stopped = [fan for fan in some if not fan.rpm]
    turning = len(some) - len(stopped)
    if not stopped or not turning or (expected is not None and not len(some) <= expected <= 2 * turning):
        return []
    return [fault(FaultCode.FAN_FAILED, f"fan {fan.index}") for fan in stopped if fan.rpm == 0]


def board_faults(boards: tuple[Board, ...]) -> list[Fault]:
    """Report the boards that are missing, and those with dead chips."""
    found = []
    for board in boards:
        if board.chips == 0:
            found.append(missing_board(board.index))
        elif board.failed_chips:
            found.append(fault(FaultCode.BOARD_CHIPS, f"board {board.index}"))
    return found


def power(stats: Answer) -> float | None:
    """Read the watts of the boards together, as some builds report them: ``3250 W``, or on Hiveon ``456.78 (AB)``."""
    reported = stats.get("total_power", stats.get("chain_power"))
    return None if reported is None else coerce.watts(coerce.leading_number(reported))


def merged(seen: Iterable[Fault], reported: Iterable[Fault]) -> tuple[Fault, ...]:
    """Join faults seen in the readings with those reported in words; of the same code the former know the component."""
    kept, others = tuple(seen), tuple(reported)
    if not kept or not others:  # as on almost every rig
        return kept or others
    codes = {one.code for one in kept}
    return (*kept, *(one for one in others if one.code not in codes))
