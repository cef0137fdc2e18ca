"""Whose money a rig's operating point and a cut are: the customer's, or the host's where the contract says so."""

from dataclasses import replace
from typing import Any

import pytest
from operating_points import S19K_PRO
from sites import HASHPRICE, NOW, flat_market, site
from test_decision_site_setpoints import PLAIN, miner
from test_economics_books import contract

from exporter.decision.judged import Terms, terms
from exporter.decision.point_lines import point_lines
from exporter.decision.setpoints import site_setpoints
from exporter.decision.shedding import loads
from exporter.decision.values import RigDecision, SiteDecision, Verdict
from exporter.economics.curves import CurveBook
from exporter.economics.settings import SiteSettings
from exporter.economics.site import price_on
from exporter.economics.values import Books, RigEconomics
from exporter.model.readings import PriceSlot
from exporter.model.snapshot import TariffPrice

DAY_KWH = {name: watts * 0.024 for name, _, watts in S19K_PRO}
REVENUE = {name: rate * HASHPRICE / 1_000 for name, rate, _ in S19K_PRO}


class Hosted:
    """A customer's S19k Pro at its stock point, under a contract; the host's power costs $0.05."""

    def __init__(self, *, verdict: Verdict = Verdict.MINE, price: float = 0.05, **charges: Any) -> None:
        rig = miner()
        rig = replace(rig, rig=replace(rig.rig, customer="acme", contract="c", rated_power=2_794.0))
        self.settings: SiteSettings = replace(PLAIN, contracts={"c": contract(**charges)})
        ahead = (PriceSlot(NOW - 60, NOW + 100, price), PriceSlot(NOW + 100, NOW + 3_700, price / 2))
        self.snapshot = site(rig, tariffs={"ppa": TariffPrice(price, ahead=ahead)})
        curves = CurveBook().curves(self.snapshot, self.settings)
        self.economics = price_on(flat_market(), self.snapshot, self.settings, curves)
        decision = SiteDecision(rigs=(RigDecision(verdict=verdict),))
        self.setpoints = site_setpoints(self.snapshot, self.economics, decision, curves, self.settings)

    @property
    def setpoint(self) -> Any:
        (found,) = self.setpoints.rigs
        return found

    def losses(self) -> dict[str, float]:
        (load,) = loads(self.snapshot, self.economics, self.setpoints, self.settings.contracts)
        return {lower.name: lower.loss for lower in load.lower}


def test_a_customers_best_point_follows_his_rate_and_not_the_hosts_price() -> None:
    """At $0.065 a kWh 290MHz earns most; at the host's $0.05 it would be 490MHz."""
    hosted = Hosted(usd_per_kilowatt_hour=0.065)
    assert hosted.setpoint.name == "290MHz"
    assert hosted.setpoint.best_margin == pytest.approx(REVENUE["290MHz"] - 0.065 * DAY_KWH["290MHz"])
    stock = REVENUE["default"] - 0.065 * DAY_KWH["default"]
    assert hosted.setpoint.gain == pytest.approx(hosted.setpoint.best_margin - stock)
    assert hosted.setpoint.valid_until == NOW + 300  # his rate does not change with the host's price in 100 s


def test_a_share_of_the_coins_is_not_the_customers() -> None:
    hosted = Hosted(usd_per_kilowatt_hour=0.05, revenue_share=0.1)
    name = hosted.setpoint.name
    assert hosted.setpoint.best_margin == pytest.approx(0.9 * REVENUE[name] - 0.05 * DAY_KWH[name])


@pytest.mark.parametrize(("host_may_curtail", "share"), [(False, 0.9), (True, 0.1)])
def test_the_fee_of_the_customers_own_pool_lowers_the_coins_of_both(*, host_may_curtail: bool, share: float) -> None:
    charges = {"usd_per_kilowatt_hour": 0.05, "revenue_share": 0.1, "host_may_curtail": host_may_curtail}
    losses = Hosted(pool_fee=0.2, **charges).losses()
    energy = 0.0 if host_may_curtail else 0.05 * DAY_KWH["default"]  # the host's power costs what he is paid for it
    assert losses["off"] == pytest.approx(0.8 * share * REVENUE["default"] - energy)


def test_a_cut_costs_the_customer_what_he_would_have_earned() -> None:
    losses = Hosted(usd_per_kilowatt_hour=0.055).losses()
    assert losses["off"] == pytest.approx(REVENUE["default"] - 0.055 * DAY_KWH["default"])


def test_a_cut_costs_the_host_his_rate_where_he_may_stop_the_rig() -> None:
    """He earns $0.02 a kWh and a tenth of the coins."""
    losses = Hosted(usd_per_kilowatt_hour=0.07, revenue_share=0.1, host_may_curtail=True).losses()
    assert losses["off"] == pytest.approx(0.1 * REVENUE["default"] + 0.02 * DAY_KWH["default"])


def test_a_rig_that_the_host_stops_gains_what_the_host_loses_by_running_it() -> None:
    hosted = Hosted(verdict=Verdict.CURTAIL, price=0.20, usd_per_kilowatt_hour=0.07, host_may_curtail=True)
    assert hosted.setpoint.name == "off"
    assert hosted.setpoint.gain == pytest.approx(0.13 * DAY_KWH["default"])


def test_energy_billed_by_the_nameplate_costs_the_same_at_every_point() -> None:
    hosted = Hosted(usd_per_kilowatt_hour=0.05, energy="nameplate")
    bill = 0.05 * DAY_KWH["default"]
    assert hosted.setpoint.name == "790MHz"  # more hashes for the same bill
    assert hosted.setpoint.best_margin == pytest.approx(REVENUE["790MHz"] - bill)
    assert hosted.losses()["off"] == pytest.approx(REVENUE["default"] - bill)
    (curve,) = hosted.setpoints.curves
    named = {line.name: line.value for line in point_lines(hosted.setpoint, curve)}
    earned = named["point in force: default (measured on the rig), against the opportunity"]
    assert earned == pytest.approx(REVENUE["default"] - bill)
    may = Hosted(usd_per_kilowatt_hour=0.07, energy="nameplate", host_may_curtail=True)
    assert may.losses()["off"] == pytest.approx(0.02 * DAY_KWH["default"])


def test_without_an_input_there_are_no_terms() -> None:
    whole = RigEconomics(paid_share=1.0, marginal_price=0.05, judged_price=0.05, potential_power=1_000.0)
    books = Books(contract="c", energy_charge_per_kwh=0.07, work_factor=1.0)
    contracts = {"c": contract()}
    assert terms(whole, HASHPRICE, {}, stopping=True) == Terms(HASHPRICE / 1e15, 0.05)
    assert terms(whole._replace(marginal_price=None), HASHPRICE, {}, stopping=True) is None
    assert terms(whole, None, {}, stopping=True) is None
    hosted = whole._replace(books=books)
    assert terms(hosted, HASHPRICE, contracts, stopping=False) is not None
    assert terms(hosted._replace(judged_price=None), HASHPRICE, contracts, stopping=False) is None
    for unknown in ("energy_charge_per_kwh", "work_factor"):
        unpriced = whole._replace(books=replace(books, **{unknown: None}))
        assert terms(unpriced, HASHPRICE, contracts, stopping=False) is None
    assert Hosted(usd_per_kilowatt_hour=0.05).snapshot.taken_at == NOW
