"""Braiins OS+ on Antminers, of a release that still serves cgminer's API: joined commands on 4028, no MAC address."""

from typing import Any, Final

from exporter.simulation.cgminer import Cgminer, Command, refusal, section
from exporter.simulation.firmware import RARE, Family
from exporter.simulation.firmware.antminer import model, pool_rows
from exporter.simulation.http import Http, Pages
from exporter.simulation.machine import BoardVitals, Machine, Vitals

_VERSION: Final = "boser-buildroot 0.1.0-45f356ea"
_DESCRIPTION: Final = "BOSer boser-buildroot 0.1.0"


def _mhs(hashrate: float) -> float:
    return round(hashrate / 1e6, 2)


def _rates(hashrate: float, average: float) -> dict[str, float]:
    return {"MHS 5s": _mhs(hashrate), "MHS 1m": _mhs(average), "MHS 5m": _mhs(average), "MHS av": _mhs(average)}


def _version(machine: Machine, vitals: Vitals) -> dict[str, Any]:  # noqa: ARG001 - every command has the same arguments
    row = {"API": "3.7", "BOSer": _VERSION}
    return section(_DESCRIPTION, 22, "BOSer versions", vitals.now, "VERSION", [row])


def _summary(machine: Machine, vitals: Vitals) -> dict[str, Any]:  # noqa: ARG001
    row = _rates(vitals.hashrate, vitals.average) | {
        "Accepted": vitals.accepted,
        "Rejected": vitals.rejected,
        "Stale": vitals.stale,
        "Difficulty Accepted": float(vitals.accepted * vitals.share_difficulty),
        "Difficulty Rejected": float(vitals.rejected * vitals.share_difficulty),
        "Discarded": vitals.accepted * 11,
        "Best Share": vitals.accepted * vitals.share_difficulty,
        "Device Hardware%": 0.004,
        "Elapsed": vitals.elapsed,
        "Hardware Errors": vitals.hardware_errors,
    }
    return section(_DESCRIPTION, 11, "Summary", vitals.now, "SUMMARY", [row])


def _per_board(vitals: Vitals, counted: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Number rows as the API does: from 0 as they come, and by the slot of their board, from 1."""
    return [
        {counted: number, "ID": board.index + 1} | row
        for number, (board, row) in enumerate(zip(vitals.boards, rows, strict=True))
    ]


def _devs(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    def row(board: BoardVitals) -> dict[str, Any]:
        nominal = _mhs(vitals.rated / machine.model.boards)
        state = {"Status": "Alive", "Nominal MHS": nominal, "Hardware Errors": board.hardware_errors}
        return _rates(board.hashrate, board.average) | state

    rows = _per_board(vitals, "ASC", [row(board) for board in vitals.boards])
    return section(_DESCRIPTION, 9, f"{len(rows)} ASC(s)", vitals.now, "DEVS", rows)


def _devdetails(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    detail = {"Model": machine.model.code, "Chips": machine.model.chips, "Driver": "Hashchain", "Name": "BOS+"}
    detail |= {"Frequency": machine.model.frequency if vitals.mining else 0, "Voltage": 13.8 if vitals.mining else 0.0}
    rows = _per_board(vitals, "DEVDETAILS", [detail] * len(vitals.boards))
    return section(_DESCRIPTION, 69, "Device Details", vitals.now, "DEVDETAILS", rows)


def _temps(machine: Machine, vitals: Vitals) -> dict[str, Any]:  # noqa: ARG001
    sensors = [{"Board": round(board.pcb, 1), "Chip": round(board.chip, 1)} for board in vitals.boards]
    rows = _per_board(vitals, "TEMP", sensors)
    return section(_DESCRIPTION, 201, f"{len(rows)} Temp(s)", vitals.now, "TEMPS", rows)


def _fans(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    full = machine.model.fan_rpm
    rows = [
        {"FAN": index, "ID": index, "RPM": rpm, "Speed": round(max(rpm / full, 0.2) * 100)}
        for index, rpm in enumerate(vitals.fans)
    ]
    return section(_DESCRIPTION, 202, f"{len(rows)} Fan(s)", vitals.now, "FANS", rows)


def _tunerstatus(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    share = round(vitals.power / machine.model.boards)
    chain: dict[str, Any] = {
        "ApproximatePowerConsumptionWatt": share,
        "Status": "Stable" if vitals.mining else "Paused",
        "TunerRunning": vitals.mining,
    }
    row = {
        "ApproximateMinerPowerConsumption": round(vitals.power),
        "DynamicPowerScaling": "InitialPowerLimit",
        "PowerLimit": round(machine.model.watts * 1.05),
        "TunerChainStatus": [{"HashchainIndex": board.index + 1} | chain for board in vitals.boards],
    }
    return section(_DESCRIPTION, 205, "Tuner Status", vitals.now, "TUNERSTATUS", [row])


def _pools(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    rows = pool_rows(machine, vitals)
    return section(_DESCRIPTION, 7, f"{len(rows)} Pool(s)", vitals.now, "POOLS", rows)


_COMMANDS: Final[dict[str, Command]] = {
    "version": _version,
    "summary": _summary,
    "devs": _devs,
    "devdetails": _devdetails,
    "temps": _temps,
    "fans": _fans,
    "tunerstatus": _tunerstatus,
    "pools": _pools,
}

FAMILY: Final = Family(
    name="braiins",
    models=(
        model("S19j Pro", "old", 100.0, 2_900.0, 126, 545.0, firmware="Braiins"),
        model("S19 XP", "mid", 140.0, 2_950.0, 110, 675.0, firmware="Braiins"),
    ),
    ports={
        4028: Cgminer(
            "braiins", _COMMANDS, refuse=refusal(_DESCRIPTION), joinable=frozenset(_COMMANDS), terminator=b"\0"
        ),
        80: Http("braiins", Pages("<title>Braiins OS</title>", {})),
    },
    mac_prefix="AC:D8:A9",
    weight=RARE,
)
