"""What the exporter keeps to explain the margin's change since yesterday."""

from dataclasses import replace

import pytest
from small_site import small_site

from exporter.economics.values import BlockEconomics, MarketEconomics
from exporter.exposition.views import SiteView
from exporter.site_change import SiteChange
from exporter.state import State

DAY = 86_400.0


def site_at(now: float, *, bitcoin: float = 70_000.0) -> SiteView:
    view = small_site()
    revenue = 0.00047 * bitcoin * 10
    blocks = (BlockEconomics(name="north", revenue=revenue, power_cost=240.0, billed_power=200_000.0),)
    assert view.snapshot.bitcoin_price is not None
    price = replace(view.snapshot.bitcoin_price, value=bitcoin)
    return replace(
        view,
        snapshot=replace(view.snapshot, taken_at=now, bitcoin_price=price),
        economics=replace(view.economics, market=MarketEconomics(subsidy=3.125, hashprice_btc=0.00047), blocks=blocks),
    )


def test_the_change_is_known_after_a_day_also_across_a_restart() -> None:
    change = SiteChange(State())
    assert change.documents() == {}
    before, after = site_at(0.0), site_at(DAY, bitcoin=77_000.0)
    assert change.observe(before.snapshot, before.economics) is None
    restarted = SiteChange(State(documents=change.documents()))
    found = restarted.observe(after.snapshot, after.economics)
    assert found is not None
    assert found.after - found.before == pytest.approx(0.00047 * 7_000.0 * 10)
    assert found.causes["bitcoin_price"] == pytest.approx(found.after - found.before)


def test_the_samples_keep_their_age_when_the_clock_is_set() -> None:
    change = SiteChange(State())
    before, after = site_at(0.0), site_at(3_600.0 + DAY)
    change.observe(before.snapshot, before.economics)
    change.shift(3_600.0)
    found = change.observe(after.snapshot, after.economics)
    assert found is not None
    assert found.since == 3_600.0


def test_a_site_without_rigs_has_no_change() -> None:
    change = SiteChange(State())
    for now in (0.0, DAY):
        empty = site_at(now)
        assert change.observe(replace(empty.snapshot, rigs=()), empty.economics) is None
    assert change.documents() == {}
