"""BitAxe Gammas with AxeOS v2: HTTP on port 80, everything in ``/api/system/info``."""

from typing import Any, Final

from exporter.simulation.firmware import Family
from exporter.simulation.http import Http, Pages
from exporter.simulation.machine import Machine, Model, Vitals
from exporter.simulation.pools import PORT, metric_text, pools

_VERSION: Final = "v2.6.5"
_CORES: Final = 2_040  # small cores of a BM1370: one hash per cycle each


def _system_info(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    board = vitals.boards[0] if vitals.boards else None
    first, backup, *_ = pools(machine, vitals)
    volts = 5.1
    return {
        "power": vitals.power,
        "voltage": 1_000.0 * volts,
        "current": 1_000.0 * vitals.power / volts,
        "temp": round(board.chip, 3) if board else vitals.inlet,
        "vrTemp": round(board.pcb) if board else round(vitals.inlet),
        "maxPower": 40,
        "nominalVoltage": 5,
        "hashRate": vitals.hashrate / 1e9,
        "expectedHashrate": _CORES * machine.model.frequency / 1_000.0,
        "bestDiff": metric_text(vitals.share_difficulty * 24_613),
        "bestSessionDiff": metric_text(vitals.share_difficulty * 24_613),
        "stratumDiff": vitals.share_difficulty,
        "isUsingFallbackStratum": 0,
        "isPSRAMAvailable": 1,
        "freeHeap": 8_443_612,
        "coreVoltage": 1_150,
        "coreVoltageActual": 1_138,
        "frequency": machine.model.frequency,
        "ssid": "site",
        "macAddr": machine.mac,
        "hostname": machine.name,
        "wifiStatus": "Connected!",
        "wifiRSSI": -52,
        "apEnabled": 0,
        "sharesAccepted": vitals.accepted,
        "sharesRejected": vitals.rejected,
        "sharesRejectedReasons": [{"message": "Above target", "count": vitals.rejected}] if vitals.rejected else [],
        "uptimeSeconds": vitals.uptime,
        "asicCount": len(vitals.boards),
        "smallCoreCount": _CORES,
        "ASICModel": machine.model.code,
        "stratumURL": first.host,
        "fallbackStratumURL": backup.host,
        "stratumPort": PORT,
        "fallbackStratumPort": PORT,
        "stratumUser": first.worker,
        "fallbackStratumUser": backup.worker,
        "version": _VERSION,
        "axeOSVersion": _VERSION,
        "idfVersion": "v5.4",
        "boardVersion": "601",
        "runningPartition": "ota_0",
        "flipscreen": 1,
        "overheat_mode": 1 if vitals.hot else 0,
        "overclockEnabled": 0,
        "invertscreen": 0,
        "autofanspeed": 1,
        "fanspeed": 100 if vitals.hot else 62,
        "temptarget": 60,
        "fanrpm": vitals.fans[0],
    }


FAMILY: Final = Family(
    name="bitaxe",
    models=(
        Model(
            name="BitAxe Gamma",
            code="BM1370",
            generation="small",
            terahash=1.2,
            watts=18.0,
            boards=1,
            chips=1,
            fans=1,
            fan_rpm=7_000.0,
            frequency=600.0,
        ),
    ),
    ports={80: Http("bitaxe", Pages("<title>AxeOS</title>", {"/api/system/info": _system_info}))},
    mac_prefix="30:ED:A0",
    weight=0.05,
)
