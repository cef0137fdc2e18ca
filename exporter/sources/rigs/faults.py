"""The closed list of faults that every firmware's own codes are mapped to, and the table of Whatsminer's codes."""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Final

from exporter.model.readings import Board, Fault, RigIdentity, Severity
from exporter.sources.rigs.coerce import MAX_ITEMS, text

CODES: Final = frozenset(
    {
        *("psu_missing", "psu_mismatch", "psu_comms", "psu_input_voltage", "psu_output", "psu_overcurrent", "psu_fan"),
        *(
            "psu_temperature",
            "psu_phase",
            "fan_failed",
            "fan_missing",
            "fan_speed",
            "board_missing",
            "board_temperature",
        ),
        *("board_chips", "board_chain", "board_voltage", "board_frequency", "board_crc", "board_hashrate"),
        *("chip_temperature", "sensor_failed", "eeprom_failed", "inlet_temperature", "coolant", "control_board"),
        *("firmware", "config_invalid", "storage", "network", "time", "pool_dead", "pool_rejects", "pool_wrong"),
        *("worker_wrong", "hashrate_low", "efficiency_low", "tuning_failed", "power_limit", "unknown"),
    }
)
"""Every canonical code."""

_CRITICAL: Final = frozenset(
    {
        *("psu_missing", "psu_output", "psu_overcurrent", "psu_temperature", "psu_input_voltage", "psu_phase"),
        *("fan_failed", "fan_missing", "board_missing", "board_temperature", "chip_temperature", "coolant"),
    }
)
"""What stops a rig or a board, or harms it."""


def fault(code: str, component: str = "", vendor_code: str = "") -> Fault:
    """Make a fault with a canonical code; its severity follows from the code."""
    severity = Severity.CRITICAL if code in _CRITICAL else Severity.WARNING
    return Fault(code, severity, component, vendor_code)


def lost_boards(identity: RigIdentity, boards: Iterable[Board]) -> Iterator[Fault]:
    """Name the boards that it had when it was identified and says nothing of now, where it says something of any."""
    there = {board.index for board in boards}
    if there:
        yield from (missing_board(index) for index, _ in identity.board_serials if index not in there)


def missing_board(index: int) -> Fault:
    """Make the fault of a board that is not there."""
    return fault("board_missing", f"board {index}")


# The first of these words that a message has decides.
_WORDS: Final = (
    (r"fan.*(?:speed|rpm)|(?:speed|rpm).*fan", "fan_speed"),
    (r"fan", "fan_failed"),
    (r"coolant|water|flow|pump|liquid", "coolant"),
    (r"inlet|ambient|environment", "inlet_temperature"),
    (r"sensor", "sensor_failed"),
    (r"chip.*(?:temp|heat|hot)", "chip_temperature"),
    (r"psu.*(?:temp|heat|hot)", "psu_temperature"),
    (r"temp|heat|hot", "board_temperature"),
    (r"over.?current", "psu_overcurrent"),
    (r"(?:psu|power supply).*(?:comm|read|i2c|detect|found)", "psu_comms"),
    (r"psu|power supply|power lost", "psu_output"),
    (r"power.*(?:limit|target)", "power_limit"),
    (r"volt", "board_voltage"),
    (r"eeprom", "eeprom_failed"),
    (r"crc", "board_crc"),
    (r"asic|chip", "board_chips"),
    (r"board.*hashing", "board_hashrate"),
    (
        r"(?:no|missing|lost|find|detect).*(?:board|chain)|(?:board|chain).*(?:missing|lost|disconnect|found)",
        "board_missing",
    ),
    (r"pic\b|nopic|chain|i2c", "board_chain"),
    (r"hashing|hashrate|low rate|\brate", "hashrate_low"),
    (r"freq", "board_frequency"),
    (r"tun(?:e|ing)", "tuning_failed"),
    (r"reject", "pool_rejects"),
    (r"pool|stratum|resolve", "pool_dead"),
    (r"network|ethernet|dns", "network"),
    (r"firmware|update|license|signature", "firmware"),
    (r"config|invalid setting", "config_invalid"),
    (r"disk|storage|nand|flash", "storage"),
    (r"board", "board_hashrate"),
)
_BY_WORD: Final = tuple((re.compile(pattern, re.IGNORECASE), code) for pattern, code in _WORDS)


def worded_fault(message: str, component: str = "", vendor_code: str = "") -> Fault:
    """Translate a fault that a firmware tells in words; ``vendor_code`` is what is kept, the message where empty."""
    words = message.replace("_", " ")
    code = next((code for pattern, code in _BY_WORD if pattern.search(words)), "unknown")
    return fault(code, component, vendor_code or text(message, 64))


# Code pattern, canonical code, component ({} is the digit in brackets). After MicroBT's list of error codes.
_WHATSMINER: Final = (
    (r"1[123]0", "fan_speed", "fan 0"),  # intake
    (r"1[123]1", "fan_speed", "fan 1"),  # exhaust
    (r"1\d\d", "fan_failed", ""),
    (r"200", "psu_missing", "psu"),
    (r"201", "psu_mismatch", "psu"),
    (r"(?:203|23[345]|24[345]|275)", "psu_temperature", "psu"),
    (r"(?:20[45]|23[678]|24[89]|25[567]|26[89])", "psu_overcurrent", "psu"),
    (r"(?:20[67]|213|21[89]|24[67]|25[01]|27[013])", "psu_input_voltage", "psu"),
    (r"241", "psu_phase", "psu"),
    (r"(?:25[34]|274)", "psu_fan", "psu"),
    (r"(?:21[4567]|26[347])", "psu_comms", "psu"),
    (r"2\d\d", "psu_output", "psu"),
    (r"(?:329|38\d)", "sensor_failed", ""),
    (r"3[02](\d)", "sensor_failed", "board {}"),
    (r"35(\d)", "board_temperature", "board {}"),
    (r"36\d", "board_temperature", ""),
    (r"(?:37\d|6\d\d|8035)", "inlet_temperature", ""),
    (r"4[1-5](\d)", "eeprom_failed", "board {}"),
    (r"4\d\d", "eeprom_failed", ""),
    (r"5[12](\d)", "config_invalid", "board {}"),
    (r"53(\d)", "board_missing", "board {}"),
    (r"5[456](\d)", "board_chips", "board {}"),
    (r"5[78](\d)", "board_chain", "board {}"),
    (r"59(\d)", "board_frequency", "board {}"),
    (r"713", "network", ""),
    (r"7[01]\d", "control_board", ""),
    (r"72(\d)", "board_chain", "board {}"),
    (r"(?:80\d|8000|84\d\d|90\d\d|1[01]0\d+)", "firmware", ""),
    (r"(?:81\d|82\d\d|86[012567]\d)", "config_invalid", ""),
    (r"9\d\d", "efficiency_low", ""),
    (r"20[04]\d", "pool_wrong", ""),
    (r"201\d", "pool_dead", ""),
    (r"202(\d)", "pool_dead", "pool {}"),
    (r"203\d", "pool_rejects", ""),
    (r"211(\d)", "tuning_failed", "board {}"),
    (r"(?:23\d\d|8020|85\d0)", "hashrate_low", ""),
    (r"50[12](\d)", "board_voltage", "board {}"),
    (r"50[345](\d)", "chip_temperature", "board {}"),
    (r"507(\d)", "coolant", "board {}"),
    (r"50[89]\d", "sensor_failed", ""),
    (r"51[17](\d)", "board_frequency", "board {}"),
    (r"512(\d)", "board_crc", "board {}"),
    (r"513(\d)", "board_chain", "board {}"),
    (r"54(\d)\d{3}", "chip_temperature", "board {}"),
    (r"5[2356](\d)\d{3}", "board_chips", "board {}"),
    (r"8010", "board_frequency", ""),
    (r"81\d\d", "board_chips", ""),
    (r"83\d\d", "coolant", ""),
    (r"85\d1", "efficiency_low", ""),
    (r"85\d[23]", "fan_speed", ""),
    (r"85\d4", "board_voltage", ""),
    (r"(?:86[34]\d|87\d\d)", "psu_mismatch", "psu"),
)


_WHATSMINER_CODE: Final = re.compile(r"\d{3,8}")


@cache
def _whatsminer_pattern() -> re.Pattern[str]:
    return re.compile("|".join(f"(?P<rule{number}>{pattern})$" for number, (pattern, _, _) in enumerate(_WHATSMINER)))


def whatsminer_fault(vendor_code: str) -> Fault:
    """Translate one of MicroBT's numeric codes; one that the list does not have is ``unknown``."""
    match = _whatsminer_pattern().match(vendor_code)
    if match is None or match.lastgroup is None:
        return fault("unknown", vendor_code=vendor_code)
    _, code, component = _WHATSMINER[int(match.lastgroup.removeprefix("rule"))]
    slot = next((group for group in match.groups() if group is not None and len(group) == 1), "")
    return fault(code, component.format(slot), vendor_code)


def whatsminer_faults(said: object) -> tuple[Fault, ...]:
    """Translate MicroBT's list ``[{"218": "when", "reason": "..."}, ...]``, which some builds write ``["218"]``."""
    rows = said[:MAX_ITEMS] if isinstance(said, list) else []
    codes = (str(key) for row in rows for key in (row if isinstance(row, dict) else (row,)))
    return tuple(whatsminer_fault(code) for code in dict.fromkeys(codes) if _WHATSMINER_CODE.fullmatch(code))
