"""The machine that a bench runs on: its processes as Linux counts them, its load, and who shares its cores."""

import contextlib
import os
import time
from collections import defaultdict
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

TIMEOUT: float = 3_600.0
"""Seconds after which a bench gives up. A busy machine makes it wait; only what never comes takes as long."""

_MOST_NAMED = 3
_LEAST_NAMED = 0.05  # cores


def stat(pid: int) -> list[str]:
    """The fields of a process from its state on; see proc(5)."""
    return _stat(pid)[1]


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    parents = {process: int(fields[1]) for process, (_, fields) in _processes().items()}
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


@dataclass(frozen=True)
class Moment:
    """What each process that is not the bench's has spent so far."""

    at: float
    load: float
    others: dict[int, tuple[str, float]]  # name and CPU seconds


def moment() -> Moment:
    own = {*tree(os.getpid()), *_above(os.getpid())}
    ticks = os.sysconf("SC_CLK_TCK")
    others = {
        pid: (name, sum(map(int, fields[11:13])) / ticks)
        for pid, (name, fields) in _processes().items()
        if pid not in own
    }
    return Moment(time.monotonic(), os.getloadavg()[0], others)


def shared(before: Moment, after: Moment) -> dict[str, object]:
    """Cores, load before and during, and the programs that others ran meanwhile, with the cores that each kept busy.

    Programs that started or ended meanwhile are not counted. The load is the mean of a minute.
    """
    spent: dict[str, float] = defaultdict(float)
    for pid, (name, seconds) in after.others.items():
        if pid in before.others:
            spent[name] += seconds - before.others[pid][1]
    elapsed = after.at - before.at
    dearest = sorted(spent.items(), key=itemgetter(1), reverse=True)
    cores = {name: round(seconds / elapsed, 2) for name, seconds in dearest if seconds > 0}
    return {
        "cores": len(os.sched_getaffinity(0)),
        "load_before": round(before.load, 1),
        "load_during": round(after.load, 1),
        "others_cores": round(sum(spent.values()) / elapsed, 2),
        "others": {name: busy for name, busy in [*cores.items()][:_MOST_NAMED] if busy >= _LEAST_NAMED},
    }


def _stat(pid: int) -> tuple[str, list[str]]:
    name, _, fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(") ")
    return name.partition("(")[2], fields.split()


def _processes() -> dict[int, tuple[str, list[str]]]:
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            found[int(folder.name)] = _stat(int(folder.name))
    return found


def _above(pid: int) -> list[int]:
    """The shells and make that started a process."""
    found = []
    while pid > 1:
        pid = int(stat(pid)[1])
        found.append(pid)
    return found
