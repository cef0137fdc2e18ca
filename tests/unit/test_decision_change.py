"""Why a margin changed: exact in sum, and each cause by what it alone explains."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.decision.change import CAUSES, Cause, split

BEFORE = Cause(
    bitcoin_price=70_370.0,
    difficulty=133.79e12,
    subsidy=3.125,
    fees=0.0222,
    power_price=0.05,
    hashrate=100.0,
    efficiency=20.0,
    uptime=0.98,
)

causes = st.builds(
    Cause,
    bitcoin_price=st.floats(1e3, 1e6),
    difficulty=st.floats(1e12, 1e15),
    subsidy=st.sampled_from([3.125, 1.5625]),
    fees=st.floats(0, 2),
    power_price=st.floats(-0.1, 0.5),
    hashrate=st.floats(0, 1e4),
    efficiency=st.floats(10, 60),
    uptime=st.floats(0, 1),
)


def test_the_margin_is_that_of_the_economics() -> None:
    assert BEFORE.margin == pytest.approx(98.0 * (33.2998380291 - 24.0), rel=1e-5)


@given(causes, causes)
def test_the_causes_add_up_to_the_change(before: Cause, after: Cause) -> None:
    parts = split(before, after)
    scale = max(abs(before.margin), abs(after.margin), *map(abs, parts.values()), 1.0)
    assert sum(parts.values()) == pytest.approx(after.margin - before.margin, abs=1e-9 * scale)


@pytest.mark.parametrize("name", CAUSES)
def test_a_single_cause_explains_all(name: str) -> None:
    after = replace(BEFORE, **{name: getattr(BEFORE, name) * 0.9})
    parts = split(BEFORE, after)
    assert parts.pop(name) == pytest.approx(after.margin - BEFORE.margin)
    assert set(parts.values()) == {0.0}


@given(causes, causes)
def test_back_again_has_the_opposite_causes(before: Cause, after: Cause) -> None:
    there, back = split(before, after), split(after, before)
    scale = max(abs(part) for part in there.values()) + 1.0
    assert {name: -part for name, part in back.items()} == pytest.approx(there, abs=1e-9 * scale)


def test_two_causes_share_what_only_both_explain() -> None:
    after = replace(BEFORE, hashrate=BEFORE.hashrate * 2, uptime=BEFORE.uptime / 2)
    parts = split(BEFORE, after)
    assert parts["hashrate"] == pytest.approx(0.75 * BEFORE.margin)
    assert parts["uptime"] == pytest.approx(-0.75 * BEFORE.margin)


def test_nothing_changed() -> None:
    assert set(split(BEFORE, BEFORE).values()) == {0.0}
