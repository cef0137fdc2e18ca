"""Hosting: the worked statement to the cent, four uptimes, and the other kinds of contract."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from exporter.economics.hosting import Class, ContractSettings, Line, RigUse, charges_of, state

HOUR = 12  # windows
NOVEMBER = 721 * HOUR
ACME: dict[str, Any] = {
    "timezone": "America/Chicago",
    "usd_per_kilowatt_hour": 0.072,
    "usd_per_kilowatt_month": 12,
    "curtailment_credit_share": 0,
    "uptime": {"measure": "sla", "promised": 0.98},
}
S21 = {"watts": 3_500.0, "hashrate": 200e12}


def contract(**changes: Any) -> ContractSettings:
    return ContractSettings.model_validate(ACME | changes)


def use(rig: str, *, dead: int = 0, kwh: float = 2_515.0, **changes: Any) -> RigUse:
    """November: off 20 h by the host's fault and 6 h curtailed, and dead for some more hours."""
    hashing = 695 - dead
    windows = {
        Class.HASHING: hashing * HOUR,
        Class.HOST_FAULT: 20 * HOUR,
        Class.CURTAILED: 6 * HOUR,
        Class.RIG_FAULT: dead * HOUR,
    }
    facts: dict[str, Any] = {
        "rig": rig,
        "windows": windows,
        "energised": 695 * HOUR,
        "performed": 200e12 * hashing * HOUR,
        "kilowatt_hours": {"metered": kwh},
    }
    return RigUse(**(S21 | facts | changes))


def november() -> list[RigUse]:
    """Ten S21; the meter of the circuit shows 24,790 kWh."""
    return [*(use(f"a-{number}") for number in range(9)), use("a-9", dead=100, kwh=24_790.0 - 9 * 2_515.0)]


def test_the_worked_statement_to_the_cent() -> None:
    found = state(contract(), november(), NOVEMBER)
    assert found.windows[Class.HASHING] == 82_200
    assert (found.windows[Class.HOST_FAULT], found.windows[Class.CURTAILED]) == (2_400, 720)
    assert found.windows[Class.RIG_FAULT] == 1_200
    assert found.uptime.hashing == pytest.approx(0.9500693, abs=5e-8)
    assert found.uptime.power == pytest.approx(0.9639390, abs=5e-8)
    assert found.uptime.sla == pytest.approx(0.9716312, abs=5e-8)
    assert found.kilowatt_hours == {"metered": Decimal("24790.000")}
    assert found.kilowatts == Decimal("35.000")
    energy, space, credit = found.lines
    assert (energy.code, energy.quantity, energy.price, energy.amount) == (
        "energy",
        Decimal("24790.000"),
        Decimal("0.072"),
        Decimal("1784.88"),
    )
    assert (space.quantity, space.amount) == (Decimal("35.000"), Decimal("420.00"))
    assert (credit.code, credit.amount) == ("sla_credit", Decimal("-14.94"))
    assert found.total == Decimal("2189.94")
    assert not found.provisional


def test_billed_by_what_the_rigs_report() -> None:
    rigs = [use(f"a-{number}", kwh=3.5 * 685.0) for number in range(10)]
    found = state(contract(usd_per_kilowatt_month=None), rigs, NOVEMBER)
    assert found.lines[0].quantity == Decimal("23975.000")
    assert found.lines[0].amount == Decimal("1726.20")


@pytest.mark.parametrize(("hours", "amount"), [(720.0, "1814.40"), (30.42 * 24, "1839.80"), (721.0, "1816.92")])
def test_nameplate_billing(hours: float, amount: str) -> None:
    """Rated power over the windows in which the rigs run: a host that bills fixed months sets the factor."""
    rigs = [use(f"a-{number}", windows={Class.HASHING: NOVEMBER}) for number in range(10)]
    settings = contract(energy="nameplate", energy_factor=hours / 721.0, usd_per_kilowatt_month=None)
    assert state(settings, rigs, NOVEMBER).lines[0].amount == Decimal(amount)


@pytest.mark.parametrize(
    ("measure", "credit"),
    [("hashing", "-53.42"), ("power", "-28.67"), ("sla", "-14.94"), ("performance", "-53.42")],
)
def test_the_contract_names_which_uptime_pays(measure: str, credit: str) -> None:
    found = state(contract(uptime={"measure": measure, "promised": 0.98}), november(), NOVEMBER)
    assert found.lines[-1].amount == Decimal(credit)


def test_a_kept_promise_has_no_credit_and_gaps_of_ours_are_no_downtime() -> None:
    rigs = [use("a-1", windows={Class.HASHING: 600 * HOUR, Class.UNMONITORED: 121 * HOUR})]
    found = state(contract(), rigs, NOVEMBER)
    assert found.uptime.sla == 1.0
    assert [line.code for line in found.lines] == ["energy", "space"]


def test_a_rig_that_joins_within_the_period_counts_its_own_windows() -> None:
    half = NOVEMBER // 2
    rigs = [use("a-1", windows={Class.HASHING: half, Class.NOT_CONTRACTED: NOVEMBER - half})]
    found = state(contract(), rigs, NOVEMBER)
    assert found.kilowatts == Decimal("1.750")
    assert found.uptime.hashing == 1.0
    assert found.uptime.sla == 1.0


def test_more_than_a_hundredth_of_missing_energy_makes_it_provisional() -> None:
    rigs = [use("a-1", missing=NOVEMBER // 100 + 1)]
    found = state(contract(), rigs, NOVEMBER)
    assert (found.missing, found.provisional) == (87, True)
    assert not state(contract(energy="nameplate"), rigs, NOVEMBER).provisional
    assert not state(contract(), [use("a-1", missing=NOVEMBER // 100 - 1)], NOVEMBER).provisional
    hundred = use("a-1", windows={Class.HASHING: 100}, missing=1)
    assert not state(contract(), [hundred], 100).provisional


@pytest.mark.parametrize("terms", [{}, {"energy": "nameplate", "usd_per_kilowatt_month": None}])
def test_what_is_billed_by_rated_power_is_provisional_where_that_is_unknown(terms: dict[str, Any]) -> None:
    """A rig without a rating adds nothing to the statement."""
    rigs = [use("a-1"), use("a-2", watts=None)]
    found = state(contract(**terms), rigs, NOVEMBER)
    assert (found.kilowatts, found.provisional) == (Decimal("3.500"), True)
    assert found.lines[-2].amount == state(contract(**terms), rigs[:1], NOVEMBER).lines[-2].amount
    assert not any(charges_of(contract(energy="nameplate"), rigs[1], NOVEMBER).values())
    assert not state(contract(usd_per_kilowatt_month=None), rigs, NOVEMBER).provisional


def test_pass_through_revenue_share_credit_and_minimum() -> None:
    settings = contract(
        usd_per_kilowatt_hour=None,
        pass_through=True,
        energy_factor=1.02,
        revenue_share=0.25,
        minimum_usd_per_month=1_000,
        curtailment_credit_share=0.5,
        uptime={"measure": "sla", "promised": 0.9},
    )
    rigs = [use("a-1", passed_through=100.0, mined=400.0, saved=30.0)]
    found = state(settings, rigs, NOVEMBER)
    assert {line.code: line.amount for line in found.lines} == {
        "power": Decimal("102.00"),
        "space": Decimal("42.00"),
        "revenue_share": Decimal("100.00"),
        "curtailment_credit": Decimal("-15.00"),
        "minimum": Decimal("771.00"),
    }
    assert found.total == Decimal("1000.00")


def test_each_line_shows_its_quantity_unit_price_and_how_it_comes_about() -> None:
    """2,515 kWh times 1.02 are 2,565.3 kWh. 240 of 8,580 counted windows failed: 0.0079720 below 98 %, paid twice."""
    settings = contract(
        pass_through=True,
        energy_factor=1.02,
        revenue_share=0.25,
        curtailment_credit_share=0.5,
        minimum_usd_per_month=1_000,
        uptime={"measure": "sla", "promised": 0.98, "credit_share": 2},
    )
    found = state(settings, [use("a-1", passed_through=100.0, mined=400.125, saved=0.5)], NOVEMBER)
    assert [(each.code, each.quantity, each.unit, each.price, str(each.amount), each.note) for each in found.lines] == [
        ("energy", Decimal("2565.3"), "kWh", Decimal("0.072"), "184.70", ""),
        ("power", Decimal("2565.3"), "kWh", None, "102.00", "at the host's price, by slot"),
        ("space", Decimal("3.5"), "kW", Decimal(12), "42.00", ""),
        ("revenue_share", Decimal("400.13"), "USD", Decimal("0.25"), "100.03", ""),
        ("sla_credit", None, "", None, "-4.57", "(0.98 - 0.9720280) x 286.70, of sla uptime"),
        ("curtailment_credit", None, "", None, "-0.25", "0.5 of 0.50 earned by standing still"),
        ("minimum", None, "", None, "576.09", "up to 1000.00 a month"),
    ]


def test_halves_are_rounded_up() -> None:
    """100.0005 kWh are billed as 100.001 kWh, 3.5045 kW as 3.505 kW, $42.245 as $42.25, and half of that as $21.13."""
    settings = contract(usd_per_kilowatt_hour=0.07, usd_per_kilowatt_month=10, revenue_share=0.5)
    found = state(settings, [use("a-1", kwh=100.0005, watts=3_504.5, mined=42.245)], NOVEMBER)
    assert found.kilowatt_hours == {"metered": Decimal("100.001")}
    assert found.kilowatts == Decimal("3.505")
    assert [line.quantity for line in found.lines[:3]] == [Decimal("100.001"), Decimal("3.505"), Decimal("42.25")]
    assert found.lines[2].amount == Decimal("21.13")


def test_a_line_that_comes_to_nothing_is_left_out() -> None:
    whole = use("a-1", windows={Class.HASHING: NOVEMBER}, kwh=1_000.0)
    settings = contract(uptime={"measure": "sla", "promised": 1}, curtailment_credit_share=0.5)
    assert [line.code for line in state(settings, [whole], NOVEMBER).lines] == ["energy", "space"]
    idle = contract(usd_per_kilowatt_month=None, minimum_usd_per_month=72)
    assert [line.code for line in state(idle, [whole], NOVEMBER).lines] == ["energy"]
    saved = replace(whole, saved=30.0)
    assert [line.code for line in state(contract(), [saved], NOVEMBER).lines] == ["energy", "space"]


@pytest.mark.parametrize("energy", ["metered", "nameplate"])
def test_a_period_of_one_window_is_billed_whole(energy: str) -> None:
    """The fee is for the period of the statement, however short."""
    rig = use("a-1", windows={Class.HASHING: 1}, kwh=0.3)
    found = state(contract(energy=energy), [rig], 1)
    assert found.kilowatts == Decimal("3.500")
    assert not found.provisional
    assert not state(contract(usd_per_kilowatt_month=None), [rig], 1).provisional
    assert charges_of(contract(), rig, 1)["space"] == 42


def test_lines_of_the_operator_come_last_and_no_minimum_counts_them() -> None:
    terms = contract(minimum_usd_per_month=5_000)
    more = Line(code="correction", amount=Decimal("-12.40"), note="read twice")
    found = state(terms, november(), NOVEMBER, [more])
    assert found.lines[-1] == more
    assert found.total == Decimal("4987.60")


def test_a_rigs_part_of_each_charge_is_not_rounded_and_adds_up() -> None:
    terms = contract(pass_through=True, revenue_share=0.25, curtailment_credit_share=0.5)
    rigs = [replace(rig, passed_through=10.0, mined=40.0, saved=4.2) for rig in november()]
    found = [charges_of(terms, rig, NOVEMBER) for rig in rigs]
    sums = {code: float(sum(each[code] for each in found)) for code in found[0]}
    assert sums == pytest.approx(
        {"energy": 1_784.88, "power": 100.0, "space": 420.0, "revenue_share": 100.0, "curtailment_credit": -21.0}
    )
    half = use("a-1", windows={Class.HASHING: NOVEMBER // 2}, passed_through=10.0)
    terms = contract(pass_through=True, energy="nameplate", energy_factor=1.02)
    assert {code: float(usd) for code, usd in charges_of(terms, half, NOVEMBER).items()} == pytest.approx(
        {"energy": 3.5 * 360.5 * 1.02 * 0.072, "power": 10.2, "space": 21.0}
    )
    fixed = contract(usd_per_kilowatt_hour=None)
    assert set(charges_of(fixed, rigs[0], NOVEMBER)) == {"space"}
    assert set(charges_of(contract(usd_per_kilowatt_month=None), rigs[0], NOVEMBER)) == {"energy"}


@pytest.mark.parametrize(
    ("terms", "missing"),
    [
        ({"pass_through": True}, "unpriced"),
        ({"revenue_share": 0.1}, "unearned"),
        ({"curtailment_credit_share": 0.5}, "unsold"),
    ],
)
def test_what_is_billed_and_not_known_makes_it_provisional(terms: dict[str, Any], missing: str) -> None:
    rigs = [use("a-1", **{missing: NOVEMBER // 100 + 1})]
    assert state(contract(**terms), rigs, NOVEMBER).provisional
    assert not state(contract(), rigs, NOVEMBER).provisional


def test_a_period_without_a_rig_costs_nothing() -> None:
    found = state(contract(minimum_usd_per_month=500), [], NOVEMBER)
    assert found.total == 0
    assert found.uptime.hashing is None
    assert found.uptime.sla is None


@given(st.lists(st.floats(0, 5_000), max_size=8))
def test_the_total_is_the_sum_of_its_lines(kilowatt_hours: list[float]) -> None:
    rigs = [use(f"a-{number}", kwh=kwh) for number, kwh in enumerate(kilowatt_hours)]
    found = state(contract(), rigs, NOVEMBER)
    assert found.total == sum(line.amount for line in found.lines)
    assert all(line.amount == line.amount.quantize(Decimal("0.01")) for line in found.lines)


def test_a_rig_with_no_rating_has_no_performance() -> None:
    assert state(contract(), [use("a-1", hashrate=None)], NOVEMBER).uptime.performance is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"usd_per_kilowatt_hour": None, "usd_per_kilowatt_month": None}, "charges nothing"),
        ({"uptime": {"promised": 0.98}}, "measure"),
        ({"curtailment_credit_share": None}, "curtailment_credit_share"),
        ({"timezone": "Chicago"}, "timezone"),
        ({"usd_per_kilowatt_hour": 7.2}, "usd_per_kilowatt_hour"),
    ],
)
def test_a_contract_that_is_not_clear_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        contract(**changes)


def test_a_contract_holds_from_its_first_midnight_to_that_after_its_last_day() -> None:
    """Chicago is 5 hours behind UTC on 15 March 2026, and 6 hours behind on 30 November."""
    terms = contract(since="2026-03-15", until="2026-11-30")
    begin = datetime(2026, 3, 15, 5, tzinfo=UTC).timestamp()
    end = datetime(2026, 12, 1, 6, tzinfo=UTC).timestamp()
    assert (terms.start, terms.end) == (begin, end)
    assert [terms.holds(now) for now in (begin - 1, begin, end - 1, end)] == [False, True, True, False]
    assert contract().holds(0.0)
    assert contract(since="2026-03-15", until="2026-03-15").start == begin
    with pytest.raises(ValidationError, match="until is before since"):
        contract(since="2026-03-15", until="2026-03-14")


def test_performance_counts_hashrate_that_is_short() -> None:
    """300 of 2,000 TH/s are missing for 10 h: 0.3 PH/s x 10 / 24 days x $33.30 = $4.1625.

    As a share of the energy charge that is 3,000 / (2,000 x 721) x $1,816.92 = $3.78.
    """
    full, short = 200e12 * NOVEMBER, 30e12 * 10 * HOUR
    rigs = [
        use(f"a-{number}", windows={Class.HASHING: NOVEMBER}, performed=full - short, kwh=2_523.5)
        for number in range(10)
    ]
    found = state(contract(uptime={"measure": "performance", "promised": 1.0}), rigs, NOVEMBER)
    reached = found.uptime.performance
    assert reached is not None
    petahash_days = (1 - reached) * 2.0 * 721 / 24
    assert petahash_days * 33.30 == pytest.approx(4.1625)
    assert found.lines[-1].amount == Decimal("-3.78")
