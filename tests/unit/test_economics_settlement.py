"""Day-ahead and real time settled apart, bought blocks, and income from awards: known answers."""

import pytest

from exporter.economics.settlement import (
    Settlement,
    SettlementSettings,
    bought_block_cost,
    capacity_income,
    settle,
    settlement,
)
from exporter.model.obligations import Obligation, ObligationKind


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
    assert bought_block_cost(10, 45, 11, 60) == pytest.approx(510)
    assert bought_block_cost(10, 45, 9, 60, sold_share=1.0, loss=5) == pytest.approx(395)


def award(watts: float | None, price: float | None, end: float | None = None) -> Obligation:
    return Obligation(kind=ObligationKind.AWARD, start=0, end=end, floor=watts, price=price)


def test_an_award_earns_while_it_holds() -> None:
    assert capacity_income([award(5e6, 0.008)], 1) == pytest.approx(960)
    assert pytest.approx(70.08) == 960 * 365 / 5000  # per kW and year
    assert capacity_income([award(5e6, 0.008), award(1e6, 0.008, end=1)], 1) == pytest.approx(960)
    assert capacity_income([award(5e6, None)], 1) is None
    assert capacity_income([award(None, 0.008)], 1) == 0
    assert capacity_income([], 1) == 0


SETTINGS = SettlementSettings(day_ahead_tariff="da", real_time_tariff="rt", position_kilowatts=10_000)


def test_flows_are_per_day_and_absent_without_their_input() -> None:
    prices = {"da": 0.040, "rt": 0.300}
    assert settlement(SETTINGS, prices, 2e6, 5.0) == Settlement(
        day_ahead=pytest.approx(9_600), real_time=pytest.approx(-57_600), capacity=5.0
    )
    assert settlement(SETTINGS, {"da": 0.04}, 2e6, None).real_time is None
    assert settlement(SETTINGS, {"rt": 0.04}, 2e6, None).day_ahead is None
    assert settlement(SETTINGS, prices, None, None).real_time is None
    assert settlement(None, prices, 2e6, 7.0) == Settlement(capacity=7.0)
