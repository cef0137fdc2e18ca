"""MSK on an S19: the cgminer API on port 4028, with power, board voltages, tuning and the power supply's state."""

from typing import Any, Final

from exporter.simulation.cgminer import Cgminer, Command, refusal, section
from exporter.simulation.firmware import RARE, Family
from exporter.simulation.firmware.antminer import ghs, pool_rows, stats_row, summary_row
from exporter.simulation.machine import Machine, Model, Vitals

_DESCRIPTION: Final = "cgminer 1.0.0"
_SLOTS: Final = 4
_VOLTS: Final = 15.5


def _version_row(machine: Machine) -> dict[str, Any]:
    compiled = "10 Dec 2024 14:34:31 GMT"
    return {"BMMiner": "4.11.1 rwglr", "Miner": "0.0.1.3", "CompileTime": compiled, "Type": machine.model.code}


def _version(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    row = _version_row(machine) | {"API": "3.1"}
    return section(_DESCRIPTION, 22, "CGMiner versions", vitals.now, "VERSION", [row])


def _summary(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    return section(_DESCRIPTION, 11, "Summary", vitals.now, "SUMMARY", [summary_row(machine, vitals)])


def _stats(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    there = {board.index + 1 for board in vitals.boards}
    share = vitals.power / max(len(there), 1)
    row = stats_row(machine, vitals) | {
        "total_power": round(vitals.power),
        "fan_pwm": 78,
        "tune_running": "0",
        "psu_status": "PSU OK",
    }
    for slot in range(1, _SLOTS + 1):  # a slot without a board has a voltage and a rate too
        row |= {
            f"chain_rateideal{slot}": round(ghs(vitals.expected) / machine.model.boards, 2),
            f"chain_voltage{slot}": _VOLTS,
            f"chain_power{slot}": round(share) if slot in there else 0,
        }
    return section(_DESCRIPTION, 70, "CGMiner stats", vitals.now, "STATS", [_version_row(machine), row])


def _pools(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    rows = pool_rows(machine, vitals)
    return section(_DESCRIPTION, 7, f"{len(rows)} Pool(s)", vitals.now, "POOLS", rows)


_COMMANDS: Final[dict[str, Command]] = {"version": _version, "stats": _stats, "summary": _summary, "pools": _pools}

FAMILY: Final = Family(
    name="msk",
    models=(
        Model(
            name="MSK S19",
            code="S19-88 v.2.6.0.39 ",
            generation="old",
            terahash=95.0,
            watts=3_250.0,
            boards=3,
            chips=88,
            fans=4,
            fan_rpm=6_000.0,
            frequency=675.0,
        ),
    ),
    ports={4028: Cgminer("msk", _COMMANDS, refuse=refusal(_DESCRIPTION), terminator=b"\0")},
    mac_prefix="02:4D:5B",
    weight=RARE,
)
