"""State and hardware of a rig as text. Values that the rig does not report are omitted."""

from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from exporter.model.readings import Board, PowerSupply, RigReading
from exporter.model.units import HERTZ_PER_MEGAHERTZ
from exporter.server.pages.template import duration, figure, hashrate, number, power

Fact: TypeAlias = tuple[str, str | None]
"""A name and a text, None if not reported."""


def state(reading: RigReading) -> list[Fact]:
    """Return the state of a rig and how close it is to its limits."""
    supply = reading.power_supply or PowerSupply()
    return _reported(
        ("Suspended", _yes_or_no(reading.suspended)),
        ("Power mode", reading.power_mode),
        ("Tuner", reading.tuner),
        ("Power target", _if_reported(power, reading.power_target)),
        ("Power limit", _if_reported(power, reading.power_limit)),
        ("Thermal margin", _in("°C", reading.thermal_margin, 1)),
        ("Temperatures", _joined(f"{sensor} {_in('°C', celsius, 1)}" for sensor, celsius in reading.temperatures)),
        ("Fans", _joined(f"{fan.index}: {_in('rpm', fan.rpm)}" for fan in reading.fans if fan.rpm is not None)),
        ("Fans expected", _if_reported(number, reading.fans_expected)),
        ("Fan duty", _in("%", None if reading.fan_duty is None else 100 * reading.fan_duty)),
        ("Power supply input", _electric(supply.input_voltage, supply.input_current, supply.input_power)),
        ("Power supply output", _electric(supply.output_voltage, supply.output_current, supply.output_power)),
        ("Power supply temperature", _in("°C", supply.temperature, 1)),
        ("Power supply fan", _in("rpm", supply.fan_rpm)),
        ("Best share", _if_reported(figure, reading.best_share)),
        ("Miner uptime", _if_reported(duration, reading.uptime)),
        ("System uptime", _if_reported(duration, reading.system_uptime)),
        ("Web login rejected", _yes_or_no(reading.login_refused)),
        ("Locate light", _yes_or_no(reading.fault_light)),
    )


_BOARD: Final[tuple[tuple[str, Callable[[Board], str | None]], ...]] = (
    ("Hashrate", lambda board: _if_reported(hashrate, board.hashrate)),
    ("Expected", lambda board: _if_reported(hashrate, board.expected_hashrate)),
    ("Board temperature", lambda board: _in("°C", board.temperature, 1)),
    ("Chip temperature", lambda board: _in("°C", board.chip_temperature, 1)),
    ("Chips", lambda board: _if_reported(number, board.chips)),
    ("Chips expected", lambda board: _if_reported(number, board.chips_expected)),
    ("Frequency", lambda board: _in("MHz", board.frequency and board.frequency / HERTZ_PER_MEGAHERTZ)),
    ("Voltage", lambda board: _in("V", board.voltage, 2)),
    ("Power", lambda board: _if_reported(power, board.power)),
    ("Errors", lambda board: _if_reported(number, board.hardware_errors)),
)


def boards(reading: RigReading) -> tuple[list[str], list[tuple[int, list[str | None]]]]:
    """Return the hash boards as a table: headings, and index and cells of each board. Empty columns are omitted."""
    columns = [(heading, [cell(board) for board in reading.boards]) for heading, cell in _BOARD]
    reported = [(heading, cells) for heading, cells in columns if any(cell is not None for cell in cells)]
    rows = [(board.index, [cells[row] for _, cells in reported]) for row, board in enumerate(reading.boards)]
    return [heading for heading, _ in reported], rows


def _reported(*facts: Fact) -> list[Fact]:
    return [fact for fact in facts if fact[1]]


def _if_reported(write: Callable[[float], str], value: float | None) -> str | None:
    return None if value is None else write(value)


def _in(unit: str, value: float | None, digits: int = 0) -> str | None:
    return None if value is None else f"{number(value, digits)} {unit}"


def _electric(volts: float | None, amperes: float | None, watts: float | None) -> str:
    return _joined(filter(None, (_in("V", volts, 1), _in("A", amperes, 1), _if_reported(power, watts))))


def _yes_or_no(value: bool | None) -> str | None:
    return None if value is None else "yes" if value else "no"


def _joined(parts: Iterable[str]) -> str:
    return ", ".join(parts)
