"""LuxOS on Antminers: cgminer's API on 4028 with Luxor's own commands beside it, joined in one question.

Hashrate is ``GHS 1m``. Power is the firmware's estimate where the power supply does not measure (``PSU`` false).
The health of single chips is a question for each board, and a long answer: asked every :data:`HEALTH_SECONDS`. So is
the list of profiles: asked every :data:`PROFILES_SECONDS`, and at once when another one is in force or was tuned.
"""

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from exporter.model.failures import Failure
from exporter.model.fault_codes import FaultCode, Severity
from exporter.model.models import BITCOIN_ALGORITHM
from exporter.model.points import Point, PointList
from exporter.model.readings import Board, Fault, PowerSupply, RigIdentity, RigReading, TunerState
from exporter.sources.rigs import cgminer, coerce
from exporter.sources.rigs.contract import Answer, Firmware, Questions, Recording, Target
from exporter.sources.rigs.fast_timeout import FastTimeout
from exporter.sources.rigs.faults import fault, worded_fault
from exporter.sources.rigs.seldom import Lacking, Seldom
from exporter.sources.rigs.transport import optional, rpc

HEALTH_SECONDS: Final = 300.0
PROFILES_SECONDS: Final = 300.0
_HEALTH_TIMEOUT: Final = 2.0  # s, for all boards together
_SUPPLY_TIMEOUT: Final = 1.0  # s
_MOST_BOARDS: Final = 4  # of which the health of chips is asked
_MOST_CHIPS: Final = 1_024  # of a board
_MOST_PROFILES: Final = 64
_MOST_STEPS: Final = 1_000
_READ: Final = (
    *("summary", "stats", "devs", "devdetails", "fans", "power", "psuget", "tempctrl", "pools", "config", "temps"),
    "events",
)
_PROFILES: Final = "profiles"
_VOLTAGE, _SUPPLY = "voltageget", "0"
_HOTTEST_CHIP: Final = "Chip (Max)"
_WINDOWS: Final = {"GHS 1m": 60.0, "GHS 5m": 300.0, "GHS 5s": 5.0}  # s, of each rate, the best first
_SENSORS: Final = {"Water Inlet": "inlet", "Water Outlet": "outlet"}
_CURTAILED: Final = {"none": False, "sleep": True, "idle": True}
_LIGHTS: Final = {"blink": True, "on": True, "auto": False, "off": False}
_BOARDS: Final = 3
_STATES: Final = frozenset({"SLEEP", "IDLE", "REBOOT_USER", "REBOOT_SYSINIT", "MINER_TUNING", "MINER_TUNED"})
"""Events that are no faults."""
_EVENT_CODES: Final = {
    "BAD_DOMAIN": FaultCode.BOARD_CHAIN,
    "NOPIC_SHUTDOWN": FaultCode.BOARD_CHAIN,
    "INVALID_MINER_MODEL": FaultCode.CONFIG_INVALID,
    "DETECTION_ERROR": FaultCode.FIRMWARE,
    "EXTERNAL_ERROR": FaultCode.FIRMWARE,
}
"""Faults by Luxor's list of events, for those whose words mean something else, or nothing."""
_PSU_FLAGS: Final = (
    ("fan", FaultCode.PSU_FAN),
    ("inputvoltage", FaultCode.PSU_INPUT_VOLTAGE),
    ("temperature", FaultCode.PSU_TEMPERATURE),
    ("current", FaultCode.PSU_OVERCURRENT),
)
"""What the name of a power supply's flag contains, and the fault that it is; the first that fits."""


@dataclass(frozen=True, slots=True)
class _Health:
    """Which chips of each board did not pass the firmware's check, when to ask again, and the uptime when asked."""

    due: float
    uptime: float | None
    failed: Mapping[int, frozenset[int]]


class Reader:
    """See :class:`exporter.sources.rigs.contract.NativeReader`."""

    name = "luxos"
    firmware = Firmware(
        title="LuxOS",
        section="LuxOS",
        power="reported; an estimate if `PSU` is false",
        recorded=(Recording("S19k Pro", "2025.4.8", "asic-rs"),),
        documented="API commands (Luxor)",
        questions=Questions(
            rpc=(
                "version",
                "atm",
                *_READ,
                _PROFILES,
                f"{_VOLTAGE} {_SUPPLY}",
                *(f"healthchipget {board}" for board in range(_MOST_BOARDS)),
            ),
        ),
        pyasic_types=frozenset({"LUX_OS"}),
    )
    probe = staticmethod(cgminer.version)

    def __init__(self) -> None:
        self._joined = cgminer.Joined(*_READ, usable=lambda answer: "SUMMARY" in answer)
        self._health: dict[str, _Health] = {}  # by address
        self._lacking = Lacking()
        self._tuned: Seldom[bool] = Seldom(PROFILES_SECONDS)

    def recognises(self, answer: Answer) -> bool:
        """See :class:`exporter.sources.rigs.contract.NativeReader`."""
        return "LUXminer" in coerce.first(answer, "VERSION")

    async def identify(self, target: Target) -> RigIdentity:
        """See :class:`exporter.sources.rigs.contract.Reader`."""
        address = target.address
        self._joined.forget(address)
        self._health.pop(address, None)
        self._lacking.forget(address)
        version = coerce.first(await rpc(address, "version"), "VERSION")
        config = coerce.first(await cgminer.optional(address, "config"), "CONFIG")
        boards = _by_board(await cgminer.optional(address, "devs"), "DEVS")
        serials = ((index, coerce.text(row.get("SerialNumber"), 64)) for index, row in boards.items())
        return RigIdentity(
            reader=self.name,
            make="AntMiner",
            model=coerce.bitmain_model(config.get("Model") or version.get("Type")),
            firmware="LuxOS",
            algorithm=BITCOIN_ALGORITHM,  # the firmware runs on no other hardware
            firmware_version=coerce.text(version.get("Miner")),
            mac=coerce.mac(config.get("MACAddr")),
            serial=coerce.text(config.get("SerialNumber")),
            hostname=coerce.text(config.get("Hostname")),
            api_version=coerce.text(version.get("API")),
            control_board=coerce.text(config.get("ControlBoardType")),
            power_supply_model=coerce.text(config.get("PSULabel")),
            board_serials=tuple(sorted((index, serial) for index, serial in serials if serial)),
            rated_hashrate=coerce.hashrate(config.get("NameplateTHS"), "TH/s") or None,
        )

    async def read(self, target: Target, identity: RigIdentity) -> RigReading:
        """See :class:`exporter.sources.rigs.contract.Reader`."""
        answers = await self._joined.ask(target.address)
        rows = coerce.items(answers["stats"].get("STATS"))
        stats: Mapping[str, Any] = rows[-1] if rows else {}
        coerce.expect_model(coerce.bitmain_model(rows[0].get("Type")) if rows else "", identity.model)
        config = coerce.first(answers["config"], "CONFIG")
        coerce.expect_mac(config.get("MACAddr"), identity.mac)
        summary, pools = coerce.first(answers["summary"], "SUMMARY"), cgminer.pools(answers["pools"])
        unit = coerce.text(stats.get("rate_unit")) or "GH"
        expected = coerce.hashrate(stats.get("total_rateideal"), unit) or None
        rate = coerce.first_key(summary, _WINDOWS)
        hashrate = coerce.realised(summary.get(rate), "GH/s", expected)
        boards = tuple(_boards(cgminer.chains(stats, unit, _BOARDS), stats, answers))
        uptime = coerce.seconds(summary.get("Elapsed"))
        boards = await self._checked(target.address, boards, uptime, mining=hashrate > 0)
        fans, fans_expected = cgminer.fans(stats)
        duties = (coerce.percentage(row.get("Speed")) for row in coerce.items(answers["fans"].get("FANS")))
        seen = (*cgminer.board_faults(boards), *cgminer.fan_faults(fans, fans_expected)) if hashrate > 0 else ()
        control = coerce.first(answers["tempctrl"], "TEMPCTRL")
        water = dict(_water(answers["temps"]))
        margins = (
            coerce.margin(control.get("Dangerous"), (board.temperature for board in boards)),
            coerce.margin(control.get("ChipDangerous"), (board.chip_temperature for board in boards)),
            coerce.margin(control.get("WaterInletDangerous"), (water.get("inlet"),)),
        )
        # Of boards with voltages of their own this would be one of several.
        supplied = hashrate > 0 and coerce.flag(config.get("IsSingleVoltage"))
        volts = await self._supply_voltage(target.address) if supplied else None
        tunes_to_power = coerce.flag(config.get("IsPowerTargetEnabled"))
        return RigReading(
            hashrate=hashrate,
            hashrate_window=_WINDOWS[rate],
            average_hashrate=coerce.hashrate(summary.get("GHS av"), "GH/s"),
            expected_hashrate=expected,
            power=coerce.watts(coerce.first(answers["power"], "POWER").get("Watts")),
            power_limit=coerce.watts(config.get("PowerLimit")),
            power_target=coerce.watts(config.get("ActualPowerTarget")) if tunes_to_power else None,
            power_supply=_power_supply(answers["psuget"], volts),
            mining=hashrate > 0,
            suspended=_CURTAILED.get(coerce.text(config.get("CurtailMode")).lower()),
            power_mode=coerce.text(config.get("Profile"), 64),
            point=coerce.text(config.get("Profile"), 64),
            tuner=await self._tuner(target.address, config),
            fault_light=_LIGHTS.get(coerce.text(config.get("RedLed")).lower()),
            uptime=uptime,
            accepted_difficulty=coerce.counter(summary.get("Difficulty Accepted")),
            rejected_difficulty=coerce.counter(summary.get("Difficulty Rejected")),
            discarded_work=coerce.counter(summary.get("Discarded")),
            best_share=coerce.difficulty(summary.get("Best Session Share", summary.get("Best Share"))),
            last_share_at=pools.last_share_at,
            hardware_errors=coerce.counter(summary.get("Hardware Errors")),
            hardware_error_ratio=coerce.percentage(summary.get("Device Hardware%")),
            temperatures=tuple(water.items()),
            thermal_margin=coerce.coolest(margins),
            fans=fans,
            fans_expected=fans_expected,
            fan_duty=coerce.mean(duties),
            boards=boards,
            pools=pools.pools,
            faults=cgminer.merged((*seen, *_psu_faults(answers["psuget"])), _events(answers["events"])),
        )

    async def points(self, target: Target, identity: RigIdentity) -> PointList:  # noqa: ARG002 - none is of a model only
        """See :class:`exporter.sources.rigs.contract.ListsPoints`."""
        address = target.address
        rows = coerce.items((await rpc(address, _PROFILES)).get("PROFILES"), _MOST_PROFILES)
        bounds = coerce.first(await cgminer.optional(address, "atm"), "ATM")
        points = tuple(point for row in rows if (point := _point(row, bounds)) is not None)
        stock = next((row for row in rows if _step(row.get("Step")) == 0), {})
        return PointList(
            points=points,
            variant=" ".join(filter(None, (_figure(stock, "Frequency", "MHz"), _figure(stock, "Voltage", "V")))),
            power_limit=coerce.watts(bounds.get("PowerLimit")) or None,
        )

    async def _checked(
        self, address: str, boards: tuple[Board, ...], uptime: float | None, *, mining: bool
    ) -> tuple[Board, ...]:
        """Add the chips that are not healthy, as reported since it started, within :data:`HEALTH_SECONDS`."""
        health = self._health.get(address)
        if not mining:
            self._health.pop(address, None)
            return boards
        now = time.monotonic()
        if health is None or now >= health.due or (uptime or 0.0) < (health.uptime or 0.0):
            # Not asked again at once where this read is cut short.
            self._health[address] = _Health(now + HEALTH_SECONDS, uptime, {})
            failed = await _unhealthy(
                address, [board.index for board in boards if board.chips and board.index < _MOST_BOARDS]
            )
            health = self._health[address] = _Health(now + HEALTH_SECONDS, uptime, failed)
        return tuple(_with_failed(board, health.failed.get(board.index)) for board in boards)

    async def _tuner(self, address: str, config: Mapping[str, Any]) -> TunerState | None:
        """Return whether it tunes, or has tuned the profile in force; LuxOS does not report whether it is off."""
        if coerce.flag(config.get("IsTuning")):
            self._tuned.forget(address)
            return TunerState.TUNING
        in_force = config.get("Profile")
        tuned = await self._tuned.ask(address, in_force, partial(self._is_tuned, address, in_force))
        return TunerState.TUNED if tuned else None

    async def _is_tuned(self, address: str, profile: object) -> bool | None:
        """Ask whether a profile is tuned; None if it lists none."""
        answer = await optional(self._lacking.ask(address, _PROFILES, partial(rpc, address)))
        rows = coerce.items(answer.get("PROFILES"), _MOST_PROFILES)
        flags = [coerce.flag(row.get("IsTuned")) for row in rows if row.get("Profile Name") == profile]
        return any(flags) if rows else None

    async def _supply_voltage(self, address: str) -> float | None:
        """Ask for what the power supply puts out, where it comes soon; ``psuget`` has it by a name we have not seen."""
        ask = partial(rpc, address, parameter=_SUPPLY)
        with suppress(TimeoutError, Failure), FastTimeout(_SUPPLY_TIMEOUT):
            row = coerce.first(await self._lacking.ask(address, _VOLTAGE, ask), "VOLTAGE")
            return None if coerce.flag(row.get("IsOnBoard")) else coerce.volts(row.get("Voltage"))
        return None


def _by_board(answer: Answer, section: str) -> dict[int, Mapping[str, Any]]:
    """Sort the rows of a section by the boards that they are of."""
    rows = ((coerce.count(row.get("ID"), coerce.MAX_ITEMS), row) for row in coerce.items(answer.get(section)))
    return {index: row for index, row in rows if index is not None}


def _boards(chains: tuple[Board, ...], stats: Mapping[str, Any], answers: Mapping[str, Answer]) -> Iterator[Board]:
    """Correct and complete the chains by the answers to Luxor's commands.

    Their rate is the average since start; their chip temperatures copy the board's where no chip has a sensor.
    """
    devices, details = _by_board(answers["devs"], "DEVS"), _by_board(answers["devdetails"], "DEVDETAILS")
    chips = _chip_temperatures(answers["temps"])
    for board in chains:
        device, slot = devices.get(board.index, {}), board.index + 1
        copied = stats.get(f"temp_chip{slot}") == stats.get(f"temp_pcb{slot}")
        yield replace(
            board,
            hashrate=coerce.hashrate(device.get("MHS 1m"), "MH/s"),
            expected_hashrate=coerce.hashrate(device.get("Nominal MHS"), "MH/s") or None,
            chip_temperature=chips.get(board.index, None if copied else board.chip_temperature),
            chip_temperature_min=None if copied else board.chip_temperature_min,
            chip_temperature_average=None if copied else board.chip_temperature_average,
            voltage=coerce.volts(details.get(board.index, {}).get("Voltage")),
        )


def _chip_temperatures(temps: Answer) -> dict[int, float | None]:
    """Return the hottest chip of each board, of models whose chips have sensors."""
    labels = coerce.first(temps, "METADATA").items()
    key = next((key for key, entry in labels if coerce.mapping(entry).get("Label") == _HOTTEST_CHIP), None)
    if key is None:
        return {}
    return {board: coerce.celsius(row.get(key)) for board, row in _by_board(temps, "TEMPS").items()}


async def _unhealthy(address: str, boards: Iterable[int]) -> dict[int, frozenset[int]]:
    """Ask for the chips that do less than a fifth of their work, where that comes soon; one not checked yet is none."""
    failed: dict[int, frozenset[int]] = {}
    with suppress(TimeoutError, Failure):
        async with asyncio.timeout(_HEALTH_TIMEOUT):
            for board in boards:
                chips = coerce.items((await rpc(address, "healthchipget", str(board))).get("CHIPS"), _MOST_CHIPS)
                indexes = (coerce.count(chip.get("Chip")) for chip in chips if chip.get("Healthy") == "N")
                failed[board] = frozenset(index for index in indexes if index is not None)
    return failed


def _with_failed(board: Board, failed: frozenset[int] | None) -> Board:
    return replace(board, failed_chips=tuple(sorted(failed.union(board.failed_chips)))) if failed else board


def _point(row: Mapping[str, Any], bounds: Mapping[str, Any]) -> Point | None:
    name = coerce.text(row.get("Profile Name"), 64)
    if not name:
        return None
    step = _step(row.get("Step"))
    least, most = _step(bounds.get("MinProfileStep")), _step(bounds.get("MaxProfileStep"))
    if coerce.flag(bounds.get("Enabled")) is False or step is None:
        least = most = None
    return Point(
        name=name,
        hashrate=coerce.hashrate(row.get("Hashrate"), "TH/s") or None,
        power=coerce.watts(row.get("Watts")) or None,
        frequency=coerce.megahertz(row.get("Frequency")) or None,
        voltage=coerce.volts(row.get("Voltage")) or None,
        tuned=coerce.flag(row.get("IsTuned")),
        allowed=(least is None or (step or 0.0) >= least) and (most is None or (step or 0.0) <= most),
    )


def _step(value: object) -> float | None:
    return coerce.number(value, -_MOST_STEPS, _MOST_STEPS)


def _figure(row: Mapping[str, Any], key: str, unit: str) -> str:
    known = coerce.number(row.get(key), 0, coerce.MAX_MEGAHERTZ)
    return "" if known is None else f"{known:g} {unit}"


def _water(temps: Answer) -> Iterator[tuple[str, float]]:
    """Return the hottest inlet and outlet, by the labels that the answer has for the boards' sensors."""
    rows = coerce.items(temps.get("TEMPS"))
    for key, entry in coerce.first(temps, "METADATA").items():
        sensor = _SENSORS.get(coerce.text(coerce.mapping(entry).get("Label")))
        known = coerce.hottest(coerce.celsius(row.get(key)) for row in rows)
        if sensor is not None and known is not None:
            yield sensor, known


def _power_supply(answer: Answer, volts: float | None) -> PowerSupply | None:
    supply = PowerSupply(output_voltage=volts, fan_rpm=coerce.rpm(coerce.first(answer, "PSUFAN").get("SpeedRPM")))
    return coerce.measured(supply)


def _psu_faults(supply: Answer) -> Iterator[Fault]:
    """Name the faults and warnings that the power supply has raised."""
    for name, raised in coerce.first(supply, "PSUFLAGS").items():
        warning = name.endswith("Warning")
        if coerce.flag(raised) and (warning or name.endswith("Fault")):
            code = next((code for part, code in _PSU_FLAGS if part in name.lower()), FaultCode.PSU_OUTPUT)
            known = fault(code, "psu", coerce.text(name, 64))
            yield replace(known, severity=Severity.WARNING) if warning else known


def _events(answer: Answer) -> Iterator[Fault]:
    """Name what is wrong now: an event leaves the list once its cause is gone, and keeps the time when it began.

    That is believed of a rig whose clock is right.
    """
    now, here = time.time(), coerce.counter(coerce.first(answer, "STATUS").get("When"))
    right = here is not None and abs(here - now) < coerce.CLOCK_SKEW
    for row in coerce.items(answer.get("EVENTS")):
        if coerce.text(row.get("Code"), 64) in _STATES:
            continue
        board = coerce.count(row.get("ID"), coerce.MAX_ITEMS) if row.get("Target") == "BOARD" else None
        code = coerce.text(row.get("Code"), 64)
        message = f"{code} {coerce.text(row.get('Description'))}"
        component = "" if board is None else f"board {board}"
        known = _EVENT_CODES.get(code)
        one = fault(known, component, code) if known else worded_fault(message, component, code)
        yield replace(one, since=coerce.moment(row.get("CreatedAt"), now)) if right else one
