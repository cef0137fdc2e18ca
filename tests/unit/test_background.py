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
from sites import NOW
from structlog.testing import capture_logs
from test_decision_prospect import AI, DECISION, HOUR, TERMS, a_question, past, snapshot

from exporter import background_worker
from exporter.app import StartError, run_blocking
from exporter.background import Background
from exporter.decision.outlook import foresee
from exporter.decision.prospect import Outlook, Question
from exporter.decision.site import decide
from exporter.decision.values import DecisionState
from exporter.economics.site import price_site
from exporter.exposition.publication import Encoding, Format, Publication
from exporter.exposition.views import SiteView
from exporter.settings.model import Settings
from exporter.telemetry import Telemetry

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
