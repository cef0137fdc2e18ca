"""What the reader of SealMiners does beyond the plain read that the contract suite holds it to."""

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from own_network import fresh_network
from rig_servers import NETWORK, Handler, cgminer, saying, serving

from exporter.model.failures import Failure, Reason
from exporter.model.fleet import Credentials
from exporter.model.readings import Pool, PowerSupply, RigReading, TunerState
from exporter.simulation.site import SimulatedSite
from exporter.sources.rigs.contract import Target
from exporter.sources.rigs.firmware import sealminer
from exporter.sources.rigs.reader import Miners
from exporter.tools.capture import capture

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


SYSTEM = {
    "brand": "Sealminer",
    "crtl_sn": "S127200252009999",
    "ctrl_version": "taurus_air_v1.1",
    "firmware_version": "2025060301",
    "led": "on",
    "macaddr": "50:d4:48:00:00:09",
    "miner_type": "A2",
    "psu_model": "boco_v2.0",
    "ratedHashrate": 0,
}
USED = {"id": 0, "url": "stratum+tcp://pool.example:3333", "user": "acme.s-1", "status": "Alive", "isActive": True}
USED |= {"diff": 65536, "accept": 700, "rejected": 2, "stale": 1, "diffA": 45_875_200.0, "diffR": 131_072.0}
UNUSED = dict.fromkeys(("url", "user", "status", "diff", "accept", "rejected", "stale", "diffA", "diffR"), "")
STATUS = {"summary": {"elapsed": 2400, "mhsav": "218700000.5", "rejected": ""}, "pools": [USED, {"id": 1, **UNUSED}]}
SUPPLY = {"Current": 205, "Online": 1, "Power": 3480, "StatusCode": "0x0000", "Temp": 27, "Voltage": 15.6}
FRONT = "<html><link href=/css/amazeui.min.css></html>"


class Web:
    """The web interface: a form to log in, a cookie, and the page with the form for whoever has none."""

    def __init__(self, password: str = "seal", **changes: dict[str, Any]) -> None:
        self.password, self.logins, self.cookie = password, 0, "PHPSESSID=first"
        pages = {"get_system_info": SYSTEM, "miner-status": STATUS, "miner-psu-status": SUPPLY}
        self.pages = {name: page | changes.get(name.replace("-", "_"), {}) for name, page in pages.items()}

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        name, more = head.split(" ")[1].removeprefix("/cgi-bin/").removesuffix(".php"), ""
        if name == "login":
            length = int(head.lower().partition("content-length: ")[2].split("\r\n")[0])
            form = dict(parse_qsl((await reader.readexactly(length)).decode()))
            self.logins += 1
            good = form == {"username": "seal", "origin_pwd": self.password}
            body, more = json.dumps({"state": 1 - good, "msg": ""}), f"Set-Cookie: {self.cookie}; path=/\r\n"
        elif name in self.pages and f"Cookie: {self.cookie}\r\n" in head:
            body = json.dumps(self.pages[name])
        else:
            body = FRONT
        writer.write(f"HTTP/1.1 200 OK\r\n{more}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        await writer.drain()


async def test_with_port_4028_closed_it_is_read_by_its_web_interface() -> None:
    web = Web()
    async with serving(TARGET.address, 80, web), Miners() as miners:
        identity = await miners.identify(TARGET)
        reading = await miners.read(TARGET, identity)
        web.cookie = "PHPSESSID=second"  # as after a restart of the rig
        again = await miners.read(TARGET, identity)
    assert (identity.reader, identity.make, identity.model) == ("sealminer", "SealMiner", "A2")
    assert (identity.mac, identity.serial) == ("50:d4:48:00:00:09", "S127200252009999")
    assert (identity.firmware_version, identity.control_board) == ("2025060301", "taurus_air_v1.1")
    assert reading == RigReading(
        hashrate=218.7000005e12,
        hashrate_window=2400.0,
        average_hashrate=218.7000005e12,
        power=3480.0,
        power_supply=PowerSupply(input_power=3480.0, output_voltage=15.6, output_current=205.0, temperature=27.0),
        mining=True,
        fault_light=True,
        uptime=2400.0,
        accepted_difficulty=45_875_200.0,
        rejected_difficulty=131_072.0,
        pools=(
            Pool(
                index=0,
                host="pool.example:3333",
                scheme="stratum+tcp",
                worker="acme.s-1",
                up=True,
                active=True,
                difficulty=65536.0,
                accepted=700.0,
                rejected=2.0,
                stale=1.0,
            ),
        ),
    )
    assert again == reading
    assert web.logins == 2


async def read_by_web(web: Handler, target: Target = TARGET) -> RigReading:
    async with serving(target.address, 80, web):
        reader = sealminer.Reader()
        return await reader.read(target, await reader.identify(target))


async def test_a_rig_that_draws_next_to_nothing_does_not_hash_whatever_its_average_is() -> None:
    reading = await read_by_web(Web(miner_psu_status={"Power": 41}))
    assert (reading.hashrate, reading.mining, reading.hashrate_window) == (0.0, False, None)


async def test_the_power_supply_s_state_is_a_fault() -> None:
    reading = await read_by_web(Web(miner_psu_status={"StatusCode": "0x0040"}))
    assert [(fault.code, fault.component, fault.vendor_code) for fault in reading.faults] == [
        ("psu_output", "psu", "0x0040")
    ]


@pytest.mark.parametrize(
    ("web", "reason"),
    [
        (Web(password="changed"), Reason.AUTH),
        (Web(miner_psu_status={"Power": ""}), Reason.GARBLED),
        (Web(miner_status={"summary": {"mhsav": ""}}), Reason.GARBLED),
        (Web(get_system_info={"brand": "Acme"}), Reason.UNSUPPORTED),
        (saying(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"), Reason.GARBLED),
    ],
    ids=["another password", "no power", "no hashrate", "another device", "no such page"],
)
async def test_the_web_interface_says_why_it_cannot_be_read(web: Handler, reason: Reason) -> None:
    with pytest.raises(Failure) as failure:
        await read_by_web(web)
    assert failure.value.reason is reason


async def test_with_both_ports_closed_it_is_refused() -> None:
    with pytest.raises(Failure) as failure:
        await sealminer.Reader().identify(TARGET)
    assert failure.value.reason is Reason.REFUSED


async def test_the_inventory_s_login_is_used() -> None:
    reading = await read_by_web(Web(password="mine"), Target(TARGET.address, Credentials("seal", "mine")))
    assert reading.hashrate > 0


async def test_a_capture_logs_in_by_the_web_interface_where_port_4028_is_closed() -> None:
    async with serving(TARGET.address, 80, Web()):
        _, fixture = await capture(TARGET, lambda: None)
    assert fixture["reader"] == "sealminer"
    assert fixture["http"]["80"]["/cgi-bin/miner-psu-status.php"]["Power"] == 3480


async def test_the_simulated_rig_has_both_doors_and_says_the_same_on_each(monkeypatch: pytest.MonkeyPatch) -> None:
    site = SimulatedSite(models=["SealMiner A2"], network=fresh_network(), troubles=False, control_port=0)
    async with site, Miners() as miners:
        (machine,) = site.machines.values()
        target = Target(machine.address)
        identity = await miners.identify(target)
        whole = await miners.read(target, identity)
        monkeypatch.setattr(sealminer, "rpc", refused)
        less = await miners.read(target, identity)
    assert (less.power, less.mining, less.uptime) == (
        pytest.approx(whole.power, rel=0.05),
        True,
        pytest.approx(whole.uptime, abs=60),
    )
    assert less.hashrate == pytest.approx(whole.average_hashrate, rel=0.05)
    assert [pool.host for pool in less.pools] == [pool.host for pool in whole.pools]


async def refused(*_: object) -> Any:
    raise Failure(Reason.REFUSED, "connection refused")
