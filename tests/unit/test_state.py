import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from array import array
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from structlog.testing import capture_logs

from exporter.decision.history import (
    BlockHour,
    FormerHours,
    MarginHistory,
    Moment,
    restored,
)
from exporter.decision.latch import Latch
from exporter.decision.pool_work import Subject
from exporter.decision.values import Clock, DecisionState, Verdict
from exporter.model.readings import NetworkState, PriceSlot, Reading, RigIdentity
from exporter.model.snapshot import LastGood
from exporter.polling.learning import PointMemory
from exporter.polling.ledger import EnergyCounter, RigMemory
from exporter.state import (
    LIST_SIZES,
    NewerStateError,
    State,
    StateSettings,
    StateStore,
    copy_database,
    document,
    stored_list_sizes,
)
from exporter.telemetry import Telemetry

IDENTITY = RigIdentity(reader="fake", make="Acme", model="A1", mac="02:00:00:00:00:01")
GOOD = LastGood(hashrate=1e14, power=None, observed_at=900.0)
RIG = RigMemory(identity=IDENTITY, last_success=1000.0, energy=5e9, power=3000.0, last_good=GOOD)
FAULTY = replace(RIG, faults=(("fan_lost", "fan 1", 900.0), ("board_chips", "board 2", 950.5)))
MOMENT = Moment(
    33.30, {"ppa": (0.05, None), "grid": (0.07, 0.02)}, {("ppa", 175): (5.7, 100.0), ("grid", -1): (0.0, 3.0)}
)
HISTORY = MarginHistory(observed_at=1000.0, blocks={"b1": restored([MOMENT.hour(0.0, 9.0)])})
CURTAILED = Clock(verdict=Verdict.CURTAIL, since=5.0, curtail=Latch(on=True), reassign=Latch(evidence=60.0))
DECISION = DecisionState(evaluated_at=1000.0, rigs={"a": CURTAILED}, blocks={"b1": Clock(), "a": CURTAILED})
NETWORK = Reading(NetworkState(height=941_000, difficulty=133.79e12, block_fees=0.02), 1000.0)


@asynccontextmanager
async def store(path: Path | None, telemetry: Telemetry | None = None) -> AsyncIterator[StateStore]:
    each = StateStore(StateSettings(path=path), telemetry or Telemetry(), clock=lambda: 1_774_000_000.0)
    try:
        yield each
    finally:
        await each.close()


async def load(path: Path) -> State:
    async with store(path) as opened:
        return await opened.load()


async def save(path: Path, *states: State) -> None:
    async with store(path) as opened:
        for state in states:
            await opened.save(state)


async def test_what_was_saved_is_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state.sqlite"
    price = Reading(70_370.0, 1000.0)
    rigs = {"a": RIG, "b": RigMemory(identity=IDENTITY), "c": RigMemory(energy=0.0, last_success=3.0), "d": FAULTY}
    documents = {"network": document(NETWORK), "bitcoin": document(price)}
    state = State(rigs=rigs, documents=documents, decision=DECISION, history=HISTORY)
    await save(path, state)
    loaded = await load(path)
    assert loaded == state
    assert loaded.reading("network", NetworkState) == NETWORK
    assert loaded.reading("bitcoin", float) == price


async def test_a_restart_continues_from_the_energy_that_was_served_last(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    now = 1_774_000_000.0
    async with store(path) as opened:
        rigs = {"a": RigMemory(energy=5e9, last_success=1000.0, power=3000.0), "b": RigMemory(energy=7e9)}
        await opened.save(State(rigs=rigs, documents={"price": document(Reading(1.0, 1.0))}))
        served = {
            "a": EnergyCounter(5.1e9, 1030.0, 3100.0),
            "b": EnergyCounter(6e9, 990.0),
            "new": EnergyCounter(1e5, now, 20.0),
            "long gone": EnergyCounter(1e9, now - 31 * 86_400),
        }
        await opened.save_energy(served)
    state = await load(path)
    assert state.rigs == {
        "a": RigMemory(energy=5.1e9, last_success=1030.0, power=3100.0),
        "b": RigMemory(energy=7e9),
        "new": RigMemory(energy=1e5, last_success=now, power=20.0),
    }
    assert state.documents.keys() == {"price"}


async def test_energy_is_not_served_while_the_disk_hangs_until_it_hung_for_five_minutes(tmp_path: Path) -> None:
    path, now = tmp_path / "state.sqlite", 0.0
    opened = StateStore(StateSettings(path=path), Telemetry(), clock=lambda: 1_774_000_000.0, timer=lambda: now)
    await opened.save(State(rigs={"a": RIG}))
    hanging = threading.Event()
    opened._thread.submit(hanging.wait)
    now = 200.0
    assert not await opened.save_energy({"a": EnergyCounter(6e9, 1060.0)})
    now = 300.0
    assert not await opened.save_energy({"a": EnergyCounter(7e9, 1090.0)})
    now = 301.0
    assert await opened.save_energy({"a": EnergyCounter(8e9, 1120.0)})
    hanging.set()
    await opened.save(State())  # the disk is back
    assert await opened.save_energy({"a": EnergyCounter(9e9, 1150.0)})
    hanging = threading.Event()
    opened._thread.submit(hanging.wait)
    assert not await opened.save_energy({"a": EnergyCounter(9.5e9, 1180.0)})
    hanging.set()
    await opened.close()
    assert (await load(path)).rigs["a"].energy == 9.5e9


async def test_without_a_state_file_energy_is_served_at_once() -> None:
    async with store(None) as opened:
        assert await opened.save_energy({"a": EnergyCounter(6e9, 1060.0)})


@pytest.mark.parametrize(
    "value", [70_370.0, (PriceSlot(float("-inf"), float("inf"), 0.05), PriceSlot(0.0, 3600.0, -0.02))]
)
async def test_readings_of_every_kind_come_back_as_they_were(tmp_path: Path, value: object) -> None:
    path = tmp_path / "state.sqlite"
    kind = float if isinstance(value, float) else tuple[PriceSlot, ...]
    await save(path, State(documents={"it": document(Reading(value, 12.5))}))
    assert (await load(path)).reading("it", kind) == Reading(value, 12.5)


async def test_a_document_that_is_not_understood_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    await save(path, State(documents={"network": Reading('{"height": "no"}', 1.0)}))
    state = await load(path)
    assert state.reading("network", NetworkState) is None
    assert state.reading("never", NetworkState) is None


async def test_only_what_changed_is_written_and_the_rest_stays(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    first = State(rigs={"a": RIG, "b": RIG}, documents={"price": document(Reading(1.0, 1.0))})
    changed = RigMemory(identity=IDENTITY, last_success=1030.0, energy=5.1e9, power=3000.0, last_good=GOOD)
    async with store(path) as opened:
        await opened.save(first)
        connection = opened._file._connection
        writes = connection.total_changes
        await opened.save(first)
        assert connection.total_changes == writes
        await opened.save(State(rigs={"a": changed, "b": RIG}))
        assert connection.total_changes == writes + 1
        await opened.save(State())
    assert await load(path) == State(rigs={"a": changed, "b": RIG}, documents=first.documents)


async def test_after_a_load_only_changes_are_written(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    documents = {"network": document(NETWORK)}
    await save(path, State(rigs={"a": RIG}, documents=documents, decision=DECISION, history=HISTORY))
    async with store(path) as opened:
        loaded = await opened.load()
        await opened.save(loaded)
        assert opened._file._connection.total_changes == 0


async def test_since_when_a_rig_is_at_fault_is_written_and_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    await save(path, State(rigs={"a": FAULTY}))
    assert (await load(path)).rigs == {"a": FAULTY}
    await save(path, State(rigs={"a": RIG}))
    assert (await load(path)).rigs == {"a": RIG}


@pytest.mark.parametrize("faults", ["", "{", '[["fan_lost", "fan 1"]]', '[["fan_lost", "fan 1", "monday"]]'])
async def test_faults_that_are_not_understood_cost_nothing_else(tmp_path: Path, faults: str) -> None:
    path = tmp_path / "state.sqlite"
    await save(path, State(rigs={"a": FAULTY}))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE meters SET faults = ?", (faults,))
    assert (await load(path)).rigs == {"a": RIG}


VERSION_2 = """
CREATE TABLE identities (
    rig TEXT PRIMARY KEY, identity TEXT, address TEXT NOT NULL, discovered INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE meters (
    rig TEXT PRIMARY KEY, last_success REAL, energy REAL, power REAL,
    good_hashrate REAL, good_power REAL, good_at REAL, good_metered REAL
) WITHOUT ROWID;
CREATE TABLE gone (rig TEXT PRIMARY KEY, since REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE documents (name TEXT PRIMARY KEY, document TEXT NOT NULL, observed_at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE clocks (kind TEXT, name TEXT, clock TEXT NOT NULL, PRIMARY KEY (kind, name)) WITHOUT ROWID;
CREATE TABLE margins (
    block TEXT, hour REAL, seconds REAL NOT NULL, revenue REAL NOT NULL, cost REAL NOT NULL, kwh REAL NOT NULL,
    PRIMARY KEY (block, hour)
) WITHOUT ROWID;
PRAGMA user_version = 2;
INSERT INTO identities VALUES ('a', '{"reader":"fake","make":"Acme","model":"A1","mac":"02:00:00:00:00:01"}', '', 0);
INSERT INTO meters VALUES ('a', 1000.0, 5e9, 3000.0, 1e14, NULL, 900.0, NULL);
INSERT INTO documents VALUES ('bitcoin', '70370.0', 1000.0);
"""


VERSION_4 = (
    VERSION_2.replace("good_metered REAL", "good_metered REAL, faults TEXT")
    .replace("user_version = 2", "user_version = 4")
    .replace("900.0, NULL)", "900.0, NULL, NULL)")
)


async def test_the_login_that_worked_and_the_last_rejection_are_kept_also_in_an_older_file(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(VERSION_4)
    assert (await load(path)).rigs == {"a": RIG}
    known = {"a": replace(RIG, login="old", login_rejected_at=950.0)}
    await save(path, State(rigs=known))
    assert (await load(path)).rigs == known


async def test_the_windows_of_pools_are_kept_and_those_of_a_gone_rig_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(VERSION_4)
    books = {
        Subject("rig", "a", "main"): array("d", [1_000.0, 3_600.0, 1.5, 2.5, 3.5, -1.0]),
        Subject("day", "", "main"): array("d", [0.0, 3_600.0, 0.25]),
    }
    await save(path, State(rigs={"a": RIG}, pool_work=books))
    assert (await load(path)).pool_work == books


async def test_a_file_of_the_version_before_is_taken_over_with_all_it_knew(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(VERSION_2)
    known = State(rigs={"a": RIG}, documents={"bitcoin": Reading("70370.0", 1000.0)})
    assert await load(path) == known
    await save(path, State(rigs={"a": FAULTY}))
    assert await load(path) == replace(known, rigs={"a": FAULTY})


@pytest.mark.parametrize(
    ("reader", "algorithm"),
    [("pyasic:ANTMINER:ANTMINER KS7:", ""), ("antminer", ""), ("whatsminer_v2", "SHA256"), ("luxos", "SHA256")],
)
async def test_an_assumed_algorithm_of_a_former_version_is_forgotten(
    tmp_path: Path, reader: str, algorithm: str
) -> None:
    path = tmp_path / "state.sqlite"
    who = f'{{"reader":"{reader}","make":"Acme","model":"A1","mac":"02:00:00:00:00:01","algorithm":"SHA256"}}'
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(VERSION_2)
        connection.execute("UPDATE identities SET identity = ?", (who,))
        connection.commit()
    identity = (await load(path)).rigs["a"].identity
    assert identity is not None
    assert (identity.reader, identity.algorithm, identity.mac) == (reader, algorithm, "02:00:00:00:00:01")


def hours(block: str, *numbers: int) -> MarginHistory:
    known = [MOMENT.hour(3600.0 * number, 60.0) for number in numbers]
    return MarginHistory(observed_at=1000.0, blocks={block: restored(known)})


@pytest.mark.parametrize(("days", "kept"), [(29, True), (31, False)])
async def test_a_rig_that_left_the_inventory_is_forgotten_after_thirty_days(
    tmp_path: Path, days: int, kept: bool
) -> None:
    path, now = tmp_path / "state.sqlite", 1_774_000_000.0
    judged = DecisionState(evaluated_at=now, rigs={name: Clock(since=now) for name in "ab"})
    opened = StateStore(StateSettings(path=path), Telemetry(), clock=lambda: now, timer=lambda: now)
    await opened.save(State(rigs={"a": RIG, "b": RIG}, decision=judged))
    await opened.save(State(rigs={"a": RIG}))
    now += days * 86_400
    await opened.save(State(rigs={"a": RIG}))
    await opened.close()
    state = await load(path)
    assert ("b" in state.rigs, "b" in state.decision.rigs) == (kept, kept)
    assert "a" in state.rigs
    assert "a" in state.decision.rigs


@pytest.mark.parametrize("steps", [[400.0, -400.0], [-400.0], [400.0]])
async def test_a_rig_that_left_the_inventory_outlasts_a_clock_that_is_set(tmp_path: Path, steps: list[float]) -> None:
    path, now, timer = tmp_path / "state.sqlite", 1_774_000_000.0, 50.0
    opened = StateStore(StateSettings(path=path), Telemetry(), clock=lambda: now, timer=lambda: timer)
    await opened.save(State(rigs={"a": RIG, "b": RIG}))
    await opened.save(State(rigs={"a": RIG}))
    for step in steps:
        now, timer = now + step * 86_400, timer + 7_200
        now += 7_200
        await opened.save(State(rigs={"a": RIG}))
    now, timer = now + 29 * 86_400, timer + 29 * 86_400
    await opened.save(State(rigs={"a": RIG}))
    now, timer = now + 86_400, timer + 86_400
    await opened.save(State(rigs={"a": RIG}))
    await opened.close()
    assert "b" not in (await load(path)).rigs


async def test_a_clock_that_is_wrong_at_the_start_forgets_no_rig(tmp_path: Path) -> None:
    path, now, timer = tmp_path / "state.sqlite", 1_774_000_000.0, 50.0
    opened = StateStore(StateSettings(path=path), Telemetry(), clock=lambda: now, timer=lambda: timer)
    await opened.save(State(rigs={"a": RIG, "b": RIG}))
    await opened.save(State(rigs={"a": RIG}))
    await opened.close()
    now += 400 * 86_400
    opened = StateStore(StateSettings(path=path), Telemetry(), clock=lambda: now, timer=lambda: timer)
    await opened.load()
    await opened.save(State(rigs={"a": RIG}))
    now, timer = now - 400 * 86_400 + 60, timer + 60
    await opened.save(State(rigs={"a": RIG}))
    now, timer = now + 7_200, timer + 7_200
    await opened.save(State(rigs={"a": RIG}))
    await opened.close()
    assert "b" in (await load(path)).rigs


async def test_a_rig_that_comes_back_is_not_counted_as_gone(tmp_path: Path) -> None:
    path, now = tmp_path / "state.sqlite", 1_774_000_000.0
    opened = StateStore(StateSettings(path=path), Telemetry(), clock=lambda: now, timer=lambda: now)
    await opened.save(State(rigs={"a": RIG, "b": RIG}))
    await opened.save(State(rigs={"a": RIG}))
    await opened.save(State(rigs={"a": RIG, "b": RIG}))
    now += 40 * 86_400
    await opened.save(State(rigs={"a": RIG}))
    await opened.close()
    assert "b" in (await load(path)).rigs


async def test_the_hours_of_28_days_are_kept_and_of_a_longer_window_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    await save(path, State(history=hours("a", *range(700))), State(history=hours("a", *range(100, 701))))
    assert (await load(path)).history.blocks == hours("a", *range(29, 701)).blocks
    await save(path, State(history=hours("a", *range(2_000))))
    assert (await load(path)).history.blocks == hours("a", *range(2_000)).blocks


async def test_a_clock_that_jumps_does_not_wipe_the_history(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    kept = range(500_000, 500_200)
    await save(path, *(State(history=hours("a", *numbers)) for numbers in (kept, (1_000_000,), (0,))))
    known = {hour.hour for hour in (await load(path)).history.blocks["a"].hours}
    assert {hour.hour for hour in hours("a", *kept).blocks["a"].hours} <= known


VERSION_3 = (
    VERSION_2.replace("user_version = 2", "user_version = 3")
    + """
ALTER TABLE meters ADD COLUMN faults TEXT;
INSERT INTO documents VALUES ('decision', 'null', 1773999000.0);
INSERT INTO clocks VALUES ('block', 'b1', '{"verdict":"reassign","since":5.0,"stale_since":null,"curtail":[false,null],'
    || '"repair":[false,null],"reassign":[true,null]}');
INSERT INTO margins VALUES ('b1', 1773990000.0, 3600.0, 10.0, 4.0, 100.0);
INSERT INTO margins VALUES ('b1', 1773993600.0, 3600.0, 10.0, 90.0, 100.0);
"""
)


async def test_a_file_of_version_3_keeps_its_verdicts_and_shows_its_hours_which_count_for_nothing(
    tmp_path: Path,
) -> None:
    path = tmp_path / "state.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(VERSION_3)
    for _ in range(2):
        state = await load(path)
        clock = state.decision.blocks["b1"]
        assert (clock.verdict, clock.reassign, clock.covered_at) == (Verdict.REASSIGN, Latch(on=True), None)
        assert state.history.former == {"b1": FormerHours(hours=2, margin=pytest.approx(-74.0), kwh=200.0)}
        assert state.history.blocks == {}
        await save(path, state)


@pytest.mark.parametrize("tariffs", ["", "{", "[[1]]", '[["ppa", 0.05, null, [1.5], [1], [1]]]'])
async def test_an_hour_that_is_not_understood_costs_only_itself(tmp_path: Path, tariffs: str) -> None:
    path = tmp_path / "state.sqlite"
    await save(path, State(history=hours("a", 1, 2)))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE hours SET tariffs = ? WHERE hour = 3600", (tariffs,))
    assert (await load(path)).history.blocks == hours("a", 2).blocks


async def test_without_a_path_nothing_is_kept() -> None:
    async with store(None) as opened:
        await opened.save(State(rigs={"a": RIG}))
        assert await opened.load() == State()


async def test_it_saves_at_intervals(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    energies = iter(range(1000))
    saved = asyncio.Event()

    def collect() -> State:
        energy = float(next(energies))
        if energy == 3:
            saved.set()
        return State(rigs={"a": RigMemory(energy=energy)})

    opened = StateStore(StateSettings(path=path, interval=0.01), Telemetry())
    task = asyncio.create_task(opened.run(collect))
    await saved.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await opened.close()
    assert (await load(path)).rigs["a"].energy >= 2


# --- what goes wrong --------------------------------------------------------------------------------------------------

_WRITER = """
import asyncio, sys
from pathlib import Path
from exporter.decision.history import BlockHour, MarginHistory, restored
from exporter.decision.latch import Latch
from exporter.decision.values import Clock, DecisionState, Verdict
from exporter.polling.learning import PointMemory
from exporter.polling.ledger import EnergyCounter, RigMemory
from exporter.model.readings import Reading
from exporter.state import State, StateStore, StateSettings
from exporter.telemetry import Telemetry

async def main():
    store = StateStore(StateSettings(path=Path(sys.argv[1])), Telemetry())
    number = 0
    while True:
        number += 1
        at = float(number)
        rigs = {f"rig-{i}": RigMemory(energy=at) for i in range(300)}
        clock = Clock(verdict=Verdict.MINE, since=at, reassign=Latch(evidence=at))
        decision = DecisionState(evaluated_at=at, rigs={rig: clock for rig in rigs}, blocks={"b": clock})
        history = MarginHistory(observed_at=at, blocks={"b": restored([BlockHour(hour=0.0, seconds=at)])})
        documents = {"number": Reading(str(number), at)}
        await store.save(State(rigs=rigs, documents=documents, decision=decision, history=history))
        print(number, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("saves", [1, 3, 20, 60])
async def test_it_is_whole_after_a_kill_at_any_instant(tmp_path: Path, saves: int) -> None:
    path = tmp_path / "state.sqlite"
    command = [sys.executable, "-c", _WRITER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:  # noqa: ASYNC220
        for _ in range(saves):
            acknowledged = int(writer.stdout.readline())
        os.kill(writer.pid, signal.SIGKILL)
        acknowledged = max([acknowledged, *(int(line) for line in writer.stdout if line.endswith("\n"))])
    state = await load(path)
    (number,) = {memory.energy for memory in state.rigs.values()}
    assert len(state.rigs) == 300
    assert number == state.reading("number", int).value
    assert number >= acknowledged
    clocks = {*state.decision.rigs.values(), *state.decision.blocks.values()}
    assert clocks == {Clock(verdict=Verdict.MINE, since=number, reassign=Latch(evidence=number))}
    assert len(state.decision.rigs) == 300
    assert state.decision.evaluated_at == state.history.observed_at == number
    assert state.history.blocks == {"b": restored([BlockHour(hour=0.0, seconds=number)])}


def _garble(path: Path) -> None:
    path.write_bytes(os.urandom(20_000))


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5000])


def _scribble(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096 : 3 * 4096] = b"\xff" * (2 * 4096)
    path.write_bytes(content)


def _other_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE dashboard (id INTEGER); INSERT INTO dashboard VALUES (1);")


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda path: path.write_text("site: prairie-1\n# 20 °C\n" * 500, encoding="utf-8"), "text"),
        (lambda path: path.write_text("x"), "text"),
        (_other_database, "another program's database"),
        (Path.mkdir, "directory"),
    ],
    ids=["text", "short", "database", "directory"],
)
def test_what_is_plainly_not_a_state_file_is_refused_and_left_as_it_is(
    tmp_path: Path, make: Callable[[Path], object], what: str
) -> None:
    path = tmp_path / "there"
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(ValidationError, match=what):
        StateSettings(path=path)
    assert (path.read_bytes() if path.is_file() else b"") == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "content",
    [b"", b"SQLite for", b"SQLite format 3\0", bytes(8192), b"\xff" * 8192, bytes(range(128, 256)) * 64],
    ids=["empty", "cut", "head", "zeros", "ones", "garbage"],
)
async def test_what_may_have_been_a_state_file_never_stops_the_start(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.sqlite"
    path.write_bytes(content)
    async with store(path) as opened:
        assert await opened.load() == State()
        await opened.save(State(rigs={"a": RIG}))
    assert await load(path) == State(rigs={"a": RIG})


async def test_a_file_of_a_newer_version_is_refused_with_the_version_that_wrote_it(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    await save(path, State(rigs={"a": RIG}))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE documents SET document = '\"9.1.0\"' WHERE name = 'written_by'")
        connection.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(NewerStateError, match=r"written by hashmargin 9\.1\.0 \(format 99\)"):
        await load(path)
    telemetry = Telemetry()
    async with store(path, telemetry) as opened:  # also where it appears while the exporter runs
        await opened.save(State(rigs={"a": FAULTY}))
    assert telemetry.registry.get_sample_value("mining_state_failures_total") == 1
    assert path.read_bytes() == before


async def test_an_upgrade_keeps_the_former_file_and_a_rollback_finds_it_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(VERSION_4)
    await save(path, State(rigs={"a": FAULTY}))
    with closing(sqlite3.connect(path.with_name("state.sqlite.version-4"))) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (4,)
        assert connection.execute("SELECT rig, energy, faults FROM meters").fetchall() == [("a", 5e9, None)]


async def test_a_copy_is_whole_while_the_file_is_in_use(tmp_path: Path) -> None:
    path, copy = tmp_path / "state.sqlite", tmp_path / "copy.sqlite"
    state = State(rigs={"a": RIG}, decision=DECISION, history=HISTORY)
    async with store(path) as opened:
        await opened.save(state)
        copy_database(path, copy)
        await opened.save(State(rigs={"a": FAULTY}))
    assert copy.stat().st_mode & 0o777 == 0o600
    assert await load(copy) == state


@pytest.mark.parametrize("damage", [_garble, _truncate, _scribble])
async def test_an_unusable_file_is_kept_aside_and_said_loudly(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "state.sqlite"
    await save(path, State(rigs={f"rig-{i}": RIG for i in range(200)}))
    damage(path)
    damaged = path.read_bytes()
    with capture_logs() as logs:
        async with store(path) as opened:
            assert await opened.load() == State()
            await opened.save(State(rigs={"a": RIG}))
    assert [(log["event"], log["log_level"]) for log in logs] == [("state file is unusable: starting anew", "error")]
    aside = path.with_name("state.sqlite.corrupt-1774000000")
    assert logs[0]["kept_as"] == str(aside)
    assert aside.read_bytes()[200:] == damaged[200:]
    assert await load(path) == State(rigs={"a": RIG})


async def test_a_file_that_breaks_under_way_is_replaced_with_all_that_is_known(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    rigs = {f"rig-{i}": RIG for i in range(200)}
    await save(path, State(rigs=rigs))
    async with store(path) as opened:
        await opened.load()
        await asyncio.get_running_loop().run_in_executor(opened._thread, opened._file.close)  # as after any other error
        _garble(path)
        whole = State(rigs=rigs | {"rig-0": RigMemory(energy=1.0)}, decision=DECISION, history=HISTORY)
        await opened.save(whole)
    assert await load(path) == whole


async def test_where_it_can_not_write_it_runs_on_says_so_once_and_recovers(tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("a file where a directory should be")
    path = tmp_path / "blocked" / "state.sqlite"
    telemetry = Telemetry()
    with capture_logs() as logs:
        async with store(path, telemetry) as opened:
            assert await opened.load() == State()
            for energy in range(3):
                await opened.save(State(rigs={"a": RigMemory(energy=float(energy))}))
            assert telemetry.registry.get_sample_value("mining_state_failures_total") == 4
            (tmp_path / "blocked").unlink()
            await opened.save(State(rigs={"a": RIG}))
    events = [log["event"] for log in logs]
    assert events == ["state can not be kept", "directory of the state file created", "state is kept again"]
    assert (await load(path)).rigs == {"a": RIG}


async def test_a_full_disk_costs_what_is_new_and_nothing_that_was(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    rigs = {f"rig-{i}": RIG for i in range(100)}
    telemetry = Telemetry()
    with capture_logs() as logs:
        async with store(path, telemetry) as opened:
            await opened.save(State(rigs=rigs, decision=DECISION, history=HISTORY))
            connection = opened._file._connection
            await asyncio.get_running_loop().run_in_executor(
                opened._thread, connection.execute, "PRAGMA max_page_count = 1"
            )
            many = {f"more-{i}": RIG for i in range(5000)}
            later = DecisionState(evaluated_at=2000.0, rigs=dict.fromkeys(many, CURTAILED), blocks={"b1": CURTAILED})
            new = State(rigs=many, decision=later, history=hours("b1", 1, 2))
            await opened.save(new)
            assert telemetry.registry.get_sample_value("mining_state_failures_total") == 1
            kept = await opened.load()
            assert (kept.rigs, kept.decision, kept.history) == (rigs, DECISION, HISTORY)
            await opened.save(new)
    assert [log["event"] for log in logs] == ["state can not be kept", "state is kept again"]
    assert "full" in logs[0]["error"]
    known = await load(path)
    assert known.rigs == rigs | many
    assert known.decision.blocks["b1"] == CURTAILED
    both = [*HISTORY.blocks["b1"].hours, *hours("b1", 1, 2).blocks["b1"].hours]
    assert known.history.blocks["b1"] == restored(both)


async def test_a_disk_that_turns_read_only_costs_what_is_new_and_nothing_that_was(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    before, telemetry = State(rigs={"a": RIG}, decision=DECISION, history=HISTORY), Telemetry()
    curtailed = DecisionState(evaluated_at=2000.0, rigs={"a": CURTAILED}, blocks={"b1": CURTAILED})
    after = State(rigs={"a": RIG}, decision=curtailed, history=hours("b1", 0, 1))
    with capture_logs() as logs:
        async with store(path, telemetry) as opened:
            await opened.save(before)
            connection = opened._file._connection
            await asyncio.get_running_loop().run_in_executor(opened._thread, connection.execute, "PRAGMA query_only=ON")
            await opened.save(after)
            await opened.save(after)
            assert telemetry.registry.get_sample_value("mining_state_failures_total") == 1
    assert "readonly" in logs[0]["error"]
    known = await load(path)
    assert known.decision.blocks["b1"] == CURTAILED
    assert known.history.blocks == after.history.blocks


async def test_a_clock_that_jumps_back_keeps_what_verdicts_know(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    earlier = DecisionState(evaluated_at=10.0, rigs=DECISION.rigs, blocks=DECISION.blocks)
    await save(path, State(decision=DECISION, history=HISTORY), State(decision=earlier, history=HISTORY))
    known = await load(path)
    assert known.decision == earlier
    assert known.history.blocks == HISTORY.blocks


async def test_two_exporters_do_not_write_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.state._LOCK_TIMEOUT", 0.05)
    path, telemetry = tmp_path / "state.sqlite", Telemetry()
    async with store(path) as first, store(path, telemetry) as second:
        await first.save(State(rigs={"a": RIG}))
        assert await second.load() == State()
        await second.save(State(rigs={"a": RigMemory(energy=0.0)}))
        assert telemetry.registry.get_sample_value("mining_state_failures_total") == 2
    assert (await load(path)).rigs == {"a": RIG}


_numbers = st.floats(allow_nan=False, allow_infinity=False)
_memories = st.builds(
    RigMemory,
    identity=st.none() | st.builds(RigIdentity, reader=st.text(), make=st.text(), model=st.text(), serial=st.text()),
    last_success=st.none() | _numbers,
    energy=st.none() | _numbers,
    power=st.none() | _numbers,
    last_good=st.none()
    | st.builds(
        LastGood,
        hashrate=_numbers,
        power=st.none() | _numbers,
        observed_at=_numbers,
        metered_power=st.none() | _numbers,
    ),
    address=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    discovered=st.booleans(),
    faults=st.lists(st.tuples(st.text(max_size=20), st.text(max_size=20), _numbers), max_size=3).map(tuple),
)
_names = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(saves=st.lists(st.dictionaries(_names, _memories, max_size=5), max_size=4))
async def test_any_sequence_of_saves_leaves_the_last_of_each(
    tmp_path_factory: pytest.TempPathFactory, saves: list[dict[str, RigMemory]]
) -> None:
    path = tmp_path_factory.mktemp("state") / "state.sqlite"
    await save(path, *(State(rigs=rigs) for rigs in saves))
    expected: dict[str, RigMemory] = {}
    for rigs in saves:
        expected |= rigs
    blank = RigMemory()
    loaded = (await load(path)).rigs
    assert {name: loaded.get(name, blank) for name in expected} == expected
    assert loaded.keys() <= expected.keys()


async def test_the_sizes_of_the_lists_are_read_while_another_process_has_the_file(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    assert stored_list_sizes(path) is None
    await save(path, State(documents={LIST_SIZES: document(Reading({"fleet.rigs": 800}, 1000.0))}))
    opened = StateStore(StateSettings(path=path), Telemetry())
    await opened.load()
    assert stored_list_sizes(path) == {"fleet.rigs": 800}
    await opened.close()
    path.write_bytes(b"junk")
    assert stored_list_sizes(path) is None


def _modes(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()}


@pytest.mark.parametrize("before", [None, 0o644])
async def test_only_its_owner_may_read_the_file(tmp_path: Path, before: int | None) -> None:
    path = tmp_path / "state.sqlite"
    if before is not None:
        path.touch(before)
    async with store(path) as opened:
        await opened.load()
        await opened.save(State(rigs={"a": RIG}))
        modes = _modes(tmp_path)
    assert set(modes.values()) == {0o600}, modes


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_file_that_is_moved_away_is_written_again_with_all_that_is_known(
    tmp_path: Path, replaced: bool
) -> None:
    path = tmp_path / "state.sqlite"
    async with store(path) as opened:
        await opened.load()
        await opened.save(State(rigs={"a": RIG, "b": RIG}))
        path.rename(tmp_path / "moved.sqlite")
        if replaced:
            path.touch()
        with capture_logs() as logs:
            await opened.save(State(rigs={"a": RIG, "b": RIG}))
        assert [entry["log_level"] for entry in logs] == ["warning"]
    assert set((await load(path)).rigs) == {"a", "b"}


async def test_learned_points_come_back_and_damaged_ones_cost_only_themselves(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    point = PointMemory(name="stock", metered=True, seconds=1_800.0, observed_at=5.0, watts=(3_500,), gigahashes=(9,))
    await save(path, State(rigs={"a": RigMemory(energy=1.0, points=(point,)), "b": RigMemory(energy=2.0)}))
    assert (await load(path)).rigs["a"].points == (point,)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE meters SET points = '[{}]'")
    assert {name: memory.points for name, memory in (await load(path)).rigs.items()} == {"a": (), "b": ()}


async def test_a_file_of_version_6_gets_its_learned_points(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    await save(path, State(rigs={"a": RigMemory(energy=1.0)}))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("ALTER TABLE meters DROP COLUMN points")
        connection.execute("DROP TABLE work")
        connection.execute("PRAGMA user_version = 6")
    assert (await load(path)).rigs["a"].energy == 1.0
    point = PointMemory(name="stock", metered=False, seconds=1.0, observed_at=5.0, watts=(1,), gigahashes=(2,))
    await save(path, State(rigs={"a": RigMemory(energy=1.0, points=(point,))}))
    assert (await load(path)).rigs["a"].points == (point,)
