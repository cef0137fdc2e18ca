"""Faults of simulated rigs, seen from the other end of the socket."""

import asyncio
import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
from own_network import OWN
from simulation_clients import NOW, address, exchange, free_network, rig, rpc, rpc_v3, simulated

from exporter.simulation.faults import HUGE_BYTES, Fault
from exporter.simulation.firmware import families
from exporter.simulation.machine import Climate, Machine
from exporter.simulation.site import SimulatedSite
from exporter.simulation.wire import Line, Listeners, SimulationError, Switchboard, listen

SUMMARY = b'{"command":"summary"}'
OWN_PORT = 10_000 + int(OWN.split(".")[1])  # of every address: another process tests with another one


NO_ANSWER = 0.3  # s that are waited for an answer that never comes


async def attempt(host: str, port: int = 4028, seconds: float = 600) -> None:
    """Connect, with a timeout."""
    async with asyncio.timeout(seconds):
        _, writer = await asyncio.open_connection(host, port)
    writer.close()


async def test_an_unplugged_rig_leaves_connections_unanswered() -> None:
    async with simulated("Antminer S21") as site:
        reader, writer = await asyncio.open_connection(address(site), 4028)
        await site.set_fault(rig(site), Fault.UNPLUGGED)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        for port in (4028, 80):
            with pytest.raises(TimeoutError):
                await attempt(address(site), port, NO_ANSWER)
        await site.set_fault(rig(site), None)
        assert (await rpc(address(site), "summary"))["SUMMARY"][0]["Elapsed"] == 0


async def test_a_refused_rig_refuses_connections() -> None:
    async with simulated("Whatsminer M60") as site:
        await site.set_fault(rig(site), Fault.REFUSED)
        with pytest.raises(ConnectionRefusedError):
            await attempt(address(site))
        await site.set_fault(rig(site), Fault.UNPLUGGED)
        await site.set_fault(rig(site), Fault.REFUSED)
        with pytest.raises(ConnectionRefusedError):
            await attempt(address(site))
        await site.set_fault(rig(site), None)
        assert "SUMMARY" in await rpc(address(site), "summary")


async def test_a_hung_rig_accepts_and_never_answers() -> None:
    async with simulated("Whatsminer M60") as site:
        await site.set_fault(rig(site), Fault.HUNG)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await exchange(address(site), 4028, SUMMARY)


async def test_a_rig_may_close_or_reset_the_connection() -> None:
    async with simulated("Whatsminer M60") as site:
        await site.set_fault(rig(site), Fault.CLOSE_AT_ONCE)
        reader, writer = await asyncio.open_connection(address(site), 4028)
        assert await reader.read() == b""
        writer.close()
        await site.set_fault(rig(site), Fault.RESET)
        with pytest.raises(ConnectionResetError):
            await exchange(address(site), 4028, SUMMARY)


async def test_a_slow_drip_comes_byte_by_byte() -> None:
    async with simulated("Whatsminer M60") as site:
        whole = await exchange(address(site), 4028, SUMMARY)
        await site.set_fault(rig(site), Fault.SLOW_DRIP)
        site.switchboard.drip_interval = 0
        reader, writer = await asyncio.open_connection(address(site), 4028)
        writer.write(SUMMARY)
        pieces = []
        while piece := await reader.read(65_536):
            pieces.append(piece)
        writer.close()
        assert b"".join(pieces) == whole
        assert len(pieces) > len(whole) / 10


async def test_a_truncated_answer_ends_in_the_middle() -> None:
    async with simulated("Whatsminer M60") as site:
        whole = await exchange(address(site), 4028, SUMMARY)
        await site.set_fault(rig(site), Fault.TRUNCATED)
        assert await exchange(address(site), 4028, SUMMARY) == whole[: len(whole) // 2]


async def test_a_huge_answer_is_streamed_to_its_end() -> None:
    async with simulated("Whatsminer M60") as site:
        await site.set_fault(rig(site), Fault.HUGE)
        reader, writer = await asyncio.open_connection(address(site), 4028)
        writer.write(SUMMARY)
        size = 0
        while piece := await reader.read(1 << 20):
            size += len(piece)
        writer.close()
        assert size == HUGE_BYTES


async def test_a_client_may_leave_a_huge_answer() -> None:
    async with simulated("Whatsminer M60") as site:
        await site.set_fault(rig(site), Fault.HUGE)
        reader, writer = await asyncio.open_connection(address(site), 4028)
        writer.write(SUMMARY)
        assert await reader.readexactly(1_000)
        writer.transport.abort()
        await site.set_fault(rig(site), None)
        assert "SUMMARY" in await rpc(address(site), "summary")


async def test_garbage_and_web_pages_are_no_json() -> None:
    async with simulated("Whatsminer M60", "BitAxe Gamma") as site:
        for fault in (Fault.GARBAGE, Fault.HTML):
            await site.set_fault([rig(site, 0), rig(site, 1)], fault)
            with pytest.raises(ValueError, match=r"."):
                await rpc(address(site), "summary")
        page = await exchange(address(site, 1), 80, b"GET /api/system/info HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert page.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n")
        assert page.endswith(b"</html>\r\n")


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from leaves(item)
    else:
        yield value


async def test_wrong_types_leave_the_envelope_and_no_number_in_it() -> None:
    async with simulated("Whatsminer M60", "Whatsminer M60S") as site:
        await site.set_fault([rig(site, 0), rig(site, 1)], Fault.WRONG_TYPES)
        answer = await rpc(address(site, 0), "summary")
        assert answer["STATUS"][0]["STATUS"] == "S"
        assert not [value for value in leaves(answer["SUMMARY"]) if isinstance(value, float) or type(value) is int]
        assert (await rpc_v3(address(site, 1), "get.miner.status", "summary"))["code"] == 0


async def test_nan_leaves_no_finite_number() -> None:
    async with simulated("Antminer S19j Pro") as site:
        await site.set_fault(rig(site), Fault.NAN)
        answer = await exchange(address(site), 4028, SUMMARY)
        numbers = [value for value in leaves(json.loads(answer[:-1])["SUMMARY"]) if isinstance(value, float | int)]
        assert numbers
        assert not any(math.isfinite(value) for value in numbers)
        assert b"NaN" in answer


async def test_negative_leaves_no_other_number() -> None:
    async with simulated("Antminer S19j Pro") as site:
        await site.set_fault(rig(site), Fault.NEGATIVE)
        answer = await exchange(address(site), 4028, SUMMARY)
        numbers = [value for value in leaves(json.loads(answer[:-1])["SUMMARY"]) if isinstance(value, float | int)]
        assert numbers
        assert all(value < 0 for value in numbers)


async def test_an_answer_may_come_in_another_encoding() -> None:
    async with simulated("Antminer S21") as site:
        await site.set_fault(rig(site), Fault.WRONG_ENCODING)
        answer = (await exchange(address(site), 4028, SUMMARY)).removesuffix(b"\0")
        assert "SUMMARY" in json.loads(answer.decode("utf-16"))


async def test_a_connection_may_stay_open_after_the_answer() -> None:
    async with simulated("Whatsminer M60") as site:
        whole = await exchange(address(site), 4028, SUMMARY)
        await site.set_fault(rig(site), Fault.NEVER_CLOSES)
        reader, writer = await asyncio.open_connection(address(site), 4028)
        writer.write(SUMMARY)
        assert await reader.readexactly(len(whole)) == whole
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await reader.read()
        writer.close()


async def test_a_web_interface_may_redirect() -> None:
    async with simulated("BitAxe Gamma") as site:
        await site.set_fault(rig(site), Fault.REDIRECT)
        answer = await exchange(address(site), 80, b"GET /api/system/info HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 302 ")
        assert f"Location: https://{address(site)}/api/system/info".encode() in answer


async def test_access_may_be_denied() -> None:
    async with simulated("Antminer S21", "Whatsminer M60", "Whatsminer M60S", "BitAxe Gamma") as site:
        await site.set_fault(list(site.machines), Fault.AUTH_REFUSED)
        assert (await rpc(address(site, 0), "summary"))["STATUS"][0]["Code"] == 45
        assert (await rpc(address(site, 1), "summary"))["Code"] == 45
        assert (await rpc_v3(address(site, 2), "get.miner.status", "summary"))["code"] == -4
        web = await exchange(address(site, 3), 80, b"GET /api/system/info HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert web.startswith(b"HTTP/1.1 401 ")


async def test_a_whole_block_can_fail_and_come_back() -> None:
    async with SimulatedSite(12, network=free_network(4), troubles=False) as site:
        await site.set_fault(site.rigs_of("container-1"), Fault.STOPPED)
        assert site.rigs_with(Fault.STOPPED) == site.rigs_of("container-1")
        await site.set_fault(site.rigs_of("container-1"), None)
        assert site.rigs_with(Fault.STOPPED) == []
        with pytest.raises(KeyError):
            await site.set_fault("no-such-rig", Fault.HOT)


# --- one listener for all -------------------------------------------------------------------------------------------


def board(port: int, *addresses: str) -> Switchboard:
    """Whatsminers at these addresses, on a port of our own."""
    family = next(family for family in families() if family.name == "whatsminer")
    (dialect,) = family.ports.values()
    model, climate = family.models[0], Climate(1)
    lines = {
        (host, port): Line(
            Machine(model, name=host, address=host, mac_prefix="C4:11:04", seed=1, now=NOW, climate=climate), dialect
        )
        for host in addresses
    }
    return Switchboard(clock=lambda: NOW, lines=lines)


async def test_one_listener_serves_every_address_and_tells_rigs_apart() -> None:
    port = OWN_PORT
    switchboard = board(port, f"{OWN}.250.1", f"{OWN}.250.2", f"{OWN}.250.3", f"{OWN}.250.4")
    machines = {line.machine.name: line.machine for line in switchboard.lines.values()}
    machines[f"{OWN}.250.3"].set_fault(Fault.UNPLUGGED, NOW)
    machines[f"{OWN}.250.4"].set_fault(Fault.REFUSED, NOW)
    listeners = Listeners(switchboard, wildcard=True)
    try:
        for machine in machines.values():
            await listeners.show(machine)
        for host in (f"{OWN}.250.1", f"{OWN}.250.2"):
            answer = json.loads(await exchange(host, port, b'{"command":"get_miner_info"}'))
            assert answer["Msg"]["mac"] == machines[host].mac
        with pytest.raises(TimeoutError):
            await attempt(f"{OWN}.250.3", port, NO_ANSWER)
        for host in (f"{OWN}.250.4", f"{OWN}.250.5"):  # switched off, and no rig at all
            with pytest.raises(ConnectionResetError):
                await exchange(host, port, SUMMARY)
        machines[f"{OWN}.250.3"].set_fault(None, NOW)
        await listeners.show(machines[f"{OWN}.250.3"])
        assert b"SUMMARY" in await exchange(f"{OWN}.250.3", port, SUMMARY)
    finally:
        await listeners.close_all()
    listen("0.0.0.0", port).close()


async def test_one_listener_does_not_share_its_port_with_a_stranger() -> None:
    with listen("127.0.0.1", 0) as stranger:
        port = stranger.getsockname()[1]
        switchboard = board(port, f"{OWN}.250.9")
        listeners = Listeners(switchboard, wildcard=True)
        with pytest.raises(SimulationError, match=rf"^port {port} is taken by another process"):
            await listeners.show(switchboard.lines[f"{OWN}.250.9", port].machine)
        await listeners.close_all()
