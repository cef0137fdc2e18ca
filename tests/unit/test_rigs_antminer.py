"""Stock Antminers of every generation: slots, keys and sensors as the answer has them, and the web interface alone."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
from rig_servers import NETWORK, Handler, antminer, cgminer, serving

from exporter.model.failures import Failure, Reason
from exporter.model.fleet import Credentials
from exporter.model.readings import RigIdentity, RigReading
from exporter.sources.rigs.contract import Target
from exporter.sources.rigs.firmware.antminer import Reader
from exporter.sources.rigs.pyasic_reader import PyasicReader
from exporter.sources.rigs.reader import Miners

TARGET = Target(f"{NETWORK}.47", Credentials("root", "root"))
REALM = 'Digest realm="antMiner Configuration", nonce="1", qop="auth"'


def s9(**changes: Any) -> dict[str, Any]:
    """Answers of an S9 build that lists 16 slots, of which 6 to 8 have boards; figures invented."""
    row: dict[str, Any] = {"Elapsed": 86_400, "GHS 5s": "13500.10", "GHS av": 13_510.0, "no_matching_work": 3}
    row |= {"miner_count": 3, "fan_num": 2, "total_rateideal": 13_500.0, "rate_unit": "GH"}
    row |= {f"fan{slot}": 0 for slot in range(1, 9)} | {"fan5": 4_320, "fan6": 5_160}
    for slot in range(1, 17):
        here = slot in (6, 7, 8)
        row |= {f"temp{slot}": 60 + slot if here else 0, f"temp2_{slot}": 75 + slot if here else 0}
        row |= {f"temp3_{slot}": 0, f"freq_avg{slot}": 650.0 if here else 0.0}
        row |= {f"chain_acn{slot}": 63 if here else 0, f"chain_acs{slot}": " ooooooo" * 9 if here else ""}
        row |= {f"chain_rate{slot}": "4500.03" if here else "", f"chain_hw{slot}": slot if here else 0}
        row |= {f"chain_rateideal{slot}": 4_500.0, f"chain_voltage{slot}": 8.8}  # which empty slots have as well
    kind = {"BMMiner": "2.0.0", "Miner": "16.8.1.3", "CompileTime": "Mon Jan 8", "Type": "Antminer S9"}
    status = [{"STATUS": "S", "Code": 70}]
    return {
        "version": {"STATUS": status, "VERSION": [{"API": "3.1", **kind}], "id": 1},
        "stats": {"STATUS": status, "STATS": [kind, row | changes], "id": 1},
    }


async def read(answers: Mapping[str, Any]) -> RigReading:
    async with serving(TARGET.address, 4028, cgminer(answers)), Miners() as miners:
        identity = await miners.identify(TARGET)
        assert identity.reader == "antminer"
        return await miners.read(TARGET, identity)


async def test_an_old_antminer_has_its_boards_in_late_slots_and_its_sensors_under_old_keys() -> None:
    reading = await read(s9())
    assert reading.hashrate == pytest.approx(13.5001e12)
    assert [(board.index, board.chips, board.temperature, board.chip_temperature) for board in reading.boards] == [
        (0, 63, 66, 81),
        (1, 63, 67, 82),
        (2, 63, 68, 83),
    ]
    assert {board.frequency for board in reading.boards} == {650e6}
    assert [(fan.index, fan.rpm) for fan in reading.fans] == [(4, 4_320), (5, 5_160)]
    assert reading.faults == ()


async def test_an_old_antminer_misses_the_board_that_it_lists_without_chips() -> None:
    reading = await read(s9(chain_acn7=0, chain_acs7="", chain_rate7="", temp7=0, temp2_7=0))
    assert [(one.code, one.component) for one in reading.faults] == [("board_missing", "board 1")]


async def test_a_slot_without_a_board_has_no_voltage_whatever_is_listed_for_it() -> None:
    reading = await read(s9(chain_acn7=0, chain_acs7="", chain_rate7="", temp7=0, temp2_7=0, freq_avg7=0.0))
    assert [(board.chips, board.voltage) for board in reading.boards] == [(63, 8.8), (0, None), (63, 8.8)]
    assert [(one.code, one.component) for one in reading.faults] == [("board_missing", "board 1")]


async def test_a_stopped_fan_of_an_old_antminer_keeps_its_number_and_no_empty_slot_is_a_fault() -> None:
    """Its two fans are in slots 5 and 6 of 8: the answer does not show which slots have a fan."""
    reading = await read(s9(fan5=0))
    assert {fan.index: fan.rpm for fan in reading.fans} == {5: 5_160} | dict.fromkeys((0, 1, 2, 3, 4, 6, 7), 0)
    assert (reading.fans_expected, reading.faults) == (2, ())


async def test_a_hiveon_s9_with_two_of_its_boards_reports_the_third_missing_and_the_power_of_two() -> None:
    kind = {"BMMiner": "2.0.0 rwglr", "Miner": "30.0.1.3", "CompileTime": "Fri Jul 9", "Type": "Antminer S9 Hiveon"}
    gone = {"chain_acn8": 0, "chain_acs8": "", "chain_rate8": "", "temp8": 0, "temp2_8": 0, "freq_avg8": 0.0}
    power = {"chain_power": "455.50 (AB)", "chain_power1": 0, "chain_power6": 230.25, "chain_power7": 225.25}
    answers = s9(**gone, **power, miner_count=2)
    answers["version"]["VERSION"] = [{"API": "3.1", **kind}]
    answers["stats"]["STATS"][0] = kind
    reading = await read(answers)
    assert reading.power == 455.5
    assert [(board.index, board.chips, board.power) for board in reading.boards] == [
        (0, 63, 230.25),
        (1, 63, 225.25),
        (2, 0, None),
    ]
    assert [(one.code, one.component) for one in reading.faults] == [("board_missing", "board 2")]


async def test_bos_of_2019_on_an_s9_is_read_by_bitmains_keys() -> None:
    kind = {"BMMiner": "bOS_am1-s9-20190221-0_572dd48c", "CompileTime": "", "Type": "braiins-am1-s9"}
    ideal = {"chain_rateideal6": 4_570.5, "chain_rateideal7": 4_850.25, "chain_rateideal8": 4_579.25}
    pool = {"POOL": 0, "URL": "stratum+tcp://pool.example:3333", "Status": "Alive", "User": "acme.s9", "Accepted": 7}
    answers = s9(**ideal, total_rateideal=14_000.0)
    answers["version"]["VERSION"] = [{"API": "3.1", **kind}]
    answers["stats"]["STATS"][0] = kind
    answers["pools"] = {"STATUS": [{"STATUS": "S"}], "POOLS": [pool], "id": 1}
    async with serving(TARGET.address, 4028, cgminer(answers)), Miners() as miners:
        identity = await miners.identify(TARGET)
        reading = await miners.read(TARGET, identity)
    assert (identity.make, identity.model, identity.firmware) == ("AntMiner", "S9", "bOS")
    assert identity.firmware_version == "20190221-0_572dd48c"
    assert (reading.hashrate, reading.expected_hashrate) == (pytest.approx(13.5001e12), 14e12)
    assert [(board.expected_hashrate, board.temperature, board.chip_temperature) for board in reading.boards] == [
        (4_570.5e9, 66, 81),
        (4_850.25e9, 67, 82),
        (4_579.25e9, 68, 83),
    ]
    assert [(fan.index, fan.rpm) for fan in reading.fans] == [(4, 4_320), (5, 5_160)]
    assert [(pool.host, pool.worker, pool.accepted) for pool in reading.pools] == [("pool.example:3333", "acme.s9", 7)]
    assert (reading.power, reading.faults) == (None, ())


@pytest.mark.parametrize(("kind", "known"), [("braiins-am2-s17", True), ("braiins-dm1-g19", False), ("Braiins", False)])
def test_bos_is_recognised_on_antminers_only(kind: str, known: bool) -> None:
    assert Reader().recognises({"VERSION": [{"BMMiner": "bOS_x-20190221-0", "Type": kind}]}) is known


async def test_a_slot_without_a_board_is_expected_to_hash_nothing() -> None:
    """Builds list a rate for it too."""
    reading = await read(s9(chain_acn7=0, chain_acs7="", chain_rate7="", temp7=0, temp2_7=0))
    assert [board.expected_hashrate for board in reading.boards] == [4.5e12, None, 4.5e12]


async def test_the_missing_comma_of_builds_for_the_s7_costs_nothing() -> None:
    """Their two rows of statistics stand side by side without one."""
    row = {
        "Elapsed": 80_000,
        "GHS 5s": 5_100.5,
        "GHS av": 4_800.25,
        "fan_num": 6,
        "fan1": 4_200,
        "fan2": 0,
        "fan3": 4_080,
    }
    for slot, temperature in ((1, 54), (2, 56), (3, 62), (4, 0)):
        here = bool(temperature)
        row |= {f"temp{slot}": temperature, f"chain_acn{slot}": 45 if here else 0}
        row |= {f"chain_acs{slot}": "ooooooooo" * 5 if here else ""}
    kind = {"CGMiner": "4.8.0", "Miner": "3.5.3.0", "CompileTime": "Thu Dec 3", "Type": "Antminer S7"}
    stats = json.dumps({"STATUS": [{"STATUS": "S"}], "STATS": [kind, row], "id": 1}).replace("}, {", "}{")
    version = json.dumps({"STATUS": [{"STATUS": "S"}], "VERSION": [kind], "id": 1})

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        command = json.loads(await reader.read(4096))["command"]
        writer.write({"version": version, "stats": stats}.get(command, "{}").encode() + b"\0")
        await writer.drain()

    async with serving(TARGET.address, 4028, handle), Miners() as miners:
        identity = await miners.identify(TARGET)
        reading = await miners.read(TARGET, identity)
    assert (identity.model, reading.hashrate) == ("S7", 5_100.5e9)
    assert [(board.chips, board.temperature) for board in reading.boards] == [(45, 54), (45, 56), (45, 62)]
    assert {fan.index: fan.rpm for fan in reading.fans} == {0: 4_200, 1: 0, 2: 4_080}
    assert reading.faults == ()


async def test_empty_slots_beyond_the_boards_of_the_model_are_not_missed() -> None:
    empty = {f"chain_{key}{slot}": value for slot in range(4, 17) for key, value in (("acn", 0), ("rateideal", 31e3))}
    reading = await read(antminer(**empty))
    assert [board.index for board in reading.boards] == [0, 1, 2]
    assert reading.faults == ()


@pytest.mark.parametrize(("name", "model"), [("BHB42XXX", "BHB42XXX"), ("BHB68606", "S21"), ("s19j pro", "S19j Pro")])
async def test_a_makers_code_is_read_natively(name: str, model: str) -> None:
    answers = antminer()
    for row in (answers["version"]["VERSION"][0], answers["stats"]["STATS"][0]):
        row["Type"] = f"Antminer {name}"
    async with serving(TARGET.address, 4028, cgminer(answers)), Miners() as miners:
        identity = await miners.identify(TARGET)
        reading = await miners.read(TARGET, identity)
    assert (identity.reader, identity.model, len(reading.boards)) == ("antminer", model, 3)


async def test_water_temperatures_are_not_taken_for_chips() -> None:
    answers = antminer(**{f"temp_chip{slot}": "38-46-0-0" for slot in (1, 2, 3)}, fan_num=0)
    answers["stats"]["STATS"][0]["Type"] = answers["version"]["VERSION"][0]["Type"] = "Antminer S21 Hyd."
    reading = await read(answers)
    assert dict(reading.temperatures) == {"inlet": 38.0, "outlet": 46.0}
    assert {board.chip_temperature for board in reading.boards} == {None}
    assert {board.temperature for board in reading.boards} == {61.0}


@pytest.mark.parametrize(("value", "watts"), [("3250 W", 3250.0), ("456.78 (AB)", 456.78), (3250, 3250.0), ("", None)])
async def test_the_boards_power_is_read_where_a_build_has_it(value: object, watts: float | None) -> None:
    assert (await read(antminer(chain_power=value))).power == watts


@pytest.mark.parametrize("token", ["-nan", "nan", "inf", "-inf", "", "0x1F"])
async def test_one_odd_token_loses_that_field_only(token: str) -> None:
    text = json.dumps(antminer(fan_pwm=81.5)["stats"]).replace("81.5", token)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        command = json.loads(await reader.read(4096))["command"]
        writer.write((text if command == "stats" else json.dumps(antminer()[command])).encode() + b"\0")
        await writer.drain()

    async with serving(TARGET.address, 4028, handle):
        reading = await Reader().read(TARGET, RigIdentity(reader="antminer", make="AntMiner", model="S19j Pro"))
    assert reading.hashrate == pytest.approx(99.3015e12)
    assert reading.fan_duty is None


# --- the web interface alone ------------------------------------------------------------------------------------------


def stock_web(**stats: Any) -> dict[str, Any]:
    chain = {"freq_avg": 545, "rate_ideal": 33_000.0, "rate_real": 33_100.0, "asic_num": 126, "hw": 7}
    chain |= {"temp_pcb": [50, 51, 52, 53], "temp_chip": [60, 61, 62, 63]}
    row = {"elapsed": 3_600, "rate_5s": 99_300.0, "rate_avg": 99_000.0, "rate_ideal": 99_000.0, "rate_unit": "GH/s"}
    row |= {"fan_num": 4, "fan": [4_000, 4_100, 4_200, 4_300], "hwp_total": 0.5, "miner-mode": 0}
    row |= {"chain": [{**chain, "index": index, "sn": f"SN{index}"} for index in range(3)]} | stats
    pool = {"index": 0, "url": "stratum+tcp://pool.example:3333", "user": "acme.a-01", "status": "Alive"}
    pool |= {"accepted": 90, "rejected": 1, "stale": 0, "diff": "262K", "diffa": 1e6, "diffr": 10.0, "discarded": 3}
    return {
        "/cgi-bin/get_system_info.cgi": {"minertype": "Antminer S19j Pro", "macaddr": "28:E2:97:00:00:01"},
        "/cgi-bin/stats.cgi": {"INFO": {"type": "Antminer S19j Pro", "CompileTime": "Tue Dec 6"}, "STATS": [row]},
        "/cgi-bin/summary.cgi": {"SUMMARY": [{"hw_all": 21, "bestshare": 5_000_000, "status": []}]},
        "/cgi-bin/pools.cgi": {"POOLS": [pool]},
        "/cgi-bin/get_blink_status.cgi": {"blink": False},
    }


def digest(pages: Mapping[str, Any], *, admits: bool = True) -> Handler:
    """A web interface that wants a digest login and takes any, or none."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split(" ")[1]
        status, header, body = "404 Not Found", "", ""
        if path.startswith("/cgi-bin/"):
            if "Authorization: Digest" in head and admits:
                status, body = ("200 OK", json.dumps(pages[path])) if path in pages else (status, body)
            else:
                status, header = "401 Unauthorized", f"WWW-Authenticate: {REALM}\r\n"
        writer.write(f"HTTP/1.1 {status}\r\n{header}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        await writer.drain()

    return handle


async def test_a_rig_with_a_closed_api_is_identified_and_read_from_its_web_interface() -> None:
    async with serving(TARGET.address, 80, digest(stock_web())), Miners() as miners:
        identity = await miners.identify(TARGET)
        reading = await miners.read(TARGET, identity)
    assert (identity.reader, identity.model, identity.mac) == ("antminer", "S19j Pro", "28:e2:97:00:00:01")
    assert identity.board_serials == ((0, "SN0"), (1, "SN1"), (2, "SN2"))
    assert (reading.hashrate, reading.expected_hashrate) == (99.3e12, 99e12)
    assert (reading.uptime, reading.hardware_errors, reading.accepted_difficulty) == (3_600, 21, 1e6)
    assert [(board.temperature, board.chip_temperature, board.chips) for board in reading.boards] == [(53, 63, 126)] * 3
    assert [fan.rpm for fan in reading.fans] == [4_000, 4_100, 4_200, 4_300]
    assert (reading.pools[0].host, reading.pools[0].difficulty) == ("pool.example:3333", 262_000)
    assert (reading.suspended, reading.faults) == (False, ())


async def test_a_rig_whose_api_closes_is_read_on_and_read_by_it_again_once_it_opens() -> None:
    firmware, who = Reader(), RigIdentity(reader="antminer", make="AntMiner", model="S19j Pro")
    async with serving(TARGET.address, 80, digest(stock_web())):
        by_web = await firmware.read(TARGET, who)
        async with serving(TARGET.address, 4028, cgminer(antminer())) as connections:
            await firmware.read(TARGET, who)
            assert connections == []  # not tried again at each poll
            firmware._closed[TARGET.address] = 0.0
            by_api = await firmware.read(TARGET, who)
    assert (by_web.hashrate, by_api.hashrate) == (99.3e12, pytest.approx(99.3015e12))


@pytest.mark.parametrize(("admits", "boards", "hashrate"), [(True, 3, 99.3e12), (False, 0, 98e12)])
async def test_a_rig_whose_api_has_no_statistics_is_read_from_its_web_interface_if_that_admits(
    admits: bool, boards: int, hashrate: float
) -> None:
    answers = antminer() | {"summary": {"SUMMARY": [{"GHS 5s": 98_000, "GHS av": 97_000, "Elapsed": 60}]}}
    del answers["stats"]
    who = RigIdentity(reader="antminer", make="AntMiner", model="S19j Pro")
    async with (
        serving(TARGET.address, 4028, cgminer(answers)),
        serving(TARGET.address, 80, digest(stock_web(), admits=admits)),
    ):
        reading = await Reader().read(TARGET, who)
    assert (len(reading.boards), reading.hashrate) == (boards, hashrate)


async def test_pools_that_the_web_interface_does_not_list_are_those_of_the_api() -> None:
    answers = antminer() | {"summary": {"SUMMARY": [{"GHS 5s": 98_000, "GHS av": 97_000, "Elapsed": 60}]}}
    del answers["stats"]
    pool = {"URL": "stratum+tcp://api.example:3333", "Status": "Alive", "User": "acme.a-01", "Accepted": 12}
    totals = {"Difficulty Accepted": 5_000.0, "Difficulty Rejected": 10.0, "Discarded": 3, "Best Share": 900}
    answers["pools"] = {"STATUS": [{"STATUS": "S"}], "POOLS": [pool | totals], "id": 1}
    pages = {path: page for path, page in stock_web().items() if "pools" not in path}
    who = RigIdentity(reader="antminer", make="AntMiner", model="S19j Pro")
    async with (
        serving(TARGET.address, 4028, cgminer(answers)),
        serving(TARGET.address, 80, digest(pages)),
    ):
        reading = await Reader().read(TARGET, who)
    assert (len(reading.boards), reading.hashrate) == (3, 99.3e12)
    assert [(pool.host, pool.accepted) for pool in reading.pools] == [("api.example:3333", 12)]
    assert (reading.accepted_difficulty, reading.rejected_difficulty, reading.discarded_work) == (5_000, 10, 3)


async def test_another_rig_behind_the_web_interface_is_not_read_for_one_without_statistics() -> None:
    answers = antminer()
    del answers["stats"]
    who = RigIdentity(reader="antminer", make="AntMiner", model="S19j Pro", mac="28:e2:97:00:00:02")
    async with (
        serving(TARGET.address, 4028, cgminer(answers)),
        serving(TARGET.address, 80, digest(stock_web())),
    ):
        with pytest.raises(Failure) as failure:
            await Reader().read(TARGET, who)
    assert failure.value.reason is Reason.IMPLAUSIBLE


async def test_a_closed_api_and_a_rejected_login_is_auth() -> None:
    who = RigIdentity(reader="antminer", make="AntMiner", model="S19j Pro")
    async with serving(TARGET.address, 80, digest({}, admits=False)), Miners() as miners:
        for asked in (miners.identify(TARGET), miners.read(TARGET, who)):
            with pytest.raises(Failure) as failure:
                await asked
            assert failure.value.reason is Reason.AUTH


async def test_two_closed_ports_are_refused() -> None:
    with pytest.raises(Failure) as failure:
        await Reader().read(TARGET, RigIdentity(reader="antminer", make="AntMiner", model="S19j Pro"))
    assert failure.value.reason is Reason.REFUSED


async def test_a_sleeping_rig_serves_empty_pages_and_hashes_nothing() -> None:
    asleep = stock_web() | {"/cgi-bin/stats.cgi": {"STATS": []}, "/cgi-bin/summary.cgi": {"SUMMARY": []}}
    who = RigIdentity(reader="antminer", make="AntMiner", model="S19j Pro")
    async with serving(TARGET.address, 80, digest(asleep)):
        reading = await Reader().read(TARGET, who)
    assert (reading.hashrate, reading.mining) == (0.0, False)


async def test_another_rig_behind_the_web_interface_is_not_taken_for_it() -> None:
    who = RigIdentity(reader="antminer", make="AntMiner", model="S19j Pro", mac="28:e2:97:00:00:02")
    async with serving(TARGET.address, 80, digest(stock_web())):
        with pytest.raises(Failure) as failure:
            await Reader().read(TARGET, replace(who))
    assert failure.value.reason is Reason.IMPLAUSIBLE


@pytest.mark.parametrize("kind", ["Antminer L7", "Antminer KS5 Pro", "SDMiner"])
async def test_another_rig_with_bitmains_web_interface_is_left_to_pyasic(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    async def by_pyasic(self: PyasicReader, target: Target) -> RigIdentity:
        return RigIdentity(reader="pyasic:ANTMINER:L7:", make="AntMiner", model="L7")

    monkeypatch.setattr(PyasicReader, "identify", by_pyasic)
    version = {"VERSION": [{"BMMiner": "1.0.0", "API": "3.1", "Type": kind}], "id": 1}
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serving(TARGET.address, 4028, cgminer({"version": version})))
        await stack.enter_async_context(serving(TARGET.address, 80, digest(stock_web())))
        miners = await stack.enter_async_context(Miners())
        identity = await miners.identify(TARGET)
    assert identity.reader == "pyasic:ANTMINER:L7:"


@pytest.mark.parametrize(
    ("version", "model", "firmware", "release"),
    [
        ({"BMMiner": "1.0.0", "Type": "Antminer S19j Pro"}, "S19j Pro", "Stock", "2024"),
        ({"BMMiner": "2.0.0 rwglr", "Type": "Antminer S9 Hiveon"}, "S9", "Hiveon", "2024"),
        ({"BMMiner": "2.0.0 rwglr", "Type": "Antminer S19j Pro Hiveon"}, "S19j Pro", "Hiveon", "2024"),
        ({"BMMiner": "4.11.1 rwglr", "Type": "Antminer S19JPRO Hiveon"}, "S19j Pro", "Hiveon", "2024"),
        ({"BMMiner": "1.0.0", "Type": "Antminer S21+ Hyd (HashMaster)"}, "S21+ Hyd.", "HashMaster", "2024"),
        ({"BMMiner": "1.0.0", "Type": "Antminer S21 PitBit"}, "S21", "PitBit", "2024"),
        ({"BMMiner": "1.0.0", "Type": "ANTMINER S19J PRO+ EX"}, "S19j Pro+", "BitFuFu", "2024"),
        ({"BMMiner": "1.0.0", "Type": "ANTMINER S21 EX"}, "S21", "BitFuFu", "2024"),
        ({"BMMiner": "4.11.1 rwglr", "Type": "S19-88 v.2.6.0.39 "}, "S19 No PIC", "MSK", "2.6.0.39"),
        ({"BMMiner": "4.11.1 rwglr", "Type": "Antminer S19j Pro"}, "S19j Pro", "MSK", "2024"),
    ],
)
async def test_firmware_on_the_same_hardware_is_called_by_its_name(
    version: dict[str, str], model: str, firmware: str, release: str
) -> None:
    target = Target(f"{NETWORK}.79")
    answer = {"STATUS": [{"STATUS": "S"}], "VERSION": [version | {"CompileTime": "2024", "API": "3.1"}], "id": 1}
    assert Reader().recognises(answer)
    async with serving(target.address, 4028, cgminer({"version": answer})):
        identity = await Reader().identify(target)
    assert (identity.model, identity.firmware, identity.firmware_version) == (model, firmware, release)


@pytest.mark.parametrize("kind", ["Antminer S9\nV1.3.58", "Antminer S9 v1.3.58", "antminer s9 (v1.3.58)"])
async def test_the_firmware_s_release_behind_the_model_is_no_part_of_it(kind: str) -> None:
    served = s9()
    served["version"]["VERSION"][0]["Type"] = served["stats"]["STATS"][0]["Type"] = kind
    async with serving(TARGET.address, 4028, cgminer(served)), Miners() as miners:
        identity = await miners.identify(TARGET)
        reading = await miners.read(TARGET, identity)
    assert (identity.model, reading.hashrate) == ("S9", pytest.approx(13.5001e12))


async def test_no_chip_of_a_rig_that_sleeps_has_failed_though_none_works() -> None:
    asleep = {f"chain_acs{slot}": " xxxxxxx" * 9 for slot in (6, 7, 8)}
    reading = await read(s9(**asleep, **{"GHS 5s": 0.0}))
    assert (reading.mining, reading.faults) == (False, ())
    assert [(board.chips, board.failed_chips) for board in reading.boards] == [(63, ())] * 3


async def test_the_firmware_maker_s_masked_pool_is_left_out_with_its_shares() -> None:
    served = s9()
    served["pools"] = {
        "STATUS": [{"STATUS": "S"}],
        "POOLS": [
            {"POOL": 0, "URL": "stratum+tcp://pool.example:3333", "User": "acme.a-1", "Status": "Alive"}
            | {"Accepted": 10, "Difficulty Accepted": 655_360.0, "Stratum Active": True},
            {"POOL": 1, "URL": "*", "User": "*", "Status": "Alive", "Accepted": 9, "Difficulty Accepted": 4_608.0},
        ],
        "id": 1,
    }
    reading = await read(served)
    assert [(pool.host, pool.accepted) for pool in reading.pools] == [("pool.example:3333", 10)]
    assert reading.accepted_difficulty == 655_360.0
