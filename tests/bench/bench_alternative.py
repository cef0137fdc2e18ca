"""Our exporter beside the one that most people would write, both on the same rigs at the same time.

First all rigs are well. Then one loses its power, and one in a hundred accepts connections and never answers.
"""

import contextlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path

from exporter.simulation.faults import Fault
from tests.bench.bench_site import cpu_seconds, exporter, reported, resident, simulation
from tests.bench.machine import tree
from tests.bench.result import Result
from tests.e2e.harness import free_port, wait_for

RIGS = 200
HUNG = 0.01
PHASE = 120.0  # s, of each of the two
EVERY = 5.0  # s between scrapes
RIVAL = f"pyasic {version('pyasic')} with prometheus-client {version('prometheus-client')}"


@dataclass
class Contender:
    """A running exporter, what counts its polls, and what is absent once a rig is known to be gone."""

    pid: int
    url: str
    polls: re.Pattern[str]
    present: Callable[[str], str]  # by rig: the beginning of a line
    scrapes: list[float] = field(default_factory=list)

    def scrape(self) -> str:
        asked = time.monotonic()
        with urllib.request.urlopen(self.url, timeout=600) as answer:
            text: str = answer.read().decode()
        self.scrapes.append(time.monotonic() - asked)
        return text

    def polled(self) -> float:
        return sum(map(float, self.polls.findall(self.scrape())))

    def memory(self) -> float:
        return sum(resident(pid) for pid in tree(self.pid)) / 1e6


@contextlib.contextmanager
def plain(addresses: list[str]) -> Iterator[Contender]:
    port = free_port()
    command = (sys.executable, "-W", "ignore", "-m", "tests.bench.plain_exporter", str(port), *addresses)
    with subprocess.Popen(command) as process:
        try:
            yield Contender(
                process.pid,
                f"http://127.0.0.1:{port}/metrics",
                re.compile(r"^rig_polls_total\{.*\} (\S+)$", re.MULTILINE),
                lambda address: f'rig_hashrate_terahash{{rig="{address}"}}',
            )
        finally:
            process.kill()


@cache
def measured() -> dict[str, dict[str, float]]:
    with tempfile.TemporaryDirectory() as name, simulation(Path(name), RIGS) as site:
        rigs = site.rigs()
        site.fail({rig: None for rig, known in rigs.items() if known["fault"]})
        rows = {row["name"]: row["address"] for row in site.config["fleet"]["rigs"]}
        dead, *hung = sorted(rows)[: 1 + round(RIGS * HUNG)]
        with exporter(Path(name), site.config) as running, plain([*rows.values()]) as rival:
            ours = Contender(
                running.pid,
                f"{running.url}/metrics",
                re.compile(r"^mining_poll_duration_seconds_count (\S+)$", re.MULTILINE),
                lambda rig: f'mining_rig_hashrate_hashes_per_second{{rig="{rig}"}}',
            )
            contenders = {"ours": (ours, dead), "plain": (rival, rows[dead])}
            for contender, _ in contenders.values():
                wait_for("all rigs", lambda one=contender: one.polled() >= RIGS, 3_600.0)  # type: ignore[misc]
            well = watch(contenders, set())
            site.fail({dead: Fault.UNPLUGGED} | dict.fromkeys(hung, Fault.HUNG))
            unwell = watch(contenders, set(contenders))
    figures = {
        each: well[each] | {"gone_seconds": unwell[each]["gone"], "pace": unwell[each]["polls"] / well[each]["polls"]}
        for each in contenders
    }
    for each, of_each in figures.items():
        reported(f"{each}, {RIGS} rigs", of_each)
    return figures


def watch(contenders: dict[str, tuple[Contender, str]], looked_for: set[str]) -> dict[str, dict[str, float]]:
    """Scrape all for a while, and return when the rig that is looked for was gone: the whole phase if it never was."""
    before = {each: (one.polled(), cpu_seconds(one.pid)) for each, (one, _) in contenders.items()}
    for one, _ in contenders.values():
        one.scrapes.clear()
    started, gone = time.monotonic(), dict.fromkeys(contenders, PHASE)
    while time.monotonic() < started + PHASE:
        for each, (one, rig) in contenders.items():
            if f"\n{one.present(rig)}" not in one.scrape() and each in looked_for:
                gone[each] = min(gone[each], time.monotonic() - started)
        time.sleep(EVERY)
    figures = {}
    for each, (one, _) in contenders.items():
        polls, cpu = one.polled() - before[each][0], cpu_seconds(one.pid) - before[each][1]
        figures[each] = {
            "polls": polls,
            "cpu_per_poll": cpu / polls * 1_000,
            "rigs_per_core": polls / PHASE * 30 / (cpu / PHASE),
            "memory": one.memory(),
            "scrape_p50": statistics.median(one.scrapes) * 1_000,
            "gone": gone[each],
        }
    return figures


def bench(each: str, name: str, unit: str) -> Callable[[], Result]:
    return lambda: Result(measured()[each][name], unit, RIVAL if each == "ours" else None)


BENCHES = {
    f"alternative_{each}_{name}": bench(each, name, unit)
    for name, unit in {
        "cpu_per_poll": "ms",
        "rigs_per_core": "rigs",
        "memory": "MB",
        "scrape_p50": "ms",
        "gone_seconds": "s",
        "pace": "ratio",
    }.items()
    for each in ("ours", "plain")
}
