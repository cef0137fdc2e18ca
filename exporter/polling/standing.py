"""What still holds of obligations and downtime whose source has stopped answering.

A source that fails is not one that owes nothing: its last state goes on for a while, and is then unknown.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final, Generic, NamedTuple, TypeVar

from exporter.model.obligations import Obligation, OnStale, SiteObligations
from exporter.model.readings import ExpectedOff
from exporter.polling.latest import Latest

T = TypeVar("T")

LONGEST_HOLD: Final = 3_600.0
"""Seconds after the last answer of a source for which its state still holds at most."""


class Standing(NamedTuple, Generic[T]):
    """The state of a source that holds, None if none does, and whether the state is known."""

    value: T | None
    known: bool


class StaleSettings(NamedTuple):
    """What is done about a stale source, and which blocks it is about; none means the whole site."""

    on_stale: OnStale
    blocks: tuple[str, ...] = ()


def standing(
    latest: Latest[T], on_stale: OnStale, now: float, own_end: Callable[[T, float], float | None] = lambda *_: None
) -> Standing[T]:
    """Return the state of a source that holds at ``now`` (unix seconds).

    ``own_end`` returns when a state ends by itself that was in force at a time, None if it does not.
    """
    fresh, last = latest.fresh(now), latest.last
    if fresh is not None:
        return Standing(fresh.value, known=True)
    if on_stale is OnStale.MINE:
        return Standing(None, known=True)
    if last is None:
        return Standing(None, known=False)
    if on_stale is OnStale.HOLD:
        return Standing(last.value, known=True)
    end = own_end(last.value, last.observed_at + latest.max_age)
    until = last.observed_at + LONGEST_HOLD
    known = now - last.observed_at >= 0 and now < (until if end is None else min(until, end))
    return Standing(last.value if known else None, known)


def site_obligations(
    latest: Mapping[str, Latest[tuple[Obligation, ...]]], settings: Mapping[str, StaleSettings], now: float
) -> SiteObligations:
    """Return what all sources of obligations say at ``now`` (unix seconds)."""
    listed: list[Obligation] = []
    known: dict[str, bool] = {}
    unknown: list[tuple[str, ...]] = []
    for name, each in latest.items():
        state = standing(each, settings[name].on_stale, now, _own_end)
        known[name] = state.known
        if not state.known:
            unknown.append(settings[name].blocks)
        owed = state.value or ()
        shared = _shared_events(owed)
        listed += [
            replace(obligation, source=name, event=_event(obligation, shared))
            for obligation in owed
            if obligation.end is None or obligation.end > now
        ]
    return SiteObligations(listed=tuple(listed), known=known, unknown=tuple(unknown))


def expected_off(
    latest: Mapping[str, Latest[ExpectedOff]], settings: Mapping[str, OnStale], now: float
) -> tuple[list[ExpectedOff], bool]:
    """Return what should be off by each source at ``now`` (unix seconds), and whether all of them are known."""
    states = [standing(each, settings[name], now) for name, each in latest.items()]
    return [state.value for state in states if state.value is not None], all(state.known for state in states)


def _shared_events(obligations: Sequence[Obligation]) -> set[str]:
    """Return the events that are about several groups of blocks. Each group must be met by itself."""
    scopes = {(each.event, each.blocks) for each in obligations}
    counts = Counter(event for event, _ in scopes)
    return {event for event, count in counts.items() if count > 1}


def _event(obligation: Obligation, shared: Collection[str]) -> str:
    if obligation.event not in shared:
        return obligation.event
    return f"{obligation.event} {'+'.join(obligation.blocks) or 'site'}"


def _own_end(obligations: tuple[Obligation, ...], stale_at: float) -> float | None:
    """Return when the first event ends that had not ended when the source became stale."""
    ends: dict[str, float] = defaultdict(float)
    for each in obligations:
        ends[each.event] = max(ends[each.event], float("inf") if each.end is None else each.end)
    return min((end for end in ends.values() if end > stale_at), default=None)
