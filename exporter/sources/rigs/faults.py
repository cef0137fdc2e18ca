"""Maps the faults that firmware reports, in words or in MicroBT's codes, to the canonical ones."""

import re
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from typing import Final

from exporter.model.fault_codes import FaultCode
from exporter.model.readings import Board, Fault, RigIdentity
from exporter.sources.rigs.coerce import MAX_ITEMS, text


def fault(code: FaultCode, component: str = "", vendor_code: str = "") -> Fault:
    """Make a fault; its severity follows from the code."""
    return Fault(code, code.severity, component, vendor_code)


def lost_boards(identity: RigIdentity, boards: Iterable[Board]) -> Iterator[Fault]:
    """Report the boards that the rig had when it was identified and no longer lists, if it lists any."""
    there = {board.index for board in boards}
    if there:
        yield from (missing_board(index) for index, _ in identity.board_serials if index not in there)


def missing_board(index: int) -> Fault:
    """Return the fault of a missing board."""
    return fault(FaultCode.BOARD_MISSING, f"board {index}")


# The first of these words that a message has decides.
_WORDS: Final = (
    (r"fan.*(?:speed|rpm)|(?:speed|rpm).*fan", FaultCode.FAN_SPEED),
    (r"fan", FaultCode.FAN_FAILED),
    (r"coolant|water|flow|pump|liquid", FaultCode.COOLANT),
    (r"inlet|ambient|environment", FaultCode.INLET_TEMPERATURE),
    (r"sensor", FaultCode.SENSOR_FAILED),
    (r"chip.*(?:temp|heat|hot)", FaultCode.CHIP_TEMPERATURE),
    (r"psu.*(?:temp|heat|hot)", FaultCode.PSU_TEMPERATURE),
    (r"temp|heat|hot", FaultCode.BOARD_TEMPERATURE),
    (r"over.?current", FaultCode.PSU_OVERCURRENT),
    (r"(?:psu|power supply).*(?:comm|read|i2c|detect|found)", FaultCode.PSU_COMMS),
    (r"psu|power supply|power lost", FaultCode.PSU_OUTPUT),
    (r"power.*(?:limit|target)", FaultCode.POWER_LIMIT),
    (r"volt", FaultCode.BOARD_VOLTAGE),
    (r"eeprom", FaultCode.EEPROM_FAILED),
    (r"crc", FaultCode.BOARD_CRC),
    (r"asic|chip", FaultCode.BOARD_CHIPS),
    (r"board.*hashing", FaultCode.BOARD_HASHRATE),
    (
        r"(?:no|missing|lost|find|detect).*(?:board|chain)|(?:board|chain).*(?:missing|lost|disconnect|found)",
        FaultCode.BOARD_MISSING,
    ),
    (r"pic\b|nopic|chain|i2c", FaultCode.BOARD_CHAIN),
    (r"hashing|hashrate|low rate|\brate", FaultCode.HASHRATE_LOW),
    (r"freq", FaultCode.BOARD_FREQUENCY),
    (r"tun(?:e|ing)", FaultCode.TUNING_FAILED),
    (r"reject", FaultCode.POOL_REJECTS),
    (r"pool|stratum|resolve", FaultCode.POOL_DEAD),
    (r"network|ethernet|dns", FaultCode.NETWORK),
    (r"firmware|update|license|signature", FaultCode.FIRMWARE),
    (r"config|invalid setting", FaultCode.CONFIG_INVALID),
    (r"disk|storage|nand|flash", FaultCode.STORAGE),
    (r"board", FaultCode.BOARD_HASHRATE),
)
_BY_WORD: Final = tuple((re.compile(pattern, re.IGNORECASE), code) for pattern, code in _WORDS)


def worded_fault(message: str, component: str = "", vendor_code: str = "") -> Fault:
    """Translate a fault that firmware reports in words. An empty ``vendor_code`` becomes the message."""
    return fault(_code(message), component, vendor_code or text(message, 64))


@lru_cache(maxsize=4_096)  # a rig reports its faults at each poll
def _code(message: str) -> FaultCode:
    words = message.replace("_", " ")
    return next((code for pattern, code in _BY_WORD if pattern.search(words)), FaultCode.UNKNOWN)


# Code pattern, canonical code, component ({} is the digit in brackets). After MicroBT's list of error codes.
_WHATSMINER: Final = (
    (r"1[123]0", FaultCode.FAN_SPEED, "fan 0"),  # intake
    (r"1[123]1", FaultCode.FAN_SPEED, "fan 1"),  # exhaust
    (r"1\d\d", FaultCode.FAN_FAILED, ""),
    (r"200", FaultCode.PSU_MISSING, "psu"),
    (r"201", FaultCode.PSU_MISMATCH, "psu"),
    (r"(?:203|23[345]|24[345]|275)", FaultCode.PSU_TEMPERATURE, "psu"),
    (r"(?:20[45]|23[678]|24[89]|25[567]|26[89])", FaultCode.PSU_OVERCURRENT, "psu"),
    (r"(?:20[67]|213|21[89]|24[67]|25[01]|27[013])", FaultCode.PSU_INPUT_VOLTAGE, "psu"),
    (r"241", FaultCode.PSU_PHASE, "psu"),
    (r"(?:25[34]|274)", FaultCode.PSU_FAN, "psu"),
    (r"(?:21[4567]|26[347])", FaultCode.PSU_COMMS, "psu"),
    (r"2\d\d", FaultCode.PSU_OUTPUT, "psu"),
    (r"(?:329|38\d)", FaultCode.SENSOR_FAILED, ""),
    (r"3[02](\d)", FaultCode.SENSOR_FAILED, "board {}"),
    (r"35(\d)", FaultCode.BOARD_TEMPERATURE, "board {}"),
    (r"36\d", FaultCode.BOARD_TEMPERATURE, ""),
    (r"(?:37\d|6\d\d|8035)", FaultCode.INLET_TEMPERATURE, ""),
    (r"4[1-5](\d)", FaultCode.EEPROM_FAILED, "board {}"),
    (r"4\d\d", FaultCode.EEPROM_FAILED, ""),
    (r"5[12](\d)", FaultCode.CONFIG_INVALID, "board {}"),
    (r"53(\d)", FaultCode.BOARD_MISSING, "board {}"),
    (r"5[456](\d)", FaultCode.BOARD_CHIPS, "board {}"),
    (r"5[78](\d)", FaultCode.BOARD_CHAIN, "board {}"),
    (r"59(\d)", FaultCode.BOARD_FREQUENCY, "board {}"),
    (r"713", FaultCode.NETWORK, ""),
    (r"7[01]\d", FaultCode.CONTROL_BOARD, ""),
    (r"72(\d)", FaultCode.BOARD_CHAIN, "board {}"),
    (r"(?:80\d|8000|84\d\d|90\d\d|1[01]0\d+)", FaultCode.FIRMWARE, ""),
    (r"(?:81\d|82\d\d|86[012567]\d)", FaultCode.CONFIG_INVALID, ""),
    (r"9\d\d", FaultCode.EFFICIENCY_LOW, ""),
    (r"20[04]\d", FaultCode.POOL_WRONG, ""),
    (r"201\d", FaultCode.POOL_DEAD, ""),
    (r"202(\d)", FaultCode.POOL_DEAD, "pool {}"),
    (r"203\d", FaultCode.POOL_REJECTS, ""),
    (r"211(\d)", FaultCode.TUNING_FAILED, "board {}"),
    (r"(?:23\d\d|8020|85\d0)", FaultCode.HASHRATE_LOW, ""),
    (r"50[12](\d)", FaultCode.BOARD_VOLTAGE, "board {}"),
    (r"50[345](\d)", FaultCode.CHIP_TEMPERATURE, "board {}"),
    (r"507(\d)", FaultCode.COOLANT, "board {}"),
    (r"50[89]\d", FaultCode.SENSOR_FAILED, ""),
    (r"51[17](\d)", FaultCode.BOARD_FREQUENCY, "board {}"),
    (r"512(\d)", FaultCode.BOARD_CRC, "board {}"),
    (r"513(\d)", FaultCode.BOARD_CHAIN, "board {}"),
    (r"54(\d)\d{3}", FaultCode.CHIP_TEMPERATURE, "board {}"),
    (r"5[2356](\d)\d{3}", FaultCode.BOARD_CHIPS, "board {}"),
    (r"8010", FaultCode.BOARD_FREQUENCY, ""),
    (r"81\d\d", FaultCode.BOARD_CHIPS, ""),
    (r"83\d\d", FaultCode.COOLANT, ""),
    (r"85\d1", FaultCode.EFFICIENCY_LOW, ""),
    (r"85\d[23]", FaultCode.FAN_SPEED, ""),
    (r"85\d4", FaultCode.BOARD_VOLTAGE, ""),
    (r"(?:86[34]\d|87\d\d)", FaultCode.PSU_MISMATCH, "psu"),
)


_WHATSMINER_CODE: Final = re.compile(r"\d{3,8}")


@cache
def _whatsminer_pattern() -> re.Pattern[str]:
    return re.compile("|".join(f"(?P<rule{number}>{pattern})$" for number, (pattern, _, _) in enumerate(_WHATSMINER)))


@lru_cache(maxsize=4_096)  # a rig repeats its codes at each poll
def whatsminer_fault(vendor_code: str) -> Fault:
    """Translate one of MicroBT's numeric codes; a code that is not in the list becomes ``unknown``."""
    match = _whatsminer_pattern().match(vendor_code)
    if match is None or match.lastgroup is None:
        return fault(FaultCode.UNKNOWN, vendor_code=vendor_code)
    _, code, component = _WHATSMINER[int(match.lastgroup.removeprefix("rule"))]
    slot = next((group for group in match.groups() if group is not None and len(group) == 1), "")
    return fault(code, component.format(slot), vendor_code)


def whatsminer_faults(listed: object) -> tuple[Fault, ...]:
    """Translate MicroBT's list ``[{"218": "when", "reason": "..."}, ...]``, which some builds write ``["218"]``."""
    rows = listed[:MAX_ITEMS] if isinstance(listed, list) else []
    codes = (str(key) for row in rows for key in (row if isinstance(row, dict) else (row,)))
    return tuple(whatsminer_fault(code) for code in dict.fromkeys(codes) if _WHATSMINER_CODE.fullmatch(code))
