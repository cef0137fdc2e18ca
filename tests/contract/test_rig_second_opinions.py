"""Native readers against pyasic and asic-rs over the same answers: they agree, or here stands who is right and why."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
import pytest_asyncio
from rig_replay import NETWORK, replaying, simulated_site

from exporter.model.failures import Failure
from exporter.model.fleet import Credentials
from exporter.model.readings import RigIdentity, RigReading
from exporter.sources.rigs.contract import Target
from exporter.sources.rigs.pyasic_reader import PyasicReader
from exporter.sources.rigs.reader import Miners

pytestmark = pytest.mark.asyncio(loop_scope="module")

HERE = Path(__file__).parent
FIXTURES = HERE.parent / "fixtures" / "rigs"
MARKET_DAY = 1_774_051_200.0
TOLERANCE = 0.01
SIMULATED = {
    "antminer": "Antminer S19j Pro",
    "whatsminer_v2": "Whatsminer M50S++",
    "whatsminer_v3": "Whatsminer M60S",
    "bitaxe": "BitAxe Gamma",
}
REPLAYED = ("luxos", "vnish", "epic", "braiins", "braiins_rest", "avalon")
NOTHING = "it cannot read this rig at all"

# Where a rival differs from us: the fields, and who is right. Everything else agrees within the tolerance.
ACTIVE_SHARES = "we: the rig counts shares for all its pools together, so they stand with the pool in use"
PYASIC: Mapping[str, Mapping[str, str]] = {
    "whatsminer_v3": {NOTHING: "we: it separates V2 from V3 by an answer on port 4028, which a V3 rig does not serve"},
    "bitaxe": {
        "power": "we: it rounds to whole watts, 1 % of a BitAxe",
        "pools": "we: it has none for AxeOS",
        "workers": "we: the same",
        "active": "we: the same",
        "accepted": "we: the same",
        "api_version": "we: it repeats the web interface's version",
    },
    "vnish": {
        "power": "we: it reads it behind a login that the page does not need",
        "pools": "we: it loses all pools over an address without a scheme, which is how VNish writes them",
        "workers": "we: the same",
        "active": "we: the same",
        "accepted": "we: the same",
    },
    "epic": {
        "board_hashrates": "we: it loses all boards over one field that is not served",
        "chips": "we: the same",
        "fans": "we: it takes a slot without a fan for one that does not say its speed",
        "workers": "both: it gives the login with the address that the rig appends, we the configured one",
        "voltages": "both: it lists the board that is switched off, which we report as a fault",
        "board_serials": "both: the same",
    },
    "braiins": {
        "expected_hashrate": "we: it asks gRPC only, which is not on",
        "power": "we: the same",
        "fans": "we: the same",
        "board_hashrates": "we: the same",
        "chips": "we: the same",
        "pools": "we: the same",
        "workers": "we: the same",
        "active": "we: the same",
        "accepted": "we: the same",
    },
    "braiins_rest": {NOTHING: "we: it asks port 4028 for model and hashrate, whatever else the rig serves"},
    "avalon": {"power": "we: it knows it of builds that write WALLPOWER only"},
}
ASIC_RS: Mapping[str, Mapping[str, str]] = {
    "whatsminer_v2": {
        "board_hashrates": "we: it gives the average since start beside a realised total",
        "fluid": "we: it takes the air around the rig for its fluid",
    },
    "whatsminer_v3": {NOTHING: "we: it finds no rig that answers on port 4433 only"},
    "bitaxe": {
        "accepted": ACTIVE_SHARES,
        "api_version": "we: it repeats the firmware's version",
        "voltages": "we: it gives the supply's for the chips'",
    },
    "luxos": {"board_serials": "we: it goes by the order of rows, which say of what board they are"},
    "vnish": {
        "expected_hashrate": "we: it gives the stock firmware's figure, not that of the preset in force",
        "uptime": "we: it gives that of the system, in minutes",
        "chips": "we: the rig says how many chips are in which state",
        "pools": "we: it lists the developer's fee as a pool",
        "workers": "we: the same",
        "active": "we: 'working' is a pool that would work, as the rig's own cgminer API says",
        "accepted": "we: the fee's shares again",
        "api_version": "we: it repeats the firmware's version",
        "board_serials": "we: it gives none",
    },
    "epic": {
        "expected_hashrate": "we: it gives the default of the model, not what the clocks in force make",
        "board_hashrates": "both: it lists the board that is switched off, which we report as a fault",
        "chips": "it: it knows how many chips the model has; the rig does not say",
        "workers": "both: it gives the login with the address that the rig appends, we the configured one",
        "board_expected": "both: the board that is switched off again",
        "frequencies": "both: the same",
        "voltages": "both: the same",
        "board_serials": "both: the same",
    },
    "braiins": {NOTHING: "we: it asks GraphQL and REST only"},
    "avalon": {
        "power": "we: it gives what the supply puts out, by Canaan's manual, not what it draws",
        "board_hashrates": "we: it gives the average since start beside a realised total",
        "chips": "both: it leaves out the chip that does no work, which we report as failed",
    },
    "braiins_rest": {
        "hashrate": "both: it gives the last 5 seconds, we the last minute",
        "board_hashrates": "both: the same",
        "expected_hashrate": "we: it gives the sticker's figure, not that of the target in force",
        "uptime": "both: it gives that of the system, we that of the miner process",
    },
}


# Values that few rivals report. Where one has no value, there is nothing to compare.
DETAILS = frozenset(
    {
        *("api_version", "board_serials", "board_expected", "frequencies", "voltages"),
        *("power_supply_fan", "best_share", "fault_light", "fluid"),
    }
)


def comparable(identity: RigIdentity, reading: RigReading) -> dict[str, Any]:
    serials = dict(identity.board_serials)
    return {
        "hashrate": reading.hashrate,
        "expected_hashrate": reading.expected_hashrate,
        "power": reading.power,
        "uptime": reading.uptime,
        "fans": [fan.rpm for fan in reading.fans],
        "board_hashrates": [board.hashrate for board in reading.boards],
        "chips": [board.chips for board in reading.boards],
        "pools": [pool.host for pool in reading.pools],
        "workers": [pool.worker for pool in reading.pools],
        "active": [pool.active for pool in reading.pools],
        "accepted": [pool.accepted for pool in reading.pools],
        "api_version": identity.api_version or None,
        "board_serials": [serials.get(board.index) for board in reading.boards],
        "board_expected": [board.expected_hashrate for board in reading.boards],
        "frequencies": [board.frequency for board in reading.boards],
        "voltages": [board.voltage for board in reading.boards],
        "power_supply_fan": reading.power_supply and reading.power_supply.fan_rpm,
        "best_share": reading.best_share,
        "fault_light": reading.fault_light,
        "fluid": dict(reading.temperatures).get("fluid"),
    }


def silent(said: Any) -> bool:
    return said is None or (isinstance(said, list) and all(map(silent, said)))


def same(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(ours, float) and isinstance(theirs, float | int):
        return ours == pytest.approx(theirs, rel=TOLERANCE)
    return bool(ours == theirs)


def differing(ours: Mapping[str, Any], theirs: Mapping[str, Any] | None) -> set[str]:
    if theirs is None:
        return {NOTHING}
    return {
        field
        for field, value in ours.items()
        if not same(value, theirs[field]) and not (field in DETAILS and silent(theirs[field]))
    }


def with_pages_for_rivals(pages: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Serve what asic-rs asks of Braiins OS+ beside our pages: GraphQL first, and pages without a slash at the end."""
    who = {"bosminer": {"info": {"modelName": model}}}
    version = {"bos": {"info": {"version": {"full": pages["/api/v1/miner/details"]["bos_version"]["current"]}}}}
    return {**pages, **{path.rstrip("/"): page for path, page in pages.items()}, "/graphql": {"data": who | version}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rigs() -> AsyncIterator[dict[str, Target]]:
    """One rig of each firmware, whose answers do not change while they are compared."""
    async with AsyncExitStack() as stack:
        site = await stack.enter_async_context(
            simulated_site(models=list(SIMULATED.values()), clock=lambda: MARKET_DAY)
        )
        found = dict(zip(SIMULATED, (machine.address for machine in site.machines.values()), strict=True))
        for number, name in enumerate(REPLAYED):
            found[name] = f"{NETWORK}.{number + 20}"
            fixture = json.loads((FIXTURES / f"{name}.json").read_text())
            if name == "braiins_rest":
                fixture["http"]["80"] = with_pages_for_rivals(fixture["http"]["80"], "Antminer S19J Pro")
            await stack.enter_async_context(replaying(found[name], fixture))
        yield {name: Target(address, Credentials("root", "root")) for name, address in found.items()}


async def natively(target: Target) -> dict[str, Any]:
    async with Miners() as miners:
        identity = await miners.identify(target)
        return comparable(identity, await miners.read(target, identity))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pyasic() -> AsyncIterator[PyasicReader]:
    reader = PyasicReader(read_deadline=4.0, identify_deadline=10.0)
    yield reader
    await reader.close()


async def by_pyasic(reader: PyasicReader, target: Target) -> dict[str, Any] | None:
    try:
        identity = await reader.identify(target)
        return comparable(identity, await reader.read(target, identity))
    except Failure:
        return None


@asynccontextmanager
async def http_proxy() -> AsyncIterator[str]:
    """Serve a proxy that connects as our own readers do: to another port where this user may not bind port 80."""

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            method, url, rest = head.split(" ", 2)
            where = urlsplit(url)
            answers, rig = await asyncio.open_connection(where.hostname, where.port or 80)
            rig.write(f"{method} {urlunsplit(('', '', where.path, where.query, ''))} {rest}".encode())
            copying = asyncio.create_task(copy(reader, rig))
            # Rigs close after an answer; said before, no further question is sent on a connection that is about to end.
            writer.write(await answers.readuntil(b"\r\n") + b"Connection: close\r\n")
            await copy(answers, writer)
            copying.cancel()
            rig.close()
        writer.close()

    server = await asyncio.start_server(relay, f"{NETWORK}.1", 0)
    try:
        yield "http://{}:{}".format(*server.sockets[0].getsockname())
    finally:
        server.close()  # since Python 3.12, waiting for it would be waiting for connections that nobody ends


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while part := await reader.read(65_536):
            writer.write(part)
            await writer.drain()


async def by_asicrs(target: Target) -> dict[str, Any] | None:
    command = (sys.executable, str(HERE / "rig_asicrs.py"), target.address)
    async with http_proxy() as proxy:  # of all programs here only this one, in Rust, opens its sockets below Python
        environ = {**os.environ, "HTTP_PROXY": proxy, "http_proxy": proxy, "NO_PROXY": "", "no_proxy": ""}
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env=environ)
        output, _ = await process.communicate()
    said: dict[str, Any] | None = json.loads(output)
    return said


async def opinion(
    ask: Callable[[], Awaitable[dict[str, Any] | None]], known: Mapping[str, str]
) -> dict[str, Any] | None:
    """Ask a rival, a second and third time where it gave up on a rig that it can read: its own time-outs are short."""
    for _ in range(1 if NOTHING in known else 3):
        said = await ask()
        if said is not None:
            return said
    return None


@pytest.mark.parametrize("firmware", [*SIMULATED, *REPLAYED])
async def test_pyasic_agrees(rigs: dict[str, Target], pyasic: PyasicReader, firmware: str) -> None:
    known = PYASIC.get(firmware, {})
    ours = await natively(rigs[firmware])
    theirs = await opinion(lambda: by_pyasic(pyasic, rigs[firmware]), known)
    assert differing(ours, theirs) == set(known), (ours, theirs)


@pytest.mark.parametrize("firmware", [*SIMULATED, *REPLAYED])
async def test_asic_rs_agrees(rigs: dict[str, Target], firmware: str) -> None:
    known = ASIC_RS.get(firmware, {})
    ours = await natively(rigs[firmware])
    theirs = await opinion(lambda: by_asicrs(rigs[firmware]), known)
    assert differing(ours, theirs) == set(known), (ours, theirs)
