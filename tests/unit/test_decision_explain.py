"""The explanation of a verdict: inputs with their age, a sum that adds up, and flip points that flip."""

from dataclasses import replace
from typing import Any

import pytest
from sites import LEASE, NOW, SITE, decided, network, rig, site

from exporter.decision.explain import WORDS, Case, Explanation, explain
from exporter.decision.history import FormerHours
from exporter.decision.settings import DecisionSettings
from exporter.decision.values import BlockOutlook, Hindrance
from exporter.economics.settings import (
    AiSettings,
    EconomicsSettings,
    GpuEconomicsSettings,
    GpuRentalSettings,
    SiteSettings,
    StopsWith,
    TariffOverrides,
)
from exporter.economics.site import per_kilowatt_year, price_site
from exporter.model.fleet import Block
from exporter.model.readings import GpuReading, Reading, RigIdentity
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


def test_at_each_reassignment_flip_the_score_is_the_threshold() -> None:
    asked = case(rig())
    at = flips(explained(asked), "mine or reassign")
    assert set(at) == {"power price", "hashprice", "bitcoin price", "rent"}
    for changed in (
        {"tariffs": {"ppa": TariffPrice(at["power price"])}},
        {"bitcoin_price": Reading(at["bitcoin price"], NOW)},
    ):
        score = case(rig(), **changed).decision.rigs[0].reassign_score
        assert score == pytest.approx(TERMS.threshold(153.758737))
    rent = {"rent_usd_per_kilowatt_month": at["rent"], "capex_usd_per_kilowatt": 10_000, "accept_implausible": True}
    dearer = case(rig(), replace(SITE, ai=LEASE.model_validate(rent)))
    score = dearer.decision.rigs[0].reassign_score
    assert score == pytest.approx(TERMS.threshold(dearer.economics.market.ai_value_per_kilowatt_year or 0))


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
    gpus = tuple(GpuReading(gpu=f"GPU-{slot}", hostname="node-1", power=600.0) for slot in range(8))
    settings = replace(SITE, gpus=GpuEconomicsSettings(revenue_usd_per_hour=2.1, host_watts=4_600, pue=1.25))
    found = lines(explained(case(rig(), settings, gpus=gpus)))
    assert found["GPU margin, measured"] == pytest.approx(2.1 / (1.175 * 1.25) - 0.05)
    assert lines(explained(case(rig())))["GPU margin, measured"] is None


def test_nothing_flips_what_cannot_be_priced_and_no_ai_flips_nothing_to_ai() -> None:
    assert explained(case(rig(), tariffs={})).flips == ()
    without = explained(case(rig(), replace(SITE, ai=None)))
    assert {flip.change for flip in without.flips} == {"mine or curtail"}


def test_a_price_that_had_to_be_negative_is_no_flip() -> None:
    found = explained(case(rig(), tariffs={"ppa": TariffPrice(-0.02)}))
    assert {flip.name for flip in found.flips if flip.change == "mine or curtail"} == {"power price"}


def test_an_ai_value_below_its_threshold_flips_only_with_the_rent() -> None:
    poor = LEASE.model_validate({"rent_usd_per_kilowatt_month": 129.6, "capex_usd_per_kilowatt": 10_000})
    assert set(flips(explained(case(rig(), replace(SITE, ai=poor))), "mine or reassign")) == {"rent"}


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
