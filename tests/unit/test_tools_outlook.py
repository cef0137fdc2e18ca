"""`hashmargin outlook`: the outlook of a served exporter as text, JSON and picture, and a proposal from a history."""

import asyncio
import json
import math
from pathlib import Path
from random import Random
from xml.etree import ElementTree as ET

import pytest
import yaml
from click.testing import CliRunner
from site_server import served
from test_decision_outlook import MOVING, prospect, rigs

from exporter.cli import main
from exporter.decision.outlook import foresee
from exporter.decision.prospect import Outlook, Question
from exporter.economics.settings import OutlookSettings
from exporter.tools.history import Row, write_csv


async def invoke(*arguments: str) -> tuple[int, str, str]:
    """Run a command in a thread: it has an event loop of its own."""
    result = await asyncio.to_thread(CliRunner().invoke, main, ("outlook", *arguments))
    return result.exit_code, result.stdout, result.stderr


def outlook() -> Outlook:
    return foresee(
        Question(
            asked_at=0.0,
            bitcoin_price=7e4,
            difficulty=1.34e14,
            height=941_472,
            rate=0.1,
            settings=OutlookSettings.model_validate(MOVING),
            prospects=(prospect(), prospect(rigs(29.5), block="old")),
        )
    )


async def test_the_outlook_is_shown_with_its_fan_and_what_it_leaves_out(tmp_path: Path) -> None:
    found = outlook()
    picture = tmp_path / "outlook.svg"
    async with served(outlook=found) as exporter:
        code, text, errors = await invoke("--url", exporter.url, "--picture", str(picture))
        _, record, _ = await invoke("--url", exporter.url, "--output", "json")
    assert code == 0, errors
    assert f"{found.blocks[1].probability:.0%}" in text
    assert "in 48 months" in text
    assert "in 47 months" in text  # the last month of the fan
    assert "the option to decide later is not valued" in text
    assert json.loads(record)["blocks"][0]["block"] == "north"
    assert ET.parse(picture).getroot().tag.endswith("svg")


async def test_without_an_outlook_the_error_says_what_to_set(tmp_path: Path) -> None:
    async with served() as exporter:
        code, _, errors = await invoke("--url", exporter.url)
    assert code == 1
    assert "set ai.outlook and wait for the first evaluations" in errors


@pytest.mark.parametrize(
    ("picture", "code", "words"),
    [("outlook.pdf", 2, "ends in .svg or .png"), ("missing/outlook.svg", 1, "give another --picture")],
)
async def test_a_picture_that_cannot_be_drawn_is_one_sentence(
    picture: str, code: int, words: str, tmp_path: Path
) -> None:
    async with served(outlook=outlook()) as exporter:
        result = await invoke("--url", exporter.url, "--picture", str(tmp_path / picture))
    assert result[0] == code
    assert words in result[2]


async def test_without_matplotlib_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.tools.plots.find_spec", lambda _: None)
    code, _, errors = await invoke("--picture", "outlook.svg")
    assert (code, errors) == (1, "hashmargin: --picture needs matplotlib: run pip install 'hashmargin[backtest]'\n")


def history(months: int, *, elasticity: float = 0.5, growth: float = 0.2, volatility: float = 0.6) -> list[Row]:
    """A price that moves at random, and a difficulty that follows it over six months."""
    random = Random(16)
    month = 31_536_000.0 / 12
    logs = [math.log(5e4)]
    for _ in range(months - 1):
        logs.append(logs[-1] + random.gauss(0.0, volatility / math.sqrt(12)))
    return [
        Row(
            time=index * month + 1.0,
            hashprice=50.0,
            power_price=0.05,
            bitcoin=math.exp(log),
            difficulty=1e14 * (1 + growth) ** (index / 12) * math.exp(elasticity * (log - logs[0])),
            reward=3.125 + 0.01 + 0.001 * (index % 100),
        )
        for index, log in enumerate(logs)
    ]


async def test_a_proposal_finds_what_a_history_was_made_of(tmp_path: Path) -> None:
    file = tmp_path / "prices.csv"
    file.write_text(write_csv(history(240)), encoding="utf-8")
    code, text, errors = await invoke("--propose", str(file))
    assert code == 0, errors
    proposal = OutlookSettings.model_validate(yaml.safe_load(text)["ai"]["outlook"])
    assert proposal.drift == 0.0
    assert proposal.volatility == pytest.approx(0.6, rel=0.1)
    assert proposal.difficulty_growth == pytest.approx(0.2, abs=0.01)
    assert proposal.elasticity == pytest.approx(0.5, abs=0.01)
    assert (proposal.fees_bitcoins_per_block.low, proposal.fees_bitcoins_per_block.high) == (0.014, 0.1)
    assert text.startswith("# From 240 months. An estimate, not a forecast")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (history(8), "a proposal needs more than 12 months with bitcoin and difficulty, and this history has 8"),
        (history(30, volatility=0.0), "the bitcoin price of this history does not change"),
    ],
)
async def test_a_history_that_proposes_nothing_is_one_sentence(rows: list[Row], words: str, tmp_path: Path) -> None:
    file = tmp_path / "prices.csv"
    file.write_text(write_csv(rows), encoding="utf-8")
    code, _, errors = await invoke("--propose", str(file))
    assert code == 1
    assert words in errors


async def test_an_invalid_history_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "prices.csv"
    file.write_text("price\n1\n", encoding="utf-8")
    code, _, errors = await invoke("--propose", str(file))
    assert code == 2
    assert "unknown column price" in errors
