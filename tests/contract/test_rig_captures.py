"""The native readers over recorded answers of real rigs."""

import json
from pathlib import Path
from typing import Any

import pytest
from recordings import CAPTURES
from rig_replay import NETWORK, replaying

from exporter.model.fault_codes import FaultCode
from exporter.model.fleet import Credentials
from exporter.model.readings import PowerSupply, RigIdentity
from exporter.sources.rigs.contract import Target
from exporter.sources.rigs.firmware import native_readers
from exporter.sources.rigs.reader import Miners

# Reader, where its answers are, model, and the TH/s, W and number of boards in them.
RECORDED = {
    "antminer": ("antminer", "rpc", "antminer/v2020", "S19 Pro", 110.56689, None, 3),
    "whatsminer-v2": ("whatsminer_v2", "rpc", "whatsminer/v2", "", 124.5, 3200, 3),
    "whatsminer-stock": ("whatsminer_v2", "rpc", "proto-fleet/whatsminer-stock/rpc", "M60SVK40", 110.52, 3200, 3),
    "whatsminer-v3": ("whatsminer_v3", "v3", "whatsminer/v3", "M60S VK40", 171.2, 3156, 3),
    "bitaxe": ("bitaxe", "http", "bitaxe/v2_0_0", "Supra", 1.0, 2.65, 1),
    "luxos": ("luxos", "rpc", "luxminer/v1", "S19k Pro", 60.82948, 1051, 3),
    "vnish": ("vnish", "http", "proto-fleet/antminer-vnish/web", "S21 Pro", 173.87094, 2583, 3),
    "epic": ("epic", "http", "epic/v1", "S19 XP", 99.365848, 2166.6174, 2),
    "auradine": ("auradine", "both", "auradine/v1", "AT1500", 10.256845, 58.94, 3),
    "sealminer": ("sealminer", "rpc", "sealminer/v2025", "A2", 220.315525, 3504, 3),
    "proto": ("proto", "http", "proto/v1", "Rig", 135.475676, 3526.337, 4),
    "braiins-rest": ("braiins_rest", "http", "braiins/v25_11", "S19 XP", 119.99501, 2472, 3),
}
BTMINER_REFUSAL = {"STATUS": "E", "When": 1_700_000_000, "Code": 14, "Msg": "invalid cmd", "Description": "btminer"}
BRAIINS_PAGES = {
    "version": "version/",
    "auth_login": "auth/login",
    "miner_details": "miner/details",
    "miner_stats": "miner/stats",
    "miner_hw_hashboards": "miner/hw/hashboards",
    "cooling_state": "cooling/state",
    "performance_tuner_state": "performance/tuner-state",
    "pools": "pools/",
    "actions_locate": "actions/locate",
}
LOGINS: dict[str, dict[str, Any]] = {  # whose answers nobody records
    "braiins_rest": {"auth_login": {"token": "recorded", "timeout_s": 3600}},
    "auradine": {"token": {"Token": [{"Token": "recorded"}]}},
    "proto": {"auth_login": {"access_token": "recorded"}},
}
PROTO_PAGES = {"auth_login": "auth/login", "telemetry_full": "telemetry?level=miner,hashboard,psu,asic"}
PAGES = {
    "auradine": ("8080", "/{}", {}),
    "proto": ("80", "/api/v1/{}", PROTO_PAGES),
    "bitaxe": ("80", "/api/{}", {"system_info": "system/info"}),
    "vnish": ("80", "/api/v1/{}", {}),
    "braiins_rest": ("80", "/api/v1/{}", BRAIINS_PAGES),
}


def recorded(kind: str, reader: str, folder: Path) -> dict[str, Any]:
    """Give a recording's answers as a fixture has them."""
    answers = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}
    if kind == "rpc":
        btminer = reader == "whatsminer_v2"
        return {"rpc": answers} | ({"joined": True, "refusal": BTMINER_REFUSAL} if btminer else {})
    if kind == "v3":
        status = {
            f"get.miner.status {part}": answers[f"get_miner_status_{part}"] for part in ("summary", "edevs", "pools")
        }
        return {"v3": status | {"get.device.info": answers["get_device_info_with_errors"]}}
    answers |= LOGINS.get(reader, {})
    port, pattern, names = PAGES.get(reader, ("4028", "/{}", {}))
    pages = {pattern.format(names.get(name, name)): answer for name, answer in answers.items()}
    return {"http": {port: pages}} | ({"rpc": answers} if kind == "both" else {})


@pytest.mark.recordings
@pytest.mark.parametrize("name", RECORDED)
async def test_recorded_answers_are_read(name: str) -> None:
    reader, kind, folder, model, terahash, watts, boards = RECORDED[name]
    address = f"{NETWORK}.{list(RECORDED).index(name) + 1}"
    async with replaying(address, recorded(kind, reader, CAPTURES / folder)):
        identity = RigIdentity(reader=reader, make="", model=model)
        target = Target(address, Credentials("root", "root") if reader in LOGINS else None)
        reading = await native_readers()[reader].read(target, identity)
    assert reading.hashrate == pytest.approx(terahash * 1e12, rel=1e-3)
    assert reading.power == (None if watts is None else pytest.approx(watts, rel=1e-3))
    assert len(reading.boards) == boards
    of_boards = sum(board.hashrate or 0.0 for board in reading.boards)
    assert of_boards == pytest.approx(reading.hashrate, rel=0.05) or name == "auradine"  # its parts are of several days
    assert reading.pools
    assert reading.fans
    assert FaultCode.UNKNOWN not in {fault.code for fault in reading.faults}


def avalon(stats: str, **changes: str) -> dict[str, Any]:
    """Answers of a rig with these ``stats``, their text changed."""
    fixture = recorded("rpc", "avalon", CAPTURES / "avalonminer")
    text = json.dumps(fixture["rpc"][stats]).replace("DNA[<DELETED>] ", "")
    for old, new in changes.items():
        text = text.replace(old, new)
    fixture["rpc"]["estats"] = json.loads(text)
    return fixture


@pytest.mark.recordings
async def test_a_recorded_avalon_that_idles_is_read() -> None:
    target = Target(f"{NETWORK}.30")
    async with replaying(target.address, avalon("stats")), Miners() as miners:
        identity = await miners.identify(target)
        reading = await miners.read(target, identity)
    assert (identity.make, identity.model, identity.reader) == ("AvalonMiner", "Avalon Q", "avalon")
    assert (reading.hashrate, reading.mining, reading.suspended) == (0.0, False, True)
    assert (reading.power, reading.power_supply) == (146.0, PowerSupply(input_power=146.0))
    assert [(board.chips, board.chip_temperature, board.failed_chips) for board in reading.boards] == [(160, None, ())]
    assert dict(reading.temperatures) == {"inlet": 26.0}
    assert reading.last_share_at is None  # counted by another clock than the time of the answer


@pytest.mark.recordings
async def test_a_recorded_avalon_that_hashes_is_read() -> None:
    fixture = avalon("avalon_a_stats")
    fixture["rpc"]["summary"]["SUMMARY"][0]["MHS 1m"] = 81_072_680.0
    target = Target(f"{NETWORK}.31")
    identity = RigIdentity(reader="avalon", make="AvalonMiner", model="Avalon 1246")
    async with replaying(target.address, fixture):
        reading = await native_readers()["avalon"].read(target, identity)
    assert (reading.power, reading.fan_duty, reading.fault_light) == (3504.0, 0.72, False)
    assert [board.chips for board in reading.boards] == [120] * 3
    assert [board.chip_temperature for board in reading.boards] == [77.0, 77.0, 76.0]
    assert [board.hardware_errors for board in reading.boards] == [999.0, 697.0, 1039.0]
    assert {board.failed_chips for board in reading.boards} == {()}
    assert reading.faults == ()


@pytest.mark.recordings
async def test_an_avalon_that_tells_of_no_power_supply_is_left_to_pyasic() -> None:
    """As those from before the A10 do."""
    fixture = avalon("stats", **{"PS[0 1222": "OLD[0 1222", "TMax[0] TAvg[0]": "TMax[77] TAvg[65]"})
    target = Target(f"{NETWORK}.30")
    async with replaying(target.address, fixture), Miners() as miners:
        identity = await miners.identify(target)
        reading = await miners.read(target, identity)
    assert (identity.make, identity.model) == ("AvalonMiner", "Avalon Q Home")
    assert (reading.hashrate, reading.mining) == (0.0, False)  # it idled when this was recorded
    assert reading.expected_hashrate == pytest.approx(55.03e12, rel=1e-3)
    assert reading.power_limit == 800
    assert [(board.hashrate, board.chips) for board in reading.boards] == [(None, 160)]
    assert [(board.temperature, board.chip_temperature) for board in reading.boards] == [(None, 77)]
    assert reading.pools[0].accepted == 890
