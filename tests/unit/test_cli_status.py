"""`hashmargin status`, `rigs` and the completion of names, against a served exporter."""

import asyncio
import csv
import io
import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.shell_completion import ShellComplete
from site_server import published, served
from small_site import fleet_of
from test_tools_plan import HOST, blocks_of_old_and_new, invoke

from exporter.cli import main
from exporter.cli.completion import Bash
from exporter.exposition.views import Status
from exporter.model.failures import Failure, Reason
from exporter.tools.fleet import Overview, Rigs, Shed, shed_summary
from exporter.tools.site_status import Level, Limits, of_failure, of_site

LIMITS = Limits(down_warning=0.05, down_critical=0.10, loss_warning=100.0, max_age=120.0)


def overview(*, down: int = 0, stopped: int = 0, mining: int = 90, **given: float | None) -> Overview:
    counts = dict.fromkeys(Status, 0) | {Status.MINING: mining, Status.DOWN: down, Status.STOPPED: stopped}
    values: dict[str, float | None] = {"margin": 57.7, "avoidable_loss": 3.0, "hashrate": 1e15, "power": 3.5e5} | given
    return Overview(site="x", age=values.pop("age", 4.0) or 0.0, counts=counts, priced=90, **values)


@pytest.mark.parametrize(
    ("site", "level"),
    [
        (overview(), Level.OK),
        (overview(down=4), Level.OK),
        (overview(down=3, stopped=3), Level.WARNING),
        (overview(down=5, stopped=5), Level.CRITICAL),
        (overview(avoidable_loss=100.0), Level.WARNING),
        (overview(margin=None), Level.WARNING),
        (overview(age=121.0), Level.CRITICAL),
        (overview(mining=0, down=1), Level.CRITICAL),
    ],
)
def test_a_site_is_judged_by_its_limits(site: Overview, level: Level) -> None:
    assert of_site(site, LIMITS).level is level


def test_the_values_of_an_old_evaluation_are_not_shown() -> None:
    old = of_site(overview(age=3_600.0), LIMITS)
    assert old.text == "x: the evaluation is 1h old, so the state is not known"
    assert old.figures == ""


def test_an_unknown_value_is_not_in_the_performance_data() -> None:
    status = of_site(overview(margin=None, avoidable_loss=None), LIMITS)
    assert status.figures == "mining=90;;;0;90 down=0;4.5;9;0;90 hashrate=1e+15;;;0 power=350000;;;0"
    assert ", margin unknown, avoidable loss unknown, " in status.text


def test_a_site_whose_rigs_have_not_been_polled_is_unknown() -> None:
    counts = dict.fromkeys(Status, 0) | {Status.UNKNOWN: 5}
    new = Overview(
        site="x", age=1.0, counts=counts, priced=0, margin=None, avoidable_loss=None, hashrate=None, power=None
    )
    assert of_site(new, LIMITS).level is Level.UNKNOWN


@pytest.mark.parametrize(
    ("reason", "level"),
    [(Reason.REFUSED, Level.CRITICAL), (Reason.AUTH, Level.UNKNOWN), (Reason.NOT_READY, Level.UNKNOWN)],
)
def test_an_exporter_that_is_down_is_critical_and_a_wrong_check_is_unknown(reason: Reason, level: Level) -> None:
    assert of_failure(Failure(reason, "x"), "http://x").level is level


async def test_the_status_is_one_line_with_an_exit_code() -> None:
    async with served(publication=blocks_of_old_and_new) as exporter:
        code, output, _ = await invoke("status", "--url", exporter.url, "--max-age", "1e12")
    assert code == 0, output
    assert output.startswith("OK: prairie-1: 21 of 22 rigs mine, 0 down or stopped, margin ")
    assert output.count("\n") == 1
    assert "| mining=21;;;0;22 down=0;" in output


async def test_a_stale_evaluation_is_critical() -> None:
    async with served() as exporter:
        code, output, _ = await invoke("status", "--url", exporter.url)
    assert (code, output.partition(":")[0]) == (2, "CRITICAL")


async def test_an_exporter_that_does_not_answer_is_critical() -> None:
    code, output, _ = await invoke("status", "--url", f"{HOST}:1")
    assert code == 2
    assert output.startswith(f"CRITICAL: http://{HOST}:1 gave no answer (refused: ")


async def test_rigs_are_filtered_and_sorted() -> None:
    async with served(publication=blocks_of_old_and_new) as exporter:
        common = ("rigs", "--url", exporter.url.removeprefix("http://").rstrip("/"))
        _, table, summary = await invoke(*common, "--block", "old", "--sort", "margin", "--limit", "2")
        _, text, _ = await invoke(*common, "--search", "new-", "--columns", "rig,power_watts", "--output", "csv")
        _, document, _ = await invoke(*common, "--status", "unknown", "--output", "json")
        _, none, _ = await invoke(*common, "--search", "nowhere")
        code, _, refusal = await invoke(*common, "--block", "nowhere")
    assert table.splitlines()[0].split()[:3] == ["rig", "block", "model"]
    assert "margin, USD/day" in table
    assert len(table.splitlines()) == 3
    assert summary == "2 of 10 rigs\n"
    assert list(csv.reader(io.StringIO(text)))[:2] == [["rig", "power_watts"], ["new-0", "3500.0"]]
    assert [rig["rig"] for rig in json.loads(document)["rigs"]] == ["silent-0"]
    assert none == "no rig matches\n"
    assert code == 2
    assert "there is no block 'nowhere': choose from " in refusal


async def test_all_fields_of_every_rig_are_written_as_csv() -> None:
    async with served() as exporter:
        _, text, _ = await invoke("rigs", "--url", exporter.url, "--output", "csv")
    rigs = list(csv.DictReader(io.StringIO(text)))
    assert len(rigs) == 5
    assert json.loads(rigs[0]["faults"])[0]["code"] == "board_chips"
    assert rigs[2]["margin_usd_per_day"] == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--sort", "money"), "sort must be one of rig, block, model"),
        (("--columns", "margin_usd_per_dai"), "did you mean 'margin_usd_per_day'?"),
    ],
)
async def test_an_unknown_word_is_exit_code_2_with_the_known_ones(arguments: tuple[str, ...], words: str) -> None:
    async with served() as exporter:
        code, _, errors = await invoke("rigs", "--url", exporter.url, *arguments)
    assert code == 2
    assert words in errors


def complete(arguments: list[str], incomplete: str) -> list[str]:
    shell = ShellComplete(main, {}, "hashmargin", "_HASHMARGIN_COMPLETE")
    return [item.value for item in shell.get_completions(arguments, incomplete)]


async def test_the_names_of_rigs_complete_in_the_shell() -> None:
    async with served(publication=lambda: published(fleet_of(30))) as exporter:
        arguments = ["explain", "--url", exporter.url]
        assert await asyncio.to_thread(complete, arguments, "r-01") == [f"r-{number:03}" for number in range(10, 20)]
    assert await asyncio.to_thread(complete, ["explain", "--url", f"{HOST}:1"], "r-01") == []


@pytest.mark.parametrize(
    ("begun", "word", "replaced_by"),
    [
        ("", "", [r"c2\ 3", r"d+1\ \&\ \#2", "r:7:1", "r:7:2"]),
        ("c", "c", [r"c2\ 3"]),
        (r"c2\ ", r"c2\ ", [r"c2\ 3"]),
        ("'c2 ", "c2 ", ["c2 3"]),
        ('"d', "d", ["d+1 & #2"]),
        ("r", "r", ["r:7:1", "r:7:2"]),
        ("r:", "", ["7:1", "7:2"]),  # a word begins after a colon, for bash
        ("r:7", "7", ["7:1", "7:2"]),
        ("r:7:", "", ["1", "2"]),
    ],
)
async def test_bash_gets_names_as_they_are_typed(
    monkeypatch: pytest.MonkeyPatch, begun: str, word: str, replaced_by: list[str]
) -> None:
    view = fleet_of(4)
    names = ("c2 3", "d+1 & #2", "r:7:1", "r:7:2")
    rigs = [
        replace(each, rig=replace(each.rig, name=name)) for each, name in zip(view.snapshot.rigs, names, strict=True)
    ]
    site = replace(view, snapshot=replace(view.snapshot, rigs=tuple(rigs)))
    async with served(publication=lambda: published(site)) as exporter:
        monkeypatch.setenv("COMP_WORDS", f"hashmargin explain --url {exporter.url} {begun}")
        monkeypatch.setenv("COMP_CWORD", word)
        shell = Bash(main, {}, "hashmargin", "_HASHMARGIN_COMPLETE")
        said = await asyncio.to_thread(shell.complete)
    assert said.splitlines() == [f"plain,{each}" for each in replaced_by]


def test_bash_takes_a_completion_with_a_space_as_one(tmp_path: Path) -> None:
    program = tmp_path / "answers"
    program.write_text("#!/bin/sh\nprintf 'plain,%s\\nplain,e\\n' \"$COMP_WORDS|$COMP_CWORD\"\n", encoding="utf-8")
    program.chmod(0o755)
    source = ShellComplete.source(Bash(main, {}, "hashmargin", "_HASHMARGIN_COMPLETE"))
    asked = 'COMP_LINE="hashmargin explain c2  x"; COMP_POINT=21; _hashmargin_completion "$0" c2'
    script = f'{source}\n{asked}; printf "<%s>" "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "--norc", "-c", script, program], capture_output=True, text=True, check=True)
    assert done.stdout == "<hashmargin explain c2|c2><e>"


async def test_setpoints_are_listed_by_what_they_shed_per_dollar() -> None:
    async with served() as exporter:
        _, table, summary = await invoke("setpoints", "--url", exporter.url, "--limit", "2")
        _, text, _ = await invoke("setpoints", "--url", exporter.url, "--output", "csv")
        _, document, _ = await invoke("setpoints", "--url", exporter.url, "--block", "north", "--output", "json")
    assert table.splitlines()[0].split()[:2] == ["rig", "block"]
    assert "3500 W" in table
    assert summary == "2 of 5 rigs\n"
    first, *_ = csv.DictReader(io.StringIO(text))
    assert (first["rig"], first["operating_point"], first["best_point"]) == ("a-01", "3500 W", "2600 W")
    assert (first["best_point_confidence"], first["lower_point"]) == ("estimate", "2600 W")
    assert float(first["lower_point_shed_watts"]) == pytest.approx(900.0)
    assert float(first["lower_point_loss_usd_per_kilowatt_hour"]) == pytest.approx(0.414 / -0.9 / 24, abs=1e-4)
    assert {rig["block"] for rig in json.loads(document)["setpoints"]} == {"north"}


async def test_power_is_shed_at_the_least_loss() -> None:
    async with served() as exporter:
        code, table, summary = await invoke("shed", "--url", exporter.url, "--kilowatts", "0.8")
        _, text, _ = await invoke("shed", "--url", exporter.url, "--kilowatts", "0.8", "--output", "csv")
        _, document, errors = await invoke("shed", "--url", exporter.url, "--kilowatts", "2MW", "--output", "json")
        wrong, _, words = await invoke("shed", "--url", exporter.url, "--kilowatts", "1e9")
    assert code == 0
    assert "2600 W" in table
    assert summary.splitlines()[0] == "1 rig sheds 0.9 kW of 0.8 kW wanted and earns $0.41 a day more."
    assert "Act on it until " in summary
    assert "Nothing has been changed" in summary
    assert [row["point"] for row in csv.DictReader(io.StringIO(text))] == ["2600 W"]
    assert json.loads(document)["cuts"][0]["point"] == "off"
    assert "kW are missing" in errors
    assert (wrong, "kilowatts must be a number above 0" in words) == (2, True)


def cuts(*shed: tuple[str, float], loss: float, **more: Any) -> Shed:
    rigs = [{"block": block, "shed_watts": watts} for block, watts in shed]
    totals = {"shed": sum(watts for _, watts in shed), "missing": 0.0, "valid_until": None, "over_capacity": []}
    return Shed(cuts=Rigs(total=len(rigs), rigs=rigs), loss=loss, **(totals | more))


def test_a_person_reads_what_a_cut_costs_where_it_falls_and_what_is_missing() -> None:
    found = cuts(("c1", 3_000.0), ("c2", 2_500.0), ("c2", 2_500.0), loss=12.5)
    assert shed_summary(found, 7.9).splitlines() == [
        "3 rigs shed 8.0 kW of 7.9 kW wanted and lose $12.50 a day.",
        "  block  rigs  shed, kW",
        "  c2        2       5.0",
        "  c1        1       3.0",
        "Nothing has been changed: set these points on the rigs, or let your controller do it.",
    ]
    found = cuts(("c1", 3_000.0), ("c1", 3_000.0), loss=-1.0, missing=4_000.0, over_capacity=["c1"], valid_until=0.0)
    first, over, missing, until, _ = shed_summary(found, 10.0).splitlines()
    assert first == "2 rigs shed 6.0 kW of 10.0 kW wanted and earn $1.00 a day more."
    assert over == "Cut first, because their feeder carries more than its capacity: c1."
    assert missing.startswith("4.0 kW are missing")
    assert until.startswith("Act on it until 19")
    alone = shed_summary(cuts(("c1", 3_000.0), loss=2.0), 3.0)
    assert alone.startswith("1 rig sheds 3.0 kW of 3.0 kW wanted and loses $2.00 a day.")
