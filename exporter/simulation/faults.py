"""Faults of a simulated rig, and the JSON that a faulty firmware writes."""

import json
from collections.abc import Iterator
from enum import StrEnum
from itertools import cycle
from typing import Any, Final


class Fault(StrEnum):
    """One fault of a rig at a time, from its physics up to its sockets."""

    # The machine itself; it answers as such a machine does.
    STOPPED = "stopped"
    HOT = "hot"
    BOARD_LOST = "board_lost"
    FAN_LOST = "fan_lost"
    OTHER_MAC = "other_mac"
    POOLS_DEAD = "pools_dead"
    WORKER_RENAMED = "worker_renamed"
    # What it answers.
    LYING = "lying"
    WRONG_TYPES = "wrong_types"
    NAN = "nan"
    NEGATIVE = "negative"
    WRONG_ENCODING = "wrong_encoding"
    AUTH_REFUSED = "auth_refused"
    REDIRECT = "redirect"
    # How it answers, or does not.
    UNPLUGGED = "unplugged"
    REFUSED = "refused"
    HUNG = "hung"
    CLOSE_AT_ONCE = "close_at_once"
    RESET = "reset"
    SLOW_DRIP = "slow_drip"
    NEVER_CLOSES = "never_closes"
    GARBAGE = "garbage"
    TRUNCATED = "truncated"
    HTML = "html"
    HUGE = "huge"


LIE: Final = 1000.0
"""How many times too much a lying rig claims."""

HUGE_BYTES: Final = 100 * 1024 * 1024
"""Size of a huge answer."""

GARBAGE: Final = bytes(range(128, 256)) * 4
"""An answer in no protocol and no character set."""

PAGE: Final = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>\r\n"

_UNTOUCHED: Final = frozenset({"STATUS", "id", "When", "when", "Code", "code", "cmd", "desc"})
_WRONG: Final[tuple[Any, ...]] = ("n/a", None, [], {}, True, "")
_NOT_FINITE: Final = (float("nan"), float("inf"), float("-inf"))
_NEGATIVE: Final = (-1.0, -4e9)


def encode(payload: Any, fault: Fault | None) -> bytes:
    """Write an answer as compact JSON, as the fault distorts it. NaN and infinities are written as cgminer does."""
    if fault is Fault.WRONG_TYPES:
        payload = _replace_values(payload, cycle(_WRONG), numbers_only=False)
    elif fault is Fault.NAN:
        payload = _replace_values(payload, cycle(_NOT_FINITE), numbers_only=True)
    elif fault is Fault.NEGATIVE:
        payload = _replace_values(payload, cycle(_NEGATIVE), numbers_only=True)
    text = json.dumps(payload, separators=(",", ":"))
    return text.encode("utf-16" if fault is Fault.WRONG_ENCODING else "utf-8")


def _replace_values(value: Any, others: Iterator[Any], *, numbers_only: bool) -> Any:
    """Replace all leaves, or only numbers, by ``others``; the envelope stays, so that only fields are wrong."""
    if isinstance(value, dict):
        return {
            key: item if key in _UNTOUCHED else _replace_values(item, others, numbers_only=numbers_only)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_replace_values(item, others, numbers_only=numbers_only) for item in value]
    return value if numbers_only and not _is_number(value) else next(others)


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return value.replace(".", "", 1).isdigit()
    return isinstance(value, int | float) and not isinstance(value, bool)
