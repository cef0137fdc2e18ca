"""Records a rig's answers to every question of every reader, as a fixture that can be sent to us."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from exporter import __version__
from exporter.model.failures import Failure, Reason
from exporter.model.readings import RigIdentity
from exporter.polling.guard import Guard
from exporter.polling.settings import IDENTIFY_SECONDS
from exporter.sources.rigs.contract import HasSecondProbe, LogsIn, NativeReader, Questions, Target
from exporter.sources.rigs.firmware import native_readers
from exporter.sources.rigs.reader import Miners
from exporter.sources.rigs.transport import Exchanged, LengthPrefixed, OtherPage, exchange, listener, parse_json, rpc
from exporter.sources.rigs.web import get_value
from exporter.tools.redact import redacted, redacted_text

QUESTION_SECONDS: Final = 5.0
_V3_PORT: Final = 4433
_MOST_TEXT: Final = 20_000  # bytes of an answer that is not JSON

_BESIDE_READERS: Final = Questions(
    rpc=(
        *("edevs", "coin", "notify", "limits", "devs", "config", "estats", "litestats", "temps", "fans", "tunerstatus"),
    ),
    pages={
        80: ("/api/system/asic", "/api/v1/model", "/api/v1/chains", "/api/v1/metrics", "/cgi-bin/pools.cgi"),
        4028: ("/hashrate", "/clocks", "/voltages", "/hwconfig"),
    },
)
"""Questions that only read and that no reader asks: the answers of firmware that no reader knows yet."""

_UNIDENTIFIED: Final = RigIdentity(reader="", make="unknown", model="unknown")

_Ask = Callable[[], Awaitable[Any]]
_ABSENT: Final = frozenset({Reason.UNREACHABLE, Reason.REFUSED})


def _questions() -> dict[str, list[str]]:
    """Return every question: commands under ``rpc`` and ``v3``, paths under their port. Joined ones come last."""
    asked: dict[str, dict[str, None]] = {"rpc": {}, "v3": {}}
    declared = [*(reader.firmware.questions for reader in native_readers().values()), _BESIDE_READERS]
    for questions in declared:
        for kind, commands in (("rpc", questions.rpc), ("v3", questions.v3)):
            asked[kind] |= dict.fromkeys(one for command in commands for one in _parts(command))
        for port, paths in questions.pages.items():
            asked.setdefault(str(port), {}).update(dict.fromkeys(paths))
    joined = {command: None for questions in declared for command in questions.rpc if "+" in command}
    return {kind: [*dict.fromkeys((*commands, *(joined if kind == "rpc" else ())))] for kind, commands in asked.items()}


def _parts(command: str) -> Iterable[str]:
    """Split a joined command into those that it joins, each with the name before the parameters."""
    name, _, parameter = command.rpartition(" ")
    return (f"{name} {part}".strip() for part in parameter.split("+"))


async def capture(target: Target, progress: Callable[[], None]) -> tuple[str, dict[str, Any]]:
    """Ask everything, one question at a time, and call ``progress`` for each.

    Returns the file's name, made of make, model, firmware, version and day, and its content. Raises Failure if nothing
    answers.
    """
    asked = _questions()
    answers: dict[str, dict[str, Any]] = {
        "rpc": await _all({command: _rpc(target.address, command) for command in asked.pop("rpc")}, progress),
        "v3": await _all({command: _v3(target.address, command) for command in asked.pop("v3")}, progress),
    }
    logged_in = await _logged_in(target)
    pages = {
        port: await _all({path: _page(target, int(port), path, logged_in) for path in paths}, progress)
        for port, paths in asked.items()
    }
    answers["http"] = {port: given for port, given in pages.items() if given}
    answered = {kind: redacted(given, target.address) for kind, given in answers.items() if given}
    try:
        async with Miners() as miners:
            who = await Guard().ask(miners.identify(target), IDENTIFY_SECONDS)
    except Failure:
        if not answered:
            raise
        who = _UNIDENTIFIED
    day = datetime.now(UTC).date().isoformat()
    name = " ".join(filter(None, (who.make, who.model, who.firmware, who.firmware_version, day)))
    provenance = f"captured from {name} with hashmargin {__version__}; what is private is removed"
    joined = {"joined": True} if any("+" in command for command in answers["rpc"]) else {}
    return f"{_slug(name)}.json", {"reader": who.reader, "provenance": provenance, **joined, **answered}


def questions() -> int:
    """Return how many questions a capture asks at most."""
    return sum(map(len, _questions().values()))


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:120]


async def _logged_in(target: Target) -> dict[tuple[int, str], LogsIn]:
    """Return the reader that logs in to each page; one that posts a login only if the rig has its firmware."""
    pages: dict[tuple[int, str], LogsIn] = {}
    for reader in native_readers().values():
        asked = reader.firmware.questions
        if isinstance(reader, LogsIn) and (not asked.login or await _is(reader, target)):
            declared = ((port, path) for port, paths in asked.pages.items() for path in paths)
            pages |= {each: reader for each in declared if each not in pages}
    return pages


async def _is(reader: NativeReader, target: Target) -> bool:
    probes = (reader.probe, *((reader.second_probe,) if isinstance(reader, HasSecondProbe) else ()))
    for probe in probes:
        with suppress(Failure, TimeoutError):
            async with asyncio.timeout(QUESTION_SECONDS):
                if reader.recognises(await probe(target.address)):
                    return True
    return False


async def _all(asked: Mapping[str, _Ask], progress: Callable[[], None]) -> dict[str, Any]:
    """Ask one after the other; if nothing listens, skip the rest."""
    answers: dict[str, Any] = {}
    listens = True
    for name, ask in asked.items():
        progress()
        if not listens:
            continue
        exchanges: list[Exchanged] = []
        token = listener.set(exchanges.append)
        try:
            async with asyncio.timeout(QUESTION_SECONDS):
                answers[name] = await ask()
        except TimeoutError:
            continue
        except Failure as failure:
            listens = bool(answers) or failure.reason not in _ABSENT
            answer = exchanges[-1].answer if exchanges else failure
            if failure.reason is Reason.GARBLED and not isinstance(failure, OtherPage) and isinstance(answer, bytes):
                answers[name] = _as_it_came(answer)
        finally:
            listener.reset(token)
    return answers


def _as_it_came(answer: bytes) -> Any:
    """Return an answer that no reader can parse: JSON of another shape, else the text itself."""
    try:
        return orjson.loads(answer)
    except ValueError:
        return redacted_text(answer[:_MOST_TEXT].decode("utf-8", "replace"))


def _rpc(address: str, command: str) -> _Ask:
    return lambda: rpc(address, *command.split(" "))


def _page(target: Target, port: int, path: str, logged_in: Mapping[tuple[int, str], LogsIn]) -> _Ask:
    reader = logged_in.get((port, path))
    if reader is not None:
        return lambda: reader.page(target, path)
    return lambda: get_value(target.address, path, port=port)


def _v3(address: str, command: str) -> _Ask:
    name, _, parameter = command.partition(" ")
    question = json.dumps({"cmd": name, "param": parameter} if parameter else {"cmd": name}).encode()

    async def ask() -> Mapping[str, Any]:
        length = len(question).to_bytes(4, "little")
        return parse_json(await exchange(address, _V3_PORT, length + question, LengthPrefixed()))

    return ask
