"""The reassign score and the payback of a conversion."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sites import SITE, decided, rig, site

from exporter.decision.score import payback_years, reassign_score
from exporter.economics.site import price_site

money = st.floats(-1e4, 1e4)


def test_a_losing_rig_is_curtailments_gain_not_ais() -> None:
    assert reassign_score(153.76, -25.98, 0.0) == reassign_score(153.76, 0.0, 0.0) == 153.76


def test_a_good_rig_beats_ai() -> None:
    assert reassign_score(153.76, 276.97, 0.0) == pytest.approx(-123.21)


def test_rigs_that_lose_their_resale_price_earn_less() -> None:
    assert reassign_score(153.76, 100.0, 30.0) == pytest.approx(83.76)


@pytest.mark.parametrize(("value", "margin"), [(None, 1.0), (0.0, 1.0), (-5.0, 1.0), (100.0, None)])
def test_no_ai_value_or_no_margin_no_score(value: float | None, margin: float | None) -> None:
    assert reassign_score(value, margin, 0.0) is None


@given(st.floats(0.01, 1e4), money, money, st.floats(0, 500))
def test_a_worse_margin_never_lowers_the_score(value: float, one: float, other: float, decay: float) -> None:
    worse, better = (reassign_score(value, margin, decay) for margin in sorted((one, other)))
    assert worse is not None
    assert better is not None
    assert worse >= better


@given(st.floats(0, 1e5), st.floats(1, 1e4), money)
def test_payback_is_when_the_gains_have_summed_to_the_capex(capex: float, noi: float, margin: float) -> None:
    years = payback_years(capex, noi, margin)
    if max(margin, 0.0) >= noi:
        assert years is None
    else:
        assert years is not None
        assert years * (noi - max(margin, 0.0)) == pytest.approx(capex)


def test_a_site_is_scored_per_rig_and_block() -> None:
    snapshot = site(rig(name="new"), rig(name="old", hashrate=100e12, power=3_250.0))
    decision = decided(snapshot, price_site(snapshot, SITE))
    new, old = (scored.reassign_score for scored in decision.rigs)
    assert new is not None
    assert old is not None
    assert new < 0 < old
    (block,) = decision.blocks
    assert block.reassign_score is not None
    assert new < block.reassign_score < old
    assert block.payback_years == pytest.approx(10_000 / 1.4 / (1_092.857142857 - (153.758737 - block.reassign_score)))
