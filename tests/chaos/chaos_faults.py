"""The faults of the chaos run, each a context: it begins with the block and has ended after it."""

import asyncio
import os
import random
import resource
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from exporter.simulation.faults import Fault
from exporter.simulation.service import SourceFault

_FLOOD: Final = str(Path(__file__).parent / "chaos_flood.py")
_IDLE: Final = 600
_FEW_DESCRIPTORS: Final = 64
_SMALL_FILE: Final = 4_096  # bytes


class Plant:
    """The simulated site, through its control port. Half of its blocks are never made to fail."""

    def __init__(self, control: str, session: aiohttp.ClientSession) -> None:
        self._control = control
        self._session = session
        self.state: dict[str, Any] = {}

    async def load(self) -> None:
        """Read which rigs, blocks and sources there are."""
        async with self._session.get(f"{self._control}/") as answer:
            self.state = await answer.json()

    @property
    def blocks(self) -> list[str]:
        return sorted(self.state["blocks"])

    @property
    def failing_blocks(self) -> list[str]:
        return self.blocks[::2]

    @property
    def healthy(self) -> set[str]:
        """The rigs that are never made to fail, and that were well at the start."""
        failing = set(self.failing_blocks)
        rigs = self.state["rigs"].items()
        return {name for name, rig in rigs if rig["block"] not in failing and rig["fault"] is None}

    async def put(self, path: str, **body: object) -> None:
        """Switch something at the control port."""
        async with self._session.post(f"{self._control}/{path}", json=body) as answer:
            if answer.status != 200:
                raise RuntimeError(await answer.text())


Faulty = Callable[[], AbstractAsyncContextManager[None]]


def rig_faults(plant: Plant, chance: random.Random) -> Faulty:
    @asynccontextmanager
    async def fault() -> AsyncIterator[None]:
        for block in plant.failing_blocks:
            await plant.put("faults", block=block, fault=chance.choice([*Fault]))
        yield
        for block in plant.failing_blocks:
            await plant.put("faults", block=block, fault=None)

    return fault


def source_faults(plant: Plant, chance: random.Random) -> Faulty:
    @asynccontextmanager
    async def fault() -> AsyncIterator[None]:
        for name in plant.state["sources"]:
            await plant.put("sources", name=name, fault=chance.choice([*SourceFault]))
        yield
        for name in plant.state["sources"]:
            await plant.put("sources", name=name, fault=None)

    return fault


def market_lies(plant: Plant, chance: random.Random) -> Faulty:
    @asynccontextmanager
    async def fault() -> AsyncIterator[None]:
        async with plant._session.get(f"{plant._control}/") as answer:
            before = (await answer.json())["bitcoin_usd"]
        await plant.put("bitcoin", usd=before * chance.choice([1000, 0.001, 3]))
        await plant.put("power", usd_per_megawatt_hour=chance.choice([-5_000, 0, 9_000, 1e9]))
        yield
        await plant.put("bitcoin", usd=before)
        await plant.put("power", usd_per_megawatt_hour=None)

    return fault


def _flooding(*arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, _FLOOD, *arguments], stdout=subprocess.PIPE)


def flood(url: str, paths: tuple[str, ...], chance: random.Random, login: bool = False) -> Faulty:
    """Sixty clients that request without a pause, see ``chaos_flood.py``."""

    @asynccontextmanager
    async def fault() -> AsyncIterator[None]:
        arguments = (url, ",".join(paths), str(chance.randrange(2**32)), str(int(login)))
        with _flooding(*arguments) as process:
            assert process.stdout is not None
            await asyncio.to_thread(process.stdout.readline)  # it has begun
            try:
                yield
            finally:
                process.kill()

    return fault


def connections(url: str, first_bytes: bytes) -> Faulty:
    """Hundreds of connections that send ``first_bytes`` and then nothing, and read nothing."""
    parts = urlsplit(url)

    @asynccontextmanager
    async def fault() -> AsyncIterator[None]:
        opened = []

        def connect() -> None:
            for _ in range(_IDLE):
                with suppress(OSError):
                    connection = socket.create_connection((parts.hostname, parts.port), 2, ("127.0.0.9", 0))
                    connection.setblocking(False)
                    opened.append(connection)
                    connection.send(first_bytes)

        await asyncio.to_thread(connect)  # which waits for the server, and must not delay the scrapes
        yield
        for connection in opened:
            connection.close()

    return fault


def few_descriptors(pid: Callable[[], int]) -> Faulty:
    @asynccontextmanager
    async def fault() -> AsyncIterator[None]:
        process = pid()
        before = resource.prlimit(process, resource.RLIMIT_NOFILE)
        taken = len(list(Path(f"/proc/{process}/fd").iterdir()))
        resource.prlimit(process, resource.RLIMIT_NOFILE, (taken + _FEW_DESCRIPTORS, before[1]))
        yield
        with suppress(ProcessLookupError):
            resource.prlimit(process, resource.RLIMIT_NOFILE, before)

    return fault


def state_moved_away(path: Path) -> Faulty:
    @asynccontextmanager
    async def fault() -> AsyncIterator[None]:
        with suppress(FileNotFoundError):
            path.rename(path.with_suffix(".away"))
        yield

    return fault


class Host:
    """The clock and the name servers of the exporter's host, see ``chaos_host.py``."""

    def __init__(self, setting: Path) -> None:
        self.setting = setting
        self.turned = 0.0
        """When the clock was set last (monotonic)."""
        self._facts: dict[str, float] = {"ahead": 0.0, "dns_hangs": 0}
        self.change()

    @property
    def ahead(self) -> float:
        """Seconds that its clock is ahead of ours."""
        return self._facts["ahead"]

    def change(self, **facts: float) -> None:
        """Set the clock, or let name servers hang."""
        if facts.get("ahead", self.ahead) != self.ahead:
            self.turned = time.monotonic()
        self._facts |= facts
        with self.setting.open("r+b" if self.setting.exists() else "wb") as file:
            file.write(struct.pack("2d", self._facts["ahead"], self._facts["dns_hangs"]))


def clock_that_is_set(host: Host, chance: random.Random) -> Faulty:
    @asynccontextmanager
    async def fault() -> AsyncIterator[None]:
        host.change(ahead=chance.choice([3_600.0, -3_600.0, 86_400.0, -86_400.0, 0.5]))
        yield
        host.change(ahead=0.0)

    return fault


def names_that_hang(host: Host) -> Faulty:
    @asynccontextmanager
    async def fault() -> AsyncIterator[None]:
        host.change(dns_hangs=1)
        yield
        host.change(dns_hangs=0)

    return fault


def full_disk(pid: Callable[[], int]) -> Faulty:
    """No file of the process can grow."""

    @asynccontextmanager
    async def fault() -> AsyncIterator[None]:
        process = pid()
        before = resource.prlimit(process, resource.RLIMIT_FSIZE)
        resource.prlimit(process, resource.RLIMIT_FSIZE, (_SMALL_FILE, before[1]))
        yield
        with suppress(ProcessLookupError):
            resource.prlimit(process, resource.RLIMIT_FSIZE, before)

    return fault


def bursts_of_hup(pid: Callable[[], int]) -> Faulty:
    @asynccontextmanager
    async def fault() -> AsyncIterator[None]:
        for _ in range(50):
            os.kill(pid(), signal.SIGHUP)
            await asyncio.sleep(0.01)
        yield

    return fault
