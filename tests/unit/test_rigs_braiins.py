"""What the two readers of Braiins OS+ do beyond the plain read that the contract suite holds them to."""

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from rig_servers import NETWORK, Handler, cgminer, serving

from exporter.model.failures import Failure, Reason
from exporter.model.fleet import Credentials
from exporter.model.readings import RigIdentity, RigReading, TunerState
from exporter.sources.rigs.contract import Target
from exporter.sources.rigs.firmware import braiins, braiins_rest
from exporter.sources.rigs.reader import Miners
from exporter.tools.probe import as_text, probe

FIXTURES = Path(__file__).parent.parent / "fixtures" / "rigs"
TARGET = Target(f"{NETWORK}.61", Credentials("root", "s3cret"))
LOGIN = "/api/v1/auth/login"
PAGE = "<html><head><title>Braiins OS</title></head></html>"
S9 = RigIdentity(reader="braiins", make="AntMiner", model="S9")


class Rest:
    """A rig that serves the REST API to who shows its token, and notes what it was asked."""

    def __init__(self, pages: dict[str, Any] | None = None) -> None:
        self.pages = pages or json.loads((FIXTURES / "braiins_rest.json").read_text())["http"]["80"]
        self.token = "first"
        self.asked: list[str] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, _, body = (await reader.read(4096)).decode().partition("\r\n\r\n")
        path = head.split(" ")[1]
        self.asked.append(path)
        status, page = self.answer(path, head, body)
        content = page.encode() if isinstance(page, str) else json.dumps(page).encode()
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content)
        await writer.drain()

    def answer(self, path: str, head: str, body: str) -> tuple[int, Any]:
        if path == LOGIN:
            known = json.loads(body) == {"username": "root", "password": "s3cret"}
            return (200, {"token": self.token, "timeout_s": 3600}) if known else (401, None)
        if path not in self.pages:
            return 404, None
        if path != "/api/v1/version/" and f"Authorization: {self.token}\r\n" not in head:
            return 401, None
        return 200, self.pages[path]

    @property
    def logins(self) -> int:
        return self.asked.count(LOGIN)


async def test_a_session_is_kept_until_the_rig_refuses_its_token() -> None:
    rig, reader = Rest(), braiins_rest.Reader()
    async with serving(TARGET.address, 80, rig):
        identity = await reader.identify(TARGET)
        first = await reader.read(TARGET, identity)
        assert rig.logins == 1
        rig.token = "second"
        assert await reader.read(TARGET, identity) == first
        assert await reader.read(TARGET, identity) == first
        assert rig.logins == 2


class GraphqlOnly(Rest):
    """A build that serves its own pages and no REST API: ``missing`` is what it answers for all other paths."""

    def __init__(self, missing: tuple[int, str]) -> None:
        super().__init__({"/": PAGE})
        self.missing = missing

    def answer(self, path: str, head: str, body: str) -> tuple[int, Any]:  # noqa: ARG002 - it needs no login
        return (200, self.pages[path]) if path in self.pages else self.missing


@pytest.mark.parametrize("missing", [(404, ""), (200, PAGE)], ids=["no such page", "the same page for every path"])
async def test_a_build_with_graphql_only_is_unsupported_and_the_reason_says_why(missing: tuple[int, str]) -> None:
    async with serving(TARGET.address, 80, GraphqlOnly(missing)), Miners() as miners:
        with pytest.raises(Failure) as failure:
            await miners.identify(TARGET)
    assert failure.value.reason is Reason.UNSUPPORTED
    assert "no reader knows GraphQL or gRPC" in failure.value.detail


async def test_a_build_whose_rest_api_is_not_up_yet_is_not_ready() -> None:
    async with serving(TARGET.address, 80, GraphqlOnly((502, ""))), Miners() as miners:
        with pytest.raises(Failure) as failure:
            await miners.identify(TARGET)
    assert failure.value.reason is Reason.NOT_READY


async def test_a_build_that_refuses_the_address_on_port_4028_names_that_reason() -> None:
    denied = {"version": {"STATUS": [{"STATUS": "E", "Code": 45, "Msg": "Access denied"}], "id": 1}}
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serving(TARGET.address, 80, GraphqlOnly((404, ""))))
        await stack.enter_async_context(serving(TARGET.address, 4028, cgminer(denied)))
        miners = await stack.enter_async_context(Miners())
        with pytest.raises(Failure) as failure:
            await miners.identify(TARGET)
    assert failure.value.reason is Reason.AUTH


async def test_another_login_gets_a_session_of_its_own() -> None:
    rig, reader = Rest(), braiins_rest.Reader()
    async with serving(TARGET.address, 80, rig):
        identity = await reader.identify(TARGET)
        with pytest.raises(Failure) as failure:
            await reader.read(Target(TARGET.address, Credentials("root", "wrong")), identity)
    assert failure.value.reason is Reason.AUTH
    assert "wrong" not in str(failure.value)


async def test_a_refused_login_is_the_reason_that_a_rig_is_not_identified() -> None:
    async with serving(TARGET.address, 80, Rest()), Miners() as miners:
        with pytest.raises(Failure) as failure:
            await miners.identify(Target(TARGET.address))
    assert failure.value.reason is Reason.AUTH


async def test_a_probe_shows_that_it_logged_in_and_not_how() -> None:
    async with serving(TARGET.address, 80, Rest()):
        text = as_text(await probe(TARGET, deadline=5.0), raw=True)
    assert f"POST {LOGIN} HTTP/1.1" in text
    assert "timeout_s" in text
    assert "s3cret" not in text
    assert '"first"' not in text


async def test_what_only_has_a_version_there_is_no_braiins() -> None:
    rig = Rest({"/api/v1/version/": {"major": 1, "minor": 0, "patch": 0}, "/api/v1/miner/details": {"model": "other"}})
    async with serving(TARGET.address, 80, rig):
        with pytest.raises(Failure) as failure:
            await braiins_rest.Reader().identify(TARGET)
    assert failure.value.reason is Reason.UNSUPPORTED


async def test_a_paused_rig_reads_zero_though_its_figures_are_gone() -> None:
    rig = Rest()
    rig.pages["/api/v1/miner/details"]["status"] = 3
    for page in ("miner/stats", "miner/hw/hashboards", "cooling/state", "performance/tuner-state"):
        del rig.pages[f"/api/v1/{page}"]
    async with serving(TARGET.address, 80, rig):
        reader = braiins_rest.Reader()
        reading = await reader.read(TARGET, await reader.identify(TARGET))
    assert (reading.hashrate, reading.mining, reading.suspended) == (0.0, False, True)
    assert (reading.power, reading.tuner, reading.boards) == (None, None, ())
    assert [pool.up for pool in reading.pools] == [True, False]


async def test_a_rig_that_should_mine_and_reports_no_hashrate_has_failed() -> None:
    rig = Rest()
    del rig.pages["/api/v1/miner/stats"]
    async with serving(TARGET.address, 80, rig):
        reader = braiins_rest.Reader()
        with pytest.raises(Failure) as failure:
            await reader.read(TARGET, await reader.identify(TARGET))
    assert failure.value.reason is Reason.GARBLED


@pytest.mark.parametrize(
    ("number", "state", "faults"),
    [(1, TunerState.OFF, []), (3, TunerState.TUNING, []), (4, TunerState.FAILED, ["tuning_failed"]), (9, None, [])],
)
async def test_the_tuners_state_is_reported_where_its_number_is_known(
    number: int, state: TunerState | None, faults: list[str]
) -> None:
    rig = Rest()
    rig.pages["/api/v1/performance/tuner-state"] = {"overall_tuner_state": number, "mode_state": None}
    rig.pages["/api/v1/miner/hw/hashboards"]["hashboards"].pop()
    async with serving(TARGET.address, 80, rig):
        reader = braiins_rest.Reader()
        reading = await reader.read(TARGET, await reader.identify(TARGET))
    assert (reading.tuner, reading.power_mode, reading.power_target) == (state, "", None)
    assert [fault.code for fault in reading.faults] == faults


async def test_a_rig_whose_cgminer_api_knows_no_model_is_read_over_rest() -> None:
    version = {"version": {"VERSION": [{"API": "3.7", "BOSer": "boser-buildroot 0.1.0"}]}}
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serving(TARGET.address, 4028, cgminer(version)))
        await stack.enter_async_context(serving(TARGET.address, 80, Rest()))
        miners = await stack.enter_async_context(Miners())
        identity = await miners.identify(TARGET)
    assert (identity.reader, identity.mac) == ("braiins_rest", "90:34:86:01:02:03")


@pytest.mark.parametrize(
    ("login", "mac", "boards"),
    [(TARGET.credentials, "90:34:86:01:02:03", 2), (Credentials("root", "wrong"), "", 0), (None, "", 0)],
)
async def test_what_only_rest_knows_of_a_rig_is_asked_there_where_the_login_is_right(
    login: Credentials | None, mac: str, boards: int
) -> None:
    answers = {
        "version": {"VERSION": [{"API": "3.7", "BOSer": "boser-buildroot 0.1.0"}]},
        "devdetails": {"DEVDETAILS": [{"ID": 1, "Model": "Antminer S19 XP"}]},
    }
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serving(TARGET.address, 4028, cgminer(answers)))
        await stack.enter_async_context(serving(TARGET.address, 80, Rest()))
        miners = await stack.enter_async_context(Miners())
        identity = await miners.identify(Target(TARGET.address, login))
    assert (identity.reader, identity.make, identity.model) == ("braiins", "AntMiner", "S19 XP")
    assert (identity.api_version, identity.mac, len(identity.board_serials)) == ("3.7", mac, boards)


# --- cgminer's API --------------------------------------------------------------------------------------------------


def rows(name: str, content: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name.upper(): content}]


def bosminer(chains: list[dict[str, Any]], *, rate: float = 13e6, scaling: Any = "Disabled", fans: Any = ()) -> Handler:
    """An S9, with its boards in slots 6 and 7, that answers all joined."""
    tuner = {"PowerLimit": 1420, "DynamicPowerScaling": scaling, "TunerChainStatus": chains}
    answers: dict[str, Any] = {
        "summary": rows("summary", [{"MHS 5s": rate, "Elapsed": 90, "Best Share": "1.5M"}]),
        "devs": rows("devs", [{"ID": slot, "MHS 5s": rate / 2, "Nominal MHS": 7e6} for slot in (6, 7)]),
        "devdetails": rows(
            "devdetails",
            [
                {"ID": 6, "Model": "Bitmain Antminer S9", "Frequency": 799_682_118, "Voltage": 8.4168, "Chips": 63},
                {"ID": 7, "Model": "Bitmain Antminer S9", "Frequency": 573, "Voltage": 0, "Chips": 63},
            ],
        ),
        "tunerstatus": rows("tunerstatus", [tuner]),
        "fans": rows("fans", list(fans)),
    }
    return cgminer({"summary+devs+devdetails+temps+fans+tunerstatus+pools": answers})


async def s9_reading(handler: Handler) -> RigReading:
    async with serving(TARGET.address, 4028, handler):
        return await braiins.Reader().read(TARGET, S9)


def chain(slot: int, status: str) -> dict[str, Any]:
    return {"HashchainIndex": slot, "Status": status, "ApproximatePowerConsumptionWatt": 448}


async def test_the_slots_and_clocks_of_an_s9_are_understood() -> None:
    reading = await s9_reading(bosminer([chain(6, "Stable"), chain(7, "Stable")]))
    assert [(board.index, board.frequency, board.voltage, board.power) for board in reading.boards] == [
        (0, pytest.approx(799.682118e6), 8.4168, 448.0),
        (1, 573e6, None, 448.0),
    ]
    assert (reading.hashrate_window, reading.best_share, reading.tuner) == (5.0, 1.5e6, TunerState.TUNED)


@pytest.mark.parametrize(
    ("statuses", "state", "faults"),
    [
        (("Stable", "Tuning individual chips"), TunerState.TUNING, []),
        (("Stable", 'Failed { reason: "no chips" }'), TunerState.FAILED, [("tuning_failed", "board 1")]),
        (("Paused", "Paused"), None, []),
        ((), None, []),
    ],
)
async def test_what_the_tuner_says_of_boards(
    statuses: tuple[str, ...], state: TunerState | None, faults: list[tuple[str, str]]
) -> None:
    reading = await s9_reading(bosminer([chain(slot, status) for slot, status in enumerate(statuses, 6)]))
    assert reading.tuner == state
    assert [(fault.code, fault.component) for fault in reading.faults] == faults


async def test_a_slot_without_a_fan_is_no_fan_at_rest() -> None:
    reading = await s9_reading(
        bosminer([], fans=[{"Speed": 80, "RPM": 4920}, {"Speed": 80, "RPM": 0}, {"Speed": 0, "RPM": 0}])
    )
    assert ([(fan.index, fan.rpm) for fan in reading.fans], reading.fan_duty) == ([(0, 4920), (1, 0)], 0.8)


async def test_a_tuner_that_scales_down_aims_lower_than_its_setting() -> None:
    scaled = await s9_reading(bosminer([], scaling={"ScaledPowerLimit": 1200}))
    whole = await s9_reading(bosminer([], scaling="InitialPowerLimit"))
    assert [(reading.power_target, reading.power_limit) for reading in (scaled, whole)] == [(1200, None), (1420, None)]


def over_rpc(**changes: Any) -> dict[str, Any]:
    """The answers of a rig over port 4028, some sections replaced."""
    answers: dict[str, Any] = json.loads((FIXTURES / "braiins.json").read_text())["rpc"]
    return answers | changes


def joining(answers: dict[str, Any], *, joins: bool = True) -> Handler:
    """A rig that answers joined commands, or refuses them."""
    refusal = {"STATUS": [{"STATUS": "E", "Code": 14, "Msg": "Invalid command"}]}

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        command = json.loads(await reader.read(4096))["command"]
        parts = command.split("+")
        alone = answers.get(command, refusal)
        whole = {part: [answers.get(part, refusal)] for part in parts} if joins else refusal
        writer.write(json.dumps(whole if len(parts) > 1 else alone).encode() + b"\0")
        await writer.drain()

    return handle


async def test_a_fan_keeps_its_own_number() -> None:
    rows = [{"ID": number, "RPM": 4_000 + number, "Speed": 60} for number in (2, 3)]
    reader = braiins.Reader()
    async with serving(TARGET.address, 4028, joining(over_rpc(fans={"FANS": rows}))):
        reading = await reader.read(TARGET, await reader.identify(TARGET))
    assert [(fan.index, fan.rpm) for fan in reading.fans] == [(2, 4_002), (3, 4_003)]


async def test_a_build_that_joins_no_commands_is_asked_one_by_one() -> None:
    reader = braiins.Reader()
    async with serving(TARGET.address, 4028, joining(over_rpc(), joins=False)) as connections:
        identity = await reader.identify(TARGET)
        reading = await reader.read(TARGET, identity)
        first = len(connections)
        await reader.read(TARGET, identity)
        again = len(connections) - first
    async with serving(TARGET.address, 4028, joining(over_rpc())):
        assert reading == await reader.read(TARGET, identity)
    assert again == len(braiins._READ)


@pytest.mark.parametrize(
    ("name", "make", "model"),
    [
        ("Braiins Mini Miner BMM 100", "Braiins", "BMM 100"),
        ("Antminer S19J Pro", "AntMiner", "S19j Pro"),
        ("ANTMINER S21 PRO", "AntMiner", "S21 Pro"),
        ("WhatsMiner M30S", "WhatsMiner", "M30S"),
    ],
)
async def test_the_make_is_the_one_that_the_name_has(name: str, make: str, model: str) -> None:
    details = {"DEVDETAILS": [{"ID": 1, "Model": name}]}
    reader = braiins.Reader()
    async with serving(TARGET.address, 4028, joining(over_rpc(devdetails=details))):
        identity = await reader.identify(TARGET)
        assert (identity.make, identity.model) == (make, model)
        await reader.read(TARGET, identity)
