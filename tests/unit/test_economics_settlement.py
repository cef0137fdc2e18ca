"""Day-ahead and real time settled apart, bought blocks, and income from awards: known answers."""

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from exporter.economics.settlement import (
    NONE_DATED,
    PositionSettings,
    Settlement,
    SettlementSettings,
    bought_block_cost,
    capacity_income,
    settle,
    settlement,
)
from exporter.model.obligations import Obligation, ObligationKind
from exporter.model.readings import DatedPositions, PositionSlot

NOW = 1_774_100_000.0


@pytest.mark.parametrize(
    ("position", "day_ahead", "load", "real_time", "expected"),
    [(10, 40, 2, 300, -2_000), (10, 40, 10, 300, 400), (10, 40, 12, -20, 360)],
)
def test_position_and_difference_are_settled_apart(
    position: float, day_ahead: float, load: float, real_time: float, expected: float
) -> None:
    parts = settle(position * 1000, day_ahead / 1000, load * 1000, real_time / 1000)
    assert sum(parts) == pytest.approx(expected)
    assert parts[0] == pytest.approx(position * day_ahead)


def test_a_bought_block_that_is_sold_earns_and_one_that_is_not_is_owed() -> None:
    assert bought_block_cost(10, 45, 0, 60, sold_share=0.98) == pytest.approx(-138)
    assert bought_block_cost(10, 45, 4, 60) == pytest.approx(450)
    assert bought_block_cost(10, 45, 5, 60) == bought_block_cost(10, 45, 4, 60)  # one more costs nothing
    assert bought_block_cost(10, 45, 11, 60, sold_share=1.0) == pytest.approx(510)
    assert bought_block_cost(10, 45, 9, 60, sold_share=1.0, loss=5) == pytest.approx(395)


def award(watts: float | None, price: float | None, end: float | None = None) -> Obligation:
    return Obligation(kind=ObligationKind.AWARD, start=0, end=end, floor=watts, price=price)


def test_an_award_earns_while_it_holds() -> None:
    assert capacity_income([award(5e6, 0.008)], 1) == pytest.approx(960)
    assert pytest.approx(70.08) == 960 * 365 / 5000  # per kW and year
    assert capacity_income([award(5e6, 0.008), award(1e6, 0.008, end=1)], 1) == pytest.approx(960)
    assert capacity_income([award(5e6, None)], 1) is None
    assert capacity_income([award(None, 0.008)], 1) == 0
    assert capacity_income([award(5e6, 0.0)], 1) == 0
    assert capacity_income([], 1) == 0


SETTINGS = SettlementSettings(day_ahead_tariff="da", real_time_tariff="rt", position_kilowatts=10_000)


def test_flows_are_per_day_and_absent_without_their_input() -> None:
    prices = {"da": 0.040, "rt": 0.300}
    assert settlement(SETTINGS, prices, 2e6, 5.0, NOW) == Settlement(
        day_ahead=pytest.approx(9_600), real_time=pytest.approx(-57_600), capacity=5.0
    )
    assert settlement(SETTINGS, {"da": 0.04}, 2e6, None, NOW).real_time is None
    assert settlement(SETTINGS, {"rt": 0.04}, 2e6, None, NOW).day_ahead is None
    assert settlement(SETTINGS, prices, None, None, NOW).real_time is None
    assert settlement(None, prices, 2e6, 7.0, NOW) == Settlement(capacity=7.0)


def test_a_position_may_differ_by_day_and_hour() -> None:
    """An on-peak block of 5 x 16 hours, and half of it at night: two thirds of the hours of a working day."""
    settings = SettlementSettings.model_validate(
        {
            "day_ahead_tariff": "da",
            "real_time_tariff": "rt",
            "position_kilowatts": 4_000,
            "timezone": "America/Chicago",
            "positions": [
                {"days": ["mon", "tue", "wed", "thu", "fri"], "from": "06:00", "to": "22:00", "kilowatts": 10_000},
                {"days": ["sun"], "kilowatts": 0},
            ],
        }
    )

    def at(day: int, hour: int, minute: int = 0) -> float | None:
        local = datetime(2027, 3, day, hour, minute, tzinfo=ZoneInfo("America/Chicago"))
        return settings.position(local.timestamp(), NONE_DATED)

    hours = [at(1, 5, 59), at(1, 6), at(1, 6, 1), at(1, 21, 59), at(1, 22)]
    assert hours == [4_000, 10_000, 10_000, 10_000, 4_000]  # a Monday
    assert [at(6, 12), at(7, 12)] == [4_000, 0]  # Saturday, Sunday
    assert at(14, 2, 30) == 0  # a Sunday hour that does not exist, when the clocks change
    flows = settlement(settings, {"da": 0.04}, None, None, datetime(2027, 3, 1, 18, tzinfo=UTC).timestamp())
    assert flows.day_ahead == pytest.approx(9_600)


def test_a_position_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ValueError, match="it ends before it begins: write one until 24:00"):
        PositionSettings.model_validate({"from": "22:00", "to": "06:00", "kilowatts": 1})


def test_a_position_by_date_comes_first_and_what_cannot_be_read_is_unknown() -> None:
    prices = {"da": 0.040, "rt": 0.300}
    dated = DatedPositions((PositionSlot(NOW - 3600, NOW, 5_000), PositionSlot(NOW, NOW + 3600, 2_500)))

    def flows(positions: DatedPositions | None, at: float = NOW, settings: SettlementSettings = SETTINGS) -> Settlement:
        return settlement(settings, prices, 2e6, 7.0, at, positions)

    assert flows(dated) == Settlement(
        day_ahead=pytest.approx(2_400), real_time=pytest.approx(-3_600), capacity=7.0
    )  # 60 MWh at $40, and 12 MWh fewer at $300
    assert flows(dated, NOW - 1).day_ahead == pytest.approx(4_800)
    assert flows(dated, NOW + 3600).day_ahead == pytest.approx(9_600)  # no line: `position_kilowatts`
    unknown = Settlement(capacity=7.0)
    assert flows(None) == unknown
    assert flows(replace(dated, complete=False), NOW + 3600) == unknown  # a line that could not be read may be for it
    assert flows(replace(dated, complete=False)).day_ahead == pytest.approx(2_400)
    assert flows(DatedPositions((*dated.slots, PositionSlot(NOW, NOW + 60, 1)))) == unknown  # a contradiction
    alone = SETTINGS.model_copy(update={"position_kilowatts": None})
    assert flows(dated, settings=alone).day_ahead == pytest.approx(2_400)
    assert flows(dated, NOW + 3600, alone) == unknown
