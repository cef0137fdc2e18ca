"""What a rig says that it hashes, against what it should: tuning makes half as much again, never three times."""

from dataclasses import replace
from typing import Final

from exporter.model.failures import Failure, Reason
from exporter.model.readings import RigReading
from exporter.sources.rigs.coerce import MAX_OVER_EXPECTED
from exporter.sources.rigs.implausible import note

_KIND: Final = "hashrate"


def believed(reading: RigReading, rated: float | None) -> RigReading:
    """Leave out averages and boards' hashrates that cannot be; ``rated`` (H/s) is of the inventory, else the nameplate.

    Raises Failure where the rig's own hashrate cannot be.
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
