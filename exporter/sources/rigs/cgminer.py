"""The common parts of firmware that descends from cgminer: pools, and Bitmain's boards and fans."""

import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Final

from exporter.model.fault_codes import FaultCode
from exporter.model.readings import Board, Fan, Fault, Pool
from exporter.sources.rigs import coerce
from exporter.sources.rigs.contract import Answer
from exporter.sources.rigs.faults import fault, missing_board
from exporter.sources.rigs.seldom import Lacking
from exporter.sources.rigs.transport import optional as losable
from exporter.sources.rigs.transport import rpc

_SLOTS: Final = 16
_LATE_SLOT: Final = 6  # of the first board of an S9
_MOST_FANS: Final = 8
_FANS: Final = tuple((slot, f"fan{slot}") for slot in range(1, _MOST_FANS + 1))
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


def pool_rows(answer: Answer) -> list[Answer]:
    """Return the rows of the ``POOLS`` section, without those of the firmware's maker, whose addresses are masked."""
    return [row for row in coerce.items(answer.get("POOLS")) if row.get("URL") != _MASKED]


def pools(rows: list[Answer]) -> tuple[Pool, ...]:
    """Translate the pools, in their order; slots without a pool are left out."""
    return tuple([_pool(index, row) for index, row in enumerate(rows) if coerce.text(row.get("URL"))])


def accepted_difficulty(rows: list[Answer]) -> float | None:
    """Sum the pools' ``Difficulty Accepted``; None if one pool does not report it."""
    return _total(rows, "Difficulty Accepted")


def rejected_difficulty(rows: list[Answer]) -> float | None:
    """Sum the pools' ``Difficulty Rejected``; None if one pool does not report it."""
    return _total(rows, "Difficulty Rejected")


def discarded_work(rows: list[Answer]) -> float | None:
    """Sum the pools' ``Discarded``; None if one pool does not report it."""
    return _total(rows, "Discarded")


def best_share(rows: list[Answer]) -> float | None:
    """Return the difficulty of the best share sent to any pool; None before the first."""
    return max(filter(None, (coerce.difficulty(row.get("Best Share")) for row in rows)), default=None)


def _total(rows: list[Answer], key: str) -> float | None:
    return coerce.total([coerce.counter(row.get(key)) for row in rows])


def last_share(rows: list[Answer]) -> float | None:
    """Return when any pool last accepted a share. LuxOS reports its start for a pool without shares."""
    now = time.time()
    sharing = [row for row in rows if coerce.counter(row.get("Accepted")) != 0]
    return max(filter(None, [coerce.share_time(row.get("Last Share Time"), now) for row in sharing]), default=None)


def _pool(index: int, row: Answer) -> Pool:
    scheme, host = coerce.endpoint(row.get("URL"))
    status = row.get("Status")
    active = coerce.flag(row.get("Stratum Active"))
    return Pool(
        index=index,
        host=host,
        scheme=scheme,
        worker=coerce.text(row.get("User")),
        up=status == "Alive" if isinstance(status, str) else None,
        active=active,
        difficulty=None if active is False else _difficulty(row),  # it keeps its last one
        accepted=coerce.counter(row.get("Accepted")),
        rejected=coerce.counter(row.get("Rejected")),
        stale=coerce.counter(row.get("Stale")),
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
        self.rate = f"chain_rate{slot}"
        self.ideal_rate = f"chain_rateideal{slot}"
        self.errors = f"chain_hw{slot}"
        self.pcb = f"temp_pcb{slot}", f"temp{slot}"  # the other one on builds from before 2019
        self.chip = f"temp_chip{slot}", f"temp2_{slot}"
        self.frequency = f"freq{slot}", f"freq_avg{slot}"
        self.volts, self.millivolts = f"chain_voltage{slot}", f"chain_vol{slot}"
        self.power = f"chain_power{slot}", f"chain_consumption{slot}"  # of builds that have it by board; VNish's


_KEYS: Final = {slot: _Keys(slot) for slot in range(1, _SLOTS + 1)}


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
    chips = {slot: coerce.count(stats[keys.chips]) for slot, keys in _KEYS.items() if keys.chips in stats}
    present = [slot for slot, count in chips.items() if count]
    first = _LATE_SLOT if present and present[0] >= _LATE_SLOT else 1
    empty = [slot for slot in range(first, first + expected) if chips.get(slot) == 0]
    missing = empty[: max(expected - len(present), 0)]
    return tuple(_board(stats, slot, slot - first, unit) for slot in sorted((*present, *missing)))


def at_rest(boards: tuple[Board, ...]) -> tuple[Board, ...]:
    """Return the boards of a rig that does not hash: the map of their chips then shows none that works."""
    return tuple(replace(board, failed_chips=()) if board.failed_chips else board for board in boards)


def _board(stats: Answer, slot: int, index: int, unit: str) -> Board:
    keys = _KEYS[slot]
    chip_map, chips = _chip_map(stats, keys), coerce.count(stats.get(keys.chips)) or 0
    pcb_min, pcb_average, pcb_max = coerce.spread(_sensors(stats, *keys.pcb))
    chip_min, chip_average, chip_max = coerce.spread(_sensors(stats, *keys.chip))
    frequency, average_frequency = keys.frequency
    return Board(
        index=index,
        hashrate=coerce.hashrate(stats.get(keys.rate), unit),
        # Empty slots may have one too.
        expected_hashrate=coerce.hashrate(stats.get(keys.ideal_rate), unit) or None if chips else None,
        temperature=pcb_max,
        temperature_min=pcb_min,
        temperature_average=pcb_average,
        chip_temperature=chip_max,
        chip_temperature_min=chip_min,
        chip_temperature_average=chip_average,
        chips=chips,
        chips_expected=max(len(chip_map) - chip_map.count(" "), chips) or None,
        failed_chips=_failed(chip_map),
        frequency=coerce.megahertz(stats.get(frequency, stats.get(average_frequency))),
        voltage=_voltage(stats, keys) if chips else None,  # empty slots have one too
        power=_board_power(stats, keys),
        hardware_errors=coerce.counter(stats.get(keys.errors)) if chips else None,  # 0 for an empty slot
    )


def _voltage(stats: Answer, keys: _Keys) -> float | None:
    """Read a board's voltage: in V, or under VNish's key in mV, which its releases for the S9 write in cV."""
    written = stats.get(keys.millivolts)
    if written is None:
        return coerce.volts(stats.get(keys.volts))
    volts = coerce.volts(coerce.milli(written))
    return coerce.volts(coerce.centi(written)) if volts and volts < _LEAST_BOARD_VOLTS else volts


def _board_power(stats: Answer, keys: _Keys) -> float | None:
    for key in keys.power:
        if key in stats:
            return coerce.watts(coerce.leading_number(stats[key]))
    return None


def _sensors(stats: Answer, key: str, old_key: str) -> list[float]:
    """Read a board's sensors of one kind. Builds from before 2019 have one per board, under another key."""
    if key in stats:
        return coerce.sensors(stats[key])
    known = coerce.celsius(stats.get(old_key))
    return [] if known is None else [known]


def _chip_map(stats: Answer, keys: _Keys) -> str:
    """Return the map of a board's chips: ``o`` for one that works, ``x`` for one that does not, with spaces between."""
    written = stats.get(keys.chip_map)
    return written[:_LONGEST_MAP].strip() if isinstance(written, str) else ""


def _failed(chip_map: str) -> tuple[int, ...]:
    if _DEAD_CHIP not in chip_map:  # as on almost every board
        return ()
    return tuple(index for index, chip in enumerate(chip_map.replace(" ", "")) if chip == _DEAD_CHIP)


def fans(stats: Answer) -> tuple[tuple[Fan, ...], int | None]:
    """Read ``fanN`` and ``fan_num``. A stopped fan and a slot without one both read 0.

    While all fans turn, slots that read 0 are left out. If fewer turn, those that may have a fan are kept; the poller
    knows which of them ever turned. These are the first slots, except on the S9 and its generation (5 and 6 of 8).
    """
    expected = coerce.count(stats.get("fan_num"), _MOST_FANS)
    speeds = {slot: coerce.rpm(stats[key]) for slot, key in _FANS if key in stats}
    turning = [slot for slot, speed in speeds.items() if speed != 0]
    last = 0
    if expected is not None and turning and len(turning) < expected:
        last = expected if turning[-1] <= expected else _MOST_FANS
    return tuple(Fan(slot - 1, speed) for slot, speed in speeds.items() if speed != 0 or slot <= last), expected


def fan_faults(some: tuple[Fan, ...], expected: int | None = None) -> Iterator[Fault]:
    """Report the fans that do not turn, if others do.

    None is reported if the rig lists more slots than it has fans, or if most of ``expected`` stand still: builds for
    the S7 count slots, and with most of its fans stopped a rig would not run.
    """
    turning = sum(1 for fan in some if fan.rpm)
    if turning and (expected is None or (len(some) <= expected <= 2 * turning)):
        yield from (fault(FaultCode.FAN_FAILED, f"fan {fan.index}") for fan in some if fan.rpm == 0)


def board_faults(boards: tuple[Board, ...]) -> Iterator[Fault]:
    """Report the boards that are missing, and those with dead chips."""
    for board in boards:
        if board.chips == 0:
            yield missing_board(board.index)
        elif board.failed_chips:
            yield fault(FaultCode.BOARD_CHIPS, f"board {board.index}")


def power(stats: Answer) -> float | None:
    """Read the watts of the boards together, as some builds report them: ``3250 W``, or on Hiveon ``456.78 (AB)``."""
    reported = stats.get("total_power", stats.get("chain_power"))
    return None if reported is None else coerce.watts(coerce.leading_number(reported))


def merged(seen: Iterable[Fault], reported: Iterable[Fault]) -> tuple[Fault, ...]:
    """Join faults seen in the readings with those reported in words; of the same code the former know the component."""
    kept = tuple(seen)
    codes = {one.code for one in kept}
    return (*kept, *(one for one in reported if one.code not in codes))
