"""The stream of events that updates pages: one for each evaluation, a bounded number, and no slow readers."""

import asyncio
import json
import socket
from base64 import b64encode
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import bcrypt
import pytest
from site_server import published, served
from small_site import TAKEN_AT, small_site

from exporter.server.admission import MOST_STREAMS
from exporter.server.settings import WebSettings

LIMIT = 600  # s


async def event_of(answer: aiohttp.ClientResponse) -> dict[str, Any]:
    async with asyncio.timeout(LIMIT):
        line = await answer.content.readuntil(b"\n\n")
    assert line.startswith(b"data: ")
    found: dict[str, Any] = json.loads(line.removeprefix(b"data: "))
    return found


async def test_an_event_comes_at_once_and_at_each_publication() -> None:
    async with served() as site, site.get("events") as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        assert answer.headers["Cache-Control"] == "no-store"
        assert await event_of(answer) == {"evaluated": TAKEN_AT, "age": 0.0, "oldest": 45.0}
        later = small_site()
        later = replace(later, snapshot=replace(later.snapshot, taken_at=TAKEN_AT + 15))
        await asyncio.to_thread(site.latest.publish, published(later))
        assert (await event_of(answer))["evaluated"] == TAKEN_AT + 15


async def test_before_the_first_evaluation_the_time_is_unknown() -> None:
    async with served() as site:
        site.latest.publication = None
        async with site.get("events") as answer:
            assert (await event_of(answer))["evaluated"] is None


async def test_streams_are_limited_and_take_no_place_of_pages() -> None:
    async with served(settings=WebSettings(listen_address="127.0.0.1:0", max_requests=1)) as site:
        async with AsyncExitStack() as stack:
            for _ in range(MOST_STREAMS):
                answer = await stack.enter_async_context(site.get("events"))
                assert answer.status == 200
            async with site.get("events") as refused, site.get("") as page:
                assert (refused.status, page.status) == (429, 200)
        for _ in range(1_000):  # a publication shows the server who has gone
            await asyncio.to_thread(site.latest.publish, published(small_site()))
            async with site.get("events") as answer:
                if answer.status == 200:
                    break
        else:
            pytest.fail("clients that have gone keep their streams")


async def test_a_stream_needs_the_login_of_the_pages(tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    secret = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    file.write_text(f"basic_auth_users: {{noc: {secret!r}}}\n", encoding="utf-8")
    async with served(settings=WebSettings(listen_address="127.0.0.1:0", config_file=file)) as site:
        async with site.get("events") as refused:
            assert refused.status == 401
        login = b64encode(b"noc:secret").decode()
        async with site.get("events", Authorization=f"Basic {login}") as answer:
            assert (await event_of(answer))["evaluated"] == TAKEN_AT


async def test_a_client_that_does_not_read_is_disconnected() -> None:
    async with served() as site:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, ("127.0.0.1", site.port))
            await loop.sock_sendall(client, b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
            publication = published(small_site())
            async with asyncio.timeout(LIMIT):
                while not client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    site.latest.publish(publication)
                    await asyncio.sleep(0)


async def test_a_stop_does_not_wait_for_streams() -> None:
    async with AsyncExitStack() as stack:
        site = await stack.enter_async_context(served())
        answer = await site.client.get(f"{site.url}events")
        await event_of(answer)
        async with asyncio.timeout(LIMIT):
            await stack.aclose()
