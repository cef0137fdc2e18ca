"""What every native reader must do, over its own fixtures: a new reader and its fixture are found by themselves.

``HASHMARGIN_REWRITE=1`` writes what the readers now make of the fixtures into them, for a person to check.
"""

import copy
import dataclasses
import json
import math
import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rig_replay import NETWORK, replaying

from exporter.model.failures import Failure, Reason
from exporter.model.fleet import Credentials
from exporter.model.points import PointList
from exporter.model.readings import RigIdentity, RigReading
from exporter.sources.rigs.contract import HasSecondProbe, ListsPoints, NativeReader, Questions, Target
from exporter.sources.rigs.firmware import native_readers, vnish
from exporter.sources.rigs.reader import Miners

FIXTURES = sorted((Path(__file__).parent.parent / "fixtures" / "rigs").glob("*.json"))
WRITES = re.compile(
    r"set|switch|enable|disable|add|remove|quit|restart|reboot|update|upgrade|reset|save|write|privileged|check|zero|login|"
    r"ascset|pause|resume|curtail|atm|download|factory|format|led|blink$",
    re.IGNORECASE,
)
"""What the name of a command that changes something contains."""
READS = {
    *("/led", "/cgi-bin/get_blink_status.cgi", "/api/v1/chains/factory-info", "/api/v1/autotune/presets"),
    "atm",  # without a parameter; atmset writes
}
ODD: tuple[Any, ...] = (None, "n/a", [], {}, True, -1, float("nan"), 1e30, "\x00\x1b[31m" * 50, [[[]]] * 40, 10**25)


def load(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def save(path: Path, fixture: dict[str, Any]) -> None:
    path.write_text(json.dumps(fixture, indent=1) + "\n")


def plain(value: Any) -> Any:
    """Give a value as JSON has it, without the fields that have their default: a new field changes no fixture."""
    if dataclasses.is_dataclass(value):
        kept = {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
        defaults = {one.name: one.default for one in dataclasses.fields(value)}
        return {name: plain(each) for name, each in kept.items() if each != defaults[name]}
    return [plain(each) for each in value] if isinstance(value, tuple) else value


def asked_of(questions: Questions) -> set[str]:
    """Give the questions that a reader declares, one by one, as a replay notes them."""
    commands = {part for command in (*questions.rpc, *questions.v3) for part in command.split("+")}
    pages = {f"GET {path}" for paths in questions.pages.values() for path in paths}
    return commands | pages | ({f"POST {questions.login}"} if questions.login else set())


async def probes(address: str, fixture: dict[str, Any]) -> set[str]:
    """Send the probes of all readers to a fixture's rig, and return what it was asked."""
    async with replaying(address, fixture) as replay:
        for reader in native_readers().values():
            second = (reader.second_probe,) if isinstance(reader, HasSecondProbe) else ()
            for probe in (reader.probe, *second):
                with suppress(Failure):
                    await probe(address)
    return set(replay.asked)


@pytest.mark.parametrize("reader", native_readers().values(), ids=lambda reader: reader.name)
def test_a_reader_declares_questions_that_only_read(reader: NativeReader) -> None:
    questions = reader.firmware.questions
    asked = [*questions.rpc, *questions.v3, *(path for paths in questions.pages.values() for path in paths)]
    assert asked
    assert [one for one in asked if WRITES.search(one.replace("setting", "")) and one not in READS] == []


def test_there_are_readers_and_each_has_a_fixture_of_its_own() -> None:
    readers = native_readers()
    assert readers
    assert {load(path)["reader"] for path in FIXTURES} == set(readers)
    assert all(reader.name == name for name, reader in readers.items())


@pytest.fixture
def address(request: pytest.FixtureRequest) -> str:
    """An address of its own for each test."""
    digest = sum((index + 1) * ord(letter) for index, letter in enumerate(request.node.name))
    return f"{NETWORK}.{digest % 200 + 40}"


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
async def test_a_reader_finds_identifies_and_reads_its_rig(path: Path, address: str) -> None:
    fixture = load(path)
    async with Miners() as miners, replaying(address, fixture) as replay:
        identity = await miners.identify(target(address, fixture))
        reading = await miners.read(target(address, fixture), identity)
        points = await miners.points(target(address, fixture), identity)
    if os.environ.get("HASHMARGIN_REWRITE"):
        listed = {} if points is None else {"points": plain(points)}
        save(path, fixture | {"identity": plain(identity), "reading": plain(reading)} | listed)
        return
    assert plain(identity) == fixture["identity"]
    assert plain(reading) == fixture["reading"]
    assert plain(points) == fixture.get("points")
    asked = {part for question in replay.asked for part in question.split("+")}
    assert asked <= asked_of(native_readers()[identity.reader].firmware.questions) | await probes(address, fixture)


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
async def test_one_odd_field_loses_that_field_only(path: Path, address: str) -> None:
    """Every leaf is made odd in turn: the read stands, or fails classified where the hashrate itself is at stake."""
    fixture = load(path)
    identity = RigIdentity(**fixture["identity"])
    reader = native_readers()[identity.reader]
    fatal = set()
    answers = {kind: fixture[kind] for kind in ("rpc", "http", "v3") if kind in fixture}
    for count, place in enumerate(leaves(answers)):
        broken = copy.deepcopy(answers)
        put(broken, place, ODD[count % len(ODD)])
        async with replaying(address, fixture | broken):
            outcome = await reading_or_reason(reader, target(address, fixture), identity)
        if isinstance(outcome, Reason):
            assert outcome in {Reason.GARBLED, Reason.IMPLAUSIBLE}
            fatal.add(place[-1])
        else:
            assert_sane(outcome)
        if isinstance(reader, ListsPoints):
            async with replaying(address, fixture | broken):
                with suppress(Failure):
                    assert_sane(await reader.points(target(address, fixture), identity))
    assert len(fatal) <= 3, fatal


@pytest.mark.parametrize("firmware", ["braiins", "braiins_rest", "vnish"])
async def test_a_board_that_the_rig_no_longer_lists_is_missing(firmware: str, address: str) -> None:
    """Such firmware leaves out a board that it lost, where others list it without chips."""
    fixture = load(next(path for path in FIXTURES if path.stem == firmware))
    identity = RigIdentity(**fixture["identity"] | {"board_serials": ((0, "S0"), (3, "S3"))})
    async with replaying(address, fixture):
        reading = await native_readers()[firmware].read(Target(address), identity)
    missing = [fault.component for fault in reading.faults if fault.code == "board_missing"]
    assert missing == ["board 3"]


ALWAYS = ["GET /api/v1/summary", "GET /api/v1/info"]
SELDOM = ["summary", "pools", "GET /api/v1/status", "GET /api/v1/perf-summary"]


@pytest.mark.parametrize(
    ("before", "now", "asked", "uptime"),
    [
        ("mining", {}, ALWAYS, 4_423.0),
        ("mining", {"state_time": 4_425}, ALWAYS, 4_426.0),  # and 4,423 s had passed at 4,422 s
        ("mining", {"state_time": 4_400}, ALWAYS + SELDOM, 4_423.0),
        ("mining", {"state_time": 4_500}, ALWAYS + SELDOM, 4_423.0),  # another rig, or restarted more than once
        ("mining", {"state_time": None}, ALWAYS + SELDOM, 4_423.0),
        ("mining", {"state": "auto-tuning"}, ALWAYS + SELDOM, 4_423.0),
        ("mining", {"nominal": 170_000.0}, ALWAYS + SELDOM, 4_423.0),
        ("auto-tuning", {"state": "auto-tuning"}, ALWAYS, 4_423.0),
        ("auto-tuning", {"state": "auto-tuning", "nominal": 170_000.0}, ALWAYS, 4_423.0),
        ("auto-tuning", {"state": "auto-tuning", "state_time": 4_400}, ALWAYS + SELDOM, 4_423.0),
        ("auto-tuning", {}, ALWAYS + SELDOM, 4_423.0),
        ("stopped", {"state": "stopped"}, ALWAYS + SELDOM, 4_423.0),
    ],
)
async def test_vnish_is_asked_again_for_what_changes_seldom_when_it_can_have_changed(
    address: str, before: str, now: dict[str, Any], asked: list[str], uptime: float
) -> None:
    fixture = load(next(path for path in FIXTURES if path.stem == "vnish"))
    miner = fixture["http"]["80"]["/api/v1/summary"]["miner"]
    miner["miner_status"]["miner_state"] = before
    reader = native_readers()["vnish"]
    async with replaying(address, fixture) as replay:
        first = await reader.read(Target(address), RigIdentity(**fixture["identity"]))
        assert replay.asked == ALWAYS + SELDOM
        replay.asked.clear()
        miner["miner_status"]["miner_state_time"] = now.get("state_time", 4_422)
        miner["miner_status"]["miner_state"] = now.get("state", "mining")
        miner["hr_nominal"] = now.get("nominal", miner["hr_nominal"])
        again = await reader.read(Target(address), RigIdentity(**fixture["identity"]))
    assert (replay.asked, again.uptime) == (asked, uptime)
    assert (again.point, again.fault_light, again.power_target) == (first.point, True, 2_800.0)
    assert again.rejected_difficulty == first.rejected_difficulty == 1_179_648.0


@pytest.mark.parametrize("has_time", [True, False])
@pytest.mark.parametrize(("state", "seconds"), [("mining", vnish.SLOW_SECONDS), ("auto-tuning", vnish.TUNING_SECONDS)])
async def test_vnish_is_asked_again_for_what_changes_seldom_after_a_while(
    address: str, state: str, seconds: float, monkeypatch: pytest.MonkeyPatch, *, has_time: bool
) -> None:
    fixture = load(next(path for path in FIXTURES if path.stem == "vnish"))
    status = fixture["http"]["80"]["/api/v1/summary"]["miner"]["miner_status"]
    status["miner_state"], began = state, status["miner_state_time"]
    reader, now = native_readers()["vnish"], 1_000.0
    monkeypatch.setattr(vnish, "time", SimpleNamespace(monotonic=lambda: now, time=time.time))
    async with replaying(address, fixture) as replay:
        for passed, asked in ((0, ALWAYS + SELDOM), (seconds - 1, ALWAYS), (seconds + 1, ALWAYS + SELDOM)):
            now, status["miner_state_time"] = 1_000.0 + passed, began + passed if has_time else None
            replay.asked.clear()
            await reader.read(Target(address), RigIdentity(**fixture["identity"]))
            assert replay.asked == asked


@pytest.mark.parametrize(
    ("state", "shares", "asked"),
    [
        ("mining", (500, 510, 510), ALWAYS),
        ("auto-tuning", (500, 510, 510), ALWAYS),
        ("mining", (500, 3, 510), ALWAYS),  # asked at the second read, and since then it runs on
        ("mining", (2, 510, 3), ALWAYS + SELDOM),  # started again, and past what it had when it was asked
        ("mining", (500, 510, None), ALWAYS + SELDOM),
        ("stopped", (500, 500, 500), ALWAYS + SELDOM),
    ],
)
async def test_vnish_without_the_time_in_its_state_is_asked_again_when_it_lost_shares(
    address: str, state: str, shares: tuple[int | None, ...], asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fixture = load(next(path for path in FIXTURES if path.stem == "vnish"))
    miner = fixture["http"]["80"]["/api/v1/summary"]["miner"]
    miner["miner_status"] = {"miner_state": state}
    pool = next(row for row in miner["pools"] if row["pool_type"] == "UserPool")
    reader, now, uptimes = native_readers()["vnish"], 1_000.0, []
    monkeypatch.setattr(vnish, "time", SimpleNamespace(monotonic=lambda: now, time=time.time))
    async with replaying(address, fixture) as replay:
        for accepted in shares:
            now, pool["accepted"] = now + 30, accepted
            replay.asked.clear()
            uptimes.append((await reader.read(Target(address), RigIdentity(**fixture["identity"]))).uptime)
    assert replay.asked == asked
    assert uptimes[-1] == 4_423 + (0 if asked != ALWAYS else 30 if shares[1] < shares[0] else 60)


def target(address: str, fixture: dict[str, Any]) -> Target:
    """Give a fixture's rig; ``login`` is there only if the firmware has none from the factory."""
    return Target(address, Credentials(*fixture["login"]) if "login" in fixture else None)


async def reading_or_reason(reader: NativeReader, rig: Target, identity: RigIdentity) -> RigReading | Reason:
    try:
        return await reader.read(rig, identity)
    except Failure as failure:
        return failure.reason


def leaves(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        if isinstance(child, dict | list) and child:
            yield from leaves(child, (*place, key))
        else:
            yield (*place, key)


def put(value: Any, place: tuple[Any, ...], odd: Any) -> None:
    for key in place[:-1]:
        value = value[key]
    value[place[-1]] = odd


def assert_sane(reading: RigReading | PointList) -> None:
    def check(value: Any) -> None:
        if isinstance(value, float | int):
            assert math.isfinite(value)
        elif isinstance(value, str):
            assert value.isprintable()
            assert len(value) <= 128
        elif isinstance(value, dict):
            for item in value.values():
                check(item)
        elif isinstance(value, list | tuple):
            assert len(value) <= 64
            for item in value:
                check(item)

    check(dataclasses.asdict(reading))
    assert isinstance(reading, PointList) or 0 <= reading.hashrate < 2e15
