"""Names in meter readings and planned downtime that are not used: counted, and each logged once."""

from bisect import bisect_left
from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import Final

import structlog

from exporter.economics.metering import Disbelieved
from exporter.model.configuration_errors import nearest
from exporter.model.fleet import UNASSIGNED, Block, Rig
from exporter.model.readings import ExpectedOff, MeterReading
from exporter.telemetry import Telemetry

_log = structlog.get_logger(__name__)

_MOST_NAMED: Final = 10
_NEIGHBOURS: Final = 500
"""Names on either side in the alphabet that one name is compared with: to compare with 10,000 takes too long."""
_SITE: Final = "the whole site"


class Unmatched(StrEnum):
    """Why the report of a source about a rig or block is not used."""

    UNKNOWN = "unknown"
    IMPLAUSIBLE = "implausible"
    DISBELIEVED = "disbelieved"


_ADVICE: Final = {
    Unmatched.UNKNOWN: "no rig or block of that name is listed, or found in a range: correct the name there or here",
    Unmatched.IMPLAUSIBLE: "no rig or block draws that: look for a wrong unit, or a whole PDU in place of one outlet",
    Unmatched.DISBELIEVED: "it does not fit what the rigs behind it hash and report: is it their meter, and in watts?",
}


class Inventory:
    """The names of all listed rigs and all blocks of a site."""

    def __init__(self, rigs: Iterable[Rig], blocks: Iterable[Block]) -> None:
        rigs = tuple(rigs)
        self._rigs = {rig.name for rig in rigs if not rig.discovered}
        self._blocks = {UNASSIGNED, *(block.name for block in blocks)}
        self.has_ranges = len(self._rigs) < len(rigs)
        """Whether ranges are searched. A rig that is found there gets its name then."""

    def unknown_rigs(self, report: MeterReading | ExpectedOff) -> set[str]:
        """Return the names of rigs in the report that are not listed."""
        return {*report.rigs} - self._rigs

    def unknown_blocks(self, report: MeterReading | ExpectedOff) -> set[str]:
        """Return the names of blocks in the report that the site does not have."""
        return _blocks_of(report) - self._blocks

    def suggestions(self, names: Iterable[str]) -> dict[str, str]:
        """Return the most similar listed name for each of the names that has one."""
        known = sorted(self._rigs | self._blocks, key=str.casefold)
        suggested: dict[str, str] = {}
        for name in names:
            at = bisect_left(known, name.casefold(), key=str.casefold)
            match = nearest(name, known[max(0, at - _NEIGHBOURS) : at + _NEIGHBOURS])
            if match is not None:
                suggested[name] = match
        return suggested


class UnmatchedReports:
    """Counts unmatched reports. A name that comes and goes is logged once."""

    def __init__(self, telemetry: Telemetry, rigs: Collection[Rig], blocks: Collection[Block]) -> None:
        self._telemetry = telemetry
        self._logged: dict[tuple[str, Unmatched], frozenset[str]] = {}
        self.replace(rigs, blocks)

    def replace(self, rigs: Collection[Rig], blocks: Collection[Block]) -> None:
        """Switch to this inventory of the whole site."""
        self._inventory = Inventory(rigs, blocks)

    def judge(
        self,
        source: str,
        report: MeterReading | ExpectedOff | None,
        disbelieved: Disbelieved,
        found: Collection[str] | None = None,
    ) -> None:
        """Count and log the names in the ``report`` of ``source`` that are not used.

        ``report`` is None if the source has no usable value. ``found`` are the names of all rigs, those found in ranges
        too. It is None if rigs may be unknown yet, or be those of another shard: then no name in a site with ranges is
        unknown.
        """
        if report is None:
            self._telemetry.source_ignored.remove_by_labels({"source": source})
            return
        unknown = self._inventory.unknown_blocks(report)
        if found is not None or not self._inventory.has_ranges:
            unknown |= self._inventory.unknown_rigs(report) - set(found or ())
        self._count(source, Unmatched.UNKNOWN, unknown)
        if isinstance(report, MeterReading):
            self._count(source, Unmatched.IMPLAUSIBLE, {*report.refused})
            totals = ({*report.feeders} | {*report.utilities}) & disbelieved.totals
            wrong = (report.rigs.keys() & disbelieved.rigs.keys()) | (report.blocks.keys() & disbelieved.blocks)
            self._count(source, Unmatched.DISBELIEVED, wrong | {name or _SITE for name in totals})

    def _count(self, source: str, why: Unmatched, names: Collection[str]) -> None:
        self._telemetry.source_ignored.labels(source, why).set(len(names))
        logged = self._logged.get((source, why), frozenset())
        fresh = sorted({*names} - logged)
        if fresh:
            named = fresh[:_MOST_NAMED]
            suggested = self._inventory.suggestions(named) if why is Unmatched.UNKNOWN else {}
            self._logged[source, why] = logged.union(fresh)
            _log.warning(
                "reports of a source are not used",
                source=source,
                reason=why.value,
                count=len(fresh),
                names=named,
                **({"nearest": suggested} if suggested else {}),
                advice=_ADVICE[why],
            )


def _blocks_of(report: MeterReading | ExpectedOff) -> set[str]:
    """Return the names of the blocks in a report. The whole site, whose name is empty, is not a block."""
    totals = {*report.feeders, *report.utilities} if isinstance(report, MeterReading) else set()
    return {*report.blocks, *totals} - {""}
