"""What a restart must not lose of obligations: the open intervals and baselines, and the intervals of each day."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Final

from exporter.economics.compliance import ComplianceMemory, Delivery, Scope, Tally
from exporter.model.readings import Reading
from exporter.state import State, document

_MEMORY: Final = "compliance"
_DAY: Final = "deliveries "
"""Begins the names of the documents with the intervals that began on one day (UTC). Only those of today change."""


@dataclass(frozen=True, slots=True)
class _Memory:
    """The memory without its closed intervals, as JSON can have it."""

    observed_at: float | None
    samples: tuple[tuple[Scope, tuple[tuple[float, float], ...]], ...]
    baselines: tuple[tuple[tuple[str, str], float], ...]
    open: tuple[tuple[tuple[str, str], Tally], ...]
    counts: tuple[tuple[tuple[str, str, str], int], ...]


def remembered(state: State) -> ComplianceMemory:
    """Read the memory from the state file; an empty one if it has none."""
    days = sorted(name for name in state.documents if name.startswith(_DAY))
    readings = (state.reading(name, tuple[Delivery, ...]) for name in days)
    closed = tuple(chain.from_iterable(reading.value for reading in readings if reading is not None))
    kept = state.reading(_MEMORY, _Memory)
    if kept is None:
        return ComplianceMemory(closed=closed)
    memory = kept.value
    return ComplianceMemory(
        observed_at=memory.observed_at,
        samples=dict(memory.samples),
        baselines=dict(memory.baselines),
        open=dict(memory.open),
        closed=closed,
        counts=dict(memory.counts),
    )


def documents(memory: ComplianceMemory) -> dict[str, Reading[str]]:
    """Write the memory as documents for the state file; none while no obligation was ever seen."""
    if memory.observed_at is None:
        return {}
    kept = _Memory(
        memory.observed_at,
        tuple(memory.samples.items()),
        tuple(memory.baselines.items()),
        tuple(memory.open.items()),
        tuple(memory.counts.items()),
    )
    days: dict[str, list[Delivery]] = defaultdict(list)
    for delivery in memory.closed:
        days[datetime.fromtimestamp(delivery.start, UTC).date().isoformat()].append(delivery)
    return {_MEMORY: document(Reading(kept, memory.observed_at))} | {
        f"{_DAY}{day}": document(Reading(tuple(each), each[-1].end)) for day, each in days.items()
    }
