"""Checks hashrates against the expected one. Tuning adds up to half of it, never twice as much."""

from dataclasses import replace
from typing import Final

from exporter.model.failures import Failure, Reason
from exporter.model.readings import RigReading
from exporter.sources.rigs.coerce import MAX_OVER_EXPECTED
from exporter.sources.rigs.implausible import note

_KIND: Final = "hashrate"


def drop_implausible(reading: RigReading, rated: float | None) -> RigReading:
    """Return the reading without implausible averages and boards' hashrates.

    ``rated`` (H/s) is from the inventory, else the nameplate. Raises Failure if the rig's own hashrate is implausible.
    """
    known = [expected for expected in (reading.expected_hashrate, rated) if expected]
    if not known:
        return reading
    ceiling = MAX_OVER_EXPECTED * min(known)
    if reading.hashrate > ceiling:
        note(_KIND)
        detail = f"hashrate of {reading.hashrate:.4g} H/s, more than three times the {min(known):.4g} it should do"
        raise Failure(Reason.IMPLAUSIBLE, detail)
    if (reading.average_hashrate or 0.0) > ceiling:
        note(_KIND)
        reading = replace(reading, average_hashrate=None)
    if any((board.hashrate or 0.0) > ceiling for board in reading.boards):
        note(_KIND)
        boards = (replace(each, hashrate=None) if (each.hashrate or 0.0) > ceiling else each for each in reading.boards)
        reading = replace(reading, boards=tuple(boards))
    return reading
