"""The sockets of the simulated rigs: one conversation per connection, with all faults of a socket.

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
    """The site cannot be simulated here. The message gives the reason and a remedy."""


class Reply(NamedTuple):
    """An answer in bytes. ``asked`` is the question in a word or two, for counting."""

    data: bytes
    asked: str
    close: bool = True


class Dialect(Protocol):
    """A protocol of a firmware on a port."""

    def take(self, received: bytearray) -> Any:
        """Remove one whole request from the received bytes and return it. None if it is incomplete."""
        ...

    def answer(self, machine: Machine, request: Any, now: float) -> Reply:
        """Answer a request of a machine."""
        ...

    def prefix(self, length: int, content_type: str) -> bytes:
        """Return the bytes before a body of that length."""
        ...


class Line(NamedTuple):
    """The machine and the protocol at an address and port."""

    machine: Machine
    dialect: Dialect


@dataclass(slots=True, kw_only=True)
class Switchboard:
    """What all conversations share: the lines, the clock, and the questions so far."""

    clock: Callable[[], float]
    lines: Mapping[tuple[str, int], Line]
    requests: Counter[str] = field(default_factory=Counter)
    drip_interval: float = 1.0  # s between the bytes of a slow drip
    conversations: defaultdict[str, set["Conversation"]] = field(default_factory=lambda: defaultdict(set))

    def hang_up(self, rigs: Iterable[str]) -> None:
        """Close all conversations with these rigs."""
        for rig in list(rigs):
            for conversation in list(self.conversations.pop(rig, ())):
                conversation.reset()


class Conversation(asyncio.Protocol):
    """One connection to a rig."""

    __slots__ = ("_board", "_line", "_paused", "_received", "_rest", "_transport")

    def __init__(self, board: Switchboard) -> None:
        self._board = board
        self._received = bytearray()
        self._paused = False
        self._rest = 0  # bytes of a huge answer that are still to be sent
        self._line: Line | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Find the rig by the local address."""
        self._transport = cast("asyncio.Transport", transport)
        line = self._board.lines.get(transport.get_extra_info("sockname")[:2])
        if line is None or line.machine.fault in {Fault.UNPLUGGED, Fault.REFUSED}:
            self.reset()
            return
        self._line = line
        self._board.conversations[line.machine.name].add(self)
        if line.machine.fault is Fault.CLOSE_AT_ONCE:
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio gives it
        """Forget the connection."""
        if self._line is not None and (others := self._board.conversations.get(self._line.machine.name)):
            others.discard(self)

    def data_received(self, data: bytes) -> None:
        """Collect a request and answer it, with the rig's fault."""
        line = self._line
        if line is None or line.machine.fault is Fault.HUNG:
            return
        self._received += data
        while not self._transport.is_closing() and (request := line.dialect.take(self._received)) is not None:
            self._answer(line, request)
        if len(self._received) > _LONGEST_REQUEST:
            self._transport.abort()

    def pause_writing(self) -> None:
        """Pause a huge answer for a slow reader."""
        self._paused = True

    def resume_writing(self) -> None:
        """Continue a huge answer."""
        self._paused = False
        self._stream()

    def reset(self) -> None:
        """Break the connection with a TCP reset."""
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _answer(self, line: Line, request: Any) -> None:
        reply = line.dialect.answer(line.machine, request, self._board.clock())
        self._board.requests[reply.asked] += 1
        match line.machine.fault:
            case Fault.RESET:
                self.reset()
            case Fault.GARBAGE:
                self._send(GARBAGE)
            case Fault.TRUNCATED:
                self._send(reply.data[: len(reply.data) // 2])
            case Fault.HTML:
                self._send(line.dialect.prefix(len(PAGE), "text/html") + PAGE)
            case Fault.NEVER_CLOSES:
                self._send(reply.data, close=False)
            case Fault.SLOW_DRIP:
                self._drip(reply.data)
            case Fault.HUGE:
                self._transport.write(line.dialect.prefix(HUGE_BYTES, "application/json"))
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
        """Send the rest of a huge answer while the reader keeps up."""
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
        self._servers: defaultdict[str, dict[int, asyncio.Server]] = defaultdict(dict)  # by rig or _ANY, then port
        self._mutes: defaultdict[str, list[socket.socket]] = defaultdict(list)  # by rig
        self._ports: defaultdict[str, list[int]] = defaultdict(list)  # by rig
        for (_, port), line in board.lines.items():
            self._ports[line.machine.name].append(port)

    async def show(self, machine: Machine) -> None:
        """Open, silence or close the rig's sockets by its fault. Raises SimulationError if a port is in use."""
        self._board.hang_up([machine.name])
        self._unmute(machine.name)
        if machine.fault is Fault.UNPLUGGED:
            self._close(machine.name)
            self._silence(machine)
        elif machine.fault is Fault.REFUSED:
            self._close(machine.name)
        else:
            await self._open(machine)

    async def close_all(self) -> None:
        """Close everything and wait until it is closed."""
        servers = [server for servers in self._servers.values() for server in servers.values()]
        for rig in list(self._servers):
            self._close(rig)
        for rig in list(self._mutes):
            self._unmute(rig)
        self._board.hang_up(self._board.conversations)
        for server in servers:
            await server.wait_closed()

    async def _open(self, machine: Machine) -> None:
        servers = self._servers[_ANY if self._wildcard else machine.name]
        loop = asyncio.get_running_loop()
        for port in self._ports[machine.name]:
            if port not in servers:
                sock = listen(_ANY if self._wildcard else machine.address, port, shared=self._wildcard)
                servers[port] = await loop.create_server(lambda: Conversation(self._board), sock=sock, backlog=_BACKLOG)

    def _close(self, rig: str) -> None:
        for server in self._servers.pop(rig, {}).values():
            server.close()

    def _silence(self, machine: Machine) -> None:
        """Leave attempts to connect unanswered, as those to a machine without power are.

        A queue for one connection that is full, and never served, makes Linux drop all others. A socket of the rig's
        own address goes before the wildcard's.
        """
        for port in self._ports[machine.name]:
            self._mutes[machine.name].append(listen(machine.address, port, backlog=0, shared=self._wildcard))
            self._mutes[machine.name].append(socket.create_connection((machine.address, port)))

    def _unmute(self, rig: str) -> None:
        for sock in self._mutes.pop(rig, ()):
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
    except OverflowError as error:
        sock.close()
        raise SimulationError(f"{port} is no port: they go up to 65535") from error
    except OSError as error:
        sock.close()
        raise SimulationError(_explain(error, host, port)) from error
    return sock


def _explain(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE and host == _ANY:
        return f"port {port} is taken by another process, and a site of so many rigs needs it on all addresses"
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is taken by another process: stop that one, or choose another network or port"
    if error.errno == errno.EACCES:
        return f"port {port} of {host} may not be bound by this user"
    if error.errno == errno.EMFILE:
        return "too many open files: raise the limit (ulimit -n) or simulate fewer rigs"
    return f"cannot listen on port {port} of {host}: {os.strerror(error.errno or 0)}"


def can_listen(host: str, port: int) -> bool:
    """Return whether this user may bind the port. A port already in use counts as allowed."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        try:
            sock.bind((host, port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return True
