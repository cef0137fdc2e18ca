"""Checks hashrates against the expected one, and power against hashrate. Tuning changes them by half at most."""

from dataclasses import replace
from typing import Final

from exporter.economics.power import plausible_watts
from exporter.model.failures import Failure, Reason
from exporter.model.fleet import Rig
from exporter.model.readings import RigReading
from exporter.sources.rigs.coerce import MAX_OVER_EXPECTED
from exporter.sources.rigs.implausible import note

_KIND: Final = "hashrate"
_POWER: Final = "power"


def drop_implausible(reading: RigReading, rig: Rig, *, mines_bitcoin: bool) -> RigReading:
    """Return the reading without implausible power, averages and boards' hashrates.

    ``rig`` has its ratings from the inventory, else the nameplate. Other algorithms than bitcoin's have other
    efficiencies: their power is not judged. Raises Failure if the rig's own hashrate is implausible.
    """
    reading = _without_implausible_hashrates(reading, rig.rated_hashrate)
    if reading.power and mines_bitcoin:
        low, high = plausible_watts(rig, reading)
        if not low <= reading.power <= high:
            note(_POWER)
            return replace(reading, power=None)
    return reading


def _without_implausible_hashrates(reading: RigReading, rated: float | None) -> RigReading:
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
