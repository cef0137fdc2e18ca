"""Block's Proto Rig: ProtoOS' REST API on port 80; identity and hardware open to all, telemetry behind a password."""

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

from exporter.simulation.faults import Fault, encode
from exporter.simulation.firmware import RARE, Family
from exporter.simulation.http import Http, Request, Response, error_page
from exporter.simulation.machine import BoardVitals, Machine, Model, Vitals
from exporter.simulation.pools import pools
from exporter.simulation.tokens import admits, issue

_USER: Final = "admin"  # which the rig ignores: it has one user
_PASSWORD: Final = "simulated"  # noqa: S105 - a simulated rig's
_SUPPLIES: Final = 2
_INPUT_VOLTS: Final = 238.0
_OUTPUT_VOLTS: Final = 14.4
_EFFICIENCY: Final = 0.94
_INDEX: Final = b"<!doctype html><html lang=en><head><title>Proto OS</title></head><body></body></html>"


def _metric(value: float, unit: str) -> dict[str, Any]:
    return {"value": round(value, 4), "unit": unit}


def _slot(index: int) -> int:
    """Give the slot of a board: three bays of three, of which the middle one stays empty."""
    return index // 2 * 3 + index % 2 * 2 + 1


def _system(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    return {
        "system-info": {
            "product_name": "Proto Rig",
            "manufacturer": "Proto",
            "model": machine.model.code,
            "board": "C3",
            "soc": "STM32MP157F",
            "cb_sn": machine.serial,
            "os": {"name": "ProtoOS", "version": "1.8.0", "variant": "release"},
            "uptime_seconds": vitals.uptime,
        }
    }


def _network(machine: Machine, vitals: Vitals) -> dict[str, Any]:  # noqa: ARG001 - every page has the same arguments
    return {"network-info": {"mac": machine.mac, "hostname": machine.name, "ip": machine.address, "dhcp": True}}


def _hardware(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    boards = [
        {
            "hb_sn": board.serial,
            "board": "B3a",
            "mining_asic": "BZM",
            "mining_asic_count": machine.model.chips,
            "temp_sensor_count": 3,
            "port": board.index,
            "slot": _slot(board.index),
        }
        for board in vitals.boards
    ]
    fans = [
        {"slot": number, "name": f"Fan {number}", "min_rpm": 1_000, "max_rpm": round(machine.model.fan_rpm)}
        for number in range(1, machine.model.fans + 1)
    ]
    supplies = [
        {"psu_sn": f"P{machine.serial}{slot}", "slot": slot, "manufacturer": "Chicony", "model": "S24"}
        for slot in range(1, _SUPPLIES + 1)
    ]
    control = {"serial_number": machine.serial, "board_id": "C3", "machine_name": machine.model.code}
    return {
        "hardware-info": {
            "cb-info": control,
            "fans-info": fans,
            "hashboards-info": boards,
            "psus-info": supplies,
        }
    }


def _mining(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    return {
        "mining-status": {
            "status": "Mining" if vitals.mining else "Stopped",
            "average_hashrate_ghs": vitals.average / 1e9,
            "ideal_hashrate_ghs": vitals.rated / 1e9,
            "power_usage_watts": vitals.power * 0.98,
            "power_target_watts": round(machine.model.watts),
            "mining_uptime_s": vitals.elapsed,
            "reboot_uptime_s": vitals.uptime,
            "hw_errors": vitals.hardware_errors,
            "hashboards_installed": len(vitals.boards),
            "hashboards_mining": len(vitals.boards) if vitals.mining else 0,
        }
    }


def _target(machine: Machine, vitals: Vitals) -> dict[str, Any]:  # noqa: ARG001
    watts = round(machine.model.watts)
    return {
        "power_target_watts": watts,
        "power_target_min_watts": watts // 4,
        "power_target_max_watts": watts,
        "default_power_target_watts": watts,
        "performance_mode": "MaximumHashrate",
        "balance_bays": False,
        "hash_on_disconnect": False,
    }


def _board(machine: Machine, board: BoardVitals, index: int, vitals: Vitals) -> dict[str, Any]:
    chips, watts = machine.model.chips, vitals.power / machine.model.boards * _EFFICIENCY
    return {
        "index": index,
        "serial_number": board.serial,
        "hashrate": _metric(board.hashrate / 1e12, "TH/s"),
        "power": _metric(watts, "W"),
        "efficiency": _metric(16.0, "J/TH"),
        "voltage": _metric(_OUTPUT_VOLTS if vitals.mining else 0.0, "V"),
        "current": _metric(watts / _OUTPUT_VOLTS, "A"),
        "temperature": {
            "unit": "°C",
            "inlet": round(board.inlet, 2),
            "outlet": round(board.pcb, 2),
            "average": round((board.inlet + board.pcb) / 2, 2),
        },
        "asics": {
            "hashrate": {"unit": "TH/s", "values": [round(board.hashrate / chips / 1e12, 4)] * chips},
            "temperature": {"unit": "°C", "values": [round(board.chip - number % 7, 1) for number in range(chips)]},
        },
    }


def _supply(machine: Machine, index: int, vitals: Vitals) -> dict[str, Any]:
    watts = vitals.power / _SUPPLIES
    return {
        "index": index,
        "serial_number": f"P{machine.serial}{index + 1}",
        "voltage": {"unit": "V", "input": _INPUT_VOLTS, "output": _OUTPUT_VOLTS},
        "current": {"unit": "A", "input": watts / _INPUT_VOLTS, "output": watts * _EFFICIENCY / _OUTPUT_VOLTS},
        "power": {"unit": "W", "input": watts, "output": watts * _EFFICIENCY},
        "temperature": {
            "unit": "°C",
            "hotspot": round(vitals.inlet + 30, 1),
            "ambient": round(vitals.inlet + 4, 1),
            "average": round(vitals.inlet + 17, 1),
        },
    }


def _telemetry(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    return {
        "miner": {
            "hashrate": _metric(vitals.hashrate / 1e12, "TH/s"),
            "power": _metric(vitals.power * 0.98, "W"),
            "temperature": _metric(max((board.pcb for board in vitals.boards), default=vitals.inlet), "°C"),
            "efficiency": _metric(16.0, "J/TH"),
        },
        "hashboards": [_board(machine, board, index, vitals) for index, board in enumerate(vitals.boards)],
        "psus": [_supply(machine, index, vitals) for index in range(_SUPPLIES)],
    }


def _cooling(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    duty = min(round(max(vitals.fans) / machine.model.fan_rpm * 100), 100)
    fans = [{"slot": number, "rpm": rpm, "percentage": duty} for number, rpm in enumerate(vitals.fans, 1)]
    status = {"fan_mode": "Auto", "speed_percentage": duty, "target_temperature_c": 50.0, "fans": fans}
    return {"cooling-status": status}


def _pools(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    rows = [
        {
            "id": pool.index,
            "name": "",
            "priority": pool.index,
            "url": pool.url,
            "user": pool.worker,
            "status": "Active" if pool.active else "Idle",
            "protocol": "Stratum V1",
            "accepted": pool.accepted,
            "rejected": pool.rejected,
            "current_difficulty": pool.difficulty if pool.active else 0,
            "last_share_time": int(vitals.now) - pool.last_share_age if pool.active else 0,
            "difficulty_accepted_shares": float(pool.accepted * pool.difficulty),
            "difficulty_rejected_shares": float(pool.rejected * pool.difficulty),
        }
        for pool in pools(machine, vitals)
    ]
    return {"pools": rows}


def _errors(machine: Machine, vitals: Vitals) -> list[dict[str, Any]]:  # noqa: ARG001
    rows = [("fan", index + 1, "FanHardware") for index in vitals.fans_lost]
    rows += [("rig", 0, "OverHeat")] if vitals.hot else []
    return [
        {"source": source, "slot": slot, "error_code": code, "timestamp": int(vitals.now) - 30, "message": code}
        for source, slot, code in rows
    ]


_Page = Callable[[Machine, Vitals], Any]
_OPEN: Final[Mapping[str, _Page]] = {"system": _system, "network": _network, "hardware": _hardware}
_BEHIND: Final[Mapping[str, _Page]] = {
    "mining": _mining,
    "mining/target": _target,
    "telemetry": _telemetry,
    "cooling": _cooling,
    "pools": _pools,
    "errors": _errors,
}


def _log_in(machine: Machine, body: bytes, now: float) -> Response:
    try:
        login = json.loads(body)
    except ValueError:
        return error_page(HTTPStatus.BAD_REQUEST)
    if machine.fault is Fault.AUTH_REFUSED or login != {"password": _PASSWORD}:
        return _refused(machine)
    token = issue(machine, now)
    return Response(encode({"access_token": token, "refresh_token": token}, machine.fault))


def _refused(machine: Machine) -> Response:
    error = {"error": {"code": "UNAUTHORIZED", "message": "log in first"}}
    return Response(encode(error, machine.fault), HTTPStatus.UNAUTHORIZED)


def _page(machine: Machine, request: Request, now: float) -> Response:
    name = request.path.partition("?")[0].removeprefix("/api/v1/")
    if request.method == "POST" and name == "auth/login":
        return _log_in(machine, request.body, now)
    if request.method != "GET":
        return error_page(HTTPStatus.METHOD_NOT_ALLOWED)
    if request.path in {"/", "/index.html"}:
        return Response(_INDEX, content_type="text/html")
    page = _OPEN.get(name) or _BEHIND.get(name)
    if page is None:
        return error_page(HTTPStatus.NOT_FOUND)
    token = request.headers.get("authorization", "").removeprefix("Bearer ")
    if machine.fault is Fault.AUTH_REFUSED if name in _OPEN else not admits(machine, token, now):
        return _refused(machine)
    return Response(encode(page(machine, machine.vitals(now)), machine.fault))


FAMILY: Final = Family(
    name="proto",
    models=(
        Model(
            name="Proto Rig",
            code="Rig",
            generation="new",
            terahash=819.0,
            watts=12_000.0,
            boards=6,
            chips=100,
            fans=6,
            fan_rpm=6_000.0,
            frequency=600.0,
        ),
    ),
    ports={80: Http("proto", _page)},
    mac_prefix="02:00:AD",
    weight=RARE,
    credentials=(_USER, _PASSWORD),
)
