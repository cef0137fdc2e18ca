"""ePIC's UMC OS on Antminers: JSON over HTTP on port 4028, readable without login; its dashboard on 80."""

from typing import Any, Final

from exporter.simulation.firmware import RARE, Family
from exporter.simulation.firmware.antminer import model
from exporter.simulation.http import Http, Pages
from exporter.simulation.machine import BoardVitals, Machine, Vitals
from exporter.simulation.pools import pools

_MOST_FANS: Final = 8


def _goal(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    done = not machine.operation.tuning(vitals.now)
    return {"Optimized": done, "Target": machine.in_force.terahash, "Throttle Target": None, "Unit": "TH/s"}


def _capabilities(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    return {
        "Model": machine.model.code.replace("Antminer", "AntMiner"),
        "Max HBs": machine.model.boards,
        "Coins": ["BTC"],
        "Default Hashrate": machine.model.terahash,
        "Default Clock": round(machine.model.frequency),
        "Default Voltage": 12_900,
        "Tune Presets": [
            {
                "clk": round(machine.model.frequency * point.share),
                "voltage": 12_900,
                "hashrate": point.terahash,
                "power": point.watts,
            }
            for point in machine.listed
        ],
        "Board Serial Numbers": [board.serial for board in vitals.boards],
        "Control Board Version": {"cpuHardware": "STM32", "cpuSerial": machine.serial},
        "Performance Estimator": {"Chip Count": machine.model.chips, "Hashes Per Second Per Chip": 894.0},
        "Psu Info": {"FW": 25, "PSU Type": 118},
    }


def _network(machine: Machine, vitals: Vitals) -> dict[str, Any]:  # noqa: ARG001 - every page has the same arguments
    return {"dhcp": {"address": machine.address, "mac_address": machine.mac}}


def _temps(machine: Machine, vitals: Vitals) -> list[dict[str, Any]]:  # noqa: ARG001
    return [
        {"Index": board.index, "Data": [round(board.inlet, 3), round(board.pcb, 3)], "Total": 0.0}
        for board in vitals.boards
    ]


def _chip_temps(machine: Machine, vitals: Vitals) -> list[dict[str, Any]]:
    """Zeros, as of models whose chips have no sensors."""
    return [{"Index": board.index, "Data": [0.0] * machine.model.chips, "Total": 0.0} for board in vitals.boards]


def _board(machine: Machine, board: BoardVitals, vitals: Vitals) -> dict[str, Any]:
    share = board.hashrate / (vitals.expected / machine.model.boards)
    return {
        "Index": board.index,
        "Hashrate": [round(board.hashrate / 1e6, 1), round(100 * share, 3), 0.8],
        "Temperature": round(board.pcb, 3),
        "Core Clock Avg": machine.model.frequency,
        "Input Voltage": 12.6,
        "Input Power": 0.0,
    }


def _duty(machine: Machine, vitals: Vitals) -> int:
    return min(round(max(vitals.fans) / machine.model.fan_rpm * 100), 100)


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
        "Fans": {"Fan Mode": {"Auto": {"Target Temperature": 60}}, "Fans Speed": _duty(machine, vitals)},
        "Fans Rpm": {f"Fans Speed {number}": speed for number, speed in enumerate(speeds, 1)},
        "Misc": {"Critical Temp": 110.0, "Locate Miner State": False, "Shutdown Temp": 100.0},
        "PerpetualTune": {"Algorithm": {"ChipTune": _goal(machine, vitals)}, "Running": True},
        "Power Supply Stats": {
            "Input Current": 0.0,
            "Input Power": vitals.power,
            "Input Voltage": 0.0,
            "Output Voltage": 12.6,
            "Target Voltage": 12_600,
        },
        "PresetInfo": {"Target Power": round(machine.model.watts * 1.05)},
        "Session": {
            "Accepted": vitals.accepted,
            "Rejected": vitals.rejected,
            "Average MHs": vitals.average / 1e6,
            "Difficulty": float(vitals.share_difficulty),
            "Last Accepted Share Timestamp": int(vitals.now) - first.last_share_age,
            "Uptime": vitals.elapsed,
        },
        "IdleOnConnectionLost": True,
        "Stratum": {"Config Id": 0, "Current Pool": first.host, "IsPoolConnected": True},
        "StratumConfigs": [{"login": pool.worker, "password": "x", "pool": pool.url} for pool in known],
    }


_PAGES: Final = {
    "/capabilities": _capabilities,
    "/network": _network,
    "/summary": _summary,
    "/temps": _temps,
    "/temps/chip": _chip_temps,
}

FAMILY: Final = Family(
    name="epic",
    models=(
        model("S19 XP", "mid", 141.0, 3_030.0, 110, 675.0, firmware="ePIC"),
        model("S21", "new", 200.0, 3_500.0, 108, 490.0, firmware="ePIC"),
    ),
    ports={
        4028: Http("epic", Pages("", _PAGES)),
        80: Http("epic", Pages("<title>Miner Web Dashboard</title>", {})),
    },
    mac_prefix="E6:D4:41",
    weight=RARE,
    lists_points=True,
)
