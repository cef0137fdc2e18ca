"""The closed list of fault codes: every vendor's own codes are mapped to one of these."""

from enum import StrEnum
from typing import Self


class Severity(StrEnum):
    """How bad a fault is."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class FaultCode(StrEnum):
    """One canonical fault and its usual severity. Critical: it stops a rig or a board, or damages it."""

    severity: Severity

    def __new__(cls, value: str, severity: Severity = Severity.WARNING) -> Self:
        """Make a member from its name and severity."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.severity = severity
        return member

    PSU_MISSING = "psu_missing", Severity.CRITICAL
    PSU_MISMATCH = "psu_mismatch"
    PSU_COMMS = "psu_comms"
    PSU_INPUT_VOLTAGE = "psu_input_voltage", Severity.CRITICAL
    PSU_OUTPUT = "psu_output", Severity.CRITICAL
    PSU_OVERCURRENT = "psu_overcurrent", Severity.CRITICAL
    PSU_FAN = "psu_fan"
    PSU_TEMPERATURE = "psu_temperature", Severity.CRITICAL
    PSU_PHASE = "psu_phase", Severity.CRITICAL
    FAN_FAILED = "fan_failed", Severity.CRITICAL
    FAN_MISSING = "fan_missing", Severity.CRITICAL
    FAN_SPEED = "fan_speed"
    BOARD_MISSING = "board_missing", Severity.CRITICAL
    BOARD_TEMPERATURE = "board_temperature", Severity.CRITICAL
    BOARD_CHIPS = "board_chips"
    BOARD_CHAIN = "board_chain"
    BOARD_VOLTAGE = "board_voltage"
    BOARD_FREQUENCY = "board_frequency"
    BOARD_CRC = "board_crc"
    BOARD_HASHRATE = "board_hashrate"
    CHIP_TEMPERATURE = "chip_temperature", Severity.CRITICAL
    SENSOR_FAILED = "sensor_failed"
    EEPROM_FAILED = "eeprom_failed"
    INLET_TEMPERATURE = "inlet_temperature"
    COOLANT = "coolant", Severity.CRITICAL
    CONTROL_BOARD = "control_board"
    FIRMWARE = "firmware"
    CONFIG_INVALID = "config_invalid"
    STORAGE = "storage"
    NETWORK = "network"
    TIME = "time"
    POOL_DEAD = "pool_dead"
    POOL_REJECTS = "pool_rejects"
    POOL_WRONG = "pool_wrong"
    WORKER_WRONG = "worker_wrong"
    HASHRATE_LOW = "hashrate_low"
    EFFICIENCY_LOW = "efficiency_low"
    TUNING_FAILED = "tuning_failed"
    POWER_LIMIT = "power_limit"
    UNKNOWN = "unknown"
