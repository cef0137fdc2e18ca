"""From what meters show to the watts of each rig: its own meter, else its share of its block's."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from exporter.economics.power import power_now
from exporter.model.snapshot import RigSnapshot, SiteSnapshot

_BELIEVED: Final = (
    0.5,
    2.0,
)  # a block's meter per power of its running rigs; outside this range the meter measures something else


class Metered(NamedTuple):
    """Metered watts by name of the rig, and the blocks whose meter is implausible."""

    rigs: Mapping[str, float]
    disbelieved: frozenset[str] = frozenset()


def metered_power(snapshot: SiteSnapshot) -> Metered:
    """Return the metered power of each rig. If two meters measure a rig, the first is used."""
    rigs: dict[str, float] = {}
    blocks: dict[str, float] = {}
    for meter in reversed(snapshot.meters):
        rigs |= meter.rigs
        blocks |= meter.blocks
    if not blocks:
        return Metered(rigs)
    members: dict[str, list[RigSnapshot]] = defaultdict(list)
    for rig in snapshot.rigs:
        members[rig.rig.block].append(rig)
    shares = {name: _shared(watts, members[name], rigs) for name, watts in blocks.items()}
    for share in shares.values():
        rigs |= share or {}
    return Metered(rigs, frozenset(name for name, share in shares.items() if share is None))


def with_metered_power(snapshot: SiteSnapshot, watts: Mapping[str, float]) -> SiteSnapshot:
    """Fill in the metered power of the rigs, by name."""
    if not watts:
        return snapshot
    return replace(snapshot, rigs=tuple(replace(rig, metered_power=watts.get(rig.rig.name)) for rig in snapshot.rigs))


def _shared(watts: float, members: Sequence[RigSnapshot], own: Mapping[str, float]) -> dict[str, float] | None:
    """Share a block's watts out among its running rigs, less what those with a meter of their own draw.

    A share is proportional to the reported or expected power of the rig, or to its hashrate if the power of any rig is
    unknown. None if the meter is implausible.
    """
    rest = watts - sum(own.get(rig.rig.name, 0.0) for rig in members)
    running = {rig.rig.name: rig for rig in members if rig.rig.name not in own and _hashrate(rig) > 0}
    if not running:
        return {}
    if rest <= 0:
        return None
    known = {name: drawn[0] for name, rig in running.items() if (drawn := power_now(rig, _hashrate(rig))) is not None}
    low, high = _BELIEVED
    if len(known) < len(running):
        known = {name: _hashrate(rig) for name, rig in running.items()}
    elif not low <= rest / sum(known.values()) <= high:
        return None
    total = sum(known.values())
    return {name: rest * share / total for name, share in known.items()}


def _hashrate(rig: RigSnapshot) -> float:
    return rig.reading.value.hashrate if rig.reading is not None else 0.0
