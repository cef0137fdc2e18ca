"""Whatsminers with API V3: JSON with a length before it on 4433. Hashrate is ``hash-1min``.

What it is set to is asked every :data:`SETTING_SECONDS`, and at once if limit or uptime show that it may be another.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any, Final

import orjson

from exporter.model.failures import Failure, Reason
from exporter.model.models import BITCOIN_ALGORITHM
from exporter.model.readings import Board, Fan, Fault, Pool, PowerSupply, RigIdentity, RigReading, TunerState
from exporter.sources.rigs import coerce
from exporter.sources.rigs.contract import Answer, Firmware, Questions, Recording, Target
from exporter.sources.rigs.faults import whatsminer_faults
from exporter.sources.rigs.seldom import LACKING_SECONDS
from exporter.sources.rigs.transport import LengthPrefixed, exchange, optional, parse_json

_PORT: Final = 4433
_PERMISSION_DENIED: Final = -4
_DEVICE: Final = "get.device.info"
_SETTING: Final = "get.miner.setting"
_STATUS: Final = ("get.miner.status", "summary+edevs+pools")
_REALTIME: Final = "hash-realtime"
_WINDOWS: Final = {"hash-1min": 60.0, _REALTIME: None, "hash-average": None}  # s
_NO_LIMIT: Final = 99_999.0  # W, that stand for none
_AVERAGES_OFF_BY: Final = 0.05  # of the rig's hashrate: healthy ones are within 0.01 of it, a board is 0.25 or more
_FANS: Final = ("fan-speed-in", "fan-speed-out")
_FRAMING: Final = LengthPrefixed()
SETTING_SECONDS: Final = 60.0


async def _ask(address: str, command: str, parameter: str = "") -> Mapping[str, Any]:
    """Send one command, give its ``msg``. Raises Failure."""
    content = await exchange(address, _PORT, _request(command, parameter), _FRAMING)
    answer = parse_json(content)
    if answer.get("code") == _PERMISSION_DENIED:
        raise Failure(Reason.AUTH, f"this host may not ask it for {command}")
    return coerce.mapping(answer.get("msg"))


@cache
def _request(command: str, parameter: str) -> bytes:
    question = orjson.dumps({"cmd": command, "param": parameter} if parameter else {"cmd": command})
    return len(question).to_bytes(4, "little") + question


async def device_info(address: str) -> Answer:
    """Ask who it is: the probe of this API. Raises Failure."""
    return await _ask(address, _DEVICE)


@dataclass(frozen=True, slots=True)
class _Setting:
    """What a rig is set to, and its limit and uptime when it was asked."""

    due: float  # monotonic
    limit: object
    uptime: float | None  # s
    values: Mapping[str, Any]

    def holds(self, now: float, limit: object, uptime: float | None) -> bool:
        """Return whether the rig has the same limit, has mined on since then, and it is not too long ago."""
        known = self.uptime is not None and uptime is not None and uptime >= self.uptime
        return known and limit == self.limit and now < self.due


class Reader:
    """See :class:`exporter.sources.rigs.contract.NativeReader`."""

    name = "whatsminer_v3"
    firmware = Firmware(
        title="MicroBT, API V3",
        section="MicroBT, API V3",
        power="reported",
        recorded=(Recording("M60S VK40", "2025-12-09", "asic-rs"),),
        documented="API 3.0 (MicroBT)",
        questions=Questions(
            v3=(_DEVICE, " ".join(_STATUS), _SETTING),
        ),
        pyasic_types=frozenset({"WHATSMINER"}),
    )
    probe = staticmethod(device_info)

    def __init__(self) -> None:
        self._settings: dict[str, _Setting] = {}

    def recognises(self, answer: Answer) -> bool:
        """See :class:`exporter.sources.rigs.contract.NativeReader`."""
        return "type" in coerce.mapping(answer.get("miner"))

    async def identify(self, target: Target) -> RigIdentity:
        """See :class:`exporter.sources.rigs.contract.Reader`."""
        info = await device_info(target.address)
        miner, network, system, power = (
            coerce.mapping(info.get(part)) for part in ("miner", "network", "system", "power")
        )
        model = coerce.text(miner.get("type"))
        return RigIdentity(
            reader=self.name,
            make="WhatsMiner",
            model=model.replace("_", " "),
            firmware="Stock",
            algorithm=BITCOIN_ALGORITHM,  # the firmware runs on no other hardware
            firmware_version=coerce.text(system.get("fwversion")),
            mac=coerce.mac(network.get("mac")),
            serial=coerce.text(miner.get("miner-sn")),
            hostname=coerce.text(network.get("hostname")),
            api_version=coerce.text(system.get("api")),
            control_board=coerce.text(system.get("control-board-version")) or coerce.text(system.get("platform")),
            power_supply_model=coerce.text(power.get("model")) or coerce.text(power.get("type")),
            power_supply_serial=coerce.text(power.get("sn")),
            board_serials=tuple(
                (index, serial)
                for index in range(coerce.MAX_ITEMS)
                if (serial := coerce.text(miner.get(f"pcbsn{index}")))
            ),
        )

    async def read(self, target: Target, identity: RigIdentity) -> RigReading:
        """See :class:`exporter.sources.rigs.contract.Reader`."""
        address = target.address
        status = await _ask(address, *_STATUS)
        summary = coerce.mapping(status.get("summary"))
        info = await device_info(address)
        uptime = coerce.seconds(summary.get("elapsed"))
        coerce.expect_mac(coerce.mapping(info.get("network")).get("mac"), identity.mac)
        setting = await self._setting(address, summary.get("power-limit"), uptime)
        power, system = coerce.mapping(info.get("power")), coerce.mapping(info.get("system"))
        working = coerce.flag(coerce.mapping(info.get("miner")).get("working"))
        expected = coerce.hashrate(summary.get("factory-hash"), "TH/s") or None
        rate = coerce.first_key(summary, _WINDOWS)
        hashrate = coerce.realised(summary.get(rate, 0.0 if working is False else None), "TH/s", expected)
        pools = coerce.items(status.get("pools"))
        faults = whatsminer_faults(info.get("error-code"))
        turning = fans(summary, _FANS)
        in_liquid = hashrate > 0 and not turning
        return RigReading(
            hashrate=hashrate,
            hashrate_window=_WINDOWS.get(rate),
            average_hashrate=coerce.hashrate(summary.get("hash-average"), "TH/s"),
            expected_hashrate=expected,
            power=coerce.watts(summary.get("power-realtime")),
            power_limit=coerce.watts(summary.get("power-limit")),
            power_supply=_power_supply(power),
            mining=hashrate > 0,
            suspended=_suspended(working, faults),
            power_mode=coerce.text(setting.get("power-mode")),
            point=_in_force(setting),
            tuner=_tuner(summary) if hashrate > 0 else None,
            fault_light=fault_light(system.get("ledstatus")),
            uptime=uptime,
            system_uptime=_system_uptime(summary, uptime),
            last_share_at=_last_share(pools),
            temperatures=coerce.by_sensor(
                surroundings(
                    summary.get("environment-temperature"), power.get("liquid-temperature"), in_liquid=in_liquid
                )
            ),
            fans=turning,
            boards=_boards(coerce.items(status.get("edevs")), summary.get("board-temperature"), hashrate),
            pools=tuple(_pools(pools)),
            faults=faults,
        )

    async def _setting(self, address: str, limit: object, uptime: float | None) -> Mapping[str, Any]:
        """Return what the rig is set to, asked every :data:`SETTING_SECONDS`, and at once if that may have changed."""
        now = time.monotonic()
        kept = self._settings.get(address)
        if kept is None or not kept.holds(now, limit, uptime):
            values = await optional(_ask(address, _SETTING))
            due = now + (SETTING_SECONDS if values else LACKING_SECONDS)
            kept = self._settings[address] = _Setting(due, limit, uptime, values)
        return kept.values


def fault_light(pattern_text: object) -> bool | None:
    """Return whether its lights blink in a pattern that somebody set, as is done to find it, or show how it does."""
    pattern = coerce.text(pattern_text)
    return pattern != "auto" if pattern else None


def fans(fields: Mapping[str, Any], keys: tuple[str, str]) -> tuple[Fan, ...]:
    """Read the fans. A rig that is cooled by liquid has none and reports 0 for both."""
    some = tuple([coerce.fan(index, coerce.rpm(fields[key])) for index, key in enumerate(keys) if key in fields])
    for fan in some:
        if fan.rpm != 0:
            return some
    return ()


def surroundings(environment: object, liquid: object, *, in_liquid: bool) -> Mapping[str, object]:
    """Name the temperatures around the boards: without a sensor in the liquid, it surrounds those that it cools."""
    if in_liquid and coerce.celsius(liquid) is None:
        return {"fluid": environment}
    return {"ambient": environment, "fluid": liquid}


def _suspended(working: bool | None, faults: tuple[Fault, ...]) -> bool | None:
    """Return whether it was stopped by command; None if it has faults and may have stopped by itself."""
    return None if working is None or (faults and not working) else not working


def _power_supply(fields: Mapping[str, Any]) -> PowerSupply | None:
    """Read what the power supply measures: V, A and W, but its output in hundredths of a volt.

    By MicroBT's document ``pin`` is the output; in all answers known it is input volts times amperes.
    """
    supply = PowerSupply(
        input_voltage=coerce.volts(fields.get("vin")),
        input_current=coerce.amperes(fields.get("iin")),
        input_power=coerce.watts(fields.get("pin")),
        output_voltage=coerce.centivolts(fields.get("vout")),
        fan_rpm=coerce.rpm(fields.get("fanspeed")) or None,  # one that is cooled by liquid has no fan, and reports 0
        temperature=coerce.celsius(fields.get("temp0")),
    )
    return coerce.measured(supply)


def _tuner(summary: Mapping[str, Any]) -> TunerState | None:
    """Return whether it still searches the clocks of its boards, which it calls raising the frequency."""
    done = coerce.flag(summary.get("up-freq-finish"))
    if done is None:
        return None
    return TunerState.TUNED if done else TunerState.TUNING


def point_name(mode: object, limit: object, *changes: str) -> str:
    """Name what a Whatsminer is set to: its mode, its power limit, and what was changed besides."""
    return _in_words(coerce.text(mode, 32), coerce.number(limit, 0, _NO_LIMIT), changes)


@lru_cache(64)
def _in_words(mode: str, watts: float | None, changes: tuple[str, ...]) -> str:
    words = (mode.lower(), f"{watts:g} W" if watts and watts < _NO_LIMIT else "", *changes)
    return " ".join(filter(None, words)) if mode else ""


def _in_force(setting: Mapping[str, Any]) -> str:
    percent = coerce.number(setting.get("power-percent"), 0, 100)
    clock = coerce.number(setting.get("target-freq"), -100, 100)
    return point_name(
        setting.get("power-mode"),
        setting.get("power-limit"),
        f"{percent:g} % power" if percent and percent < 100 else "",  # noqa: PLR2004 - 0 and 100 are none
        f"{clock:+g} % clock" if clock else "",
    )


def _system_uptime(summary: Mapping[str, Any], uptime: float | None) -> float | None:
    """Read the time since it booted, where it can be that: the miner process has not run for longer."""
    known = coerce.seconds(summary.get("bootup-time"))
    return known if known is not None and known >= (uptime or 0.0) else None


def _last_share(pools: list[Mapping[str, Any]]) -> float | None:
    now = time.time()
    times = (coerce.share_time(pool.get("last-share-time"), now) for pool in pools)
    return max((at for at in times if at is not None), default=None)


def current(boards: tuple[Board, ...], of_rig: float) -> tuple[Board, ...]:
    """Take from boards the rates that are averages since start, unless together they make what the rig does now.

    Else one that died while the others go on would fade for days, and one of a rig that stands still would never.
    """
    whole = coerce.total([board.hashrate for board in boards])
    if whole is not None and abs(whole - of_rig) <= of_rig * _AVERAGES_OFF_BY:
        return boards
    return tuple(replace(board, hashrate=None) for board in boards)


def _boards(rows: list[Mapping[str, Any]], temperatures: object, of_rig: float) -> tuple[Board, ...]:
    """Read the boards; if one is lost, the list of temperatures does not name the boards."""
    surfaces = temperatures if isinstance(temperatures, list) and len(temperatures) == len(rows) else [None] * len(rows)
    boards = tuple(_board(index, row, surface) for index, (row, surface) in enumerate(zip(rows, surfaces, strict=True)))
    return boards if all(_REALTIME in row for row in rows) else current(boards, of_rig)


def _board(index: int, row: Mapping[str, Any], surface: object) -> Board:
    return Board(
        index=coerce.index(row.get("id"), index),
        hashrate=coerce.hashrate(row.get(_REALTIME, row.get("hash-average")), "TH/s"),
        expected_hashrate=coerce.hashrate(row.get("factory-hash"), "TH/s") or None,
        temperature=coerce.celsius(surface),
        chip_temperature=coerce.celsius(row.get("chip-temp-max")),
        chip_temperature_min=coerce.celsius(row.get("chip-temp-min")),
        chip_temperature_average=coerce.celsius(row.get("chip-temp-avg")),
        chips=coerce.count(row.get("effective-chips")),
        frequency=coerce.megahertz(row.get("freq")),
    )


def _pools(rows: list[Mapping[str, Any]]) -> Iterator[Pool]:
    for index, row in enumerate(rows):
        scheme, host = coerce.endpoint(row.get("url"))
        status = row.get("status")
        if host:
            yield Pool(
                index=index,
                host=host,
                scheme=scheme,
                worker=coerce.text(row.get("account")),
                up=status == "alive" if isinstance(status, str) else None,
                active=coerce.flag(row.get("stratum-active")),
            )
