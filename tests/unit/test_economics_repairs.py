"""What a fault loses, and what its repair may cost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.economics.repairs import Repair, repair_of


def test_a_rig_that_stands_still_loses_what_it_would_earn() -> None:
    assert repair_of(margin=None, potential=2.5, hashrate=None, expected=None).lost == 2.5
    assert repair_of(margin=-0.1, potential=2.5, hashrate=0.0, expected=2e14).lost == 2.5


def test_a_rig_with_a_dead_board_loses_a_board_of_three() -> None:
    """It earns $2 with two of three boards: $3 with all of them."""
    assert repair_of(margin=2.0, potential=2.0, hashrate=2.0, expected=3.0).lost == pytest.approx(1.0)


def test_a_rig_that_would_lose_money_loses_nothing_by_its_fault() -> None:
    assert repair_of(margin=None, potential=-1.0, hashrate=None, expected=None).lost == 0.0
    assert repair_of(margin=-1.0, potential=-1.0, hashrate=2.0, expected=3.0).lost == 0.0


def test_a_rig_above_its_expected_rate_loses_nothing() -> None:
    assert repair_of(margin=2.0, potential=2.0, hashrate=3.1, expected=3.0).lost == 0.0


def test_a_rig_that_hashes_nothing_still_pays_for_what_it_draws() -> None:
    assert repair_of(margin=-0.1, potential=2.5, hashrate=0.0, expected=2e14) == (-0.1, 2.5)
    assert repair_of(margin=-0.1, potential=2.5, hashrate=None, expected=2e14) == (0.0, 2.5)


@pytest.mark.parametrize(
    ("margin", "potential", "hashrate", "expected", "repair"),
    [
        (None, None, None, None, (0.0, None)),
        (None, 2.0, 2.0, 3.0, (None, None)),
        (2.0, 2.0, 2.0, None, (2.0, None)),
        (None, 2.0, 0.0, 3.0, (None, 2.0)),
    ],
)
def test_without_a_margin_or_a_rate_the_loss_is_unknown(
    margin: float | None,
    potential: float | None,
    hashrate: float | None,
    expected: float | None,
    repair: tuple[float | None, float | None],
) -> None:
    found = repair_of(margin=margin, potential=potential, hashrate=hashrate, expected=expected)
    assert found == repair
    assert found.lost is None
    assert found.most(730, sale=1_000, sale_as_is=300) is None


def test_a_repair_may_cost_what_it_gains() -> None:
    """$2 a day for 730 days are $1,460. The broken rig brings $300, so the repair may cost $1,160."""
    assert Repair(0.0, 2.0).most(730, sale=1_000, sale_as_is=300) == 1_160
    assert Repair(0.0, 0.5).most(730, sale=1_000, sale_as_is=300) == 700  # repaired, it is better sold
    assert Repair(1.0, 2.0).most(730, sale=1_000, sale_as_is=300) == 730  # unrepaired, it still earns $730
    assert Repair(0.0, 0.5).most(730, sale=200, sale_as_is=400) == 0.0


@given(
    now=st.floats(-5, 5),
    gain=st.floats(0, 5),
    days=st.floats(1, 3_000),
    sale=st.floats(0, 5_000),
    as_is=st.floats(0, 5_000),
)
def test_a_repair_never_pays_more_than_the_repaired_rig_is_worth(
    *, now: float, gain: float, days: float, sale: float, as_is: float
) -> None:
    most = Repair(now, now + gain).most(days, sale=sale, sale_as_is=as_is)
    assert most is not None
    assert 0 <= most <= max((now + gain) * days, sale) + 1e-9
