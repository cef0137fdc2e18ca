"""Hiveon on an S9: the cgminer API on port 4028, with boards in slots 6 to 8 of 16, and fans in 5 and 6 of 8."""

from typing import Any, Final

from exporter.simulation.cgminer import Cgminer, Command, refusal, section
from exporter.simulation.firmware import RARE, Family
from exporter.simulation.firmware.antminer import ghs, pool_rows, summary_row
from exporter.simulation.machine import BoardVitals, Machine, Model, Vitals

_DESCRIPTION: Final = "bmminer 1.0.0"
_BOARD_SLOTS: Final = 16
_FIRST_BOARD: Final = 6
_FAN_SLOTS: Final = 8
_FIRST_FAN: Final = 5


def _version_row(machine: Machine) -> dict[str, Any]:
    compiled = "Fri Jul 9 18:31:39 UTC 2021"
    return {"BMMiner": "2.0.0 rwglr", "Miner": "30.0.1.3", "CompileTime": compiled, "Type": machine.model.code}


def _version(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    row = _version_row(machine) | {"API": "3.1"}
    return section(_DESCRIPTION, 22, "BMMiner versions", vitals.now, "VERSION", [row])


def _summary(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    return section(_DESCRIPTION, 11, "Summary", vitals.now, "SUMMARY", [summary_row(machine, vitals)])


def _chain(machine: Machine, vitals: Vitals, board: BoardVitals | None, slot: int) -> dict[str, Any]:
    here, model = board is not None, machine.model
    share = vitals.power / max(len(vitals.boards), 1)
    return {
        f"temp{slot}": round(board.pcb) if board else 0,
        f"temp2_{slot}": round(board.chip) if board else 0,
        f"temp3_{slot}": 0,
        f"freq_avg{slot}": model.frequency if here else 0,
        f"chain_rateideal{slot}": round(ghs(vitals.expected) / model.boards, 2) if here else 0,
        f"chain_acn{slot}": model.chips if here else 0,
        f"chain_acs{slot}": " ooooooo" * (model.chips // 7) if here else "",
        f"chain_hw{slot}": board.hardware_errors if board else 0,
        f"chain_rate{slot}": f"{ghs(board.hashrate):.2f}" if board else "",
        f"chain_power{slot}": round(share, 2) if here else 0,
    }


def _stats(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    row: dict[str, Any] = {
        "STATS": 0,
        "ID": "BC50",
        "Elapsed": vitals.elapsed,
        "GHS 5s": f"{ghs(vitals.hashrate):.3f}",
        "GHS av": ghs(vitals.average),
        "miner_count": len(vitals.boards),
        "frequency": str(round(machine.model.frequency)),
        "fan_num": machine.model.fans,
        "temp_num": len(vitals.boards),
        "total_rateideal": ghs(vitals.expected),
        "Device Hardware%": 0.0002,
        "no_matching_work": vitals.hardware_errors,
        "chain_power": f"{vitals.power:.2f} (AB)",
    }
    row |= {f"fan{slot}": 0 for slot in range(1, _FAN_SLOTS + 1)}
    row |= {f"fan{slot}": rpm for slot, rpm in enumerate(vitals.fans, _FIRST_FAN)}
    boards = {board.index + _FIRST_BOARD: board for board in vitals.boards}
    for slot in range(1, _BOARD_SLOTS + 1):
        row |= _chain(machine, vitals, boards.get(slot), slot)
    return section(_DESCRIPTION, 70, "BMMiner stats", vitals.now, "STATS", [_version_row(machine), row])


def _pools(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    rows = pool_rows(machine, vitals)
    return section(_DESCRIPTION, 7, f"{len(rows)} Pool(s)", vitals.now, "POOLS", rows)


_COMMANDS: Final[dict[str, Command]] = {"version": _version, "stats": _stats, "summary": _summary, "pools": _pools}

FAMILY: Final = Family(
    name="hiveon",
    models=(
        Model(
            name="Hiveon S9",
            code="Antminer S9 Hiveon",
            generation="old",
            terahash=13.5,
            watts=1_323.0,
            boards=3,
            chips=63,
            fans=2,
            fan_rpm=5_400.0,
            frequency=650.0,
        ),
    ),
    ports={4028: Cgminer("hiveon", _COMMANDS, refuse=refusal(_DESCRIPTION), terminator=b"\0")},
    mac_prefix="02:48:9E",
    weight=RARE,
)
