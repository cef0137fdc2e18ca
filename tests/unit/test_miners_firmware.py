"""What the readers do beyond the plain read that the contract suite holds them to."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from miner_servers import NETWORK, Handler, antminer, cgminer, serving

from exporter.failures import Failure, Reason
from exporter.readings import RigIdentity
from exporter.sources.miners.contract import Target
from exporter.sources.miners.firmware import antminer as stock
from exporter.sources.miners.firmware import whatsminer_v2

TARGET = Target(f"{NETWORK}.41")
S19 = RigIdentity(reader="antminer", make="AntMiner", model="S19j Pro", mac="28:e2:97:00:00:01")
M50 = RigIdentity(reader="whatsminer_v2", make="WhatsMiner", model="M50 VH50")
SUMMARY = {"MHS 1m": 114e6, "Factory GHS": 114_000, "Power": 3300, "Elapsed": 60}


def whatsminer(summary: Mapping[str, Any] | None, **answers: Any) -> Handler:
    """A V2 rig that says only its summary, and what is given beside it."""
    joined = {} if summary is None else {"summary": [{"SUMMARY": [summary]}]}
    return cgminer({"summary+devs+pools": joined} | answers)


def message(content: Any) -> dict[str, Any]:
    return {"STATUS": "S", "Code": 131, "Msg": content}


def pages(content: Mapping[str, Any]) -> Handler:
    """A web interface without login."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).decode().split(" ")[1]
        body = json.dumps(content[path]).encode()
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()

    return handle


async def test_a_whatsminer_without_codes_in_its_summary_is_asked_for_them() -> None:
    codes = message({"error_code": [{"530": "2026-03-20 10:00:00"}, {"110": "2026-03-20 10:00:00"}]})
    async with serving(TARGET.address, 4028, whatsminer(SUMMARY, get_error_code=codes)):
        reading = await whatsminer_v2.Reader().read(TARGET, M50)
    assert [(fault.code, fault.component) for fault in reading.faults] == [
        ("board_missing", "board 0"),
        ("fan_speed", "fan 0"),
    ]


@pytest.mark.parametrize("word", ["mineroff", "btmineroff"])
async def test_a_whatsminer_whose_miner_was_stopped_reads_zero(word: str) -> None:
    async with serving(TARGET.address, 4028, whatsminer(None, status=message({word: "true"}))):
        reading = await whatsminer_v2.Reader().read(TARGET, M50)
    assert (reading.hashrate, reading.mining, reading.power) == (0.0, False, None)


async def test_a_whatsminer_that_says_nothing_and_was_not_stopped_has_failed() -> None:
    async with serving(TARGET.address, 4028, whatsminer(None, status=message({"mineroff": "false"}))):
        with pytest.raises(Failure) as failure:
            await whatsminer_v2.Reader().read(TARGET, M50)
    assert failure.value.reason is Reason.GARBLED


async def test_an_old_antminer_whose_stats_have_no_rate_is_asked_for_its_summary() -> None:
    answers = antminer()
    async with serving(TARGET.address, 4028, cgminer(answers)):
        reading = await stock.Reader().read(TARGET, S19)
    assert reading.hashrate == pytest.approx(99.3015e12)
    assert reading.hardware_errors == 30


async def test_an_antminer_whose_stats_have_all_is_not_asked_for_its_summary() -> None:
    answers = antminer()
    answers["stats"]["STATS"][1] |= {"GHS 5s": 98_000.0, "no_matching_work": 12}
    del answers["summary"]
    async with serving(TARGET.address, 4028, cgminer(answers)) as connections:
        reading = await stock.Reader().read(TARGET, S19)
    assert (reading.hashrate, reading.hardware_errors) == (pytest.approx(98e12), 12)
    assert len(connections) == 2


async def test_a_dead_chip_a_missing_board_and_a_standing_fan_are_faults() -> None:
    answers = antminer(chain_acs1="oooo oxoo", chain_acn2=0, chain_rate2="", fan3=0)
    async with serving(TARGET.address, 4028, cgminer(answers)):
        reading = await stock.Reader().read(TARGET, S19)
    assert {(fault.code, fault.component) for fault in reading.faults} == {
        ("board_chips", "board 0"),
        ("board_missing", "board 1"),
        ("fan_failed", "fan 2"),
    }


async def visited(status: list[dict[str, Any]], mac: str) -> list[tuple[str, str]]:
    """Read a rig when its web interface is due, and give the faults."""
    firmware = stock.Reader()
    web = {
        "/cgi-bin/summary.cgi": {"SUMMARY": [{"status": status}]},
        "/cgi-bin/get_system_info.cgi": {"macaddr": mac},
    }
    async with serving(TARGET.address, 4028, cgminer(antminer())), serving(TARGET.address, 80, pages(web)):
        await firmware.read(TARGET, S19)
        firmware._web[TARGET.address].due = 0.0
        if mac != S19.mac.upper():
            with pytest.raises(Failure):
                await firmware.read(TARGET, S19)
        first = await firmware.read(TARGET, S19)
        again = await firmware.read(TARGET, S19)
    assert first.faults == again.faults  # kept until it is asked again
    return [(fault.code, fault.vendor_code) for fault in first.faults]


async def test_the_web_interface_says_what_is_wrong() -> None:
    status = [
        {"type": "rate", "status": "s", "code": 0, "msg": ""},
        {"type": "fans", "status": "e", "code": 1, "msg": "ERROR_FAN_LOST"},
        {"type": "temp", "status": "e", "code": 1, "msg": ""},
        {"type": "network"},
    ]
    faults = await visited(status, "28:E2:97:00:00:01")
    assert faults == [("fan_failed", "ERROR_FAN_LOST"), ("board_temperature", "temp")]


async def test_an_antminer_with_anothers_mac_is_not_taken_for_it() -> None:
    with pytest.raises(Failure) as failure:
        await visited([], "28:E2:97:00:00:02")
    assert failure.value.reason is Reason.IMPLAUSIBLE


async def test_an_antminer_that_is_another_model_now_is_not_taken_for_it() -> None:
    answers = antminer()
    answers["stats"]["STATS"][0]["Type"] = "Antminer S21"
    async with serving(TARGET.address, 4028, cgminer(answers)):
        with pytest.raises(Failure) as failure:
            await stock.Reader().read(TARGET, S19)
    assert failure.value.reason is Reason.IMPLAUSIBLE


@pytest.mark.parametrize("kind", ["Antminer L7", "Antminer KS5", "Antminer Z15 Pro", "Antminer S21 (Vnish 1.2.7)"])
async def test_what_mines_no_bitcoin_or_runs_other_firmware_is_not_stock(kind: str) -> None:
    assert not stock.Reader().recognises({"VERSION": [{"BMMiner": "1.0.0", "Type": kind}]})
