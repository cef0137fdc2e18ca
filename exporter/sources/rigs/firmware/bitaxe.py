"""BitAxe and kin with AxeOS: one page of JSON on port 80. Hashrate is ``hashRate_1m`` where there is one."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from exporter.model.fault_codes import FaultCode
from exporter.model.models import BITCOIN_ALGORITHM
from exporter.model.readings import Board, Fan, Fault, Pool, PowerSupply, RigIdentity, RigReading
from exporter.sources.rigs import coerce
from exporter.sources.rigs.contract import Answer, Firmware, Questions, Target
from exporter.sources.rigs.faults import fault, worded_fault
from exporter.sources.rigs.web import get_json

_PAGE: Final = "/api/system/info"
_FANS: Final = ("fanrpm", "fan2rpm")
_POOLS: Final = tuple((f"{kind}URL", f"{kind}Port", f"{kind}User") for kind in ("stratum", "fallbackStratum"))
_MEASURED: Final = 0.1
"""How far volts times amperes may be from the watts of the same meter."""
_MODELS: Final = {"BM1397": "Max", "BM1366": "Ultra", "BM1368": "Supra", "BM1370": "Gamma"}


async def _system_info(address: str) -> Answer:
    return await get_json(address, _PAGE)


class Reader:
    """See :class:`exporter.sources.rigs.contract.NativeReader`."""

    name = "bitaxe"
    firmware = Firmware(
        title="AxeOS (BitAxe)",
        section="AxeOS",
        power="reported",
        questions=Questions(
            pages={80: (_PAGE,)},
        ),
        pyasic_types=frozenset({"BITAXE"}),
    )
    probe = staticmethod(_system_info)

    def recognises(self, answer: Answer) -> bool:
        """See :class:`exporter.sources.rigs.contract.NativeReader`."""
        return "ASICModel" in answer and "hashRate" in answer

    async def identify(self, target: Target) -> RigIdentity:
        """See :class:`exporter.sources.rigs.contract.Reader`."""
        info = await _system_info(target.address)
        chip = coerce.text(info.get("ASICModel"))
        return RigIdentity(
            reader=self.name,
            make="BitAxe",
            model=coerce.text(info.get("deviceModel")) or _MODELS.get(chip, chip),
            firmware="AxeOS",
            algorithm=BITCOIN_ALGORITHM,  # the firmware runs on no other hardware
            firmware_version=coerce.text(info.get("version")),
            mac=coerce.mac(info.get("macAddr")),
            hostname=coerce.text(info.get("hostname")),
            control_board=coerce.text(info.get("boardVersion")),
        )

    async def read(self, target: Target, identity: RigIdentity) -> RigReading:
        """See :class:`exporter.sources.rigs.contract.Reader`."""
        info = await _system_info(target.address)
        coerce.expect_mac(info.get("macAddr"), identity.mac)
        expected = _expected(info)
        rate, window = ("hashRate_1m", 60.0) if "hashRate_1m" in info else ("hashRate", None)
        hashrate = coerce.realised(info.get(rate), "GH/s", expected)
        power = coerce.watts(info.get("power"))
        board = _board(info, hashrate, expected)
        uptime = coerce.seconds(info.get("uptimeSeconds"))
        return RigReading(
            hashrate=hashrate,
            hashrate_window=window,
            expected_hashrate=expected,
            power=power,
            power_supply=_power_supply(info, power, board.voltage),
            mining=hashrate > 0,
            suspended=coerce.flag(info.get("miningPaused")),
            uptime=uptime,
            system_uptime=uptime,  # the firmware is the miner
            best_share=coerce.difficulty(info.get("bestSessionDiff")),
            hardware_error_ratio=coerce.percentage(info.get("errorPercentage")),
            temperatures=coerce.by_sensor({"regulator": _celsius(info.get("vrTemp"))}),
            thermal_margin=coerce.margin(info.get("overheat_temp"), (board.chip_temperature,)),
            fans=tuple(Fan(index, coerce.rpm(info[key])) for index, key in enumerate(_FANS) if key in info),
            fan_duty=coerce.percentage(info.get("fanspeed")),
            boards=(board,),
            pools=tuple(_pools(info)),
            faults=tuple(_faults(info)),
        )


def _celsius(value: object) -> float | None:
    """Read a temperature; exactly -1 is that of a sensor that does not answer."""
    return None if value == -1 else coerce.celsius(value)


def _board(info: Mapping[str, Any], hashrate: float, expected: float | None) -> Board:
    first, second = _celsius(info.get("temp")), _celsius(info.get("temp2"))
    return Board(
        index=0,
        hashrate=hashrate,
        expected_hashrate=expected,
        chip_temperature=first if second is None else coerce.hottest((first, second)),
        chip_temperature_average=first if second is None else coerce.mean((first, second)),
        chips=coerce.count(info["asicCount"]) if "asicCount" in info else _monitored(info),
        frequency=coerce.megahertz(info.get("actualFrequency", info.get("frequency"))),
        voltage=coerce.volts(coerce.milli(info.get("coreVoltageActual"))),
    )


def _monitored(info: Mapping[str, Any]) -> int | None:
    return len(coerce.items(coerce.mapping(info.get("hashrateMonitor")).get("asics"))) or None


def _power_supply(info: Mapping[str, Any], power: float | None, core: float | None) -> PowerSupply | None:
    """Read what is measured at the inlet, or on newer boards behind the regulator: mV and mA.

    ``current`` is that of the inlet or that of the chips, by what measures it (INA260 or TPS546), which is not said:
    it is that of the inlet where it makes the power that is told, which behind the regulator counts the chips' only.
    """
    volts = coerce.volts(coerce.milli(info.get("voltage")))
    amperes = coerce.amperes(coerce.milli(info.get("current")))
    if volts and amperes and power and abs(volts * amperes / power - 1) <= _MEASURED:
        return PowerSupply(input_voltage=volts, input_current=amperes, input_power=power)
    if core and amperes and power and core * amperes <= power:
        return PowerSupply(input_voltage=volts, output_voltage=core, output_current=amperes)
    return PowerSupply(input_voltage=volts) if volts else None


def _expected(info: Mapping[str, Any]) -> float | None:
    """Give what it should do: its own figure, else cores x chips x frequency, one hash per core and cycle."""
    if "expectedHashrate" in info:
        return coerce.hashrate(info["expectedHashrate"], "GH/s") or None
    cores, chips = coerce.count(info.get("smallCoreCount")), coerce.count(info.get("asicCount"))
    megahertz = coerce.number(info.get("frequency"), 0, coerce.MAX_MEGAHERTZ)
    if cores is None or chips is None or megahertz is None:
        return None
    return coerce.hashrate(cores * chips * megahertz, "MH/s") or None


def _pools(info: Mapping[str, Any]) -> Iterator[Pool]:
    fallback = coerce.flag(info.get("isUsingFallbackStratum"))
    for index, (url, port_of, user) in enumerate(_POOLS):
        scheme, host = coerce.endpoint(info.get(url))
        if not host:
            continue
        port = coerce.count(info.get(port_of), 65_535)
        active = None if fallback is None else fallback is bool(index)
        yield Pool(
            index=index,
            host=f"{host}:{port}" if port and ":" not in host else host,
            scheme=scheme or "stratum+tcp",
            worker=coerce.text(info.get(user)),
            active=active,
            difficulty=coerce.difficulty(info.get("poolDifficulty", info.get("stratumDiff"))) if active else None,
            accepted=coerce.counter(info.get("sharesAccepted")) if active else None,
            rejected=coerce.counter(info.get("sharesRejected")) if active else None,
        )


def _faults(info: Mapping[str, Any]) -> Iterator[Fault]:
    if coerce.flag(info.get("overheat_mode")):
        yield fault(FaultCode.CHIP_TEMPERATURE, "board 0", "overheat_mode")
    if coerce.flag(info.get("isUsingFallbackStratum")):
        yield fault(FaultCode.POOL_DEAD, "pool 0", "isUsingFallbackStratum")
    hardware = coerce.text(info.get("hardware_fault"), 64)
    if hardware:
        yield worded_fault(hardware)
    power = coerce.text(info.get("power_fault"), 64)
    if power:
        yield fault(FaultCode.PSU_OUTPUT, "psu", power)
