"""Floods: scrapes and health checks are served while pages, logins and connections are exhausted."""

import asyncio
import os
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import aiohttp
import bcrypt
import pytest
import yaml
from descriptors import no_free_descriptors
from pydantic import SecretStr
from site_server import Served, explained, served
from structlog.testing import capture_logs

from exporter.decision.explain import Explanation
from exporter.exposition.views import SiteView
from exporter.server.admission import client_of
from exporter.server.logins import Logins, _Turns
from exporter.server.settings import WebSettings

PASSWORD = "correct horse"
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
RIG = "api/v1/rigs/a-01"


class Gate:
    """Something slow: it blocks its thread until opened."""

    def __init__(self) -> None:
        self.entered = 0
        self._open = threading.Event()

    def open(self) -> None:
        self._open.set()

    def shut(self) -> None:
        self._open.clear()
        self.entered = 0

    def wait(self) -> None:
        self.entered += 1
        assert self._open.wait(600)

    def explain(self, view: SiteView, rig: str) -> Explanation | None:
        self.wait()
        return explained(view, rig)


@contextmanager
def opened_at_last(gate: Gate) -> Iterator[Gate]:
    try:
        yield gate
    finally:
        gate.open()


@asynccontextmanager
async def client(address: str) -> AsyncIterator[aiohttp.ClientSession]:
    """A client at another address of this host."""
    connector = aiohttp.TCPConnector(local_addr=(address, 0), limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session


async def status(session: aiohttp.ClientSession, site: Served, path: str, *, login: str | None = None) -> int:
    headers = {} if login is None else {"Authorization": basic(login)}
    async with session.get(f"{site.url}{path}", headers=headers) as answer:
        if answer.status == 429:
            assert answer.headers["Retry-After"] == "1"
        return answer.status


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(600):
        while not condition():  # noqa: ASYNC110 -- what is awaited happens in the server
            await asyncio.sleep(0.005)


def settings(**more: object) -> WebSettings:
    return WebSettings.model_validate({"listen_address": "127.0.0.1:0", **more})


# --- pages and the JSON API -------------------------------------------------------------------------------------------


async def test_slow_pages_delay_neither_scrapes_nor_health_checks_nor_evaluations() -> None:
    with opened_at_last(Gate()) as gate:
        async with served(explain=gate.explain, settings=settings(max_requests_per_client=32)) as site:
            flood = [asyncio.ensure_future(status(site.client, site, RIG)) for _ in range(32)]
            await until(lambda: gate.entered == 1)
            for path in ("metrics", "-/healthy", "-/ready"):
                assert await status(site.client, site, path) == 200
            assert await asyncio.wait_for(asyncio.to_thread(lambda: "evaluated"), 600) == "evaluated"
            assert gate.entered == 1, "one thread makes all pages"
            gate.open()
            assert await asyncio.gather(*flood) == [200] * 32


async def test_a_client_with_too_many_requests_gets_429_and_others_are_served() -> None:
    with opened_at_last(Gate()) as gate:
        async with served(explain=gate.explain) as site, client("127.0.0.2") as other, client("127.0.0.3") as many:
            flood = [asyncio.ensure_future(status(many, site, RIG)) for _ in range(12)]
            await until(lambda: sum(request.done() for request in flood) == 4)
            waiting = asyncio.ensure_future(status(other, site, RIG))
            gate.open()
            assert sorted(await asyncio.gather(*flood)) == [200] * 8 + [429] * 4
            assert await waiting == 200


async def test_all_clients_together_have_a_limit_too() -> None:
    with opened_at_last(Gate()) as gate:
        async with served(explain=gate.explain, settings=settings(max_requests=2)) as site, AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(client(f"127.0.0.{number}")) for number in range(2, 7)]
            flood = [asyncio.ensure_future(status(each, site, RIG)) for each in clients]
            await until(lambda: sum(request.done() for request in flood) == 3)
            gate.open()
            assert sorted(await asyncio.gather(*flood)) == [200] * 2 + [429] * 3


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (("10.0.0.7", 5), "10.0.0.7"),
        ("10.0.0.7", "10.0.0.7"),
        (("2001:db8:1:2:3:4:5:6", 5, 0, 0), "2001:db8:1:2::"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        (None, "None"),
    ],
)
def test_a_client_is_an_ipv4_address_or_an_ipv6_network(address: object, expected: str) -> None:
    assert client_of(address) == expected


# --- connections ------------------------------------------------------------------------------------------------------


async def idle_connections(site: Served, number: int, address: str = "127.0.0.1") -> list[socket.socket]:
    """Connect, request once and keep the connection open, so that the server has accepted each."""
    loop, connections = asyncio.get_running_loop(), []
    for _ in range(number):
        connection = socket.create_connection(("127.0.0.1", site.port), source_address=(address, 0))
        connection.setblocking(False)
        await loop.sock_sendall(connection, b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await loop.sock_recv(connection, 1_000)).startswith(b"HTTP/1.1 200")
        connections.append(connection)
    return connections


async def is_closed(connection: socket.socket) -> bool:
    try:
        async with asyncio.timeout(0.2):
            return not await asyncio.get_running_loop().sock_recv(connection, 1)
    except ConnectionError:
        return True
    except TimeoutError:
        return False


async def test_idle_connections_do_not_lock_scrapes_out() -> None:
    async with served(settings=settings(max_connections=4)) as site:
        idle = await idle_connections(site, 4)
        assert await status(site.client, site, "metrics") == 200
        assert [await is_closed(connection) for connection in idle] == [True, False, False, False]
        for connection in idle:
            connection.close()


async def test_connections_without_a_request_do_not_lock_scrapes_out() -> None:
    async with served(settings=settings(max_connections=4)) as site:
        mute = [socket.create_connection(("127.0.0.1", site.port)) for _ in range(8)]  # all before the server runs
        for connection in mute:
            connection.setblocking(False)
        assert await status(site.client, site, "metrics") == 200
        assert [await is_closed(connection) for connection in mute].count(False) == 3
        for connection in mute:
            connection.close()


async def test_the_client_with_the_most_connections_loses_one() -> None:
    async with served(settings=settings(max_connections=4)) as site, client("127.0.0.3") as other:
        scraper = await idle_connections(site, 1, "127.0.0.2")
        many = await idle_connections(site, 3)
        assert await status(other, site, "metrics") == 200
        assert not await is_closed(scraper[0]), "although it is idle longest"
        assert await is_closed(many[0])
        for connection in scraper + many:
            connection.close()


async def test_busy_connections_of_one_client_give_way_to_another_client() -> None:
    with opened_at_last(Gate()) as gate:
        async with (
            served(explain=gate.explain, settings=settings(max_connections=4)) as site,
            client("127.0.0.2") as scraper,
        ):
            flood = [asyncio.ensure_future(status(site.client, site, RIG)) for _ in range(4)]
            await until(lambda: gate.entered == 1)
            assert await status(scraper, site, "metrics") == 200
            gate.open()
            results = await asyncio.gather(*flood, return_exceptions=True)
            assert 3 <= results.count(200) < 5


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the open descriptors")
async def test_without_free_descriptors_a_scrape_is_accepted_and_clients_keep_eight_connections() -> None:
    loop = asyncio.get_running_loop()
    async with served(settings=settings()) as site:
        assert await status(site.client, site, "metrics") == 200, "the first scrape opens files"
        many = await idle_connections(site, 12, "127.0.0.2")
        scrapers = [socket.socket() for _ in range(3)]
        with capture_logs() as logged, no_free_descriptors():
            async with asyncio.timeout(600):
                for scraper in scrapers:
                    scraper.setblocking(False)
                    await loop.sock_connect(scraper, ("127.0.0.1", site.port))
                    await loop.sock_sendall(scraper, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
                    assert (await loop.sock_recv(scraper, 1_000)).startswith(b"HTTP/1.1 200")
        assert [await is_closed(connection) for connection in many].count(False) == 4
        assert [line["event"] for line in logged if "descriptors" in line["event"]] == [
            "no free file descriptors: clients have fewer connections for a minute"
        ]
        for connection in many + scrapers:
            connection.close()


# --- logins -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def guarded(tmp_path: Path) -> WebSettings:
    path = tmp_path / "web.yml"
    path.write_text(yaml.safe_dump({"basic_auth_users": {"noc": HASH}}))
    return settings(config_file=path)


@pytest.fixture
def slow_hash(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    with opened_at_last(Gate()) as gate:
        really = bcrypt.checkpw

        def checkpw(password: bytes, against: bytes) -> bool:
            gate.wait()
            return really(password, against)

        monkeypatch.setattr("bcrypt.checkpw", checkpw)
        yield gate


def guess(number: int) -> str:
    return f"guess {number}"


def basic(password: str) -> str:
    return aiohttp.encode_basic_auth("noc", password)


RIGHT = PASSWORD


async def test_guesses_of_one_client_get_429_above_its_share(guarded: WebSettings, slow_hash: Gate) -> None:
    async with served(settings=guarded) as site, client("127.0.0.9") as guesser:
        flood = [asyncio.ensure_future(status(guesser, site, "metrics", login=guess(number))) for number in range(20)]
        await until(lambda: sum(request.done() for request in flood) == 11)
        slow_hash.open()
        assert sorted(await asyncio.gather(*flood)) == [401] * 9 + [429] * 11


async def test_the_first_login_of_a_client_goes_before_the_guesses_of_others(slow_hash: Gate) -> None:
    logins, users = Logins(), {"noc": SecretStr(HASH)}
    slow_hash.open()
    assert await logins.user(basic(guess(0)), users, "guesser") is None
    slow_hash.shut()
    order: list[str] = []

    async def ordered(client: str, password: str) -> None:
        await logins.user(basic(password), users, client)
        order.append(client)

    flood = [asyncio.create_task(ordered("guesser", guess(number))) for number in range(1, 6)]
    await until(lambda: slow_hash.entered == 1)
    login = asyncio.create_task(ordered("scraper", RIGHT))
    await asyncio.sleep(0)  # it is waiting now
    slow_hash.open()
    await asyncio.gather(*flood, login)
    assert order.index("scraper") == 1, "after the one that was being checked"
    logins.close()


async def test_guesses_of_many_clients_give_way_to_one_that_has_not_guessed(
    guarded: WebSettings, slow_hash: Gate
) -> None:
    async with served(settings=guarded) as site, AsyncExitStack() as stack:
        guessers = [await stack.enter_async_context(client(f"127.0.1.{number}")) for number in range(1, 9)]
        slow_hash.open()
        for number, guesser in enumerate(guessers):
            assert await status(guesser, site, "metrics", login=guess(number)) == 401
        slow_hash.shut()
        flood = [
            asyncio.ensure_future(status(guessers[number % 8], site, "metrics", login=guess(100 + number)))
            for number in range(40)
        ]
        await until(lambda: sum(request.done() for request in flood) == 7)  # 1 in the thread, 32 waiting
        login = asyncio.ensure_future(status(site.client, site, "metrics", login=RIGHT))
        await until(lambda: sum(request.done() for request in flood) == 8)
        slow_hash.open()
        assert await login == 200
        assert sorted(await asyncio.gather(*flood)) == [401] * 32 + [429] * 8


async def test_a_scrape_with_a_known_login_is_served_before_all_guesses(guarded: WebSettings, slow_hash: Gate) -> None:
    async with served(settings=guarded) as site, client("127.0.0.9") as guesser:
        slow_hash.open()
        assert await status(site.client, site, "metrics", login=RIGHT) == 200
        slow_hash.shut()
        flood = [asyncio.ensure_future(status(guesser, site, "metrics", login=guess(number))) for number in range(9)]
        await until(lambda: slow_hash.entered == 1)
        for path in ("metrics", "-/healthy"):
            assert await status(site.client, site, path, login=RIGHT) == 200
        assert (slow_hash.entered, any(request.done() for request in flood)) == (1, False), "one hash at a time"
        slow_hash.open()
        assert await asyncio.gather(*flood) == [401] * 9


async def test_each_rejected_login_of_a_client_lets_its_next_one_wait_longer_and_no_other_client() -> None:
    waits: list[float] = []

    async def pause(seconds: float) -> None:
        waits.append(seconds)

    logins, users = Logins(pause), {"noc": SecretStr(HASH)}
    for number in range(10):
        assert not await logins.user(basic(guess(number)), users, "guesser")
    assert waits == []
    for number in (10, 11, 12, 12, 12, 12, 12):  # also the same one again, which is not hashed again
        assert not await logins.user(basic(guess(number)), users, "guesser")
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    assert await logins.user(basic(RIGHT), users, "scraper")
    assert await logins.user(basic(RIGHT), users, "guesser"), "a login that was accepted waits for nothing"
    assert len(waits) == 7
    logins.close()


async def test_a_right_login_ends_the_waits_of_its_client() -> None:
    waits: list[float] = []

    async def pause(seconds: float) -> None:
        waits.append(seconds)

    logins, users = Logins(pause), {"noc": SecretStr(HASH)}
    for number in range(10):
        await logins.user(basic(guess(number)), users, "noc's office")
    assert await logins.user(basic(RIGHT), users, "noc's office")
    assert not await logins.user(basic("typo"), users, "noc's office")
    assert waits == [0.1]
    logins.close()


async def test_the_thread_of_the_logins_gives_way_to_all_others() -> None:
    turns = _Turns()
    niceness = await turns.run(lambda *_: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()), "", "")
    assert niceness == min(os.getpriority(os.PRIO_PROCESS, 0) + 10, 19)
    turns.close()


async def test_a_guesser_that_hangs_up_frees_its_place(slow_hash: Gate) -> None:
    logins, users = Logins(), {"noc": SecretStr(HASH)}
    flood = [asyncio.create_task(logins.user(basic(guess(number)), users, "guesser")) for number in range(9)]
    await until(lambda: slow_hash.entered == 1)
    for request in flood:
        request.cancel()
    await asyncio.gather(*flood, return_exceptions=True)
    slow_hash.open()
    assert await logins.user(basic(RIGHT), users, "guesser") is not None
    logins.close()
