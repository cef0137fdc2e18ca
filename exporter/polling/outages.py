"""Recognises rigs that stop answering together, and what they share: a switch or a feeder fails, and not each rig."""

import ipaddress
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple

import structlog

from exporter.model.failures import Reason
from exporter.model.fleet import UNASSIGNED, Rig
from exporter.telemetry import Telemetry

_log = structlog.get_logger(__name__)

_FEWEST: Final = 10
"""Rigs that are lost together at least. Fewer are single faults."""
_PARTS_OF_GROUP: Final = (0.9, 0.5)  # a group that is lost as a whole explains more than half of a larger one
_PART_OF_SITE: Final = 0.1
_OVER: Final = 0.1  # of its rigs: the rest have faults of their own
_WINDOWS: Final = 1.5  # intervals: each rig is asked once per interval, and may take a while to fail
_CHECKS: Final = 8  # per interval
_BITS: Final = {4: 24, 6: 64}  # prefix lengths


class Shared(NamedTuple):
    """What rigs share. All empty for the site."""

    block: str = ""
    rack: str = ""
    network: str = ""

    def __str__(self) -> str:
        named = (f"{kind} {name}" for kind, name in zip(self._fields, self, strict=True) if name)
        return ", ".join(named) or "the site"


_SITE: Final = Shared()


class _Loss(NamedTuple):
    at: float
    rig: Rig
    reason: Reason


@dataclass(slots=True)
class _Outage:
    since: float
    before: int  # rigs of the group that answered
    rigs: set[str] = field(default_factory=set)  # that still do not answer
    size: int = 0  # most rigs at once
    logged: bool = False


class Outages:
    """Follows which rigs stop and begin to answer. Times are monotonic.

    Args:
        interval: Seconds between two polls of a rig.
        telemetry: Gets the number of rigs of each outage.
        answering: Returns the rigs that answer and should mine.
    """

    def __init__(self, interval: float, telemetry: Telemetry, answering: Callable[[], Iterable[Rig]]) -> None:
        self._interval = interval
        self._telemetry = telemetry
        self._answering = answering
        self._losses: dict[str, _Loss] = {}  # by rig, oldest first
        self._open: dict[Shared, _Outage] = {}
        self._outage_of: dict[str, Shared] = {}  # by rig
        self._check_at = 0.0
        self._news = False  # losses since the last check

    def includes(self, rig: str) -> bool:
        """Return whether a rig is part of an outage."""
        return rig in self._outage_of

    def lost(self, rig: Rig, reason: Reason, at: float) -> None:
        """Note that a rig that answered does not answer any more."""
        self._losses[rig.name] = _Loss(at, rig, reason)
        self._news = True
        shared = next((shared for shared in _groups(rig) if shared in self._open), None) if self._open else None
        if shared is not None:
            self._join(rig.name, shared)

    def back(self, rig: str) -> None:
        """Note that a rig answers again, or left the inventory."""
        self._losses.pop(rig, None)
        shared = self._outage_of.pop(rig, None)
        if shared is not None:
            self._open[shared].rigs.discard(rig)

    def tick(self, at: float) -> None:
        """Look for outages that began or ended, a few times per interval."""
        if at < self._check_at or not (self._losses or self._open):
            return
        self._check_at = at + self._interval / _CHECKS
        oldest = at - _WINDOWS * self._interval
        for rig in [rig for rig, loss in self._losses.items() if loss.at < oldest and rig not in self._outage_of]:
            del self._losses[rig]
        if self._news and len(self._losses) >= _FEWEST:
            self._recognise(at)
        self._news = False
        for shared, outage in list(self._open.items()):
            if len(outage.rigs) <= _OVER * outage.size:
                self._end(shared, outage, at)
                continue
            self._telemetry.outage_rigs.labels(*shared).set(len(outage.rigs))
            if not outage.logged and at >= outage.since + self._interval:  # until then it may grow
                self._log(shared, outage)

    def _recognise(self, at: float) -> None:
        """Find the largest groups of which most rigs were lost, then whether the others are much of the site.

        An outage may turn out to be a part of a larger one, whose rigs it then joins.
        """
        losses = dict(self._losses)
        lost = Counter(shared for loss in losses.values() for shared in _groups(loss.rig))
        before = lost + Counter(shared for rig in self._answering() for shared in _groups(rig))
        groups = [(group, part) for part in _PARTS_OF_GROUP for group in _largest_first(before)]
        for shared, part in (*groups, (_SITE, _PART_OF_SITE)):
            if lost[shared] < max(_FEWEST, part * before[shared]):
                continue
            self._open.setdefault(shared, _Outage(at, before[shared]))
            for loss in [loss for loss in losses.values() if shared in _groups(loss.rig)]:
                self._join(loss.rig.name, shared)
                del losses[loss.rig.name]
                lost.subtract(_groups(loss.rig))
        for shared in [shared for shared, outage in self._open.items() if not outage.rigs]:
            self._forget(shared)

    def _join(self, rig: str, shared: Shared) -> None:
        former = self._outage_of.get(rig)
        if former is not None:
            self._open[former].rigs.discard(rig)
        outage = self._open[shared]
        self._outage_of[rig] = shared
        outage.rigs.add(rig)
        outage.size = max(outage.size, len(outage.rigs))

    def _log(self, shared: Shared, outage: _Outage) -> None:
        outage.logged = True
        reasons = Counter(self._losses[rig].reason for rig in outage.rigs).most_common()
        _log.warning(
            "many rigs stopped answering at once",
            shared=str(shared),
            rigs=outage.size,
            of=outage.before,
            reasons=", ".join(f"{reason.value} {count}" for reason, count in reasons),
            advice="check the power and the network that they share; rigs of this outage are not logged one by one",
        )

    def _end(self, shared: Shared, outage: _Outage, at: float) -> None:
        for rig in outage.rigs:
            del self._outage_of[rig]
        self._forget(shared)
        _log.info(
            "rigs answer again that had stopped at once",
            shared=str(shared),
            rigs=outage.size - len(outage.rigs),
            of=outage.size,
            seconds=round(at - outage.since),
        )

    def _forget(self, shared: Shared) -> None:
        del self._open[shared]
        with suppress(KeyError):  # it was not counted yet
            self._telemetry.outage_rigs.remove(*shared)


def _groups(rig: Rig) -> tuple[Shared, ...]:
    """Return all that a rig may share with others, most first."""
    block = "" if rig.block == UNASSIGNED else rig.block
    groups = [_SITE]
    if block:
        groups.append(Shared(block=block))
    if rig.rack:
        groups.append(Shared(block=block, rack=rig.rack))
    if network := _network(rig.address):
        groups.append(Shared(network=network))
    return tuple(groups)


def _largest_first(sizes: Counter[Shared]) -> list[Shared]:
    return sorted(sizes, key=lambda shared: (-sizes[shared], bool(shared.network), bool(shared.rack)))


@lru_cache(maxsize=100_000)
def _network(address: str) -> str:
    """Return the network that rigs usually share with those of their switch. Empty for a host name."""
    with suppress(ValueError):
        parsed = ipaddress.ip_address(address)
        return str(ipaddress.ip_network((parsed, _BITS[parsed.version]), strict=False))
    return ""
