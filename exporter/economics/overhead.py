"""The measured overhead: what a feeder or utility meter shows per watt of the rigs behind it."""

from collections import defaultdict
from typing import Final

from exporter.economics.power import billed_per_watt, power_now
from exporter.economics.settings import SiteSettings
from exporter.economics.values import Overhead, PowerSource
from exporter.model.snapshot import RigSnapshot, SiteSnapshot

_MAX_UNKNOWN: Final = 0.02  # share of the rigs whose power may be unknown


def overheads(snapshot: SiteSnapshot, settings: SiteSettings) -> tuple[Overhead, ...]:
    """Return the overhead behind each total meter. Left out if the power of more than 2 % of its rigs is unknown.

    The configured overhead is that of ``calibration``, ``overhead`` and, at the utility, ``transformer_loss``.
    """
    totals = {(name, False): watts for meter in snapshot.meters for name, watts in meter.feeders.items()}
    totals |= {(name, True): watts for meter in snapshot.meters for name, watts in meter.utilities.items()}
    if not totals:
        return ()
    members: dict[str, list[RigSnapshot]] = defaultdict(list)
    for rig in snapshot.rigs:
        members[rig.rig.block].append(rig)
    found: list[Overhead] = []
    for (name, at_utility), watts in totals.items():
        rigs = members[name] if name else snapshot.rigs
        drawn, expected = 0.0, 0.0
        unknown = 0
        for rig in rigs:
            reading = rig.reading
            power = None if reading is None else power_now(rig, reading.value.hashrate)
            if power is None or power[1] is PowerSource.NAMEPLATE:
                unknown += 1
                continue
            own = settings.at(rig.rig.tariff or settings.tariff)[1]
            factor = billed_per_watt(power[1], own)
            drawn += power[0]
            expected += power[0] * (factor if at_utility else factor * (1 - own.transformer_loss))
        if drawn > 0 and unknown <= _MAX_UNKNOWN * len(rigs):
            found.append(Overhead(name, watts / drawn, expected / drawn))
    return tuple(found)
