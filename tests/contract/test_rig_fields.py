"""Every field of a fixture's answers is read, or stands in its ``not_read`` with the reason why not.

``not_read`` maps a name, in which ``*`` stands for anything, to the reason. A field's name is the keys
on the way to it; a number in a key is ``#``, as in ``STATS / # Speed`` for ``0 Speed`` and ``1 Speed``.
"""

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from rig_replay import NETWORK, replaying

from exporter.model.fleet import Credentials
from exporter.sources.rigs import transport, web
from exporter.sources.rigs.contract import Target
from exporter.sources.rigs.firmware import whatsminer_v3
from exporter.sources.rigs.reader import Miners

FIXTURES = sorted((Path(__file__).parent.parent / "fixtures" / "rigs").glob("*.json"))
LISTED = {path.stem: fixture for path in FIXTURES if "not_read" in (fixture := json.loads(path.read_text()))}
CGMINER = {
    "POOLS / *": {
        "POOL": "the pools' order",
        "Priority": "the pools' order",
        "Quota": "how load is shared between pools; it shows in their shares",
        "Stratum URL": "the same as URL",
        "Proxy*": "how a pool is reached",
        "Long Poll": "of a protocol that no pool speaks any more",
        "Has *": "what a pool's protocol can do",
        "*Getworks": "pieces of work, of no use",
        "Works": "pieces of work, of no use",
        "Bad Work": "pieces of work, of no use",
        "*Failures": "requests that failed, which show as a pool that is down",
        "Current Block *": "the network's block",
        "Diff# Shares": "the sum of accepted and rejected difficulty",
        "Difficulty Stale": "no metric counts it",
        "Difficulty *": "the rig's own totals are given",
        "Discarded": "the rig's own total is given",
        "Best Share": "the rig's own is given",
        "Last Share Difficulty": "chance",
        "Work Difficulty": "the same as Stratum Difficulty",
        "*%": "a ratio of counters that are given",
    },
    "SUMMARY / *": {
        "Elapsed": "given elsewhere too",
        "Accepted": "the sum of the pools'",
        "Rejected": "the sum of the pools'",
        "Stale": "the sum of the pools'",
        "*%": "a ratio of counters that are given",
        "*Utility": "a ratio of counters that are given",
        "Total MH": "reckoned from the shares, which are given",
        "Get*": "pieces of work, of no use",
        "Last getwork": "pieces of work, of no use",
        "Local Work": "pieces of work, of no use",
        "*Failures": "requests that failed, which show as a pool that is down",
        "Network Blocks": "the network's blocks",
        "Found Blocks": "too rare to be of use",
        "Difficulty Stale": "no metric counts it",
    },
    "STATS / *": dict.fromkeys(("STATS", "Calls", "Wait", "Max", "Min"), "cgminer's own calls"),
}
"""What no reader reads in sections that all descendants of cgminer have, and why."""
COMMON = {section.replace("*", key): why for section, keys in CGMINER.items() for key, why in keys.items()}
NUMBER = re.compile(r"\d+")


@pytest.mark.parametrize("firmware", LISTED)
async def test_every_field_is_read_or_not_for_a_reason(firmware: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fixture = LISTED[firmware]
    read: set[str] = set()

    def watching(parsed: Any, names: tuple[str, ...] = ()) -> Any:
        if isinstance(parsed, dict):
            return Noting({key: watching(value, (*names, key)) for key, value in parsed.items()}, names, read)
        return [watching(value, names) for value in parsed] if isinstance(parsed, list) else parsed

    def parse(content: bytes) -> Any:
        return watching(transport_parse(content))

    transport_parse = transport.parse_json
    for module in (transport, web, whatsminer_v3):
        monkeypatch.setattr(module, "parse_json", parse)
    address = f"{NETWORK}.{39 - len(firmware)}"
    async with Miners() as miners, replaying(address, fixture):
        login = Credentials(*fixture["login"]) if "login" in fixture else None
        identity = await miners.identify(Target(address, login))
        await miners.read(Target(address, login), identity)
        await miners.points(Target(address, login), identity)
    assert identity.reader == fixture["reader"]
    fields = set(names_of(fixture))
    reasons = fixture["not_read"]
    unread = {name for name in fields - read if not any(fnmatchcase(name, pattern) for pattern in (*reasons, *COMMON))}
    assert sorted(unread) == [], "read them, or give the reason in not_read"
    stale = {pattern for pattern in reasons if not any(fnmatchcase(name, pattern) for name in fields - read)}
    assert sorted(stale) == [], "these reasons are of no field that is not read"


class Noting(dict[str, Any]):
    """A JSON object that notes the names of the keys that are looked up in it."""

    def __init__(self, content: dict[str, Any], names: tuple[str, ...], read: set[str]) -> None:
        super().__init__(content)
        self._names = names
        self._read = read

    def _note(self, key: str) -> None:
        self._read.add(name((*self._names, key)))

    def __getitem__(self, key: str) -> Any:
        self._note(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self._note(key)
        return super().get(key, default)

    def items(self) -> Any:
        for key in self:
            self._note(key)
        return super().items()

    def values(self) -> Any:
        for key in self:
            self._note(key)
        return super().values()


def name(names: tuple[str, ...]) -> str:
    """Name a field by the keys on the way to it."""
    # Any JSON is read as the value of an object, and a joined answer has each command's under its name.
    joined = len(names) > 1 and names[0].islower() and names[1].isupper()
    own = names[1:] if names[0] == "value" or joined else names
    return NUMBER.sub("#", " / ".join(own))


def names_of(fixture: dict[str, Any]) -> Iterator[str]:
    """Give the names of all fields in the fixture's answers, but for those of cgminer's envelope."""
    answers = [*fixture.get("rpc", {}).values(), *fixture.get("v3", {}).values()]
    answers += [answer for pages in fixture.get("http", {}).values() for answer in pages.values()]
    for answer in answers:
        for found in fields(answer):
            if found != "id" and not found.startswith("STATUS"):
                yield found


def fields(value: Any, names: tuple[str, ...] = ()) -> Iterator[str]:
    if isinstance(value, dict):
        for key, child in value.items():
            yield from fields(child, (*names, key))
    elif isinstance(value, list) and any(isinstance(child, dict | list) for child in value):
        for child in value:
            yield from fields(child, names)
    elif names:
        yield name(names)
