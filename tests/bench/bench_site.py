"""What the exporter costs on a site of 10,000 rigs, a thousand of them failing, and how punctual it is.

The simulated site, the exporter and the scraper are processes of their own, on the same cores. On fewer than four
:mod:`tests.bench.thin_site` stands in for the simulated site. Both need the rigs' ports on all loopback addresses;
where others have them: ``unshare -rn sh -c 'ip link set lo up && make bench BENCH=site10k_cores'``.
"""

import contextlib
import gzip
import http
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
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
FAILING = 0.1
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
MEASURED = 4  # scrapes
SETTLING = 2  # scrapes
CORES_OF_SIMULATION = 4
GROWTH = (100, 1_000, 5_000, 20_000)
ONE_CORE_RIGS = 5_000
BUSY_LOOPS = 2
LEAN = dict.fromkeys(("fan", "pool", "fault", "temperature", "power_supply"), False)
ACCEPT = {"Accept": "application/openmetrics-text; version=1.0.0", "Accept-Encoding": "gzip"}
SUCCESS_NAME = "mining_rig_last_success_timestamp_seconds"
SUCCESS = re.compile(rf'^{SUCCESS_NAME}\{{.*?\brig="([^"]+)".*\}} (\S+)$', re.MULTILINE)
BUCKET = r'^%s_bucket\{le="([^"]+)"\} (\S+)$'


# --- the simulated site ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Simulation:
    control: str
    config: dict[str, Any]

    def fail(self, rigs: Mapping[str, Fault | None]) -> None:
        for rig, fault in rigs.items():
            ask(f"{self.control}/faults", {"rig": rig, "fault": fault})

    def rigs(self) -> dict[str, Any]:
        rigs: dict[str, Any] = ask(self.control)["rigs"]
        return rigs


@contextlib.contextmanager
def simulation(folder: Path, rigs: int = RIGS, cores: set[int] | None = None) -> Iterator[Simulation]:
    file = folder / "simulated.yml"
    thin = len(os.sched_getaffinity(0)) < CORES_OF_SIMULATION
    module = "tests.bench.thin_site" if thin else "exporter.simulation"
    command = (sys.executable, "-m", module, f"--rigs={rigs}", f"--network={NETWORK}")
    ports = (f"--control-port={free_port()}", f"--port-offset={random.randrange(20_000, 40_000)}")
    with subprocess.Popen(
        (*command, *ports, f"--config-out={file}"), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as it:
        try:
            pin(it.pid, cores)
            assert it.stdout is not None
            ready = json.loads(it.stdout.readline())
            if ready["left_out"] or ready["rigs"] != rigs:
                raise RuntimeError(f"not the whole site: {ready['left_out']}")
            config = yaml.load(file.read_bytes(), Loader=yaml.CSafeLoader)
            yield Simulation(ready["control"], config)
        finally:
            it.terminate()


def failing(simulation: Simulation) -> dict[str, Fault | None]:
    """A tenth of the rigs, which fail in ten ways; all others have nothing."""
    rigs = sorted(simulation.rigs())
    chosen = random.Random(RIGS).sample(rigs, round(len(rigs) * FAILING))
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
    slowest: float = 0.0  # scrape, in seconds
    next_scrape: float = field(default_factory=time.monotonic)

    def fetch(self) -> str:
        request = urllib.request.Request(f"{self.url}/metrics", headers=ACCEPT)
        until = time.monotonic() + TIMEOUT
        while True:
            try:
                with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
                    return gzip.decompress(answer.read()).decode()
            except urllib.error.HTTPError as error:  # a machine so busy that the last evaluation is too old
                if error.code != http.HTTPStatus.SERVICE_UNAVAILABLE or time.monotonic() > until:
                    raise
                time.sleep(1.0)

    def scrape(self) -> str:
        """Wait for the next moment to scrape, and do it as Prometheus does."""
        time.sleep(max(0.0, self.next_scrape - time.monotonic()))
        self.next_scrape += SCRAPE_EVERY
        asked = time.monotonic()
        text = self.fetch()
        self.slowest = max(self.slowest, time.monotonic() - asked)
        at = text.find(f"\n{SUCCESS_NAME}{{")
        for rig, moment in SUCCESS.findall(text, at, text.find("\n#", at + 1)) if at >= 0 else ():
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
        """Watch it for some scrapes after those in which it settles."""
        for _ in range(SETTLING):
            self.scrape()
        self.read.clear()
        self.rss = 0
        self.slowest = 0.0
        before, spent, started = self.scrape(), cpu_seconds(self.pid), time.monotonic()
        after, evaluations = before, []
        for _ in range(MEASURED):
            after = self.scrape()
            evaluations.append(value("mining_evaluation_duration_seconds", after))
        return {
            "cores": (cpu_seconds(self.pid) - spent) / (time.monotonic() - started),
            "rss": self.rss / 1e6,
            "lateness_p99": p99("mining_poll_lateness_seconds", before, after),
            "loop_delay_p99": p99("mining_event_loop_delay_seconds", before, after) * 1_000,
            "missed": sum(self.missed(rig) for rig in rigs),
            "series": sum(not line.startswith("#") for line in after.splitlines()),
            "evaluation": statistics.median(evaluations),
            "evaluation_late": value("mining_evaluation_lateness_seconds", after),
            "scrape_slowest": self.slowest,
        }

    def missed(self, rig: str) -> int:
        """How many readings of a rig are missing between those that were seen."""
        return sum(round((later - earlier) / INTERVAL) - 1 for earlier, later in pairwise(self.read[rig]))


@contextlib.contextmanager
def exporter(folder: Path, config: dict[str, Any], cores: set[int] | None = None) -> Iterator[Exporter]:
    file, port = folder / "site.yml", free_port()
    state = {"path": str(folder / "state.sqlite")}
    web = {"listen_address": f"{HOST}:{port}"}
    file.write_text(yaml.dump(config | {"state": state, "web": web}, Dumper=yaml.CSafeDumper), encoding="utf-8")
    with (
        (folder / "exporter.log").open("ab") as log,
        subprocess.Popen((BIN / "hashmargin", "run", "--config.file", file), stdout=log, stderr=log) as process,
    ):
        try:
            pin(process.pid, cores)
            running = Exporter(process.pid, f"http://{HOST}:{port}")
            wait_for("the exporter", running.fetch, TIMEOUT)
            running.next_scrape = time.monotonic()
            yield running
        finally:
            process.send_signal(signal.SIGTERM)


@contextlib.contextmanager
def busy_loops() -> Iterator[None]:
    """Keep as many cores busy as there are loops: neighbours on a shared machine."""
    loops = [subprocess.Popen((sys.executable, "-c", "while True: pass")) for _ in range(BUSY_LOOPS)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def pin(pid: int, cores: set[int] | None) -> None:
    """Let a process that was just started, and its threads and children, run on these cores only."""
    if cores is not None:
        os.sched_setaffinity(pid, cores)


# --- what Linux says of it ------------------------------------------------------------------------------------------


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and all below it, those that have ended included."""
    ticks = sum(sum(map(int, stat(one)[11 : 15 if one == pid else 13])) for one in tree(pid))
    return ticks / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def value(metric: str, text: str) -> float:
    found = re.search(rf"^{metric} (\S+)", text, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"no {metric}")
    return float(found[1])


def p99(metric: str, before: str, after: str) -> float:
    """The 99th percentile of what a histogram counted in between, interpolated within its bucket as PromQL does."""
    then, now = (dict(re.findall(BUCKET % metric, text, re.MULTILINE)) for text in (before, after))
    counts = [(float(bound), float(count) - float(then.get(bound, 0))) for bound, count in now.items()]
    if not counts or not counts[-1][1]:
        raise RuntimeError(f"nothing was counted in {metric}")
    wanted = 0.99 * counts[-1][1]
    low = below = 0.0
    for bound, count in counts:
        if count >= wanted:
            return low + (bound - low) * (wanted - below) / (count - below) if bound != float("inf") else low
        low, below = bound, count
    return low


# --- the figures ----------------------------------------------------------------------------------------------------


@cache
def measured() -> dict[str, float]:
    """All figures of 10,000 rigs."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name, simulation(Path(name)) as site:
        folder = Path(name)
        unwell = failing(site)
        healthy = site.rigs().keys() - unwell.keys()
        site.fail(dict.fromkeys(rig for rig, reading in site.rigs().items() if reading["fault"]) | unwell)
        with exporter(folder, site.config) as cold:
            figures["first_readings_seconds"] = cold.first_readings(healthy)
        with exporter(folder, site.config) as full:
            figures["first_readings_remembered_seconds"] = full.first_readings(healthy)
            figures |= reported("all groups, 1,000 failing", full.measure(healthy))
            with busy_loops():
                busy = reported("the same beside two busy loops", full.measure(healthy))
        site.fail(dict.fromkeys(unwell))
        with exporter(folder, site.config | {"exposition": {"groups": LEAN}}) as lean:
            lean.first_readings(healthy)
            calm = reported("rigs and boards only, none failing", lean.measure(healthy))
    figures |= {"rss_lean": calm["rss"], "rss_per_rig": figures["rss"] / RIGS * 1_000}
    figures |= {f"{name}_busy": busy[name] for name in BUSY}
    return figures | {f"{name}_calm": calm[name] for name in ("lateness_p99", "missed")}


@cache
def grown(rigs: int, *, one_core: bool = False) -> dict[str, float]:
    """Figures of a site of so many rigs; with ``one_core`` of the exporter alone on a core, all else on another."""
    first, second, *_ = (*sorted(os.sched_getaffinity(0)), None)
    pinned = one_core and second is not None
    own, others = ({first}, {second}) if pinned else (None, None)
    before = os.sched_getaffinity(0)
    try:
        with tempfile.TemporaryDirectory() as name, simulation(Path(name), rigs, others) as site:
            pin(os.getpid(), others)
            unwell = failing(site)
            healthy = site.rigs().keys() - unwell.keys()
            site.fail(dict.fromkeys(rig for rig, reading in site.rigs().items() if reading["fault"]) | unwell)
            with exporter(Path(name), site.config, own) as running:
                started = running.first_readings(healthy)
                figures = running.measure(healthy)
    finally:
        os.sched_setaffinity(0, before)
    figures |= {"first_readings_seconds": started, "cpu_per_rig": figures["cores"] / rigs * 1e6}
    return reported(f"{rigs:,} rigs{' on one core' if one_core else ''}, a tenth failing", figures)


def reported(run: str, figures: dict[str, float]) -> dict[str, float]:
    print(f"{run}: {', '.join(f'{name} {value:.4g}' for name, value in figures.items())}", file=sys.stderr)
    return figures


def figure(name: str, unit: str) -> Callable[[], Result]:
    return lambda: Result(measured()[name], unit)


def growth(rigs: int, name: str, unit: str, *, one_core: bool = False) -> Callable[[], Result]:
    return lambda: Result(grown(rigs, one_core=one_core)[name], unit)


BUSY = {
    "lateness_p99": "s",
    "loop_delay_p99": "ms",
    "missed": "readings",
    "scrape_slowest": "s",
    "evaluation": "s",
    "evaluation_late": "s",
}
PUNCTUAL = {"cores": "cores", "rss": "MB", **BUSY}
BENCHES = {
    f"site10k_{name}": figure(name, unit)
    for name, unit in {
        **PUNCTUAL,
        "rss_per_rig": "kB",
        "rss_lean": "MB",
        "lateness_p99_calm": "s",
        "missed_calm": "readings",
        "first_readings_seconds": "s",
        "first_readings_remembered_seconds": "s",
        **{f"{name}_busy": unit for name, unit in BUSY.items()},
    }.items()
}
BENCHES |= {
    f"growth_{rigs}_{name}": growth(rigs, name, unit)
    for rigs in GROWTH
    for name, unit in {"cpu_per_rig": "us/s", **PUNCTUAL, "first_readings_seconds": "s"}.items()
}
BENCHES |= {f"one_core_{name}": growth(ONE_CORE_RIGS, name, unit, one_core=True) for name, unit in PUNCTUAL.items()}
