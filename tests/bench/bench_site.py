"""What the exporter costs on a site of 10,000 rigs, a thousand of them failing, and how punctual it is.

The simulated site, the exporter and the scraper are processes of their own. The simulation needs the rigs' ports on all
loopback addresses; where others have them: ``unshare -rn sh -c 'ip link set lo up && make bench BENCH=site10k_cores'``.
"""

import contextlib
import gzip
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from exporter.simulation.faults import Fault
from tests.bench.machine import TIMEOUT, stat, tree
from tests.bench.result import Result
from tests.e2e.harness import BIN, HOST, ask, free_port, wait_for

RIGS = 10_000
FAILING = 1_000
FAULTS = (
    Fault.UNPLUGGED,
    Fault.REFUSED,
    Fault.HUNG,
    Fault.CLOSE_AT_ONCE,
    Fault.RESET,
    Fault.SLOW_DRIP,
    Fault.GARBAGE,
    Fault.TRUNCATED,
    Fault.HTML,
    Fault.HUGE,
)
NETWORK = "127.96.0.0/16"
INTERVAL = 30.0  # s between polls of a rig
SCRAPE_EVERY = 15.0  # s
INTERVALS = 4  # measured
LEAN = dict.fromkeys(("fan", "pool", "fault", "temperature", "power_supply"), False)
ACCEPT = {"Accept": "application/openmetrics-text; version=1.0.0", "Accept-Encoding": "gzip"}
SUCCESS = re.compile(r'^mining_rig_last_success_timestamp_seconds\{.*?\brig="([^"]+)".*\} (\S+)$', re.MULTILINE)
BUCKET = r'^%s_bucket\{le="([^"]+)"\} (\S+)$'


# --- the simulated site ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Simulation:
    control: str
    config: dict[str, Any]

    def fail(self, rigs: dict[str, Fault | None]) -> None:
        for rig, fault in rigs.items():
            ask(f"{self.control}/faults", {"rig": rig, "fault": fault})

    def rigs(self) -> dict[str, Any]:
        rigs: dict[str, Any] = ask(self.control)["rigs"]
        return rigs


@contextlib.contextmanager
def simulation(folder: Path) -> Iterator[Simulation]:
    file = folder / "simulated.yml"
    command = (sys.executable, "-m", "exporter.simulation", f"--rigs={RIGS}", f"--network={NETWORK}")
    ports = (f"--control-port={free_port()}", f"--port-offset={random.randrange(20_000, 40_000)}")
    with subprocess.Popen(
        (*command, *ports, f"--config-out={file}"), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as it:
        try:
            assert it.stdout is not None
            ready = json.loads(it.stdout.readline())
            if ready["left_out"] or ready["rigs"] != RIGS:
                raise RuntimeError(f"not the whole site: {ready['left_out']}")
            config = yaml.load(file.read_bytes(), Loader=yaml.CSafeLoader)
            yield Simulation(ready["control"], config)
        finally:
            it.terminate()


def failing(simulation: Simulation) -> dict[str, Fault | None]:
    """A thousand rigs that fail, a hundred in each way; all others have nothing."""
    rigs = sorted(simulation.rigs())
    chosen = random.Random(RIGS).sample(rigs, FAILING)
    return {rig: FAULTS[number % len(FAULTS)] for number, rig in enumerate(chosen)}


# --- the exporter ---------------------------------------------------------------------------------------------------


@dataclass
class Exporter:
    """A running exporter, and the moments at which each rig was seen to have been read."""

    pid: int
    url: str
    started: float = field(default_factory=time.time)
    read: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    rss: int = 0
    next_scrape: float = field(default_factory=time.monotonic)

    def fetch(self) -> str:
        with urllib.request.urlopen(
            urllib.request.Request(f"{self.url}/metrics", headers=ACCEPT), timeout=60
        ) as answer:
            return gzip.decompress(answer.read()).decode()

    def scrape(self) -> str:
        """Wait for the next moment to scrape, and do it as Prometheus does."""
        time.sleep(max(0.0, self.next_scrape - time.monotonic()))
        self.next_scrape += SCRAPE_EVERY
        text = self.fetch()
        for rig, moment in SUCCESS.findall(text):
            seen = self.read[rig]
            if not seen or seen[-1] != float(moment):
                seen.append(float(moment))
        self.rss = max(self.rss, sum(resident(pid) for pid in tree(self.pid)))
        return text

    def first_readings(self, rigs: set[str]) -> float:
        """Seconds from the start of the process until each of these rigs was read."""
        while any(not self.read[rig] or self.read[rig][-1] < self.started for rig in rigs):
            if time.time() > self.started + TIMEOUT:
                raise RuntimeError(f"{sum(not self.read[rig] for rig in rigs)} healthy rigs were never read")
            self.scrape()
        return max(next(moment for moment in self.read[rig] if moment > self.started) for rig in rigs) - self.started

    def measure(self, rigs: set[str]) -> dict[str, float]:
        """Watch it for some intervals after one in which it settles."""
        for _ in range(round(INTERVAL / SCRAPE_EVERY)):
            self.scrape()
        self.read.clear()
        self.rss = 0
        before, spent, started = self.scrape(), cpu_seconds(self.pid), time.monotonic()
        for _ in range(round(INTERVALS * INTERVAL / SCRAPE_EVERY)):
            after = self.scrape()
        return {
            "cores": (cpu_seconds(self.pid) - spent) / (time.monotonic() - started),
            "rss": self.rss / 1e6,
            "lateness_p99": p99("mining_poll_lateness_seconds", before, after),
            "loop_delay_p99": p99("mining_event_loop_delay_seconds", before, after) * 1_000,
            "missed": sum(self.missed(rig) for rig in rigs),
            "series": sum(not line.startswith("#") for line in after.splitlines()),
            "evaluation": float(re.findall(r"^mining_evaluation_duration_seconds (\S+)", after, re.MULTILINE)[0]),
        }

    def missed(self, rig: str) -> int:
        """How many readings of a rig are missing between those that were seen."""
        return sum(round((later - earlier) / INTERVAL) - 1 for earlier, later in pairwise(self.read[rig]))


@contextlib.contextmanager
def exporter(folder: Path, config: dict[str, Any]) -> Iterator[Exporter]:
    file, port = folder / "site.yml", free_port()
    state = {"path": str(folder / "state.sqlite")}
    web = {"listen_address": f"{HOST}:{port}"}
    file.write_text(yaml.dump(config | {"state": state, "web": web}, Dumper=yaml.CSafeDumper), encoding="utf-8")
    with (
        (folder / "exporter.log").open("ab") as log,
        subprocess.Popen((BIN / "hashmargin", "run", "--config.file", file), stdout=log, stderr=log) as process,
    ):
        try:
            running = Exporter(process.pid, f"http://{HOST}:{port}")
            wait_for("the exporter", running.fetch, TIMEOUT)
            running.next_scrape = time.monotonic()
            yield running
        finally:
            process.send_signal(signal.SIGTERM)


# --- what Linux says of it ------------------------------------------------------------------------------------------


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and all below it, those that have ended included."""
    ticks = sum(sum(map(int, stat(one)[11 : 15 if one == pid else 13])) for one in tree(pid))
    return ticks / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def p99(metric: str, before: str, after: str) -> float:
    """The 99th percentile of what a histogram counted in between, interpolated within its bucket as PromQL does."""
    then, now = (dict(re.findall(BUCKET % metric, text, re.MULTILINE)) for text in (before, after))
    counts = [(float(bound), float(count) - float(then.get(bound, 0))) for bound, count in now.items()]
    wanted = 0.99 * counts[-1][1]
    low = below = 0.0
    for bound, count in counts:
        if count >= wanted:
            return low + (bound - low) * (wanted - below) / (count - below) if bound != float("inf") else low
        low, below = bound, count
    raise RuntimeError(f"no {metric}")


# --- the figures ----------------------------------------------------------------------------------------------------


@cache
def measured() -> dict[str, float]:
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name, simulation(Path(name)) as site:
        folder = Path(name)
        unwell = failing(site)
        healthy = site.rigs().keys() - unwell.keys()
        site.fail({rig: None for rig, reported in site.rigs().items() if reported["fault"]} | unwell)
        with exporter(folder, site.config) as cold:
            figures["first_readings_seconds"] = cold.first_readings(healthy)
        with exporter(folder, site.config) as full:
            figures["first_readings_remembered_seconds"] = full.first_readings(healthy)
            figures |= reported("all groups, 1,000 failing", full.measure(healthy))
        site.fail(dict.fromkeys(unwell))
        with exporter(folder, site.config | {"exposition": {"groups": LEAN}}) as lean:
            lean.first_readings(healthy)
            calm = reported("rigs and boards only, none failing", lean.measure(healthy))
    return figures | {"rss_lean": calm["rss"]} | {f"{name}_calm": calm[name] for name in ("lateness_p99", "missed")}


def reported(run: str, figures: dict[str, float]) -> dict[str, float]:
    print(f"{run}: {', '.join(f'{name} {value:.4g}' for name, value in figures.items())}", file=sys.stderr)
    return figures


def figure(name: str, unit: str) -> Callable[[], Result]:
    return lambda: Result(measured()[name], unit)


BENCHES = {
    f"site10k_{name}": figure(name, unit)
    for name, unit in {
        "cores": "cores",
        "rss": "MB",
        "rss_lean": "MB",
        "lateness_p99": "s",
        "lateness_p99_calm": "s",
        "loop_delay_p99": "ms",
        "missed": "readings",
        "missed_calm": "readings",
        "first_readings_seconds": "s",
        "first_readings_remembered_seconds": "s",
    }.items()
}
