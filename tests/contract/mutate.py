"""Hostile versions of recorded answers: values of wrong types and sizes, missing parts, broken bytes."""

import copy
import json
import random
from typing import Any, Final

ODD: Final[tuple[Any, ...]] = (
    *(None, True, False, "", "n/a", [], {}, [[[]]] * 40, {"": {"": None}}, ["a", 1, None], {"a": [1]}),
    *(0, -1, 1, 10**25, -(10**25), 2**63, 1e30, 1e308, -1e308, 1e-320, float("nan"), float("inf"), float("-inf")),
    *("nan", "inf", "-inf", "1e400", "0x10", "1_000", "1,5", "\uff19", "9" * 5_000, "x" * 100_000),
    *("\x00\x1b[31m" * 50, "\ud800", "é\u202e", '"}\n# HELP', "2026-02-30", "9999-12-31T23:59:59Z", "0001-01-01"),
)
_MOST_CHANGES: Final = 4


def mutated(document: Any, chance: random.Random) -> Any:
    """Return a copy of a JSON document in which one to four parts are something else, or missing."""
    changed = copy.deepcopy(document)
    for _ in range(chance.randint(1, _MOST_CHANGES)):
        places = list(_places(changed))
        if not places:
            return chance.choice(ODD)
        holder, key = chance.choice(places)
        match chance.randrange(4):
            case 0 if isinstance(holder, dict):
                del holder[key]
            case 1:
                other, place = chance.choice(places)
                holder[key] = copy.deepcopy(other[place])
            case _:
                holder[key] = copy.deepcopy(chance.choice(ODD))
    return changed


def mutated_bytes(body: bytes, chance: random.Random) -> bytes:
    """Return the bytes with some changed, cut, doubled, or replaced by hostile text."""
    for _ in range(chance.randint(1, _MOST_CHANGES)):
        start = chance.randint(0, len(body))
        end = min(len(body), start + chance.randint(0, 40))
        odd = json.dumps(chance.choice(ODD)).encode()[:200]
        body = body[:start] + chance.choice((b"", odd, body[start:end] * 2, chance.randbytes(4))) + body[end:]
    return body


def _places(value: Any) -> Any:
    """Yield each holder and key within a document."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(pairs):
        yield value, key
        yield from _places(inner)
