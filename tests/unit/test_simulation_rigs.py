"""The simulated rigs, asked over their real protocols."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from simulation_clients import NOW, Clock, address, exchange, rig, rpc, rpc_v3, simulated

from exporter.model.fleet import Credentials
from exporter.model.readings import TunerState
from exporter.simulation.faults import Fault
from exporter.simulation.firmware import families
from exporter.simulation.machine import Climate, Flapping, Machine, Model
from exporter.simulation.pools import pools
from exporter.simulation.site import SimulatedSite
from exporter.sources.rigs.contract import Target
from exporter.sources.rigs.pyasic_reader import PyasicReader
from exporter.sources.rigs.reader import Miners

MODELS = [model for family in families() for model in family.models]
KNOWN_TO_PYASIC = [
    ("Antminer S19j Pro", "AntMiner", "S19j Pro", 126),
    ("Antminer S19 XP", "AntMiner", "S19 XP", 110),
    ("Antminer S21", "AntMiner", "S21", 108),
    ("Whatsminer M30S++", "WhatsMiner", "M30S++ VG40", 117),
    ("Whatsminer M50", "WhatsMiner", "M50 VH50", 105),
    ("Whatsminer M50S++", "WhatsMiner", "M50S++ VL30", 111),
    ("Whatsminer M60", "WhatsMiner", "M60 VK40", 180),
    ("BitAxe Gamma", "BitAxe", "Gamma", 1),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pyasic() -> AsyncIterator[PyasicReader]:
    reader = PyasicReader(read_deadline=10.0, identify_deadline=20.0)
    yield reader
    await reader.close()


@pytest.mark.asyncio(loop_scope="module")
async def test_an_independent_library_reads_every_rig(pyasic: PyasicReader) -> None:
    async with simulated(*(name for name, *_ in KNOWN_TO_PYASIC)) as site:
        for (_, make, model, chips), placement in zip(KNOWN_TO_PYASIC, site.placements, strict=True):
            target = Target(placement.address, Credentials("root", "root"))
            identity = await pyasic.identify(target)
            assert (identity.make, identity.model) == (make, model)
            assert identity.mac == site.machines[placement.name].mac.lower()
            if make == "WhatsMiner":  # only these report serial numbers of boards to pyasic
                serials = [board.serial for board in site.machines[placement.name].vitals(NOW).boards]
                assert identity.board_serials == tuple(enumerate(serials))
            reading = await pyasic.read(target, identity)
            rated = placement.model.terahash * 1e12
            assert reading.hashrate == pytest.approx(rated, rel=0.04)
            assert reading.mining is not False
            assert len(reading.fans) == placement.model.fans
            assert all(fan.rpm and 2_000 < fan.rpm < 7_100 for fan in reading.fans)
            assert [board.chips for board in reading.boards] == [chips] * placement.model.boards
            assert sum(board.hashrate or 0 for board in reading.boards) == pytest.approx(rated, rel=0.04)
            assert reading.faults == ()
            if make == "AntMiner":
                assert reading.power is None
            else:
                assert reading.power == pytest.approx(placement.model.watts, rel=0.06)
            if make != "BitAxe":  # of which pyasic reads no pools
                assert [pool.active for pool in reading.pools] == [True, False, False]
                assert reading.pools[0].accepted


@pytest.mark.asyncio(loop_scope="module")
async def test_an_independent_library_knows_other_firmware_on_antminers(pyasic: PyasicReader) -> None:
    known = {"LuxOS S21": "LuxOS", "VNish S19j Pro": "VNish", "Braiins S19j Pro": "BOS+", "ePIC S19 XP": "ePIC"}
    async with simulated(*known) as site:
        for (name, firmware), placement in zip(known.items(), site.placements, strict=True):
            identity = await pyasic.identify(Target(placement.address))
            assert (identity.make, identity.model) == ("AntMiner", name.partition(" ")[2])
            # pyasic asks web and RPC in a race, and takes VNish's RPC for the stock firmware's where that wins.
            assert identity.firmware in ({firmware, "Stock"} if firmware == "VNish" else {firmware})


def logins(site: SimulatedSite) -> dict[str, Credentials]:
    """Give the login of each rig that has one, by its address."""
    rigs = (each for each in site.placements if each.family.credentials)
    return {each.address: Credentials(*each.family.credentials or ()) for each in rigs}


@pytest.mark.parametrize(
    "model", [model for family in families() for model in family.models], ids=lambda model: model.name
)
async def test_the_exporter_reads_every_rig(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: NOW)  # some rigs say how long ago a share was
    async with simulated(model.name) as site, Miners() as miners:
        target = Target(address(site), logins(site).get(address(site)))
        identity = await miners.identify(target)
        assert not identity.reader.startswith("pyasic")
        assert identity.mac in {site.machines[rig(site)].mac.lower(), ""}
        reading = await miners.read(target, identity)
        assert reading.hashrate == pytest.approx(model.terahash * 1e12, rel=0.05)
        assert reading.expected_hashrate == pytest.approx(model.terahash * 1e12, rel=0.05)
        assert reading.mining is True
        assert reading.power is None or reading.power == pytest.approx(model.watts, rel=0.06)
        assert reading.uptime
        assert [fan.rpm is not None and fan.rpm > 2_000 for fan in reading.fans] == [True] * model.fans
        slots = [0, 2, 3, 5, 6, 8] if identity.reader == "proto" else list(range(model.boards))  # whose bays have gaps
        assert [board.index for board in reading.boards] == slots
        rates = [
            board.hashrate or 0 for board in reading.boards if identity.reader != "avalon"
        ]  # which has no present value
        assert sum(rates) == (pytest.approx(reading.hashrate, rel=0.03) if rates else 0)
        assert [pool.active for pool in reading.pools][:2] == [True, False]
        assert reading.pools[0].worker == f"prairie.{rig(site)}"
        assert reading.pools[0].accepted or identity.reader == "whatsminer_v3"  # which counts no shares
        assert reading.faults == ()
        if identity.reader in {
            "antminer",
            "whatsminer_v2",
            "luxos",
            "braiins",
            "braiins_rest",
            "epic",
            "avalon",
            "auradine",
            "sealminer",
        }:
            assert reading.last_share_at == pytest.approx(NOW, abs=20)
        if model.boards > 1:
            await site.set_fault(rig(site), Fault.BOARD_LOST)
            broken = await miners.read(target, identity)
            assert broken.hashrate == pytest.approx(reading.hashrate * (1 - 1 / model.boards), rel=0.05)
        await site.set_fault(rig(site), Fault.STOPPED)
        stopped = await miners.read(target, identity)
        assert (stopped.hashrate, stopped.mining) == (0.0, False)
        if identity.reader in {"whatsminer_v2", "whatsminer_v3", "bitaxe"}:
            assert (reading.suspended, stopped.suspended) == (False, True)
            assert reading.power_supply is not None
            assert [board.frequency for board in reading.boards] == [model.frequency * 1e6] * model.boards
            expected = [board.expected_hashrate or 0 for board in reading.boards]
            assert sum(expected) == pytest.approx(reading.expected_hashrate, rel=1e-3)
        # An Antminer's mode is on its web interface, which these two have none of.
        if identity.reader in {"antminer", "luxos", "vnish"} and identity.firmware not in {"Hiveon", "MSK"}:
            assert (reading.suspended, stopped.suspended) == (False, True)
            assert (reading.fault_light, reading.login_refused) == (
                False,
                False if identity.reader == "antminer" else None,
            )
            assert reading.power_mode
            assert [board.frequency for board in reading.boards] == [model.frequency * 1e6] * model.boards
            serial = site.machines[rig(site)].serial
            assert identity.board_serials == tuple((index, f"{serial}{index:02d}") for index in range(model.boards))
        if identity.make == "WhatsMiner":
            serial = site.machines[rig(site)].serial
            assert identity.board_serials == tuple((index, f"{serial}{index:02d}") for index in range(model.boards))
            assert identity.power_supply_serial == f"P{serial}"
            assert (reading.tuner, reading.fault_light) == (TunerState.TUNED, False)
            assert reading.power_supply is not None
            assert reading.power_supply.input_power == pytest.approx(reading.power, rel=1e-3)


async def test_an_antminer_answers_one_command_ends_it_with_nul_and_closes() -> None:
    async with simulated("Antminer S21") as site:
        answer = await exchange(address(site), 4028, b'{"command":"stats"}')
        assert answer.endswith(b"}\0")
        stats = (await rpc(address(site), "stats"))["STATS"][1]
        assert [stats[f"chain_acn{number}"] for number in (1, 2, 3, 4)] == [108, 108, 108, 0]
        assert len(stats["temp_chip1"].split("-")) == 4
        assert float(stats["chain_rate1"]) == pytest.approx(66_667, rel=0.03)
        assert stats["chain_rate4"] == ""
        assert stats["total_rateideal"] == 200_000.0
        joined = await rpc(address(site), "summary+stats")
        assert joined["STATUS"][0]["STATUS"] == "E"
        assert (await rpc(address(site), "restart"))["STATUS"][0]["STATUS"] == "E"


async def test_old_antminers_write_rates_as_text() -> None:
    async with simulated("Antminer S19j Pro", "Antminer S21") as site:
        assert isinstance((await rpc(address(site, 0), "summary"))["SUMMARY"][0]["GHS 5s"], str)
        assert isinstance((await rpc(address(site, 1), "summary"))["SUMMARY"][0]["GHS 5s"], float)


async def test_a_command_may_come_in_pieces() -> None:
    async with simulated("Whatsminer M60") as site:
        reader, writer = await asyncio.open_connection(address(site), 4028)
        writer.write(b'{"command"')
        await writer.drain()
        writer.write(b':"get_version"}')
        assert b"fw_ver" in await reader.read()
        writer.close()
        assert b"fw_ver" in await exchange(address(site), 4028, b"get_version")


async def test_the_antminer_web_interface_wants_digest_authentication() -> None:
    clock = Clock()
    async with simulated("Antminer S21", clock=clock) as site:
        url = f"http://{address(site)}/cgi-bin/get_system_info.cgi"
        async with aiohttp.ClientSession() as plain, plain.get(url) as refused:
            assert refused.status == 401
            assert 'realm="antMiner Configuration"' in refused.headers["WWW-Authenticate"]
        wrong, right = aiohttp.DigestAuthMiddleware("root", "guess"), aiohttp.DigestAuthMiddleware("root", "root")
        async with aiohttp.ClientSession(middlewares=[wrong]) as session, session.get(url) as refused:
            assert refused.status == 401
        async with aiohttp.ClientSession(middlewares=[right]) as session:
            async with session.get(url) as answer:
                assert (await answer.json(content_type=None))["minertype"] == "Antminer S21"
            clock.now += 700  # the nonce is too old by now, and asked anew
            async with session.get(url.replace("get_system_info", "summary")) as answer:
                summary = (await answer.json(content_type=None))["SUMMARY"][0]
                assert [item["status"] for item in summary["status"]] == ["s"] * 4
            async with session.get(f"http://{address(site)}/cgi-bin/no_such.cgi") as missing:
                assert (missing.status, missing.content_type) == (404, "text/html")
            await site.set_fault(rig(site), Fault.AUTH_REFUSED)
            async with session.get(url) as refused:
                assert refused.status == 401


async def test_an_expired_nonce_is_called_stale() -> None:
    clock = Clock()
    async with simulated("Antminer S21", clock=clock) as site:
        login = aiohttp.DigestAuthMiddleware("root", "root", preemptive=True)
        seen = []

        async def record(request: aiohttp.ClientRequest, handler: Any) -> aiohttp.ClientResponse:
            response: aiohttp.ClientResponse = await handler(request)
            seen.append((response.status, "stale=true" in response.headers.get("WWW-Authenticate", "")))
            return response

        async with aiohttp.ClientSession(middlewares=[login, record]) as session:
            for _ in range(2):
                async with session.get(f"http://{address(site)}/cgi-bin/stats.cgi") as answer:
                    assert answer.status == 200
                clock.now += 700
        assert seen == [(401, False), (200, False), (401, True), (200, False)]


@pytest.mark.parametrize("command", ["summary+devs+pools", "pools+summary+devs"])
async def test_a_whatsminer_answers_joined_commands_in_any_order(command: str) -> None:
    async with simulated("Whatsminer M60") as site:
        answer = await rpc(address(site), command)
    assert list(answer) == [*command.split("+"), "id"]
    assert answer["summary"][0]["SUMMARY"][0]["Power"] == pytest.approx(3_422, rel=0.05)
    assert len(answer["devs"][0]["DEVS"]) == 3
    assert answer["pools"][0]["POOLS"][0]["Stratum Active"] is True


async def test_a_whatsminers_own_commands_cannot_be_joined() -> None:
    async with simulated("Whatsminer M60") as site:
        answer = await rpc(address(site), "summary+get_version")
        assert answer["summary"][0]["STATUS"][0]["STATUS"] == "S"
        assert answer["get_version"][0]["STATUS"] == "E"
        assert (await rpc(address(site), "get_version"))["Msg"]["api_ver"].startswith("2.")
        assert (await rpc(address(site), "power_off"))["STATUS"] == "E"


async def test_a_whatsminer_reports_its_faults_by_code() -> None:
    async with simulated("Whatsminer M60") as site:
        for fault, codes in ((Fault.BOARD_LOST, {"532"}), (Fault.FAN_LOST, {"110"}), (Fault.HOT, {"350", "600"})):
            await site.set_fault(rig(site), fault)
            found = (await rpc(address(site), "get_error_code"))["Msg"]["error_code"]
            assert {code for entry in found for code in entry} == codes
        await site.set_fault(rig(site), None)
        assert (await rpc(address(site), "get_error_code"))["Msg"]["error_code"] == []


async def test_api_v3_speaks_in_length_prefixed_json() -> None:
    async with simulated("Whatsminer M60S") as site:
        status = await rpc_v3(address(site), "get.miner.status", "summary+edevs")
        assert (status["code"], status["desc"], list(status["msg"])) == (0, "get.miner.status", ["summary", "edevs"])
        assert status["msg"]["summary"]["hash-realtime"] == pytest.approx(186, rel=0.04)
        assert status["msg"]["summary"]["power-realtime"] == pytest.approx(3_441, rel=0.06)
        assert [board["effective-chips"] for board in status["msg"]["edevs"]] == [225] * 3
        info = await rpc_v3(address(site), "get.device.info")
        assert info["msg"]["miner"]["type"] == "M60S_VK40"
        assert info["msg"]["network"]["mac"] == site.machines[rig(site)].mac
        assert (await rpc_v3(address(site), "set.miner.service", "stop"))["code"] == -2
        await site.set_fault(rig(site), Fault.BOARD_LOST)
        assert "532" in (await rpc_v3(address(site), "get.device.info"))["msg"]["error-code"][0]


async def test_api_v3_keeps_the_connection() -> None:
    async with simulated("Whatsminer M60S") as site:
        reader, writer = await asyncio.open_connection(address(site), 4433)
        request = b'{"cmd":"get.device.info","param":"system"}'
        for _ in range(2):
            writer.write(len(request).to_bytes(4, "little")[:2])
            await writer.drain()
            writer.write(len(request).to_bytes(4, "little")[2:] + request)
            length = int.from_bytes(await reader.readexactly(4), "little")
            assert b"fwversion" in await reader.readexactly(length)
        writer.close()


async def test_a_bitaxe_answers_json_and_html_for_what_it_does_not_know() -> None:
    async with simulated("BitAxe Gamma") as site, aiohttp.ClientSession(f"http://{address(site)}") as session:
        async with session.get("/api/system/info") as answer:
            info = await answer.json()
        assert info["hashRate"] == pytest.approx(1_200, rel=0.05)
        assert (info["ASICModel"], info["macAddr"]) == ("BM1370", site.machines[rig(site)].mac)
        for path in ("/api/system/asic", "/kaonsu/v1/overview"):
            async with session.get(path) as missing:
                assert (missing.status, missing.content_type) == (404, "text/html")
        async with session.patch("/api/system", json={"frequency": 800}) as refused:
            assert refused.status == 404
        async with session.get("/") as index:
            assert "AxeOS" in await index.text()


async def test_what_was_asked_is_counted() -> None:
    async with simulated("Whatsminer M60") as site:
        await rpc(address(site), "summary")
        await rpc(address(site), "summary")
        assert site.switchboard.requests == {"whatsminer summary": 2}


# --- physics --------------------------------------------------------------------------------------------------------


def machine(model: str = "Antminer S21", *, seed: int = 1, name: str = "a-01") -> Machine:
    return Machine(
        next(candidate for candidate in MODELS if candidate.name == model),
        name=name,
        address="127.0.0.1",
        mac_prefix="28:E2:97",
        seed=seed,
        now=NOW,
        climate=Climate(seed),
    )


def test_the_same_seed_and_time_give_the_same_rig() -> None:
    asked_often = machine()
    for second in range(50):
        asked_often.vitals(NOW + second)
    assert asked_often.vitals(NOW + 60) == machine().vitals(NOW + 60)
    assert machine(seed=2).vitals(NOW + 60) != machine().vitals(NOW + 60)
    assert machine(name="a-02").mac != machine().mac


@pytest.mark.parametrize("model", [model.name for model in MODELS])
def test_accepted_work_agrees_with_the_hashrate(model: str) -> None:
    rig = machine(model)
    before, after = rig.vitals(NOW), rig.vitals(NOW + 86_400)
    shares = after.accepted + after.rejected + after.stale - before.accepted - before.rejected - before.stale
    assert shares * after.share_difficulty * 2**32 / 86_400 == pytest.approx(after.average, rel=0.01)
    assert 0 < after.rejected - before.rejected < 0.01 * shares


def test_hashrate_is_noisy_around_the_nameplate() -> None:
    rig = machine()
    rates = [rig.vitals(NOW + 10 * number).hashrate for number in range(500)]
    assert max(rates) - min(rates) > 0.005 * 200e12
    assert sum(rates) / len(rates) == pytest.approx(200e12, rel=0.02)


def test_temperatures_and_fans_follow_the_day() -> None:
    rig = machine()
    day = [rig.vitals(NOW + 900 * number) for number in range(96)]
    warmest, coldest = max(day, key=lambda vitals: vitals.inlet), min(day, key=lambda vitals: vitals.inlet)
    assert warmest.inlet - coldest.inlet > 8
    assert warmest.boards[0].chip > coldest.boards[0].chip + 5
    assert min(warmest.fans) > max(coldest.fans)
    assert warmest.now % 86_400 == pytest.approx(21 * 3_600, abs=3 * 3_600)  # mid-afternoon, six hours west


def test_a_stopped_rig_answers_zero_and_draws_little() -> None:
    rig = machine()
    rig.set_fault(Fault.STOPPED, NOW)
    stopped = rig.vitals(NOW + 3_600)
    assert (stopped.hashrate, stopped.mining) == (0.0, False)
    assert 0 < stopped.power < 100
    assert stopped.accepted == rig.vitals(NOW).accepted
    rig.set_fault(None, NOW + 3_600)
    again = rig.vitals(NOW + 3_660)
    assert (again.elapsed, again.mining) == (60, True)
    assert again.accepted < 20


def test_a_liar_multiplies_what_it_claims_and_not_what_it_does() -> None:
    honest, liar = machine(), machine()
    liar.set_fault(Fault.LYING, NOW)
    assert liar.vitals(NOW + 600).hashrate == pytest.approx(1_000 * honest.vitals(NOW + 600).hashrate)
    assert liar.vitals(NOW + 600).accepted == honest.vitals(NOW + 600).accepted


def test_a_lost_board_takes_its_share_of_everything() -> None:
    whole, broken = machine(), machine()
    broken.set_fault(Fault.BOARD_LOST, NOW)
    vitals, reference = broken.vitals(NOW + 86_400), whole.vitals(NOW + 86_400)
    assert vitals.boards_lost == (2,)
    assert vitals.hashrate == pytest.approx(reference.hashrate * 2 / 3, rel=0.02)
    assert vitals.power == pytest.approx(reference.power * 2 / 3, rel=0.01)
    done, could = (each.accepted - machine().vitals(NOW).accepted for each in (vitals, reference))
    assert done == pytest.approx(could * 2 / 3, rel=0.01)


def test_boards_and_fans_fail_and_come_back() -> None:
    rig = machine()
    rig.board_flapping = Flapping(index=1, period=3_600, down=600, phase=NOW)
    rig.fan_flapping = Flapping(index=0, period=3_600, down=600, phase=NOW + 1_200)
    assert [rig.vitals(NOW + second).boards_lost for second in (0, 599, 600, 3_600)] == [(1,), (1,), (), (1,)]
    assert [rig.vitals(NOW + second).fans[0] > 0 for second in (0, 1_200, 1_800)] == [True, False, True]
    day = rig.vitals(NOW + 86_400).accepted - rig.vitals(NOW).accepted
    could = machine().vitals(NOW + 86_400).accepted - machine().vitals(NOW).accepted
    assert day == pytest.approx(could * (1 - 600 / 3_600 / 3), rel=0.01)


def test_a_hot_rig_throttles_with_its_fans_at_full_speed() -> None:
    cool, hot = machine(), machine()
    hot.set_fault(Fault.HOT, NOW)
    assert hot.vitals(NOW).boards[0].chip > cool.vitals(NOW).boards[0].chip + 20
    assert hot.vitals(NOW).hashrate < 0.92 * cool.vitals(NOW).hashrate
    assert min(hot.vitals(NOW).fans) > 5_800


def test_a_rig_loses_its_pools_and_mines_for_a_stranger() -> None:
    rig = machine()
    (first, *_) = pools(rig, rig.vitals(NOW))
    assert (first.status, first.active, first.worker) == ("Alive", True, f"prairie.{rig.name}")
    rig.set_fault(Fault.POOLS_DEAD, NOW)
    assert {(pool.status, pool.active) for pool in pools(rig, rig.vitals(NOW))} == {("Dead", False)}
    rig.set_fault(Fault.WORKER_RENAMED, NOW)
    assert {pool.worker for pool in pools(rig, rig.vitals(NOW))} == {f"stranger.{rig.name}"}


def test_another_machine_in_its_place_has_another_mac() -> None:
    rig = machine()
    before = rig.mac
    rig.set_fault(Fault.OTHER_MAC, NOW)
    assert rig.mac != before
    rig.set_fault(None, NOW)
    assert rig.mac == before


async def test_the_same_seed_and_clock_give_the_same_answers() -> None:
    async def answers(network: str) -> list[bytes]:
        site = SimulatedSite(models=["Antminer S21"], clock=Clock(), network=network, troubles=False)
        async with site:
            return [
                await exchange(address(site), 4028, b'{"command":"%s"}' % name)
                for name in (b"stats", b"summary", b"pools")
            ]

    async with simulated("Antminer S21") as first:
        network = str(first.network)
        once = [
            await exchange(address(first), 4028, b'{"command":"%s"}' % name)
            for name in (b"stats", b"summary", b"pools")
        ]
    assert await answers(network) == once
