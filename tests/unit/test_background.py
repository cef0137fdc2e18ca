"""Background tasks in a worker process: it answers, runs at a lower priority, and its death costs only the answer."""

import io
import os
import pickle
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
from prometheus_client.parser import text_string_to_metric_families
from site_server import published, served
from sites import NOW, SITE, network, rig, site
from structlog.testing import capture_logs

from exporter import background_worker
from exporter.app import StartError, run_blocking
from exporter.background import Background
from exporter.decision.history import MarginHistory
from exporter.decision.outlook import foresee
from exporter.decision.prospect import Outlook, Question, question
from exporter.decision.settings import DecisionSettings
from exporter.decision.site import decide
from exporter.decision.values import DecisionState
from exporter.economics.settings import AiSettings, SiteSettings
from exporter.economics.site import price_site
from exporter.exposition.publication import Encoding, Format, Publication
from exporter.exposition.views import SiteView
from exporter.model.fleet import Block
from exporter.model.snapshot import SiteSnapshot, TariffPrice
from exporter.settings.model import Settings
from exporter.telemetry import Telemetry

HOUR = 3_600.0
OUTLOOK = {
    "drift": 0.0,
    "volatility": 0.5,
    "difficulty_growth": 0.2,
    "elasticity": 0.5,
    "fees_bitcoins_per_block": {"low": 0.01, "base": 0.02, "high": 0.08},
}
AI = AiSettings.model_validate(
    {"rent_usd_per_kilowatt_month": 150, "capex_usd_per_kilowatt": 10_000, "outlook": OUTLOOK}
)
TERMS = replace(SITE, ai=AI)
DECISION = DecisionSettings(longest_gap=HOUR)


def snapshot(now: float = NOW, price: float = 0.05) -> SiteSnapshot:
    return site(
        rig(), taken_at=now, blocks=(Block(name="north", capacity_watts=4_000.0),), tariffs={"ppa": TariffPrice(price)}
    )


def past(settings: SiteSettings = TERMS, hours: int = 2) -> MarginHistory:
    """So many hours of evaluations before ``NOW``."""
    state, history = DecisionState(), MarginHistory()
    for hour in range(-hours, 1):
        known = snapshot(NOW + hour * HOUR)
        _, state, history = decide(state, known, price_site(known, settings), history, settings, DECISION)
    return history


def asked(settings: SiteSettings = TERMS, decision: DecisionSettings = DECISION, hours: int = 2) -> Question | None:
    past_hours = past(settings, hours)
    return question(snapshot(), price_site(snapshot(), settings), past_hours, settings, decision, DecisionState())


def a_question() -> Question:
    found = asked()
    assert found is not None
    return found


# --- what is asked --------------------------------------------------------------------------------------------------


def test_the_question_has_the_market_and_the_blocks_margin() -> None:
    found = a_question()
    assert (found.bitcoin_price, found.difficulty, found.height) == (70_370.0, 133.79e12, network().height)
    (prospect,) = found.prospects
    (mining,) = prospect.mining
    margin = price_site(snapshot(), TERMS).blocks[0].potential_margin
    payout = price_site(snapshot(), TERMS).market.payout_usd
    assert margin is not None
    assert payout is not None
    at_payout = mining.floor + sum(
        w * max(payout - b, 0.0) for b, w in zip(mining.breakevens, mining.work, strict=True)
    )
    assert at_payout * 12 == pytest.approx(margin * 365 / 4)
    assert (mining.life_months, mining.fixed, prospect.sale, prospect.removal) == (48, 0.0, 0.0, 0.0)
    assert prospect.lease_months == 180


def test_costs_that_a_conversion_ends_and_the_rigs_sale_are_in_it() -> None:
    economics = TERMS.economics.model_copy(update={"opex_usd_per_kilowatt_month": 6.0})
    selling = DECISION.model_copy(update={"rigs_sale_usd_per_terahash": 8.0, "rigs_removal_usd_per_rig": 40.0})
    found = asked(replace(TERMS, economics=economics), selling)
    assert found is not None
    (prospect,) = found.prospects
    assert prospect.mining[0].fixed == pytest.approx(6.0 * 3.5 * 1.03 / 4)
    assert prospect.sale == pytest.approx(8.0 * 200 / 4)
    assert prospect.removal == pytest.approx(10.0)


def test_energy_that_a_contract_still_owes_lowers_the_lease() -> None:
    owed = replace(TERMS, power=TERMS.power.model_copy(update={"take_or_pay": True}))
    free, bound = asked(), asked(replace(owed, ai=AI.model_copy(update={"tenant_pays_energy": False})))
    assert free is not None
    assert bound is not None
    assert bound.prospects[0].lease_value < free.prospects[0].lease_value


@pytest.mark.parametrize(
    ("site_settings", "hours"),
    [
        (replace(TERMS, ai=None), 2),
        (replace(TERMS, ai=AI.model_copy(update={"outlook": None})), 2),
        (TERMS, 0),
    ],
    ids=["no AI", "no settings of an outlook", "no history"],
)
def test_nothing_is_asked_without_settings_or_a_history(site_settings: SiteSettings, hours: int) -> None:
    assert asked(site_settings, hours=hours) is None


@pytest.mark.parametrize("missing", ["network", "bitcoin_price"])
def test_nothing_is_asked_without_a_market(missing: str) -> None:
    known = snapshot()
    unknown = site(*known.rigs, blocks=known.blocks, **{missing: None})
    assert question(unknown, price_site(unknown, TERMS), past(), TERMS, DECISION, DecisionState()) is None


# --- the worker process ---------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker has a low priority, so that a busy machine lets it wait."""
    monkeypatch.setattr("exporter.background._TIMEOUT", 600.0)


def failures(telemetry: Telemetry) -> float | None:
    return telemetry.registry.get_sample_value("mining_outlook_failures_total")


def background(telemetry: Telemetry, *command: str) -> Background[Question, Outlook]:
    return Background("outlook", HOUR, telemetry.outlook_failures, command or None)


async def test_the_worker_gives_the_same_outlook_as_the_function() -> None:
    telemetry, asking = Telemetry(), a_question()
    outlooks = background(telemetry)
    assert outlooks.due
    outlooks.ask(replace(asking, asked_at=NOW - 30 * HOUR))
    outlooks.ask(asking)  # replaces the one that waits
    assert not outlooks.due
    await outlooks.answer()
    assert outlooks.latest(NOW) == foresee(asking)
    assert failures(telemetry) == 0
    assert outlooks.latest(NOW + 2 * HOUR) is not None
    assert outlooks.latest(NOW + 2 * HOUR + 1) is None  # too old
    outlooks.forget()  # of other settings
    assert outlooks.latest(NOW) is None
    assert outlooks.due


def test_the_worker_runs_at_a_lower_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    lowered: list[int] = []
    asking = a_question()
    answer = io.BytesIO()
    monkeypatch.setattr(os, "nice", lowered.append)
    monkeypatch.setattr(sys, "argv", ["worker", "outlook"])
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(pickle.dumps(asking))))
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=answer))
    background_worker.main()
    monkeypatch.undo()
    assert lowered == [10]
    assert pickle.loads(answer.getvalue()) == foresee(asking)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("import os; os.kill(os.getpid(), 9)", "ended with code -9"),
        ("raise MemoryError('full')", "ended with code 1: MemoryError: full"),
        ("print('no outlook')", "invalid load key"),
    ],
)
async def test_a_worker_that_dies_is_counted_and_logged_once_and_there_is_no_outlook(script: str, words: str) -> None:
    telemetry = Telemetry()
    outlooks = background(telemetry, sys.executable, "-c", script)
    with capture_logs() as log:
        for _ in range(2):
            outlooks.ask(a_question())
            await outlooks.answer()
    assert failures(telemetry) == 2
    assert outlooks.latest(NOW) is None
    (line,) = log
    assert words in line["reason"]


async def test_a_worker_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.background._TIMEOUT", 0.2)
    outlooks = background(Telemetry(), sys.executable, "-c", "import time; time.sleep(600)")
    with capture_logs() as log:
        outlooks.ask(a_question())
        await outlooks.answer()
    assert "took longer than" in log[0]["reason"]


async def test_an_outlook_that_is_back_is_logged() -> None:
    asking = a_question()
    telemetry = Telemetry()
    outlooks = background(telemetry, sys.executable, "-c", "raise SystemExit(1)")
    with capture_logs() as log:
        outlooks.ask(asking)
        await outlooks.answer()
        outlooks._command = (sys.executable, "-m", "exporter.background_worker", "outlook")
        outlooks.ask(asking)
        await outlooks.answer()
    assert [line["event"] for line in log] == ["no outlook until the next attempt", "the outlook is back"]


def test_the_start_is_refused_without_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.app.find_spec", lambda _: None)
    with pytest.raises(StartError, match=r"run pip install 'hashmargin\[outlook\]'"):
        run_blocking(Settings.model_construct(ai=AI))


# --- the verdict ----------------------------------------------------------------------------------------------------


def test_a_block_with_an_outlook_has_its_probability_and_values_of_waiting_as_metrics() -> None:
    known = snapshot()
    economics = price_site(known, TERMS)
    outlook = foresee(a_question()).blocks[0].verdict
    decision, _, _ = decide(DecisionState(), known, economics, past(), TERMS, DECISION, {"north": outlook})
    text = published(SiteView(snapshot=known, economics=economics, decision=decision))
    body = b"".join(text.body(Encoding(Format.TEXT, gzip=False)).chunks).decode()
    samples = {
        (sample.name, sample.labels.get("months")): sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
    }
    assert samples["mining_block_conversion_probability_ratio", None] == outlook.probability
    assert {
        months: samples["mining_block_value_of_waiting_usd_per_kilowatt", str(months)] for months in (3, 6, 12, 48)
    } == outlook.waiting


async def test_the_api_has_the_outlook() -> None:
    known = snapshot()
    economics = price_site(known, TERMS)
    decision, _, _ = decide(DecisionState(), known, economics, past(), TERMS, DECISION)
    found = foresee(a_question())

    def publication() -> Publication:
        return published(SiteView(snapshot=known, economics=economics, decision=decision))

    async with served(publication=publication) as exporter, exporter.get("api/v1/outlook") as answer:
        assert (await answer.json())["outlook"] is None
    async with served(publication=publication, outlook=found) as exporter, exporter.get("api/v1/outlook") as answer:
        answered = (await answer.json())["outlook"]
    assert answered["quantiles"] == [0.05, 0.25, 0.5, 0.75, 0.95]
    assert len(answered["hashprices_usd_per_petahash_day"]) == 48
    (block,) = answered["blocks"]
    assert block["probability_ratio"] == found.blocks[0].probability
    assert [start["months"] for start in block["starts"]] == [0, 3, 6, 12, 48]
