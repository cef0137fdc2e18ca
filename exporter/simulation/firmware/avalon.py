"""Avalons from the A10 on: cgminer's API on 4028, most of it as text inside JSON."""

from typing import Any, Final

from exporter.simulation.cgminer import Cgminer, Command, refusal, section
from exporter.simulation.firmware import RARE, Family
from exporter.simulation.machine import Machine, Model, Vitals
from exporter.simulation.pools import pools

_DESCRIPTION: Final = "cgminer 4.11.1"
_VOLTS: Final = 13.2
_EFFICIENCY: Final = 0.93  # of the power supply


def _version(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    code = machine.model.code
    row = {
        "CGMiner": "4.11.1",
        "API": "3.7",
        "PROD": f"AvalonMiner {code}",
        "MODEL": code,
        "HWTYPE": "MM3v2_X3",
        "SWTYPE": "MM314",
        "VERSION": "21072802_4ec6bb0_211fc46",
        "DNA": machine.serial,
        "MAC": machine.mac.replace(":", "").lower(),
    }
    return section(_DESCRIPTION, 22, "CGMiner versions", vitals.now, "VERSION", [row])


def _work(vitals: Vitals) -> dict[str, Any]:
    return {
        "MHS av": vitals.average / 1e6,
        "MHS 5s": vitals.hashrate / 1e6,
        "MHS 1m": vitals.hashrate / 1e6,
        "Accepted": vitals.accepted,
        "Rejected": vitals.rejected,
        "Hardware Errors": vitals.hardware_errors,
    }


def _summary(machine: Machine, vitals: Vitals) -> dict[str, Any]:  # noqa: ARG001 - every command has the same arguments
    row = {
        "Elapsed": vitals.elapsed,
        **_work(vitals),
        "Stale": vitals.stale,
        "Discarded": 0,
        "Difficulty Accepted": float(vitals.accepted * vitals.share_difficulty),
        "Difficulty Rejected": float(vitals.rejected * vitals.share_difficulty),
        "Best Share": vitals.accepted * 1_000,
    }
    return section(_DESCRIPTION, 11, "Summary", vitals.now, "SUMMARY", [row])


def _devs(machine: Machine, vitals: Vitals) -> dict[str, Any]:  # noqa: ARG001 - as _summary
    row = {
        "ASC": 0,
        "Name": "AVALON",
        "ID": 0,
        "Enabled": "Y",
        "Status": "Alive",
        "Temperature": 0.0,
        **_work(vitals),
        "Device Elapsed": vitals.elapsed,
    }
    return section(_DESCRIPTION, 9, "1 ASC(s)", vitals.now, "DEVS", [row])


def _listed(values: list[object]) -> str:
    return " ".join(map(str, values))


def _supply(vitals: Vitals) -> str:
    given = vitals.power * _EFFICIENCY if vitals.mining else 0.0
    volts = round(_VOLTS * 100) if vitals.mining else 4
    return _listed([0, 1214, volts, round(given / _VOLTS), round(given), round(_VOLTS * 100), round(vitals.power)])


def _estats(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    boards, clock = vitals.boards, round(machine.model.frequency)
    fields: dict[str, object] = {
        "Ver": f"{machine.model.code}-21072802",
        "DNA": machine.serial,
        "SYSTEMSTATU": f"Work: In {'Work' if vitals.mining else 'Idle'}, Hash Board: {len(boards)} ",
        "Elapsed": vitals.elapsed,
        "MH": _listed([board.hardware_errors for board in boards]),
        "HW": vitals.hardware_errors,
        "DH": "1.298%",
        "Temp": round(vitals.inlet),
        "TMax": round(max((board.chip for board in boards), default=0)),
        "TAvg": round(max((board.pcb for board in boards), default=0)),
        **{f"Fan{number}": rpm for number, rpm in enumerate(vitals.fans, 1)},
        "FanR": f"{min(round(max(vitals.fans) / machine.model.fan_rpm * 100), 100)}%",
        "PS": _supply(vitals),
        "GHSmm": f"{vitals.rated / 1e9:.2f}",
        "Freq": f"{machine.model.frequency:.2f}",
        "Led": 0,
        "MGHS": _listed([f"{board.average / 1e9:.2f}" for board in boards]),
        "MTmax": _listed([round(board.chip) for board in boards]),
        "MTavg": _listed([round(board.pcb) for board in boards]),
        "SoftOFF": 0 if vitals.mining else 1,
        "MPO": round(machine.model.watts),
        "WORKMODE": 1,
    }
    for index, board in enumerate(boards):
        fields[f"SF{index}"] = _listed([clock - 30, clock - 10, clock + 10, clock + 30])
        fields[f"PVT_T{index}"] = " " + _listed([round(board.pcb)] * machine.model.chips)
        fields[f"MW{index}"] = _listed([600] * machine.model.chips)
    row = {
        "STATS": 0,
        "ID": "AVA100",
        "Elapsed": vitals.elapsed,
        "MM ID0": " ".join(f"{key}[{value}]" for key, value in fields.items()),
        "MM Count": 1,
    }
    return section(_DESCRIPTION, 70, "CGMiner stats", vitals.now, "STATS", [row])


def _pools(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    rows = [
        {
            "POOL": pool.index,
            "URL": pool.url,
            "Status": pool.status,
            "Priority": pool.index,
            "Accepted": pool.accepted,
            "Rejected": pool.rejected,
            "Stale": pool.stale,
            "User": pool.worker,
            "Last Share Time": int(vitals.now) - pool.last_share_age if pool.active else 0,
            "Stratum Active": pool.active,
            "Stratum Difficulty": float(pool.difficulty),
        }
        for pool in pools(machine, vitals)
    ]
    return section(_DESCRIPTION, 7, f"{len(rows)} Pool(s)", vitals.now, "POOLS", rows)


_COMMANDS: Final[dict[str, Command]] = {
    "version": _version,
    "summary": _summary,
    "devs": _devs,
    "stats": _estats,
    "estats": _estats,
    "pools": _pools,
}

FAMILY: Final = Family(
    name="avalon",
    models=(
        Model(
            name="Avalon 1246",
            code="1246-83",
            generation="old",
            terahash=83.0,
            watts=3_420.0,
            boards=3,
            chips=120,
            fans=4,
            fan_rpm=7_000.0,
            frequency=502.0,
        ),
    ),
    ports={
        4028: Cgminer(
            "avalon", _COMMANDS, refuse=refusal(_DESCRIPTION), joinable=frozenset(_COMMANDS), terminator=b"\0"
        )
    },
    mac_prefix="B4:A2:EB",
    weight=RARE,
)
