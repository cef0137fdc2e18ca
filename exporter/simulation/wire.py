"""The sockets of the simulated rigs: one conversation per connection, with every fault that a socket can have.

A few thousand rigs have listening sockets each. A process has too few files for more: then one listener per port serves
the whole of 127.0.0.0/8; there a rig that would refuse connections resets them.
"""

import asyncio
import errno
import os
import socket
import struct
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol, cast

from exporter.simulation.faults import GARBAGE, HUGE_BYTES, PAGE, Fault
from exporter.simulation.machine import Machine

_LONGEST_REQUEST: Final = 65_536
_CHUNK: Final = b"x" * 65_536
_BACKLOG: Final = 4_096
_ANY: Final = "0.0.0.0"  # noqa: S104 - calls to addresses where no rig is are reset, unanswered


class SimulationError(Exception):
    """The site cannot be simulated here; the message is one sentence that says why, and what helps."""


class Reply(NamedTuple):
    """An answer as it goes onto the wire. ``asked`` says in a word or two what it answers, for those who count."""

    data: bytes
    asked: str
    close: bool = True


class Dialect(Protocol):
    """A protocol that some firmware speaks on a port."""

    def take(self, received: bytearray) -> Any:
        """Remove one whole request from the bytes received and return it; None while there is none yet."""
        ...

    def answer(self, machine: Machine, request: Any, now: float) -> Reply:
        """Answer a request as that machine does."""
        ...

    def prefix(self, length: int, content_type: str) -> bytes:
        """Give what comes before a body of that length."""
        ...


@dataclass(slots=True, kw_only=True)
class Switchboard:
    """All that the conversations share: who lives at which address, what time it is, and what was asked."""

    clock: Callable[[], float]
    dialects: Mapping[str, Mapping[int, Dialect]] = field(default_factory=dict)  # by address, then port
    machines: Mapping[str, Machine] = field(default_factory=dict)  # by address
    requests: Counter[str] = field(default_factory=Counter)
    drip_interval: float = 1.0  # s between the bytes of a slow drip
    conversations: defaultdict[str, set["Conversation"]] = field(default_factory=lambda: defaultdict(set))

    def hang_up(self, addresses: Iterable[str]) -> None:
        """Break every conversation with these addresses."""
        for address in list(addresses):
            for conversation in list(self.conversations.pop(address, ())):
                conversation.reset()


class Conversation(asyncio.Protocol):
    """One connection to a rig."""

    __slots__ = ("_address", "_board", "_dialect", "_machine", "_paused", "_received", "_rest", "_transport")

    def __init__(self, board: Switchboard) -> None:
        self._board = board
        self._received = bytearray()
        self._address = ""
        self._paused = False
        self._rest = 0  # bytes of a huge answer that are still to be sent
        self._machine: Machine
        self._dialect: Dialect
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Find the rig by the address that was called."""
        self._transport = cast("asyncio.Transport", transport)
        address, port = transport.get_extra_info("sockname")[:2]
        machine = self._board.machines.get(address)
        dialect = self._board.dialects.get(address, {}).get(port)
        if machine is None or dialect is None or machine.fault in {Fault.UNPLUGGED, Fault.REFUSED}:
            self.reset()
            return
        self._address, self._machine, self._dialect = address, machine, dialect
        self._board.conversations[address].add(self)
        if machine.fault is Fault.CLOSE_AT_ONCE:
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio gives it
        """Forget the connection."""
        if open_ones := self._board.conversations.get(self._address):
            open_ones.discard(self)

    def data_received(self, data: bytes) -> None:
        """Collect a request and answer it, as the rig's fault has it."""
        if self._machine.fault is Fault.HUNG:
            return
        self._received += data
        while not self._transport.is_closing() and (request := self._dialect.take(self._received)) is not None:
            self._answer(request)
        if len(self._received) > _LONGEST_REQUEST:
            self._transport.abort()

    def pause_writing(self) -> None:
        """Wait: the reader of a huge answer is slower than we are."""
        self._paused = True

    def resume_writing(self) -> None:
        """Go on with a huge answer."""
        self._paused = False
        self._stream()

    def reset(self) -> None:
        """Break the connection with a TCP reset."""
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _answer(self, request: Any) -> None:
        reply = self._dialect.answer(self._machine, request, self._board.clock())
        self._board.requests[reply.asked] += 1
        match self._machine.fault:
            case Fault.RESET:
                self.reset()
            case Fault.GARBAGE:
                self._send(GARBAGE)
            case Fault.TRUNCATED:
                self._send(reply.data[: len(reply.data) // 2])
            case Fault.HTML:
                self._send(self._dialect.prefix(len(PAGE), "text/html") + PAGE)
            case Fault.SLOW_DRIP:
                self._drip(reply.data)
            case Fault.HUGE:
                self._transport.write(self._dialect.prefix(HUGE_BYTES, "application/json"))
                self._rest = HUGE_BYTES
                self._stream()
            case _:
                self._send(reply.data, close=reply.close)

    def _send(self, data: bytes, *, close: bool = True) -> None:
        self._transport.write(data)
        if close:
            self._transport.close()

    def _drip(self, data: bytes) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(data[:1])
        if len(data) == 1:
            self._transport.close()
        else:
            asyncio.get_running_loop().call_later(self._board.drip_interval, self._drip, data[1:])

    def _stream(self) -> None:
        """Send the rest of a huge answer as long as the reader keeps up."""
        while self._rest and not self._paused and not self._transport.is_closing():
            chunk = _CHUNK[: self._rest]
            self._rest -= len(chunk)
            self._transport.write(chunk)
            if not self._rest:
                self._transport.close()


class Listeners:
    """Listening sockets for the rigs: one each, or with ``wildcard`` one per port for all."""

    def __init__(self, board: Switchboard, *, wildcard: bool) -> None:
        self._board = board
        self._wildcard = wildcard
        self._servers: dict[str, list[asyncio.Server]] = {}
        self._mutes: dict[str, list[socket.socket]] = {}

    async def show(self, machine: Machine) -> None:
        """Let the rig be heard, silent or closed, as its fault has it. Raises SimulationError where a port is taken."""
        self._board.hang_up([machine.address])
        if machine.fault is Fault.UNPLUGGED:
            self._close(machine.address)
            self._silence(machine.address)
        elif machine.fault is Fault.REFUSED:
            self._close(machine.address)
        else:
            self._unmute(machine.address)
            await self._open(machine.address)

    async def close_all(self) -> None:
        """Close everything and wait until it is closed."""
        servers = [server for servers in self._servers.values() for server in servers]
        self._servers.clear()
        for server in servers:
            server.close()
        for address in list(self._mutes):
            self._unmute(address)
        self._board.hang_up(self._board.conversations)
        for server in servers:
            await server.wait_closed()

    async def _open(self, address: str) -> None:
        host = _ANY if self._wildcard else address
        servers = self._servers.setdefault(host, [])
        listening = {server.sockets[0].getsockname()[1] for server in servers}
        loop = asyncio.get_running_loop()
        for port in self._board.dialects[address]:
            if port not in listening:
                sock = listen(host, port, shared=self._wildcard)
                servers.append(await loop.create_server(lambda: Conversation(self._board), sock=sock, backlog=_BACKLOG))

    def _close(self, address: str) -> None:
        self._unmute(address)
        for server in self._servers.pop(address, ()):
            server.close()

    def _silence(self, address: str) -> None:
        """Leave attempts to connect unanswered, as those to a machine without power are.

        A queue for one connection that is full, and never served, makes Linux drop all others. A socket of the rig's
        own address goes before the wildcard's.
        """
        for port in self._board.dialects[address]:
            queue = listen(address, port, backlog=0, shared=self._wildcard)
            filler = socket.create_connection((address, port))
            self._mutes.setdefault(address, []).extend((queue, filler))

    def _unmute(self, address: str) -> None:
        for sock in self._mutes.pop(address, ()):
            sock.close()


def listen(host: str, port: int, *, backlog: int = _BACKLOG, shared: bool = False) -> socket.socket:
    """Make a listening socket; a ``shared`` one lets this process listen on more specific addresses beside it.

    Raises SimulationError with one sentence for the operator.
    """
    if shared and host == _ANY:
        listen(host, port).close()  # else we would share the port with a stranger too
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.setblocking(False)
        sock.bind((host, port))
        sock.listen(backlog)
    except OSError as error:
        sock.close()
        raise SimulationError(_explain(error, host, port)) from error
    return sock


def _explain(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is taken by another process: stop that one, or choose another network or port"
    if error.errno == errno.EACCES:
        return f"port {port} of {host} may not be bound by this user"
    if error.errno == errno.EMFILE:
        return "too many open files: raise the limit (ulimit -n) or simulate fewer rigs"
    return f"cannot listen on port {port} of {host}: {os.strerror(error.errno or 0)}"


def can_listen(host: str, port: int) -> bool:
    """Tell whether this user may bind that port there; one that is merely taken counts as allowed."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        try:
            sock.bind((host, port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return True
