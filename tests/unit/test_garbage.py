"""What is asked often leaves no reference cycles: these lie about for minutes, and memory grows meanwhile."""

import asyncio
import gc
import weakref
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress

import pytest
import uvloop
from jinja2.runtime import Context
from jmespath.visitor import TreeInterpreter
from rig_servers import NETWORK, saying, serving
from site_server import served

from exporter.model.failures import Failure, Reason
from exporter.model.readings import RigIdentity
from exporter.sources.jmespaths import search
from exporter.sources.rigs.contract import Target
from exporter.sources.rigs.fast_timeout import FastTimeout
from exporter.sources.rigs.firmware import native_readers
from exporter.sources.rigs.pyasic_reader import PyasicReader
from exporter.sources.rigs.reader import Miners
from exporter.sources.rigs.transport import UntilNul, exchange, keeping_connections

ADDRESS, PORT = f"{NETWORK}.61", 24028


class Marker:
    """Shows whether what refers to it was freed."""


class Kept(UntilNul):
    """Lets the connection last."""

    def keeps_connection(self, received: bytearray) -> bool:
        return received.endswith(b"\0")


@pytest.fixture(autouse=True)
def _uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_pages_that_share_a_connection_leave_nothing() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(64):
            writer.write(b"{}\0")

    async def read() -> "weakref.ref[Kept]":
        framing = Kept()
        with keeping_connections():
            for _ in range(2):
                assert await exchange(ADDRESS, PORT, b"summary", framing) == b"{}"
        return weakref.ref(framing)

    async def main() -> "weakref.ref[Kept] | None":
        async with serving(ADDRESS, PORT, talk) as connections:
            framing = await asyncio.create_task(read())
            assert len(connections) == 1
            await connections[0].wait_closed()
            for _ in range(100):
                await asyncio.sleep(0)
            return framing

    left = uvloop.run(main())  # whose connections keep the context that they were made in
    assert left is not None
    assert left() is None


async def test_a_timeout_that_a_task_returns_leaves_nothing() -> None:
    marker = Marker()
    left = weakref.ref(marker)

    async def outcome(_: Marker) -> object:
        try:
            with FastTimeout(0.01):
                await asyncio.Event().wait()
        except TimeoutError as error:
            return error

    asked = asyncio.create_task(outcome(marker))
    assert isinstance(await asked, TimeoutError)
    del marker, asked
    await asyncio.sleep(0)
    assert left() is None


def test_searching_documents_leaves_nothing() -> None:
    assert [search("a.b", {"a": {"b": value}}) for value in range(3)] == [0, 1, 2]
    assert sum(isinstance(each, TreeInterpreter) for each in gc.get_objects()) == 1


@pytest.mark.parametrize("name", native_readers())
async def test_a_rig_that_fails_leaves_nothing(name: str) -> None:
    target, identity = Target(f"{NETWORK}.62"), RigIdentity(reader=name, make="Maker", model="Model")
    reader = native_readers()[name]

    async def read() -> None:
        with suppress(Failure):
            await reader.read(target, identity)

    async def identify() -> None:
        with suppress(Failure):
            await reader.identify(target)

    before = sum(isinstance(each, Failure) for each in gc.get_objects())
    for ask in (read, identify, read):
        await asyncio.create_task(ask())
    assert sum(isinstance(each, Failure) for each in gc.get_objects()) <= before


@pytest.mark.parametrize("answer", [b'{"STATUS', b"HTTP/1.1 502 Bad Gateway\r\n\r\n<html></html>", b"\x80\x81", b""])
async def test_a_rig_that_is_not_identified_leaves_nothing(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(self: PyasicReader, target: Target) -> RigIdentity:
        raise Failure(Reason.UNSUPPORTED, "no known firmware answers there")

    async def identify() -> None:
        with suppress(Failure):
            await miners.identify(Target(f"{NETWORK}.63"))

    monkeypatch.setattr(PyasicReader, "identify", unknown)
    before = sum(isinstance(each, Failure) for each in gc.get_objects())
    async with Miners() as miners, AsyncExitStack() as servers:
        for port in (80, 4028, 4433):
            await servers.enter_async_context(serving(f"{NETWORK}.63", port, saying(answer)))
        await asyncio.create_task(identify())
    assert sum(isinstance(each, Failure) for each in gc.get_objects()) <= before


@pytest.mark.parametrize("path", ["", "rigs", "rigs/a-01", "blocks", "change", "map", "wall", "sources", "config"])
async def test_a_page_leaves_nothing_of_its_evaluation(path: str) -> None:
    async with served() as site:
        rendered = []
        for _ in range(3):
            async with site.get(path) as answer:
                assert answer.status == 200
            rendered.append(sum(isinstance(each, Context) for each in gc.get_objects()))
    assert rendered[0] == rendered[-1]
