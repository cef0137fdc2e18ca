"""`hashmargin report`: a day of a site by a Prometheus, in every format, and what it does not know."""

import asyncio
import csv
import io
import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import html5lib
import pytest
from aiohttp import web
from click.testing import CliRunner
from source_site import serve

from exporter.cli import main
from exporter.tools.spans import Span

CHICAGO = ZoneInfo("America/Chicago")
DAY_END = datetime(2026, 2, 4, tzinfo=CHICAGO).timestamp()
Answer = list[tuple[dict[str, str], float]]

RANGES: dict[str, Answer] = {
    "sum(mining_block_revenue_usd_per_day": [({}, 1_100.0)],
    "sum(mining_block_power_cost_usd_per_day": [({}, 720.0)],
    "sum(mining_block_margin_usd_per_day": [({}, 380.0)],
    "-sum(((mining_rig_judged_margin": [({}, 12.5)],
    "sum(mining_rig_verdict": [({}, 4.0)],
    "sum by (block)": [({"block": "south"}, -3.0), ({"block": "north"}, 383.0)],
    "bottomk(10, avg_over_time((max by (rig)": [({"rig": "=c1"}, -2.0), ({"rig": "b2"}, -2.5)],
    "count(mining_rig_up": [({}, 120.0)],
    "count_over_time((max(ALERTS": [({}, 288.0)],
    "topk": [({"rig": "c9"}, 18.0), ({"rig": "c1"}, 36.0)],
    "count_over_time((count by (alertname": [
        ({"alertname": "MiningRigDown", "severity": "warning"}, 12.0),
        ({"alertname": "MiningSiteDark", "severity": "critical"}, 24.0),
    ],
    "max_over_time((count by (alertname": [({"alertname": "MiningSiteDark", "severity": "critical"}, 3.0)],
}
"""What is asked over the day, by what its query contains; the first that fits."""
MEANS = {
    "mining_bitcoin_price_usd": 77_407.0,
    "mining_network_difficulty": 133.79e12,
    "mining_network_subsidy_bitcoins": 3.125,
    "mining_hashprice_bitcoins_per_petahash_day": 0.000473210715207,
    "mining_block_revenue_usd_per_day": 1_100.0,
    "mining_block_power_cost_usd_per_day": 720.0,
    "mining_block_billed_power_watts": 600_000.0,
    "mining_rigs": 1.0,
}


def reply(kind: str, result: list[dict[str, Any]]) -> web.Response:
    return web.json_response({"status": "success", "data": {"resultType": kind, "result": result}})


async def invoke(*arguments: str, ranges: dict[str, Answer] = RANGES) -> tuple[int, str, str]:
    """Run the command against a Prometheus with these values; the day before, bitcoin was at $70,370."""
    asked: list[str] = []

    async def query(request: web.Request) -> web.Response:
        text = request.query["query"]
        if "mining_block_convertible" in text:
            return reply("vector", [{"metric": {"site": "prairie"}, "value": [0, "1"]}])
        asked.append(text)
        if request.path.endswith("query_range"):
            at = float(request.query["start"])
            found = next((answer for name, answer in ranges.items() if name in text), [])
            return reply("matrix", [{"metric": labels, "values": [[at, str(value)]]} for labels, value in found])
        match = re.search(r"mining_\w+", text)
        assert match is not None
        value, before = MEANS[match[0]], f"@ {DAY_END - 86_400:.0f}" in text
        if before:
            value = {"mining_bitcoin_price_usd": 70_370.0, "mining_block_revenue_usd_per_day": 1_000.0}.get(
                match[0], value
            )
        return reply("vector", [{"metric": {}, "value": [0, str(value)]}])

    async with serve(query) as url:
        command = ("report", "--prometheus", url, *arguments)
        result = await asyncio.to_thread(CliRunner().invoke, main, command)
    of_a_site = [text for text in asked if "MiningWatchdog" not in text.replace('!="MiningWatchdog"', "")]
    assert all('site="prairie"' in text for text in of_a_site) or "--site" not in arguments
    return result.exit_code, result.stdout, result.stderr


ASKED = ("--day", "2026-02-03", "--timezone", "America/Chicago", "--site", "prairie")


async def test_a_day_with_what_changed_it() -> None:
    code, text, errors = await invoke(*ASKED, "--output", "json")
    assert code == 0, errors
    record = json.loads(text)
    assert (record["from"], record["to"]) == ("2026-02-03T00:00:00-06:00", "2026-02-04T00:00:00-06:00")
    assert (record["revenue_usd"], record["power_cost_usd"], record["margin_usd"]) == (1_100.0, 720.0, 380.0)
    assert (record["curtailed_rig_hours"], record["saved_usd"]) == (96.0, 12.5)
    causes = record["causes_usd_per_day"]
    assert causes["bitcoin_price"] == pytest.approx(100.0, rel=1e-3)
    assert sum(causes.values()) == pytest.approx(100.0)
    assert record["worst_blocks"][0] == {"block": "south", "margin_usd": -3.0}
    assert [each["rig"] for each in record["worst_rigs"]] == ["b2", "=c1"]
    assert record["rigs_down"] == [{"rig": "c1", "hours": 3.0}, {"rig": "c9", "hours": 1.5}]
    assert record["alerts"][0] == {"alert": "MiningSiteDark", "severity": "critical", "hours": 2.0, "most_at_once": 3.0}
    assert record["alerts"][1]["most_at_once"] is None
    assert record["alerts_evaluated_hours"] == 24.0


async def test_the_report_in_every_format(tmp_path: Path) -> None:
    code, text, errors = await invoke(*ASKED)
    assert code == 0, errors
    assert text.startswith("# Report of prairie, 2026-02-03\n")
    assert "| margin | $380.00 |" in text
    assert "| saved by curtailment, 96 rig-hours | $12.50 |" in text
    assert "| bitcoin price | +100.0" in text
    assert "| MiningSiteDark | critical | 2.0 | 3 |" in text
    _, table, _ = await invoke(*ASKED, "--output", "csv")
    rows = list(csv.DictReader(io.StringIO(table)))
    assert {"part": "site", "name": "margin_usd", "value": "380.0"} in rows
    assert "'=c1" in {row["name"] for row in rows}
    file = tmp_path / "report.html"
    code, printed, errors = await invoke(*ASKED, "--output", "html", "--to", str(file))
    assert (code, printed) == (0, ""), errors
    page = file.read_text("utf-8")
    html5lib.HTMLParser(strict=True).parse(page)
    assert "$380.00" in page
    assert "=c1" in page


async def test_what_is_not_recorded_is_unknown() -> None:
    code, text, errors = await invoke(*ASKED, ranges={})
    assert code == 0, errors
    assert "| margin | unknown |" in text
    for title in ("Worst blocks", "Rigs without an answer", "Alerts, evaluated in 0 of 24 hours"):
        assert f"## {title}\n\nUnknown: not recorded." in text
    _, page, _ = await invoke(*ASKED, "--output", "html", ranges={})
    assert "<p>Unknown: not recorded.</p>" in page
    _, table, _ = await invoke(*ASKED, "--output", "csv", ranges={})
    assert "down_hours" not in table


async def test_a_calm_day_has_no_alert_and_no_rig_without_an_answer() -> None:
    calm = {name: RANGES[name] for name in ("count(mining_rig_up", "count_over_time((max(ALERTS")}
    code, text, errors = await invoke(*ASKED, ranges=calm)
    assert code == 0, errors
    for title in ("Rigs without an answer", "Alerts"):
        assert f"## {title}\n\nNone." in text


@pytest.mark.parametrize(
    ("text", "hours"), [("2026-03", 743), ("2026-11", 721), ("2026-03-08", 23), ("2026-11-01", 25), ("2026-02-03", 24)]
)
def test_days_and_months_are_local(text: str, hours: int) -> None:
    span = Span.month(text, CHICAGO) if len(text) == len("2026-11") else Span.day(text, CHICAGO)
    assert span.seconds == hours * 3_600


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "give one of --day and --month"),
        (("--day", "2026-02-03", "--month", "2026-02"), "give one of --day and --month"),
        (("--day", "3.2.2026"), "is not a day such as 2026-11-28"),
        (("--month", "2026-02-03"), "is not a month such as 2026-11"),
        (("--month", "Feb"), "is not a month such as 2026-11"),
        (("--day", "2126-02-03"), "is not over yet"),
        (("--day", "2026-02-03", "--timezone", "Chicago"), "is not a time zone"),
        (("--day", "2026-02-03", "--site", "prairee"), "did you mean 'prairie'"),
    ],
)
async def test_what_cannot_be_reported_is_one_sentence(arguments: tuple[str, ...], words: str) -> None:
    code, _, errors = await invoke(*arguments)
    assert code == 2
    assert words in errors


async def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    code, _, errors = await invoke(*ASKED, "--to", str(tmp_path / "no" / "report.md"))
    assert code == 1
    assert "give another --to" in errors
