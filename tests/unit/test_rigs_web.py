import asyncio
import hashlib
import json
import re
from collections.abc import Mapping

import pytest
from rig_servers import NETWORK, Handler, saying, serving

from exporter.model.failures import Failure, Reason
from exporter.model.fleet import Credentials
from exporter.sources.rigs.transport import keeping_connections
from exporter.sources.rigs.web import DigestSession, get, get_json, get_value, log_in

ADDRESS = f"{NETWORK}.21"
REALM, NONCE = "antMiner Configuration", "5f1c"


def answer(head: str, body: bytes = b"") -> Handler:
    return saying(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)


async def asked(handler: Handler) -> dict[str, object]:
    async with serving(ADDRESS, 80, handler):
        return dict(await get_json(ADDRESS, "/api"))


@pytest.mark.parametrize(
    "handler",
    [
        answer("HTTP/1.1 200 OK\nContent-Length: 8", b'{"a": 1}trailing'),
        answer("HTTP/1.0 200 OK\nContent-Type: text/html", b'{"a": 1}'),
        answer("HTTP/1.1 200 OK\nTransfer-Encoding: chunked", b'4\r\n{"a"\r\n4;x=y\r\n: 1}\r\n0\r\n\r\n'),
    ],
    ids=["length", "until-close", "chunked"],
)
async def test_every_framing_of_a_body(handler: Handler) -> None:
    assert await asked(handler) == {"a": 1}


async def test_an_answer_with_a_length_is_complete_while_the_rig_stays_connected() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        for part in (b"HTTP/1.1 200 OK\r\nContent-", b'Length: 8\r\n\r\n{"a"', b": 1}"):
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        await reader.read()

    assert await asked(handle) == {"a": 1}


async def test_chunks_that_come_in_pieces_are_not_cut_where_one_looks_like_the_end() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        for part in (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n\r\n",
            b'{"a":       1}\r\n0\r\n\r\n',
        ):
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.05)

    assert await asked(handle) == {"a": 1}


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (answer("HTTP/1.1 302 Found\nLocation: https://127.0.0.1/\nContent-Length: 0"), Reason.GARBLED),
        (answer("HTTP/1.1 404 Not Found", b"<html>"), Reason.GARBLED),
        (answer("HTTP/1.1 401 Unauthorized\nContent-Length: 0"), Reason.AUTH),
        (answer("HTTP/1.1 429 Too Many Requests\nContent-Length: 0"), Reason.RATE_LIMITED),
        (answer("HTTP/1.1 200 OK\nContent-Length: 100", b"{"), Reason.GARBLED),
        (answer("HTTP/1.1 200 OK\nContent-Length: -4", b"{}"), Reason.GARBLED),
        (answer("HTTP/1.1 200 OK\nContent-Length: 99999999999", b"{"), Reason.TOO_LARGE),
        (answer("HTTP/1.1 200 OK\nTransfer-Encoding: chunked", b"zz\r\n{}\r\n0\r\n\r\n"), Reason.GARBLED),
        (answer("HTTP/1.1 200 OK\nTransfer-Encoding: chunked", b"ff\r\n{}\r\n0\r\n\r\n"), Reason.GARBLED),
        (answer("HTTP/1.1 OK"), Reason.GARBLED),
        (saying(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 5000), Reason.GARBLED),
        (saying(b"SSH-2.0-dropbear\r\n"), Reason.GARBLED),
        (saying(b"HTT"), Reason.GARBLED),
        (saying(b""), Reason.REFUSED),
    ],
)
async def test_every_way_to_fail_has_its_class(handler: Handler, reason: Reason) -> None:
    with pytest.raises(Failure) as failure:
        await asked(handler)
    assert failure.value.reason is reason


async def test_a_redirect_is_not_followed() -> None:
    async with serving(ADDRESS, 80, answer(f"HTTP/1.1 301 Moved\nLocation: http://{ADDRESS}/b")) as connections:
        head, _ = await get(ADDRESS, "/a")
    assert (head.status, len(connections)) == (301, 1)


def digest_rig(
    password: str, quality: str, *, realm: str = REALM, pages: Mapping[str, object] | None = None
) -> tuple[Handler, list[str]]:
    """A rig that checks a digest login as in RFC 2617, and notes how each request fared."""
    log: list[str] = []

    def md5(text: str) -> str:
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = request.split(" ")[1]
        fields = dict(re.findall(r'(\w+)="?([^",\r]+)', request.partition("Authorization: Digest ")[2]))
        who, what = md5(f"root:{realm}:{password}"), md5(f"GET:{path}")
        middle = f"{fields.get('nc')}:{fields.get('cnonce')}:auth:" if quality else ""
        good = fields.get("response") == md5(f"{who}:{NONCE}:{middle}{what}") and fields.get("uri") == path
        log.append("in" if good else "wrong" if fields else "challenged")
        body = json.dumps((pages or {}).get(path, {"path": path})).encode()
        challenge = f'WWW-Authenticate: Digest realm="{realm}", nonce="{NONCE}", algorithm=MD5{quality}\r\n'
        status = "200 OK\r\n" if good else f"401 Unauthorized\r\n{challenge}"
        writer.write(f"HTTP/1.1 {status}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()

    return handle, log


@pytest.mark.parametrize("quality", ["", ', qop="auth"'])
async def test_a_digest_login_is_challenged_once_for_all_pages(quality: str) -> None:
    handler, log = digest_rig("secret", quality)
    async with serving(ADDRESS, 80, handler):
        session = DigestSession(ADDRESS, Credentials("root", "secret"))
        assert await session.get_json("/cgi-bin/a.cgi") == {"path": "/cgi-bin/a.cgi"}
        assert await session.get_json("/cgi-bin/b.cgi") == {"path": "/cgi-bin/b.cgi"}
    assert log == ["challenged", "in", "in"]


async def test_a_refused_login_is_tried_once_and_shows_no_password() -> None:
    handler, log = digest_rig("other", ', qop="auth"')
    async with serving(ADDRESS, 80, handler):
        with pytest.raises(Failure) as failure:
            await DigestSession(ADDRESS, Credentials("root", "hunter2")).get_json("/")
    assert failure.value.reason is Reason.AUTH
    assert "hunter2" not in str(failure.value)
    assert log == ["challenged", "wrong"]


async def test_a_login_that_is_not_digest_is_not_answered() -> None:
    rig = answer('HTTP/1.1 401 Unauthorized\nWWW-Authenticate: Basic realm="x"\nContent-Length: 0')
    async with serving(ADDRESS, 80, rig) as connections:
        with pytest.raises(Failure) as failure:
            await DigestSession(ADDRESS, Credentials("root", "root")).get_json("/")
    assert failure.value.reason is Reason.AUTH
    assert len(connections) == 1


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"[1, 2]", [1, 2]),
        (b"false", False),
        (b'"x"', "x"),
        (b'{"a": NaN}\n', {"a": pytest.approx(float("nan"), nan_ok=True)}),
    ],
)
async def test_any_json_can_be_asked_for(body: bytes, value: object) -> None:
    async with serving(ADDRESS, 80, answer("HTTP/1.1 200 OK", body)):
        assert await get_value(ADDRESS, "/api") == value


@pytest.mark.parametrize("body", [b"", b"<html>", b"1}, {"])
async def test_what_is_no_json_is_garbled(body: bytes) -> None:
    async with serving(ADDRESS, 80, answer("HTTP/1.1 200 OK", body)):
        with pytest.raises(Failure) as failure:
            await get_value(ADDRESS, "/api")
    assert failure.value.reason is Reason.GARBLED


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("401 Unauthorized", Reason.AUTH),
        ("400 Bad Request", Reason.AUTH),
        ("422 Unprocessable Content", Reason.AUTH),
        ("404 Not Found", Reason.GARBLED),
        ("405 Method Not Allowed", Reason.GARBLED),
        ("429 Too Many Requests", Reason.RATE_LIMITED),
        ("500 X", Reason.GARBLED),
    ],
)
async def test_a_login_that_fails_has_its_class_and_tells_no_password(status: str, reason: Reason) -> None:
    async with serving(ADDRESS, 80, answer(f"HTTP/1.1 {status}")):
        with pytest.raises(Failure) as failure:
            await log_in(ADDRESS, "/login", {"username": "root", "password": "s3cret"})
    assert failure.value.reason is reason
    assert "s3cret" not in str(failure.value)


class Counting:
    """A web server that answers ``answers`` pages on a connection, then closes it; ``connections`` counts them."""

    def __init__(self, answers: int, head: str = "", tail: bytes = b"") -> None:
        self.answers, self.head, self.tail = answers, head, tail
        self.connections = 0
        self.asked: list[str] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        for _ in range(self.answers):
            try:
                request = (await reader.readuntil(b"\r\n\r\n")).decode()
            except asyncio.IncompleteReadError:
                return
            self.asked.append(request.split(" ")[1])
            assert "close" not in request
            body = json.dumps({"page": self.asked[-1]}).encode()
            head = f"HTTP/1.1 200 OK\r\n{self.head}Content-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body + self.tail)
            await writer.drain()


@pytest.mark.parametrize(
    ("server", "connections"),
    [
        (Counting(9), 1),
        (Counting(1), 3),
        (Counting(2), 2),
        (Counting(9, head="Connection: close\r\n"), 3),
        (Counting(9, tail=b"more"), 3),
    ],
    ids=["kept", "closed after each", "closed after two", "said to be closed", "more than the answer"],
)
async def test_the_pages_of_a_read_share_a_connection_as_long_as_the_rig_keeps_it(
    server: Counting, connections: int
) -> None:
    async with serving(ADDRESS, 80, server):
        with keeping_connections():
            pages = [await get_json(ADDRESS, path) for path in ("/a", "/b", "/c")]
    assert pages == [{"page": path} for path in ("/a", "/b", "/c")]
    assert (server.asked, server.connections) == (["/a", "/b", "/c"], connections)


async def test_a_page_without_content_is_complete_though_it_has_no_length() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    async with serving(ADDRESS, 80, handle) as connections:
        with keeping_connections():
            statuses = [(await get(ADDRESS, path))[0].status for path in ("/a", "/b")]
    assert (statuses, len(connections)) == ([204, 204], 1)


async def test_a_kept_connection_that_breaks_in_the_middle_of_an_answer_is_garbled() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{")
        await writer.drain()

    async with serving(ADDRESS, 80, handle):
        with keeping_connections():
            assert await get_json(ADDRESS, "/a") == {}
            with pytest.raises(Failure) as failure:
                await get_json(ADDRESS, "/b")
    assert failure.value.reason is Reason.GARBLED
