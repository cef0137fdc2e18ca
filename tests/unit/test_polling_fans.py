"""A fan counts from when it was first seen turning: firmware lists slots without a fan like a fan that has stopped."""

from collections.abc import Sequence

import pytest

from exporter.model.fault_codes import FaultCode
from exporter.model.fleet import Rig
from exporter.model.readings import Fan, RigReading
from exporter.polling.ledger import RigLedger, RigMemory
from exporter.polling.settings import PollingSettings
from exporter.sources.rigs.faults import fault

RIG = Rig(name="a", address="127.50.0.1")


def ledger(memory: RigMemory | None = None) -> RigLedger:
    return RigLedger(RIG, PollingSettings(), memory or RigMemory(), 0.0)


def booked(book: RigLedger, speeds: Sequence[float | None], at: float, **facts: object) -> RigReading:
    """Book a reading with fans of these speeds, and give what is kept of it."""
    fans = tuple(Fan(index, speed) for index, speed in enumerate(speeds))
    book.succeeded(RigReading(**{"hashrate": 1e14, "fans": fans} | facts), at, at)
    snapshot = book.snapshot(at)
    assert snapshot.reading is not None
    return snapshot.reading.value


def failed(reading: RigReading) -> list[str]:
    return [one.component for one in reading.faults if one.code is FaultCode.FAN_FAILED]


@pytest.mark.parametrize("speeds", [(5_000, 0), (0, 0), (0, 0, 4_000, 0)])
def test_a_fan_that_never_turned_is_no_fan_and_no_fault(speeds: Sequence[float]) -> None:
    seen = tuple(fault(FaultCode.FAN_FAILED, f"fan {index}") for index, speed in enumerate(speeds) if not speed)
    reading = booked(ledger(), speeds, 30.0, faults=seen, fans_expected=len(speeds))
    assert [fan.rpm for fan in reading.fans] == [speed for speed in speeds if speed]
    assert failed(reading) == []
    assert reading.fans_expected == (sum(1 for speed in speeds if speed) or None)


def test_a_fan_that_turned_and_stopped_is_a_fault_by_its_own_number() -> None:
    book = ledger()
    booked(book, (5_000, 5_100, 0), 30.0)
    reading = booked(book, (5_000, 0, 0), 60.0)
    assert [(fan.index, fan.rpm) for fan in reading.fans] == [(0, 5_000), (1, 0)]
    assert failed(reading) == ["fan 1"]
    assert failed(booked(book, (5_000, 5_100, 0), 90.0)) == []


@pytest.mark.parametrize("facts", [{"hashrate": 0.0}, {"fan_duty": 0.0}])
def test_a_fan_that_need_not_turn_is_no_fault(facts: dict[str, float]) -> None:
    book = ledger()
    booked(book, (5_000,), 30.0)
    assert failed(booked(book, (0,), 60.0, **facts)) == []


def test_what_the_firmware_itself_says_of_a_fan_stays() -> None:
    named = fault(FaultCode.FAN_FAILED, "fan 1", "ERROR_FAN_LOST")
    assert failed(booked(ledger(), (5_000, 0), 30.0, faults=(named,))) == ["fan 1"]


def test_a_stopped_fan_stays_a_fault_over_a_restart() -> None:
    book = ledger()
    booked(book, (5_000, 5_100), 30.0)
    booked(book, (5_000, 0), 60.0)
    assert failed(booked(ledger(book.memory(60.0)), (5_000, 0), 90.0)) == ["fan 1"]
