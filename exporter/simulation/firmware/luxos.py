"""LuxOS on Antminers: cgminer's API on 4028, with Luxor's own commands beside it; all may be joined.

Its power is an estimate: the power supplies of these rigs do not measure.
"""

from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from exporter.simulation.cgminer import Cgminer, Command, refusal, section
from exporter.simulation.firmware import RARE, Family
from exporter.simulation.firmware.antminer import ghs, model, pool_rows, stats_row, summary_row
from exporter.simulation.http import Http, Pages
from exporter.simulation.machine import Machine, Vitals
from exporter.simulation.points import SHARES

_VERSION: Final = "2025.4.8.220305"
_DESCRIPTION: Final = f"LUXminer {_VERSION}"
_VOLTS: Final = 13.4


def _version_row(machine: Machine) -> dict[str, Any]:
    return {"CompileTime": "Tue Apr  8 22:05:35 UTC 2025", "Miner": _VERSION, "Type": machine.model.code}


def _version(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    row = _version_row(machine) | {"API": "3.7", "LUXminer": f"{_VERSION}-57b389c7"}
    return section(_DESCRIPTION, 22, "LUXminer versions", vitals.now, "VERSION", [row])


def _name(machine: Machine, share: float) -> str:
    return f"{machine.model.frequency * share:.0f}MHz"


def _step(share: float) -> str:
    return str(SHARES.index(share) - SHARES.index(1.0))


def _atm(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    row = {"Enabled": True, "MinProfile": "", "MaxProfile": "", "PowerLimit": round(machine.model.watts * 1.5)}
    return section(_DESCRIPTION, 339, "ATM configuration values", vitals.now, "ATM", [row])


def _config(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    row = {
        "ASC Count": len(vitals.boards),
        "ControlBoardType": "cvitek",
        "Cooling": "Air",
        "CurtailMode": "None" if vitals.mining else "Sleep",
        "GreenLed": "auto",
        "Hostname": machine.name,
        "IsPowerSupplyOn": vitals.mining,
        "IsSingleVoltage": True,
        "IsTuning": machine.operation.tuning(vitals.now),
        "MACAddr": machine.mac.lower(),
        "Model": machine.model.code,
        "NameplateTHS": machine.model.terahash,
        "OS": "LuxOS",
        "PSULabel": "APW121215e",
        "Profile": _name(machine, machine.operation.share),
        "ProfileStep": _step(machine.operation.share),
        "RedLed": "auto",
        "SerialNumber": machine.serial,
        "SystemStatus": "Normal",
    }
    return section(_DESCRIPTION, 33, "LUXminer config", vitals.now, "CONFIG", [row])


def _devs(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    rows = [
        {
            "ASC": board.index,
            "ID": board.index,
            "Status": "Alive",
            "MHS 1m": board.average / 1e6,
            "MHS 5s": board.hashrate / 1e6,
            "MHS av": board.average / 1e6,
            "Nominal MHS": vitals.expected / machine.model.boards / 1e6,
            "Hardware Errors": board.hardware_errors,
            "SerialNumber": board.serial,
            "Temperature": round(board.pcb, 1),
        }
        for board in vitals.boards
    ]
    return section(_DESCRIPTION, 9, f"{len(rows)} ASC(s)", vitals.now, "DEVS", rows)


def _devdetails(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    rows = [
        {
            "DEVDETAILS": board.index,
            "ID": board.index,
            "Chips": machine.model.chips,
            "Frequency": machine.model.frequency,
            "Voltage": _VOLTS if vitals.mining else 0.0,
            "SerialNumber": board.serial,
        }
        for board in vitals.boards
    ]
    return section(_DESCRIPTION, 69, "Device Details", vitals.now, "DEVDETAILS", rows)


def _fans(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    duty = round(max(vitals.fans) / machine.model.fan_rpm * 100)
    rows = [
        {"FAN": f"FAN{index + 1}", "ID": index, "RPM": rpm, "Speed": min(duty, 100)}
        for index, rpm in enumerate(vitals.fans)
    ]
    return section(_DESCRIPTION, 202, f"{len(rows)} Fan(s)", vitals.now, "FANS", rows)


def _tempctrl(machine: Machine, vitals: Vitals) -> dict[str, Any]:  # noqa: ARG001 - every command has the same arguments
    row = {"Mode": "Automatic", "Target": 60.0, "Hot": 70.0, "Dangerous": 90.0}
    return section(_DESCRIPTION, 200, "Temperature control", vitals.now, "TEMPCTRL", [row])


def _temps(machine: Machine, vitals: Vitals) -> dict[str, Any]:  # noqa: ARG001
    corners = {"TopLeft": "Board Exhaust (top)", "TopRight": "Board Intake (top)"}
    rows = [
        {"ID": board.index, "TEMP": board.index, "TopLeft": round(board.pcb, 1), "TopRight": round(board.inlet, 1)}
        for board in vitals.boards
    ]
    metadata = [{key: {"Label": label} for key, label in corners.items()}]
    answer = section(_DESCRIPTION, 201, f"{len(rows)} Temp(s)", vitals.now, "TEMPS", rows)
    return answer | {"METADATA": metadata}


def _chips(index: int, machine: Machine, vitals: Vitals) -> dict[str, Any]:
    rows = [
        {"Board": index, "Chip": chip, "Frequency": machine.model.frequency, "Healthy": "Y", "IsChecking": False}
        for board in vitals.boards
        if board.index == index
        for chip in range(machine.model.chips)
    ]
    return section(_DESCRIPTION, 314, "Health Chip Get", vitals.now, "CHIPS", rows)


def _voltage(machine: Machine, vitals: Vitals) -> dict[str, Any]:  # noqa: ARG001
    row = {"Board": 0, "IsOnBoard": False, "Voltage": _VOLTS if vitals.mining else 0.0}
    return section(_DESCRIPTION, 307, "Get Voltage", vitals.now, "VOLTAGE", [row])


def _profiles(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    rows = [
        {
            "Profile Name": _name(machine, point.share),
            "Frequency": round(machine.model.frequency * point.share),
            "Voltage": _VOLTS,
            "Hashrate": point.terahash,
            "IsDynamic": True,
            "IsTuned": point.tuned,
            "Step": _step(point.share),
            "Watts": point.watts,
        }
        for point in machine.listed
    ]
    return section(_DESCRIPTION, 323, "List profiles", vitals.now, "PROFILES", rows)


def _summary(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    row = summary_row(machine, vitals) | {"GHS 1m": ghs(vitals.average), "GHS 5m": ghs(vitals.average)}
    return section(_DESCRIPTION, 11, "Summary", vitals.now, "SUMMARY", [row])


def _stats(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    rows = [_version_row(machine), stats_row(machine, vitals)]
    return section(_DESCRIPTION, 70, "LUXminer stats", vitals.now, "STATS", rows)


def _power(machine: Machine, vitals: Vitals) -> dict[str, Any]:  # noqa: ARG001
    row = {"PSU": False, "Watts": round(vitals.power)}
    return section(_DESCRIPTION, 311, "Power usage", vitals.now, "POWER", [row])


def _psuget(machine: Machine, vitals: Vitals) -> dict[str, Any]:  # noqa: ARG001
    fan = {"Enabled": "true", "SpeedRPM": str(round(5_000 + 40 * vitals.inlet))}
    flags = {"FanFault": "false", "FanWarning": "false", "InputVoltageOvervoltageFault": "false"}
    answer = section(_DESCRIPTION, 431, "PSU configuration", vitals.now, "PSUFAN", [fan])
    return answer | {"PSUFLAGS": [flags]}


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
    "atm": _atm,
    "summary": _summary,
    "stats": _stats,
    "devs": _devs,
    "devdetails": _devdetails,
    "fans": _fans,
    "psuget": _psuget,
    "tempctrl": _tempctrl,
    "temps": _temps,
    "profiles": _profiles,
    "power": _power,
    "pools": _pools,
    "events": _events,
}
_OF_BOARDS: Final[dict[str, Command]] = {
    "voltageget 0": _voltage,
    **{f"healthchipget {board}": partial(_chips, board) for board in range(3)},
}

FAMILY: Final = Family(
    name="luxos",
    models=(
        model("S19k Pro", "mid", 120.0, 2_760.0, 77, 480.0, firmware="LuxOS"),
        model("S21", "new", 200.0, 3_500.0, 108, 490.0, firmware="LuxOS"),
    ),
    ports={
        4028: Cgminer(
            "luxos",
            _COMMANDS | _OF_BOARDS,
            refuse=refusal(_DESCRIPTION),
            joinable=frozenset(_COMMANDS),
            terminator=b"\0",
        ),
        80: Http("luxos", Pages("<title>Luxor Firmware</title>", {})),
    },
    mac_prefix="62:F7:5E",
    weight=RARE,
    lists_points=True,
)
