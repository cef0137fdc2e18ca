"""The simulated site as a whole: its plan, its configuration, its control API, and the process."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from child_process import child
from simulation_clients import Clock, address, free_network, rig, rpc, simulated

from exporter.settings.load import load
from exporter.simulation import firmware
from exporter.simulation.faults import Fault
from exporter.simulation.site import CONTROL_PORT, SimulatedSite
from exporter.simulation.wire import SimulationError, listen


def families(site: SimulatedSite) -> Counter[str]:
    return Counter(placement.family.name for placement in site.placements)


# --- plan ------------------------------------------------------------------------------------------------------------


def test_the_default_site_is_120_rigs_in_four_blocks() -> None:
    site = SimulatedSite(clock=Clock())
    assert site.blocks == ["container-1", "container-2", "container-3", "container-4"]
    assert families(site) == {"antminer": 72, "whatsminer": 30, "whatsminer_v3": 12, "bitaxe": 6}
    efficiency = {
        block: sorted(
            placement.model.watts / placement.model.terahash
            for placement in site.placements
            if placement.block == block
        )
        for block in site.blocks
    }
    assert efficiency["container-1"][0] >= 29
    assert efficiency["container-3"][-1] < 20
    assert len({placement.address for placement in site.placements}) == 120
    assert len({placement.name for placement in site.placements}) == 120


def test_a_large_site_keeps_the_mix() -> None:
    site = SimulatedSite(10_000, clock=Clock())
    assert len(site.blocks) == 40
    weights = {family.name: family.weight for family in firmware.families()}
    shares = {name: 10_000 * weight / sum(weights.values()) for name, weight in weights.items()}
    assert families(site) == pytest.approx(shares, rel=0.02, abs=1)
    assert len({placement.address for placement in site.placements}) == 10_000


def test_troubles_are_there_from_the_start_and_seeded() -> None:
    site = SimulatedSite(clock=Clock())
    for fault in (Fault.UNPLUGGED, Fault.HUNG, Fault.STOPPED, Fault.LYING, Fault.HOT):
        assert len(site.rigs_with(fault)) == 1
    flapping = [machine for machine in site.machines.values() if machine.board_flapping or machine.fan_flapping]
    assert len(flapping) == 6
    planned = site.planned_faults()
    assert planned["without power"] == site.rigs_with(Fault.UNPLUGGED)
    assert sum(map(len, planned.values())) == 5 + 6
    again = SimulatedSite(clock=Clock())
    assert again.rigs_with(Fault.LYING) == site.rigs_with(Fault.LYING)
    calm = SimulatedSite(clock=Clock(), troubles=False)
    assert calm.rigs_with(Fault.LYING) == []
    assert calm.planned_faults() == {}


def test_what_this_user_may_not_bind_is_left_out_and_said() -> None:
    site = SimulatedSite(clock=Clock(), lowest_port=1024)
    assert families(site)["bitaxe"] == 0
    assert len(site.placements) == 120
    assert all(80 not in placement.family.ports for placement in site.placements)
    (line,) = site.left_out
    assert "port 80 of " in line
    assert all(name in line for name in ("antminer", "bitaxe", "proto"))
    assert "sudo sysctl net.ipv4.ip_unprivileged_port_start=80" in line


async def test_one_address_holds_one_rig_per_port() -> None:
    network = free_network().replace(".0/23", ".1/32")
    async with SimulatedSite(clock=Clock(), network=network) as site:
        assert families(site) == {"antminer": 1, "whatsminer_v3": 1}
        assert {placement.address for placement in site.placements} == {network.removesuffix("/32")}
        assert site.left_out == ["118 rigs, because one address has each port only once"]
        assert "SUMMARY" in await rpc(address(site), "summary")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"network": "10.0.0.0/8"}, "not on loopback"),
        ({"network": "everywhere"}, "no network"),
        ({"network": "127.30.0.0/24"}, "too small"),
        ({"rigs": 0}, "at least one rig"),
        ({"slot_seconds": 0}, "at least a second"),
        ({"slot_seconds": 60.0, "wave_seconds": 30.0}, "a wave of power prices"),
        ({"models": ["Antminer S99"]}, "no simulated model 'Antminer S99'"),
    ],
)
def test_a_site_that_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SimulationError, match=message):
        SimulatedSite(**options)


# --- life ------------------------------------------------------------------------------------------------------------


async def test_a_stopped_site_leaves_no_socket() -> None:
    async with simulated("Antminer S21", "Whatsminer M60") as site:
        await site.set_fault(rig(site, 1), Fault.UNPLUGGED)
        reader, writer = await asyncio.open_connection(address(site), 4028)
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()
    services = [
        service.url.removeprefix("http://").split(":") for service in (*site.sources.values(), site.control.service)
    ]
    for host, port in (*site.switchboard.lines, *((host, int(port)) for host, port in services)):
        listen(host, port).close()


async def test_a_taken_port_is_said_in_one_sentence_and_nothing_stays_open() -> None:
    network = free_network()
    host = network.replace(".0/23", ".1")
    with (
        listen(host, 8090),
        pytest.raises(SimulationError, match=rf"^port 8090 of {host} is taken by another process: "),
    ):
        await SimulatedSite(models=["Whatsminer M60"], network=network, clock=Clock()).start()
    async with SimulatedSite(models=["Whatsminer M60"], network=network, clock=Clock()) as site:
        assert "SUMMARY" in await rpc(address(site), "summary")


async def test_its_configuration_is_one_the_exporter_takes(tmp_path: Path) -> None:
    async with SimulatedSite(40, network=free_network(4), clock=Clock()) as site:
        path = tmp_path / "site.yml"
        path.write_text(yaml.safe_dump(site.config()))
        settings = load(path, environ={})
    assert {rig.name: rig.address for rig in settings.rigs} == {
        placement.name: placement.address for placement in site.placements
    }
    assert {rig.name: rig.rated_hashrate for rig in settings.rigs} == {
        placement.name: placement.model.terahash * 1e12 for placement in site.placements
    }
    for placement, settled in zip(site.placements, settings.rigs, strict=True):
        assert bool(settled.logins) == (placement.family.name == "antminer")
    assert {rig.tariff for rig in settings.rigs} == {"spot", "ppa", "time-of-use"}
    assert [block.name for block in settings.fleet_blocks] == site.blocks
    assert all(block.capacity_watts for block in settings.fleet_blocks)
    assert settings.ai is not None
    assert settings.gpus is not None
    assert len(settings.gpus.endpoints) == 2


async def test_any_free_port_will_do_for_control() -> None:
    async with simulated("Whatsminer M60", control_port=0) as site:
        assert (await state(site))["blocks"] == site.blocks
    with pytest.raises(SimulationError, match=r"^99999 is no port"):
        await SimulatedSite(models=["Whatsminer M60"], network=free_network(), control_port=99_999).start()


# --- control ---------------------------------------------------------------------------------------------------------


@pytest.fixture
async def site() -> AsyncIterator[SimulatedSite]:
    async with SimulatedSite(12, network=free_network(4), clock=Clock(), troubles=False) as site:
        yield site


async def post(site: SimulatedSite, path: str, body: Any) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with aiohttp.ClientSession() as session, session.post(site.control.service.url + path, data=data) as answer:
        return answer.status, await answer.json()


async def state(site: SimulatedSite) -> Any:
    async with aiohttp.ClientSession() as session, session.get(site.control.service.url) as answer:
        return await answer.json()


async def test_the_state_says_what_there_is(site: SimulatedSite) -> None:
    found = await state(site)
    assert found["rigs"][rig(site)] == {
        "address": address(site),
        "block": "container-1",
        "model": site.placements[0].model.name,
        "fault": None,
    }
    assert found["blocks"] == site.blocks
    assert set(found["sources"]) == {"node", "power", "bitcoin", "pool", "gpu-market", "gpu-1", "gpu-2"}
    assert (found["height"], found["bitcoin_usd"]) == (942_472, 70_370)


async def test_faults_are_set_and_cleared(site: SimulatedSite) -> None:
    assert await post(site, "/faults", {"rig": rig(site), "fault": "hung"}) == (
        200,
        {"rigs": [rig(site)], "fault": "hung"},
    )
    assert (await state(site))["rigs"][rig(site)]["fault"] == "hung"
    assert (await post(site, "/faults", {"block": "container-1", "fault": "unplugged"}))[0] == 200
    assert site.rigs_with(Fault.UNPLUGGED) == site.rigs_of("container-1")
    assert (await post(site, "/faults", {"block": "container-1", "fault": None}))[0] == 200
    status, moved = await post(site, "/points", {"block": "container-1", "share": 0.8})
    assert status == 200
    assert {site.machines[name].operation.share for name in moved["rigs"]} == {0.8}
    assert site.rigs_with(Fault.UNPLUGGED) == []


async def test_prices_and_blocks_are_set(site: SimulatedSite) -> None:
    assert await post(site, "/power", {"usd_per_megawatt_hour": 120}) == (200, {"usd_per_megawatt_hour": 120})
    assert (await state(site))["power_usd_per_megawatt_hour"] == 120
    assert (await post(site, "/power", {"usd_per_megawatt_hour": None}))[0] == 200
    assert (await state(site))["power_usd_per_megawatt_hour"] != 120
    assert await post(site, "/bitcoin", {"usd": 50_000}) == (200, {"usd": 50_000})
    assert await post(site, "/blocks", {"mine": 3}) == (200, {"height": 942_475})
    assert (await post(site, "/sources", {"name": "power", "fault": "down"}))[0] == 200
    assert (await state(site))["sources"]["power"]["fault"] == "down"


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("/faults", b"{", "send JSON"),
        ("/faults", [], "send a JSON object"),
        ("/faults", {"fault": "hung"}, "name a rig or a block"),
        ("/faults", {"rig": "nobody", "fault": "hung"}, "there is no rig 'nobody'"),
        ("/points", {"block": "container-1", "share": 3}, "share is one of 0.5, 0.65, 0.8, 0.9, 1.0, 1.1, 1.2"),
        ("/faults", {"block": "container-9", "fault": "hung"}, "there is no block 'container-9'"),
        ("/faults", {"block": "container-1", "fault": "tired"}, "fault is one of stopped, hot, "),
        ("/power", {"usd_per_megawatt_hour": "high"}, "usd_per_megawatt_hour is to be a number"),
        ("/power", b'{"usd_per_megawatt_hour": NaN}', "usd_per_megawatt_hour is to be a number"),
        ("/bitcoin", {"usd": -1}, "usd is a price above 0"),
        ("/bitcoin", {}, "usd is to be a number"),
        ("/sources", {"name": "sun", "fault": "down"}, "there is no name 'sun'"),
        ("/sources", {"name": "power", "fault": "late"}, "fault is one of down, hang, garbage, error, or null"),
        ("/blocks", {"mine": 0}, "mine is a whole number from 1 to 2016"),
    ],
)
async def test_bad_requests_are_refused_with_the_reason(site: SimulatedSite, path: str, body: Any, reason: str) -> None:
    status, answer = await post(site, path, body)
    assert status == 400
    assert answer["error"].startswith(reason)


# --- the process -----------------------------------------------------------------------------------------------------


def process(*arguments: str) -> AbstractAsyncContextManager[asyncio.subprocess.Process]:
    command = (sys.executable, "-m", "exporter.simulation", *arguments)
    return child(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE)


@pytest.mark.parametrize("ending", ["SIGTERM", "SIGINT", "stdin"])
async def test_the_process_says_when_it_is_ready_and_ends_cleanly(tmp_path: Path, ending: str) -> None:
    network, config = free_network(4), tmp_path / "site.yml"
    async with process("--rigs", "12", "--network", network, "--config-out", str(config)) as running:
        assert running.stdout is not None
        assert running.stdin is not None
        ready = json.loads(await running.stdout.readline())
        assert (ready["ready"], ready["rigs"], ready["left_out"]) == (True, 12, [])
        rigs = yaml.safe_load(config.read_text())["fleet"]["rigs"]
        assert len(rigs) == 12
        async with aiohttp.ClientSession() as session, session.get(ready["control"]) as answer:
            assert set((await answer.json())["rigs"]) == {rig["name"] for rig in rigs}
        if ending == "stdin":
            running.stdin.close()
        else:
            running.send_signal(signal.Signals[ending])
        output, errors = await running.communicate()
        assert (running.returncode, output, errors) == (0, b"", b"")
    listen(network.partition("/")[0][:-1] + "1", CONTROL_PORT).close()


async def test_the_process_runs_the_models_that_are_asked_for() -> None:
    async with process("--model", "LuxOS S21", "--model", "ePIC S21", "--network", free_network(4)) as running:
        assert running.stdout is not None
        assert json.loads(await running.stdout.readline())["rigs"] == 2
    async with process("--model", "Sundial") as running:
        _, errors = await running.communicate()
    assert running.returncode == 1
    first = min(model.name for family in firmware.families() for model in family.models)
    assert f"there is no simulated model 'Sundial': known are {first}".encode() in errors


async def test_a_process_that_cannot_start_says_why_in_one_line() -> None:
    network = free_network(4)
    host = network.partition("/")[0][:-1] + "1"
    with listen(host, CONTROL_PORT):
        async with process("--rigs", "4", "--network", network) as running:
            output, errors = await running.communicate()
    assert running.returncode == 1
    assert output == b""
    assert errors.decode() == (
        f"port {CONTROL_PORT} of {host} is taken by another process: stop that one, or choose another network or port\n"
    )
