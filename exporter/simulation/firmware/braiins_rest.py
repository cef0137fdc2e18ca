"""Braiins OS+ on Antminers without cgminer's API: the public REST API on port 80, behind a login that gives a token."""

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

from exporter.model.units import HERTZ_PER_MEGAHERTZ
from exporter.simulation.faults import Fault, encode
from exporter.simulation.firmware import RARE, Family
from exporter.simulation.firmware.antminer import ghs, model
from exporter.simulation.http import Http, Request, Response, error_page
from exporter.simulation.machine import BoardVitals, Machine, Vitals
from exporter.simulation.points import Listed, watts_share
from exporter.simulation.pools import PoolVitals, pools
from exporter.simulation.tokens import TOKEN_SECONDS, admits, issue

_USER: Final = "root"
_PASSWORD: Final = "root"  # noqa: S105 - a simulated rig's factory login
_NORMAL, _PAUSED = 2, 3
_STABLE: Final = 2
_TUNING: Final = 3
_WINDOWS: Final = ("1m", "5m", "15m", "30m", "1h", "24h")
_INDEX: Final = b"<!doctype html><html lang=en><head><title>Braiins OS</title></head><body></body></html>"


def _gigahashes(hashrate: float) -> dict[str, float]:
    return {"gigahash_per_second": ghs(hashrate)}


def _rates(hashrate: float, average: float) -> dict[str, Any]:
    rates = {f"last_{span}": _gigahashes(hashrate) for span in ("5s", "15s", "30s")}
    return rates | {f"last_{span}": _gigahashes(average) for span in _WINDOWS} | {"since_restart": _gigahashes(average)}


def _work(hashrate: float, average: float, nominal: float, vitals: Vitals) -> dict[str, Any]:
    return {
        "best_share": vitals.accepted * vitals.share_difficulty,
        "error_hashrate": {"megahash_per_second": 0.0},
        "found_blocks": 0,
        "nominal_hashrate": _gigahashes(nominal),
        "real_hashrate": _rates(hashrate, average),
    }


def _version(machine: Machine, vitals: Vitals) -> dict[str, Any]:  # noqa: ARG001 - every page has the same arguments
    return {"major": 1, "minor": 8, "patch": 0}


def _details(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    return {
        "uid": machine.serial,
        "bos_mode": 5,
        "bos_version": {"bos_plus": True, "current": "2025-11-21-0-eb658dcd-25.11-plus"},
        "bosminer_uptime_s": vitals.elapsed,
        "system_uptime_s": vitals.uptime,
        "control_board_soc_family": 3,
        "hostname": machine.name,
        "mac_address": machine.mac.lower(),
        "miner_identity": {"brand": 1, "miner_model": machine.model.code, "name": machine.model.code},
        "psu_info": {"model_name": "APW121215f", "serial_number": f"P{machine.serial}", "version": 118},
        "serial_number": machine.serial,
        "status": _NORMAL if vitals.mining else _PAUSED,
        "sticker_hashrate": _gigahashes(vitals.rated),
    }


def _stats(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    first, *_ = pools(machine, vitals)
    return {
        "miner_stats": _work(vitals.hashrate, vitals.average, vitals.expected, vitals),
        "pool_stats": _pool_stats(first, vitals),
        "power_stats": {"approximated_consumption": {"watt": round(vitals.power)}},
    }


def _pool_stats(pool: PoolVitals, vitals: Vitals) -> dict[str, Any]:
    return {
        "accepted_shares": pool.accepted,
        "rejected_shares": pool.rejected,
        "stale_shares": pool.stale,
        "last_difficulty": pool.difficulty,
        "last_share_time": {"seconds": int(vitals.now) - pool.last_share_age, "nanos": 0} if pool.active else None,
    }


def _hashboards(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    return {"hashboards": [_board(machine, board, vitals) for board in vitals.boards]}


def _board(machine: Machine, board: BoardVitals, vitals: Vitals) -> dict[str, Any]:
    pcb = {"degree_c": round(board.pcb, 1)}
    return {
        "id": str(board.index + 1),
        "enabled": True,
        "chips_count": machine.model.chips,
        "serial_number": board.serial,
        "board_temp": pcb,
        "highest_outlet_temp": pcb,
        "lowest_inlet_temp": {"degree_c": round(board.inlet, 1)},
        "highest_chip_temp": {"id": 1, "location": 1, "temperature": {"degree_c": round(board.chip, 1)}},
        "current_frequency": {"hertz": machine.model.frequency * HERTZ_PER_MEGAHERTZ if vitals.mining else 0.0},
        "current_voltage": {"volt": 13.8 if vitals.mining else 0.0},
        "stats": _work(board.hashrate, board.average, vitals.expected / machine.model.boards, vitals),
    }


def _cooling(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    duty = round(min(max(vitals.fans) / machine.model.fan_rpm, 1.0), 2)
    fans = [{"position": index, "rpm": speed, "target_speed_ratio": duty} for index, speed in enumerate(vitals.fans)]
    return {"fans": fans}


def _target(machine: Machine, point: Listed) -> dict[str, Any]:
    return {"watt": round(machine.model.watts * watts_share(point.share))}


def _targets(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    profiles = [
        {
            "created": {"seconds": int(vitals.now) - vitals.elapsed, "nanos": 0},
            "target": _target(machine, point),
            "measured_hashrate": {"gigahash_per_second": point.terahash * 1e3},
            "estimated_power_consumption": {"watt": point.watts},
        }
        for point in machine.listed
        if point.tuned
    ]
    return {"power_target_profiles": profiles, "hashrate_target_profiles": []}


def _constraints(machine: Machine, vitals: Vitals) -> dict[str, Any]:  # noqa: ARG001
    watts = round(machine.model.watts)
    power = {"min": {"watt": watts // 3}, "default": {"watt": watts}, "max": {"watt": watts * 3 // 2}}
    return {"tuner_constraints": {"power_target": power, "enabled": True, "default_mode": 1}}


def _tuner(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    aim = {"current_target": _target(machine, machine.in_force), "profile": None}
    state = _TUNING if machine.operation.tuning(vitals.now) else _STABLE
    return {"overall_tuner_state": state, "mode_state": {"powertargetmodestate": aim}}


def _pools(machine: Machine, vitals: Vitals) -> list[dict[str, Any]]:
    rows = [
        {
            "uid": str(pool.index),
            "url": pool.url,
            "user": pool.worker,
            "enabled": True,
            "alive": pool.alive,
            "active": pool.active,
            "stats": _pool_stats(pool, vitals),
        }
        for pool in pools(machine, vitals)
    ]
    return [{"name": "Default", "uid": "0", "strategy": {"quota": {"value": 1}}, "pools": rows}]


def _locate(machine: Machine, vitals: Vitals) -> bool:  # noqa: ARG001
    return False


_PAGES: Final[Mapping[str, Callable[[Machine, Vitals], Any]]] = {
    "/api/v1/miner/details": _details,
    "/api/v1/miner/stats": _stats,
    "/api/v1/miner/hw/hashboards": _hashboards,
    "/api/v1/cooling/state": _cooling,
    "/api/v1/performance/tuner-state": _tuner,
    "/api/v1/performance/target-profiles": _targets,
    "/api/v1/configuration/constraints": _constraints,
    "/api/v1/pools/": _pools,
    "/api/v1/actions/locate": _locate,
}


def _log_in(machine: Machine, body: bytes, now: float) -> Response:
    try:
        login = json.loads(body)
    except ValueError:
        return error_page(HTTPStatus.BAD_REQUEST)
    if machine.fault is Fault.AUTH_REFUSED or login != {"username": _USER, "password": _PASSWORD}:
        return error_page(HTTPStatus.UNAUTHORIZED)
    answer = {"timeout_s": TOKEN_SECONDS, "token": issue(machine, now)}
    return Response(encode(answer, machine.fault))


def _page(machine: Machine, request: Request, now: float) -> Response:
    match request.method, request.path:
        case "GET", "/" | "/index.html":
            return Response(_INDEX, content_type="text/html")
        case "GET", "/api/v1/version/":
            return Response(encode(_version(machine, machine.vitals(now)), machine.fault))
        case "POST", "/api/v1/auth/login":
            return _log_in(machine, request.body, now)
    page = _PAGES.get(request.path) if request.method == "GET" else None
    if page is None:
        return error_page(HTTPStatus.NOT_FOUND)
    if not admits(machine, request.headers.get("authorization", ""), now):
        return error_page(HTTPStatus.UNAUTHORIZED)
    return Response(encode(page(machine, machine.vitals(now)), machine.fault))


FAMILY: Final = Family(
    name="braiins_rest",
    models=(
        model("S19 XP", "mid", 141.0, 2_980.0, 110, 675.0, firmware="Braiins REST"),
        model("S21", "new", 200.0, 3_450.0, 108, 490.0, firmware="Braiins REST"),
    ),
    ports={80: Http("braiins_rest", _page)},
    mac_prefix="90:34:86",
    weight=RARE,
    lists_points=True,
    credentials=(_USER, _PASSWORD),
)
