"""Sources and rigs without a network: each recorded answer but one is given, and that one is the input of the fuzzer.

The first byte of an input chooses the source or the rig, the second which of its answers is hostile, the rest is that
answer.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import aiohttp
from yarl import URL

sys.path += [str(Path(__file__).parent.parent), str(Path(__file__).parent.parent / "contract")]

from rig_replay import Handler, Replay
from source_site import instant, load_case, placed
from test_fuzz import RIGS, SOURCES, check

from exporter.model.failures import Failure, Reason
from exporter.model.fleet import Credentials
from exporter.sources.contract import SourceContext
from exporter.sources.registry import settings_classes
from exporter.sources.rigs.contract import Target
from exporter.sources.rigs.firmware import native_readers

_SERVER: Final = "http://127.0.0.1:9"
_ADDRESS: Final = "127.0.0.1"
_CGMINER: Final = 4028
_V3: Final = 4433


class _Hostile:
    """Gives the answer ``number`` as ``content``, and the others as they were recorded."""

    def __init__(self, number: int, content: bytes) -> None:
        self._number = number
        self._content = content
        self._given = 0

    def instead_of(self, recorded: bytes) -> bytes:
        self._given += 1
        return self._content if self._given - 1 == self._number else recorded


# --- sources ----------------------------------------------------------------------------------------------------------


class _Content:
    def __init__(self, body: bytes) -> None:
        self._body = body

    async def iter_any(self) -> AsyncIterator[bytes]:
        yield self._body


class _Response:
    def __init__(self, url: URL, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.url, self.status, self.headers, self.content = url, status, headers, _Content(body)


class _Session:
    """The HTTP session of a source, whose server is a recorded case."""

    def __init__(self, case: Mapping[str, Any], hostile: _Hostile) -> None:
        self._case = case
        self._hostile = hostile

    @asynccontextmanager
    async def request(
        self, _method: str, url: URL, *, params: Any = None, json: Any = None, data: Any = None, **_: Any
    ) -> AsyncIterator[_Response]:
        url = url.update_query(params or {})
        status, body = self._recorded(url, json, f"{url.query_string}{json}{data}")
        yield _Response(url, status, self._hostile.instead_of(body), {})

    def _recorded(self, url: URL, calls: Any, text: str) -> tuple[int, bytes]:
        if "rpc" in self._case:
            results = [{"result": self._case["rpc"].get(call["method"]), "id": call["id"]} for call in calls]
            return 200, json.dumps(results).encode()
        for answer in self._case["answers"]:
            if answer["path"] == url.path and answer.get("if", "") in text:
                return answer.get("status", 200), answer["body"].replace("{host}", "127.0.0.1:9").encode()
        return 404, b""


def _bodies(case: Mapping[str, Any]) -> Iterator[bytes]:
    if "rpc" in case:
        yield json.dumps([{"result": result, "id": 0} for result in case["rpc"].values()]).encode()
    yield from (answer["body"].encode() for answer in case.get("answers", ()))


_CASES: Final = {(room, kind): load_case(room, kind) for room, kind in SOURCES}


async def _source(content: bytes) -> None:
    room, kind = SOURCES[content[0] % len(SOURCES)]
    case = _CASES[room, kind]
    session = _Session(case, _Hostile(content[1] % 4, content[2:]))
    context = SourceContext(cast("aiohttp.ClientSession", session), clock=lambda: instant(case["now"]))
    source = settings_classes(room)[kind].model_validate(placed(case["settings"], _SERVER))
    try:
        check((await source.build(context).fetch()).value)
    except Failure as failure:
        check(str(failure))
        if failure.reason is Reason.INTERNAL:  # a group classifies the bugs of its members
            raise


# --- rigs -------------------------------------------------------------------------------------------------------------


class _Line(asyncio.Transport):
    """A connection to a recorded rig."""

    def __init__(self, loop: "Loop", protocol: asyncio.Protocol, handler: Handler, port: int) -> None:
        super().__init__()
        self._loop = loop
        self._protocol = protocol
        self._handler = handler
        self._port = port
        self._reader = asyncio.StreamReader(loop=loop)
        self._answered: asyncio.Task[None] | None = None
        self._closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._reader.feed_data(bytes(data))
        if self._answered is None:
            self._answered = self._loop.create_task(self._answer())

    async def _answer(self) -> None:
        given = _Given()
        with suppress(ConnectionError, ValueError, asyncio.IncompleteReadError):
            await self._handler(self._reader, cast("asyncio.StreamWriter", given))
        hostile = self._loop.hostile.instead_of(b"")
        if not self._closed:
            self._protocol.data_received(self._framed(hostile) if hostile else bytes(given.content))
        if not self._closed:
            self._protocol.eof_received()
            self.abort()

    def _framed(self, content: bytes) -> bytes:
        """Frame an answer as its protocol does, unless its first byte is odd."""
        if content[0] % 2:
            return content[1:] or b"\0"
        if self._port == _CGMINER:
            return content[1:] + b"\0"
        if self._port == _V3:
            return len(content[1:]).to_bytes(4, "little") + content[1:]
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(content) - 1}\r\nConnection: close\r\n\r\n"
        return head.encode() + content[1:]

    def is_closing(self) -> bool:
        return self._closed

    def abort(self) -> None:
        if not self._closed:
            self._closed = True
            self._loop.call_soon(self._protocol.connection_lost, None)

    close = abort


class _Given:
    """What a recorded rig writes."""

    def __init__(self) -> None:
        self.content = bytearray()

    def write(self, data: bytes) -> None:
        self.content += data


class Loop(asyncio.SelectorEventLoop):
    """An event loop in which every connection leads to the recorded rig."""

    hostile = _Hostile(0, b"")
    handlers: Mapping[int, Handler] = {}

    async def create_connection(  # type: ignore[override]  # only as aiohttp and we call it
        self, factory: Any, _host: Any = None, port: Any = None, **options: Any
    ) -> Any:
        handler = self.handlers.get(port)
        if handler is None or options.get("ssl"):
            raise ConnectionRefusedError
        protocol = factory()
        line = _Line(self, protocol, handler, port)
        protocol.connection_made(line)
        return line, protocol


_RIGS: Final = [*RIGS.values()]


async def _rig(content: bytes, loop: Loop) -> None:
    fixture = _RIGS[content[0] % len(_RIGS)]
    replay = Replay(fixture)
    handlers: dict[int, Handler] = {int(port): partial(replay.http, port) for port in fixture.get("http", {})}
    handlers |= {_CGMINER: replay.rpc} if "rpc" in fixture else {}
    handlers |= {_V3: replay.v3} if "v3" in fixture else {}
    loop.handlers, loop.hostile = handlers, _Hostile(content[1] % 16, content[2:])
    reader, target = native_readers()[fixture["reader"]], Target(_ADDRESS, Credentials("root", "root"))
    try:
        identity = await reader.identify(target)
        check(identity)
        check(await reader.read(target, identity))
    except Failure as failure:
        check(str(failure))


_LOOP: Final = Loop()


def read_source(content: bytes) -> None:
    """Let a source read a hostile answer."""
    if len(content) > 2:
        _LOOP.run_until_complete(_source(content))


def read_rig(content: bytes) -> None:
    """Let a rig give a hostile answer."""
    if len(content) > 3:
        _LOOP.run_until_complete(_rig(content, _LOOP))


def seeds() -> Iterator[tuple[Callable[[bytes], None], bytes]]:
    """Yield inputs with recorded answers, each with the function that reads it."""
    for index, place in enumerate(SOURCES):
        for number, body in enumerate(_bodies(_CASES[place])):
            yield read_source, bytes((index, number % 4)) + body
    for index, fixture in enumerate(_RIGS):
        recorded = [*fixture.get("rpc", {}).values(), *fixture.get("v3", {}).values()]
        recorded += [page for pages in fixture.get("http", {}).values() for page in pages.values()]
        for answer in recorded:
            body = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
            for number in range(3):
                yield read_rig, bytes((index, number, 0)) + body
