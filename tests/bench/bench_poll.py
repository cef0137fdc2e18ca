"""CPU per poll of one rig: ours against pyasic's full poll, asic-rs and the floor, of the same rigs in the same run.

The floor is to connect within a deadline, send, read, close and parse, with nothing made of the answers. The deadline
is ours, the cheapest that we know: no client can do without one.

The simulated site and each contender are processes of their own; compared is each contender's own CPU time, user
and system, over rounds that take turns. Ours includes a stock Antminer's web pages at their share of one read in ten,
and keeps connections as the exporter does; beside the floor it does neither. A Whatsminer's power supply is asked at
every second poll, also by the floor.
pyasic runs as its users run it, on asyncio's own loop, with sniffio; the table shows it without, and on uvloop too.
"""

import asyncio
import contextlib
import json
import logging
import math
import re
import subprocess
import sys
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator
from functools import cache, partial
from importlib.metadata import version
from typing import Any

import orjson
import uvloop

from exporter.model.fleet import Credentials
from exporter.simulation.site import SimulatedSite
from exporter.sources.rigs.contract import Target
from exporter.sources.rigs.fast_timeout import FastTimeout
from exporter.sources.rigs.reader import Miners
from exporter.sources.rigs.seldom import Seldom
from exporter.sources.rigs.transport import CONNECT_SECONDS, Exchanged, listener
from tests.bench.result import Result

FAMILIES = {"antminer": "Antminer S19j Pro", "whatsminer": "Whatsminer M50S++", "bitaxe": "BitAxe Gamma"}
RIGS = 4
WARM_UP = 20
ROUNDS = 15
POLLS = {
    "ours": 200,
    "ours without web pages": 200,
    "floor": 200,
    "pyasic": 30,
    "pyasic without sniffio": 30,
    "pyasic on uvloop": 30,
    "asicrs": 200,
}
POLLS_PER_WEB_VISIT = 10
POLLS_PER_SUPPLY = 2
NETWORK = "127.40.192.0/20"
RIVALS = {"pyasic": f"pyasic {version('pyasic')}", "asicrs": f"asic-rs {version('pyasic-rs')}"}
FLOOR = "connect, send, read, close, parse"
_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)

Poll = Callable[[str], Awaitable[None]]


# --- processes ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def child(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = (sys.executable, "-W", "ignore", "-m", "tests.bench.bench_poll", *arguments)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@cache
def measured() -> dict[str, dict[str, float]]:
    """CPU milliseconds per poll, by family and contender; the least of the rounds, for other work only adds to it."""
    with child("site") as site:
        addresses: dict[str, list[str]] = json.loads(line(site))
        costs = {family: family_costs(where) for family, where in addresses.items()}
    for family, figures in costs.items():
        print(f"{family}, CPU ms per poll: {', '.join(f'{k} {v:.3f}' for k, v in figures.items())}", file=sys.stderr)
    return costs


def family_costs(addresses: list[str]) -> dict[str, float]:
    with contextlib.ExitStack() as stack:
        contenders = {name: stack.enter_context(child("contender", name, *addresses)) for name in POLLS}
        rounds = [{name: round_cost(process) for name, process in contenders.items()} for _ in range(ROUNDS)]
    return {name: min(figures[name] for figures in rounds) for name in POLLS}


def round_cost(process: subprocess.Popen[str]) -> float:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    return float(line(process))


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    said = process.stdout.readline()
    if not said:
        raise RuntimeError("a process of the bench ended early")
    return said


# --- what runs in them ----------------------------------------------------------------------------------------------


async def site() -> None:
    models = [model for model in FAMILIES.values() for _ in range(RIGS)]
    async with SimulatedSite(
        models=models, network=NETWORK, troubles=False, control_port=0, port_offset=37_000
    ) as shown:
        rigs = [machine.address for machine in shown.machines.values()]
        print(json.dumps({family: rigs[n * RIGS :][:RIGS] for n, family in enumerate(FAMILIES)}), flush=True)
        await asyncio.Event().wait()


async def ours(addresses: list[str], *, web_pages: bool = True, most_kept: int = RIGS) -> Poll:
    miners = Miners(most_kept=most_kept)
    targets = {address: Target(address, Credentials("root", "root")) for address in addresses}
    identities = {address: await miners.identify(target) for address, target in targets.items()}
    visits = getattr(miners._native["antminer"], "_web", {})
    for visit in visits.values():
        visit.due = math.inf
    supplies = _supplies(miners)
    polls = 0

    async def poll(address: str) -> None:
        nonlocal polls
        polls += 1
        if polls % POLLS_PER_SUPPLY == 0:
            supplies.forget(address)
        if web_pages and polls % POLLS_PER_WEB_VISIT == 0 and address in visits:
            visits[address].due = 0.0
        reading = await miners.read(targets[address], identities[address])
        assert reading.hashrate > 0

    return poll


def _supplies(miners: Miners) -> Seldom[Any]:
    """What is kept of the Whatsminers' power supplies."""
    supplies: Seldom[Any] = vars(miners._native["whatsminer_v2"])["_supplies"]
    return supplies


async def ours_without_web_pages(addresses: list[str]) -> Poll:
    return await ours(addresses, web_pages=False, most_kept=0)


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
        body_at = self._received.find(_HEAD_END) + len(_HEAD_END)
        length = _LENGTH.search(self._received, 0, body_at)
        if length and len(self._received) >= body_at + int(length[1]):
            self.connection_lost(None)

    def connection_lost(self, _error: Exception | None) -> None:
        if not self._answer.done():
            self._answer.set_result(bytes(self._received))


async def floor(addresses: list[str]) -> Poll:
    """Ask what our reader asks, and parse it."""
    asked = {address: await _questions(address) for address in addresses}
    loop = asyncio.get_running_loop()
    polls = 0

    async def poll(address: str) -> None:
        nonlocal polls
        polls += 1
        usual, all_questions = asked[address]
        for port, request in usual if polls % POLLS_PER_SUPPLY else all_questions:
            answer: asyncio.Future[bytes] = loop.create_future()
            with FastTimeout(CONNECT_SECONDS):
                transport, _ = await loop.create_connection(partial(_Question, request, answer), address, port)
            received = await answer
            transport.close()
            head, _, body = received.partition(_HEAD_END)
            orjson.loads((body or head).rstrip(b"\0\r\n "))

    return poll


async def _questions(address: str) -> tuple[list[tuple[int, bytes]], list[tuple[int, bytes]]]:
    """Return the port and the bytes of each request of one of our reads, without and with the power supply."""
    heard: list[Exchanged] = []
    async with Miners() as miners:
        target = Target(address, Credentials("root", "root"))
        identity = await miners.identify(target)
        await miners.read(target, identity)
        listener.set(heard.append)
        await miners.read(target, identity)
        usual = [(each.port, each.request) for each in heard]
        heard.clear()
        _supplies(miners).forget(address)
        await miners.read(target, identity)
        listener.set(None)
    return usual, [(each.port, each.request) for each in heard]


async def pyasic(addresses: list[str]) -> Poll:
    import pyasic as library  # noqa: PLC0415 - only this contender's process loads it
    from pyasic.miners.data import DataOptions  # noqa: PLC0415

    logging.disable(logging.CRITICAL)
    miners: dict[str, Any] = {address: await library.get_miner(address) for address in addresses}

    async def poll(address: str) -> None:
        data = await miners[address].get_data(exclude=[DataOptions.CONFIG])
        assert float(data.hashrate) > 0

    return poll


async def pyasic_bare(addresses: list[str]) -> Poll:
    sys.modules["sniffio"] = None  # type: ignore[assignment]
    return await pyasic(addresses)


async def asicrs(addresses: list[str]) -> Poll:
    from pyasic_rs import MinerFactory  # noqa: PLC0415

    miners: dict[str, Any] = {address: await MinerFactory().get_miner(address) for address in addresses}

    async def poll(address: str) -> None:
        data = await miners[address].get_data()
        assert data.hashrate is not None

    return poll


CONTENDERS: dict[str, Callable[[list[str]], Awaitable[Poll]]] = {
    "ours": ours,
    "ours without web pages": ours_without_web_pages,
    "floor": floor,
    "pyasic": pyasic,
    "pyasic without sniffio": pyasic_bare,
    "pyasic on uvloop": pyasic,
    "asicrs": asicrs,
}


async def contend(contender: str, addresses: list[str]) -> None:
    poll = await CONTENDERS[contender](addresses)
    for number in range(WARM_UP):
        await poll(addresses[number % len(addresses)])
    while sys.stdin.readline():
        started = time.process_time()
        for number in range(POLLS[contender]):
            await poll(addresses[number % len(addresses)])
        print((time.process_time() - started) / POLLS[contender] * 1000, flush=True)


# --- the figures ----------------------------------------------------------------------------------------------------


def ratio(family: str, rival: str) -> Callable[[], Result]:
    def bench() -> Result:
        costs = measured()[family]
        return Result(costs[rival] / costs["ours"], "ratio", RIVALS[rival])

    return bench


def over_floor(family: str) -> Callable[[], Result]:
    def bench() -> Result:
        costs = measured()[family]
        return Result(costs["ours without web pages"] / costs["floor"], "ratio", FLOOR)

    return bench


BENCHES: dict[str, Callable[[], Result]] = {
    f"poll_cpu_ratio_{family}{suffix}": ratio(family, rival)
    for family in FAMILIES
    for rival, suffix in (("pyasic", ""), ("asicrs", "_asicrs"))
} | {f"poll_floor_{family}": over_floor(family) for family in FAMILIES}

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if sys.argv[1] == "site":
        uvloop.run(site())
    elif sys.argv[2] in {"pyasic", "pyasic without sniffio"}:
        asyncio.run(contend(sys.argv[2], sys.argv[3:]))
    else:
        uvloop.run(contend(sys.argv[2], sys.argv[3:]))
