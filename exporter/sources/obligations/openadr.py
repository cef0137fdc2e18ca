"""OpenADR 3.0 and 3.1: events of a VTN as obligations. It only reads: no reports, no subscriptions, no opt-outs.

An event that the VTN no longer lists is cancelled. A lower priority number wins over a higher one of the same program.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import Any, Final, Literal

from pydantic import Field

from exporter.model.obligations import Obligation, ObligationKind
from exporter.model.readings import Reading
from exporter.model.units import WATTS_PER_KILOWATT
from exporter.sources.contract import UNEXPECTED, Discards, SourceContext, in_words, integer, number
from exporter.sources.obligations import Meaning, Obligations, ObligationSettings
from exporter.sources.openadr import Event, Interval, OpenAdrSettings, Vtn, segments

_WATTS: Final = {"W": 1.0, "KW": WATTS_PER_KILOWATT, "MW": WATTS_PER_KILOWATT**2}
_SUBSCRIPTION: Final = "IMPORT_CAPACITY_SUBSCRIPTION"
_RESERVATION: Final = "IMPORT_CAPACITY_RESERVATION"
_RELATIVE: Final = "DISPATCH_SETPOINT_RELATIVE"
_KNOWN: Final[Mapping[str, tuple[ObligationKind, Meaning]]] = {
    "SIMPLE": (ObligationKind.CALL, Meaning.LEVEL),
    "IMPORT_CAPACITY_LIMIT": (ObligationKind.CAP, Meaning.CAP),
    _SUBSCRIPTION: (ObligationKind.CAP, Meaning.CAP),
    _RESERVATION: (ObligationKind.CAP, Meaning.CAP),
    "DISPATCH_SETPOINT": (ObligationKind.CALL, Meaning.CAP),
}
_ALERT: Final = "ALERT_"
_INSTRUCTIONS: Final = ("DISPATCH_INSTRUCTION", "CONTROL_SETPOINT", _RELATIVE)
_MAX_LEVEL: Final = 3


class Settings(OpenAdrSettings, ObligationSettings):
    """A VTN. See the page about demand response for the payload types."""

    kind: Literal["openadr"] = "openadr"
    relative: Literal["decrease", "change"] | None = Field(
        default=None,
        description="What DISPATCH_SETPOINT_RELATIVE means in these programs: `decrease` (a positive number is less "
        "power) or `change` (a negative number is). Ask the operator of the VTN; without it such events are not used.",
    )
    payload_types: dict[str, Meaning] = Field(
        default={},
        description="Private payload types that were agreed on, and what their number means, such as "
        "`{x-shed: reduction}`.",
    )

    def connect(self, context: SourceContext) -> "_OpenAdr":
        """Create the source."""
        return _OpenAdr(self, context)


class _OpenAdr:
    def __init__(self, settings: Settings, context: SourceContext) -> None:
        self._settings = settings
        self._clock = context.clock
        self._discards: Discards = context.discards
        self._vtn = Vtn(settings, context)

    async def fetch(self) -> Reading[Obligations]:
        """Request programs and events."""
        events, now = await self._vtn.events(), self._clock()
        return Reading(await asyncio.to_thread(self._owed, events, now), now)

    def _owed(self, events: Sequence[Event], now: float) -> Obligations:
        """Return what events say about now and later. Slow for thousands of intervals, so it runs in a thread."""
        by_type: dict[tuple[str, str], list[Obligation]] = defaultdict(list)
        unclear: list[Obligation] = []
        for event in events:
            if event.unclear:
                unclear.append(_unclear(event, ObligationKind.CALL, now, inf, event.unclear))
            for interval in event.intervals:
                for payload, values in interval.payloads.items():
                    by_type[event.program, payload] += self._obligations(event, interval, payload, values)
        settled = {key: list(by_priority(each)) for key, each in by_type.items()}
        rights = _rights(settled)
        rest = [
            each
            for (_, payload), found in settled.items()
            if payload not in (_SUBSCRIPTION, _RESERVATION)
            for each in found
        ]
        every = (*unclear, *rights, *rest)
        return tuple(each for each in every if each.level != 0 and (each.end is None or each.end > now))

    def _obligations(
        self, event: Event, interval: Interval, payload: str, values: Sequence[Any]
    ) -> Iterator[Obligation]:
        """Read one payload of one interval."""
        meant = self._meaning(payload)
        if payload.startswith(_ALERT):
            yield replace(_base(event, ObligationKind.CALL, interval), reason=f"{payload} {_words(values)}".strip())
        elif meant is None:
            if payload in _INSTRUCTIONS or payload.lower().startswith("x-"):
                self._discards.note("payload", f"payload type {payload!r:.40} is not in payload_types or relative")
        else:
            kind, meaning = meant
            try:
                yield self._amount(_base(event, kind, interval), meaning, payload, event.units.get(payload), values)
            except UNEXPECTED as error:
                detail = f"{payload:.40} of event {event.id:.40}: {in_words(error)}"
                self._discards.note("event", detail)
                yield _unclear(event, kind, interval.start, interval.end, detail)

    def _meaning(self, payload: str) -> tuple[ObligationKind, Meaning] | None:
        if payload == _RELATIVE and self._settings.relative is not None:
            return ObligationKind.CALL, Meaning.REDUCTION
        agreed = self._settings.payload_types.get(payload)
        return (ObligationKind.CALL, agreed) if agreed is not None else _KNOWN.get(payload)

    def _amount(
        self, base: Obligation, meaning: Meaning, payload: str, unit: str | None, values: Sequence[Any]
    ) -> Obligation:
        """Fill in the amount. Raises ValueError, TypeError or LookupError if it cannot be."""
        if meaning is Meaning.LEVEL:
            level = integer(values[0])
            if not 0 <= level <= _MAX_LEVEL:
                raise ValueError(f"level {level} is not 0, 1, 2 or 3")
            return replace(base, level=level)
        factor = _WATTS.get((unit or "KW").upper())
        if factor is None:
            raise ValueError(f"unit {unit!r:.20} is not KW")
        watts = number(values[0]) * factor
        if payload == _RELATIVE and self._settings.relative == "change":
            watts = -watts
        if meaning is Meaning.REDUCTION:
            return replace(base, reduction=max(watts, 0.0))  # more power is allowed, never owed
        if watts < 0:
            raise ValueError(f"{watts / WATTS_PER_KILOWATT:g} kW is below 0")
        return replace(base, cap=watts) if meaning is Meaning.CAP else replace(base, floor=watts)


def _words(values: Sequence[Any]) -> str:
    return " ".join(map(str, values))[:100]


def _base(event: Event, kind: ObligationKind, interval: Interval) -> Obligation:
    return Obligation(
        kind=kind,
        start=interval.start,
        end=None if interval.end == inf else interval.end + event.randomize,
        event=event.id,
        program=event.program,
        reason=event.name,
        priority=event.priority,
        randomize=event.randomize,
    )


def _unclear(event: Event, kind: ObligationKind, start: float, end: float, why: str) -> Obligation:
    return replace(_base(event, kind, Interval(start, end, {})), unclear=why)


def by_priority(obligations: Iterable[Obligation]) -> Iterator[Obligation]:
    """Cut obligations of one program and payload type so that at any time only those of the best priority are left.

    The lowest number is the best, none is the worst. Of equal ones all stay: the strictest then holds.
    """
    known = sorted(obligations, key=lambda each: each.start)
    if len({each.priority for each in known}) <= 1:
        yield from known
        return
    left: dict[int, list[list[float]]] = {id(each): [] for each in known}
    for start, end, held in segments(known, _span):
        best = min(map(_rank, held), default=inf)
        for each in held:
            if _rank(each) == best:
                pieces = left[id(each)]
                if pieces and pieces[-1][1] == start:
                    pieces[-1][1] = end
                else:
                    pieces.append([start, end])
    for each in known:
        for start, end in left[id(each)]:
            yield replace(each, start=start, end=None if end == inf else end)


def _rank(obligation: Obligation) -> float:
    return inf if obligation.priority is None else obligation.priority


def _span(obligation: Obligation) -> tuple[float, float]:
    return obligation.start, inf if obligation.end is None else obligation.end


def _rights(settled: Mapping[tuple[str, str], Sequence[Obligation]]) -> Iterator[Obligation]:
    """Add up the rights to draw power, per program: the cap is the sum of all subscriptions and reservations."""
    rights: dict[str, list[Obligation]] = defaultdict(list)
    for (program, payload), found in settled.items():
        if payload in (_SUBSCRIPTION, _RESERVATION):
            yield from (each for each in found if each.unclear)
            rights[program] += [each for each in found if each.cap is not None]
    for found in rights.values():
        for start, end, held in segments(found, _span):
            if held:
                cap = sum(each.cap or 0.0 for each in held)
                yield replace(held[0], start=start, end=None if end == inf else end, cap=cap)
