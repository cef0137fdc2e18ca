"""The whole exporter as a process of its own against a few simulated rigs: reload, restart, stop."""

import asyncio
import json
import os
import random
import signal
import socket
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from own_network import OWN, fresh_network
from prometheus_client.parser import text_string_to_metric_families

from exporter.decision.change import Cause
from exporter.settings.load import load
from exporter.settings.sources import sources
from exporter.simulation.faults import Fault
from exporter.simulation.site import SimulatedSite

NEVER = 600  # s, also on a machine with sixty busy processes
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
async def site() -> AsyncIterator[SimulatedSite]:
    """Three rigs on a network of their own, none of them below port 1024."""
    async with SimulatedSite(
        models=["Antminer S21", "Antminer S19j Pro", "Whatsminer M50"],
        network=fresh_network(),
        port_offset=20_000,
        control_port=0,
        lowest_port=1024,
    ) as started:
        yield started


class Exporter:
    """``hashmargin run`` on a free port, with its configuration and state in a folder."""

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        with socket.create_server((f"{OWN}.0.9", 0)) as server:
            self.address = f"{OWN}.0.9:{server.getsockname()[1]}"
        self.file = folder / "site.yml"
        self.config = config | {
            "evaluation_interval": "1s",
            "polling": {"interval": "2s", "deadline": "2s"},
            "web": {"listen_address": self.address, "enable_lifecycle": True},
            "state": {"path": str(folder / "state.sqlite")},
        }

    def configure(self, **changes: Any) -> None:
        self.config |= changes
        self.file.write_text(yaml.safe_dump(self.config), encoding="utf-8")

    @asynccontextmanager
    async def running(
        self, *options: str, flags: Sequence[str] = (), held_back: bool = False
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        """Start it; ``options`` are those of the interpreter, ``flags`` those of the command.

        Where it is ``held_back``, it waits for the configuration until :meth:`hand_over`.
        """
        self.configure()
        if held_back:
            self.file.unlink()
            os.mkfifo(self.file)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *options, "-m", "exporter", "run", "--config.file", str(self.file), *flags),
            stderr=asyncio.subprocess.PIPE,
            env={name: value for name, value in os.environ.items() if not name.startswith("HASHMARGIN_")},
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()

    def reader(self) -> int | None:
        """Return the open pipe to a process that waits for the configuration."""
        with suppress(OSError):
            return os.open(self.file, os.O_WRONLY | os.O_NONBLOCK)
        return None

    def hand_over(self, waiting: int) -> None:
        """Give the configuration to the process that waits for it. Later ones read the file."""
        self.file.unlink()
        self.configure()
        with os.fdopen(waiting, "wb") as file:
            file.write(self.file.read_bytes())

    async def ask(self, method: str, path: str) -> tuple[int, str]:
        async with aiohttp.request(method, f"http://{self.address}{path}") as answer:
            return answer.status, await answer.text()

    async def until(self, holds: Callable[[Samples], bool]) -> Samples:
        """Scrape until it holds; the test's own time limit ends what never does."""
        async with asyncio.timeout(NEVER):
            while True:
                try:
                    status, text = await self.ask("GET", "/metrics")
                except aiohttp.ClientConnectionError:
                    status, text = 0, ""
                samples = parse(text) if status == 200 else {}
                if samples and holds(samples):
                    return samples
                await asyncio.sleep(0.1)


def parse(text: str) -> Samples:
    families = text_string_to_metric_families(text)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def values(samples: Samples, name: str) -> dict[str, float]:
    """Give a metric's values by rig."""
    return {dict(labels)["rig"]: value for (found, labels), value in samples.items() if found == name}


def one(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, frozenset(labels.items())))


def verdicts(samples: Samples) -> dict[tuple[str, str], float]:
    """Give the unix time since which each rig has its verdict."""
    since = values(samples, "mining_rig_verdict_since_timestamp_seconds")
    given = (dict(labels) for (name, labels), on in samples.items() if name == "mining_rig_verdict" and on)
    return {(each["rig"], each["verdict"]): since[each["rig"]] for each in given}


def all_margins(samples: Samples) -> bool:
    return len(values(samples, "mining_rig_margin_usd_per_day")) == 3


async def read_to(words: str, stream: asyncio.StreamReader) -> str:
    """Read up to the line with these words."""
    lines = [await stream.readline()]
    while words.encode() not in lines[-1]:
        assert lines[-1], f"it ended without {words!r}"
        lines.append(await stream.readline())
    return b"".join(lines).decode()


def read_within(seconds: float, samples: Samples) -> set[str]:
    """Return the rigs that were read in the seconds before the evaluation: a busy machine reads some later."""
    evaluated = one(samples, "mining_evaluation_timestamp_seconds") or 0.0
    read = values(samples, "mining_rig_last_success_timestamp_seconds")
    return {rig for rig, at in read.items() if evaluated - at < seconds}


async def ended(process: asyncio.subprocess.Process) -> str:
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(NEVER):
        _, errors = await process.communicate()
    assert process.returncode == 0
    return errors.decode()


async def test_sighup_during_the_start_causes_one_reload_after_it(site: SimulatedSite, tmp_path: Path) -> None:
    exporter = Exporter(tmp_path, site.config())
    async with exporter.running("-X", "importtime", held_back=True) as process:
        assert process.stderr is not None
        while b"click" not in await process.stderr.readline():  # one of the first imports
            pass
        logged = asyncio.create_task(read_to("configuration reloaded", process.stderr))
        while (waiting := exporter.reader()) is None:
            process.send_signal(signal.SIGHUP)
            await asyncio.sleep(0.001)
        process.send_signal(signal.SIGHUP)
        exporter.hand_over(waiting)
        assert "event=serving" in await logged
        assert "configuration reloaded" not in await ended(process)


async def test_every_rig_is_priced_and_a_signal_stops_the_exporter(site: SimulatedSite, tmp_path: Path) -> None:
    exporter = Exporter(tmp_path, site.config())
    async with exporter.running() as process:
        samples = await exporter.until(all_margins)
        revenue = values(samples, "mining_rig_revenue_usd_per_day")
        cost = values(samples, "mining_rig_power_cost_usd_per_day")
        margin = values(samples, "mining_rig_margin_usd_per_day")
        assert margin == pytest.approx({rig: revenue[rig] - cost[rig] for rig in margin})
        assert "Traceback" not in await ended(process)


async def test_the_end_of_the_first_round_starts_an_evaluation(site: SimulatedSite, tmp_path: Path) -> None:
    exporter = Exporter(tmp_path, site.config())
    exporter.configure(evaluation_interval="1h")
    async with exporter.running() as process:
        await exporter.until(lambda samples: bool(values(samples, "mining_rig_last_success_timestamp_seconds")))
        async with asyncio.timeout(NEVER):  # ready once every source was asked too
            while await exporter.ask("GET", "/-/ready") != (200, "Ready.\n"):  # noqa: ASYNC110 -- of another process
                await asyncio.sleep(0.1)
        await ended(process)


async def test_a_reload_takes_effect_and_loses_nothing(site: SimulatedSite, tmp_path: Path) -> None:
    exporter = Exporter(tmp_path, site.config())
    rigs = exporter.config["fleet"]["rigs"]
    exporter.config["tariff"] = "ppa"
    exporter.config["blocks"] = {block: {"capacity_kilowatts": 20} for block in exporter.config["blocks"]}
    exporter.config["polling"] = {"interval": "5s", "deadline": "5s"}  # what is lost stays so for a while
    async with exporter.running() as process:
        before = await exporter.until(all_margins)
        assert one(before, "mining_power_price_usd_per_kilowatt_hour", tariff="ppa") == 0.05
        exporter.configure(tariffs={"ppa": {"kind": "fixed", "usd_per_kilowatt_hour": 0.07}}, fleet={"rigs": rigs[:2]})
        assert await exporter.ask("POST", "/-/reload") == (200, "Reloaded.\n")
        after = await exporter.until(
            lambda samples: one(samples, "mining_power_price_usd_per_kilowatt_hour", tariff="ppa") == 0.07
        )
        kept = {rig["name"] for rig in rigs[:2]}
        assert kept >= set(values(after, "mining_rig_margin_usd_per_day")) >= kept & read_within(12, after)
        polls = "mining_poll_duration_seconds_count"
        assert (one(after, polls) or 0) >= (one(before, polls) or 0) > 0

        exporter.configure(tariffs={"ppa": {"kind": "fixt"}})
        status, refusal = await exporter.ask("POST", "/-/reload")
        assert status == 500
        assert "did you mean 'fixed'?" in refusal
        process.send_signal(signal.SIGHUP)
        refused = await exporter.until(lambda samples: one(samples, "mining_config_last_reload_successful") == 0)
        assert one(refused, "mining_power_price_usd_per_kilowatt_hour", tariff="ppa") == 0.07
        assert set(values(refused, "mining_rig_last_success_timestamp_seconds")) == kept
        await ended(process)


async def test_a_recorder_of_the_history_that_a_reload_names_is_read(site: SimulatedSite, tmp_path: Path) -> None:
    exporter = Exporter(tmp_path, site.config())
    exporter.config["tariff"] = "ppa"
    hours = tmp_path / "hours.csv"
    block = next(iter(exporter.config["blocks"]))
    start = time.time() // 3600 * 3600 - 48 * 3600
    times = [datetime.fromtimestamp(start + 3600 * hour, UTC).isoformat() for hour in range(48)]
    rows = [f"{at},{block},ppa,100,5,40,0.05" for at in times]
    columns = "time,block,tariff,kilowatts,petahashes,hashprice,power_price"
    hours.write_text("\n".join([columns, *rows]) + "\n", encoding="utf-8")
    known = "mining_block_verdict_evidence_seconds"
    async with exporter.running() as process:
        before = await exporter.until(lambda samples: one(samples, known, block=block) is not None)
        assert (one(before, known, block=block) or 0.0) < 3_600
        exporter.configure(decision={"backfill": {"kind": "file", "path": str(hours)}})
        assert await exporter.ask("POST", "/-/reload") == (200, "Reloaded.\n")
        await exporter.until(lambda samples: (one(samples, known, block=block) or 0.0) >= 47 * 3_600)
        assert "Traceback" not in await ended(process)


async def test_the_day_ahead_plan_stops_what_a_known_price_makes_a_loss(site: SimulatedSite, tmp_path: Path) -> None:
    exporter = Exporter(tmp_path, site.config())
    listed: dict[str, Any] = {
        "kind": "time_of_use",
        "timezone": "UTC",
        "periods": [{"price": 0.9, "from": "00:00", "to": "12:00"}],
    }
    listed["periods"].append({"price": 0.02})
    exporter.configure(tariff="list", tariffs={"list": listed}, decision={"day_plan": {"horizon": "48h"}})
    exporter.configure(gpus=None, blocks={block: {} for block in exporter.config["blocks"]})
    exporter.configure(polling={"interval": "8s", "deadline": "8s"})  # the first round outlasts some evaluations
    async with exporter.running() as process:
        samples = await exporter.until(lambda found: one(found, "mining_plan_value_usd") is not None)
        _, text = await exporter.ask("GET", "/api/v1/plan")
        slots = json.loads(text)["plan"]["slots"]
        errors = await ended(process)
    assert "Traceback" not in errors
    dear = {slot["start"][11:13] < "12" for slot in slots if slot["watts"] == 0}
    cheap = {slot["start"][11:13] < "12" for slot in slots if slot["watts"] > 8_500}  # all three rigs
    assert (dear, cheap) == ({True}, {False})
    assert len(slots) >= 48
    assert one(samples, "mining_plan_violation_watts") == 0
    assert one(samples, "mining_plan_failures_total") == 0


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let no other process write a state file, as on a disk that hangs."""
    with closing(sqlite3.connect(path, timeout=60)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.rollback()


KILLS = int(os.environ.get("KILLS", "3"))


async def test_a_kill_lets_no_energy_counter_fall_and_costs_at_most_one_interval(
    site: SimulatedSite, tmp_path: Path
) -> None:
    interval = 2.0
    exporter = Exporter(tmp_path, site.config())
    exporter.config["state"]["interval"] = "10s"
    rng = random.Random(KILLS)
    energies, powers, read_at = (
        f"mining_rig_{name}" for name in ("energy_joules_total", "power_watts", "last_success_timestamp_seconds")
    )
    known: dict[str, tuple[float, float, float]] = {}  # by rig: energy, its power and when it was read

    def look(samples: Samples) -> None:
        energy, power, at = (values(samples, name) for name in (energies, powers, read_at))
        assert all(joules >= known.get(rig, (0.0,))[0] for rig, joules in energy.items())
        known.update({rig: (joules, power[rig], at[rig]) for rig, joules in energy.items() if rig in power})

    was_locked, killed_at = False, 0.0
    for number in range(KILLS):
        async with exporter.running() as process:
            samples = await exporter.until(
                lambda samples: [joules > 0 for joules in values(samples, energies).values()] == [True] * 3
            )
            for rig, (joules, watts, at) in known.items():
                grown, gap = values(samples, energies)[rig] - joules, values(samples, read_at)[rig] - at
                assert grown >= 0
                assert was_locked or grown <= 1.05 * watts * gap  # what could not be saved was not served either
                if killed_at - at < 2.5 * interval:  # else a busy machine had lost it, and its power, before the kill
                    assert grown >= 0.95 * watts * (min(gap, 2.5 * interval) - interval)
            kill_at = time.monotonic() + rng.uniform(0.5, 5.0)
            was_locked = number % 3 == 1
            with locked(tmp_path / "state.sqlite") if was_locked else nullcontext():
                while time.monotonic() < kill_at:
                    look(await exporter.until(bool))
                process.kill()
                killed_at = time.time()


FEW_DESCRIPTORS = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 60))
sys.argv[:] = sys.argv[2:]
runpy.run_module("exporter", run_name="__main__", alter_sys=True)
"""


async def test_rigs_that_hang_leave_file_descriptors_to_scrapes(tmp_path: Path) -> None:
    async with SimulatedSite(
        models=["Antminer S21"] * 60, network=fresh_network(), port_offset=20_000, control_port=0, lowest_port=1024
    ) as site:
        await site.set_fault(site.machines, Fault.HUNG)
        exporter = Exporter(tmp_path, site.config())
        async with exporter.running("-c", FEW_DESCRIPTORS) as process:
            await exporter.until(lambda samples: 0 in values(samples, "mining_rig_up").values())
            for _ in range(40):
                assert (await exporter.ask("GET", "/metrics"))[0] == 200
            log = await ended(process)
            assert log.count("few file descriptors") == 1
            assert "Too many open files" not in log


def decided(samples: Samples) -> bool:
    return len(verdicts(samples)) == 3 and all(verdict != "unknown" for _, verdict in verdicts(samples))


UNDER_ANOTHER_CLOCK = """
import pathlib, runpy, sys, time
real, timer, setting = time.time, time.clock_gettime, pathlib.Path(sys.argv.pop(1))
steps = lambda: map(float, setting.read_text().split())  # of the system clock, and of suspend
time.time = lambda: real() + sum(steps())
time.clock_gettime = lambda clock: timer(clock) + (list(steps())[1] if clock == time.CLOCK_BOOTTIME else 0)
sys.argv[:] = sys.argv[2:]
runpy.run_module("exporter", run_name="__main__", alter_sys=True)
"""


class OtherClock:
    """The clock of a process that runs ``UNDER_ANOTHER_CLOCK``."""

    def __init__(self, folder: Path, ahead: float = 0.0) -> None:
        self.setting = folder / "clock"
        self._steps = [ahead, 0.0]
        self._write()

    def turn(self, seconds: float) -> None:
        """Set the system clock."""
        self._steps[0] += seconds
        self._write()

    def suspend(self, seconds: float) -> None:
        """Let time go by while the machine does not run: timers of the process stand still."""
        self._steps[1] += seconds
        self._write()

    def _write(self) -> None:
        file = self.setting.with_suffix(".next")
        file.write_text(" ".join(map(str, self._steps)), encoding="utf-8")
        file.rename(self.setting)


async def test_a_clock_that_is_set_costs_no_reading(site: SimulatedSite, tmp_path: Path) -> None:
    exporter = Exporter(tmp_path, site.config())
    exporter.config["polling"] = {"interval": "10s", "deadline": "5s"}
    clock = OtherClock(tmp_path)
    evaluated = "mining_evaluation_timestamp_seconds"
    async with exporter.running("-c", UNDER_ANOTHER_CLOCK, str(clock.setting)) as process:
        before = await exporter.until(lambda samples: all_margins(samples) and decided(samples))
        for step in (3600.0, -3600.0, 86_400.0, -86_400.0):
            clock.turn(step)
            reached = (one(before, evaluated) or 0.0) + step
            after = await exporter.until(
                lambda samples, reached=reached: abs((one(samples, evaluated) or 0.0) - reached) < 1_800
            )
            assert set(values(after, "mining_rig_margin_usd_per_day")) >= read_within(24, after)
            assert one(after, "mining_bitcoin_price_usd") is not None
            assert verdicts(after) == pytest.approx(
                {rig: since + step for rig, since in verdicts(before).items()}, abs=2
            )
            before = after
        assert (await ended(process)).count("the system clock was set") == 4


async def test_a_machine_that_was_suspended_serves_nothing_old_and_counts_no_energy_for_it(
    site: SimulatedSite, tmp_path: Path
) -> None:
    exporter = Exporter(tmp_path, site.config())
    exporter.config["polling"] = {"interval": "10s", "deadline": "5s"}
    clock = OtherClock(tmp_path)
    evaluated, energies = "mining_evaluation_timestamp_seconds", "mining_rig_energy_joules_total"
    async with exporter.running("-c", UNDER_ANOTHER_CLOCK, str(clock.setting)) as process:
        before = await exporter.until(lambda samples: all_margins(samples) and len(values(samples, energies)) == 3)
        clock.suspend(3600.0)
        resumed = (one(before, evaluated) or 0.0) + 3600.0
        after = await exporter.until(bool)
        assert (one(after, evaluated) or 0.0) >= resumed, "until the next evaluation a scrape returns 503"
        read = values(after, "mining_rig_last_success_timestamp_seconds")
        assert set(values(after, "mining_rig_power_watts")) <= {rig for rig, at in read.items() if at >= resumed - 25}
        after = await exporter.until(
            lambda samples: (one(samples, evaluated) or 0.0) >= resumed and all_margins(samples)
        )
        spent = (one(after, evaluated) or 0.0) - (one(before, evaluated) or 0.0) - 3600.0
        for rig, joules in values(after, energies).items():
            grown = joules - values(before, energies)[rig]
            assert 0 <= grown <= 1.05 * values(after, "mining_rig_power_watts")[rig] * (spent + 10)
        assert "the system clock was set" not in await ended(process)


SPRING, AUTUMN = (datetime.fromisoformat(f"2026-{day}:00Z").timestamp() for day in ("03-08T08:00", "11-01T07:00"))
"""When clocks in Chicago go from 02:00 to 03:00, and from 02:00 back to 01:00."""


@pytest.mark.parametrize(
    ("change", "window", "dear"),
    [
        (SPRING, {"from": "03:00", "to": "04:00"}, {"from": "03:00", "to": "24:00"}),
        (AUTUMN, {"from": "01:00", "to": "01:30"}, {"from": "01:00", "to": "01:30"}),
    ],
    ids=["spring", "autumn"],
)
async def test_schedules_and_prices_change_with_summer_time(
    site: SimulatedSite, tmp_path: Path, change: float, window: dict[str, str], dear: dict[str, str]
) -> None:
    exporter = Exporter(tmp_path, site.config())
    zone = {"timezone": "America/Chicago"}
    exporter.config["schedules"] = {"nights": {**zone, "mining": [window]}}
    exporter.config["fleet"]["defaults"] = {"expected_mining": "nights"}
    periods = [{"price": 0.12, **dear}, {"price": 0.03}]
    exporter.config["tariffs"] = {"grid": {"kind": "time_of_use", **zone, "periods": periods}}
    exporter.config["tariff"] = "grid"
    del exporter.config["gpus"]  # which have another tariff
    exporter.config["blocks"] = {block: {"capacity_kilowatts": 20} for block in exporter.config["blocks"]}
    clock = OtherClock(tmp_path, change - time.time() - 10)
    evaluated = "mining_evaluation_timestamp_seconds"

    def now(samples: Samples) -> tuple[float | None, set[float]]:
        price = one(samples, "mining_power_price_usd_per_kilowatt_hour", tariff="grid")
        return price, set(values(samples, "mining_rig_expected_mining").values())

    async with exporter.running("-c", UNDER_ANOTHER_CLOCK, str(clock.setting)) as process:
        before = await exporter.until(lambda samples: now(samples)[0] is not None)
        if (one(before, evaluated) or 0.0) < change:  # else the start took more than ten seconds
            assert now(before) == (0.03, {0.0})
        after = await exporter.until(lambda samples: (one(samples, evaluated) or 0.0) >= change + 1)
        assert now(after) == (0.12, {1.0})
        assert "the system clock was set" not in await ended(process)


async def test_a_restart_keeps_rigs_and_market(site: SimulatedSite, tmp_path: Path) -> None:
    exporter = Exporter(tmp_path, site.config())
    async with exporter.running() as process:
        await exporter.until(all_margins)
        await ended(process)
    await site.stop()
    async with exporter.running() as process:
        samples = await exporter.until(lambda samples: 0 in values(samples, "mining_rig_up").values())
        assert one(samples, "mining_bitcoin_price_usd") is not None
        assert len(values(samples, "mining_rig_potential_margin_usd_per_day")) == 3
        assert values(samples, "mining_rig_hashrate_hashes_per_second") == {}
        await ended(process)
    bitcoin = exporter.config["bitcoin"]
    exporter.configure(bitcoin=bitcoin | {"url": f"{bitcoin['url']}/elsewhere"})
    async with exporter.running() as process:
        samples = await exporter.until(lambda samples: 0 in values(samples, "mining_rig_up").values())
        assert one(samples, "mining_bitcoin_price_usd") is None
        assert one(samples, "mining_network_difficulty") is not None
        await ended(process)


async def test_the_change_of_the_margin_since_yesterday_is_the_sum_of_its_causes(
    site: SimulatedSite, tmp_path: Path
) -> None:
    exporter = Exporter(tmp_path, site.config())
    async with exporter.running() as process:
        first = one(await exporter.until(all_margins), "mining_evaluation_timestamp_seconds")
        samples = await exporter.until(
            lambda samples: one(samples, "mining_evaluation_timestamp_seconds") not in {None, first}
        )
        assert "mining_margin_change_usd_per_day" not in {name for name, _ in samples}
        await ended(process)
    with closing(sqlite3.connect(tmp_path / "state.sqlite")) as state, state:
        ((text,),) = state.execute("SELECT document FROM documents WHERE name = 'margin change'")
        kept = json.loads(text)
        for sample in kept:
            sample["at"] -= 86_400.0
            sample["cause"]["bitcoin_price"] *= 0.9
        state.execute("UPDATE documents SET document = ? WHERE name = 'margin change'", (json.dumps(kept),))
    before = Cause(**kept[-1]["cause"]).margin
    async with exporter.running() as process:
        samples = await exporter.until(
            lambda samples: "mining_margin_change_usd_per_day" in {name for name, _ in samples}
        )
        causes = {
            dict(labels)["cause"]: value
            for (name, labels), value in samples.items()
            if name == "mining_margin_change_usd_per_day"
        }
        after = sum(value for (name, _), value in samples.items() if name == "mining_block_margin_usd_per_day")
        assert causes["bitcoin_price"] > 0
        assert sum(causes.values()) == pytest.approx(after - before, abs=1e-6 * (abs(after) + abs(before)))
        assert "bitcoin price" in (await exporter.ask("GET", "/change"))[1]
        await ended(process)


def test_two_queries_to_one_prometheus_are_two_sources(tmp_path: Path) -> None:
    queries = [
        {"kind": "prometheus", "url": "http://127.61.0.9:9090", "query": query} for query in ("dcgm_a", "dcgm_b")
    ]
    node = {"kind": "dcgm_exporter", "url": "http://127.61.0.9:9400/metrics"}
    file = tmp_path / "site.yml"
    file.write_text(yaml.safe_dump({"site": "x", "gpus": {"endpoints": [*queries, node]}}), encoding="utf-8")
    named = sources(load(file, environ={}))
    assert sorted(map(str, named)) == ["gpus:127.61.0.9:9090#1", "gpus:127.61.0.9:9090#2", "gpus:127.61.0.9:9400"]


async def test_an_inventory_that_lost_most_rigs_is_refused_until_it_is_allowed(
    site: SimulatedSite, tmp_path: Path
) -> None:
    exporter = Exporter(tmp_path, site.config())
    rigs = exporter.config["fleet"]["rigs"]
    refused = "mining_inventory_shrink_refused"
    async with exporter.running() as process:
        await exporter.until(all_margins)
        exporter.configure(fleet={"rigs": rigs[:1]})
        status, text = await exporter.ask("POST", "/-/reload")
        assert status == 500
        assert "fleet.rigs lists 1 rigs instead of 3" in text
        samples = await exporter.until(lambda samples: one(samples, refused) == 1)
        assert len(values(samples, "mining_rig_up")) == 3
        errors = await ended(process)
        assert "inventory lost too many rigs" in errors
    async with exporter.running() as process:
        _, errors = await process.communicate()
        assert process.returncode == 1
        assert b"--allow-shrink" in errors
    async with exporter.running(flags=["--allow-shrink"]) as process:
        await exporter.until(lambda samples: len(values(samples, "mining_rig_margin_usd_per_day")) == 1)
        exporter.configure(fleet={"rigs": []})
        assert (await exporter.ask("POST", "/-/reload"))[0] == 500
        assert (await exporter.ask("POST", "/-/reload?allow_shrink=1")) == (200, "Reloaded.\n")
        await exporter.until(lambda samples: one(samples, refused) == 0 and not values(samples, "mining_rig_up"))
        await ended(process)


async def test_reloading_over_http_is_disabled_by_default(site: SimulatedSite, tmp_path: Path) -> None:
    exporter = Exporter(tmp_path, site.config())
    exporter.config["web"] = {"listen_address": exporter.address}
    async with exporter.running() as process:
        await exporter.until(bool)
        status, text = await exporter.ask("POST", "/-/reload")
        assert status == 403
        assert "SIGHUP" in text
        await ended(process)


def pair(tmp_path: Path, site: SimulatedSite) -> list[Exporter]:
    """Two exporters of the same site, with one state file and one lease."""
    shared = tmp_path / "shared"
    shared.mkdir()
    exporters = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        exporter = Exporter(tmp_path / name, site.config())
        exporter.configure(
            state={"path": str(shared / "state.sqlite")}, lease={"path": str(shared / "lease"), "takeover": "5s"}
        )
        exporters.append(exporter)
    return exporters


async def test_of_two_exporters_one_reads_the_site_and_the_other_takes_over(
    site: SimulatedSite, tmp_path: Path
) -> None:
    first, second = pair(tmp_path, site)
    energies = "mining_rig_energy_joules_total"
    async with first.running() as active:
        await first.until(all_margins)
        async with second.running() as standby:
            alone = await second.until(lambda samples: one(samples, "mining_exporter_active") == 0)
            assert not [name for name, _ in alone if name.startswith(("mining_rig_", "mining_block_"))]
            assert await second.ask("GET", "/-/ready") == (200, "Standing by.\n")
            assert (await second.ask("GET", "/-/healthy"))[0] == 200
            status, text = await second.ask("GET", "/api/v1/rigs")
            assert (status, f"{first.address} is active" in text) == (503, True)
            before = await first.until(lambda samples: sum(values(samples, energies).values()) > 0)
            assert one(before, "mining_exporter_active") == 1
            active.kill()
            await active.wait()
            after = await second.until(all_margins)
            assert one(after, "mining_exporter_active") == 1
            assert all(values(after, energies)[rig] >= joules for rig, joules in values(before, energies).items())

            async with first.running() as again:  # what was active stands by when it is back
                await first.until(lambda samples: one(samples, "mining_exporter_active") == 0)
                await ended(standby)
                await first.until(all_margins)
                assert "Traceback" not in await ended(again)


async def test_who_loses_the_lease_stops_to_serve_the_site_and_stands_by(site: SimulatedSite, tmp_path: Path) -> None:
    first, second = pair(tmp_path, site)
    async with AsyncExitStack() as stack, first.running() as paused:
        await first.until(all_margins)
        await stack.enter_async_context(second.running())
        await second.until(lambda samples: one(samples, "mining_exporter_active") == 0)
        paused.send_signal(signal.SIGSTOP)
        await second.until(all_margins)
        paused.send_signal(signal.SIGCONT)
        await first.until(lambda samples: one(samples, "mining_exporter_active") == 0)
        await second.until(lambda samples: all_margins(samples) and one(samples, "mining_exporter_active") == 1)
