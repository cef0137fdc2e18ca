"""Connections to rigs that are kept from read to read: when they are, and that none costs a read."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from descriptors import no_free_descriptors
from rig_servers import NETWORK, serving

from exporter.model.failures import Failure, Reason
from exporter.model.readings import RigIdentity
from exporter.sources.rigs import connections, transport
from exporter.sources.rigs.contract import Target
from exporter.sources.rigs.reader import Miners

TARGET = Target(f"{NETWORK}.45")
OTHERS = tuple(Target(f"{NETWORK}.{number}") for number in (46, 47))
GAMMA = RigIdentity(reader="bitaxe", make="BitAxe", model="Gamma", firmware_version="v2.12.2")
PAGE = json.dumps({"hashRate": 1200.0, "stratumURL": "pool.example"}).encode()
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(PAGE) + PAGE
Answering = Callable[["Rig", asyncio.StreamWriter], Awaitable[None]]


class Rig:
    """Answers each request, after ``before`` if it is given, and counts."""

    def __init__(self, before: Answering | None = None) -> None:
        self.asked = 0
        self.of_connections: list[int] = []
        """Requests, by connection."""
        self.ends: list[asyncio.Event] = []
        """Set when the connection has ended."""
        self._before = before

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(self.of_connections)
        self.of_connections.append(0)
        self.ends.append(asyncio.Event())
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                self.asked += 1
                self.of_connections[number] += 1
                if self._before is not None:
                    await self._before(self, writer)
                if writer.is_closing():
                    return
                writer.write(ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.ends[number].set()


async def read(miners: Miners, times: int = 1, target: Target = TARGET, identity: RigIdentity = GAMMA) -> None:
    for _ in range(times):
        assert (await miners.read(target, identity)).hashrate == 1200e9


@asynccontextmanager
async def reading(rigs: Mapping[Target, Rig], most_kept: int = 8) -> AsyncIterator[Miners]:
    """Serve several rigs, and give what reads them."""
    async with AsyncExitStack() as stack:
        for target, rig in rigs.items():
            await stack.enter_async_context(serving(target.address, 80, rig))
        yield await stack.enter_async_context(Miners(most_kept=most_kept))


async def settled() -> None:
    """Let both ends of a connection notice what the other one did."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("make", "version", "kept"),
    [
        ("BitAxe", "v2.10.0", True),
        ("BitAxe", "v2.9.0", False),
        ("BitAxe", "v3.0.0b1", True),
        ("BitAxe", "", False),
        ("NerdAxe", "v2.12.2", False),
    ],
)
async def test_a_connection_is_kept_to_releases_that_close_the_idle_ones_when_they_need_a_socket(
    make: str, version: str, *, kept: bool
) -> None:
    identity = RigIdentity(reader="bitaxe", make=make, model="Gamma", firmware_version=version)
    rig = Rig()
    async with serving(TARGET.address, 80, rig), Miners(most_kept=8) as miners:
        await read(miners, 3, identity=identity)
    assert rig.of_connections == ([3] if kept else [1, 1, 1])


async def test_none_is_kept_without_room_for_it() -> None:
    rig = Rig()
    async with serving(TARGET.address, 80, rig), Miners() as miners:
        await read(miners, 2)
        await asyncio.gather(*(end.wait() for end in rig.ends))
    assert rig.of_connections == [1, 1]


async def test_all_are_closed_at_the_end() -> None:
    rig = Rig()
    async with serving(TARGET.address, 80, rig):
        async with Miners(most_kept=8) as miners:
            await read(miners)
            assert not rig.ends[0].is_set()
        await rig.ends[0].wait()


async def test_a_connection_that_the_rig_ended_between_two_reads_costs_none_and_is_the_last_that_is_kept() -> None:
    async with AsyncExitStack() as stack:
        rig = Rig()
        writers = await stack.enter_async_context(serving(TARGET.address, 80, rig))
        miners = await stack.enter_async_context(Miners(most_kept=8))
        await read(miners, 2)
        writers[0].close()
        await settled()
        await read(miners, 3)
        await asyncio.gather(*(end.wait() for end in rig.ends))  # each after its answer
    assert rig.of_connections == [2, 1, 1, 1]


@pytest.mark.parametrize("abruptly", [False, True])
async def test_a_connection_that_ends_just_when_it_is_used_costs_no_read(*, abruptly: bool) -> None:
    async def hang_up(rig: Rig, writer: asyncio.StreamWriter) -> None:
        if rig.asked == 2:
            if abruptly:
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    rig = Rig(hang_up)
    async with serving(TARGET.address, 80, rig), Miners(most_kept=8) as miners:
        await read(miners, 3)
    assert rig.of_connections == [2, 1, 1]


async def test_a_rig_that_answers_no_request_is_asked_once_more_on_a_new_connection_and_then_refuses() -> None:
    async def hang_up(rig: Rig, writer: asyncio.StreamWriter) -> None:
        if rig.asked > 1:
            writer.transport.abort()

    rig = Rig(hang_up)
    async with serving(TARGET.address, 80, rig), Miners(most_kept=8) as miners:
        await read(miners)
        with pytest.raises(Failure) as failure:
            await read(miners)
    assert (failure.value.reason, rig.of_connections) == (Reason.REFUSED, [2, 1])


async def test_an_answer_that_breaks_off_on_a_kept_connection_is_no_reason_to_ask_again() -> None:
    async def break_off(rig: Rig, writer: asyncio.StreamWriter) -> None:
        if rig.asked == 2:
            writer.write(ANSWER[:-1])
            writer.close()

    rig = Rig(break_off)
    async with serving(TARGET.address, 80, rig), Miners(most_kept=8) as miners:
        await read(miners)
        with pytest.raises(Failure) as failure:
            await read(miners)
    assert (failure.value.reason, rig.of_connections) == (Reason.GARBLED, [2])


def make_deaf(writer: asyncio.StreamWriter) -> None:
    """Let the system drop what comes for a connection, as if nobody were there any more."""
    least_ttl = 21  # IP_MINTTL, which Python has no name for; what comes over loopback has 64
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_IP, least_ttl, 255)


async def test_a_rig_that_lost_its_power_is_asked_on_a_new_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "GONE_MILLISECONDS", 50)
    rig = Rig()
    async with serving(TARGET.address, 80, rig) as writers, Miners(most_kept=8) as miners:
        await read(miners)
        make_deaf(writers[0])
        await read(miners)
    assert rig.of_connections == [1, 1]


async def test_a_rig_that_takes_long_to_answer_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "GONE_MILLISECONDS", 1)

    async def think(rig: Rig, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.4)  # twice as long as TCP waits until it looks

    rig = Rig(think)
    async with serving(TARGET.address, 80, rig), Miners(most_kept=8) as miners:
        await read(miners, 2)
    assert rig.of_connections == [2]


async def test_no_more_are_kept_than_there_is_room_for() -> None:
    rigs = {target: Rig() for target in (TARGET, *OTHERS)}
    async with reading(rigs, most_kept=2) as miners:
        for target in rigs.keys() | rigs.keys():
            await read(miners, 2, target)
        for target in rigs:
            await read(miners, 1, target)
    assert sorted(rig.of_connections for rig in rigs.values()) == [[1, 1, 1], [3], [3]]


async def test_a_rig_that_is_read_no_more_is_held_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "IDLE_SECONDS", 0.0)
    left, stays = Rig(), Rig()
    async with reading({TARGET: left, OTHERS[0]: stays}) as miners:
        await read(miners)
        await read(miners, 1, OTHERS[0])
        await left.ends[0].wait()
        assert not stays.ends[0].is_set()


async def test_a_host_that_runs_out_of_sockets_gets_those_back_that_are_kept() -> None:
    rig, new = Rig(), Rig()
    async with reading({TARGET: rig, OTHERS[0]: new}) as miners:
        await read(miners)
        with no_free_descriptors():
            poll = asyncio.create_task(read(miners, 1, OTHERS[0]))
            await rig.ends[0].wait()
        await poll
        await read(miners)
        await asyncio.gather(*(end.wait() for end in (*rig.ends, *new.ends)))  # none is kept for a while
