"""Names in meter readings and planned downtime that match no rig or block: counted, and each logged once."""

from collections.abc import Collection
from enum import StrEnum
from typing import Final

import structlog

from exporter.model.fleet import UNASSIGNED, Block, Rig
from exporter.model.readings import ExpectedOff, MeterReading
from exporter.telemetry import Telemetry

_log = structlog.get_logger(__name__)

_MOST_NAMED: Final = 10


class Unmatched(StrEnum):
    """Why the report of a source about a rig or block is not used."""

    UNKNOWN = "unknown"
    IMPLAUSIBLE = "implausible"
    DISBELIEVED = "disbelieved"


_ADVICE: Final = {
    Unmatched.UNKNOWN: "the inventory has no rig or block of that name: correct the name there or here",
    Unmatched.IMPLAUSIBLE: "no rig or block draws that: look for a wrong unit, or a whole PDU in place of one outlet",
    Unmatched.DISBELIEVED: "it shows less than half or more than twice the block's rigs: is it that block's meter?",
}


class UnmatchedReports:
    """Counts unmatched reports. A name that comes and goes is logged once."""

    def __init__(self, telemetry: Telemetry, rigs: Collection[Rig], blocks: Collection[Block]) -> None:
        self._telemetry = telemetry
        self._logged: dict[tuple[str, Unmatched], frozenset[str]] = {}
        self.replace(rigs, blocks)

    def replace(self, rigs: Collection[Rig], blocks: Collection[Block]) -> None:
        """Switch to this inventory of the whole site."""
        self._blocks = {UNASSIGNED, *(block.name for block in blocks)}
        # A rig that is found in a range gets its name then, maybe on another shard: any name may be right.
        self._rigs = None if any(rig.discovered for rig in rigs) else {rig.name for rig in rigs}

    def judge(self, source: str, report: MeterReading | ExpectedOff | None, disbelieved: frozenset[str]) -> None:
        """Count and log the names in the ``report`` of ``source`` that are not used, including ``disbelieved`` blocks.

        ``report`` is None if the source has no usable value.
        """
        if report is None:
            self._telemetry.source_ignored.remove_by_labels({"source": source})
            return
        strangers = set() if self._rigs is None else {*report.rigs} - self._rigs
        self._count(source, Unmatched.UNKNOWN, strangers | _blocks_of(report) - self._blocks)
        if isinstance(report, MeterReading):
            self._count(source, Unmatched.IMPLAUSIBLE, {*report.refused})
            self._count(source, Unmatched.DISBELIEVED, {*report.blocks} & disbelieved)

    def _count(self, source: str, why: Unmatched, names: set[str]) -> None:
        self._telemetry.source_ignored.labels(source, why).set(len(names))
        logged = self._logged.get((source, why), frozenset())
        fresh = sorted(names - logged)
        if fresh:
            self._logged[source, why] = logged.union(fresh)
            _log.warning(
                "reports of a source are not used",
                source=source,
                reason=why.value,
                count=len(fresh),
                names=fresh[:_MOST_NAMED],
                advice=_ADVICE[why],
            )


def _blocks_of(report: MeterReading | ExpectedOff) -> set[str]:
    """Return the names of the blocks in a report. The whole site, whose name is empty, is not a block."""
    totals = {*report.feeders, *report.utilities} if isinstance(report, MeterReading) else set()
    return {*report.blocks, *totals} - {""}
