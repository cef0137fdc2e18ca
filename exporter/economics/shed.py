"""Which rigs a cap leaves no power for."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain
from math import inf

from exporter.economics.values import RigEconomics, SiteEconomics
from exporter.model.fleet import Rig
from exporter.model.obligations import KIND_RANK, Obligation, ObligationKind
from exporter.model.snapshot import RigSnapshot, SiteSnapshot

_Member = tuple[RigSnapshot, RigEconomics]


def shed(
    snapshot: SiteSnapshot,
    economics: SiteEconomics,
    obligations: Sequence[Obligation],
    now: float,
    share: float = 1.0,
) -> dict[str, ObligationKind]:
    """Return the rigs that should be off so that the caps in force are kept, and why, by name.

    Rigs that hash stay before those that do not, and of these the ones with the highest breakeven power price. Each
    stays at its running power, as billed. A rig whose power is not known stays, unless nothing may be drawn.

    Args:
        snapshot: the site at the last evaluation.
        economics: the same, priced.
        obligations: those of the site.
        now: unix seconds.
        share: the part of the site's power that these rigs have, for caps of the whole site.
    """
    off: dict[str, ObligationKind] = {}
    caps = sorted(_caps(obligations, now), key=lambda each: KIND_RANK[each.kind])
    if not caps:
        return off
    members: dict[str, list[_Member]] = defaultdict(list)
    for rig, priced in zip(snapshot.rigs, economics.rigs, strict=True):
        if _may_run(rig):
            members[rig.rig.block].append((rig, priced))
    for obligation in caps:
        blocks = obligation.blocks or tuple(members)
        cap = (obligation.cap or 0.0) * (1.0 if obligation.blocks else share)
        ordered = sorted(chain.from_iterable(members[block] for block in blocks), key=_last_to_go)
        for name in _without_room(ordered, cap):
            off.setdefault(name, obligation.kind)
    return off


def _caps(obligations: Sequence[Obligation], now: float) -> Iterator[Obligation]:
    return (each for each in obligations if each.cap is not None and each.holds(now))


def _may_run(rig: RigSnapshot) -> bool:
    """Whether nothing but an obligation keeps the rig from mining."""
    return rig.off_because not in (ObligationKind.MAINTENANCE, ObligationKind.SCHEDULE)


def _last_to_go(member: _Member) -> tuple[bool, float, str]:
    rig, priced = member
    hashes = rig.reading is not None and rig.reading.value.hashrate > 0
    breakeven = priced.potential_breakeven_power_price
    return not hashes, -(inf if breakeven is None else breakeven), rig.rig.name


def _without_room(ordered: Sequence[_Member], cap: float) -> Iterator[str]:
    """Yield the rigs that do not fit below ``cap`` (W). A smaller one after one that does not fit may still fit."""
    room = cap
    for rig, priced in ordered:
        watts = running_watts(rig, priced)
        if watts is None and cap:
            continue
        if watts is None or watts > room:
            yield rig.rig.name
        else:
            room -= watts


def running_watts(rig: RigSnapshot, priced: RigEconomics) -> float | None:
    """Return what a rig draws if it runs, in watts: as billed, else by its rating, as for one that is not priced."""
    return rig.rig.rated_power if priced.potential_power is None else priced.potential_power


def share_of(served: Sequence[Rig], rigs: Sequence[Rig]) -> float:
    """Return the share of the rated power of all ``rigs`` that ``served`` have; by number if a rating is missing."""
    ratings = [rig.rated_power for rig in rigs]
    if rigs and None not in ratings and sum(rating or 0.0 for rating in ratings):
        return sum(rig.rated_power or 0.0 for rig in served) / sum(rating or 0.0 for rating in ratings)
    return len(served) / len(rigs) if rigs else 1.0
