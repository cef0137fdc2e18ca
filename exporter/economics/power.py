"""From a rig's watts to the kilowatts that are billed: which source is used, and the losses between the meters."""

from math import inf
from typing import Final

from exporter.economics.settings import MeteringPoint, PowerSettings
from exporter.economics.values import PowerSource
from exporter.model.fleet import Rig
from exporter.model.readings import RigReading
from exporter.model.snapshot import RigSnapshot
from exporter.model.units import HASHES_PER_TERAHASH

_METERED: Final = PowerSource.METERED  # read once: a member of an Enum takes as long as ten function calls
_REPORTED: Final = PowerSource.REPORTED
_EFFICIENCY: Final = (3.0 / HASHES_PER_TERAHASH, 300.0 / HASHES_PER_TERAHASH)
"""J per hash between which every rig lies that has no rating: the best of 2026 needs 9 J/TH, an S7 270."""
_TIMES_RATED: Final = 3.0
"""Factor between a rig's efficiency and its rated one, either way, that no tuning explains."""


def billed_per_watt(source: PowerSource, settings: PowerSettings) -> float:
    """Return the watts at the billing meter per watt of ``source``: only what lies between the two is added."""
    point = settings.metered_at if source is PowerSource.METERED else MeteringPoint.RIG
    uncalibrated = point is not MeteringPoint.RIG or source is PowerSource.NAMEPLATE  # a nameplate has no meter
    factor = 1.0 if uncalibrated else settings.calibration
    if point in (MeteringPoint.RIG, MeteringPoint.PDU):
        factor *= settings.overhead
    if point is not MeteringPoint.UTILITY:
        factor /= 1 - settings.transformer_loss
    return factor


def power_now(rig: RigSnapshot, hashrate: float | None) -> tuple[float, PowerSource] | None:
    """Return the best figure for what the rig draws now (W), and its source."""
    reported = rig.reading.value.power if rig.reading is not None else None
    return best_power(rig.rig, hashrate, metered=rig.metered_power, reported=reported)


def best_power(
    rig: Rig, hashrate: float | None, *, metered: float | None, reported: float | None
) -> tuple[float, PowerSource] | None:
    """Return the best of what is known of a rig's power (W), and its source.

    A meter or rig that shows 0 W while the rig hashes has no figure. The nameplate does not apply to an idle rig.
    """
    hashing = hashrate is not None and hashrate > 0
    for watts, source in ((metered, _METERED), (reported, _REPORTED)):
        if watts is not None and (watts > 0 or (watts == 0 and not hashing)):
            return watts, source
    if hashing and hashrate is not None:
        return power_of_nameplate(rig, hashrate)
    return None


def power_of_nameplate(rig: Rig, hashrate: float) -> tuple[float, PowerSource] | None:
    """Return the watts of ``hashrate`` (H/s) at the efficiency on the nameplate, where that is known."""
    if not rig.rated_hashrate or not rig.rated_power:
        return None
    return rig.rated_power / rig.rated_hashrate * hashrate, PowerSource.NAMEPLATE


def plausible_watts(rig: Rig, reading: RigReading) -> tuple[float, float]:
    """Return the least and the most power (W) that is plausible for a SHA-256 rig with this reading.

    The least is that of its hashrate now, 0 if it is stopped. The most is that of its full hashrate: a rig that starts
    draws power before it hashes. Its efficiency is the rated one times or divided by 3, or 3 to 300 J/TH if it has no
    rating.
    """
    low, high = _EFFICIENCY
    if rig.rated_hashrate and rig.rated_power:
        rated = rig.rated_power / rig.rated_hashrate
        low, high = rated / _TIMES_RATED, rated * _TIMES_RATED
    full = max(reading.hashrate, reading.expected_hashrate or 0.0, rig.rated_hashrate or 0.0)
    stopped = reading.mining is False or reading.suspended is True
    return 0.0 if stopped else low * reading.hashrate, high * full or inf
