"""What an hour of a block costs: the price of power with the expected cost of a peak, or a peak tag, never both."""

from dataclasses import replace
from typing import Any

import pytest
from sites import NOW, SITE, flat_market, rig, site

from exporter.decision.settings import DecisionSettings
from exporter.decision.survey import Surveyor
from exporter.decision.values import DecisionState
from exporter.economics.settings import EconomicsSettings, OtherCost, PowerSettings, SiteSettings, StopsWith
from exporter.economics.site import price_on
from exporter.model.readings import PriceSlot
from exporter.model.snapshot import TariffPrice

PEAK = PriceSlot(NOW - 60, NOW + 840, 1.75)
TAG = OtherCost(name="4CP tag", usd_per_kilowatt_month=5.0, stops_with=StopsWith.PERIOD, peak_tag=True)
SALE = {"metered_at": "utility", "resale_tariff": "sale"}


def price(settings: SiteSettings = SITE, peak: PriceSlot = PEAK) -> float:
    """What an hour's kWh is booked at."""
    tariffs = {"ppa": TariffPrice(0.05), "sale": TariffPrice(0.02)}
    snapshot = site(rig(), tariffs=tariffs, surcharges={"ppa": (peak,)})
    economics = price_on(flat_market(), snapshot, settings)
    surveyor = Surveyor(snapshot, economics, DecisionState(), settings, DecisionSettings())
    moment = surveyor.survey([0]).moment
    assert moment is not None
    return moment.prices["ppa"][0]


def power(**fields: Any) -> SiteSettings:
    return replace(SITE, power=PowerSettings(**fields))


def test_an_hour_in_which_a_peak_may_be_set_has_its_expected_cost() -> None:
    assert price() == pytest.approx(1.80)
    assert price(peak=PriceSlot(NOW + 840, NOW + 1_740, 1.75)) == 0.05  # of a later hour


def test_where_a_peak_tag_is_a_cost_the_expected_cost_is_none() -> None:
    assert price(replace(SITE, economics=EconomicsSettings(other_costs=[TAG]))) == 0.05


def test_energy_that_can_be_sold_counts_no_expected_cost() -> None:
    assert price(power(**SALE)) == 0.05
