"""Auradine's Teraflux: GCMiner's cgminer API on port 4028, open to all; more commands on 8080, behind a token."""

import json
from http import HTTPStatus
from typing import Any, Final

from exporter.simulation.cgminer import Cgminer, Command, refusal, section
from exporter.simulation.faults import Fault, encode
from exporter.simulation.firmware import RARE, Family
from exporter.simulation.firmware.antminer import summary_row
from exporter.simulation.http import Http, Request, Response, error_page
from exporter.simulation.machine import Machine, Model, Vitals
from exporter.simulation.pools import pool_rows
from exporter.simulation.tokens import admits, issue

_USER: Final = "admin"
_PASSWORD: Final = "admin"  # noqa: S105 - a simulated rig's factory login
_DESCRIPTION: Final = "FluxOS-2024-06.11"
_INPUT_VOLTS: Final = 240.0
_OUTPUT_VOLTS: Final = 11.5
_EFFICIENCY: Final = 0.94
_CHIP_VOLTS: Final = 0.244
_NORMAL, _TOO_HOT = (2, "Normal"), (4, "Temperature")


def _mhs(hashrate: float) -> float:
    return round(hashrate / 1e6, 3)


def _answer(vitals: Vitals, name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return section(_DESCRIPTION, 500, name, vitals.now, name, rows)


def _version(machine: Machine, vitals: Vitals) -> dict[str, Any]:  # noqa: ARG001 - every command has the same arguments
    return _answer(vitals, "VERSION", [{"API": "1.0", "GCMiner": "0.5"}])


def _details(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    rows = [
        {"DEVDETAILS": board.index, "ID": board.index + 1, "Name": "ASICBoard", "Model": machine.model.code}
        for board in vitals.boards
    ]
    return _answer(vitals, "DEVDETAILS", rows)


def _count(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    boards = machine.model.boards
    return _answer(vitals, "ASCCount", [{"AsicCount": machine.model.chips * boards, "BoardCount": boards}])


def _summary(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    shared = summary_row(machine, vitals)
    row = {key: value for key, value in shared.items() if not key.startswith("GHS")}
    row |= {"MHS av": _mhs(vitals.average), "MHS 5s": _mhs(vitals.hashrate), "MHS 1m": _mhs(vitals.hashrate)}
    row |= {"MHS 5m": _mhs(vitals.average), "MHS 15m": _mhs(vitals.average), "ThsThrottle": machine.model.terahash}
    return _answer(vitals, "SUMMARY", [row])


def _devices(machine: Machine, vitals: Vitals) -> dict[str, Any]:  # noqa: ARG001
    rows = [
        {
            "DEV": board.index + 1,
            "ID": board.index + 1,
            "Name": "ASICBoard",
            "Enabled": True,
            "Status": "Alive",
            "MHS 5s": _mhs(board.hashrate),
            "Temperature": round((board.inlet + board.pcb) / 2, 2),
        }
        for board in vitals.boards
    ]
    return _answer(vitals, "DEVS", rows)


def _pools(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    return _answer(vitals, "POOLS", pool_rows(machine, vitals))


def _report(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    row = {
        "command": "ipreport",
        "SerialNo": f"CB{machine.serial}",
        "CBSerialNo": f"CB{machine.serial}",
        "ChassisSerialNo": machine.serial,
        "HBSerialNo": [f"{machine.serial}{index:02d}" for index in range(machine.model.boards)],
        "InternalType": "T0",
        "hostname": machine.name,
        "ip": machine.address,
        "mac": machine.mac.lower(),
        "model": machine.model.code,
        "version": "2024-06.11",
    }
    return _answer(vitals, "IPReport", [row])


def _fan(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    most = round(machine.model.fan_rpm)
    aim = max(vitals.fans)
    rows = [{"ID": number, "Max": most, "Speed": rpm, "Target": aim} for number, rpm in enumerate(vitals.fans, 1)]
    return _answer(vitals, "Fan", rows)


def _supply(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    output = vitals.power * _EFFICIENCY
    row = {
        "FanSpeed1": "4050.00 RPM",
        "FanSpeed2": "4110.00 RPM",
        "Iin": f"{vitals.power / _INPUT_VOLTS:.2f}A",
        "Iout": f"{output / _OUTPUT_VOLTS:.2f}A",
        "PoutMax": f"{machine.model.watts * 1.2:.2f}W",
        "PowerIn": f"{vitals.power:.2f}W",
        "PowerOut": f"{output:.2f}W",
        "Vin": f"{_INPUT_VOLTS:.2f}V",
        "Vout": f"{_OUTPUT_VOLTS:.2f}V",
        "VoutSet": f"{_OUTPUT_VOLTS:.2f}V",
    }
    return _answer(vitals, "PSU", [row])


def _temperature(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    rows: list[dict[str, Any]] = [
        {"ID": 0, "Name": "Control Board", "BoardTemp": [{"ID": 0, "Temperature": vitals.inlet + 2}], "ChipTemp": None}
    ]
    for board in vitals.boards:
        sensors = (board.inlet, board.inlet + 1, board.inlet - 1, board.pcb, board.pcb - 1)
        chips = [board.chip - number % 5 for number in range(machine.model.chips)]
        rows.append(
            {
                "ID": board.index + 1,
                "Name": f"Hash Board {board.index + 1}",
                "BoardTemp": [{"ID": number, "Temperature": value} for number, value in enumerate(sensors)],
                "ChipTemp": [{"ID": number, "Temperature": value} for number, value in enumerate(chips)],
            }
        )
    return _answer(vitals, "Temperature", rows)


def _per_chip(machine: Machine, vitals: Vitals, name: str, value: float) -> dict[str, Any]:
    rows = [
        {
            "ID": board.index + 1,
            "Name": f"Hash Board {board.index + 1}",
            f"Chip{name}": [{"ID": number, name: value} for number in range(machine.model.chips)],
        }
        for board in vitals.boards
    ]
    return _answer(vitals, name, rows)


def _frequency(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    return _per_chip(machine, vitals, "Frequency", machine.model.frequency if vitals.mining else 0.0)


def _voltage(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    return _per_chip(machine, vitals, "Voltage", _CHIP_VOLTS if vitals.mining else 0.0)


def _mode(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    row = {
        "Mode": "custom",
        "Tune": "power",
        "Power": round(machine.model.watts),
        "Ths": machine.model.terahash,
        "Sleep": "off" if vitals.mining else "on",
    }
    return _answer(vitals, "Mode", [row])


def _lights(machine: Machine, vitals: Vitals) -> dict[str, Any]:  # noqa: ARG001
    code, message = _TOO_HOT if vitals.hot else _NORMAL
    return _answer(vitals, "LED", [{"Code": code, "LED1": 1, "LED2": 1, "Msg": message}])


_COMMANDS: Final[dict[str, Command]] = {
    "version": _version,
    "devdetails": _details,
    "asccount": _count,
    "summary": _summary,
    "devs": _devices,
    "pools": _pools,
}
_PAGES: Final[dict[str, Command]] = _COMMANDS | {
    "ipreport": _report,
    "fan": _fan,
    "psu": _supply,
    "temperature": _temperature,
    "frequency": _frequency,
    "voltage": _voltage,
    "mode": _mode,
    "led": _lights,
}
_REFUSE: Final = refusal(_DESCRIPTION)


def _log_in(machine: Machine, body: bytes, now: float) -> Response:
    try:
        login = json.loads(body)
    except ValueError:
        return error_page(HTTPStatus.BAD_REQUEST)
    good = {"command": "token", "user": _USER, "password": _PASSWORD}
    if machine.fault is Fault.AUTH_REFUSED or login != good:
        return Response(encode(_REFUSE(int(now), 401, "UNAUTHORIZED"), machine.fault), HTTPStatus.UNAUTHORIZED)
    row = {"Name": _USER, "When": int(now), "Token": issue(machine, now)}
    return Response(encode(section(_DESCRIPTION, 700, "Token", now, "Token", [row]), machine.fault))


def _page(machine: Machine, request: Request, now: float) -> Response:
    if request.method == "POST" and request.path == "/token":
        return _log_in(machine, request.body, now)
    page = _PAGES.get(request.path.removeprefix("/")) if request.method == "GET" else None
    if page is None:
        return error_page(HTTPStatus.NOT_FOUND)
    if not admits(machine, request.headers.get("token", ""), now):
        return Response(encode(_REFUSE(int(now), 401, "TOKEN EXPIRED"), machine.fault), HTTPStatus.UNAUTHORIZED)
    return Response(encode(page(machine, machine.vitals(now)), machine.fault))


def _front(machine: Machine, request: Request, now: float) -> Response:  # noqa: ARG001 - every page has the same arguments
    if machine.fault is Fault.AUTH_REFUSED:
        return error_page(HTTPStatus.UNAUTHORIZED)
    known = request.method == "GET" and request.path in {"/", "/index.html"}
    return Response(_INDEX, content_type="text/html") if known else error_page(HTTPStatus.NOT_FOUND)


_INDEX: Final = b"<!doctype html><html lang=en><head><title>Miner UI</title></head><body></body></html>"

FAMILY: Final = Family(
    name="auradine",
    models=(
        Model(
            name="Auradine AT2880",
            code="AT2880",
            generation="new",
            terahash=260.0,
            watts=4_160.0,
            boards=3,
            chips=138,
            fans=4,
            fan_rpm=7_700.0,
            frequency=620.0,
        ),
    ),
    ports={
        4028: Cgminer("auradine", _COMMANDS, refuse=_REFUSE),
        8080: Http("auradine", _page),
        80: Http("auradine", _front),
    },
    mac_prefix="1C:00:00",
    weight=RARE,
    credentials=(_USER, _PASSWORD),
)
