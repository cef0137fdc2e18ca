"""What the reader of Proto Rigs does beyond the plain read that the contract suite holds it to."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme
from rig_servers import NETWORK

from exporter.model.failures import Failure, Reason
from exporter.model.fleet import Credentials
from exporter.model.readings import RigReading
from exporter.sources.rigs.contract import OtherRig, Target
from exporter.sources.rigs.firmware import proto
from exporter.sources.rigs.reader import Miners

FIXTURE = json.loads((Path(__file__).parent.parent / "fixtures" / "rigs" / "proto.json").read_text())
TARGET = Target(f"{NETWORK}.73", Credentials("admin", "example"))
Pages = dict[str, Any]
TELEMETRY = "/api/v1/telemetry?level=miner,hashboard,psu,asic"


def pages() -> Pages:
    content: Pages = json.loads(json.dumps(FIXTURE["http"]["80"]))
    return content


@asynccontextmanager
async def rig(
    content: Pages, *, tls: bool = False, refuse: tuple[int, str] | None = None, closes: bool = True
) -> AsyncIterator[list[asyncio.StreamWriter]]:
    """Serve pages, and give the connections made so far; those that need the login answer ``refuse`` if it is given."""
    connections: list[asyncio.StreamWriter] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        with suppress(asyncio.IncompleteReadError, asyncio.CancelledError):
            while not writer.is_closing():
                await answer(reader, writer)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split(" ")[1]
        open_to_all = path.rpartition("/")[2] in {"system", "network", "hardware", "login"}
        known = content.get(path)
        status, body = (204, "") if known == {} else (404, "") if known is None else (200, json.dumps(known))
        if not open_to_all and "Authorization: Bearer recorded\r\n" not in head:
            status, body = 401, "{}"
        elif not open_to_all and refuse:
            status, body = refuse
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        await writer.drain()
        if closes:
            writer.close()

    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert("rig.example").configure_cert(context)
    server = await asyncio.start_server(handle, TARGET.address, 443 if tls else 80, ssl=context)
    try:
        yield connections
    finally:
        server.close()


async def read(change: Callable[[Pages], object] = len, target: Target = TARGET) -> RigReading:
    content = pages()
    reader = proto.Reader()
    async with rig(content):
        identity = await reader.identify(target)
        change(content)
        return await reader.read(target, identity)


async def test_tls_with_the_rig_s_own_certificate_reads_the_same() -> None:
    reader = proto.Reader()
    async with rig(pages(), tls=True):
        identity = await reader.identify(TARGET)
        reading = await reader.read(TARGET, identity)
    assert reading == await read()


@pytest.mark.parametrize(("most", "used"), [(8, 1), (0, 3)])
async def test_all_pages_share_a_connection_and_all_reads_do_while_there_is_room(most: int, used: int) -> None:
    async with rig(pages(), tls=True, closes=False) as connections, Miners(most_kept=most) as miners:
        identity = await proto.Reader().identify(TARGET)
        before = len(connections)
        readings = [await miners.read(TARGET, identity) for _ in range(3)]
    assert len(connections) == before + used
    assert readings[0] == readings[-1]


async def test_a_rig_without_a_password_is_identified_and_says_what_it_needs() -> None:
    reader, target = proto.Reader(), Target(TARGET.address)
    async with rig(pages()):
        identity = await reader.identify(target)
        with pytest.raises(Failure) as failure:
            await reader.read(target, identity)
    assert (identity.model, identity.mac) == ("Rig", "02:00:ad:00:00:51")
    assert (failure.value.reason, "password" in failure.value.detail) == (Reason.AUTH, True)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (403, json.dumps({"error": {"code": "DEFAULT_PASSWORD_ACTIVE", "message": "no"}}), "factory password"),
        (403, "default password must be changed", "factory password"),
        (401, "{}", "401"),
    ],
)
async def test_the_reason_of_a_rejection(status: int, body: str, words: str) -> None:
    reader = proto.Reader()
    async with rig(pages(), refuse=(status, body)):
        identity = await reader.identify(TARGET)
        with pytest.raises(Failure) as failure:
            await reader.read(TARGET, identity)
    assert failure.value.reason is Reason.AUTH
    assert words in failure.value.detail


async def test_a_rig_that_has_no_statistics_yet_is_not_ready() -> None:
    with pytest.raises(Failure) as failure:
        await read(lambda content: content.update({"/api/v1/mining": {}, TELEMETRY: {}}))
    assert failure.value.reason is Reason.NOT_READY


@pytest.mark.parametrize(
    ("status", "suspended"), [("Curtailed", True), ("Stopped", True), ("Error", None), ("NoPools", None)]
)
async def test_a_rig_that_is_stopped_hashes_nothing(status: str, suspended: bool | None) -> None:
    def stop(content: Pages) -> None:
        content["/api/v1/mining"]["mining-status"]["status"] = status
        content[TELEMETRY] = {}

    reading = await read(stop)
    assert (reading.hashrate, reading.mining, reading.suspended) == (0.0, False, suspended)


@pytest.mark.parametrize("shows", ["status", "power_target_watts", "ideal_hashrate_ghs", ""])
async def test_its_target_is_asked_again_when_it_may_be_another_one(shows: str) -> None:
    content, reader = pages(), proto.Reader()
    async with rig(content):
        identity = await reader.identify(TARGET)
        first = await reader.read(TARGET, identity)
        content["/api/v1/mining/target"] |= {"performance_mode": "Other"}
        if shows:
            content["/api/v1/mining"]["mining-status"] |= {shows: "Error" if shows == "status" else 140_000}
        again = await reader.read(TARGET, identity)
        identity = await reader.identify(TARGET)
        identified = await reader.read(TARGET, identity)
    assert first.power_mode not in {"", "Other"}
    assert again.power_mode == ("Other" if shows else first.power_mode)
    assert identified.power_mode == "Other"


async def test_in_immersion_no_fan_fails() -> None:
    def immerse(content: Pages) -> None:
        cooling = content["/api/v1/cooling"]["cooling-status"]
        cooling["fan_mode"] = "Off"
        cooling["fans"][0]["rpm"] = 0
        content["/api/v1/errors"] = {"errors": []}

    reading = await read(immerse)
    assert reading.fan_duty is None
    assert {fault.code for fault in reading.faults} == {"board_chips"}


async def test_a_board_that_was_pulled_is_missing() -> None:
    def pull(content: Pages) -> None:
        content["/api/v1/hardware"]["hardware-info"]["hashboards-info"].pop(1)
        content[TELEMETRY]["hashboards"].pop(1)
        content["/api/v1/errors"] = []

    reading = await read(pull)
    assert [board.index for board in reading.boards] == [0, 3]
    assert [fault.component for fault in reading.faults if fault.code == "board_missing"] == ["board 2"]


async def test_a_power_supply_that_reports_nothing_costs_the_power() -> None:
    def lose(content: Pages) -> None:
        content[TELEMETRY]["psus"][1]["power"] = None

    assert (await read(lose)).power is None
    assert (await read(lambda content: content[TELEMETRY].pop("psus"))).power == 5716.5


async def test_an_error_that_is_not_listed_is_unknown() -> None:
    error = {"source": "psu", "slot": 2, "error_code": "PsuOnFire", "timestamp": 1, "message": ""}
    reading = await read(lambda content: content.update({"/api/v1/errors": {"errors": [error]}}))
    assert ("unknown", "psu", "PsuOnFire") in {(one.code, one.component, one.vendor_code) for one in reading.faults}


async def test_another_control_board_is_another_rig() -> None:
    def swap(content: Pages) -> None:
        content["/api/v1/hardware"]["hardware-info"]["cb-info"]["serial_number"] = "CB2"

    with pytest.raises(OtherRig):
        await read(swap)


async def test_the_slots_of_the_boards_are_asked_every_five_minutes_and_when_other_boards_are_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content, reader, now = pages(), proto.Reader(), 1_000.0
    monkeypatch.setattr("exporter.sources.rigs.seldom.time", SimpleNamespace(monotonic=lambda: now))
    listed = content["/api/v1/hardware"]["hardware-info"]["hashboards-info"]
    async with rig(content):
        identity = await reader.identify(TARGET)
        first = await reader.read(TARGET, identity)
        listed[0]["mining_asic_count"] += 1
        assert (await reader.read(TARGET, identity)).boards == first.boards
        now += proto.HARDWARE_SECONDS
        assert (await reader.read(TARGET, identity)).boards[0].chips_expected == listed[0]["mining_asic_count"]
        listed[1]["slot"], listed[1]["hb_sn"] = 3, "another"
        content[TELEMETRY]["hashboards"][1]["serial_number"] = "another"
        assert (await reader.read(TARGET, identity)).boards[1].index == 2


async def test_other_boards_of_another_control_board_are_another_rig_at_once() -> None:
    content, reader = pages(), proto.Reader()
    async with rig(content):
        identity = await reader.identify(TARGET)
        await reader.read(TARGET, identity)
        content["/api/v1/hardware"]["hardware-info"]["cb-info"]["serial_number"] = "CB2"
        content[TELEMETRY]["hashboards"][0]["serial_number"] = "another"
        with pytest.raises(OtherRig):
            await reader.read(TARGET, identity)
