"""Bitdeer's SealMiners: bdminer's cgminer API on port 4028, open to all; a web interface behind a login on 80."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl

from exporter.simulation.cgminer import Cgminer, Command, refusal, section
from exporter.simulation.faults import Fault, encode
from exporter.simulation.firmware import RARE, Family
from exporter.simulation.firmware.antminer import summary_row
from exporter.simulation.http import Http, Request, Response, error_page
from exporter.simulation.machine import BoardVitals, Machine, Model, Vitals
from exporter.simulation.pools import pool_rows, pools
from exporter.simulation.tokens import admits, issue

_VERSION: Final = "4.11.1"
_DESCRIPTION: Final = f"bdminer {_VERSION}"
_CHIP_MILLIVOLTS: Final = 305
_OUTPUT_VOLTS: Final = 15.6
_EFFICIENCY: Final = 0.93
_FIRMWARE: Final = "2025060301"
_BOARD: Final = "taurus_air_v1.1"
_USER, _PASSWORD = "seal", "seal"
_COOKIE: Final = "PHPSESSID="
_INDEX: Final = b"<!doctype html><html lang=en><head><link href=/css/amazeui.min.css></head><body></body></html>"


def _mhs(hashrate: float) -> float:
    return round(hashrate / 1e6, 6)


def _version(machine: Machine, vitals: Vitals) -> dict[str, Any]:  # noqa: ARG001 - every command has the same arguments
    return section(_DESCRIPTION, 22, "BDMiner versions", vitals.now, "VERSION", [{"API": "3.7", "BDMiner": _VERSION}])


def _board(machine: Machine, board: BoardVitals, vitals: Vitals) -> dict[str, Any]:
    values = {
        "Bad Chip Count": 0,
        "Chip Count": machine.model.chips,
        "Freq": round(machine.model.frequency) if vitals.mining else 0,
        "MHS(Ideal)": round(_mhs(vitals.rated) / machine.model.boards),
        "MHS(Sample)": _mhs(board.hashrate),
        "Online": True,
        "SN": board.serial,
        "Temp 0": round(board.inlet + 3),
        "Temp 1": round(board.inlet),
        "Temp 2": round(board.pcb),
        "Temp 3": round(board.pcb - 2),
        "Tune Status": "Fine Tuning Done",
    }
    return {f"{board.index} {key}": value for key, value in values.items()}


def _stats(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    model = machine.model
    row: dict[str, Any] = {"STATS": 0, "ID": f"{model.code}0", "Elapsed": vitals.elapsed, "Calls": 0, "Wait": 0.0}
    row |= {"Max": 0.0, "Min": 99_999_999.0}
    for board in vitals.boards:
        row |= _board(machine, board, vitals)
    for index in vitals.boards_lost:
        row |= {f"{index} Online": False, f"{index} Chip Count": 0, f"{index} MHS(Sample)": 0.0}
    for index, rpm in enumerate(vitals.fans):
        row |= {f"{index} PWM": 110, f"{index} Speed": rpm}
    row |= {f"MHS({window})": _mhs(vitals.hashrate) for window in ("30s", "1m", "2m")}
    row |= {f"MHS({window})": _mhs(vitals.average) for window in ("5m", "15m", "30m", "1h", "2h", "Avg")}
    output = vitals.power * _EFFICIENCY
    row |= {
        "MHS(Sample)": _mhs(vitals.hashrate),
        "MHS(Ideal)": round(_mhs(vitals.rated)),
        "MHS(Rated)": _mhs(vitals.rated),
        "ASIC": "Seal02-V1",
        "Bad Chip Count": 0,
        "Board Count": len(vitals.boards),
        "Chip Count": model.chips * len(vitals.boards),
        "Chip Voltage": _CHIP_MILLIVOLTS if vitals.mining else 0,
        "Ctrl Board": _BOARD,
        "Ctrl Board SN": machine.serial,
        "Error Chip": "",
        "Error Code": "Over Temperature" if vitals.hot else "",
        "Fan Count": model.fans,
        "Firmware": _FIRMWARE,
        "Freq": round(model.frequency),
        "IP": machine.address,
        "Liquid Cooling": False,
        "MAC": machine.mac,
        "Mining Mode": "Normal",
        "Model": model.code,
        "PM State": "Running" if vitals.mining else "Suspended",
        "PSU Efficiency": _EFFICIENCY,
        "PSU Error": "0x00000000",
        "PSU Fan Speed": 4_320,
        "PSU Input Power": round(vitals.power),
        "PSU Input Voltage": 241.0,
        "PSU Model": "BTPSU04KSA-03.00",
        "PSU Output Current": round(output / _OUTPUT_VOLTS, 1),
        "PSU Output Power": round(output),
        "PSU Output Voltage": _OUTPUT_VOLTS,
        "PSU SN": f"P{machine.serial}",
        "PSU Temp AMB": round(vitals.inlet + 4),
        "Power Limit": round(model.watts * 1.05),
        "Software Version": f"{_VERSION}-08690",
        "Stratum Disconnect": False,
        "System Uptime": vitals.uptime,
        "Target Ctrl Temp": 70,
        "Temp": max((round(board.pcb) for board in vitals.boards), default=0),
        "Tune Status": "Fine Tuning Done",
    }
    return section(_DESCRIPTION, 70, "BDMiner stats", vitals.now, "STATS", [row])


def _summary(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    shared = summary_row(machine, vitals)
    row = {key: value for key, value in shared.items() if not key.startswith("GHS")}
    row |= {"MHS av": _mhs(vitals.average), "MHS 5s": _mhs(vitals.hashrate), "MHS 1m": _mhs(vitals.average)}
    return section(_DESCRIPTION, 11, "Summary", vitals.now, "SUMMARY", [row])


def _pools(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    rows = pool_rows(machine, vitals)
    return section(_DESCRIPTION, 7, f"{len(rows)} Pool(s)", vitals.now, "POOLS", rows)


def _system(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    return {
        "DHCP": "true",
        "brand": "Sealminer",
        "crtl_sn": machine.serial,
        "ctrl_version": _BOARD,
        "firmware_version": _FIRMWARE,
        "ipaddress": machine.address,
        "led": "off",
        "macaddr": machine.mac,
        "miner_type": machine.model.code,
        "miningMode": "2",
        "psu_model": "boco_v2.0",
        "ratedHashrate": 0,
        "tuning_done": int(vitals.mining),
    }


def _status(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    summary = {"elapsed": vitals.elapsed, "mhsav": _mhs(vitals.average), "foundblocks": "", "rejected": ""}
    rows = [
        {
            "id": pool.index,
            "url": pool.url,
            "user": pool.worker,
            "status": pool.status,
            "isActive": pool.active,
            "diff": pool.difficulty if pool.active else "",
            "accept": pool.accepted,
            "rejected": pool.rejected,
            "stale": pool.stale,
            "diffA": float(pool.accepted * pool.difficulty),
            "diffR": float(pool.rejected * pool.difficulty),
            "lstime": "",
        }
        for pool in pools(machine, vitals)
    ]
    return {"summary": summary, "pools": rows}


def _supply(machine: Machine, vitals: Vitals) -> dict[str, Any]:  # noqa: ARG001 - every page has the same arguments
    output = vitals.power * _EFFICIENCY
    return {
        "Online": 1,
        "Power": round(vitals.power),
        "Voltage": _OUTPUT_VOLTS,
        "Current": round(output / _OUTPUT_VOLTS, 1),
        "Temp": round(vitals.inlet + 4),
        "StatusCode": "0x0000",
    }


_PAGES: Final[Mapping[str, Callable[[Machine, Vitals], dict[str, Any]]]] = {
    "/cgi-bin/get_system_info.php": _system,
    "/cgi-bin/miner-status.php": _status,
    "/cgi-bin/miner-psu-status.php": _supply,
}


def _log_in(machine: Machine, body: bytes, now: float) -> Response:
    good = dict(parse_qsl(body.decode("latin-1"))) == {"username": _USER, "origin_pwd": _PASSWORD}
    if machine.fault is Fault.AUTH_REFUSED or not good:
        return Response(encode({"state": 1, "msg": "wrong password"}, machine.fault))
    headers = {"Set-Cookie": f"{_COOKIE}{issue(machine, now)}; path=/"}
    return Response(encode({"state": 0, "msg": ""}, machine.fault), headers=headers)


def _page(machine: Machine, request: Request, now: float) -> Response:
    """Answer a request; without a session, with the page for people that has the login."""
    if request.method == "POST" and request.path == "/cgi-bin/login.php":
        return _log_in(machine, request.body, now)
    page = _PAGES.get(request.path)
    if request.method != "GET" or (page is None and request.path not in {"/", "/index.html"}):
        return error_page(HTTPStatus.NOT_FOUND)
    session = request.headers.get("cookie", "").partition(_COOKIE)[2].partition(";")[0]
    if page is None or not admits(machine, session, now):
        return Response(_INDEX, content_type="text/html")
    return Response(encode(page(machine, machine.vitals(now)), machine.fault))


_COMMANDS: Final[dict[str, Command]] = {"version": _version, "stats": _stats, "summary": _summary, "pools": _pools}

FAMILY: Final = Family(
    name="sealminer",
    models=(
        Model(
            name="SealMiner A2",
            code="A2",
            generation="new",
            terahash=226.0,
            watts=3_729.0,
            boards=3,
            chips=153,
            fans=4,
            fan_rpm=6_000.0,
            frequency=350.0,
        ),
    ),
    ports={
        4028: Cgminer("sealminer", _COMMANDS, refuse=refusal(_DESCRIPTION)),
        80: Http("sealminer", _page),
    },
    mac_prefix="50:D4:48",
    weight=RARE,
    credentials=(_USER, _PASSWORD),
)
