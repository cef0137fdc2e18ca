"""What a poll costs beyond its floor: to connect, send, read, close and parse, with nothing made of the answers.

CPU time, as :mod:`tests.bench.bench_poll` measures it, and instructions, which do not depend on what else the machine
does.
"""

import asyncio
import json
import re
import sys
from collections.abc import Callable
from functools import cache, partial

import orjson
import uvloop

from exporter.model.fleet import Credentials
from exporter.sources.rigs import transport
from exporter.sources.rigs.contract import Target
from exporter.sources.rigs.firmware import antminer, whatsminer_v2
from exporter.sources.rigs.reader import Miners
from exporter.sources.rigs.transport import Exchanged, listener
from tests.bench.bench_poll import FAMILIES, Poll, child, line, ours
from tests.bench.counted import counts, section, why_not
from tests.bench.machine import TIMEOUT
from tests.bench.result import Result

_POLLS = 20
_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class _Question(asyncio.Protocol):
    """One request, and all that comes until the page is complete or the rig closes."""

    def __init__(self, request: bytes, answer: asyncio.Future[bytes]) -> None:
        self._request = request
        self._answer = answer
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(self._request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._received += data
        length = _LENGTH.search(self._received)
        if length and len(self._received) >= self._received.index(_HEAD_END) + len(_HEAD_END) + int(length[1]):
            self.connection_lost(None)

    def connection_lost(self, _error: Exception | None) -> None:
        if not self._answer.done():
            self._answer.set_result(bytes(self._received))


async def floor(addresses: list[str]) -> Poll:
    """Ask what our reader asks, and parse it."""
    asked = {address: await questions(address) for address in addresses}
    loop = asyncio.get_running_loop()

    async def poll(address: str) -> None:
        for port, request in asked[address]:
            answer: asyncio.Future[bytes] = loop.create_future()
            transport, _ = await loop.create_connection(partial(_Question, request, answer), address, port)
            received = await answer
            transport.close()
            head, _, body = received.partition(_HEAD_END)
            orjson.loads((body or head).rstrip(b"\0\r\n "))

    return poll


async def questions(address: str) -> list[tuple[int, bytes]]:
    """Return the port and the bytes of each request of one of our reads."""
    heard: list[Exchanged] = []
    async with Miners() as miners:
        target = Target(address, Credentials("root", "root"))
        identity = await miners.identify(target)
        await miners.read(target, identity)
        listener.set(heard.append)
        await miners.read(target, identity)
        listener.set(None)
    return [(each.port, each.request) for each in heard]


async def _count(family: str, addresses: list[str]) -> None:
    """Poll within counted sections."""
    for name, contender in (("ours", ours), ("floor", floor)):
        poll = await contender(addresses)
        for address in addresses:
            await poll(address)
        with section(f"{family} {name}"):
            for number in range(_POLLS):
                await poll(addresses[number % len(addresses)])


async def _count_all(rigs: dict[str, list[str]]) -> None:
    for family, addresses in rigs.items():
        await _count(family, addresses)


@cache
def instructions() -> dict[str, dict[str, float]]:
    """Instructions per poll of the rigs of each family, by contender. Those of the kernel are not counted."""
    with child("site") as site:
        found = counts("tests.bench.bench_floor", line(site))
    costs = {family: {name: found[f"{family} {name}"] / _POLLS for name in ("ours", "floor")} for family in FAMILIES}
    for family, figures in costs.items():
        print(
            f"{family}, instructions per poll: {', '.join(f'{k} {v:,.0f}' for k, v in figures.items())}",
            file=sys.stderr,
        )
    return costs


def ratio(family: str) -> Callable[[], Result]:
    def bench() -> Result:
        if reason := why_not():
            raise SystemExit(reason)
        costs = instructions()[family]
        return Result(costs["ours"] / costs["floor"], "ratio", "connect, send, read, close, parse")

    return bench


BENCHES = {f"poll_instructions_{family}": ratio(family) for family in FAMILIES}

if __name__ == "__main__":
    for module, timeout in (
        (transport, "CONNECT_SECONDS"),
        (antminer, "_WEB_TIMEOUT"),
        (whatsminer_v2, "_EXTRA_TIMEOUT"),
    ):
        setattr(module, timeout, TIMEOUT)  # callgrind takes fifty times as long
    uvloop.run(_count_all(json.loads(sys.argv[1])))
