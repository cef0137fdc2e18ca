"""pyasic behind the seam, in its real worker process, against real sockets."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from rig_servers import NETWORK, Handler, antminer, cgminer, closing, dripping, flooding, hanging, saying, serving
from test_rigs_web import digest_rig

from exporter.model.failures import Failure, Reason
from exporter.model.fleet import Credentials
from exporter.model.readings import PowerSupply, RigIdentity, RigReading
from exporter.sources.rigs import pyasic_reader
from exporter.sources.rigs.contract import Target
from exporter.sources.rigs.logins import RETRY_SECONDS, Logins, using
from exporter.sources.rigs.pyasic_reader import PyasicReader, translate
from exporter.sources.rigs.reader import Miners

S19 = RigIdentity(reader="pyasic:ANTMINER:ANTMINER S19J PRO:", make="AntMiner", model="S19j Pro")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def reader() -> AsyncIterator[PyasicReader]:
    reader = PyasicReader(read_deadline=5.0, identify_deadline=20.0)
    yield reader
    await reader.close()


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_it_identifies_and_reads_a_rig(reader: PyasicReader) -> None:
    target = Target(f"{NETWORK}.1")
    async with serving(target.address, 4028, cgminer(antminer())):
        identity = await reader.identify(target)
        reading = await reader.read(target, identity)
    assert (identity.make, identity.model, identity.reader) == (S19.make, S19.model, S19.reader)
    assert reading.hashrate == pytest.approx(99.3015e12)
    assert reading.expected_hashrate == pytest.approx(100e12)
    assert [fan.rpm for fan in reading.fans] == [5001, 5002, 5003, 5004]
    assert reading.pools[0].host == "pool.example:3333"
    assert reading.pools[0].worker == "acme.a-01"


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (None, Reason.REFUSED),
        (closing, Reason.REFUSED),
        (flooding, Reason.TOO_LARGE),
        (saying(b"\x89PNG"), Reason.GARBLED),
        (cgminer({}), Reason.GARBLED),
        (cgminer(antminer(**{"GHS 5s": 110e9})), Reason.IMPLAUSIBLE),
        (cgminer(antminer(**{"GHS 5s": float("nan")})), Reason.IMPLAUSIBLE),
    ],
    ids=["unplugged", "closes", "floods", "binary", "unknown", "lies", "nan"],
)
async def test_a_failed_read_is_a_classified_failure(
    reader: PyasicReader, handler: Handler | None, reason: Reason, unused: str
) -> None:
    if handler is None:
        with pytest.raises(Failure) as failure:
            await reader.read(Target(unused), S19)
    else:
        async with serving(unused, 4028, handler):
            with pytest.raises(Failure) as failure:
                await reader.read(Target(unused), S19)
    assert failure.value.reason is reason


@pytest.fixture
def unused(request: pytest.FixtureRequest) -> str:
    """An address of its own for each case."""
    return f"{NETWORK}.{sum(map(ord, request.node.name)) % 200 + 50}"


async def test_rigs_that_hang_or_drip_hold_up_nobody_and_leave_no_socket(reader: PyasicReader) -> None:
    good, hung, slow = (Target(f"{NETWORK}.{host}") for host in (2, 3, 9))
    async with (
        serving(good.address, 4028, cgminer(antminer())),
        serving(hung.address, 4028, hanging) as held,
        serving(slow.address, 4028, dripping) as dripped,
    ):
        stuck = [asyncio.create_task(reader.read(bad, S19)) for bad in (hung, slow)]
        readings = [await reader.read(good, S19) for _ in range(5)]
        assert not any(read.done() for read in stuck)
        for read in stuck:
            with pytest.raises(Failure) as failure:
                await read
            assert failure.value.reason is Reason.TIMEOUT
        assert len(readings) == 5
        for connections in (held, dripped):
            assert connections
            for writer in connections:
                with suppress(ConnectionError):  # closed in the middle of a drop
                    await asyncio.wait_for(writer.wait_closed(), 600)


async def test_one_odd_field_loses_that_field_only(reader: PyasicReader) -> None:
    target = Target(f"{NETWORK}.4")
    answers = antminer(total_rateideal="none", fan1="fast")
    answers["pools"]["POOLS"][0]["URL"] = "carrier-pigeon://pool.example"
    async with serving(target.address, 4028, cgminer(answers)):
        reading = await reader.read(target, S19)
    assert reading.hashrate == pytest.approx(99.3015e12)
    assert reading.expected_hashrate is None
    assert reading.pools == ()


async def test_a_rig_that_reports_no_model_is_not_identified() -> None:
    answers = antminer()
    del answers["version"]["VERSION"][0]["Type"]
    answers["version"]["VERSION"][0]["Miner"] = "antminer"
    async with serving(f"{NETWORK}.5", 4028, cgminer(answers)), Miners() as miners:
        with pytest.raises(Failure, match="pyasic calls it antminer, and it reports no model") as failure:
            await miners.identify(Target(f"{NETWORK}.5"))
    assert failure.value.reason is Reason.NOT_READY


async def test_what_mines_no_bitcoin_is_known_and_read(reader: PyasicReader) -> None:
    answers = antminer()
    answers["version"]["VERSION"][0]["Type"] = "Antminer L7"
    target = Target(f"{NETWORK}.8")
    async with serving(target.address, 4028, cgminer(answers)):
        identity = await reader.identify(target)
        reading = await reader.read(target, identity)
    assert (identity.model, identity.algorithm) == ("L7", "Scrypt")
    assert reading.hashrate > 0


def auradine(pages: Mapping[str, Any]) -> Handler:
    """The web interface of an Auradine, behind its login."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        if head.startswith("POST"):
            await reader.read(4096)
        path = head.split(" ")[1]
        page = {"Token": [{"Token": "secret"}]} if path == "/token" else pages.get(path, {})
        body = json.dumps({"STATUS": [{"STATUS": "S"}], **page})
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode())
        await writer.drain()

    return handle


@pytest.mark.parametrize(
    ("led", "light"), [({"LED": [{"Code": 3}]}, True), ({"LED": [{"Code": 2}]}, False), ({}, None)]
)
async def test_an_auradine_tells_its_name_and_locate_light(
    led: Mapping[str, Any], light: bool | None, reader: PyasicReader
) -> None:
    target = Target(f"{NETWORK}.9")
    summary = {"STATUS": [{"STATUS": "S", "Msg": "Summary"}], "SUMMARY": [{"MHS 5s": 180e6, "Elapsed": 60}], "id": 1}
    version = {"STATUS": [{"STATUS": "S"}], "VERSION": [{"GCMiner": "1.0"}], "id": 1}
    details = {"STATUS": [{"STATUS": "S"}], "DEVDETAILS": [{"Model": "AT1500"}], "id": 1}
    rpc = {"version": version, "devdetails": details, "summary": summary}
    report = {"IPReport": [{"hostname": "at-07", "mac": "00:1b:44:11:3a:b7"}]}
    web = auradine({"/ipreport": report, "/led": led})
    async with serving(target.address, 4028, cgminer(rpc)), serving(target.address, 8080, web):
        identity = await reader.identify(target)
        reading = await reader.read(target, identity)
    assert (identity.model, identity.hostname) == ("AT1500", "at-07")
    assert reading.hashrate == pytest.approx(180e12)
    assert reading.fault_light is light


ELPHAPEX = {
    "/cgi-bin/get_system_info.cgi": {"minertype": "DG1+", "hostname": "dg-07"},
    "/cgi-bin/stats.cgi": {
        "STATUS": {"STATUS": "S"},
        "STATS": [
            {
                "chain": [
                    {"index": index, "rate_real": 3500.0, "asic_num": 204, "temp_pcb": [50], "temp_chip": ["60000"]}
                    | {"sn": f"S{index}"}
                    for index in range(4)
                ]
            }
        ],
    },
}
"""Pages of firmware that pyasic reads with a digest login alone."""
DG1 = RigIdentity(reader="pyasic:ELPHAPEX:DG1+:", make="Elphapex", model="DG1+")


async def test_a_rejected_login_is_sent_once_in_fifteen_minutes_then_the_next_one_is(reader: PyasicReader) -> None:
    now, address = 1_000.0, f"{NETWORK}.10"
    offered = tuple(Credentials("root", password, name=password) for password in ("wrong", "right"))
    logins = Logins(offered, address, clock=lambda: now)
    handler, log = digest_rig("right", ', qop="auth"', realm="Daoge", pages=ELPHAPEX)

    async def read() -> RigReading:
        with using(logins):
            return await reader.read(Target(address, logins.current), DG1)

    async with serving(address, 80, handler):
        with pytest.raises(Failure, match="rejected the login") as failure:
            await read()
        assert (failure.value.reason, log.count("wrong")) == (Reason.AUTH, 1), "of all the pages"
        assert (logins.rejected, logins.waited) == (["wrong"], 0.0)
        now += RETRY_SECONDS - 60
        with pytest.raises(Failure, match="the next one is tried in 1 min") as failure:
            await read()
        assert (failure.value.reason, log.count("wrong"), log.count("in")) == (Reason.AUTH, 1, 0)
        now += 60
        reading = await read()
    assert reading.hashrate == pytest.approx(14e9)
    assert reading.login_refused is False
    assert (logins.accepted, logins.rejected, log.count("wrong")) == ("right", [], 1)


async def test_a_rig_is_identified_with_the_login_of_the_inventory(reader: PyasicReader) -> None:
    address = f"{NETWORK}.11"
    handler, log = digest_rig("of its own", ', qop="auth"', realm="Daoge", pages=ELPHAPEX)
    logins = Logins((Credentials("root", "of its own", name="site"),), address)
    async with serving(address, 80, handler):
        with using(logins):
            identity = await reader.identify(Target(address, logins.current))
    assert identity.model == "DG1+"
    assert ("wrong" in log, logins.accepted) == (False, "site")


async def test_a_rig_that_is_read_without_a_login_is_read_while_none_may_be_sent(reader: PyasicReader) -> None:
    login = Credentials("root", "wrong", name="site")
    target = Target(f"{NETWORK}.12", login)
    logins = Logins((login,), target.address, waited=60.0)
    async with serving(target.address, 4028, cgminer(antminer())):
        with using(logins):
            reading = await reader.read(target, S19)
    assert reading.hashrate == pytest.approx(99.3015e12)


@pytest.mark.parametrize(("answer", "accepted"), [({"jwt": "e.y.J"}, True), ({"success": False}, False)])
async def test_a_login_on_a_page_counts_like_one_in_a_header(
    answer: Mapping[str, Any], accepted: bool, reader: PyasicReader
) -> None:
    address, posts = f"{NETWORK}.13", []
    innosilicon = RigIdentity(reader="pyasic:INNOSILICON:T3H+:", make="Innosilicon", model="T3H+")

    async def handle(stream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await stream.readuntil(b"\r\n\r\n")).decode().split(" ")[1]
        posts.append(path)
        body = json.dumps(answer if path == "/api/auth" else {}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body))
        await writer.drain()

    logins = Logins((Credentials("admin", "secret", name="site"),), address)
    async with serving(address, 80, handle):
        with using(logins), pytest.raises(Failure) as failure:
            await reader.read(Target(address, logins.current), innosilicon)
    assert (failure.value.reason is Reason.AUTH, logins.accepted == "site") == (not accepted, accepted)
    assert accepted or posts == ["/api/auth"], "only one, although every value needs it"


async def test_nothing_known_is_unsupported(reader: PyasicReader) -> None:
    async with serving(f"{NETWORK}.6", 4028, cgminer({})):
        with pytest.raises(Failure) as failure:
            await reader.identify(Target(f"{NETWORK}.6"))
    assert failure.value.reason is Reason.UNSUPPORTED


async def test_the_worker_is_confined(reader: PyasicReader) -> None:
    async with serving(f"{NETWORK}.7", 4028, cgminer(antminer())):
        await reader.read(Target(f"{NETWORK}.7"), S19)
    limits = Path(f"/proc/{reader.pids[0]}/limits").read_text()  # noqa: ASYNC240
    assert "Max address space         1500000000" in limits
    assert "Max open files            1024" in limits
    assert reader.pids[0] != os.getpid()


def worker_answer(**changes: Any) -> Mapping[str, Any]:
    """What a worker passes on of a good rig."""
    whole: dict[str, Any] = dict.fromkeys(
        ("mac", "expected_hashrate", "power", "power_limit", "uptime", "ambient", "fans_expected", "power_supply_fan"),
    )
    whole |= {"fault_light": None, "login_refused": None}
    whole |= {"hashrate": 100e12, "fans": [], "boards": [], "pools": [], "errors": []}
    return whole | changes


async def test_power_of_zero_and_nonsense_is_unknown() -> None:
    assert translate(worker_answer(power=0), "AntMiner").power is None
    assert translate(worker_answer(power=4e9), "AntMiner").power is None
    assert translate(worker_answer(power=3250), "AntMiner").power == 3250


async def test_a_stopped_rig_reads_zero() -> None:
    reading = translate(worker_answer(hashrate=0.0), "AntMiner")
    assert (reading.hashrate, reading.mining) == (0.0, False)


async def test_vendor_codes_are_kept() -> None:
    faults = translate(worker_answer(errors=[["0", "fan lost"], ["7", ""]]), "AntMiner").faults
    assert [(fault.code, fault.vendor_code) for fault in faults] == [("fan_failed", "fan lost"), ("unknown", "7")]


async def test_whatsminer_codes_are_translated() -> None:
    (fault,) = translate(worker_answer(errors=[["218", "Power input voltage is lower"]]), "WhatsMiner").faults
    assert (fault.code, fault.component, fault.vendor_code) == ("psu_input_voltage", "psu", "218")


def board(index: int, **changes: Any) -> Mapping[str, Any]:
    """What a worker passes on of a board without values."""
    whole: dict[str, Any] = dict.fromkeys(
        ("hashrate", "temperature", "chip_temperature", "chips", "chips_expected", "voltage", "inlet", "outlet")
    )
    return whole | {"index": index} | changes


async def test_the_hottest_water_and_the_voltage_of_boards_are_read() -> None:
    boards = [board(0, inlet=36, outlet=51, voltage=14.2), board(1, inlet=37, outlet=49), board(2)]
    reading = translate(worker_answer(ambient=24.5, boards=boards), "AntMiner")
    assert reading.temperatures == (("ambient", 24.5), ("inlet", 37), ("outlet", 51))
    assert [one.voltage for one in reading.boards] == [14.2, None, None]


async def test_a_power_supply_whose_fan_is_not_measured_is_none() -> None:
    assert [translate(worker_answer(power_supply_fan=rpm), "WhatsMiner").power_supply for rpm in (None, 0, -1)] == [
        None
    ] * 3
    assert translate(worker_answer(power_supply_fan=6_344), "WhatsMiner").power_supply == PowerSupply(fan_rpm=6_344)


async def test_boards_and_chips_of_old_antminers_are_not_swapped_as_pyasic_has_them(reader: PyasicReader) -> None:
    """Bitmain's keys are the boards' sensor in ``tempN`` and the chips' in ``temp2_N``: pyasic has it the wrong way."""
    target = Target(f"{NETWORK}.22")
    answers = antminer(**{f"temp{slot}": 61 for slot in (1, 2, 3)}, **{f"temp2_{slot}": 78 for slot in (1, 2, 3)})
    for row in (answers["version"]["VERSION"][0], answers["stats"]["STATS"][0]):
        row["Type"] = "Antminer S9"
    async with serving(target.address, 4028, cgminer(answers)):
        identity = await reader.identify(target)
        reading = await reader.read(target, identity)
    assert identity.model == "S9"
    assert {(board.temperature, board.chip_temperature) for board in reading.boards} == {(61, 78)}


@pytest.mark.parametrize(
    ("make", "named", "model"),
    [
        ("AntMiner", "ANTMINER E3", "E3"),
        ("AntMiner", "S19j Pro", "S19j Pro"),
        ("AvalonMiner", "AVALONMINER 746", "Avalon 746"),
        ("AvalonMiner", "Avalon 741", "Avalon 741"),
        ("Innosilicon", "T3H+", "T3H+"),
    ],
)
async def test_a_model_is_called_as_the_native_readers_call_it(make: str, named: str, model: str) -> None:
    assert pyasic_reader._model(make, named) == model
