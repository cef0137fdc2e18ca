"""Plays a rig's recorded answers back over real sockets, on the ports that its firmware uses."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from own_network import OWN, fresh_network

from exporter.simulation.site import SimulatedSite

NETWORK = f"{OWN}.2"  # a /24
REFUSAL: Mapping[str, Any] = {
    "STATUS": [{"STATUS": "E", "Code": 14, "Msg": "Invalid command", "Description": "cgminer"}],
    "id": 1,
}
"""What cgminer answers to a command that it does not have. A fixture has its own as ``refusal`` if it differs."""
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Replay:
    """What is played, and what was asked for."""

    fixture: Mapping[str, Any]
    asked: list[str] = field(default_factory=list)

    async def rpc(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = json.loads(await reader.read(4096))
        command = " ".join(filter(None, (request.get("command") or request.get("cmd"), request.get("parameter"))))
        self.asked.append(command)
        answers = self.fixture["rpc"]
        parts = command.split("+")
        refusal = self.fixture.get("refusal", REFUSAL)
        if len(parts) == 1:
            answer = answers.get(command, refusal)
        elif self.fixture.get("joined"):
            answer = {part: [answers.get(part, refusal)] for part in parts} | {"id": 1}
        else:
            answer = refusal
        writer.write((answer if isinstance(answer, str) else json.dumps(answer)).encode() + b"\0")

    async def http(self, port: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readexactly(1)
        if not head.isalpha():
            return  # not HTTP: closed, as web servers do
        head += await reader.readuntil(b"\r\n\r\n")
        method, path, _ = head.decode().split(" ", 2)
        self.asked.append(f"{method} {path}")
        if said := re.search(rb"content-length: *(\d+)", head, re.IGNORECASE):
            await reader.readexactly(int(said[1]))  # what is left unread resets the connection
        page = self.fixture["http"][port].get(path, "")
        body = page.encode() if isinstance(page, str) else json.dumps(page).encode()
        status = "404 Not Found" if page == "" else "200 OK"
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)

    async def v3(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length = int.from_bytes(await reader.readexactly(4), "little")
        request = json.loads(await reader.readexactly(length))
        command = f"{request['cmd']} {request.get('param') or ''}".strip()
        self.asked.append(command)
        refusal = {"code": -1, "msg": "invalid"}
        first, *joined = command.split("+")  # in the rig's own order, whatever was asked first
        name = command.partition(" ")[0]
        parts = [self.fixture["v3"].get(part, refusal) for part in (first, *(f"{name} {part}" for part in joined))]
        answer = (
            parts[0] if not joined else {"code": 0, "msg": {k: v for part in parts for k, v in part["msg"].items()}}
        )
        body = json.dumps(answer).encode()
        writer.write(len(body).to_bytes(4, "little") + body)


@asynccontextmanager
async def replaying(address: str, fixture: Mapping[str, Any]) -> AsyncIterator[Replay]:
    """Serve a fixture at an address until the block ends."""
    replay = Replay(fixture)
    handlers: dict[int, Handler] = {int(port): partial(replay.http, port) for port in fixture.get("http", {})}
    handlers |= {4028: replay.rpc} if "rpc" in fixture else {}
    handlers |= {4433: replay.v3} if "v3" in fixture else {}

    def closing(answer: Handler) -> Handler:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(ConnectionError, ValueError, asyncio.IncompleteReadError):
                await answer(reader, writer)
                await writer.drain()
            writer.close()

        return handle

    async with AsyncExitStack() as stack:
        for port, answer in handlers.items():
            server = await asyncio.start_server(closing(answer), address, port)
            stack.callback(server.close)
        yield replay


@asynccontextmanager
async def simulated_site(rigs: int = 0, models: Sequence[str] = (), **options: Any) -> AsyncIterator[SimulatedSite]:
    """Serve a simulated site without troubles."""
    async with SimulatedSite(
        rigs, models=models, network=fresh_network(), troubles=False, control_port=0, **options
    ) as site:
        yield site
