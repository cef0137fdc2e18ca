"""What a rig tells of its state and hardware, written for people; what it does not tell is left out."""

from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from exporter.model.readings import Board, PowerSupply, RigReading
from exporter.model.units import HERTZ_PER_MEGAHERTZ
from exporter.server.pages.template import duration, figure, hashrate, number, power

Told: TypeAlias = tuple[str, str | None]


def state(reading: RigReading) -> list[Told]:
    """What it does and how close it is to its limits, as names and texts."""
    supply = reading.power_supply or PowerSupply()
    return _told(
        ("Told to stop", _yes_or_no(reading.suspended)),
        ("Power mode", reading.power_mode),
        ("Tuner", reading.tuner),
        ("Power target", _if_told(power, reading.power_target)),
        ("Power limit", _if_told(power, reading.power_limit)),
        ("Thermal margin", _in("°C", reading.thermal_margin, 1)),
        ("Temperatures", _joined(f"{sensor} {_in('°C', celsius, 1)}" for sensor, celsius in reading.temperatures)),
        ("Fans", _joined(f"{fan.index}: {_in('rpm', fan.rpm)}" for fan in reading.fans if fan.rpm is not None)),
        ("Fans expected", _if_told(number, reading.fans_expected)),
        ("Fan duty", _in("%", None if reading.fan_duty is None else 100 * reading.fan_duty)),
        ("Supply's input", _electric(supply.input_voltage, supply.input_current, supply.input_power)),
        ("Supply's output", _electric(supply.output_voltage, supply.output_current, supply.output_power)),
        ("Supply's temperature", _in("°C", supply.temperature, 1)),
        ("Supply's fan", _in("rpm", supply.fan_rpm)),
        ("Best share", _if_told(figure, reading.best_share)),
        ("Miner's uptime", _if_told(duration, reading.uptime)),
        ("Uptime", _if_told(duration, reading.system_uptime)),
        ("Web login refused", _yes_or_no(reading.login_refused)),
        ("Locate light on", _yes_or_no(reading.fault_light)),
    )


_BOARD: Final[tuple[tuple[str, Callable[[Board], str | None]], ...]] = (
    ("Hashrate", lambda board: _if_told(hashrate, board.hashrate)),
    ("Expected", lambda board: _if_told(hashrate, board.expected_hashrate)),
    ("Board temperature", lambda board: _in("°C", board.temperature, 1)),
    ("Chip temperature", lambda board: _in("°C", board.chip_temperature, 1)),
    ("Chips", lambda board: _if_told(number, board.chips)),
    ("Chips expected", lambda board: _if_told(number, board.chips_expected)),
    ("Clock", lambda board: _in("MHz", board.frequency and board.frequency / HERTZ_PER_MEGAHERTZ)),
    ("Voltage", lambda board: _in("V", board.voltage, 2)),
    ("Power", lambda board: _if_told(power, board.power)),
    ("Errors", lambda board: _if_told(number, board.hardware_errors)),
)


def boards(reading: RigReading) -> tuple[list[str], list[tuple[int, list[str | None]]]]:
    """Its hash boards as a table: the headings that any board has something under, and the cells of each board."""
    columns = [(heading, [cell(board) for board in reading.boards]) for heading, cell in _BOARD]
    told = [(heading, cells) for heading, cells in columns if any(cell is not None for cell in cells)]
    rows = [(board.index, [cells[place] for _, cells in told]) for place, board in enumerate(reading.boards)]
    return [heading for heading, _ in told], rows


def _told(*lines: Told) -> list[Told]:
    return [line for line in lines if line[1]]


def _if_told(write: Callable[[float], str], value: float | None) -> str | None:
    return None if value is None else write(value)


def _in(unit: str, value: float | None, digits: int = 0) -> str | None:
    return None if value is None else f"{number(value, digits)} {unit}"


def _electric(volts: float | None, amperes: float | None, watts: float | None) -> str:
    return _joined(filter(None, (_in("V", volts, 1), _in("A", amperes, 1), _if_told(power, watts))))


def _yes_or_no(value: bool | None) -> str | None:
    return None if value is None else "yes" if value else "no"


def _joined(parts: Iterable[str]) -> str:
    return ", ".join(parts)
