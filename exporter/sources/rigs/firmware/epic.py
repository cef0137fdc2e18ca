"""ePIC PowerPlay (UMC OS) on Antminers: HTTP on port 4028, readable without login. Power is the supply's input power.

Hashrate is the sum over the boards now; ``Average MHs`` is since start. It writes 0 for volts, amperes and watts that
it does not measure.
"""

import math
import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final

from exporter.model.fault_codes import FaultCode
from exporter.model.points import Point, PointList
from exporter.model.readings import Board, Fan, Fault, Pool, PowerSupply, RigIdentity, RigReading, TunerState
from exporter.sources.rigs import cgminer, coerce
from exporter.sources.rigs.contract import Answer, Firmware, Questions, Recording, Target
from exporter.sources.rigs.faults import fault, worded_fault
from exporter.sources.rigs.seldom import Lacking
from exporter.sources.rigs.transport import RPC_PORT, optional
from exporter.sources.rigs.web import get_json, get_value

_BOARD_SENSORS: Final = "/temps"
_CHIP_SENSORS: Final = "/temps/chip"
_FANS: Final = 12
_MINING: Final = "Mining"
_IDLING: Final = "Idling"
_MOST_PRESETS: Final = 64
_MOST_FIGURE: Final = 100_000.0  # of a clock, voltage or hashrate in its own unit


async def _ask(address: str, page: str) -> Answer:
    return await get_json(address, f"/{page}", port=RPC_PORT)


async def _capabilities(address: str) -> Answer:
    return await _ask(address, "capabilities")


class Reader:
    """See :class:`exporter.sources.rigs.contract.NativeReader`."""

    name = "epic"
    firmware = Firmware(
        title="ePIC (UMC OS)",
        section="ePIC",
        power="input power of the power supply",
        recorded=(Recording("S19 XP", "PowerPlay-BMS 1.5.13", "asic-rs"),),
        documented="API 1.22.5 to 1.30.0 (ePIC)",
        questions=Questions(
            pages={RPC_PORT: ("/capabilities", "/summary", "/network", _BOARD_SENSORS, _CHIP_SENSORS)},
        ),
        pyasic_types=frozenset({"EPIC"}),
    )
    probe = staticmethod(_capabilities)

    def __init__(self) -> None:
        self._chips: dict[str, int | None] = {}  # that a board of the rig at an address should have
        self._without_chip_sensors: set[str] = set()  # addresses of rigs that were found to have none
        self._lacking = Lacking()

    def recognises(self, answer: Answer) -> bool:
        """See :class:`exporter.sources.rigs.contract.NativeReader`."""
        coins = answer.get("Coins")
        other = isinstance(coins, list) and bool(coins) and "BTC" not in coins
        return not other and "Model" in answer and "Max HBs" in answer

    async def identify(self, target: Target) -> RigIdentity:
        """See :class:`exporter.sources.rigs.contract.Reader`."""
        capabilities = await _capabilities(target.address)
        summary = await _ask(target.address, "summary")
        network = await _ask(target.address, "network")
        interface = next((coerce.mapping(value) for value in network.values()), {})
        self._chips[target.address] = _chips(capabilities)
        self._without_chip_sensors.discard(target.address)
        self._lacking.forget(target.address)
        control = coerce.mapping(capabilities.get("Control Board Version"))
        supply = coerce.count(coerce.mapping(capabilities.get("Psu Info")).get("PSU Type"))
        return RigIdentity(
            reader=self.name,
            make="AntMiner",
            model=coerce.bitmain_model(capabilities.get("Model")),
            firmware="ePIC",
            algorithm=coerce.text(coerce.mapping(summary.get("Mining")).get("Algorithm"), 32),
            firmware_version=coerce.text(summary.get("Software")),
            mac=coerce.mac(interface.get("mac_address")),
            serial=coerce.text(capabilities.get("Miner Serial Number")) or coerce.text(control.get("cpuSerial")),
            hostname=coerce.text(summary.get("Hostname")),
            control_board=coerce.text(control.get("cpuHardware")),
            power_supply_model="" if supply is None else f"type {supply}",
            board_serials=tuple(_board_serials(capabilities, summary)),
            rated_hashrate=coerce.hashrate(capabilities.get("Default Hashrate"), "TH/s") or None,
        )

    async def read(self, target: Target, identity: RigIdentity) -> RigReading:  # noqa: ARG002 - its answers have no identity
        """See :class:`exporter.sources.rigs.contract.Reader`."""
        summary = await _ask(target.address, "summary")
        session = coerce.mapping(summary.get("Session"))
        rows = coerce.items(summary.get("HBs"))
        state = coerce.mapping(summary.get("Status"))
        misc = coerce.mapping(summary.get("Misc"))
        tune = coerce.mapping(summary.get("PerpetualTune"))
        expected = coerce.total([_board_expected(row) for row in rows])
        hashrate = coerce.realised(_rate(rows, session, state), "MH/s", expected)
        supply = coerce.mapping(summary.get("Power Supply Stats"))
        sensors = await self._sensors(target.address, _BOARD_SENSORS)
        on_chips = await self._chip_sensors(target.address, mining=hashrate > 0)
        boards = tuple(_boards(rows, sensors, on_chips, await self._chips_expected(target.address)))
        fans = tuple(_fans(coerce.mapping(summary.get("Fans Rpm"))))
        standing = cgminer.fan_faults(fans) if hashrate > 0 and any(fan.rpm for fan in fans) else ()
        return RigReading(
            hashrate=hashrate,
            average_hashrate=coerce.hashrate(session.get("Average MHs"), "MH/s"),
            expected_hashrate=expected,
            power=coerce.watts(supply.get("Input Power")),
            power_target=coerce.watts(coerce.mapping(summary.get("PresetInfo")).get("Target Power")),
            power_supply=_power_supply(supply),
            mining=hashrate > 0,
            suspended=_suspended(summary, state),
            power_mode=_algorithm(tune),
            point=_in_force(tune),
            tuner=_tuner(tune),
            fault_light=coerce.flag(misc.get("Locate Miner State")),
            uptime=coerce.seconds(session.get("Uptime")),
            last_share_at=coerce.share_time(session.get("Last Accepted Share Timestamp"), time.time()),
            thermal_margin=coerce.margin(misc.get("Shutdown Temp"), (board.temperature for board in boards)),
            fans=fans,
            fan_duty=coerce.percentage(coerce.mapping(summary.get("Fans")).get("Fans Speed")),
            boards=boards,
            pools=tuple(_pools(summary, session)),
            faults=(*standing, *_faults(state, coerce.items(summary.get("HBStatus")))),
        )

    async def points(self, target: Target, identity: RigIdentity) -> PointList:  # noqa: ARG002 - none is of a model only
        """See :class:`exporter.sources.rigs.contract.ListsPoints`."""
        capabilities = await _capabilities(target.address)
        rows = coerce.items(capabilities.get("Tune Presets"), _MOST_PRESETS)
        stock = (("Default Clock", "MHz"), ("Default Voltage", "mV"))
        figures = ((coerce.number(capabilities.get(key), 0, _MOST_FIGURE), unit) for key, unit in stock)
        return PointList(
            points=tuple(point for row in rows if (point := _point(row)) is not None),
            variant=" ".join(f"{known:g} {unit}" for known, unit in figures if known is not None),
        )

    async def _chips_expected(self, address: str) -> int | None:
        """Ask of a rig that was identified before this process started, once."""
        if address not in self._chips:
            capabilities = await optional(_capabilities(address))
            if not capabilities:
                return None
            self._chips[address] = _chips(capabilities)
        return self._chips[address]

    async def _chip_sensors(self, address: str, *, mining: bool) -> dict[int, list[float]]:
        """Ask for the temperatures of each board's chips, of models that measure them: others give zeros."""
        if address in self._without_chip_sensors:
            return {}
        known = await self._sensors(address, _CHIP_SENSORS)
        if mining and not any(known.values()):
            self._without_chip_sensors.add(address)
        return known

    async def _sensors(self, address: str, page: str) -> dict[int, list[float]]:
        """Ask for the temperatures of each board's sensors."""
        rows = coerce.items(
            await optional(self._lacking.ask(address, page, partial(get_value, address, port=RPC_PORT)))
        )
        return {_index(row): coerce.sensors(row.get("Data")) for row in rows}


def _chips(capabilities: Mapping[str, Any]) -> int | None:
    return coerce.count(coerce.mapping(capabilities.get("Performance Estimator")).get("Chip Count")) or None


def _index(row: Mapping[str, Any]) -> int:
    return coerce.count(row.get("Index"), coerce.MAX_ITEMS) or 0


def _board_serials(capabilities: Answer, summary: Answer) -> Iterator[tuple[int, str]]:
    """Return the boards' serial numbers if there is one for each: with a board off, the list has no index."""
    serials = capabilities.get("Board Serial Numbers")
    boards = coerce.items(summary.get("HBStatus"))
    if not isinstance(serials, list) or len(serials) != len(boards):
        return
    for row, serial_text in zip(boards, serials, strict=True):
        if serial := coerce.text(serial_text):
            yield _index(row), serial


def _power_supply(fields: Mapping[str, Any]) -> PowerSupply | None:
    supply = PowerSupply(
        input_voltage=coerce.volts(fields.get("Input Voltage")),
        input_current=coerce.amperes(fields.get("Input Current")),
        input_power=coerce.watts(fields.get("Input Power")),
        output_voltage=coerce.volts(fields.get("Output Voltage")),
        output_current=coerce.amperes(fields.get("Output Current")),
        output_power=coerce.watts(fields.get("Output Power")),
    )
    return coerce.measured(supply)


def _suspended(summary: Answer, state: Mapping[str, Any]) -> bool | None:
    """Return whether it idles on command; None if an error or a lost pool can be the cause."""
    operating = state.get("Operating State")
    if operating == _MINING:
        return False
    lost = summary.get("IdleOnConnectionLost") and not coerce.mapping(summary.get("Stratum")).get("IsPoolConnected")
    return True if operating == _IDLING and not lost and not state.get("Last Error") else None


def _algorithm(tune: Mapping[str, Any]) -> str:
    """Name what Perpetual Tune does, while it runs."""
    known = next(iter(coerce.mapping(tune.get("Algorithm"))), "")
    return coerce.text(known) if tune.get("Running") is True else ""


def _tuner(tune: Mapping[str, Any]) -> TunerState | None:
    running = coerce.flag(tune.get("Running"))
    if not running:
        return None if running is None else TunerState.OFF
    goal = coerce.mapping(next(iter(coerce.mapping(tune.get("Algorithm")).values()), None))
    optimized = coerce.flag(goal.get("Optimized"))
    return None if optimized is None else TunerState.TUNED if optimized else TunerState.TUNING


def _in_force(tune: Mapping[str, Any]) -> str:
    """Name the target of the tuner, throttled if it is. It is empty while no tuner runs."""
    goal = coerce.mapping(next(iter(coerce.mapping(tune.get("Algorithm")).values()), None))
    if tune.get("Running") is not True or coerce.text(goal.get("Unit")) != "TH/s":
        return ""
    throttled = coerce.number(goal.get("Throttle Target"), 0, _MOST_FIGURE)
    aim = coerce.number(goal.get("Target"), 0, _MOST_FIGURE) if throttled is None else throttled
    return f"{aim:g} TH/s" if aim else ""


def _point(row: Mapping[str, Any]) -> Point | None:
    """Read a preset of the tuner, which aims at a hashrate."""
    hashrate = coerce.number(row.get("hashrate"), 0, _MOST_FIGURE)
    if not hashrate:
        return None
    return Point(
        name=f"{hashrate:g} TH/s",
        hashrate=coerce.hashrate(hashrate, "TH/s"),
        power=coerce.watts(row.get("power")) or None,
        frequency=coerce.megahertz(row.get("clk")) or None,
        voltage=coerce.millivolts(row.get("voltage")) or None,
    )


def _rate(rows: list[Mapping[str, Any]], session: Mapping[str, Any], state: Mapping[str, Any]) -> object:
    """Sum the boards in MH/s; if one has no value, return the average that the session has, unless it idles."""
    rates = [_board_rate(row) for row in rows]
    known = [rate for rate in rates if rate is not None]
    if known and len(known) == len(rates):
        return sum(known)
    return 0.0 if state.get("Operating State") == _IDLING else session.get("Average MHs")


def _board_rate(row: Mapping[str, Any]) -> float | None:
    value = row.get("Hashrate")
    return coerce.number(value[0], 0, math.inf) if isinstance(value, list) and value else None


def _board_expected(row: Mapping[str, Any]) -> float | None:
    """Return what a board should do at its clock in H/s, from what it does and the percentage that this is."""
    rate, value = _board_rate(row), row.get("Hashrate")
    share = coerce.number(value[1], 0, 1_000) if isinstance(value, list) and len(value) > 1 else None
    return None if rate is None or share is None or share < 1 else coerce.hashrate(rate / share * 100, "MH/s")


def _boards(
    rows: list[Mapping[str, Any]],
    sensors: Mapping[int, list[float]],
    on_chips: Mapping[int, list[float]],
    chips: int | None,
) -> Iterator[Board]:
    for row in rows:
        least, average, _ = coerce.spread(sensors.get(_index(row), ()))
        coolest, mean, hottest = coerce.spread(on_chips.get(_index(row), ()))
        yield Board(
            index=_index(row),
            hashrate=coerce.hashrate(_board_rate(row), "MH/s"),
            expected_hashrate=_board_expected(row),
            temperature=coerce.celsius(row.get("Temperature")),
            temperature_min=least,
            temperature_average=average,
            chip_temperature=hottest,
            chip_temperature_min=coolest,
            chip_temperature_average=mean,
            chips_expected=chips,
            frequency=coerce.megahertz(row.get("Core Clock Avg")),
            voltage=coerce.volts(row.get("Input Voltage")),
            power=coerce.watts(row.get("Input Power")),
        )


def _fans(speeds: Mapping[str, Any]) -> Iterator[Fan]:
    for number in range(1, _FANS + 1):
        speed = coerce.rpm(speeds.get(f"Fans Speed {number}"))
        if speed is not None:
            yield Fan(number - 1, speed)


def _pools(summary: Answer, session: Mapping[str, Any]) -> Iterator[Pool]:
    """Return the configured pools; the share totals are of the session, so they stand with the pool in use.

    The worker is the configured login, to which the firmware can append an identity. If the pool in use sees another
    user, it is that one.
    """
    stratum = coerce.mapping(summary.get("Stratum"))
    user = coerce.text(stratum.get("Current User"))
    current = coerce.count(stratum.get("Config Id"), coerce.MAX_ITEMS)
    for index, row in enumerate(coerce.items(summary.get("StratumConfigs"))):
        scheme, host = coerce.endpoint(row.get("pool"))
        active = None if current is None else index == current
        login = coerce.text(row.get("login"))
        yield Pool(
            index=index,
            host=host,
            scheme=scheme or "stratum+tcp",
            worker=user if active and user and not user.startswith(login) else login,
            up=coerce.flag(stratum.get("IsPoolConnected")) if active else None,
            active=active,
            difficulty=coerce.difficulty(session.get("Difficulty")) if active else None,
            accepted=coerce.counter(session.get("Accepted")) if active else None,
            rejected=coerce.counter(session.get("Rejected")) if active else None,
        )


def _faults(state: Mapping[str, Any], boards: list[Mapping[str, Any]]) -> Iterator[Fault]:
    """Name the boards that are not there, and the last error while it does not mine: later it may be long gone."""
    last = coerce.text(state.get("Last Error"), 64)
    if last and state.get("Operating State") != _MINING:
        yield worded_fault(last)
    for row in boards:
        if row.get("Detected") is False:
            yield fault(FaultCode.BOARD_MISSING, f"board {_index(row)}", "not detected")
        elif row.get("Enabled") is False:
            yield fault(FaultCode.BOARD_HASHRATE, f"board {_index(row)}", "disabled")
