import pytest

from exporter.model.fault_codes import FaultCode, Severity
from exporter.sources.rigs.faults import fault, whatsminer_fault, whatsminer_faults, worded_fault


@pytest.mark.parametrize(
    ("vendor", "code", "component"),
    [
        ("110", "fan_speed", "fan 0"),
        ("121", "fan_speed", "fan 1"),
        ("200", "psu_missing", "psu"),
        ("218", "psu_input_voltage", "psu"),
        ("233", "psu_temperature", "psu"),
        ("241", "psu_phase", "psu"),
        ("264", "psu_comms", "psu"),
        ("301", "sensor_failed", "board 1"),
        ("352", "board_temperature", "board 2"),
        ("412", "eeprom_failed", "board 2"),
        ("530", "board_missing", "board 0"),
        ("541", "board_chips", "board 1"),
        ("600", "inlet_temperature", ""),
        ("713", "network", ""),
        ("2000", "pool_wrong", ""),
        ("2021", "pool_dead", "pool 1"),
        ("2030", "pool_rejects", ""),
        ("2310", "hashrate_low", ""),
        ("5070", "coolant", "board 0"),
        ("5121", "board_crc", "board 1"),
        ("541012", "chip_temperature", "board 1"),
        ("530012", "board_chips", "board 0"),
        ("8410", "firmware", ""),
        ("77777", "unknown", ""),
    ],
)
def test_whatsminer_codes(vendor: str, code: str, component: str) -> None:
    known = whatsminer_fault(vendor)
    assert (known.code, known.component, known.vendor_code) == (code, component, vendor)


def test_every_whatsminer_code_is_canonical() -> None:
    assert all(isinstance(whatsminer_fault(str(number)).code, FaultCode) for number in range(100, 10_000))


@pytest.mark.parametrize(
    "listed", [[{"218": "2026-03-20 09:19:10", "reason": "low"}, {"110": "..."}], ["218", "110"], [218, 110, 218]]
)
def test_every_spelling_of_the_list(listed: object) -> None:
    assert [known.vendor_code for known in whatsminer_faults(listed)] == ["218", "110"]


@pytest.mark.parametrize("listed", [None, {}, "218", [None, [], {"reason": "x"}, "DROP TABLE"], [{}]])
def test_no_list_is_no_fault(listed: object) -> None:
    assert whatsminer_faults(listed) == ()


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("ERROR_FAN_LOST: fan lost, only find 3", "fan_failed"),
        ("ERROR_TEMP_TOO_HIGH: over max temp", "board_temperature"),
        ("low hashrate", "hashrate_low"),
        ("ERROR_POWER_LOST", "psu_output"),
        ("Board reboot due to it not hashing.", "board_hashrate"),
        ("Chip temperature too high", "chip_temperature"),
        ("EEPROM read failed", "eeprom_failed"),
        ('Failed to resolve ("pool.example", 3334)', "pool_dead"),
        ("board disconnected: no answer", "board_missing"),
        ("something else entirely", "unknown"),
    ],
)
def test_faults_in_words(message: str, code: str) -> None:
    assert worded_fault(message).code == code
    assert worded_fault(message).vendor_code == message


def test_severity_follows_from_the_code() -> None:
    assert fault(FaultCode.FAN_FAILED).severity is Severity.CRITICAL
    assert fault(FaultCode.HASHRATE_LOW).severity is Severity.WARNING
