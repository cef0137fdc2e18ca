"""Runs the simulated site and the exporter, makes them fail, checks every scrape, and returns the figures."""

import asyncio
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import (
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
    nullcontext,
    suppress,
)
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import bcrypt
import yaml
from chaos_faults import (
    Faulty,
    Host,
    Plant,
    bursts_of_hup,
    clock_that_is_set,
    connections,
    few_descriptors,
    flood,
    full_disk,
    market_lies,
    names_that_hang,
    rig_faults,
    source_faults,
    state_moved_away,
)
from chaos_invariants import Invariants, label, parsed
from chaos_prometheus import Server, prometheus_servers

_HOST: Final = str(Path(__file__).parent / "chaos_host.py")
_CLOCK_SECONDS: Final = 5.0
"""Seconds after the clock was set, in which times may still be those before."""
_TURNED_SECONDS: Final = 120.0
"""Seconds after the clock was set, in which an evaluation of before may still be served on a busy machine."""
_NOW: Final = 30.0  # s, by which the evaluation may be older than the scrape
_EVALUATED: Final = "mining_evaluation_timestamp_seconds"
_ERROR: Final = re.compile(r"^[ |]*((?:\w+\.)*\w+(?:Error|Exception|Failure)\b.*)$", re.MULTILINE)
_BUSY: Final = 0.25
"""Share of the time that the exporter waited for a processor, above which nothing that takes time is judged."""
_NANO: Final = 1e-9
_LOGIN: Final = "prometheus"
_PASSWORD: Final = "chaos"
_POLL_SECONDS: Final = 5
_LOST_AFTER: Final = 2.5 * _POLL_SECONDS  # s without a success
_SETTLED: Final = 30.0
"""Seconds after a start in which rigs are read for the first time: only later scrapes are timed."""
_NEVER: Final = 600.0  # s, also on a machine with sixty busy processes
_SCRAPE_LIMIT: Final = 1.0  # s
_PAGES: Final = ("/", "/rigs", "/blocks", "/config", "/api/v1/rigs", "/api/v1/blocks", "/static/style.css", "/nowhere")


@dataclass
class Figures:
    """What was measured."""

    scrape_seconds: list[float] = field(default_factory=list)
    failed_scrapes: list[str] = field(default_factory=list)
    lost: dict[str, str] = field(default_factory=dict)  # a healthy rig, and when
    kills: int = 0
    exits: int = 0
    """How often the exporter ended by itself."""
    processor: float = 0.0
    """Seconds of processor time that the last process of the exporter took."""
    waited: float = 0.0
    """Seconds for which the exporter was ready to run, and no processor was free."""
    watched: float = 0.0
    """Seconds over which this was measured."""
    faults: list[str] = field(default_factory=list)
    prometheus: list[dict[str, Any]] = field(default_factory=list)
    scraped: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_judged(self) -> bool:
        """Whether the machine had time for the exporter."""
        return self.watched == 0.0 or self.waited / self.watched <= _BUSY


class Exporter:
    """The exporter as a process that can be killed and started again."""

    def __init__(
        self,
        folder: Path,
        config: Path,
        url: str,
        *,
        poll_seconds: int = _POLL_SECONDS,
        login: bool = True,
        settings: dict[str, str] | None = None,
    ) -> None:
        self.url = url
        self._settings = settings or {}
        self._poll_seconds = poll_seconds
        self._login = login
        self.folder = folder
        self.state = folder / "state.sqlite"
        self.host = Host(folder / "host")
        self.started = 0.0
        self._config = config
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        web = self.folder / "web.yml"
        hashed = bcrypt.hashpw(_PASSWORD.encode(), bcrypt.gensalt(10)).decode()
        web.write_text(yaml.safe_dump({"basic_auth_users": {_LOGIN: hashed} if self._login else {}}))
        settings = {
            "WEB__LISTEN_ADDRESS": self.url.removeprefix("http://"),
            "WEB__CONFIG_FILE": str(web),
            "POLLING__INTERVAL": f"{self._poll_seconds}s",
            "POLLING__DEADLINE": f"{self._poll_seconds}s",
            "EVALUATION_INTERVAL": "2s",
            "STATE__PATH": str(self.state),
            "STATE__INTERVAL": "10s",
            "LOG__LEVEL": "error",
        }
        with (self.folder / "exporter.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, _HOST, str(self.host.setting), "exporter", "run", f"--config.file={self._config}"],
                env=os.environ | {f"HASHMARGIN_{name}": value for name, value in (settings | self._settings).items()},
                stdout=log,
                stderr=log,
            )
        self.started = time.monotonic()

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def log(self) -> str:
        return (self.folder / "exporter.log").read_text(errors="replace")

    def ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(_NEVER)


@contextmanager
def simulated(folder: Path, rigs: int, network: str) -> Iterator[tuple[str, Path]]:
    """Run a simulated site. Yields the URL of its control port and the exporter's configuration."""
    config = folder / "site.yml"
    command = [sys.executable, "-m", "exporter.simulation", f"--rigs={rigs}", f"--network={network}"]
    process = subprocess.Popen(
        [*command, f"--config-out={config}", "--control-port=0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        by_name = re.sub(r"http://(127)\.(\d+)\.(\d+)\.(\d+)", r"http://ip-\1-\2-\3-\4.chaos", config.read_text())
        config.write_text(by_name)
        yield ready["control"], config
    finally:
        process.terminate()
        process.wait(60)


async def run(
    seconds: float,
    rigs: int,
    network: str,
    address: str,
    seed: int,
    pause: float | None = None,
    *,
    prometheus: bool = False,
    only: Collection[str] = (),
) -> tuple[Figures, Invariants]:
    """Let one fault follow the other, then pairs of them, until ``seconds`` are over and it was killed once.

    With ``only``, those faults come one after the other, then all at once, and nothing is killed. ``pause`` is how many
    seconds each fault lasts. By default it depends on ``seconds``. With ``prometheus``, every installed release
    scrapes, too.
    """
    chance, figures, invariants = random.Random(seed), Figures(), Invariants()
    with tempfile.TemporaryDirectory(prefix="hashmargin-chaos-") as name, simulated(Path(name), rigs, network) as site:
        control, config = site
        exporter = Exporter(Path(name), config, f"http://{address}")
        async with aiohttp.ClientSession() as session:
            plant = Plant(control, session)
            await plant.load()
            exporter.start()
            try:
                servers: AbstractContextManager[list[Server]] = (
                    prometheus_servers(Path(name), address, (_LOGIN, _PASSWORD)) if prometheus else nullcontext([])
                )
                with servers as running:
                    async with scraping(exporter, plant, figures, invariants):
                        await _chaos(exporter, plant, figures, invariants, chance, seconds, pause, only)
                        figures.processor = _processor(exporter.pid)
                    figures.prometheus = [figure for server in running for figure in server.figures()]
            finally:
                exporter.stop()
        log = exporter.log()
        if "Traceback" in log:
            invariants.broken["traceback"] += log.count("Traceback")
            invariants.examples["traceback"] = [line for line, _ in Counter(_ERROR.findall(log)).most_common(10)]
    return figures, invariants


async def _chaos(
    exporter: Exporter,
    plant: Plant,
    figures: Figures,
    invariants: Invariants,
    chance: random.Random,
    seconds: float,
    pause: float | None,
    only: Collection[str] = (),
) -> None:
    pid = lambda: exporter.pid  # noqa: E731 -- it changes with each start
    faults: dict[str, Faulty] = {
        "rigs": rig_faults(plant, chance),
        "pages": flood(exporter.url, _PAGES, chance),
        "guesses": flood(exporter.url, ("/metrics",), chance, login=True),
        "idle connections": connections(exporter.url, b""),
        "half requests": connections(exporter.url, b"GET /metrics HTTP/1.1\r\nX-Slow: "),
        "sources": source_faults(plant, chance),
        "market": market_lies(plant, chance),
        "descriptors": few_descriptors(pid),
        "state moved away": state_moved_away(exporter.state),
        "hup": bursts_of_hup(pid),
        "clock": clock_that_is_set(exporter.host, chance),
        "dns": names_that_hang(exporter.host),
        "full disk": full_disk(pid),
    }
    await _first_scrape(exporter, figures)
    ends = time.monotonic() + seconds
    if only:
        faults = {name: faults[name] for name in only}
    spent = max(2.0, seconds / (3 * len(faults))) if pause is None else pause
    each = seconds / (len(only) + 2) if only else spent
    await asyncio.sleep(min(_SETTLED, seconds / 4))
    rounds = [[name] for name in faults]

    def over() -> bool:
        return time.monotonic() >= ends and (bool(only) or figures.kills > 0)

    while not over():
        names = rounds.pop(0) if rounds else [*only] or chance.sample([*faults], 2)
        figures.faults.append(" and ".join(names))
        async with AsyncExitStack() as stack:
            for name in names:
                await stack.enter_async_context(faults[name]())
            await asyncio.sleep(min(each, max(0.0, ends - time.monotonic())))
        if not only and len(figures.faults) % 3 == 0 and not over():
            figures.kills += 1
            figures.exits += exporter.ended()
            exporter.kill()
            invariants.forget_process()
            exporter.start()
            await _first_scrape(exporter, figures)
            await asyncio.sleep(min(each, _SETTLED))


async def _first_scrape(exporter: Exporter, figures: Figures) -> None:
    """Wait for the first scrape after a start."""
    figures.scraped.clear()
    async with asyncio.timeout(_NEVER):
        while not figures.scraped.is_set():
            assert not exporter.ended(), f"the exporter ended at its start: {exporter.log()[-2000:]}"
            with suppress(TimeoutError):
                await asyncio.wait_for(figures.scraped.wait(), 1.0)


@asynccontextmanager
async def scraping(exporter: Exporter, plant: Plant, figures: Figures, invariants: Invariants) -> AsyncIterator[None]:
    task = asyncio.create_task(_scrape(exporter, plant.healthy, figures, invariants))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _scrape(exporter: Exporter, healthy: set[str], figures: Figures, invariants: Invariants) -> None:
    headers = {"Authorization": aiohttp.encode_basic_auth(_LOGIN, _PASSWORD)}
    before: tuple[int, float, float] | None = None
    while True:
        began, process = time.monotonic(), exporter.pid
        with suppress(OSError):
            point = (process, began, _waited(process))
            if before is not None and before[0] == process:
                figures.waited += point[2] - before[2]
                figures.watched += point[1] - before[1]
            before = point
        settled, faults = began - exporter.started > _SETTLED, figures.faults[-1:]
        try:
            async with (
                asyncio.timeout(10),
                aiohttp.ClientSession(headers=headers) as session,
                session.get(f"{exporter.url}/metrics") as answer,
            ):
                text, status = await answer.text(), answer.status
        except (aiohttp.ClientError, TimeoutError) as error:
            text, status = f"{type(error).__name__}: {error}", 0
        spent = time.monotonic() - began
        if process != exporter.pid:
            continue
        if status == 200:
            series = await asyncio.to_thread(parsed, text)
            now = time.time() + exporter.host.ahead
            if process == exporter.pid and not _is_turning(exporter, series, now):
                invariants.check(series, now)
                figures.scraped.set()
                if settled:
                    figures.scrape_seconds.append(spent)
                    _note_lost(series, healthy, figures)
        elif settled:
            figures.failed_scrapes.append(f"{faults}: {status} {text[:100]}")
        await asyncio.sleep(max(0.0, 1.0 - spent))


def _processor(pid: int) -> float:
    """Return the processor time of a process and its ended children, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _waited(pid: int) -> float:
    """Return for how many seconds the main thread of a process was ready to run and did not."""
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[1]) * _NANO


def _is_turning(exporter: Exporter, series: Any, now: float) -> bool:
    """Whether the clock was set, and what is served may still be of before."""
    passed = time.monotonic() - exporter.host.turned
    evaluated = next(iter(series.get(_EVALUATED, {}).values()), now)
    return passed < _CLOCK_SECONDS or (passed < _TURNED_SECONDS and abs(now - evaluated) > _NOW)


def _note_lost(series: Any, healthy: set[str], figures: Figures) -> None:
    (now,) = series[_EVALUATED].values()  # on a busy machine evaluations are late, which is no poll's fault
    for labels, at in series.get("mining_rig_last_success_timestamp_seconds", {}).items():
        rig = label(labels, "rig")
        if rig in healthy and now - at > _LOST_AFTER:
            figures.lost.setdefault(rig, f"{figures.faults[-1:]}: {now - at:.1f} s")


def lines(figures: Figures, invariants: Invariants) -> list[dict[str, Any]]:
    """Return one record for each figure, with its limit and whether it holds."""
    ordered = sorted(figures.scrape_seconds)
    p99 = ordered[int(0.99 * (len(ordered) - 1))] if ordered else None
    slowest = ordered[-1] if ordered else None

    def line(figure: str, value: object, limit: object, *, holds: bool, example: str = "") -> dict[str, Any]:
        record = {"figure": figure, "value": value, "limit": limit, "holds": holds}
        return record | ({"example": example} if example else {})

    judged = figures.is_judged
    records = [
        line("scrapes", invariants.scrapes, "at least 1", holds=invariants.scrapes > 0),
        line("kills", figures.kills, None, holds=True),
        line("exits", figures.exits, 0, holds=not figures.exits),
        line("faults", len(figures.faults), None, holds=True),
        line("processor_seconds_of_the_last_process", figures.processor, None, holds=True),
        line("waited_for_a_processor", figures.waited / max(figures.watched, 1.0), None, holds=True),
        line("scrape_seconds_p99", p99, _SCRAPE_LIMIT, holds=not judged or (p99 is not None and p99 < _SCRAPE_LIMIT)),
        line("scrape_seconds_max", slowest, None, holds=True),
        line(
            "failed_scrapes",
            len(figures.failed_scrapes),
            0,
            holds=not judged or not figures.failed_scrapes,
            example="; ".join(figures.failed_scrapes[:5]),
        ),
        line(
            "healthy_rigs_that_lost_a_poll",
            len(figures.lost),
            0,
            holds=not judged or not figures.lost,
            example="; ".join(f"{rig} {when}" for rig, when in list(figures.lost.items())[:5]),
        ),
        *(
            line(
                f"scrapes_breaking_{rule}",
                invariants.broken[rule],
                0,
                holds=not invariants.broken[rule],
                example="; ".join(invariants.examples.get(rule, ())),
            )
            for rule in ("finite", "margin", "sum", "age", "counter", "traceback")
        ),
        *(
            figure | {"holds": figure["holds"] or (not judged and "seconds" in figure["figure"])}
            for figure in figures.prometheus
        ),
    ]
    for record in records:
        if not judged and record["figure"].endswith(("_p99", "failed_scrapes", "lost_a_poll")):
            record["judged"] = False
    return records
