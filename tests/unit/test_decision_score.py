"""The reassign score and the payback of a conversion."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sites import SITE, decided, rig, site

from exporter.decision.score import payback_years, reassign_score
from exporter.decision.settings import DecisionSettings
from exporter.economics.site import price_site
from exporter.model.fleet import Block

money = st.floats(-1e4, 1e4)


def test_a_losing_rig_is_curtailments_gain_not_ais() -> None:
    assert reassign_score(153.76, -25.98) == reassign_score(153.76, 0.0) == 153.76


def test_a_good_rig_beats_ai() -> None:
    assert reassign_score(153.76, 276.97) == pytest.approx(-123.21)


def test_what_the_rigs_are_sold_for_counts_for_ai() -> None:
    assert reassign_score(153.76, 100.0, sale_value=60.1023) == pytest.approx(113.8623)


def test_the_former_decay_of_the_sale_price_keeps_its_formula() -> None:
    assert reassign_score(153.76, 100.0, resale_decay=30.0) == pytest.approx(83.76)
    assert reassign_score(153.76, 20.0, resale_decay=30.0) == 153.76
    with pytest.raises(ValidationError, match="set only one"):
        DecisionSettings(resale_decay_usd_per_kilowatt_year=30, rigs_sale_usd_per_terahash=8)


@pytest.mark.parametrize(("value", "margin"), [(None, 1.0), (0.0, 1.0), (-5.0, 1.0), (100.0, None)])
def test_no_ai_value_or_no_margin_no_score(value: float | None, margin: float | None) -> None:
    assert reassign_score(value, margin) is None


@given(st.floats(0.01, 1e4), money, money, st.floats(0, 500))
def test_a_worse_margin_never_lowers_the_score(value: float, one: float, other: float, sale: float) -> None:
    worse, better = (reassign_score(value, margin, sale_value=sale) for margin in sorted((one, other)))
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


@pytest.mark.parametrize(("capex", "noi", "margin"), [(None, 1.0, 1.0), (1.0, None, 0.0), (1.0, 2.0, None)])
def test_without_a_figure_no_payback_is_known(capex: float | None, noi: float | None, margin: float | None) -> None:
    assert payback_years(capex, noi, margin) is None


def test_a_site_is_scored_per_rig_and_block() -> None:
    rigs = (rig(name="new"), rig(name="old", hashrate=100e12, power=3_250.0))
    snapshot = site(*rigs, blocks=(Block(name="north"),))
    decision = decided(snapshot, price_site(snapshot, SITE))
    new, old = (scored.reassign_score for scored in decision.rigs)
    assert new is not None
    assert old is not None
    assert new < 0 < old
    (block,) = decision.blocks
    assert block.reassign_score is not None
    assert new < block.reassign_score < old
    assert block.payback_years == pytest.approx(10_000 / 1.4 / (1_092.857142857 - (153.758737 - block.reassign_score)))
