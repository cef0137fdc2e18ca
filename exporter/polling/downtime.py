"""Which rigs should mine at one moment: those of the inventory and its schedules, less those that should be off."""

from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

from exporter.model.fleet import Rig
from exporter.model.obligations import KIND_RANK, ObligationKind
from exporter.model.readings import ExpectedOff


class Expected(NamedTuple):
    """Whether a rig should mine, None if that is not known, and why it should not."""

    mining: bool | None
    off_because: ObligationKind | None = None


MINING: Final = Expected(mining=True)
_UNKNOWN: Final = Expected(mining=None)
_OFF: Final = {kind: Expected(False, kind) for kind in ObligationKind}


def expected_by_inventory(rig: Rig, schedules: Mapping[str, bool] | None = None) -> Expected:
    """Return what the inventory and its schedules expect of a rig; without schedules, the inventory alone."""
    by_schedule = rig.expected_schedule is not None and schedules is not None
    mining = schedules[rig.expected_schedule] if by_schedule else rig.expected_mining  # type: ignore[index]
    return MINING if mining else _OFF[ObligationKind.SCHEDULE]


class Downtime:
    """What should be off, and what is not known.

    Args:
        off: Planned downtime.
        shed: Rigs that a cap leaves no power for, by name.
        unknown: Blocks of which it is not known what the site owes. None means the whole site.
    """

    def __init__(
        self,
        off: Collection[ExpectedOff] = (),
        shed: Mapping[str, ObligationKind] | None = None,
        unknown: Collection[str] | None = (),
    ) -> None:
        self._site: ObligationKind | None = None
        self._blocks: dict[str, ObligationKind] = {}
        self._rigs: dict[str, ObligationKind] = dict(shed or {})
        self._unknown = unknown
        self._nothing = not (off or shed) and unknown is not None and not unknown
        for each in off:
            if each.site:
                self._site = _first(self._site, each.kind)
            for names, kinds in ((each.blocks, self._blocks), (each.rigs, self._rigs)):
                kinds.update((name, _first(kinds.get(name), each.kind)) for name in names)

    def expected(self, rig: Rig, schedules: Mapping[str, bool]) -> Expected:
        """Return whether a rig should mine, and the first reason why it should not."""
        own = expected_by_inventory(rig, schedules)
        if self._nothing:
            return own
        kind = own.off_because
        for each in (self._site, self._blocks.get(rig.block), self._rigs.get(rig.name)):
            if each is not None:
                kind = _first(kind, each)
        if kind is not None:
            return _OFF[kind]
        return _UNKNOWN if self._unknown is None or rig.block in self._unknown else own


def _first(known: ObligationKind | None, other: ObligationKind) -> ObligationKind:
    return other if known is None else min(known, other, key=KIND_RANK.__getitem__)


NO_DOWNTIME: Final = Downtime()
