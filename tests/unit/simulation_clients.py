"""What the simulation's tests share: a clock to drive, networks, and the rigs' protocols."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from own_network import fresh_network

from exporter.simulation.market import SLOT_SECONDS
from exporter.simulation.site import SimulatedSite

NOW = 1_774_130_400.0  # 21 March 2026, 22:00 UTC: an afternoon in Texas


@dataclass
class Clock:
    """A clock that stands until it is moved."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now


def free_network(blocks: int = 1) -> str:
    """A network for that many blocks, each in a /24, and one for services."""
    return fresh_network(24 - blocks.bit_length())


@asynccontextmanager
async def simulated(
    *models: str, clock: Callable[[], float] | None = None, **options: Any
) -> AsyncIterator[SimulatedSite]:
    """A site of just these models in one block, without troubles."""
    options = {"troubles": False, "network": free_network(), "slot_seconds": SLOT_SECONDS} | options
    async with SimulatedSite(models=models, clock=clock or Clock(), **options) as site:
        yield site


def address(site: SimulatedSite, number: int = 0) -> str:
    """Where a rig of the site is."""
    return site.placements[number].address


def rig(site: SimulatedSite, number: int = 0) -> str:
    """What a rig of the site is called."""
    return site.placements[number].name


async def exchange(host: str, port: int, request: bytes) -> bytes:
    """Send a request, and give all that comes until the connection ends."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(request)
        return await reader.read()
    finally:
        writer.close()


async def rpc(host: str, command: str) -> Any:
    """Ask a cgminer."""
    answer = await exchange(host, 4028, json.dumps({"command": command}).encode())
    return json.loads(answer.rstrip(b"\0"))


async def rpc_v3(host: str, command: str, parameter: str | None = None) -> Any:
    """Ask a Whatsminer with API V3."""
    body = json.dumps({"cmd": command} | ({"param": parameter} if parameter else {})).encode()
    reader, writer = await asyncio.open_connection(host, 4433)
    try:
        writer.write(len(body).to_bytes(4, "little") + body)
        length = int.from_bytes(await reader.readexactly(4), "little")
        return json.loads(await reader.readexactly(length))
    finally:
        writer.close()
