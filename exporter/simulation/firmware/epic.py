"""ePIC's UMC OS on Antminers: JSON over HTTP on port 4028, readable without login; its dashboard on 80."""

from typing import Any, Final

from exporter.simulation.firmware import RARE, Family
from exporter.simulation.firmware.antminer import model
from exporter.simulation.http import Http, Pages
from exporter.simulation.machine import BoardVitals, Machine, Vitals
from exporter.simulation.pools import pools

_MOST_FANS: Final = 8


def _capabilities(machine: Machine, vitals: Vitals) -> dict[str, Any]:  # noqa: ARG001 - every page has the same arguments
    return {
        "Model": machine.model.code.replace("Antminer", "AntMiner"),
        "Max HBs": machine.model.boards,
        "Default Hashrate": machine.model.terahash,
        "Control Board Version": {"cpuHardware": "STM32", "cpuSerial": machine.serial},
    }


def _network(machine: Machine, vitals: Vitals) -> dict[str, Any]:  # noqa: ARG001
    return {"dhcp": {"address": machine.address, "mac_address": machine.mac}}


def _board(machine: Machine, board: BoardVitals, vitals: Vitals) -> dict[str, Any]:
    share = board.hashrate / (vitals.rated / machine.model.boards)
    return {
        "Index": board.index,
        "Hashrate": [round(board.hashrate / 1e6, 1), round(100 * share, 3), 0.8],
        "Temperature": round(board.pcb, 3),
        "Core Clock Avg": machine.model.frequency,
    }


def _summary(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    first, *_ = known = pools(machine, vitals)
    speeds = [*vitals.fans, *[None] * (_MOST_FANS - len(vitals.fans))]
    return {
        "Hostname": machine.name,
        "Software": "PowerPlay-BMS v1.5.13",
        "Status": {
            "Operating State": "Mining" if vitals.mining else "Idling",
            "Last Error": "Overheat" if vitals.hot else None,
        },
        "HBStatus": [
            {"Index": index, "Detected": index not in vitals.boards_lost, "Enabled": True}
            for index in range(machine.model.boards)
        ],
        "HBs": [_board(machine, board, vitals) for board in vitals.boards],
        "Fans Rpm": {f"Fans Speed {number}": speed for number, speed in enumerate(speeds, 1)},
        "Power Supply Stats": {"Input Power": vitals.power, "Output Voltage": 12.6},
        "PresetInfo": {"Target Power": round(machine.model.watts * 1.05)},
        "Session": {
            "Accepted": vitals.accepted,
            "Rejected": vitals.rejected,
            "Average MHs": vitals.average / 1e6,
            "Difficulty": float(vitals.share_difficulty),
            "Uptime": vitals.elapsed,
        },
        "Stratum": {"Config Id": 0, "Current Pool": first.host, "IsPoolConnected": vitals.mining},
        "StratumConfigs": [{"login": pool.worker, "password": "x", "pool": pool.url} for pool in known],
    }


FAMILY: Final = Family(
    name="epic",
    models=(
        model("S19 XP", "mid", 141.0, 3_030.0, 110, 675.0, firmware="ePIC"),
        model("S21", "new", 200.0, 3_500.0, 108, 490.0, firmware="ePIC"),
    ),
    ports={
        4028: Http("epic", Pages("", {"/capabilities": _capabilities, "/network": _network, "/summary": _summary})),
        80: Http("epic", Pages("<title>Miner Web Dashboard</title>", {})),
    },
    mac_prefix="E6:D4:41",
    weight=RARE,
)
