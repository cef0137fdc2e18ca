"""The explanation of a verdict: inputs with their age, a sum that adds up, and flip points that flip."""

from dataclasses import replace
from typing import Any

import pytest
from sites import AIR_COOLED, LEASE, NOW, SITE, decided, network, replace_tariff, rig, site
from test_economics_books import contract, hosted

from exporter.decision.explain import WORDS, Case, Explanation, explain
from exporter.decision.history import FormerHours
from exporter.decision.settings import DecisionSettings
from exporter.decision.values import BlockDecision, BlockOutlook, Hindrance, RigDecision, SiteDecision, Verdict
from exporter.economics.ai import value_ai
from exporter.economics.settings import (
    AiSettings,
    EconomicsSettings,
    GpuEconomicsSettings,
    GpuRate,
    GpuRentalSettings,
    OtherCost,
    SiteSettings,
    StopsWith,
    TariffOverrides,
)
from exporter.economics.site import per_kilowatt_year, price_site
from exporter.model.fleet import Block
from exporter.model.readings import GpuReading, Reading, RigIdentity, RigReading
from exporter.model.snapshot import LastGood, RigSnapshot, TariffPrice

TERMS = DecisionSettings(resale_decay_usd_per_kilowatt_year=30)


def case(
    snapshot_rig: RigSnapshot, settings: SiteSettings = SITE, decision_settings: DecisionSettings = TERMS, **facts: Any
) -> Case:
    snapshot = site(snapshot_rig, **facts)
    economics = price_site(snapshot, settings)
    decision = decided(snapshot, economics, decision_settings)
    return Case(
        snapshot=snapshot,
        economics=economics,
        decision=decision,
        settings=settings,
        decision_settings=decision_settings,
    )


def explained(asked: Case) -> Explanation:
    explanation = explain(asked, "a-01")
    assert explanation is not None
    return explanation


def lines(explanation: Explanation) -> dict[str, float | None]:
    return {line.name: line.value for line in explanation.lines + explanation.axis}


def flips(explanation: Explanation, change: str) -> dict[str, float]:
    return {flip.name: flip.at for flip in explanation.flips if flip.change == change}


# --- the whole explanation, as it is printed ------------------------------------------------------------------------


def printed(explanation: Explanation) -> str:
    """All of it, a row per line; times in seconds from NOW."""
    rows: list[tuple[object, ...]] = [
        (explanation.rig, explanation.block, f"{explanation.taken_at - NOW:+g} s", explanation.decision.verdict),
        *(
            (each.name, figure(each.value), each.unit, each.source)
            + (() if each.observed_at is None else (f"{each.observed_at - NOW:+g} s",))
            for each in explanation.inputs
        ),
        *((line.name, figure(line.value), line.unit) for line in (*explanation.lines, *explanation.axis)),
        *((flip.change, flip.name, figure(flip.now), figure(flip.at), flip.unit) for flip in explanation.flips),
    ]
    return "\n".join(" | ".join(str(cell) for cell in row).rstrip(" |") for row in rows) + "\n"


def figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"


def test_a_rig_of_the_sites_own_is_explained_with_all_figures() -> None:
    """Paid for 0.998 x 0.98 x 0.99 of its work, and billed 4.2 kW at $0.05 and $4 a month (730 hours).

    A flip of the reassignment is where mining earns the AI value less the threshold of 40, plus the decay of 30:
    $143.76 a kW and year. Selling its energy now earns more than mining, $87.60: AI must be worth 97.60.
    """
    economics = EconomicsSettings(
        pool_fee=0.01,
        hosting_usd_per_kilowatt_month=4,
        stops_with={"hosting": StopsWith.RIG},
        rig_price_usd_per_terahash=14.6,
        rig_life_years=4,
    )
    own = TariffOverrides(demand_charge_usd_per_kilowatt_month=9, resale_tariff="grid", overhead=1.2)
    ai = LEASE.model_copy(update={"tenant_pays_demand": False})
    answered = rig(
        identity=RigIdentity(reader="luxos", make="MicroBT", model="M50"),
        disbelieved_power=3.2,
        last_good=LastGood(hashrate=198e12, power=3_450.0, observed_at=NOW - 3_600),
    )
    asked = case(
        replace(answered, reading=Reading(RigReading(hashrate=200e12, power=3_500.0, firmware_fee=0.02), NOW - 15)),
        SiteSettings(economics=economics, power=AIR_COOLED, ai=ai, tariff="ppa", tariffs={"ppa": own}),
        taken_at=NOW + 5,
        network=Reading(network(), NOW - 20),
        bitcoin_price=Reading(70_370.0, NOW - 10),
        tariffs={"ppa": TariffPrice(0.05, observed_at=NOW - 30), "grid": TariffPrice(0.06, observed_at=NOW - 40)},
    )
    block = BlockDecision(
        name="north",
        window_margin=101.0,
        ahead_margin=102.0,
        conversion_margin=103.0,
        margin_lines={"revenue": 203.0, "power": -100.0},
        sale_value=11.0,
        reassign_score=61.0,
        low_score=-62.0,
        watched=3.5 * 86_400,
        outlook=BlockOutlook(probability=0.31, lead=-12.5, waiting={3: 12.5, 48: -260.0}),
        former=FormerHours(hours=48, margin=12.0, kwh=100.0),
        highest_metered=1e5,
        large_feeder=True,
        coverage=0.9,
        dwell=0.25,
        hindrance=Hindrance.EVIDENCE,
    )
    decision = SiteDecision(rigs=(RigDecision(61.0, Verdict.CURTAIL),), blocks=(block,))
    market = replace(asked.economics.market, ai_value_per_kwh=(("low", 0.01), ("base", 0.02), ("high", 0.03)))
    valued = replace(asked.economics, market=market, blocks=(replace(asked.economics.blocks[0], mining_value=104.0),))
    assert (
        printed(explained(replace(asked, decision=decision, economics=valued)))
        == """\
a-01 | north | +5 s | curtail
hashrate | 200 | TH/s | luxos | -15 s
power | 3500 | W | reported | -15 s
metered power, not used | 3.2 | W | a meter, implausible for the hashrate: is it in watts, and of this rig?
reject ratio | 0.002 |  | its pools' shares | -15 s
firmware fee | 0.02 |  | luxos | -15 s
last good hashrate | 198 | TH/s | luxos | -3600 s
last good power | 3450 | W | reported | -3600 s
difficulty | 1.3379e+14 |  | network | -20 s
subsidy | 3.125 | BTC per block | network | -20 s
fees | 0.0222 | BTC per block | network | -20 s
bitcoin price | 70370 | USD | bitcoin | -10 s
power price | 0.05 | USD/kWh | tariff ppa | -30 s
resale price | 0.06 | USD/kWh | tariff grid | -40 s
pool fee | 0.01 |  | settings
overhead | 1.2 | W per W | settings
AI value | 153.759 | USD/kW/year | settings, section ai
resale decay | 30 | USD/kW/year | settings
hashprice paid | 33.2998 | USD/PH/day
revenue | 6.44858 | USD/day
billed power | 4.2 | kW
power cost | 5.59233 | USD/day
margin | 0.856249 | USD/day
margin, low end | 0.297016 | USD/day
margin, high end | 1.41548 | USD/day
margin after the next retarget | 0.85305 | USD/day
all-in margin | -2.38649 | USD/day
all-in breakeven hashprice | 45.6234 | USD/PH/day
all-in cost per bitcoin | 96412.5 | USD
demand charge, counts in the all-in margin | 9 | USD/kW/month
hosting, counts in the cash and all-in and conversion margin | 4 | USD/kW/month
margin if it ran | 0.856249 | USD/day
margin if it ran, against the opportunity | -0.151751 | USD/day
margin if it ran, per kW | 74.4121 | USD/kW/year
block's margin, mean of the history | 101 | USD/kW/year
block's margin, same hours after the next retarget | 102 | USD/kW/year
block's conversion margin | 103 | USD/kW/year
of which revenue | 203 | USD/kW/year
of which power | -100 | USD/kW/year
block's rigs' sale price, levelised | 11 | USD/kW/year
block's reassign score | 61 | USD/kW/year
block's reassign score, AI's low scenario | -62 | USD/kW/year
block's known history | 3.5 | of 14 days
probability that converting now beats the best later start | 0.31 | 0-1
gain of converting in 3 months instead of now, mean | 12.5 | USD/kW
gain of converting in 48 months instead of now, mean | -260 | USD/kW
48 hours of an older version, not counted | 1051.2 | USD/kW/year
highest power that the block's meters showed in the history's window | 100 | kW
warning: the block's capacity_kilowatts is far above that, and AI is valued on all of it | -
block's coverage | 0.9 | of kW, 0.8 needed
reassign called for | 18 | of 72 hours
not reassign: the history is too short | -
block's margin over its rigs' life, levelised | 104 | USD/kW/year
power price | 0.05 | USD/kWh
marginal price | 0.0654795 | USD/kWh
mining revenue | 0.063974 | USD/kWh
mining margin | 0.00849453 | USD/kWh
AI value, low | 0.01 | USD/kWh
AI value, base | 0.02 | USD/kWh
AI value, high | 0.03 | USD/kWh
GPU margin, measured | - | USD/kWh
mine or curtail | power price | 0.06 | 0.0584945 | USD/kWh
mine or curtail | hashprice | 33.2998 | 34.0835 | USD/PH/day
mine or curtail | bitcoin price | 70370 | 72026 | USD
mine or reassign | power price | 0.05 | 0.0420837 | USD/kWh
mine or reassign | hashprice | 33.2998 | 37.4204 | USD/PH/day
mine or reassign | bitcoin price | 70370 | 79077.7 | USD
mine or reassign | rent | 150 | 142.292 | USD/kW/month
"""
    )


def test_of_a_rig_of_which_nothing_is_known_the_settings_are_explained() -> None:
    economics = EconomicsSettings(pool_fee=0.01, reject_ratio=0.003, firmware_fees={"LuxOS": 0.028})
    silent = rig(
        hashrate=None,
        reject_ratio=None,
        identity=RigIdentity(reader="luxos", make="Bitmain", model="S19", firmware="LuxOS"),
    )
    asked = case(
        silent,
        replace(SITE, economics=economics, ai=None),
        network=None,
        bitcoin_price=None,
        tariffs={},
    )
    assert (
        printed(explained(replace(asked, decision=replace(asked.decision, blocks=()))))
        == """\
a-01 | north | +0 s | unknown
hashrate | - | TH/s | luxos
power | - | W
reject ratio | 0.003 |  | settings
firmware fee | 0.028 |  | settings
difficulty | - |  | network
subsidy | - | BTC per block | network
fees | - | BTC per block | network
bitcoin price | - | USD | bitcoin
power price | - | USD/kWh | tariff ppa
pool fee | 0.01 |  | settings
overhead | 1.03 | W per W | settings
AI value | - | USD/kW/year | settings, section ai
resale decay | 30 | USD/kW/year | settings
hashprice paid | - | USD/PH/day
revenue | - | USD/day
billed power | - | kW
power cost | - | USD/day
margin | - | USD/day
margin, low end | - | USD/day
margin, high end | - | USD/day
margin after the next retarget | - | USD/day
all-in margin | - | USD/day
all-in breakeven hashprice | - | USD/PH/day
all-in cost per bitcoin | - | USD
margin if it ran | - | USD/day
margin if it ran, against the opportunity | - | USD/day
margin if it ran, per kW | - | USD/kW/year
power price | - | USD/kWh
marginal price | - | USD/kWh
mining revenue | - | USD/kWh
mining margin | - | USD/kWh
GPU margin, measured | - | USD/kWh
"""
    )


def test_an_input_that_the_rig_does_not_report_has_no_reader_and_no_time() -> None:
    inputs = {each.name: each for each in explained(case(replace_tariff(rig(), ""))).inputs}
    assert inputs["hashrate"].source == ""  # it was never identified
    assert (inputs["firmware fee"].source, inputs["firmware fee"].observed_at) == ("settings", None)
    assert (inputs["power price"].source, inputs["power price"].value) == ("", None)


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        (
            "c",
            """\
customer's margin | -0.126632 | USD/day
host's margin | 2.394 | USD/day
curtail is judged on the customer's margin, if it ran | -0.126632 | USD/day
host's margin at the customer's best use | 0 | USD/day
mine or curtail | power price | 0.0776699 | 0.0762063 | USD/kWh
mine or curtail | hashprice | 33.2998 | 33.9394 | USD/PH/day
mine or curtail | bitcoin price | 70370 | 71721.5 | USD
""",
        ),
        (
            "",
            """\
customer's margin | 2.26737 | USD/day
host's margin | - | USD/day
no host's margin: the customer's rig has no hosting contract | -
mine or curtail | power price | 0.05 | 0.0762063 | USD/kWh
mine or curtail | hashprice | 33.2998 | 21.8485 | USD/PH/day
mine or curtail | bitcoin price | 70370 | 46170.7 | USD
""",
        ),
    ],
)
def test_both_books_of_a_customers_rig_are_explained(name: str, rows: str) -> None:
    """It earns 0.2 x 33.2998 x 0.99 = $6.59337 a day. Its 84 kWh cost the customer $0.08, and the host 1.03 x $0.05."""
    asked = case(hosted(facts={"contract": name}), replace(SITE, contracts={"c": contract()}))
    explanation = explained(replace(asked, decision=replace(asked.decision, blocks=())))
    of_books = tuple(line for line in explanation.lines if "customer's" in line.name or "host's" in line.name)
    curtailing = tuple(flip for flip in explanation.flips if flip.change == "mine or curtail")
    shown = replace(explanation, inputs=(), lines=of_books, axis=(), flips=curtailing)
    assert printed(shown).partition("\n")[2] == rows


# --- its parts ------------------------------------------------------------------------------------------------------


def test_an_outlook_is_part_of_the_explanation() -> None:
    asked = case(rig())
    outlook = BlockOutlook(probability=0.31, lead=-12.5, waiting={3: 12.5, 48: -260.0})
    blocks = tuple(replace(block, outlook=outlook) for block in asked.decision.blocks)
    shown = lines(explained(replace(asked, decision=replace(asked.decision, blocks=blocks))))
    assert shown["probability that converting now beats the best later start"] == 0.31
    assert shown["gain of converting in 3 months instead of now, mean"] == 12.5
    assert shown["gain of converting in 48 months instead of now, mean"] == -260.0


def test_a_capacity_far_above_the_highest_metered_power_is_a_warning() -> None:
    asked = case(rig())
    blocks = tuple(replace(block, highest_metered=1e5, large_feeder=True) for block in asked.decision.blocks)
    shown = lines(explained(replace(asked, decision=replace(asked.decision, blocks=blocks))))
    assert shown["highest power that the block's meters showed in the history's window"] == 100
    assert "warning: the block's capacity_kilowatts is far above that, and AI is valued on all of it" in shown
    assert not any("warning" in name for name in lines(explained(asked)))


def test_an_unknown_rig_has_no_explanation() -> None:
    assert explain(case(rig()), "z-99") is None


def test_the_sum_adds_up_line_by_line() -> None:
    found = lines(explained(case(rig(), blocks=(Block(name="north"),))))
    assert found["margin"] == pytest.approx((found["revenue"] or 0) - (found["power cost"] or 0))
    assert found["billed power"] == pytest.approx(3.605)
    assert found["mining margin"] == pytest.approx((found["mining revenue"] or 0) - (found["power price"] or 0))
    assert found["AI value, base"] == pytest.approx(0.0175524, rel=1e-5)
    beaten = (found["block's conversion margin"] or 0) - 30
    assert found["block's reassign score"] == pytest.approx(153.758737 - beaten)


def test_every_input_has_a_source_and_what_is_observed_a_time() -> None:
    good = LastGood(hashrate=200e12, power=3_500.0, observed_at=NOW - 60)
    inputs = {found.name: found for found in explained(case(rig(last_good=good))).inputs}
    assert inputs["hashrate"].value == 200
    assert inputs["hashrate"].observed_at == NOW
    assert inputs["last good power"].observed_at == NOW - 60
    assert inputs["power"].source == "reported"
    assert inputs["power price"].source == "tariff ppa"
    found = explained(case(rig(), tariffs={"ppa": TariffPrice(0.05, observed_at=NOW - 30)})).inputs
    assert next(each.observed_at for each in found if each.name == "power price") == NOW - 30
    assert inputs["pool fee"].observed_at is None
    assert inputs["reject ratio"].source == "its pools' shares"
    silent = {found.name: found for found in explained(case(rig(reject_ratio=None), network=None)).inputs}
    assert silent["reject ratio"].source == "settings"
    assert silent["difficulty"].value is None


@pytest.mark.parametrize("power_price", [0.02, 0.05, 0.09])
def test_at_each_curtailment_flip_the_margin_is_zero(power_price: float) -> None:
    base = case(rig(), tariffs={"ppa": TariffPrice(power_price)})
    at = flips(explained(base), "mine or curtail")
    for changed in (
        {"tariffs": {"ppa": TariffPrice(at["power price"])}},
        {"bitcoin_price": Reading(at["bitcoin price"], NOW)},
        {"network": Reading(network(difficulty=133.79e12 * 33.29983803 / at["hashprice"]), NOW)},
    ):
        facts = {"tariffs": {"ppa": TariffPrice(power_price)}} | changed
        assert case(rig(), **facts).economics.rigs[0].opportunity_margin == pytest.approx(0.0, abs=1e-6)


def with_costs_that_stop_with_the_rig(per_month: float) -> SiteSettings:
    economics = SITE.economics.model_copy(
        update={"hosting_usd_per_kilowatt_month": per_month, "stops_with": {"hosting": StopsWith.RIG}}
    )
    return replace(SITE, economics=economics)


STOPPING = OtherCost(name="land", usd_per_kilowatt_month=7.3, stops_with=StopsWith.RIG)
"""1 cent per kWh."""


@pytest.mark.parametrize(
    ("settings", "decision_settings"),
    [
        (SITE, TERMS),
        (SITE, DecisionSettings()),
        (SITE, DecisionSettings(rigs_sale_usd_per_terahash=8)),
        (SITE, DecisionSettings(reassign_share=0.5)),
        (with_costs_that_stop_with_the_rig(4), TERMS),
        (replace(SITE, tariffs={"ppa": TariffOverrides(other_costs=(STOPPING,))}), TERMS),
        (replace(SITE, power=SITE.power.model_copy(update={"take_or_pay": True})), TERMS),
    ],
    ids=["decay", "default", "sale", "share", "monthly costs", "the tariff's own costs", "take or pay"],
)
def test_at_each_reassignment_flip_the_score_is_the_threshold(
    settings: SiteSettings, decision_settings: DecisionSettings
) -> None:
    asked = case(rig(), settings, decision_settings)
    at = flips(explained(asked), "mine or reassign")
    assert set(at) == {"power price", "hashprice", "bitcoin price", "rent"}
    for changed in (
        {"tariffs": {"ppa": TariffPrice(at["power price"])}},
        {"bitcoin_price": Reading(at["bitcoin price"], NOW)},
        {"network": Reading(network(difficulty=133.79e12 * 33.29983803 / at["hashprice"]), NOW)},
    ):
        score = case(rig(), settings, decision_settings, **changed).decision.rigs[0].reassign_score
        assert score == pytest.approx(decision_settings.threshold(153.758737))
    rent = {"rent_usd_per_kilowatt_month": at["rent"], "capex_usd_per_kilowatt": 10_000, "accept_implausible": True}
    dearer = case(rig(), replace(settings, ai=LEASE.model_validate(rent)), decision_settings)
    score = dearer.decision.rigs[0].reassign_score
    assert score == pytest.approx(
        decision_settings.threshold(dearer.economics.market.ai_value_per_kilowatt_year or 0), abs=1e-6
    )


def test_overrides_of_the_rigs_tariff_are_shown() -> None:
    own = TariffOverrides(resale_tariff="grid", overhead=1.2)
    asked = case(
        rig(), replace(SITE, tariffs={"ppa": own}), tariffs={"ppa": TariffPrice(0.05), "grid": TariffPrice(0.06)}
    )
    found = {entry.name: entry.value for entry in explained(asked).inputs}
    assert (found["overhead"], found["resale price"]) == (1.2, 0.06)


def test_the_resale_price_is_what_curtails() -> None:
    settings = replace(SITE, power=SITE.power.model_copy(update={"resale_tariff": "grid"}))
    asked = case(rig(), settings, tariffs={"ppa": TariffPrice(0.05), "grid": TariffPrice(0.06)})
    found = explained(asked)
    assert lines(found)["marginal price"] == 0.06
    assert {flip.now for flip in found.flips if flip.change == "mine or curtail" and flip.name == "power price"} == {
        0.06
    }
    assert any(entry.name == "resale price" and entry.value == 0.06 for entry in found.inputs)


def test_gpus_stand_on_the_same_axis() -> None:
    """The one on the other node has a power and no rate: it does not count."""
    gpus = tuple(GpuReading(gpu=f"GPU-{slot}", hostname="node-1", power=600.0) for slot in range(8))
    other = GpuReading(gpu="GPU-8", hostname="node-2", power=300.0)
    rate = GpuRate(hostname="node-1", revenue_usd_per_hour=2.1)
    settings = replace(SITE, gpus=GpuEconomicsSettings(rates=(rate,), host_watts=4_600, pue=1.25))
    found = lines(explained(case(rig(), settings, gpus=(*gpus, other))))
    assert found["GPU margin, measured"] == pytest.approx(2.1 / (1.175 * 1.25) - 0.05)
    assert lines(explained(case(rig())))["GPU margin, measured"] is None


def test_nothing_flips_what_cannot_be_priced_and_no_ai_flips_nothing_to_ai() -> None:
    assert explained(case(rig(), tariffs={})).flips == ()
    without = explained(case(rig(), replace(SITE, ai=None)))
    assert {flip.change for flip in without.flips} == {"mine or curtail"}


@pytest.mark.parametrize(
    ("price", "names"),
    [
        (-0.02, {"power price"}),
        (0.0, {"power price"}),
        (0.001, {"power price", "hashprice", "bitcoin price"}),  # a hashprice of $0.53
    ],
)
def test_a_price_that_would_not_be_above_zero_is_no_flip(price: float, names: set[str]) -> None:
    assert set(flips(explained(case(rig(), tariffs={"ppa": TariffPrice(price)})), "mine or curtail")) == names


def leased_at(rent: float) -> SiteSettings:
    return replace(SITE, ai=AiSettings(rent_usd_per_kilowatt_month=rent, capex_usd_per_kilowatt=10_000))


@pytest.mark.parametrize("value", [-20.0, 0.0, 25.0, 38.0])
def test_an_ai_value_below_its_threshold_flips_only_with_the_rent(value: float) -> None:
    """The threshold is 40: not even rigs that earn nothing are worth less, whatever their resale loses."""
    lease = value_ai(LEASE)
    assert lease is not None
    assert lease.lease is not None
    asked = case(rig(), leased_at(lease.lease.rent_for(value)))
    assert asked.economics.market.ai_value_per_kilowatt_year == pytest.approx(value)
    at = flips(explained(asked), "mine or reassign")
    assert set(at) == {"rent"}
    assert at["rent"] == pytest.approx(flips(explained(case(rig())), "mine or reassign")["rent"])


@pytest.mark.parametrize(
    ("value", "selling", "is_within_reach"),
    [
        (40.0, {}, False),  # the score of rigs that earn nothing is the threshold, and not above it
        (40.0, {"resale_decay_usd_per_kilowatt_year": 30}, False),  # nor does it rise with what they lose by mining on
        (40.5, {}, True),
        (
            0.0,
            {"rigs_sale_usd_per_terahash": 8},
            False,
        ),  # AI that is worth nothing has no score, whatever they sell for
        (0.5, {"rigs_sale_usd_per_terahash": 8}, True),
    ],
)
def test_prices_flip_to_ai_where_rigs_that_earn_nothing_would_be_reassigned(
    value: float, selling: dict[str, float], is_within_reach: bool
) -> None:
    asked = case(rig(), decision_settings=DecisionSettings.model_validate(selling))
    market = replace(asked.economics.market, ai_value_per_kilowatt_year=value)
    at = flips(explained(replace(asked, economics=replace(asked.economics, market=market))), "mine or reassign")
    assert ("hashprice" in at) is is_within_reach


def test_rigs_that_lose_money_are_beaten_by_ai_that_is_worth_the_threshold() -> None:
    at = flips(explained(case(rig(), tariffs={"ppa": TariffPrice(0.2)})), "mine or reassign")["rent"]
    lease = value_ai(LEASE)
    assert lease is not None
    assert lease.lease is not None
    assert at == pytest.approx(lease.lease.rent_for(40.0))


def test_no_hashprice_is_low_enough_for_ai_that_earns_less_than_selling_the_energy() -> None:
    """AI beats 113.76 a kW and year. Energy that is bought at $0.05 and sold at $0.07 earns 175.20 without mining."""
    settings = replace(SITE, power=SITE.power.model_copy(update={"resale_tariff": "grid"}))
    for sale, changes in ((0.06, {"power price", "hashprice", "bitcoin price", "rent"}), (0.07, {"rent"})):
        asked = case(rig(), settings, DecisionSettings(), tariffs={"ppa": TariffPrice(0.05), "grid": TariffPrice(sale)})
        assert set(flips(explained(asked), "mine or reassign")) == changes


def test_rigs_that_sell_for_more_than_they_earn_need_no_ai_value() -> None:
    """The rent is then the one at which AI is worth anything: below zero it has no score."""
    dear = DecisionSettings(rigs_sale_usd_per_terahash=80)
    at = flips(explained(case(rig(), decision_settings=dear)), "mine or reassign")["rent"]
    lease = value_ai(LEASE)
    assert lease is not None
    assert at == pytest.approx(lease.breakeven_rent)


def test_rented_gpus_have_no_rent_at_which_the_verdict_flips() -> None:
    rental = GpuRentalSettings.model_validate(
        {
            "price_usd_per_gpu_hour": 2.5,
            "utilization": 0.7,
            "power_usd_per_kilowatt_hour": 0.05,
            "kilowatts_per_gpu": 1.2,
            "gpu_capex_usd": 30_000,
            "capex_usd_per_kilowatt": 10_000,
            "opex_usd_per_gpu_year": 800,
        }
    )
    rented = replace(SITE, ai=AiSettings(gpu_rental=rental))
    at = flips(explained(case(rig(), rented)), "mine or reassign")
    assert at
    assert "rent" not in at


def test_no_rent_flips_a_verdict_that_needs_all_of_the_ai_value() -> None:
    never = DecisionSettings(reassign_share=1.0)
    assert flips(explained(case(rig(), decision_settings=never)), "mine or reassign") == {}


def test_a_rig_whose_block_was_not_decided_has_no_lines_of_the_block() -> None:
    asked = case(rig())
    found = lines(explained(replace(asked, decision=replace(asked.decision, blocks=()))))
    assert not [name for name in found if name.startswith("block's")]


def test_the_margin_per_kilowatt_is_the_rigs_own() -> None:
    asked = case(rig())
    priced = asked.economics.rigs[0]
    found = lines(explained(asked))
    assert found["margin if it ran, per kW"] == per_kilowatt_year(priced.potential_margin, priced.potential_power)


def test_mining_over_the_rigs_life_stands_beside_the_score() -> None:
    growing = replace(SITE, ai=LEASE.model_copy(update={"difficulty_growth": 0.3}))
    asked = case(rig(), growing)
    name = "block's margin over its rigs' life, levelised"
    levelised = lines(explained(asked))[name]
    assert levelised == asked.economics.blocks[0].mining_value
    assert 0 < (levelised or 0) < (lines(explained(asked))["margin if it ran, per kW"] or 0)
    assert lines(explained(case(rig())))[name] is None


def test_the_hours_of_an_older_version_are_shown() -> None:
    asked = case(rig())
    (block,) = asked.decision.blocks
    former = FormerHours(hours=48, margin=12.0, kwh=100.0)
    found = lines(explained(replace(asked, decision=replace(asked.decision, blocks=(replace(block, former=former),)))))
    assert found["48 hours of an older version, not counted"] == pytest.approx(0.12 * 8_760)
    assert not any("older version" in name for name in lines(explained(asked)))


@pytest.mark.parametrize(
    ("algorithm", "words"),
    [
        ("SHA256", ""),
        ("Scrypt", "Not priced: it hashes Scrypt, not SHA-256."),
        (
            "",
            "Not priced: its algorithm is unknown. If it is SHA-256, set `algorithm: sha256` for it in the fleet.",
        ),
    ],
)
def test_a_rig_whose_hashes_have_no_price_says_why(algorithm: str, words: str) -> None:
    identity = RigIdentity(reader="pyasic", make="Maker", model="Box", algorithm=algorithm)
    assert explained(case(rig(identity=identity, facts={"algorithm": ""}))).unpriced == words


def test_a_rig_that_never_answered_is_not_priced_and_says_why() -> None:
    never = rig(hashrate=None, facts={"algorithm": "", "rated_hashrate": 200e12, "rated_power": 3_500.0})
    found = case(never)
    assert found.economics.rigs[0].potential_margin is None
    assert explained(found).unpriced.startswith("Not priced: it never answered, so its algorithm is unknown.")


def test_each_monthly_cost_says_in_which_margins_it_counts() -> None:
    costs = EconomicsSettings(
        hosting_usd_per_kilowatt_month=4,
        opex_usd_per_kilowatt_month=6,
        credits_usd_per_kilowatt_month=2,
        stops_with={"hosting": StopsWith.RIG, "credits": StopsWith.NEVER},
    )
    found = lines(explained(case(rig(), replace(SITE, economics=costs))))
    assert {name: value for name, value in found.items() if "counts in" in name} == {
        "hosting, counts in the cash and all-in and conversion margin": 4,
        "opex, counts in the all-in and conversion margin": 6,
        "credits, counts in the all-in margin": -2,
    }


def test_what_the_rigs_are_sold_for_is_a_line_of_the_score() -> None:
    name = "block's rigs' sale price, levelised"
    north = (Block(name="north"),)
    sold = case(rig(), decision_settings=DecisionSettings(rigs_sale_usd_per_terahash=8), blocks=north)
    assert lines(explained(sold))[name] == pytest.approx(60.1023 / 1.03, abs=1e-4)  # 3.605 kW at the utility
    assert name not in lines(explained(case(rig(), blocks=north)))


@pytest.mark.parametrize("hindrance", Hindrance)
def test_every_reason_against_a_reassignment_has_words(hindrance: Hindrance) -> None:
    asked = case(rig())
    (block,) = asked.decision.blocks
    hindered = replace(block, hindrance=hindrance)
    found = lines(explained(replace(asked, decision=replace(asked.decision, blocks=(hindered,)))))
    assert [name for name in found if name.startswith("not reassign")] == [f"not reassign: {WORDS[hindrance]}"]


def test_a_block_that_nothing_hinders_has_no_reason_against_its_reassignment() -> None:
    asked = case(rig())
    (block,) = asked.decision.blocks
    free = replace(block, hindrance=None)
    found = lines(explained(replace(asked, decision=replace(asked.decision, blocks=(free,)))))
    assert not [name for name in found if name.startswith("not reassign")]


def test_a_meter_that_is_not_believed_is_shown_with_the_reason() -> None:
    found = explained(case(rig(disbelieved_power=3.2)))
    shown = next(each for each in found.inputs if each.name == "metered power, not used")
    assert (shown.value, shown.unit) == (3.2, "W")
    assert "is it in watts" in shown.source
    assert not [each for each in explained(case(rig())).inputs if each.name == shown.name]
