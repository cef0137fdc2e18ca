"""One evaluation as the catalogue reads it: each rig, block and GPU with its reading, economics and verdict."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from itertools import starmap
from typing import Final, NamedTuple

from exporter.decision.change import MarginChange
from exporter.decision.dayplan.timetable import Timetable
from exporter.decision.dayplan.worth import Worth
from exporter.decision.model_curves import ModelCurve
from exporter.decision.pool_work import NOTHING, Reconciliation
from exporter.decision.setpoints import NO_SETPOINTS, Setpoint, SiteSetpoints
from exporter.decision.values import BlockDecision, RigDecision, SiteDecision, Verdict
from exporter.economics.compliance import ComplianceMemory, ObligationStatus
from exporter.economics.hosting import ContractSettings
from exporter.economics.peaks import PeakEconomics
from exporter.economics.points import Curve
from exporter.economics.settlement import Settlement
from exporter.economics.values import BlockEconomics, GpuEconomics, RigEconomics, SiteEconomics
from exporter.model.fleet import UNASSIGNED, Block, Rig
from exporter.model.readings import GpuReading, RigIdentity, RigReading
from exporter.model.snapshot import RigSnapshot, SiteSnapshot


class Status(StrEnum):
    """Status of a rig. Each rig of the inventory has exactly one."""

    MINING = "mining"
    STOPPED = "stopped"
    EXPECTED_OFF = "expected_off"
    DOWN = "down"
    UNKNOWN = "unknown"


class RigView(NamedTuple):
    """One rig of the inventory."""

    snapshot: RigSnapshot
    economics: RigEconomics
    decision: RigDecision
    setpoint: Setpoint | None = None
    curve: Curve | None = None

    @property
    def status(self) -> Status:
        """Status by the fresh reading, else by whether the rig should mine, else by whether it was polled.

        A rig that does not hash is unknown while it is not known what the site owes.
        """
        reading = self.snapshot.reading
        if reading is not None and is_mining(reading.value):
            return Status.MINING
        if self.snapshot.expected_mining is None:
            return Status.UNKNOWN
        if not self.snapshot.expected_mining:
            return Status.EXPECTED_OFF
        if reading is not None:
            return Status.STOPPED
        return Status.UNKNOWN if self.snapshot.up is None else Status.DOWN


class BlockView(NamedTuple):
    """One block, and the number of its rigs by verdict. Empty while no rig has a verdict."""

    block: Block
    economics: BlockEconomics
    decision: BlockDecision
    verdicts: Mapping[Verdict, int]

    @property
    def convertible(self) -> bool:
        """Whether it can be converted. Rigs without a block cannot."""
        return self.block.convertible and self.block.name != UNASSIGNED


class GpuView(NamedTuple):
    """One GPU."""

    reading: GpuReading
    economics: GpuEconomics


class Shard(NamedTuple):
    """The shard that this exporter serves: index ``number`` from 0, of ``total``."""

    number: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanView:
    """The day-ahead plan at the evaluation, and what following it has earned."""

    timetable: Timetable
    worth: Worth


WHOLE_SITE: Final = Shard(0, 1)


@dataclass(frozen=True, kw_only=True)
class SiteView:
    """One evaluation. The tuples in economics and decision have the order of the snapshot."""

    snapshot: SiteSnapshot
    economics: SiteEconomics
    decision: SiteDecision
    setpoints: SiteSetpoints = NO_SETPOINTS
    model_curves: tuple[ModelCurve, ...] = ()
    contracts: Mapping[str, ContractSettings] = field(default_factory=dict)  # hosting contracts by name
    shard: Shard = WHOLE_SITE
    plan: PlanView | None = None  # None without `decision.day_plan`, or while there is no plan
    reconciliation: Reconciliation = NOTHING
    obligations: tuple[ObligationStatus, ...] = ()
    compliance: ComplianceMemory = field(default_factory=ComplianceMemory)
    peaks: tuple[PeakEconomics, ...] = ()
    settlement: Settlement = field(default_factory=Settlement)
    change: MarginChange | None = None  # since yesterday; None while it is not known

    @cached_property
    def rigs(self) -> tuple[RigView, ...]:
        """Every rig of the inventory."""
        rigs = self.snapshot.rigs, self.economics.rigs, self.decision.rigs
        if self.setpoints.rigs:
            points = self.setpoints.rigs, self.setpoints.curves
            return tuple(starmap(RigView, zip(*rigs, *points, strict=True)))
        return tuple(starmap(RigView, zip(*rigs, strict=True)))

    @cached_property
    def names(self) -> list[str]:
        """The names of all rigs."""
        return [rig.rig.name for rig in self.snapshot.rigs]

    @cached_property
    def fresh_rigs(self) -> list[RigSnapshot]:
        """The rigs with a fresh reading."""
        return [rig for rig in self.snapshot.rigs if rig.reading is not None]

    @cached_property
    def fresh_readings(self) -> list[RigReading]:
        """The readings of these rigs."""
        return [rig.reading.value for rig in self.fresh_rigs if rig.reading is not None]

    @cached_property
    def fresh_names(self) -> list[str]:
        """The names of these rigs."""
        return [rig.rig.name for rig in self.fresh_rigs]

    @cached_property
    def identities(self) -> list[tuple[Rig, RigIdentity]]:
        """The rigs of which the identity is known."""
        return [(rig.rig, rig.identity) for rig in self.snapshot.rigs if rig.identity is not None]

    @cached_property
    def blocks(self) -> tuple[BlockView, ...]:
        """Every block of the economics."""
        verdicts: dict[str, Counter[Verdict]] = defaultdict(Counter)
        for rig in self.rigs:
            if rig.decision.verdict is not None:
                verdicts[rig.snapshot.rig.block][rig.decision.verdict] += 1
        known = {block.name: block for block in self.snapshot.blocks}
        return tuple(
            BlockView(
                known.get(economics.name, Block(name=economics.name)),
                economics,
                decision,
                verdicts.get(economics.name, {}),
            )
            for economics, decision in zip(self.economics.blocks, self.decision.blocks, strict=True)
        )

    @cached_property
    def gpus(self) -> tuple[GpuView, ...]:
        """Every GPU."""
        return tuple(starmap(GpuView, zip(self.snapshot.gpus, self.economics.gpus, strict=True)))

    @cached_property
    def statuses(self) -> Mapping[Status, int]:
        """Number of rigs by status. The values add up to the inventory."""
        found = Counter(rig.status for rig in self.rigs)
        return {status: found[status] for status in Status}


def is_mining(reading: RigReading) -> bool:
    """Whether the rig is hashing: as reported, else by its hashrate."""
    return reading.hashrate > 0 if reading.mining is None else reading.mining
