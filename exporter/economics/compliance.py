"""Whether obligations are kept: power delivered against power obliged, per settlement interval.

The mean power of an interval counts, not its highest moment. Power comes from the meter of the site or block where
there is one, else from the rigs.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import groupby, pairwise
from math import ceil, inf
from typing import Annotated, Final, NamedTuple

from pydantic import Field

from exporter.economics.settings import SiteSettings
from exporter.economics.shed import running_watts
from exporter.economics.values import PowerSource, SiteEconomics
from exporter.model.fields import Duration, SettingsGroup
from exporter.model.obligations import Obligation, ObligationKind, SiteObligations, with_baseline
from exporter.model.snapshot import SiteSnapshot

_UNKNOWN_SHARE: Final = 0.05
"""Share of the running power whose rigs may be silent. They count at their running power: they may still draw it."""

_MEASURED_SHARE: Final = 0.9
"""Share of an interval that must be measured, else it is not judged."""

_BASELINE_SECONDS: Final = 900.0
_MOST_RECORDS: Final = 20_000
METER: Final = "meter"

_LATELY: Final = 200
"""Closed intervals among which the last one of an event is looked for."""

Scope = tuple[str, ...]  # blocks; empty means the whole site
_Key = tuple[str, str]  # source and event


class ComplianceSettings(SettingsGroup):
    """How it is judged whether obligations are kept."""

    interval: Duration = Field(
        default=900.0, description="Length of a settlement interval. The mean power of each interval is judged."
    )
    tolerance: Annotated[float, Field(ge=0, le=0.2)] = Field(
        default=0.0, description="Share by which power may miss what is obliged (0.02 is two per cent)."
    )


class Delivered(NamedTuple):
    """Power at the billing point, in watts, and where it comes from: ``meter``, or the worst source of a rig."""

    watts: float
    source: str


class Outcome(StrEnum):
    """How an interval ended."""

    KEPT = "kept"
    FAILED = "failed"
    NOT_MEASURED = "not_measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One interval of one event. Powers are means over what was measured of it, in watts; times in unix seconds."""

    source: str
    event: str
    kind: ObligationKind
    program: str = ""
    reason: str = ""
    blocks: Scope = ()
    start: float
    end: float
    cap: float | None = None
    floor: float | None = None
    delivered: float | None = None
    measured: float = 0.0  # s
    power_source: str = ""
    baseline: float | None = None
    price: float | None = None  # USD per kW and hour
    outcome: Outcome = Outcome.NOT_MEASURED


class Limits(NamedTuple):
    """The strictest limits of one event at one time, in watts, and one of its obligations."""

    obligation: Obligation
    cap: float | None
    floor: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """An interval that has not ended. Energies in joules over the ``measured`` seconds."""

    delivery: Delivery
    limits: Limits  # those that held last
    energy: float = 0.0
    allowed: float | None = None  # energy that the cap allowed
    required: float | None = None  # energy that the floor required


@dataclass(frozen=True, slots=True, kw_only=True)
class ObligationStatus:
    """An event in force now. Powers in watts."""

    source: str
    event: str
    kind: ObligationKind
    program: str
    reason: str
    blocks: Scope
    level: int | None
    end: float | None
    cap: float | None
    floor: float | None
    delivered: float | None = None  # mean of the interval so far
    projected: float | None = None  # mean of the interval if the power stays as it is
    power: float | None = None  # now
    unclear: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComplianceMemory:
    """What compliance needs from one evaluation to the next. ``closed`` are the intervals that ended, oldest first."""

    observed_at: float | None = None
    samples: Mapping[Scope, tuple[tuple[float, float], ...]] = field(default_factory=dict)  # time and watts
    baselines: Mapping[_Key, float] = field(default_factory=dict)  # W, by source and event
    open: Mapping[_Key, Tally] = field(default_factory=dict)
    closed: tuple[Delivery, ...] = ()
    counts: Mapping[tuple[str, str, str], int] = field(default_factory=dict)  # by source, kind and outcome

    def shifted(self, seconds: float) -> "ComplianceMemory":
        """Return it after the system clock was set by ``seconds``. Intervals are by the clock: the open ones end."""
        observed = None if self.observed_at is None else self.observed_at + seconds
        return replace(self, observed_at=observed, samples={}, open={})


class Compliance(NamedTuple):
    """The result of one step."""

    memory: ComplianceMemory
    obligations: SiteObligations  # with the caps that follow from baselines
    statuses: tuple[ObligationStatus, ...]


Measure = Callable[[Scope], Delivered | None]


def follow(
    memory: ComplianceMemory,
    obligations: SiteObligations,
    measure: Measure,
    now: float,
    settings: ComplianceSettings,
    *,
    baselines: Mapping[str, float] | None = None,
    scopes: Collection[Scope] = (),
    longest_gap: float = 60.0,
) -> Compliance:
    """Move on to ``now`` (unix seconds).

    Args:
        memory: the result of the last step.
        obligations: those of all sources.
        measure: returns the power now of some blocks, or of the site.
        now: unix seconds.
        settings: length of an interval, and tolerance.
        baselines: W by source, where the settings have one.
        scopes: what is measured even while nothing is owed, for a baseline.
        longest_gap: seconds between two steps over which power is taken to have gone on.
    """
    elapsed = inf if memory.observed_at is None else now - memory.observed_at
    resolved = resolve(obligations, memory, baselines or {}, now)
    kept = {(each.source, each.event) for each in obligations.listed}
    known = {
        key: watts for key, watts in {**memory.baselines, **_baselines(obligations, memory, now)}.items() if key in kept
    }
    limited = (each.blocks for each in resolved.listed if each.limits_power)
    wanted = {*scopes, *limited, *(tally.delivery.blocks for tally in memory.open.values())}
    powers = {scope: power for scope in wanted if (power := measure(scope)) is not None}
    begun = now - elapsed if 0 < elapsed <= longest_gap else now
    tallies = _Tallies(memory, powers, settings, known)
    tallies.move(resolved.listed, begun, now)
    kinds = {(each.source, each.kind.value) for each in resolved.listed if each.limits_power}
    counts = {(*kind, outcome.value): 0 for kind in sorted(kinds) for outcome in Outcome} | dict(memory.counts)
    for delivery in tallies.ended:
        key = (delivery.source, delivery.kind.value, delivery.outcome.value)
        counts[key] = counts.get(key, 0) + 1
    moved = ComplianceMemory(
        observed_at=now,
        samples={scope: (*_recent(memory.samples.get(scope, ()), now), (now, powers[scope].watts)) for scope in powers},
        baselines=known,
        open=tallies.open,
        closed=(*memory.closed, *tallies.ended)[-_MOST_RECORDS:],
        counts=counts,
    )
    return Compliance(moved, resolved, tuple(_statuses(resolved, tallies.open, powers, now)))


def _recent(samples: Iterable[tuple[float, float]], now: float) -> Iterator[tuple[float, float]]:
    return (sample for sample in samples if now - _BASELINE_SECONDS <= sample[0] < now)


def resolve(
    obligations: SiteObligations, memory: ComplianceMemory, configured: Mapping[str, float], now: float
) -> SiteObligations:
    """Turn reductions into caps. Until an event begins, only a baseline of the settings (W, by source) is known."""
    found = {**_baselines(obligations, memory, now), **memory.baselines}
    listed: list[Obligation] = []
    for each in obligations.listed:
        baseline = configured.get(each.source, found.get(_event(each)))
        if each.reduction is None:
            listed.append(each)
        elif baseline is not None:
            listed.append(with_baseline(each, baseline))
        else:
            listed.append(replace(each, unclear=each.unclear or "its baseline is not known"))
    return replace(obligations, listed=tuple(listed))


def _baselines(obligations: SiteObligations, memory: ComplianceMemory, now: float) -> dict[_Key, float]:
    """Return the mean power over the 15 minutes before each event that has begun, W, where it was measured."""
    found: dict[_Key, float] = {}
    for each in obligations.listed:
        key = _event(each)
        if each.reduction is None or each.start > now or key in memory.baselines:
            continue
        samples = memory.samples.get(each.blocks, ())
        before = [watts for time, watts in samples if time <= each.start] or [watts for _, watts in samples]
        if before:
            found[key] = sum(before) / len(before)
    return found


def _judged(obligations: Collection[Obligation], start: float, end: float) -> dict[_Key, Limits]:
    """Return the limits of the events that certainly hold all the time from ``start`` to ``end``."""
    held = [
        each
        for each in obligations
        if each.start + each.randomize <= start and (each.end is None or end <= each.end - each.randomize)
        if not (each.cap is None and each.floor is None)
    ]
    found: dict[_Key, Limits] = {}
    for key, group in groupby(sorted(held, key=_event), key=_event):
        members = list(group)
        found[key] = Limits(
            members[0],
            min((each.cap for each in members if each.cap is not None), default=None),
            max((each.floor for each in members if each.floor is not None), default=None),
        )
    return found


def _event(obligation: Obligation) -> _Key:
    return obligation.source, obligation.event


class _Tallies:
    """The open intervals of one step, and those that ended in it."""

    def __init__(
        self,
        memory: ComplianceMemory,
        powers: Mapping[Scope, Delivered],
        settings: ComplianceSettings,
        baselines: Mapping[_Key, float],
    ) -> None:
        self.open = dict(memory.open)
        self.ended: list[Delivery] = []
        self._memory = memory
        self._powers = powers
        self._settings = settings
        self._baselines = baselines
        self._last_end: dict[_Key, float] = {}
        for each in memory.closed[-_LATELY:]:
            self._last_end[each.source, each.event] = each.end

    def move(self, obligations: Collection[Obligation], begun: float, now: float) -> None:
        """Add the time from ``begun`` to ``now``."""
        for start, end in self._pieces(obligations, begun, now):
            judged = _judged(obligations, start, end)
            for key, limits in judged.items():
                self._add(key, limits, start, end)
            for key in self.open.keys() - judged.keys():
                if self.open[key].delivery.end <= now:  # it ended, and is no longer listed
                    self._add(key, self.open[key].limits, start, end)
                else:
                    self._close(key, start)  # it was cancelled or changed
            self._close_until(end)
        self._close_until(now)

    def _pieces(self, obligations: Iterable[Obligation], begun: float, now: float) -> Iterator[tuple[float, float]]:
        """Cut the time where an interval or an obligation begins or ends."""
        interval = self._settings.interval
        edges = {begun, now, *(interval * number for number in range(ceil(begun / interval), int(now / interval) + 1))}
        for each in obligations:
            edges |= {each.start + each.randomize, *(() if each.end is None else (each.end - each.randomize,))}
        edges |= {tally.delivery.end for tally in self.open.values()}
        return pairwise(sorted(edge for edge in edges if begun <= edge <= now))

    def _add(self, key: _Key, limits: Limits, start: float, end: float) -> None:
        tally = self.open.get(key) or self._opened(key, limits, start)
        power = self._mean_power(limits.obligation.blocks)
        if power is not None:
            seconds = end - start
            tally = Tally(
                delivery=replace(tally.delivery, measured=tally.delivery.measured + seconds, power_source=power.source),
                limits=limits,
                energy=tally.energy + power.watts * seconds,
                allowed=tally.allowed if limits.cap is None else (tally.allowed or 0.0) + limits.cap * seconds,
                required=tally.required if limits.floor is None else (tally.required or 0.0) + limits.floor * seconds,
            )
        self.open[key] = tally

    def _opened(self, key: _Key, limits: Limits, start: float) -> Tally:
        """Begin an interval where the clock or the event began it, which may be before it was first seen."""
        each, interval = limits.obligation, self._settings.interval
        begin, end = start // interval * interval, (start // interval + 1) * interval
        delivery = Delivery(
            source=each.source,
            event=each.event,
            kind=each.kind,
            program=each.program,
            reason=each.reason,
            blocks=each.blocks,
            start=max(begin, each.start + each.randomize, self._last_end.get(key, begin)),
            end=end if each.end is None else min(end, each.end - each.randomize),
            baseline=self._baselines.get(key),
            price=each.price,
        )
        return Tally(delivery=delivery, limits=limits)

    def _close_until(self, now: float) -> None:
        for key in [key for key, tally in self.open.items() if tally.delivery.end <= now]:
            self._close(key, self.open[key].delivery.end)

    def _close(self, key: _Key, end: float) -> None:
        delivery = _closed(self.open.pop(key), end, self._settings.tolerance)
        self._last_end[key] = delivery.end
        self.ended.append(delivery)

    def _mean_power(self, scope: Scope) -> Delivered | None:
        """Return the mean of the power now and at the last step; that of now alone if the last one is not known."""
        power, samples = self._powers.get(scope), self._memory.samples.get(scope)
        if power is None or not samples or samples[-1][0] != self._memory.observed_at:
            return power
        return power._replace(watts=(power.watts + samples[-1][1]) / 2)


def _closed(tally: Tally, end: float, tolerance: float) -> Delivery:
    """Judge an interval that ended, at the latest at ``end``: an event may be cancelled before."""
    delivery = replace(tally.delivery, end=min(tally.delivery.end, end))
    measured, length = delivery.measured, delivery.end - delivery.start
    if not measured:
        return delivery
    delivery = replace(
        delivery,
        delivered=tally.energy / measured,
        cap=None if tally.allowed is None else tally.allowed / measured,
        floor=None if tally.required is None else tally.required / measured,
    )
    if measured < _MEASURED_SHARE * length:
        return delivery
    above = tally.allowed is not None and tally.energy > tally.allowed * (1 + tolerance)
    below = tally.required is not None and tally.energy < tally.required * (1 - tolerance)
    return replace(delivery, outcome=Outcome.FAILED if above or below else Outcome.KEPT)


def _statuses(
    obligations: SiteObligations,
    tallies: Mapping[_Key, Tally],
    powers: Mapping[Scope, Delivered],
    now: float,
) -> Iterator[ObligationStatus]:
    """Return one status per event that holds now, with its strictest limits."""
    held = sorted((each for each in obligations.listed if each.holds(now)), key=_event)
    for key, group in groupby(held, key=_event):
        members = list(group)
        first, power, tally = members[0], powers.get(members[0].blocks), tallies.get(key)
        delivered = projected = None
        if tally is not None and tally.delivery.measured:
            delivered = tally.energy / tally.delivery.measured
        if tally is not None and power is not None:
            rest = tally.delivery.end - now  # above 0: what has ended is closed
            projected = (tally.energy + power.watts * rest) / (tally.delivery.measured + rest)
        ends = [inf if each.end is None else each.end for each in members]
        yield ObligationStatus(
            source=first.source,
            event=first.event,
            kind=first.kind,
            program=first.program,
            reason=first.reason,
            blocks=first.blocks,
            level=max((each.level for each in members if each.level is not None), default=None),
            end=None if max(ends) == inf else max(ends),
            cap=min((each.cap for each in members if each.cap is not None), default=None),
            floor=max((each.floor for each in members if each.floor is not None), default=None),
            delivered=delivered,
            projected=projected,
            power=None if power is None else power.watts,
            unclear=next((each.unclear for each in members if each.unclear), ""),
        )


def measured_power(
    snapshot: SiteSnapshot,
    economics: SiteEconomics,
    settings: SiteSettings,
    scope: Scope,
    wrong: Collection[str] = (),
) -> Delivered | None:
    """Return the power that some blocks draw at the billing point, or the whole site; None if it is not known.

    The utility's meter is used first, then the feeder's, then the rigs and GPUs. Silent rigs count at their running
    power, if they are few; else the power is not known. Meters of the blocks in ``wrong`` are not used.
    """
    loss = settings.power.transformer_loss
    names = scope or ("",)
    every_block = tuple(block.name for block in economics.blocks if block.rigs)
    for kind, factor in (("utilities", 1.0), ("feeders", 1 / (1 - loss))):
        shown: dict[str, float] = {}
        for meter in reversed(snapshot.meters):
            shown |= {name: watts for name, watts in getattr(meter, kind).items() if name not in wrong}
        for wanted in (names, every_block) if not scope else (names,):
            if wanted and all(name in shown for name in wanted):
                return Delivered(sum(shown[name] for name in wanted) * factor, METER)
    return _power_of_rigs(snapshot, economics, scope)


def _power_of_rigs(snapshot: SiteSnapshot, economics: SiteEconomics, scope: Scope) -> Delivered | None:
    known = silent = 0.0
    worst = PowerSource.METERED
    ranks = list(PowerSource)
    count = unrated = 0
    for rig, priced in zip(snapshot.rigs, economics.rigs, strict=True):
        if scope and rig.rig.block not in scope:
            continue
        count += 1
        if priced.billed_power is not None:
            known += priced.billed_power
            if priced.power_source is not None:
                worst = max(worst, priced.power_source, key=ranks.index)
        elif (watts := running_watts(rig, priced)) is not None:
            silent += watts
        else:
            unrated += 1
    if not scope:
        known += sum(gpu.billed_power or 0.0 for gpu in economics.gpus)
    if not count or silent > _UNKNOWN_SHARE * (known + silent) or unrated > _UNKNOWN_SHARE * count:
        return None
    return Delivered(known + silent, worst.value)
