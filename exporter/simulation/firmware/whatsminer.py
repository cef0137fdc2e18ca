"""Whatsminers with API V2: cgminer's commands on 4028, joined ones too, and btminer's own ``get_`` commands."""

from datetime import UTC, datetime
from typing import Any, Final

from exporter.simulation.cgminer import Cgminer, section
from exporter.simulation.firmware import Family
from exporter.simulation.machine import BoardVitals, Machine, Model, Vitals
from exporter.simulation.points import watts_share
from exporter.simulation.pools import pools

_LOW: Final = 0.8
_DESCRIPTION: Final = "btminer"
_FIRMWARE: Final = "20230803.11.REL"
_STABLE_SECONDS: Final = 1_180
_JOINABLE: Final = frozenset({"version", "summary", "devs", "edevs", "pools", "devdetails"})


def _refuse(now: int, code: int, message: str) -> dict[str, Any]:
    return {"STATUS": "E", "When": now, "Code": code, "Msg": message.lower(), "Description": _DESCRIPTION}


def _message(vitals: Vitals, message: dict[str, Any]) -> dict[str, Any]:
    return {"STATUS": "S", "When": int(vitals.now), "Code": 131, "Msg": message, "Description": ""}


def _mhs(hashrate: float) -> float:
    return round(hashrate / 1e6, 2)


def error_codes(vitals: Vitals) -> list[int]:
    """List the vendor's fault codes: fan 110 and 111, environment too hot 600, board 350 and 53n."""
    codes = [110 + index for index in vitals.fans_lost] + [530 + index for index in vitals.boards_lost]
    return [*codes, 350, 600] if vitals.hot else codes


def power_mode(machine: Machine) -> str:
    """Return the mode: low up to four fifths of the stock hashrate, high above it."""
    share = machine.operation.share
    return "low" if share <= _LOW else "normal" if share <= 1 else "high"


def power_limit(machine: Machine) -> int:
    """Return the power limit (W) of its operating point."""
    return round(machine.model.watts * watts_share(machine.operation.share) * 1.05)


def _chip_temperatures(boards: tuple[BoardVitals, ...]) -> tuple[float, float, float]:
    """Return minimum, mean and maximum over the fitted boards."""
    if not boards:
        return 0.0, 0.0, 0.0
    chips = [board.chip for board in boards]
    return round(min(chips) - 9.0, 1), round(sum(chips) / len(chips) - 4.0, 1), round(max(chips), 1)


def _summary(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    coldest, mean, hottest = _chip_temperatures(vitals.boards)
    codes = error_codes(vitals)
    row = {
        "Elapsed": vitals.elapsed,
        "MHS av": _mhs(vitals.average),
        "MHS 5s": _mhs(vitals.hashrate),
        "MHS 1m": _mhs(vitals.hashrate),
        "MHS 5m": _mhs(vitals.average),
        "MHS 15m": _mhs(vitals.average),
        "HS RT": _mhs(vitals.hashrate),
        "Accepted": vitals.accepted,
        "Rejected": vitals.rejected,
        "Stale": vitals.stale,
        "Discarded": vitals.stale * 3,
        "Difficulty Accepted": float(vitals.accepted * vitals.share_difficulty),
        "Difficulty Rejected": float(vitals.rejected * vitals.share_difficulty),
        "Difficulty Stale": float(vitals.stale * vitals.share_difficulty),
        "Hardware Errors": vitals.hardware_errors,
        "Total MH": round(vitals.accepted * vitals.share_difficulty * 4294.967296),
        "Temperature": round(max((board.pcb for board in vitals.boards), default=0.0), 1),
        "freq_avg": round(machine.model.frequency) if vitals.mining else 0,
        "Fan Speed In": vitals.fans[0],
        "Fan Speed Out": vitals.fans[1],
        "Voltage": 1_304,
        "Power": round(vitals.power),
        "Power_RT": round(vitals.power),
        "Power Rate": round(vitals.power / (vitals.average / 1e12), 2) if vitals.average else 0.0,
        "Device Hardware%": 0.0042,
        "Device Rejected%": 0.0,
        "Pool Rejected%": round(100.0 * vitals.rejected / max(vitals.accepted, 1), 4),
        "Pool Stale%": round(100.0 * vitals.stale / max(vitals.accepted, 1), 4),
        "Last getwork": 0,
        "Uptime": vitals.uptime,
        "Security Mode": 0,
        "Hash Stable": vitals.elapsed > _STABLE_SECONDS and machine.operation.progress(vitals.now) == 1,
        "Hash Stable Cost Seconds": _STABLE_SECONDS,
        "Hash Deviation%": 0.21,
        "Target Freq": round(machine.model.frequency),
        "Target MHS": round(vitals.expected / 1e6),
        "Env Temp": round(vitals.inlet, 1),
        "Power Mode": power_mode(machine).capitalize(),
        "Factory GHS": round(vitals.rated / 1e9),
        "Power Limit": power_limit(machine),
        "Chip Temp Min": coldest,
        "Chip Temp Max": hottest,
        "Chip Temp Avg": mean,
        "Error Code Count": len(codes),
        **{f"Error Code {index}": code for index, code in enumerate(codes)},
        "Best Share": vitals.share_difficulty * 24_613,
        "Debug": "",
        "Btminer Fast Boot": "disable",
        "MAC": machine.mac,
        "Firmware Version": _FIRMWARE,
    }
    return section(_DESCRIPTION, 11, "Summary", vitals.now, "SUMMARY", [row])


def _devs(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    rows = [
        {
            "ASC": board.index,
            "Slot": board.index,
            "Name": "SM",
            "ID": board.index,
            "Enabled": "Y",
            "Status": "Alive",
            "Temperature": round(board.pcb, 1),
            "Chip Frequency": round(machine.model.frequency) if vitals.mining else 0,
            "Frequency": machine.model.frequency if vitals.mining else 0.0,
            "Fan Speed In": vitals.fans[0],
            "Fan Speed Out": vitals.fans[1],
            "MHS av": _mhs(board.average),
            "MHS 5s": _mhs(board.hashrate),
            "MHS 1m": _mhs(board.hashrate),
            "MHS 5m": _mhs(board.average),
            "MHS 15m": _mhs(board.average),
            "HS RT": _mhs(board.hashrate),
            "HS Factory": _mhs(vitals.rated / machine.model.boards),
            "Accepted": vitals.accepted // machine.model.boards,
            "Rejected": vitals.rejected // machine.model.boards,
            "Hardware Errors": board.hardware_errors,
            "Last Valid Work": int(vitals.now),
            "Upfreq Complete": int(not machine.operation.tuning(vitals.now)),
            "Effective Chips": machine.model.chips,
            "PCB SN": board.serial,
            "Chip Data": "K88Z347-2039 BINV01-195001D",
            "Chip Temp Min": round(board.chip - 9.0, 1),
            "Chip Temp Max": round(board.chip, 1),
            "Chip Temp Avg": round(board.chip - 4.0, 1),
            "chip_vol_diff": 9,
            "Factory GHS": round(vitals.rated / machine.model.boards / 1e9),
            "Device Elapsed": vitals.elapsed,
        }
        for board in vitals.boards
    ]
    return section(_DESCRIPTION, 9, f"{len(rows)} ASC(s)", vitals.now, "DEVS", rows)


def _devdetails(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    rows = [
        {
            "DEVDETAILS": index,
            "Name": "SM",
            "ID": index,
            "Driver": "btminer",
            "Kernel": "",
            "Model": machine.model.code,
            "Device Path": "",
        }
        for index in range(machine.model.boards)
    ]
    return section(_DESCRIPTION, 69, "Device Details", vitals.now, "DEVDETAILS", rows)


def _pools(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    rows = [
        {
            "POOL": pool.index + 1,  # this firmware counts from one
            "URL": pool.url,
            "Status": pool.status,
            "Priority": pool.index,
            "Quota": 1,
            "Long Poll": "N",
            "Getworks": pool.accepted,
            "Accepted": pool.accepted,
            "Rejected": pool.rejected,
            "Works": pool.accepted * 40,
            "Discarded": 0,
            "Stale": pool.stale,
            "Get Failures": 0,
            "Remote Failures": 0,
            "User": pool.worker,
            "Last Share Time": int(vitals.now) - pool.last_share_age if pool.active else 0,
            "Diff1 Shares": 0,
            "Difficulty Accepted": float(pool.accepted * pool.difficulty),
            "Difficulty Rejected": float(pool.rejected * pool.difficulty),
            "Difficulty Stale": float(pool.stale * pool.difficulty),
            "Last Share Difficulty": float(pool.difficulty) if pool.active else 0.0,
            "Has Stratum": 1,
            "Stratum Active": pool.active,
            "Stratum URL": pool.host if pool.active else "",
            "Stratum Difficulty": float(pool.difficulty) if pool.active else 0.0,
            "Best Share": pool.accepted * 1_000,
            "Pool Rejected%": 0.0,
            "Pool Stale%": 0.0,
        }
        for pool in pools(machine, vitals)
    ]
    return section(_DESCRIPTION, 7, f"{len(rows)} Pool(s)", vitals.now, "POOLS", rows)


def _version(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    answer = _get_version(machine, vitals)
    return answer | {"Description": _DESCRIPTION}


def _get_version(machine: Machine, vitals: Vitals) -> dict[str, Any]:  # noqa: ARG001 - every command has the same arguments
    return _message(vitals, {"api_ver": "2.0.5", "fw_ver": _FIRMWARE, "platform": "H616", "chip": "K88Z347-2039"})


def _get_miner_info(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    message = {
        "ip": machine.address,
        "proto": "dhcp",
        "netmask": "255.255.255.0",
        "gateway": "",
        "dns": "",
        "hostname": "WhatsMiner",
        "mac": machine.mac,
        "ledstat": "auto",
        "minersn": machine.serial,
        "powersn": f"P{machine.serial}",
    }
    return _message(vitals, message)


def _get_psu(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    message = {
        "name": "P222B",
        "hw_version": "V01.00",
        "sw_version": "V01.00.V01.03",
        "model": "P222B",
        "enable": "1" if vitals.mining else "0",
        "iin": str(round(vitals.power / 0.235)),
        "vin": "23500",
        "pin": str(round(vitals.power)),
        "fan_speed": "6720",
        "version": "-1",
        "serial_no": f"P{machine.serial}",
        "vendor": "1",
        "temp0": f"{vitals.inlet + 12.0:.1f}",
    }
    return _message(vitals, message)


def _get_error_code(machine: Machine, vitals: Vitals) -> dict[str, Any]:  # noqa: ARG001
    since = datetime.fromtimestamp(vitals.now - vitals.now % 600, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return _message(vitals, {"error_code": [{str(code): since} for code in error_codes(vitals)]})


def _status(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    message = {
        "mineroff": "false" if vitals.mining else "true",
        "mineroff_reason": "" if vitals.mining else "api command",
        "mineroff_time": "",
        "FirmwareVersion": _FIRMWARE,
        "power_mode": "normal",
        "power_limit_set": str(round(machine.model.watts * 1.05)),
        "hash_percent": "100" if vitals.mining else "0",
    }
    return _message(vitals, message)


def model(name: str, code: str, generation: str, terahash: float, watts: float, chips: int) -> Model:
    """Make the nameplate of an air-cooled Whatsminer."""
    return Model(
        name=f"Whatsminer {name}",
        code=code,
        generation=generation,
        terahash=terahash,
        watts=watts,
        boards=3,
        chips=chips,
        fans=2,
        fan_rpm=7_050.0,
        frequency=620.0,
    )


FAMILY: Final = Family(
    name="whatsminer",
    models=(
        model("M30S++", "M30S++_VG40", "old", 112.0, 3_472.0, 117),
        model("M50", "M50_VH50", "old", 114.0, 3_306.0, 105),
        model("M50S++", "M50S++_VL30", "mid", 144.0, 3_168.0, 111),
        model("M60", "M60_VK40", "new", 172.0, 3_422.0, 180),
    ),
    ports={
        4028: Cgminer(
            "whatsminer",
            {
                "summary": _summary,
                "devs": _devs,
                "edevs": _devs,
                "devdetails": _devdetails,
                "pools": _pools,
                "version": _version,
                "get_version": _get_version,
                "get_miner_info": _get_miner_info,
                "get_psu": _get_psu,
                "get_error_code": _get_error_code,
                "status": _status,
            },
            refuse=_refuse,
            joinable=_JOINABLE,
        )
    },
    mac_prefix="C4:11:04",
    weight=0.25,
)
