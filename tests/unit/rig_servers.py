"""Small real servers that stand for rigs: good ones, and ones that fail in one way."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from typing import Any

from own_network import OWN

NETWORK = f"{OWN}.1"  # a /24
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(address: str, port: int, handler: Handler) -> AsyncIterator[list[asyncio.StreamWriter]]:
    """Serve, give the connections made so far, and end them all."""
    writers: list[asyncio.StreamWriter] = []
    tasks: set[asyncio.Task[None]] = set()

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        writers.append(writer)
        with suppress(ConnectionError, asyncio.CancelledError):
            await handler(reader, writer)
        tasks.discard(task)
        writer.close()

    server = await asyncio.start_server(run, address, port)
    try:
        yield writers
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0)


@contextmanager
def unplugged(address: str, port: int) -> Iterator[int]:
    """Listen and accept nobody, and give the port: what a dropped SYN looks like on loopback."""
    with socket.socket() as listener, ExitStack() as held:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(0)
        for _ in range(3):
            one = held.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def cgminer(answers: Mapping[str, Any]) -> Handler:
    """A rig that answers one cgminer command per connection and refuses those it does not know."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        command = json.loads(await reader.read(4096))["command"]
        refusal = {"STATUS": [{"STATUS": "E", "Code": 14, "Msg": "Invalid command"}], "id": 1}
        writer.write(json.dumps(answers.get(command, refusal)).encode() + b"\0")
        await writer.drain()

    return handle


def joining(answers: Mapping[str, Any], asked: list[str] | None = None) -> Handler:
    """A rig that answers joined commands too, and notes what it is asked."""
    refusal = {"STATUS": [{"STATUS": "E", "Code": 14, "Msg": "Invalid command"}]}

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = json.loads(await reader.read(4096))
        command = " ".join(filter(None, (request["command"], request.get("parameter"))))
        if asked is not None:
            asked.append(command)
        answer = answers.get(command, refusal)
        if "+" in command:
            answer = {part: [answers.get(part, refusal)] for part in command.split("+")} | {"id": 1}
        writer.write(json.dumps(answer).encode() + b"\0")
        await writer.drain()

    return handle


def saying(content: bytes) -> Handler:
    """A rig that answers anything with the same bytes, then closes."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(content)
        await writer.drain()

    return handle


async def hanging(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept, and never say a word."""
    while await reader.read(4096):
        pass


async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close at once."""


async def resetting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reset the connection when asked."""
    await reader.read(4096)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def flooding(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer 100 MB."""
    await reader.read(4096)
    for _ in range(1600):
        writer.write(b"[" + b" " * 65_535)
        await writer.drain()


async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer a byte at a time for ever."""
    await reader.read(4096)
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.05)


def antminer(**changes: Any) -> dict[str, Any]:
    """Answers of a stock S19j Pro; ``changes`` replace keys of the second object of ``stats`` or the summary."""
    status = [{"STATUS": "S", "When": 1_774_051_200, "Code": 11, "Msg": "Summary", "Description": "cgminer 1.0.0"}]
    chain: dict[str, Any] = {"total_rateideal": 100_000.0, "rate_unit": "GH", "fan_num": 4, "Elapsed": 86_400}
    for index in (1, 2, 3):
        chain |= {f"chain_rate{index}": "33100.5", f"chain_acn{index}": 126, f"temp_pcb{index}": "60-58-61-59"}
        chain |= {f"temp_chip{index}": "70-69-72-71", f"chain_hw{index}": 10, f"chain_acs{index}": "oooo oooo"}
    chain |= {f"fan{index}": 5000 + index for index in (1, 2, 3, 4)}
    summary: dict[str, Any] = {"Elapsed": 86_400, "GHS 5s": "99301.50", "GHS av": 99_250.25, "GHS 30m": 99_280.0}
    summary |= {"Hardware Errors": 30, "Difficulty Accepted": 2_000_000_000.0, "Accepted": 4000, "Rejected": 7}
    pool = {"POOL": 0, "URL": "stratum+tcp://pool.example:3333", "User": "acme.a-01", "Status": "Alive"}
    pool |= {"Stratum Active": True, "Accepted": 4000, "Rejected": 7, "Stale": 2, "Priority": 0}
    for key, value in changes.items():
        section = summary if key in summary or key.startswith("GHS") else chain
        section[key] = value
    kind = {"BMMiner": "1.0.0", "Miner": "uart_trans.1.3", "CompileTime": "Fri Jan 5", "Type": "Antminer S19j Pro"}
    return {
        "version": {"STATUS": status, "VERSION": [{"API": "3.1", **kind}], "id": 1},
        "stats": {"STATUS": status, "STATS": [kind, chain], "id": 1},
        "summary": {"STATUS": status, "SUMMARY": [summary], "id": 1},
        "pools": {"STATUS": status, "POOLS": [pool], "id": 1},
    }
