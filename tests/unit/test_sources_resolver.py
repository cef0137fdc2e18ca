"""Host names while name servers fail. The system's resolver is stood in for: there is no other way to let it hang."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from exporter.sources import resolver
from exporter.sources.resolver import Address, HttpResolver, Resolver

HANGING = 3 * resolver._THREADS


class NameServers:
    """Answers for some names, and hangs for those that begin with "hang"."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}
        self.failure: Exception = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        self.go_on = threading.Event()
        self.hanging = 0

    def getaddrinfo(self, name: str, *_: object, **__: object) -> list[Any]:
        if name.startswith("hang"):
            self.hanging += 1
            self.go_on.wait()
        if name not in self.known:
            raise self.failure
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (self.known[name], 0))]


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServers]:
    standing_in = NameServers()
    monkeypatch.setattr(socket, "getaddrinfo", standing_in.getaddrinfo)
    monkeypatch.setattr(resolver, "LOOKUP_SECONDS", 600.0)
    yield standing_in
    standing_in.go_on.set()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Give lookups little time, from when it is called."""
    return lambda: monkeypatch.setattr(resolver, "LOOKUP_SECONDS", 0.05)


async def test_names_that_hang_take_no_more_threads_than_there_are(
    servers: NameServers, impatient: Callable[[], None]
) -> None:
    impatient()
    resolving = Resolver(threads=2)
    names = [f"hang-{index}" for index in range(10)]
    outcomes = await asyncio.gather(*map(resolving.resolve, names), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [TimeoutError] * 10
    assert servers.hanging == 2


async def test_a_name_keeps_its_last_address_while_the_name_servers_fail(servers: NameServers) -> None:
    resolving = Resolver(threads=2)
    servers.known["pool"] = "127.0.0.7"
    assert await resolving.resolve("pool") == [Address(socket.AF_INET, "127.0.0.7")]
    servers.known.clear()
    servers.failure = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    assert await resolving.resolve("pool") == [Address(socket.AF_INET, "127.0.0.7")]
    servers.failure = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    with pytest.raises(socket.gaierror):  # the name servers work, and the name is gone
        await resolving.resolve("pool")


async def test_a_known_name_answers_at_once_while_every_thread_hangs(
    servers: NameServers, impatient: Callable[[], None]
) -> None:
    resolving = Resolver(threads=1)
    servers.known["pool"] = "127.0.0.7"
    await resolving.resolve("pool")
    impatient()
    with pytest.raises(TimeoutError):
        await resolving.resolve("hang")
    for _ in range(3):
        assert await resolving.resolve("pool") == [Address(socket.AF_INET, "127.0.0.7")]


async def test_a_lookup_that_nobody_waits_for_any_more_is_not_made(
    servers: NameServers, impatient: Callable[[], None]
) -> None:
    impatient()
    resolving = Resolver(threads=1)
    for name in ("hang", "hang-too", "hang-as-well"):
        with pytest.raises(TimeoutError):
            await resolving.resolve(name)
    lookups = list(resolving._lookups.values())
    servers.go_on.set()
    await asyncio.wait(lookups)
    assert servers.hanging == 1


async def test_names_that_hang_stop_no_source_at_a_plain_address(
    servers: NameServers, impatient: Callable[[], None]
) -> None:
    async def price(_: web.Request) -> web.Response:
        return web.json_response(70_000)

    app = web.Application()
    app.router.add_get("/", price)
    runner = web.AppRunner(app)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listener).start()
    port = listener.getsockname()[1]
    servers.known["price.example"] = "127.0.0.1"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=HttpResolver())) as session:
        async with session.get(f"http://price.example:{port}/") as answer:
            assert await answer.json() == 70_000
        impatient()
        stuck = [asyncio.create_task(_fails(session, f"http://hang-{index}.example/")) for index in range(HANGING)]
        await asyncio.gather(*stuck)
        for host in ("127.0.0.1", "price.example"):
            async with session.get(f"http://{host}:{port}/") as answer:
                assert await answer.json() == 70_000
    await runner.cleanup()


async def _fails(session: aiohttp.ClientSession, url: str) -> None:
    with pytest.raises(aiohttp.ClientConnectorDNSError):
        await session.get(url)
