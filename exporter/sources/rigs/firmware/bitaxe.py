"""AxeOS on BitAxes, and its forks on NerdAxes, BitForges and Hammers: one page of JSON on port 80.

Hashrate is ``hashRate_1m``, else ``hashRate``, else ``hashRate_10m``, by release. Forks move fields. NerdAxe's ``temp``
is the hottest chip's, its second fan is ``fanrpm2``, and its pools report under ``stratum``. BitForge's ``temp`` is the
mean of its two chips, which are ``chiptemp1`` and ``chiptemp2``. Hammer's ``coreVoltage`` is in hundredths of a volt.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from exporter.model.fault_codes import FaultCode
from exporter.model.models import BITCOIN_ALGORITHM, known_model, model_name
from exporter.model.points import Point, PointList
from exporter.model.readings import Board, Fan, Fault, Pool, PowerSupply, RigIdentity, RigReading
from exporter.sources.rigs import coerce
from exporter.sources.rigs.contract import Answer, Firmware, Questions, Recording, Target
from exporter.sources.rigs.faults import fault, worded_fault
from exporter.sources.rigs.transport import optional
from exporter.sources.rigs.web import get_json

_PAGE: Final = "/api/system/info"
_OPTIONS: Final = "/api/system/asic"
_LEAST_MILLIVOLTS: Final = 200.0
_MOST_MILLIVOLTS: Final = 20_000.0
_RATES: Final = {"hashRate_1m": 60.0, "hashRate": None, "hashRate_10m": 600.0}  # s, the best first
_FANS: Final = {"fanrpm": 0, "fanSpeedRpm": 0, "fan2rpm": 1, "fanrpm2": 1}
_SECOND_FAN: Final = frozenset({"302", "303", "701", "702"})
"""Boards with a second fan, by AxeOS' own list of them: every other board reports 0 for it."""
_POOLS: Final = tuple((f"{kind}URL", f"{kind}Port", f"{kind}User") for kind in ("stratum", "fallbackStratum"))
_FORK: Final = ("nerd", "q13")  # how its models begin
_FORGE_CHIPS: Final = ("chiptemp1", "chiptemp2")
_VERSION: Final = re.compile(r"v?(\d{1,4})\.(\d{1,4})")
_PURGES: Final = (2, 10)
_MEASURED: Final = 0.1
"""How far volts times amperes may be from the watts of the same meter."""


_NUMBERS: Final = coerce.table(
    ("power", coerce.watts),
    ("uptimeSeconds", coerce.seconds),
    ("errorPercentage", coerce.percentage),
    ("fanspeed", coerce.percentage),
    ("voltage", coerce.millivolts),
    ("current", coerce.milliamperes),
    ("coreVoltageActual", coerce.millivolts),
)


async def _system_info(address: str) -> Answer:
    return await get_json(address, _PAGE)


class Reader:
    """See :class:`exporter.sources.rigs.contract.NativeReader`."""

    name = "bitaxe"
    firmware = Firmware(
        title="AxeOS (BitAxe, NerdAxe, BitForge, Hammer)",
        section="AxeOS",
        power="reported",
        recorded=(
            Recording("Supra 401", "v2.4.5", "asic-rs"),
            Recording("board 1201", "v2.14", "hi3-hashkit"),
            Recording("NerdQAxe++", "v1.1.0-beta1", "public issues"),
            Recording("NerdQAxe++ TPS546", "v1.1.0", "hi3-hashkit"),
            Recording("BitForge Nano", "v1.0", "public tests"),
            Recording("Hammer BC01", "2.0.0", "hi3-hashkit"),
        ),
        documented="v2.0 to v2.15, NerdAxe v1.0.2 to v1.0.37",
        questions=Questions(pages={80: (_PAGE, _OPTIONS)}),
        pyasic_types=frozenset({"BITAXE"}),
    )
    probe = staticmethod(_system_info)

    def recognises(self, answer: Answer) -> bool:
        """See :class:`exporter.sources.rigs.contract.NativeReader`."""
        return "ASICModel" in answer and not _RATES.keys().isdisjoint(answer)

    async def identify(self, target: Target) -> RigIdentity:
        """See :class:`exporter.sources.rigs.contract.Reader`."""
        info = await _system_info(target.address)
        named = coerce.text(info.get("deviceModel", info.get("DeviceModel")))
        board, chip = coerce.text(info.get("boardVersion")), coerce.text(info.get("ASICModel"))
        if not named and known_model("BitAxe", board) is None:  # most releases name the device on this page only
            named = coerce.text((await optional(get_json(target.address, _OPTIONS))).get("deviceModel"))
        make = _make(named, info)
        return RigIdentity(
            reader=self.name,
            make=make,
            model=model_name(make, named or board) or chip,
            firmware="AxeOS",
            algorithm=BITCOIN_ALGORITHM,  # the firmware runs on no other hardware
            firmware_version=coerce.text(info.get("version")),
            mac=coerce.mac(info.get("macAddr")),
            serial=coerce.text(info.get("sn_str")),
            hostname=coerce.text(info.get("hostname")),
            control_board=board,
        )

    def keeps(self, identity: RigIdentity) -> bool:
        """See :class:`exporter.sources.rigs.contract.KeepsConnections`."""
        return identity.make == "BitAxe" and _closes_the_idle(identity.firmware_version)

    async def read(self, target: Target, identity: RigIdentity) -> RigReading:
        """See :class:`exporter.sources.rigs.contract.Reader`."""
        info = await get_json(target.address, _PAGE, alone=True)
        coerce.expect_mac(info.get("macAddr"), identity.mac)
        expected = _expected(info)
        rate = coerce.first_key(info, _RATES)
        fallback = _on_fallback(info)
        hashrate = coerce.realised(info.get(rate), "GH/s", expected)
        power, uptime, error_ratio, duty, inlet, amperes, core = _NUMBERS(info)
        board = _board(info, hashrate, expected, core)
        return RigReading(
            hashrate=hashrate,
            hashrate_window=_RATES.get(rate),
            expected_hashrate=expected,
            power=power,
            power_supply=_power_supply(power, inlet, amperes, core),
            mining=hashrate > 0,
            suspended=coerce.flag(info.get("miningPaused")),
            point=_point_name(info.get("frequency"), info.get("coreVoltage")),
            uptime=uptime,
            system_uptime=uptime,  # the firmware is the miner
            best_share=coerce.difficulty(info.get("bestSessionDiff")),
            hardware_error_ratio=error_ratio,
            temperatures=coerce.by_sensor({"regulator": _celsius(info.get("vrTemp"))}),
            thermal_margin=coerce.margin(info.get("overheat_temp"), (board.chip_temperature,)),
            fans=_fans(info),
            fan_duty=duty if "fanspeed" in info else coerce.percentage(info.get("fanSpeed")),
            boards=(board,),
            pools=_pools(info, fallback=fallback),
            faults=_faults(info, fallback=fallback),
        )

    async def points(self, target: Target, identity: RigIdentity) -> PointList:  # noqa: ARG002 - none is of a model only
        """See :class:`exporter.sources.rigs.contract.ListsPoints`. They have no figures: these must be learned."""
        options = await get_json(target.address, _OPTIONS)
        clocks, volts = options.get("frequencyOptions"), options.get("defaultVoltage")
        known = (_point(clock, volts) for clock in (clocks if isinstance(clocks, list) else [])[: coerce.MAX_ITEMS])
        return PointList(
            points=tuple(point for point in known if point.name),
            variant=_point_name(options.get("defaultFrequency"), volts),
        )


@lru_cache(256)
def _closes_the_idle(version: str) -> bool:
    """Return whether the release closes the connection that is idle longest when it has no socket for a new one.

    Since v2.10 it does, and serves 20. Releases before serve 7 to 10, and refuse the owner's browser once all are held:
    a host that loses its power would hold one more each time. NerdAxes serve 10, by builds that no version tells apart.
    """
    found = _VERSION.match(version)
    return found is not None and (int(found[1]), int(found[2])) >= _PURGES


def _point_name(frequency: object, voltage: object) -> str:
    """Name the clock and the voltage that are set."""
    return _named(coerce.number(frequency, 0, coerce.MAX_MEGAHERTZ), coerce.number(voltage, 0, _MOST_MILLIVOLTS))


@lru_cache(maxsize=4_096)  # each device has the same at each poll
def _named(clock: float | None, volts: float | None) -> str:
    if volts and volts < _LEAST_MILLIVOLTS:  # no chip runs at that: it is in hundredths of a volt
        volts *= 10
    return f"{clock:g} MHz {volts:g} mV" if clock and volts else ""


def _point(frequency: object, voltage: object) -> Point:
    return Point(
        name=_point_name(frequency, voltage),
        frequency=coerce.megahertz(frequency),
        voltage=coerce.millivolts(voltage),
    )


def _make(named: str, info: Mapping[str, Any]) -> str:
    """Return the maker by how the device names itself; BitForges of the first release do not."""
    if named.lower().startswith(_FORK):
        return "NerdAxe"
    if known_model("Hammer", named) is not None:
        return "Hammer"
    return "BitForge" if named.lower().startswith("bitforge") or _FORGE_CHIPS[0] in info else "BitAxe"


def _is_fork(info: Mapping[str, Any]) -> bool:
    return (
        "fanCount" in info
        or "asicTemps" in info
        or ("deviceModel" in info and coerce.text(info.get("deviceModel")).lower().startswith(_FORK))
    )


def _fans(info: Mapping[str, Any]) -> tuple[Fan, ...]:
    """Read the fans. A board without a second fan reports 0 for it, except if it reports how many it has."""
    some = []
    fitted = coerce.count(info.get("fanCount"))
    second = fitted > 1 if fitted is not None else coerce.text(info.get("boardVersion")) in _SECOND_FAN
    for key, index in _FANS.items():
        if key not in info:
            continue
        speed = coerce.rpm(info[key])
        if (index == 0 or speed or second) and (fitted is None or index < fitted):
            some.append(coerce.fan(index, speed))
    return tuple(some)


def _celsius(value: object) -> float | None:
    """Read a temperature; exactly -1 is that of a sensor that does not answer."""
    return None if value == -1 else coerce.celsius(value)


def _chip_temperatures(info: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Return the hottest chip's temperature and the mean of the chips, as far as they are known."""
    if _is_fork(info):
        return _celsius(info.get("temp")), coerce.mean(coerce.sensors(info.get("asicTemps")))
    keys = _FORGE_CHIPS if _FORGE_CHIPS[0] in info else ("temp", "temp2")
    first, second = _celsius(info.get(keys[0])), _celsius(info.get(keys[1]))
    return (first, first) if second is None else (coerce.hottest((first, second)), coerce.mean((first, second)))


def _board(info: Mapping[str, Any], hashrate: float, expected: float | None, core: float | None) -> Board:
    hottest, average = _chip_temperatures(info)
    return Board(
        index=0,
        hashrate=hashrate,
        expected_hashrate=expected,
        chip_temperature=hottest,
        chip_temperature_average=average,
        chips=coerce.count(info["asicCount"]) if "asicCount" in info else _monitored(info),
        frequency=coerce.megahertz(info.get("actualFrequency", info.get("frequency"))),
        voltage=core,
    )


def _monitored(info: Mapping[str, Any]) -> int | None:
    return len(coerce.items(coerce.mapping(info.get("hashrateMonitor")).get("asics"))) or None


def _power_supply(
    power: float | None, volts: float | None, amperes: float | None, core: float | None
) -> PowerSupply | None:
    """Return what is measured at the inlet, or on newer boards behind the regulator.

    ``current`` is the inlet's or the chips', by the chip that measures it (INA260 or TPS546), which is not reported. It
    is the inlet's if it makes the reported power; else it is the chips', if it makes no more than that.
    """
    if volts and amperes and power and abs(volts * amperes / power - 1) <= _MEASURED:
        return PowerSupply(input_voltage=volts, input_current=amperes, input_power=power)
    if core and amperes and power and core * amperes <= power:
        return PowerSupply(input_voltage=volts, output_voltage=core, output_current=amperes)
    return PowerSupply(input_voltage=volts) if volts else None


def _expected(info: Mapping[str, Any]) -> float | None:
    """Return the expected hashrate: the reported one, else cores x chips x frequency, one hash per core and cycle."""
    if "expectedHashrate" in info:
        return coerce.hashrate(info["expectedHashrate"], "GH/s") or None
    cores, chips = coerce.count(info.get("smallCoreCount")), coerce.count(info.get("asicCount"))
    megahertz = coerce.number(info.get("frequency"), 0, coerce.MAX_MEGAHERTZ)
    if cores is None or chips is None or megahertz is None:
        return None
    return coerce.hashrate(cores * chips * megahertz, "MH/s") or None


def _on_fallback(info: Mapping[str, Any]) -> bool | None:
    """Return whether the fallback pool is in use; releases without one have only the first pool."""
    if (usual := coerce.flag(info.get("isUsingFallbackStratum"))) is not None:  # on almost every release
        return usual
    for value in (
        coerce.mapping(info.get("stratum")).get("usingFallback"),
        info.get("useFallbackStratum"),
    ):
        if (known := coerce.flag(value)) is not None:
            return known
    return None if info.get("fallbackStratumURL") else False


def _pools(info: Mapping[str, Any], *, fallback: bool | None) -> tuple[Pool, ...]:
    """Read the pools. Share counters are the rig's, so they stand with the pool in use unless each pool has its own."""
    some = []
    rows = coerce.items(coerce.mapping(info.get("stratum")).get("pools")) if "stratum" in info else []
    # With one row it is that of the pool in use, with two each pool has its own and both are in use.
    both = len(rows) == len(_POOLS)
    for index, (url, port_of, user) in enumerate(_POOLS):
        scheme, host = coerce.endpoint(info.get(url))
        if not host:
            continue
        port = coerce.count(info.get(port_of), 65_535)
        if port and ":" not in host:
            host = f"{host}:{port}"
        active = True if both else None if fallback is None else fallback is bool(index)
        row = rows[index] if both else rows[0] if rows and active else {}
        up = coerce.flag(row["connected"]) if "connected" in row else None
        difficulty = accepted = rejected = None
        if active:
            difficulty = coerce.difficulty(_of_pool(row, info, "poolDifficulty", "stratumDiff"))
            accepted = coerce.counter(_of_pool(row, info, "accepted", "sharesAccepted"))
            rejected = coerce.counter(_of_pool(row, info, "rejected", "sharesRejected"))
        worker = coerce.text(info.get(user))
        some.append(Pool(index, host, scheme or "stratum+tcp", worker, up, active, difficulty, accepted, rejected))
    return tuple(some)


def _of_pool(row: Mapping[str, Any], info: Mapping[str, Any], key: str, key_of_rig: str) -> object:
    return row[key] if key in row else info.get(key, info.get(key_of_rig))


def _faults(info: Mapping[str, Any], *, fallback: bool | None) -> tuple[Fault, ...]:
    found = [
        fault(FaultCode.CHIP_TEMPERATURE, "board 0", key)
        for key in ("overheat_mode", "overheat", "shutdown")
        if key in info and coerce.flag(info[key])
    ]
    if fallback:
        found.append(fault(FaultCode.POOL_DEAD, "pool 0", "isUsingFallbackStratum"))
    if hardware := coerce.text(info.get("hardware_fault"), 64):
        found.append(worded_fault(hardware))
    if power := coerce.text(info.get("power_fault"), 64):
        found.append(fault(FaultCode.PSU_OUTPUT, "psu", power))
    return tuple(found)
