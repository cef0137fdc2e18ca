"""VNish on Antminers: JSON on port 80, readable without login; on 4028 what is left of cgminer's API."""

from typing import Any, Final

from exporter.simulation.cgminer import Cgminer, Command, refusal, section
from exporter.simulation.firmware import RARE, Family
from exporter.simulation.firmware.antminer import ghs, model, pool_rows, stats_row, summary_row
from exporter.simulation.http import Http, Pages
from exporter.simulation.machine import BoardVitals, Machine, Vitals
from exporter.simulation.points import Listed
from exporter.simulation.pools import metric_text, pools

_VERSION: Final = "1.2.7"
_DESCRIPTION: Final = "cgminer 4.11.1"
_MILLIVOLTS: Final = 13_000
_FEE: Final = {"id": 3, "url": "DevFee", "pool_type": "DevFee", "user": "DevFee", "status": "active", "diff": "262K"}


def _type(machine: Machine) -> str:
    return f"{machine.model.code} (Vnish {_VERSION})"


# --- HTTP 80 --------------------------------------------------------------------------------------------------------


def _info(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    short = machine.model.code.removeprefix("Antminer ").replace(" ", "").lower()
    network = {"mac": machine.mac, "dhcp": True, "ip": machine.address, "hostname": machine.name}
    return {
        "miner": machine.model.code,
        "model": short,
        "fw_name": "Vnish",
        "fw_version": _VERSION,
        "algorithm": "sha256d",
        "hr_measure": "GH/s",
        "system": {"os": "GNU/Linux", "miner_name": short, "network_status": network, "uptime": _since_boot(vitals)},
        "platform": "aml",
        "serial": machine.serial,
    }


def _since_boot(vitals: Vitals) -> str:
    """Write the time since boot as ``uptime`` does."""
    days, rest = divmod(vitals.uptime, 86_400)
    clock = f"{rest // 3_600}:{rest // 60 % 60:02d}"
    return f"{days} days, {clock}" if days else clock


def _state(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    state = "auto-tuning" if machine.operation.tuning(vitals.now) else "mining"
    return {"miner_state": state if vitals.mining else "stopped", "miner_state_time": vitals.elapsed}


def _status(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    return _state(machine, vitals) | {"find_miner": False, "restart_required": False, "reboot_required": False}


def _preset(machine: Machine, vitals: Vitals) -> dict[str, Any]:  # noqa: ARG001
    return {"current_preset": _listed(machine.in_force), "preset_switcher": {"enabled": False}}


def _presets(machine: Machine, vitals: Vitals) -> list[dict[str, Any]]:  # noqa: ARG001
    by_hand = {"name": "disabled", "pretty": "disabled", "status": "untuned", "modded_psu_required": False}
    return [by_hand, *map(_listed, machine.listed)]


def _listed(point: Listed) -> dict[str, Any]:
    return {
        "name": str(point.watts),
        "pretty": f"{point.watts} watt ~ {point.terahash:.0f} TH",
        "status": "tuned" if point.tuned else "untuned",
        "modded_psu_required": False,
    }


def _model(machine: Machine, vitals: Vitals) -> dict[str, Any]:  # noqa: ARG001
    return {"model": machine.model.code, "max_power_limit": round(machine.model.watts * 1.5), "power_metering": False}


def _factory(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    return {
        "hr_stock": ghs(vitals.rated),
        "has_pics": False,
        "psu_model": "APW17",
        "psu_serial": f"P{machine.serial}",
        "chains": [{"id": board.index + 1, "serial": board.serial} for board in vitals.boards],
    }


def _summary(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    return {
        "miner": {
            "miner_status": _state(machine, vitals),
            "miner_type": _type(machine),
            "hr_stock": ghs(vitals.rated),
            "hr_realtime": ghs(vitals.hashrate),
            "hr_nominal": ghs(vitals.expected),
            "hr_average": ghs(vitals.average),
            "power_consumption": round(vitals.power),
            "hw_errors": vitals.hardware_errors,
            "hw_errors_percent": 0.01,
            "devfee_percent": 2.8,
            "best_share": vitals.share_difficulty * 24_613,
            "psu": {"temps": {"pfc_temp": round(vitals.inlet + 12), "llc1_temp": round(vitals.inlet + 14)}},
            "pools": _pools(machine, vitals),
            "cooling": {
                "fan_num": len(vitals.fans),
                "fans": [
                    {"id": index, "rpm": rpm, "status": "ok" if rpm else "lost"}
                    for index, rpm in enumerate(vitals.fans)
                ],
                "fan_duty": min(round(max(vitals.fans) / machine.model.fan_rpm * 100), 100),
            },
            "chains": [_chain(machine, board, vitals) for board in vitals.boards]
            + [_lost_chain(index) for index in vitals.boards_lost],
            "found_blocks": 0,
        }
    }


def _pools(machine: Machine, vitals: Vitals) -> list[dict[str, Any]]:
    rows = [
        {
            "id": pool.index,
            "url": pool.url.removeprefix("stratum+tcp://"),
            "pool_type": "UserPool",
            "user": pool.worker,
            "status": "active" if pool.active else "working" if pool.alive else "offline",
            "diff": metric_text(pool.difficulty) if pool.active else "",
            "accepted": pool.accepted,
            "rejected": pool.rejected,
            "stale": pool.stale,
            "diffa": float(pool.accepted * pool.difficulty),
            "ls_time": "0:00:03" if pool.active else "0",
        }
        for pool in pools(machine, vitals)
    ]
    return [*rows, _FEE | {"accepted": vitals.accepted // 50, "rejected": 0, "stale": 0, "diffa": 0.0}]


def _chain(machine: Machine, board: BoardVitals, vitals: Vitals) -> dict[str, Any]:
    return {
        "id": board.index + 1,
        "frequency": machine.model.frequency,
        "voltage": _MILLIVOLTS if vitals.mining else 0,
        "power_consumption": round(vitals.power / machine.model.boards),
        "hashrate_ideal": round(ghs(vitals.expected) / machine.model.boards, 2),
        "hashrate_rt": ghs(board.hashrate),
        "hw_errors": board.hardware_errors,
        "pcb_temp": {"min": round(board.inlet), "max": round(board.pcb)},
        "chip_temp": {"min": round(board.inlet + 8), "max": round(board.chip)},
        "chip_statuses": {"red": 0, "orange": 2, "grey": machine.model.chips - 2},
        "status": {"state": "mining" if vitals.mining else "stopped"},
    }


def _lost_chain(index: int) -> dict[str, Any]:
    return {"id": index + 1, "hashrate_rt": 0.0, "status": {"state": "disconnected", "description": "no chips found"}}


# --- TCP 4028 -------------------------------------------------------------------------------------------------------


def _version_row(machine: Machine) -> dict[str, Any]:
    return {"BMMiner": "2.0.0", "Miner": "0.0.0", "CompileTime": "Mon Mar 10 2025", "Type": _type(machine)}


def _version(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    row = {"API": "3.1"} | _version_row(machine)
    return section(_DESCRIPTION, 22, "CGMiner versions", vitals.now, "VERSION", [row])


def _rpc_summary(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    return section(_DESCRIPTION, 11, "Summary", vitals.now, "SUMMARY", [summary_row(machine, vitals)])


def _rpc_stats(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    rows = [_version_row(machine), stats_row(machine, vitals)]
    return section(_DESCRIPTION, 70, "CGMiner stats", vitals.now, "STATS", rows)


def _rpc_pools(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    rows = pool_rows(machine, vitals)
    fee = rows[0] | {"POOL": len(rows), "URL": _FEE["url"], "User": _FEE["user"], "Type": 1}
    return section(_DESCRIPTION, 7, f"{len(rows) + 1} Pool(s)", vitals.now, "POOLS", [*rows, fee])


_COMMANDS: Final[dict[str, Command]] = {
    "version": _version,
    "summary": _rpc_summary,
    "stats": _rpc_stats,
    "pools": _rpc_pools,
}
_PAGES: Final = {
    "/api/v1/info": _info,
    "/api/v1/summary": _summary,
    "/api/v1/status": _status,
    "/api/v1/perf-summary": _preset,
    "/api/v1/autotune/presets": _presets,
    "/api/v1/model": _model,
    "/api/v1/chains/factory-info": _factory,
}

FAMILY: Final = Family(
    name="vnish",
    models=(
        model("S19j Pro", "old", 104.0, 3_068.0, 126, 545.0, firmware="VNish"),
        model("S21 Pro", "new", 234.0, 3_510.0, 65, 495.0, firmware="VNish"),
    ),
    ports={
        4028: Cgminer("vnish", _COMMANDS, refuse=refusal(_DESCRIPTION), terminator=b"\0"),
        80: Http(
            "vnish",
            Pages('<meta name="firmware" content="AnthillOS">', _PAGES),
        ),
    },
    mac_prefix="02:95:23",
    weight=RARE,
    lists_points=True,
)
