"""From what meters show to the watts of each rig: its own meter, else its share of its block's."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import Final, NamedTuple

from exporter.economics.power import plausible_watts, power_now
from exporter.model.snapshot import RigSnapshot, SiteSnapshot

_BELIEVED: Final = (
    0.5,
    2.0,
)  # a block's meter per power of its running rigs; outside this range the meter measures something else


@dataclass(frozen=True, slots=True, kw_only=True)
class Disbelieved:
    """Meters that contradict the rigs behind them: watts by rig, names of blocks, and of blocks with a total meter."""

    rigs: Mapping[str, float] = field(default_factory=dict)
    blocks: frozenset[str] = frozenset()
    totals: frozenset[str] = frozenset()


class Metered(NamedTuple):
    """Metered watts by name of the rig, and the meters that are implausible."""

    rigs: Mapping[str, float]
    disbelieved: Disbelieved = Disbelieved()


def metered_power(snapshot: SiteSnapshot) -> Metered:
    """Return the metered power of each rig. If two meters measure a rig, the first is used."""
    rigs: dict[str, float] = {}
    blocks: dict[str, float] = {}
    for meter in reversed(snapshot.meters):
        rigs |= meter.rigs
        blocks |= meter.blocks
    disbelieved = {
        rig.rig.name: watts
        for rig in snapshot.rigs
        if (watts := rigs.get(rig.rig.name)) is not None and not _plausible(watts, rig)
    }
    rigs = {name: watts for name, watts in rigs.items() if name not in disbelieved}
    if not blocks:
        return Metered(rigs, Disbelieved(rigs=disbelieved))
    members: dict[str, list[RigSnapshot]] = defaultdict(list)
    for rig in snapshot.rigs:
        members[rig.rig.block].append(rig)
    shares = {name: _shared(watts, members[name], rigs) for name, watts in blocks.items()}
    for share in shares.values():
        rigs |= share or {}
    refused = frozenset(name for name, share in shares.items() if share is None)
    return Metered(rigs, Disbelieved(rigs=disbelieved, blocks=refused))


def with_metered_power(snapshot: SiteSnapshot, metered: Metered) -> SiteSnapshot:
    """Fill in the metered power of the rigs, and the watts of their meters that are implausible."""
    watts, disbelieved = metered.rigs, metered.disbelieved.rigs
    if not watts and not disbelieved:
        return snapshot
    rigs = (
        replace(rig, metered_power=watts.get(rig.rig.name), disbelieved_power=disbelieved.get(rig.rig.name))
        for rig in snapshot.rigs
    )
    return replace(snapshot, rigs=tuple(rigs))


def _plausible(watts: float, rig: RigSnapshot) -> bool:
    """Return whether a SHA-256 rig can draw ``watts`` and do its hashrate. 0 W is no figure, and not judged."""
    if rig.reading is None or not rig.mines_bitcoin or watts == 0:
        return True
    low, high = plausible_watts(rig.rig, rig.reading.value)
    return low <= watts <= high


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
        least, most = _plausible_sum(running.values())
    else:
        least, most = low * sum(known.values()), high * sum(known.values())
    if not least <= rest <= most:
        return None
    total = sum(known.values())
    return {name: rest * share / total for name, share in known.items()}


def _plausible_sum(rigs: Iterable[RigSnapshot]) -> tuple[float, float]:
    """Return the least and the most power (W) that is plausible for these rigs together."""
    least = most = 0.0
    for rig in rigs:
        if rig.reading is None or not rig.mines_bitcoin:
            return 0.0, inf
        low, high = plausible_watts(rig.rig, rig.reading.value)
        least, most = least + low, most + high
    return least, most


def _hashrate(rig: RigSnapshot) -> float:
    return rig.reading.value.hashrate if rig.reading is not None else 0.0
