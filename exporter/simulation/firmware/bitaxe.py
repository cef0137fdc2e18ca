"""BitAxe Gammas with AxeOS v2: HTTP on port 80, everything in ``/api/system/info``.

Their regulator (TPS546) measures what it gives to the chip: that is their ``current``, and their ``power`` is that plus
what the rest of the board is reckoned to draw.
"""

from typing import Any, Final

from exporter.simulation.firmware import Family
from exporter.simulation.http import Http, Pages
from exporter.simulation.machine import Machine, Model, Vitals
from exporter.simulation.pools import PORT, pools

_VERSION: Final = "v2.12.2"
_BOARD_WATTS: Final = 5.0
_CORE_MILLIVOLTS: Final = 1_138.0
_CORES: Final = 2_040  # small cores of a BM1370: one hash per cycle each


def _system_info(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    board = vitals.boards[0] if vitals.boards else None
    first, backup, *_ = pools(machine, vitals)
    best = vitals.share_difficulty * 24_613
    return {
        "power": vitals.power,
        "voltage": 5_100.0,
        "current": round(1_000_000.0 * max(vitals.power - _BOARD_WATTS, 0.0) / _CORE_MILLIVOLTS, 3),
        "temp": round(board.chip, 3) if board else vitals.inlet,
        "temp2": -1,
        "vrTemp": round(board.pcb) if board else round(vitals.inlet),
        "maxPower": 40,
        "nominalVoltage": 5,
        "hashRate": vitals.hashrate / 1e9,
        "hashRate_1m": vitals.hashrate / 1e9,
        "hashRate_10m": vitals.average / 1e9,
        "hashRate_1h": vitals.average / 1e9,
        "expectedHashrate": _CORES * machine.model.frequency / 1_000.0,
        "errorPercentage": 0.31 if vitals.mining else 0.0,
        "bestDiff": best * 7,
        "bestSessionDiff": best,
        "poolDifficulty": vitals.share_difficulty,
        "isUsingFallbackStratum": 0,
        "isPSRAMAvailable": 1,
        "freeHeap": 8_443_612,
        "coreVoltage": 1_150,
        "coreVoltageActual": _CORE_MILLIVOLTS,
        "frequency": machine.model.frequency,
        "actualFrequency": machine.model.frequency if vitals.mining else 0,
        "miningPaused": not vitals.mining,
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
