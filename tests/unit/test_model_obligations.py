"""What the site owes: intervals, strictest limits, reductions below a baseline."""

import pytest

from exporter.model.obligations import Obligation, ObligationKind, with_baseline

KILOWATT = 1_000.0


def cap(start: float, end: float | None, watts: float, *blocks: str) -> Obligation:
    return Obligation(kind=ObligationKind.CAP, start=start, end=end, cap=watts, blocks=blocks)


@pytest.mark.parametrize(("now", "holds"), [(99, False), (100, True), (199.9, True), (200, False)])
def test_an_obligation_holds_from_its_start_until_before_its_end(now: float, holds: bool) -> None:
    assert cap(100, 200, 0).holds(now) is holds


def test_one_without_an_end_holds_until_further_notice() -> None:
    assert cap(100, None, 0).holds(1e12)
    assert cap(100, None, 0).overlaps(1e12, 1e12 + 1)
    assert not cap(100, None, 0).overlaps(0, 100)


def test_a_reduction_is_a_cap_below_the_baseline_and_never_below_zero() -> None:
    call = Obligation(kind=ObligationKind.CALL, start=0, end=10, reduction=3 * KILOWATT)
    assert with_baseline(call, 10 * KILOWATT).cap == 7 * KILOWATT
    assert with_baseline(call, 2 * KILOWATT).cap == 0
    assert with_baseline(call, 10 * KILOWATT).reduction is None
    assert with_baseline(cap(0, 10, 5.0), 1.0) == cap(0, 10, 5.0)
    both = Obligation(kind=ObligationKind.CALL, start=0, end=10, reduction=3.0, cap=4.0)
    assert with_baseline(both, 10.0).cap == 4.0


def test_what_only_has_a_level_limits_no_power() -> None:
    assert not Obligation(kind=ObligationKind.CALL, start=0, level=2).limits_power
    assert cap(0, 1, 0.0).limits_power
