"""Whatsminers with API V3: TCP 4433, each message a 4-byte little-endian length and JSON; the connection stays open."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from exporter.simulation.faults import Fault, encode
from exporter.simulation.firmware import Family
from exporter.simulation.firmware.whatsminer import error_codes, model, power_limit, power_mode
from exporter.simulation.machine import Machine, Vitals
from exporter.simulation.pools import pools
from exporter.simulation.wire import Reply

_PREFIX: Final = 4
_LONGEST: Final = 65_536
_FIRMWARE: Final = "20251209.16.Rel2"
_REASONS: Final = {
    110: "Intake fan speed error.",
    111: "Exhaust fan speed error.",
    350: "Slot 0 temperature protecting.",
    600: "Environment temperature is too high.",
}

Part = Callable[[Machine, Vitals], Any]


def _ths(hashrate: float) -> float:
    return round(hashrate / 1e12, 3)


def _summary(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    chips = [board.chip for board in vitals.boards] or [0.0]
    return {
        "elapsed": vitals.elapsed,
        "bootup-time": vitals.uptime,
        "freq-avg": round(machine.model.frequency) if vitals.mining else 0,
        "target-freq": round(machine.model.frequency),
        "factory-hash": _ths(vitals.rated),
        "hash-average": _ths(vitals.average),
        "hash-1min": _ths(vitals.hashrate),
        "hash-15min": _ths(vitals.average),
        "hash-realtime": _ths(vitals.hashrate),
        "power-rate": round(vitals.power / (vitals.average / 1e12), 2) if vitals.average else 0.0,
        "power-5min": round(vitals.power, 1),
        "power-realtime": round(vitals.power, 1),
        "power-limit": power_limit(machine),
        "environment-temperature": round(vitals.inlet, 1),
        "board-temperature": [round(board.pcb, 1) for board in vitals.boards],
        "chip-temp-min": round(min(chips) - 9.0, 1),
        "chip-temp-avg": round(sum(chips) / len(chips) - 4.0, 1),
        "chip-temp-max": round(max(chips), 1),
        "fan-speed-in": vitals.fans[0],
        "fan-speed-out": vitals.fans[1],
        "up-freq-finish": int(not machine.operation.tuning(vitals.now)),
        "Debug": "",
    }


def _edevs(machine: Machine, vitals: Vitals) -> list[dict[str, Any]]:
    return [
        {
            "id": board.index,
            "slot": board.index,
            "status": "alive",
            "hash-average": _ths(board.average),
            "hash-realtime": _ths(board.hashrate),
            "factory-hash": _ths(vitals.rated / machine.model.boards),
            "freq": machine.model.frequency if vitals.mining else 0.0,
            "effective-chips": machine.model.chips,
            "chip-temp-min": round(board.chip - 9.0, 1),
            "chip-temp-avg": round(board.chip - 4.0, 1),
            "chip-temp-max": round(board.chip, 1),
        }
        for board in vitals.boards
    ]


def _pools(machine: Machine, vitals: Vitals) -> list[dict[str, Any]]:
    return [
        {
            "id": pool.index + 1,
            "url": pool.url,
            "account": pool.worker,
            "status": pool.status.lower(),
            "stratum-active": pool.active,
            "pool-priority": pool.index,
            "reject-rate": round(100.0 * pool.rejected / max(pool.accepted, 1), 4),
            "last-share-time": int(vitals.now) - pool.last_share_age if pool.active else 0,
        }
        for pool in pools(machine, vitals)
    ]


def _network(machine: Machine, vitals: Vitals) -> dict[str, Any]:  # noqa: ARG001 - every part has the same arguments
    return {
        "ip": machine.address,
        "proto": "dhcp",
        "netmask": "255.255.255.0",
        "dns": "",
        "mac": machine.mac,
        "gateway": "",
        "hostname": "WhatsMiner",
    }


def _miner(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    return {
        "working": "true" if vitals.mining else "false",
        "type": machine.model.code,
        "hash-board": machine.model.code.partition("_V")[2],
        "miner-sn": machine.serial,
        "detect-hash-rate": ":".join(str(round(board.average / 1e9)) for board in vitals.boards),
        "board-num": str(machine.model.boards),
        **{f"pcbsn{board.index}": board.serial for board in vitals.boards},
        **{f"chipdata{board.index}": "K8EC374-2426 BINVE6-197806A" for board in vitals.boards},
        "hash-percent": "100" if vitals.mining else "0",
        "fast-boot": "disable",
        "pool-strategy": "FAILOVER",
    }


def _system(machine: Machine, vitals: Vitals) -> dict[str, Any]:  # noqa: ARG001
    return {
        "api": "3.0.2",
        "apiswitch": "1",
        "platform": "H616",
        "fwversion": _FIRMWARE,
        "control-board-version": "CB6V10",
        "ledstatus": "auto",
    }


def _power(machine: Machine, vitals: Vitals) -> dict[str, Any]:
    return {
        "type": "P221B",
        "mode": "1",
        "model": "P221B",
        "hwversion": "RT0159",
        "swversion": "230224.220429",
        "sn": f"P{machine.serial}",
        "vendor": "1",
        "iin": round(vitals.power / 235.0, 2),
        "vin": 235.0,
        "vout": 1_304,
        "pin": round(vitals.power),
        "fanspeed": 6_344,
        "temp0": round(vitals.inlet + 12.0, 1),
    }


def _errors(machine: Machine, vitals: Vitals) -> list[dict[str, str]]:  # noqa: ARG001
    since = datetime.fromtimestamp(vitals.now - vitals.now % 600, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return [
        {str(code): since, "reason": _REASONS.get(code, f"Slot {code % 10} not found.")} for code in error_codes(vitals)
    ]


def _setting(machine: Machine) -> dict[str, Any]:
    return {
        "power-limit": power_limit(machine),
        "upfreq-speed": 0,
        "power-mode": power_mode(machine),
        "fast-boot": "disable",
        "target-freq": 0,
        "fast-mining": "disable",
        "power-percent": 0,
    }


_STATUS: Final[dict[str, Part]] = {"summary": _summary, "edevs": _edevs, "pools": _pools}
_DEVICE: Final[dict[str, Part]] = {"network": _network, "miner": _miner, "system": _system, "power": _power}


class _LengthPrefixed:
    """The framing and the commands of API V3."""

    def take(self, received: bytearray) -> dict[str, Any] | None:
        """Take one whole message. If it is not a JSON object, the request is empty."""
        length = int.from_bytes(received[:_PREFIX], "little")
        if len(received) < _PREFIX or (length <= _LONGEST and len(received) < _PREFIX + length):
            return None
        body = bytes(received[_PREFIX : _PREFIX + length])
        del received[: _PREFIX + length]
        try:
            request = json.loads(body)
        except ValueError:
            request = None
        return request if isinstance(request, dict) else {}

    def answer(self, machine: Machine, request: dict[str, Any], now: float) -> Reply:
        """Answer one command."""
        command, parameter = str(request.get("cmd", "")), str(request.get("param") or "")
        code, message = self._message(machine, machine.vitals(now), command, parameter)
        body = encode({"code": code, "when": int(now), "msg": message, "desc": command}, machine.fault)
        return Reply(self.prefix(len(body), "") + body, f"whatsminer_v3 {command} {parameter}".rstrip(), close=False)

    def prefix(self, length: int, content_type: str) -> bytes:  # noqa: ARG002 - there is no type
        """Return the length."""
        return length.to_bytes(_PREFIX, "little")

    def _message(self, machine: Machine, vitals: Vitals, command: str, parameter: str) -> tuple[int, Any]:
        if machine.fault is Fault.AUTH_REFUSED:
            return -4, "permission denied"
        if command == "get.miner.setting":
            return 0, _setting(machine)
        known = {"get.miner.status": _STATUS, "get.device.info": _DEVICE}.get(command)
        names = parameter.split("+") if parameter else list(known or ())
        if known is None or not known.keys() >= set(names):
            return -2, "invalid command"
        message = {name: known[name](machine, vitals) for name in names}
        if known is _DEVICE and not parameter:
            message["salt"] = "BQ5hoXV9"
            if errors := _errors(machine, vitals):
                message["error-code"] = errors
        return 0, message


FAMILY: Final = Family(
    name="whatsminer_v3",
    models=(
        model("M50S+", "M50S+_VK30", "mid", 138.0, 3_312.0, 123),
        model("M60S", "M60S_VK40", "new", 186.0, 3_441.0, 225),
    ),
    ports={4433: _LengthPrefixed()},
    mac_prefix="CC:08:FB",
    weight=0.10,
)
