"""What firmware that descends from cgminer has in common: its pools, and Bitmain's chains and fans."""

import time
from collections.abc import Iterable, Iterator
from typing import Final

from exporter.model.fault_codes import FaultCode
from exporter.model.readings import Board, Fan, Fault, Pool
from exporter.sources.rigs import coerce
from exporter.sources.rigs.contract import Answer
from exporter.sources.rigs.faults import fault, missing_board
from exporter.sources.rigs.transport import optional as losable
from exporter.sources.rigs.transport import rpc

_SLOTS: Final = 16
_MOST_FANS: Final = 8
_DEAD_CHIP: Final = "x"
_DIFFICULTIES: Final = ("Stratum Difficulty", "Work Difficulty", "Diff")


async def version(address: str) -> Answer:
    """Ask for ``version``: the probe of every cgminer descendant. Raises Failure."""
    return await rpc(address, "version")


async def optional(address: str, command: str) -> Answer:
    """Ask for what a read can do without: empty where the answer is no good. Raises Failure where none comes."""
    return await losable(rpc(address, command))


def pools(answer: Answer) -> tuple[Pool, ...]:
    """Translate the ``POOLS`` section, in its order; slots without a pool are left out."""
    rows = enumerate(coerce.items(answer.get("POOLS")))
    return tuple(_pool(index, row) for index, row in rows if coerce.text(row.get("URL")))


def accepted_difficulty(answer: Answer) -> float | None:
    """Sum the pools' ``Difficulty Accepted``; unknown where one pool does not say."""
    return _total(answer, "Difficulty Accepted")


def rejected_difficulty(answer: Answer) -> float | None:
    """Sum the pools' ``Difficulty Rejected``; unknown where one pool does not say."""
    return _total(answer, "Difficulty Rejected")


def discarded_work(answer: Answer) -> float | None:
    """Sum the pools' ``Discarded``; unknown where one pool does not say."""
    return _total(answer, "Discarded")


def best_share(answer: Answer) -> float | None:
    """Give the difficulty of the best share that any pool was sent; unknown while there is none."""
    rows = coerce.items(answer.get("POOLS"))
    return max(filter(None, (coerce.difficulty(row.get("Best Share")) for row in rows)), default=None)


def _total(answer: Answer, key: str) -> float | None:
    return coerce.total([coerce.counter(row.get(key)) for row in coerce.items(answer.get("POOLS"))])


def last_share(answer: Answer) -> float | None:
    """Give the time of the latest share that any pool took; of one that took none LuxOS tells the time of its start."""
    now = time.time()
    rows = (row for row in coerce.items(answer.get("POOLS")) if coerce.counter(row.get("Accepted")) != 0)
    times = (coerce.share_time(row.get("Last Share Time"), now) for row in rows)
    return max((at for at in times if at is not None), default=None)


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


def chains(stats: Answer, unit: str, expected: int) -> tuple[Board, ...]:
    """Translate the ``chain_...N`` keys of Bitmain's ``stats``, which other firmware for its rigs kept.

    Args:
        stats: The row that has them.
        unit: Of ``chain_rateN``.
        expected: How many boards there are: a slot among them with no chip is a board that is missing.
    """
    return tuple(_chains(stats, unit, expected))


def _chains(stats: Answer, unit: str, expected: int) -> Iterator[Board]:
    for slot in range(1, _SLOTS + 1):
        chips = coerce.count(stats.get(f"chain_acn{slot}"))
        if chips is None or (chips == 0 and slot > expected):
            continue
        places = _places(stats, slot)
        pcb, chip = coerce.sensors(stats.get(f"temp_pcb{slot}")), coerce.sensors(stats.get(f"temp_chip{slot}"))
        yield Board(
            index=slot - 1,
            hashrate=coerce.hashrate(stats.get(f"chain_rate{slot}"), unit),
            temperature=coerce.hottest(pcb),
            temperature_min=coerce.coolest(pcb),
            temperature_average=coerce.mean(pcb),
            chip_temperature=coerce.hottest(chip),
            chip_temperature_min=coerce.coolest(chip),
            chip_temperature_average=coerce.mean(chip),
            chips=chips,
            chips_expected=max(len(places), chips) or None,
            failed_chips=_failed(places),
            frequency=coerce.megahertz(stats.get(f"freq{slot}")),
            hardware_errors=coerce.counter(stats.get(f"chain_hw{slot}")),
        )


def _places(stats: Answer, slot: int) -> str:
    """Give the map of a board's chips: ``o`` for one that works, ``x`` for one that does not."""
    return coerce.text(stats.get(f"chain_acs{slot}"), 1_024).replace(" ", "")


def _failed(places: str) -> tuple[int, ...]:
    if _DEAD_CHIP not in places:  # as on almost every board
        return ()
    return tuple(place for place, chip in enumerate(places) if chip == _DEAD_CHIP)


def fans(stats: Answer) -> tuple[tuple[Fan, ...], int | None]:
    """Translate ``fanN`` and ``fan_num``: dead fans read 0, and slots without one too, left out while enough turn."""
    expected = coerce.count(stats.get("fan_num"), _MOST_FANS)
    speeds = {slot: coerce.rpm(stats[f"fan{slot}"]) for slot in range(1, _MOST_FANS + 1) if f"fan{slot}" in stats}
    turning = sum(1 for speed in speeds.values() if speed != 0)
    dead = 0 if expected is None or turning >= expected else expected
    return tuple(Fan(slot - 1, speed) for slot, speed in speeds.items() if speed != 0 or slot <= dead), expected


def fan_faults(some: tuple[Fan, ...]) -> Iterator[Fault]:
    """Name the fans that stand still."""
    return (fault(FaultCode.FAN_FAILED, f"fan {fan.index}") for fan in some if fan.rpm == 0)


def board_faults(boards: tuple[Board, ...]) -> Iterator[Fault]:
    """Name the boards that are missing, and those with dead chips."""
    for board in boards:
        if board.chips == 0:
            yield missing_board(board.index)
        elif board.failed_chips:
            yield fault(FaultCode.BOARD_CHIPS, f"board {board.index}")


def merged(seen: Iterable[Fault], said: Iterable[Fault]) -> tuple[Fault, ...]:
    """Join what the readings show and what the rig says: the former know the component."""
    kept = tuple(seen)
    codes = {one.code for one in kept}
    return (*kept, *(one for one in said if one.code not in codes))
