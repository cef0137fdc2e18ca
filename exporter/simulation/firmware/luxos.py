"""LuxOS on Antminers: cgminer's API on 4028, one command per connection, with Luxor's own commands beside it.

Its power is an estimate: the power supplies of these rigs do not measure.
"""

from datetime import UTC, datetime
from typing import Any, Final

from exporter.simulation.cgminer import Cgminer, Command, refusal, section
from exporter.simulation.firmware import RARE, Family
from exporter.simulation.firmware.antminer import ghs, model, pool_rows, stats_row, summary_row
from exporter.simulation.http import Http, Pages
from exporter.simulation.machine import Machine, Vitals

_VERSION: Final = "2025.4.8.220305"
_DESCRIPTION: Final = f"LUXminer {_VERSION}"


def _version_row(machine: Machine) -> dict[str, Any]:
    return {"CompileTime": "Tue Apr  8 22:05:35 UTC 2025", "Miner": _VERSION, "Type": machine.model.code}


def _version(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    row = _version_row(machine) | {"API": "3.7", "LUXminer": f"{_VERSION}-57b389c7"}
    return section(_DESCRIPTION, 22, "LUXminer versions", vitals.now, "VERSION", [row])


def _config(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    row = {
        "Hostname": machine.name,
        "MACAddr": machine.mac.lower(),
        "Model": machine.model.code,
        "OS": "LuxOS",
        "SerialNumber": machine.serial,
        "NameplateTHS": machine.model.terahash,
    }
    return section(_DESCRIPTION, 33, "LUXminer config", vitals.now, "CONFIG", [row])


def _summary(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    row = summary_row(machine, vitals) | {"GHS 1m": ghs(vitals.average), "GHS 5m": ghs(vitals.average)}
    return section(_DESCRIPTION, 11, "Summary", vitals.now, "SUMMARY", [row])


def _stats(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    rows = [_version_row(machine), stats_row(machine, vitals)]
    return section(_DESCRIPTION, 70, "LUXminer stats", vitals.now, "STATS", rows)


def _power(machine: Machine, vitals: Vitals) -> dict[str, Any]:  # noqa: ARG001 - every command has the same arguments
    row = {"PSU": False, "Watts": round(vitals.power)}
    return section(_DESCRIPTION, 311, "Power usage", vitals.now, "POWER", [row])


def _pools(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    rows = [
        row | {"Last Share Time": int(vitals.now) if row["Stratum Active"] else 0} for row in pool_rows(machine, vitals)
    ]
    return section(_DESCRIPTION, 7, f"{len(rows)} Pool(s)", vitals.now, "POOLS", rows)


def _events(machine: Machine, vitals: Vitals) -> dict[str, Any]:  # noqa: ARG001
    at = {"CreatedAt": datetime.fromtimestamp(int(vitals.now), UTC).isoformat()}
    lost = [
        at | {"Code": "REBOOT_NOT_HASHING", "Description": "Board reboot due to it not hashing.", "ID": index}
        for index in vitals.boards_lost
    ]
    rows = [row | {"Target": "BOARD"} for row in lost]
    return section(_DESCRIPTION, 357, "Miner Events", vitals.now, "EVENTS", rows)


_COMMANDS: Final[dict[str, Command]] = {
    "version": _version,
    "config": _config,
    "summary": _summary,
    "stats": _stats,
    "power": _power,
    "pools": _pools,
    "events": _events,
}

FAMILY: Final = Family(
    name="luxos",
    models=(
        model("S19k Pro", "mid", 120.0, 2_760.0, 77, 480.0, firmware="LuxOS"),
        model("S21", "new", 200.0, 3_500.0, 108, 490.0, firmware="LuxOS"),
    ),
    ports={
        4028: Cgminer("luxos", _COMMANDS, refuse=refusal(_DESCRIPTION), terminator=b"\0"),
        80: Http("luxos", Pages("<title>Luxor Firmware</title>", {})),
    },
    mac_prefix="62:F7:5E",
    weight=RARE,
)
