"""`hashmargin backtest`: histories from a file, from Prometheus and from the package, and the report."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from aiohttp import web
from click.testing import CliRunner
from source_site import serve

from exporter.cli import main
from exporter.tools.history import Row, published, read_csv, sample, stretches, write_csv

SITE = """\
site: prairie-1
tariffs: {ppa: {kind: fixed, usd_per_kilowatt_hour: 0.05}}
ai: {rent_usd_per_kilowatt_month: 150, capex_usd_per_kilowatt: 10000}
blocks: {old: {capacity_kilowatts: 60}}
fleet:
  defaults: {algorithm: sha256}
  rigs:
    - {name: a, address: 127.81.0.1, block: old, rated_terahash: 100, rated_watts: 2950}
    - {name: b, address: 127.81.0.2, block: old, rated_terahash: 100, rated_watts: 2950}
    - {name: unrated, address: 127.81.0.3, block: old}
    - {name: kaspa, address: 127.81.0.4, block: old, rated_terahash: 40, rated_watts: 3080, algorithm: KHeavyHash}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "site.yml"
    file.write_text(SITE, encoding="utf-8")
    return file


async def invoke(*arguments: str) -> tuple[int, str, str]:
    """Run a command in a thread: it has an event loop of its own."""
    result = await asyncio.to_thread(CliRunner().invoke, main, ("backtest", *arguments))
    return result.exit_code, result.stdout, result.stderr


def history(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "prices.csv"
    file.write_text(text, encoding="utf-8")
    return file


# --- a file ---------------------------------------------------------------------------------------------------------


def test_a_fleet_of_unknown_algorithm_is_not_replayed(config: Path) -> None:
    config.write_text(SITE.replace("  defaults: {algorithm: sha256}\n", ""), encoding="utf-8")
    result = CliRunner().invoke(main, ["backtest", "--sample", "--config.file", str(config)])
    assert result.exit_code == 2
    assert "no rig has algorithm: sha256, so there is nothing to replay" in result.stderr


async def test_a_history_file_is_replayed_with_the_configured_fleet(config: Path, tmp_path: Path) -> None:
    prices = history(tmp_path, "time,hashprice,power_price\n2026-01-01,33.3,0.06\n2026-01-31T00:00:00Z,33.3,0.06\n")
    folder = tmp_path / "report"
    arguments = ("--history", str(prices), "--config.file", str(config), "--folder", str(folder))
    code, output, _ = await invoke(*arguments, "--output", "json")
    printed = json.loads(output)
    assert code == 0
    assert printed["converted"] == [{"block": "old", "at": "2026-01-18 00:00"}]
    assert printed["earned_usd"]["always_mine"] < printed["earned_usd"]["curtail_right"] == 0
    assert 0 < printed["earned_usd"]["followed"] < printed["earned_usd"]["foresight"]
    assert printed["rows_generated"] == 0
    report = (folder / "report.md").read_text(encoding="utf-8")
    assert "| 2026-01-18 00:00 | old |" in report
    assert "| 2026-01-18 00:00 | old | curtail | reassign |" in report
    assert "Not replayed: 1 rigs without rated_terahash and rated_watts" in report
    assert "Not replayed: 1 rigs whose `algorithm` is not set to `sha256`" in report
    assert "generated" not in report
    for name in ("market.svg", "verdicts.svg", "money.svg"):
        assert f"({name})" in report
        assert ET.parse(folder / name).getroot().tag.endswith("svg")


def test_the_hashprice_is_computed_from_its_inputs(tmp_path: Path) -> None:
    text = "time,bitcoin,difficulty,reward,power_price\n1774051200,70370,133.79e12,3.1472,-0.01\n"
    (row,) = read_csv(history(tmp_path, text))
    assert row.hashprice == pytest.approx(33.2998380291)
    assert row.power_price == -0.01
    assert row.time == 1_774_051_200


def test_a_written_history_reads_back(tmp_path: Path) -> None:
    rows = sample()[:50]
    again = read_csv(history(tmp_path, write_csv(rows)))
    assert [row.generated for row in again] == [row.generated for row in rows]
    assert [row.hashprice for row in again] == pytest.approx([row.hashprice for row in rows], rel=1e-6)


HEADER = "time,hashprice,power_price\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("time,hashprise,power_price\n", "unknown column hashprise: use only time, hashprice"),
        ("time,power_price\n", "needs the columns time, power_price and hashprice"),
        (f"{HEADER}soon,33,0.05\n", "line 2: time 'soon' must be like 2026-03-21T14:00:00Z, or unix seconds"),
        (f"{HEADER}nan,33,0.05\n", "line 2: time 'nan' must be like 2026-03-21T14:00:00Z, or unix seconds"),
        (f"{HEADER}2026-01-01,-3,0.05\n", "line 2: hashprice '-3' is out of range"),
        (f"{HEADER}2026-01-01,nan,0.05\n", "line 2: hashprice 'nan' is out of range"),
        (f"{HEADER}2026-01-01,33,\n", "line 2: power_price, and hashprice"),
        (f"{HEADER}2026-01-02,33,0.05\n2026-01-01,33,0.05\n", "line 3: its time must be after that of the previous"),
        (f"{HEADER}2026-01-02,33,0.05\n", "a history needs at least two points"),
        ("", "needs the columns"),
        ("time,power_price,hashprice\n" + "1" * 200_000, "field larger than"),
    ],
)
async def test_an_invalid_history_is_one_sentence(text: str, words: str, config: Path, tmp_path: Path) -> None:
    arguments = ("--history", str(history(tmp_path, text)), "--config.file", str(config), "--folder", str(tmp_path))
    code, _, errors = await invoke(*arguments)
    assert code == 2
    assert words in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "give one of --sample, --history and --prometheus"),
        (("--sample", "--prometheus", "http://127.0.0.1:1"), "give one of"),
        (("--prometheus", "http://127.0.0.1:1"), "--config.file is required"),
    ],
)
async def test_incomplete_or_conflicting_options_are_rejected(arguments: tuple[str, ...], words: str) -> None:
    code, _, errors = await invoke(*arguments)
    assert code == 2
    assert words in errors


async def test_without_matplotlib_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("exporter.tools.plots.find_spec", lambda _: None)
    code, _, errors = await invoke("--sample", "--folder", str(tmp_path))
    assert code == 1
    assert errors == ("hashmargin: plots need matplotlib: run pip install 'hashmargin[backtest]', or add --no-plots\n")


async def test_a_report_is_written_without_plots(config: Path, tmp_path: Path) -> None:
    prices = history(tmp_path, f"{HEADER}2026-01-01,33.3,0.06\n2026-01-02,33.3,0.06\n")
    folder = tmp_path / "report"
    arguments = ("--history", str(prices), "--config.file", str(config), "--folder", str(folder), "--no-plots")
    code, output, _ = await invoke(*arguments)
    assert code == 0
    assert output.endswith(f"Written to {folder / 'report.md'}\n")
    assert sorted(file.name for file in folder.iterdir()) == ["history.csv", "report.md"]


# --- the sample -----------------------------------------------------------------------------------------------------


def test_the_sample_has_each_published_point_unchanged() -> None:
    by_time = {row.time: row for row in sample()}
    points = published()
    assert len(points) == 7
    for point in points:
        row = by_time[point.time]
        assert row.source == point.source != ""
        assert row.difficulty == point.difficulty
        assert "difficulty" not in row.generated
        if point.bitcoin is not None:
            assert (row.bitcoin, "bitcoin" in row.generated) == (point.bitcoin, False)
        if point.hashprice is not None:
            assert row.hashprice == pytest.approx(point.hashprice)
            assert row.generated == ("power_price",)
        if point.hashprice_bitcoins is not None:
            assert row.bitcoin is not None
            assert row.hashprice / row.bitcoin == pytest.approx(point.hashprice_bitcoins)


def test_every_generated_value_of_the_sample_is_labelled() -> None:
    rows = sample()
    published_times = {point.time for point in published()}
    for row in rows:
        assert "power_price" in row.generated
        if row.time not in published_times:
            assert {"hashprice", "bitcoin", "difficulty", "reward"} <= set(row.generated)
            assert row.source == ""
            assert row.point.generated


def test_the_sample_is_the_same_each_time() -> None:
    assert sample() == sample()


async def test_the_report_of_the_sample_says_what_is_generated(tmp_path: Path) -> None:
    code, output, _ = await invoke("--sample", "--folder", str(tmp_path))
    assert code == 0
    assert "Part of this history is generated, not observed" in output
    assert re.search(r"^perfect foresight +[\d,]+ +\+[\d,]+$", output, re.MULTILINE)
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "> **Part of this history is generated**" in report
    assert "| 2026-03-21 00:00 | 33.30 | 133.79T | 70,370 | press, March 2026 | power price |" in report
    for name in ("market.svg", "verdicts.svg", "money.svg"):
        assert "Part of this history is generated, not observed" in (tmp_path / name).read_text(encoding="utf-8")
    assert len(read_csv(tmp_path / "history.csv")) == len(sample())


def test_stretches_separate_observed_from_generated_values() -> None:
    made = ("hashprice",)
    rows = [
        Row(time=at, hashprice=1.0, power_price=0.0, generated=generated)
        for at, generated in ((0.0, ()), (1.0, ()), (2.0, made), (3.0, made), (4.0, ()))
    ]
    assert list(stretches(rows, "hashprice")) == [(0.0, 2.0, False), (2.0, 4.0, True)]


# --- Prometheus -----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def prometheus(series: Mapping[str, list[dict[str, str]]]) -> AsyncIterator[str]:
    """A Prometheus whose range queries give these series of each metric; the third hour of each is missing."""

    async def query(request: web.Request) -> web.Response:
        if request.path == "/api/v1/query":  # which sites there are
            sites = [{"metric": {"site": "x"}, "value": [0, "1"]}]
            return web.json_response({"status": "success", "data": {"resultType": "vector", "result": sites}})
        assert (request.method, request.path) == ("GET", "/api/v1/query_range")
        start, end, step = (float(request.query[name]) for name in ("start", "end", "step"))
        metric = next(name for name in series if name in request.query["query"])
        assert re.fullmatch(rf"avg by \([a-z, ]+\) \(avg_over_time\({metric}{{.*}}\[1h\]\)\)", request.query["query"])
        times = [start + step * number for number in range(int((end - start) / step) + 1)]
        values = [[at, "33.3" if "hashprice" in metric else "0.06"] for at in times[:2] + times[3:]]
        result = [{"metric": labels, "values": values} for labels in series[metric]]
        return web.json_response({"status": "success", "data": {"resultType": "matrix", "result": result}})

    async with serve(query) as url:
        yield url


HASHPRICE, POWER = "mining_hashprice_usd_per_petahash_day", "mining_power_price_usd_per_kilowatt_hour"


async def replayed(config: Path, tmp_path: Path, *tariffs: str) -> tuple[int, Any, str]:
    async with prometheus({HASHPRICE: [{"site": "x"}], POWER: [{"tariff": tariff} for tariff in tariffs]}) as url:
        return await invoke(
            *("--prometheus", url, "--days", "20", "--config.file", str(config), "--folder", str(tmp_path / "report")),
            *("--no-plots", "--output", "json"),
        )


async def test_the_history_is_read_from_prometheus_and_its_gaps_are_labelled(config: Path, tmp_path: Path) -> None:
    code, output, errors = await replayed(config, tmp_path, "ppa")
    assert code == 0, errors
    printed = json.loads(output)
    assert (printed["rows"], printed["rows_generated"]) == (481, 1)
    assert [one["block"] for one in printed["converted"]] == ["old"]


async def test_an_unknown_site_is_refused_with_the_known_ones(config: Path) -> None:
    async with prometheus({}) as url:
        code, _, errors = await invoke("--prometheus", url, "--site", "y", "--days", "20", "--config.file", str(config))
    assert code == 2
    assert "there is no site 'y': choose from x" in errors


async def test_one_of_several_tariffs_must_be_chosen(config: Path, tmp_path: Path) -> None:
    code, _, errors = await replayed(config, tmp_path, "ppa", "spot")
    assert code == 1
    assert "several histories, choose one with --tariff or --site: tariff ppa; tariff spot" in errors
