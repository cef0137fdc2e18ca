"""What meters and outages tell of that cannot be used: counted at each evaluation, and each name told once."""

from collections.abc import Collection
from enum import StrEnum
from typing import Final

import structlog

from exporter.model.fleet import UNASSIGNED, Block, Rig
from exporter.model.readings import ExpectedOff, MeterReading
from exporter.telemetry import Telemetry

_log = structlog.get_logger(__name__)

_MOST_NAMED: Final = 10


class Misfit(StrEnum):
    """Why what a source tells of a rig or block is not used."""

    UNKNOWN = "unknown"
    IMPLAUSIBLE = "implausible"
    DISBELIEVED = "disbelieved"


_ADVICE: Final = {
    Misfit.UNKNOWN: "the inventory has no rig or block of that name: mend the name there or here",
    Misfit.IMPLAUSIBLE: "no rig or block draws that: look for a wrong unit, or a whole PDU in place of one outlet",
    Misfit.DISBELIEVED: "it shows less than half or more than twice of what the block's rigs say: does it meter that?",
}


class UnmatchedReports:
    """Remembers what was told of which source, so that a name that comes and goes is told once."""

    def __init__(self, telemetry: Telemetry, rigs: Collection[Rig], blocks: Collection[Block]) -> None:
        self._telemetry = telemetry
        self._told: dict[tuple[str, Misfit], frozenset[str]] = {}
        self.replace(rigs, blocks)

    def replace(self, rigs: Collection[Rig], blocks: Collection[Block]) -> None:
        """Judge by this inventory from now on, that of the whole site."""
        self._blocks = {UNASSIGNED, *(block.name for block in blocks)}
        # What is found in a range gets its name there and then, maybe on another shard: any name may be right.
        self._rigs = None if any(rig.discovered for rig in rigs) else {rig.name for rig in rigs}

    def judge(self, source: str, told: MeterReading | ExpectedOff | None, disbelieved: frozenset[str]) -> None:
        """Count and tell the names of ``source`` that can't be used, those of blocks with a ``disbelieved`` meter too.

        What a source ``told`` is None where nothing of it can be relied on now.
        """
        if told is None:
            self._telemetry.source_ignored.remove_by_labels({"source": source})
            return
        strangers = set() if self._rigs is None else {*told.rigs} - self._rigs
        self._tell(source, Misfit.UNKNOWN, strangers | {*told.blocks} - self._blocks)
        if isinstance(told, MeterReading):
            self._tell(source, Misfit.IMPLAUSIBLE, {*told.refused})
            self._tell(source, Misfit.DISBELIEVED, {*told.blocks} & disbelieved)

    def _tell(self, source: str, why: Misfit, names: set[str]) -> None:
        self._telemetry.source_ignored.labels(source, why).set(len(names))
        told = self._told.get((source, why), frozenset())
        fresh = sorted(names - told)
        if fresh:
            self._told[source, why] = told.union(fresh)
            _log.warning(
                "a source tells of what cannot be used",
                source=source,
                reason=why.value,
                count=len(fresh),
                names=fresh[:_MOST_NAMED],
                advice=_ADVICE[why],
            )
