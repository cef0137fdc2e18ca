"""From a rig's watts to the kilowatts that are billed: which source is used, and the losses between the meters."""

from exporter.economics.settings import MeteringPoint, PowerSettings
from exporter.economics.values import PowerSource
from exporter.model.fleet import Rig
from exporter.model.snapshot import RigSnapshot


def billed_per_watt(source: PowerSource, settings: PowerSettings) -> float:
    """Return the watts at the billing meter per watt of ``source``: only what lies between the two is added."""
    point = settings.metered_at if source is PowerSource.METERED else MeteringPoint.RIG
    factor = 1.0
    if point is MeteringPoint.RIG and source is not PowerSource.NAMEPLATE:  # a nameplate has no meter to calibrate
        factor *= settings.calibration
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
    for watts, source in ((metered, PowerSource.METERED), (reported, PowerSource.REPORTED)):
        if watts is not None and (watts > 0 or (watts == 0 and not hashing)):
            return watts, source
    if hashing and hashrate is not None:
        return power_of_nameplate(rig, hashrate)
    return None


def power_of_nameplate(rig: Rig, hashrate: float) -> tuple[float, PowerSource] | None:
    """Return the watts of ``hashrate`` (H/s) at the efficiency on the nameplate, where that is known."""
    if rig.rated_hashrate is None or rig.rated_power is None or rig.rated_hashrate <= 0 or rig.rated_power <= 0:
        return None
    return rig.rated_power / rig.rated_hashrate * hashrate, PowerSource.NAMEPLATE
