"""What the reader of SealMiners does beyond the plain read that the contract suite holds it to."""

import json
from pathlib import Path
from typing import Any

import pytest
from rig_servers import NETWORK, cgminer, serving

from exporter.model.readings import RigReading, TunerState
from exporter.sources.rigs.contract import Target
from exporter.sources.rigs.firmware import sealminer

FIXTURE = Path(__file__).parent.parent / "fixtures" / "rigs" / "sealminer.json"
TARGET = Target(f"{NETWORK}.71")


async def read(changes: dict[str, Any]) -> RigReading:
    content: dict[str, Any] = json.loads(FIXTURE.read_text())["rpc"]
    content["stats"]["STATS"][0] |= changes
    async with serving(TARGET.address, 4028, cgminer(content)):
        reader = sealminer.Reader()
        return await reader.read(TARGET, await reader.identify(TARGET))


@pytest.mark.parametrize(
    ("changes", "faults"),
    [
        ({}, {("board_chips", "board 1", "")}),
        ({"1 Bad Chip Count": 0}, set()),
        ({"1 Online": False}, {("board_missing", "board 1", "")}),
        ({"1 Bad Chip Count": 0, "3 Speed": 0}, {("fan_failed", "fan 3", "")}),
        ({"1 Bad Chip Count": 0, "PSU Error": "0x00000040"}, {("psu_output", "psu", "0x00000040")}),
        ({"1 Bad Chip Count": 0, "PSU Error": ""}, set()),
        ({"1 Bad Chip Count": 0, "Error Code": "J0:5"}, {("unknown", "", "J0:5")}),
        ({"1 Bad Chip Count": 0, "Stratum Disconnect": True}, {("pool_dead", "", "Stratum Disconnect")}),
    ],
)
async def test_faults(changes: dict[str, Any], faults: set[tuple[str, str, str]]) -> None:
    reading = await read(changes)
    assert {(fault.code, fault.component, fault.vendor_code) for fault in reading.faults} == faults


@pytest.mark.parametrize(
    ("state", "suspended"), [("Running", False), ("Suspended", True), ("suspend", True), ("Booting", None), ("", None)]
)
async def test_the_state_of_its_power_tells_whether_it_was_suspended(state: str, suspended: bool | None) -> None:
    assert (await read({"PM State": state})).suspended is suspended


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("Fine Tuning Done", TunerState.TUNED),
        ("Coarse Tuning", TunerState.TUNING),
        ("Tuning Failed", TunerState.FAILED),
        ("", None),
    ],
)
async def test_the_tuner_s_words(status: str, state: TunerState | None) -> None:
    assert (await read({"Tune Status": status})).tuner is state


async def test_a_board_that_went_offline_has_no_chips() -> None:
    board = (await read({"1 Online": False, "1 Chip Count": 0})).boards[1]
    assert (board.chips, board.voltage) == (0, None)


async def test_fans_beyond_the_boards_are_no_boards() -> None:
    reading = await read({})
    assert [board.index for board in reading.boards] == [0, 1, 2]
    assert [fan.index for fan in reading.fans] == [0, 1, 2, 3]
