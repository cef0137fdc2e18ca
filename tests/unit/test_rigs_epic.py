"""What the reader of ePIC's firmware does beyond the plain read that the contract suite holds it to."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from rig_servers import NETWORK, Handler, serving

from exporter.model.readings import RigIdentity, RigReading, TunerState
from exporter.sources.rigs.contract import Target
from exporter.sources.rigs.firmware import epic

FIXTURE = Path(__file__).parent.parent / "fixtures" / "rigs" / "epic.json"
TARGET = Target(f"{NETWORK}.66")


def pages() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(FIXTURE.read_text())["http"]["4028"]
    return content


def serves(content: Mapping[str, Any]) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).decode().split(" ")[1]
        status, body = (200, json.dumps(content[path])) if path in content else (404, "")
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        await writer.drain()

    return handle


async def read(content: Mapping[str, Any]) -> RigReading:
    async with serving(TARGET.address, 4028, serves(content)):
        reader = epic.Reader()
        return await reader.read(TARGET, await reader.identify(TARGET))


async def read_with(**summary: Any) -> RigReading:
    content = pages()
    content["/summary"] |= {key.replace("_", " "): value for key, value in summary.items()}
    return await read(content)


@pytest.mark.parametrize(
    ("state", "error", "connected", "suspended"),
    [
        ("Mining", None, True, False),
        ("Idling", None, True, True),
        ("Idling", None, False, None),  # it idles where it loses its pool
        ("Idling", "Overheat", True, None),
        ("Initializing", None, True, None),
    ],
)
async def test_it_is_suspended_where_nothing_else_can_be_why_it_idles(
    state: str, error: str | None, connected: bool, suspended: bool | None
) -> None:
    reading = await read_with(
        Status={"Operating State": state, "Last Error": error}, Stratum={"Config Id": 0, "IsPoolConnected": connected}
    )
    assert reading.suspended is suspended


@pytest.mark.parametrize(("state", "terahash"), [("Idling", 0.0), ("Mining", 90.07199)])
async def test_a_rig_that_idles_without_boards_does_not_hash_its_average(state: str, terahash: float) -> None:
    reading = await read_with(Status={"Operating State": state, "Last Error": None}, HBs=[])
    assert reading.hashrate == pytest.approx(terahash * 1e12)


@pytest.mark.parametrize(("state", "codes"), [("Mining", []), ("Idling", ["board_temperature"])])
async def test_the_last_error_is_a_fault_while_it_does_not_mine(state: str, codes: list[str]) -> None:
    reading = await read_with(Status={"Operating State": state, "Last Error": "Overheat"}, HBStatus=[], Fans_Rpm={})
    assert [fault.code for fault in reading.faults] == codes


@pytest.mark.parametrize(
    ("tune", "mode", "state"),
    [
        ({"Running": True, "Algorithm": {"ChipTune": {"Optimized": True}}}, "ChipTune", TunerState.TUNED),
        ({"Running": True, "Algorithm": {"BoardTune": {"Optimized": False}}}, "BoardTune", TunerState.TUNING),
        ({"Running": False, "Algorithm": {"ChipTune": {"Optimized": True}}}, "", TunerState.OFF),
        ({}, "", None),
    ],
)
async def test_perpetual_tune_says_what_it_does(tune: Mapping[str, Any], mode: str, state: TunerState | None) -> None:
    reading = await read_with(PerpetualTune=tune)
    assert (reading.power_mode, reading.tuner) == (mode, state)


async def test_boards_have_their_serial_numbers_only_where_there_is_one_for_each() -> None:
    content = pages()
    async with serving(TARGET.address, 4028, serves(content)):
        assert (await epic.Reader().identify(TARGET)).board_serials == ()
        content["/capabilities"]["Board Serial Numbers"] = ["A1", "B2", "C3"]
        assert (await epic.Reader().identify(TARGET)).board_serials == ((0, "A1"), (1, "B2"), (2, "C3"))


async def test_what_never_changes_is_asked_once_of_a_rig_that_is_known_already() -> None:
    asked: list[str] = []
    serve = serves(pages())

    async def noting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve(reader, writer)
        asked.append("asked")

    async with serving(TARGET.address, 4028, noting):
        reader, identity = epic.Reader(), RigIdentity(reader="epic", make="AntMiner", model="S19 XP")
        readings = [await reader.read(TARGET, identity) for _ in range(3)]
    assert [board.chips_expected for reading in readings for board in reading.boards] == [110] * 6
    assert len(asked) == 3 * 3 + 1


async def test_chips_without_sensors_are_asked_for_their_temperatures_once() -> None:
    content = pages()
    content["/temps/chip"] = [{"Index": index, "Data": [0.0, 0.0], "Total": 0.0} for index in (0, 1)]
    asked: list[str] = []
    serve = serves(content)

    async def noting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve(reader, writer)
        asked.append("asked")

    async with serving(TARGET.address, 4028, noting):
        reader = epic.Reader()
        identity = await reader.identify(TARGET)
        asked.clear()
        readings = [await reader.read(TARGET, identity) for _ in range(3)]
    assert {board.chip_temperature for reading in readings for board in reading.boards} == {None}
    assert len(asked) == 3 * 2 + 1


async def test_a_read_can_do_without_the_sensors_page() -> None:
    content = pages()
    del content["/temps"]
    reading = await read(content)
    assert [(board.temperature, board.temperature_min) for board in reading.boards] == [(66.0, None), (64.312, None)]
    assert reading.thermal_margin == 19.0


async def test_fans_that_all_stand_are_none_that_failed() -> None:
    standing = {f"Fans Speed {number}": 0 for number in range(1, 5)}  # as in immersion
    reading = await read_with(Fans_Rpm=standing)
    assert [fan.rpm for fan in reading.fans] == [0.0] * 4
    assert "fan_failed" not in {fault.code for fault in reading.faults}


def test_a_rig_for_other_coins_is_left_to_pyasic() -> None:
    assert epic.Reader().recognises({"Model": "L7", "Max HBs": 3}) is True
    assert epic.Reader().recognises({"Model": "L7", "Max HBs": 3, "Coins": ["LTC"]}) is False


@pytest.mark.parametrize(("own", "serial"), [("EPIC-0001", "EPIC-0001"), (None, "002000350000000000000001")])
async def test_the_serial_number_is_the_rigs_before_that_of_its_control_board(own: str | None, serial: str) -> None:
    content = pages()
    content["/capabilities"] |= {"Miner Serial Number": own} if own else {}
    async with serving(TARGET.address, 4028, serves(content)):
        assert (await epic.Reader().identify(TARGET)).serial == serial


@pytest.mark.parametrize(("mining", "algorithm"), [({"Algorithm": "SHA-256", "Coin": "BTC"}, "SHA-256"), ({}, "")])
async def test_the_algorithm_is_the_one_that_it_reports(mining: dict[str, str], algorithm: str) -> None:
    content = pages()
    content["/summary"] |= {"Mining": mining}
    async with serving(TARGET.address, 4028, serves(content)):
        assert (await epic.Reader().identify(TARGET)).algorithm == algorithm


@pytest.mark.parametrize(
    ("user", "worker"),
    [("acme.r9-0x0x1", "acme.r9"), ("acme.r9", "acme.r9"), ("thief.x", "thief.x"), (None, "acme.r9")],
)
async def test_the_worker_is_the_login_unless_the_pool_sees_another_user(user: str | None, worker: str) -> None:
    stratum = {"Config Id": 0, "IsPoolConnected": True, "Current User": user}
    reading = await read_with(Stratum=stratum)
    assert [pool.worker for pool in reading.pools] == [worker]
