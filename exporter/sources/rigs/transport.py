"""One request, one bounded answer, every failure classified.

Built on :class:`asyncio.Protocol`: streams cost twice as much per poll. The total deadline is the caller's;
connecting has its own, to distinguish an absent rig from one that hangs. A connection serves one request, or within
:func:`keeping_connections` all pages that one read asks of one port, or those of all reads of a rig.
"""

import asyncio
import errno
import json
import re
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Final, Protocol, TypeVar, cast

import orjson

from exporter.model.failures import Failure, Reason
from exporter.sources.rigs.connections import Connections, LastingConnections, Where, give_back_sockets
from exporter.sources.rigs.fast_timeout import FastTimeout
from exporter.sources.rigs.names import is_ip, resolved

CONNECT_SECONDS: Final = 2.5
_SURE: Final = 0.4
"""Share of that after which a deadline which ends the attempt means that nobody answers: SYN was sent twice by then."""
MAX_ANSWER: Final = 1_000_000  # bytes
GONE_MILLISECONDS: Final = 1_000
"""After which a question on a kept connection that no TCP acknowledged is sent again on a new one."""
_SOCKET_SECONDS: Final = 0.25
"""Until a connection is tried again for which this host had no socket."""
_SOCKET_TRIES: Final = 8  # within the seconds of connecting
OUT_OF_SOCKETS: Final = (errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL)
"""Errors of this host, which say nothing of a rig."""
RPC_PORT: Final = 4028
TLS_PORT: Final = 443
_LENGTH_BYTES: Final = 4
_LONG_NUMBER: Final = 300  # digits
_LONGEST_BELIEVABLE: Final = 2**28  # any printable text read as a length is more
_UNKNOWN_COMMAND: Final = 14
_ACCESS_DENIED: Final = 45
_NOT_CONNECTED: Final = "no answer to the connection attempt"
_LOSABLE: Final = frozenset({Reason.AUTH, Reason.GARBLED, Reason.REFUSED, Reason.RATE_LIMITED})

T = TypeVar("T")


class OtherPage(Failure):
    """A web server's proper answer that is not a rig's API: no such page, or a page for people."""


class NoSuchPage(OtherPage):
    """It has no page of that path, or no such command: it says so, or sends the same page for people for every path."""


class NoProtocol(Failure):
    """What answers speaks nothing that a rig speaks: it does not even begin like JSON or HTTP."""

    def __init__(self, detail: str) -> None:
        super().__init__(Reason.GARBLED, detail)


class Framing(Protocol):
    """Knows when an answer is complete, and which part of it is content."""

    def complete(self, received: bytearray) -> bool:
        """Return whether the answer is complete. Raises Failure if it can never become one."""
        ...

    def content(self, received: bytearray) -> bytes:
        """Return the content, once complete or at the end of the connection. Raises Failure if it is cut short."""
        ...

    def keeps_connection(self, received: bytearray) -> bool:
        """Return whether the other side takes another request after this complete answer."""
        ...


class UntilNul:
    """cgminer's: JSON that ends with NUL, with the connection, or both."""

    def complete(self, received: bytearray) -> bool:
        """See :class:`Framing`."""
        return received[-1] == 0

    def content(self, received: bytearray) -> bytes:
        """See :class:`Framing`."""
        return bytes(received.rstrip(b"\0\r\n "))

    def keeps_connection(self, received: bytearray) -> bool:  # noqa: ARG002 - cgminer answers once
        """See :class:`Framing`."""
        return False


class LengthPrefixed:
    """Whatsminer V3's: four bytes of little-endian length, then JSON."""

    def complete(self, received: bytearray) -> bool:
        """See :class:`Framing`."""
        return len(received) >= _LENGTH_BYTES and len(received) >= _LENGTH_BYTES + self._length(received)

    def content(self, received: bytearray) -> bytes:
        """See :class:`Framing`."""
        if not self.complete(received):
            raise Failure(Reason.GARBLED, "the answer was cut short")
        return bytes(received[_LENGTH_BYTES : _LENGTH_BYTES + self._length(received)])

    def keeps_connection(self, received: bytearray) -> bool:  # noqa: ARG002 - btminer answers once
        """See :class:`Framing`."""
        return False

    @staticmethod
    def _length(received: bytearray) -> int:
        length = int.from_bytes(received[:_LENGTH_BYTES], "little")
        if length > _LONGEST_BELIEVABLE:
            raise NoProtocol("no length before the answer")
        if length > MAX_ANSWER:
            raise Failure(Reason.TOO_LARGE, f"it announced {length} bytes")
        return length


_UNTIL_NUL: Final = UntilNul()
_JSON_BEGINS: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*[{\[]")
_TOKEN: Final = re.compile(
    r'"(?:[^"\\]|\\.)*"|(?P<empty>:\s*(?=[,}]))|(?P<bare>[^\s"{}\[\],:]+)',
    re.DOTALL,
)
_LITERALS: Final = frozenset({"true", "false", "null", "NaN"})
_NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?")
_NOT_FINITE: Final = re.compile(r"[-+]?(?:nan|inf(?:inity)?)(?:\(\w*\))?", re.IGNORECASE)
_BAD_ESCAPE: Final = re.compile(r"\\(?:([\"\\/bfnrt]|u[0-9a-fA-F]{4})|)")
_SLIPS: Final = ((",}", "}"), (",]", "]"), ("}{", "},{"), ("[,{", "[{"), ('""temp0', '","temp0'))


class _Conversation(asyncio.Protocol):
    """A connection: one request and its answer, then perhaps the next."""

    __slots__ = ("_rested", "answer", "ended", "framing", "received", "request", "transport")

    def __init__(self, request: bytes, framing: Framing, answer: asyncio.Future[bytes] | None) -> None:
        self.request = request
        self.framing = framing
        self.answer = answer
        self.received = bytearray()
        self.ended = False  # by the other side, or by more than the answer
        self._rested = False
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self.request)

    def ask(self, request: bytes, framing: Framing, answer: asyncio.Future[bytes]) -> None:
        """Send the next request."""
        self.framing, self.answer, self.received = framing, answer, bytearray()
        self.transport.write(request)

    def rest(self) -> None:
        """Hold no answer while nothing is asked, and find out soon if nobody is there for the next question."""
        self.received, self.answer = bytearray(), None
        if not self._rested:
            # A rig that lost its power ends nothing: TCP would repeat the question for minutes.
            peer = cast("socket.socket", self.transport.get_extra_info("socket"))
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, GONE_MILLISECONDS)
            self._rested = True

    def abort(self) -> None:
        """Close the connection."""
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self.answer is None or self.answer.done():
            self.ended = True
            return
        self.received += data
        try:
            if len(self.received) > MAX_ANSWER:
                raise Failure(Reason.TOO_LARGE, f"more than {MAX_ANSWER} bytes")  # noqa: TRY301 - one place sets the answer
            if self.framing.complete(self.received):
                self.answer.set_result(self.framing.content(self.received))
        except Failure as failure:
            self.answer.set_exception(failure.with_traceback(None))  # whose frame holds us

    def eof_received(self) -> None:
        self.connection_lost(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True
        if self.answer is None or self.answer.done():
            return
        try:
            if not self.received:
                raise Failure(Reason.REFUSED, "it closed the connection without an answer")  # noqa: TRY301
            if exc is not None:
                raise Failure(Reason.GARBLED, "it reset the connection in the middle of the answer")  # noqa: TRY301
            self.answer.set_result(self.framing.content(self.received))
        except Failure as failure:
            self.answer.set_exception(failure.with_traceback(None))  # whose frame holds us


@cache
def _rigs_own_certificates() -> ssl.SSLContext:
    """Make the TLS settings for rigs: each made its certificate itself, so that nothing can be verified."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def connect_failure(error: OSError) -> Failure:
    """Classify what went wrong while connecting."""
    if isinstance(error, ssl.SSLError):
        return Failure(Reason.TLS, f"no TLS there: {error.reason or 'the handshake failed'}")
    if isinstance(error, ConnectionRefusedError):
        return Failure(Reason.REFUSED, "connection refused")
    if isinstance(error, ConnectionError):
        return Failure(Reason.REFUSED, "it reset the connection")
    if error.errno in OUT_OF_SOCKETS:
        return Failure(Reason.INTERNAL, f"this host ran out of sockets: {errno.errorcode[error.errno]}")
    return Failure(Reason.UNREACHABLE, "no route to it" if error.errno else _NOT_CONNECTED)


def timeout_failure(error: TimeoutError, seconds: float) -> Failure:
    """Classify that a deadline of ``seconds`` has passed."""
    if _NOT_CONNECTED in error.args:
        return Failure(Reason.UNREACHABLE, _NOT_CONNECTED)
    return Failure(Reason.TIMEOUT, f"no complete answer within {seconds:g} s")


@dataclass(frozen=True, slots=True)
class Exchanged:
    """One question and its answer, for tools that show the exchange."""

    port: int
    request: bytes
    answer: bytes | Failure
    seconds: float


listener: Final[ContextVar[Callable[[Exchanged], None] | None]] = ContextVar("listener", default=None)
"""Called with every exchange of the task that sets it, and of the tasks that this one starts."""


class _Kept(Connections[_Conversation]):
    """The connections of the code inside."""

    def __enter__(self) -> None:
        self._token = _kept.set(self)

    def __exit__(self, *_: object) -> None:
        _kept.reset(self._token)
        self.end()


_kept: Final[ContextVar[_Kept | None]] = ContextVar("kept", default=None)


def lasting_connections(most: int) -> LastingConnections[_Conversation]:
    """Make room for at most ``most`` connections that are kept from read to read."""
    return LastingConnections(most)


def keeping_connections(lasting: LastingConnections[_Conversation] | None = None) -> _Kept:
    """Let the pages that are asked for inside share a connection per port, and close all at the end but ``lasting``."""
    return _Kept(lasting)


def keeps_connections(*, alone: bool) -> bool:
    """Return whether a page's connection is kept here; ``alone`` if no other page of its read is asked."""
    kept = _kept.get()
    return kept is not None and (kept.lasting is not None or not alone)


def exchange(address: str, port: int, request: bytes, framing: Framing) -> Coroutine[Any, Any, bytes]:
    """Connect, send ``request``, give the content of the answer, close; with TLS on port 443. Raises Failure."""
    listening = listener.get()
    question = _exchange(address, port, request, framing)
    return question if listening is None else _heard(listening, question, port, request)


async def _heard(
    listening: Callable[[Exchanged], None], question: Coroutine[Any, Any, bytes], port: int, request: bytes
) -> bytes:
    started = time.monotonic()
    answer: bytes | Failure = Failure(Reason.TIMEOUT, "given up")
    try:
        answer = await question
    except Failure as failure:
        answer = failure
        raise
    finally:
        listening(Exchanged(port, request, answer, time.monotonic() - started))
    return answer


async def _exchange(address: str, port: int, request: bytes, framing: Framing) -> bytes:
    host = address if is_ip(address) else await resolved(address)
    loop = asyncio.get_running_loop()
    where, kept = (host, port), _kept.get()
    if kept is not None and (conversation := kept.take(where)) is not None:
        content = await _next(kept, where, conversation, request, framing)
        if content is not None:
            return content
        kept.lost(where)
    answer: asyncio.Future[bytes] = loop.create_future()
    connected: _Conversation | None = None
    sure_at = loop.time() + _SURE * CONNECT_SECONDS
    try:
        connected = await _connect(loop, partial(_Conversation, request, framing, answer), host, port)
        content = await answer
    except OSError as error:
        raise connect_failure(error) from None
    except asyncio.CancelledError as cancelled:
        if connected is None and loop.time() >= sure_at:  # on a busy machine the deadline of the read can come first
            cancelled.args = (_NOT_CONNECTED,)
        raise
    else:
        if kept is not None and framing.keeps_connection(connected.received):
            kept.keep(where, connected)
            connected = None
        return content
    finally:
        answer.cancel()
        if connected is not None:
            connected.abort()
        # A failure that the answer holds also holds this frame: both would lie about until garbage is collected.
        del answer, connected


async def _connect(
    loop: asyncio.AbstractEventLoop, conversation: Callable[[], _Conversation], host: str, port: int
) -> _Conversation:
    """Connect within the time for it, and wait in it while this host has no socket. Raises OSError."""
    tls = _rigs_own_certificates() if port == TLS_PORT else None
    tries = 1
    with FastTimeout(CONNECT_SECONDS):
        while True:
            try:
                _, connected = await loop.create_connection(conversation, host, port, ssl=tls)
            except OSError as error:
                if error.errno not in OUT_OF_SOCKETS or tries == _SOCKET_TRIES:
                    raise
                give_back_sockets()
            else:
                return connected
            tries += 1
            await asyncio.sleep(_SOCKET_SECONDS)


async def _next(
    kept: _Kept,
    where: Where,
    conversation: _Conversation,
    request: bytes,
    framing: Framing,
) -> bytes | None:
    """Ask on a connection that was kept; None if it ended before any of the answer came. Raises Failure."""
    answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    lasts = False
    try:
        if conversation.ended or conversation.transport.is_closing():
            return None
        conversation.ask(request, framing, answer)
        content = await answer
        lasts = framing.keeps_connection(conversation.received)
    except Failure:
        if conversation.received:
            raise
        return None
    else:
        return content
    finally:
        answer.cancel()
        if lasts:
            kept.keep(where, conversation)
        else:
            conversation.abort()
        del answer, conversation


def parse_json(content: bytes) -> Mapping[str, Any]:
    """Parse a JSON object; a text in a wrong encoding loses only its odd characters. Raises Failure."""
    try:
        parsed = orjson.loads(content)
    except ValueError:
        parsed = _lenient(content.decode("utf-8-sig", "replace"))
    if not isinstance(parsed, dict):
        raise Failure(Reason.GARBLED, f"a JSON {type(parsed).__name__} where an object belongs")
    return parsed


def _lenient(text: str) -> object:
    """Parse what is not quite JSON: control characters, endless numbers, slips of cgminer and btminer builds.

    A value that is no JSON, such as ``-nan``, ``inf`` or nothing at all, becomes null or NaN: only that field is lost.
    """
    for slip, mend in _SLIPS:
        text = text.replace(slip, mend)
    if text.lstrip().startswith("{"):
        text = _TOKEN.sub(_mended, text)
    try:
        value, end = _DECODER.raw_decode(text := text.lstrip())
    except json.JSONDecodeError as error:
        raise Failure(Reason.GARBLED, f"not JSON: {error.msg.lower()} at character {error.pos}") from None
    except RecursionError:
        raise Failure(Reason.GARBLED, "not JSON that any rig writes: nested too deeply") from None
    if "{" in text[end:]:  # some builds write odd ends, but none a second object
        raise Failure(Reason.GARBLED, f"not JSON: extra data at character {end}")
    return value


def _mended(token: re.Match[str]) -> str:
    whole, bare = token[0], token["bare"]
    if token["empty"] is not None:
        return ":null"
    if bare is None and "\\" in whole:
        return _BAD_ESCAPE.sub(lambda escape: escape[0] if escape[1] else "", whole)
    if bare is None or bare in _LITERALS:
        return whole
    if _NUMBER.fullmatch(bare):
        return bare
    return "NaN" if _NOT_FINITE.fullmatch(bare) else "null"


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) < _LONG_NUMBER else float(digits)  # int() refuses what it calls too long


_DECODER: Final = json.JSONDecoder(strict=False, parse_int=_integer)


async def optional(question: Awaitable[T]) -> T | Mapping[str, Any]:
    """Ask what a read can do without: empty if the answer is unusable. Raises Failure if none comes."""
    try:
        return await question
    except Failure as failure:
        if failure.reason not in _LOSABLE:
            raise
        return {}


async def rpc(address: str, command: str, parameter: str = "") -> Mapping[str, Any]:
    """Send one cgminer command and give its answer. Raises Failure."""
    asked = f'{{"command":"{command}","parameter":"{parameter}"}}' if parameter else f'{{"command":"{command}"}}'
    content = await exchange(address, RPC_PORT, asked.encode(), _UNTIL_NUL)
    if content.startswith(b"HTTP/"):
        raise OtherPage(Reason.GARBLED, "a web server answers there")
    try:
        answer = parse_json(content)
    except Failure as failure:
        if _JSON_BEGINS.match(content):
            raise
        raise NoProtocol(failure.detail) from None
    if _denied(answer):
        raise Failure(Reason.AUTH, f"this host may not ask it for {command}")
    return answer


def _denied(answer: Mapping[str, Any]) -> bool:
    """Return whether cgminer's access list refused the command, or all of the joined ones."""
    if "STATUS" in answer:
        return _refused(answer, _ACCESS_DENIED)
    denied = False
    for part in answer.values():
        if isinstance(part, list) and part:
            if not isinstance(part[0], dict) or not _refused(part[0], _ACCESS_DENIED):
                return False
            denied = True
    return denied


def is_unknown_command(answer: object) -> bool:
    """Return whether a cgminer descendant answered that it has no such command."""
    return isinstance(answer, dict) and "STATUS" in answer and _refused(answer, _UNKNOWN_COMMAND)


def _refused(answer: Mapping[str, Any], code: int) -> bool:
    """Return whether one command was refused with this code; btminer writes its status flat."""
    status = answer.get("STATUS")
    row = status[0] if isinstance(status, list) and status else answer
    return isinstance(row, dict) and row.get("STATUS") == "E" and row.get("Code") == code
