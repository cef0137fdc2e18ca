"""What the reader of Auradines does beyond the plain read that the contract suite holds it to."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rig_servers import NETWORK, Handler, cgminer, serving

from exporter.model.failures import Failure, Reason
from exporter.model.fleet import Credentials
from exporter.model.readings import RigIdentity, RigReading
from exporter.sources.rigs.contract import Target
from exporter.sources.rigs.firmware import auradine

FIXTURE = json.loads((Path(__file__).parent.parent / "fixtures" / "rigs" / "auradine.json").read_text())
TARGET = Target(f"{NETWORK}.72")


def answers(**changes: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give what ports 4028 and 8080 answer; the first row of the named command is changed."""
    rpc, pages = json.loads(json.dumps((FIXTURE["rpc"], FIXTURE["http"]["8080"])))
    for command, change in changes.items():
        answer = rpc[command] if command in rpc else pages[f"/{command}"]
        rows = next(value for name, value in answer.items() if name not in {"STATUS", "id"})
        rows[0] |= change
    return rpc, {**pages, **{f"/{command}": answer for command, answer in rpc.items()}}


class Web:
    """The API on port 8080; ``logins`` counts the logins."""

    def __init__(self, pages: Mapping[str, Any], password: str = "admin") -> None:
        self.pages = pages
        self.password = password
        self.logins = 0
        self.token = "first"

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split(" ")[1]
        if path == "/token":
            length = int(head.lower().partition("content-length: ")[2].split("\r\n")[0])
            self.logins += 1
            good = json.loads(await reader.readexactly(length))["password"] == self.password
            page: Any = {"Token": [{"Token": self.token}]} if good else rejected("UNAUTHORIZED")
        else:
            known = f"Token: {self.token}\r\n" in head
            page = self.pages.get(path) if known else rejected("token expired")
        body = json.dumps(page)
        writer.write(f"HTTP/1.1 {200 if page else 404} X\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        await writer.drain()


def rejected(message: str) -> dict[str, Any]:
    return {"STATUS": [{"STATUS": "E", "Msg": message}], "id": 1}


async def identified(
    rpc: Handler | None, web: Handler | None, target: Target = TARGET, reads: int = 1
) -> tuple[RigIdentity, RigReading]:
    reader = auradine.Reader()
    async with AsyncExitStack() as stack:
        for port, handler in ((4028, rpc), (8080, web)):
            if handler is not None:
                await stack.enter_async_context(serving(target.address, port, handler))
        identity = await reader.identify(target)
        for _ in range(reads):
            reading = await reader.read(target, identity)
    return identity, reading


async def read(**changes: Mapping[str, Any]) -> RigReading:
    rpc, pages = answers(**changes)
    return (await identified(cgminer(rpc), Web(pages)))[1]


@pytest.mark.parametrize(
    ("changes", "faults"),
    [
        ({}, set()),
        ({"led": {"Code": 3, "Msg": "Locate"}}, set()),
        ({"led": {"Code": 102, "Msg": "mine"}}, set()),
        ({"led": {"Code": 4, "Msg": "Temperature"}}, {("board_temperature", "", "Temperature")}),
        ({"led": {"Code": 7}}, {("control_board", "", "Normal")}),
        ({"mode": {"leakDetected": "on"}}, {("coolant", "", "leakDetected")}),
        ({"fan": {"Speed": 0}}, {("fan_failed", "fan 1", "")}),
        ({"devs": {"Status": "Dead"}}, {("board_hashrate", "board 0", "Dead")}),
        ({"devs": {"Enabled": False}}, {("board_hashrate", "board 0", "disabled")}),
    ],
)
async def test_faults(changes: dict[str, Mapping[str, Any]], faults: set[tuple[str, str, str]]) -> None:
    reading = await read(**changes)
    assert {(fault.code, fault.component, fault.vendor_code) for fault in reading.faults} == faults


async def test_the_locate_light() -> None:
    assert (await read(led={"Code": 3})).fault_light is True
    assert (await read(led={"Code": 2})).fault_light is False
    assert (await read(led={"Code": "?"})).fault_light is None


async def test_a_board_that_is_no_longer_listed_is_missing() -> None:
    rpc, pages = answers()
    rpc["devs"]["DEVS"].pop(1)
    _, reading = await identified(cgminer(rpc), Web(pages))
    assert [(fault.code, fault.component) for fault in reading.faults] == [("board_missing", "board 1")]
    assert [board.index for board in reading.boards] == [0, 2]


@pytest.mark.parametrize(
    ("mode", "target"),
    [
        ({"Tune": "power", "Mode": "normal"}, 4100.0),
        ({"Tune": "ths", "Mode": "custom"}, None),
        ({"Tune": None, "Mode": "custom"}, None),
        ({"Power": 0}, None),
    ],
)
async def test_a_power_is_a_target_only_while_it_is_aimed_at(mode: Mapping[str, Any], target: float | None) -> None:
    assert (await read(mode=mode)).power_target == target


async def test_without_wattage_the_power_is_that_of_the_power_supply() -> None:
    rpc, pages = answers()
    del rpc["summary"]["SUMMARY"][0]["Wattage"]
    _, reading = await identified(cgminer(rpc), Web(pages))
    assert reading.power == 4085.12


async def test_a_list_that_is_shorter_than_the_board_says_nothing_of_its_chips() -> None:
    rpc, pages = answers(asccount={"AsicCount": 414})
    _, reading = await identified(cgminer(rpc), Web(pages))
    assert [(board.chips, board.chips_expected) for board in reading.boards] == [(None, 138)] * 3


async def test_a_sleeping_rig_is_suspended() -> None:
    rpc, pages = answers(mode={"Sleep": "on"}, summary={"MHS 1m": 0})
    _, reading = await identified(cgminer(rpc), Web(pages))
    assert (reading.mining, reading.suspended) == (False, True)


async def test_a_wrong_password_costs_what_only_the_web_has_and_is_sent_once() -> None:
    rpc, pages = answers()
    web = Web(pages, password="changed")
    identity, reading = await identified(cgminer(rpc), web, reads=3)
    assert (identity.model, identity.mac, reading.login_refused) == ("AT2880", "", True)
    assert (reading.hashrate, reading.power, reading.fans) == (pytest.approx(256.41e12, rel=1e-4), 4085.0, ())
    assert [board.temperature for board in reading.boards] == [51.2, 52.6, 50.9]
    assert web.logins == 1


async def test_other_credentials_are_sent() -> None:
    rpc, pages = answers()
    target = Target(TARGET.address, Credentials("admin", "changed"))
    web = Web(pages, password="changed")
    identity, reading = await identified(cgminer(rpc), web, target)
    assert (identity.mac, reading.login_refused, web.logins) == ("1c:00:00:00:00:2f", False, 1)


async def test_a_token_that_expired_is_replaced() -> None:
    rpc, pages = answers()
    reader, web = auradine.Reader(), Web(pages)
    async with serving(TARGET.address, 4028, cgminer(rpc)), serving(TARGET.address, 8080, web):
        identity = await reader.identify(TARGET)
        web.token = "second"
        reading = await reader.read(TARGET, identity)
    assert (len(reading.fans), web.logins) == (4, 2)


async def test_with_its_api_port_closed_all_is_read_on_the_other() -> None:
    rpc, pages = answers()
    both = await identified(cgminer(rpc), Web(pages))
    assert await identified(None, Web(pages)) == both


@pytest.mark.parametrize("lacking", ["/summary", "/devs", "/pools"])
async def test_what_its_web_interface_lacks_is_asked_on_the_api_port(lacking: str) -> None:
    rpc, pages = answers()
    all_there = await identified(cgminer(rpc), Web(pages))
    del pages[lacking]
    assert await identified(cgminer(rpc), Web(pages)) == all_there


@pytest.mark.parametrize(("password", "reason"), [("changed", Reason.AUTH), (None, Reason.REFUSED)])
async def test_with_its_api_port_closed_the_reason_is_that_of_the_other(password: str | None, reason: Reason) -> None:
    _, pages = answers()
    with pytest.raises(Failure) as failure:
        await identified(None, None if password is None else Web(pages, password))
    assert failure.value.reason is reason


async def test_what_changes_seldom_is_asked_every_minute_and_when_it_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    rpc, pages = answers()
    reader, now = auradine.Reader(), 1_000.0
    monkeypatch.setattr("exporter.sources.rigs.seldom.time", SimpleNamespace(monotonic=lambda: now))
    async with serving(TARGET.address, 4028, cgminer(rpc)), serving(TARGET.address, 8080, Web(pages)):
        identity = await reader.identify(TARGET)

        async def mode(name: str) -> str:
            pages["/mode"]["Mode"][0]["Mode"] = name
            return (await reader.read(TARGET, identity)).power_mode

        assert await mode("eco") == "eco"
        assert await mode("turbo") == "eco"
        now += auradine.SELDOM_SECONDS
        assert await mode("turbo") == "turbo"
        rpc["summary"]["SUMMARY"][0]["MHS 1m"] = 0.0
        assert await mode("eco") == "eco"


async def test_the_clocks_of_chips_are_asked_every_five_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    rpc, pages = answers()
    reader, now = auradine.Reader(), 1_000.0
    monkeypatch.setattr("exporter.sources.rigs.seldom.time", SimpleNamespace(monotonic=lambda: now))
    async with serving(TARGET.address, 4028, cgminer(rpc)), serving(TARGET.address, 8080, Web(pages)):
        identity = await reader.identify(TARGET)

        async def known() -> int:
            reading = await reader.read(TARGET, identity)
            assert reading.power_mode
            return sum(board.frequency is not None for board in reading.boards)

        assert await known() == 3
        pages["/frequency"] = pages["/frequency"] | {"Frequency": []}
        now += auradine.CHIPS_SECONDS - 1
        assert await known() == 3
        now += 1
        assert await known() == 0


async def test_pages_that_came_before_a_login_was_rejected_are_not_kept() -> None:
    rpc, pages = answers()
    reader, web = auradine.Reader(), Web(pages)
    async with serving(TARGET.address, 4028, cgminer(rpc)), serving(TARGET.address, 8080, web):
        identity = await reader.identify(TARGET)
        assert (await reader.read(TARGET, identity)).power_mode
        web.token, web.password = "second", "changed"
        reading = await reader.read(TARGET, identity)
    assert (reading.power_mode, reading.login_refused) == ("", True)
