"""Records what a rig answers to every harmless question we know, as a fixture that can be sent to us."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from exporter import __version__
from exporter.model.failures import Failure, Reason
from exporter.model.readings import RigIdentity
from exporter.sources.rigs.contract import Target
from exporter.sources.rigs.firmware import antminer, braiins_rest
from exporter.sources.rigs.reader import Miners
from exporter.sources.rigs.transport import (
    RPC_PORT,
    Exchanged,
    LengthPrefixed,
    OtherPage,
    exchange,
    listener,
    parse_json,
    rpc,
)
from exporter.sources.rigs.web import DigestSession, get_value
from exporter.tools.redact import redacted, redacted_text

QUESTION_SECONDS: Final = 5.0
_V3_PORT: Final = 4433
_MOST_TEXT: Final = 20_000  # bytes of an answer that is no JSON

RPC_COMMANDS: Final = (
    *("version", "summary", "stats", "estats", "pools", "devs", "edevs", "devdetails", "coin", "config", "notify"),
    *("summary+devs+pools", "get_version", "get_error_code", "get_miner_info", "get_psu", "status"),
    *("power", "temps", "fans", "tempctrl", "tunerstatus", "profiles", "limits", "psuget", "events"),
    *("voltageget 0", "healthchipget 0", "healthchipget 1", "healthchipget 2", "healthchipget 3"),
)
"""Commands of cgminer and its descendants that only read, some with their parameter."""

WEB_PAGES: Final = (
    *("/api/system/info", "/api/system/asic", "/api/v1/info", "/api/v1/model", "/api/v1/summary", "/api/v1/status"),
    *("/api/v1/perf-summary", "/api/v1/chains", "/api/v1/chains/factory-info", "/api/v1/metrics", braiins_rest.VERSION),
    *("/cgi-bin/get_system_info.cgi", "/cgi-bin/summary.cgi", "/cgi-bin/stats.cgi", "/cgi-bin/pools.cgi"),
    *("/cgi-bin/miner_type.cgi", "/cgi-bin/get_blink_status.cgi"),
)
"""Pages on port 80 that only read."""

EPIC_PAGES: Final = (
    *(
        "/summary",
        "/capabilities",
        "/network",
        "/hashrate",
        "/temps",
        "/temps/chip",
        "/clocks",
        "/voltages",
        "/hwconfig",
    ),
)
"""Pages that ePIC's firmware serves where others have cgminer's commands."""

BRAIINS_PAGES: Final = (
    *("/api/v1/miner/details", "/api/v1/miner/stats", "/api/v1/miner/hw/hashboards", "/api/v1/miner/errors"),
    *("/api/v1/cooling/state", "/api/v1/performance/tuner-state", "/api/v1/performance/mode"),
    *("/api/v1/actions/locate", "/api/v1/network/", "/api/v1/pools/"),
)
"""Pages on port 80 that only read, behind the login of Braiins' REST API."""

V3_COMMANDS: Final = (
    ("get.device.info", ""),
    ("get.miner.status", "summary"),
    ("get.miner.status", "edevs"),
    ("get.miner.status", "pools"),
    ("get.miner.setting", ""),
)
"""Commands of Whatsminer's API V3 that only read."""

_NOBODY: Final = RigIdentity(reader="", make="unknown", model="unknown")

_Ask = Callable[[], Awaitable[Any]]
_ABSENT: Final = frozenset({Reason.UNREACHABLE, Reason.REFUSED})


async def capture(target: Target, progress: Callable[[], None]) -> tuple[str, dict[str, Any]]:
    """Ask everything, one question at a time, telling ``progress`` of each.

    Returns the file's name, after make, model, firmware, version and day, and its content. Raises Failure where nothing
    answers.
    """
    address = target.address
    answers = {
        "rpc": await _all({command: _rpc(address, command) for command in RPC_COMMANDS}, progress),
        "http": await _all({page: _page(target, page) for page in WEB_PAGES}, progress),
        "epic": await _all({page: _epic(address, page) for page in EPIC_PAGES}, progress),
        "v3": await _all({f"{name} {what}".strip(): _v3(address, name, what) for name, what in V3_COMMANDS}, progress),
    }
    reader, served = braiins_rest.Reader(), braiins_rest.VERSION in answers["http"]
    pages = {page: _braiins(reader, target, page, served=served) for page in BRAIINS_PAGES}
    answers["http"] |= await _all(pages, progress)
    answered = {kind: redacted(given, address) for kind, given in answers.items() if given}
    try:
        who = await _identity(target)
    except Failure:
        if not answered:
            raise
        who = _NOBODY
    day = datetime.now(UTC).date().isoformat()
    name = " ".join(filter(None, (who.make, who.model, who.firmware, who.firmware_version, day)))
    provenance = f"captured from {name} with hashmargin {__version__}; what is private is removed"
    return f"{_slug(name)}.json", {"reader": who.reader, "provenance": provenance, **answered}


def questions() -> int:
    """How many questions a capture asks at most."""
    return len(RPC_COMMANDS) + len(WEB_PAGES) + len(EPIC_PAGES) + len(V3_COMMANDS) + len(BRAIINS_PAGES)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:120]


async def _all(asked: Mapping[str, _Ask], progress: Callable[[], None]) -> dict[str, Any]:
    """Ask one after the other; where nobody listens the rest is not asked."""
    answers: dict[str, Any] = {}
    listens = True
    for name, ask in asked.items():
        progress()
        if not listens:
            continue
        heard: list[Exchanged] = []
        told = listener.set(heard.append)
        try:
            async with asyncio.timeout(QUESTION_SECONDS):
                answers[name] = await ask()
        except TimeoutError:
            continue
        except Failure as failure:
            listens = bool(answers) or failure.reason not in _ABSENT
            said = heard[-1].answer if heard else failure
            if failure.reason is Reason.GARBLED and not isinstance(failure, OtherPage) and isinstance(said, bytes):
                answers[name] = _as_it_came(said)
        finally:
            listener.reset(told)
    return answers


def _as_it_came(answer: bytes) -> Any:
    """What no reader can make sense of: JSON of another shape, else the text itself."""
    try:
        return orjson.loads(answer)
    except ValueError:
        return redacted_text(answer[:_MOST_TEXT].decode("utf-8", "replace"))


def _rpc(address: str, command: str) -> _Ask:
    return lambda: rpc(address, *command.split(" "))


def _page(target: Target, page: str) -> _Ask:
    return lambda: DigestSession(target.address, target.credentials or antminer.FACTORY_LOGIN).get_json(page)


def _braiins(reader: braiins_rest.Reader, target: Target, page: str, *, served: bool) -> _Ask:
    """Log in only to what has Braiins' REST API."""

    async def ask() -> object:
        if not served:
            raise Failure(Reason.REFUSED, "it has no such API")
        return await reader.page(target, page)

    return ask


def _epic(address: str, page: str) -> _Ask:
    return lambda: get_value(address, page, port=RPC_PORT)


def _v3(address: str, command: str, parameter: str) -> _Ask:
    question = json.dumps({"cmd": command, "param": parameter} if parameter else {"cmd": command}).encode()

    async def ask() -> Mapping[str, Any]:
        length = len(question).to_bytes(4, "little")
        return parse_json(await exchange(address, _V3_PORT, length + question, LengthPrefixed()))

    return ask


async def _identity(target: Target) -> RigIdentity:
    async with Miners() as miners:
        return await miners.identify(target)
