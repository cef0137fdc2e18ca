"""`hashmargin schedule` and `/api/v1/plan`: the plan of a served exporter as text, JSON and picture."""

import asyncio
import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner
from day_plans import HOUR, capped, tiny
from site_server import published, served
from small_site import small_site

from exporter.cli import main
from exporter.decision.dayplan.problem import Problem
from exporter.decision.dayplan.solve import solve
from exporter.decision.dayplan.timetable import Timetable
from exporter.decision.dayplan.worth import Money, Worth
from exporter.exposition.publication import Publication
from exporter.exposition.views import PlanView

MORNING = 1_796_018_400.0  # 2026-11-30 06:00 UTC


@pytest.fixture(autouse=True)
def _in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    os.environ.pop("TZ", None)
    time.tzset()


async def invoke(*arguments: str) -> tuple[int, str, str]:
    """Run a command in a thread: it has an event loop of its own."""
    result = await asyncio.to_thread(CliRunner().invoke, main, ("schedule", *arguments))
    return result.exit_code, result.stdout, result.stderr


def planned(problem: Problem, worth: Worth | None = None, begin: float = MORNING) -> PlanView:
    moved = tuple(replace(slot, start=begin + slot.start, end=begin + slot.end) for slot in problem.slots)
    plan = solve(replace(problem, slots=moved, asked_at=begin))
    return PlanView(timetable=Timetable(plan=plan, now=begin + HOUR / 2), worth=worth or Worth())


def publication(plan: PlanView | None) -> Publication:
    return published(replace(small_site(), plan=plan))


async def test_the_worked_case_as_a_table_in_local_time() -> None:
    async with served(publication=lambda: publication(planned(tiny()))) as exporter:
        code, text, errors = await invoke("--url", exporter.url)
    assert code == 0, errors
    assert text.splitlines() == [
        "from       to         USD/kWh  site kW  A kW      B kW",
        "Mon 01:00  Mon 02:00   0.0300      657  307 full  350 full",
        "Mon 02:00  Mon 03:00   0.0600      540  190 low   350 full",
        "Mon 03:00  Mon 04:00   0.0800        0  0 off     0 off",
        "Mon 04:00  Mon 05:00   0.2500        0  0 off     0 off",
        "Mon 05:00  Mon 06:00   0.0650      540  190 low   350 full",
        "Mon 06:00  Mon 07:00   0.0400      540  190 low   350 full",
        "",
        "Earns $71.36; no plan beats $71.36 (gap 0.00%).",
        "Earned today (UTC): $0.00 as done, $0.00 by the plan, $0.00 by the verdicts.",
        "Prices are known until Mon 30 Nov 07:00 EST. Energy counts at its marginal price.",
    ]


@pytest.mark.parametrize(
    ("begin", "times"),
    [
        ("2026-11-01T04:00Z", ["00:00 EDT", "01:00 EDT", "01:00 EST", "02:00 EST", "03:00 EST", "04:00 EST"]),
        ("2027-03-14T05:00Z", ["00:00 EST", "01:00 EST", "03:00 EDT", "04:00 EDT", "05:00 EDT", "06:00 EDT"]),
    ],
    ids=["25 hours", "23 hours"],
)
async def test_on_a_day_on_which_the_clocks_change_every_hour_has_its_zone(begin: str, times: list[str]) -> None:
    plan = planned(tiny(), begin=datetime.fromisoformat(begin).timestamp())
    async with served(publication=lambda: publication(plan)) as exporter:
        _, text, _ = await invoke("--url", exporter.url)
        async with exporter.get("api/v1/plan") as answer:
            slots = (await answer.json())["plan"]["slots"]
    assert [line.split("  ")[0] for line in text.splitlines()[1:7]] == [f"Sun {time}" for time in times]
    assert [datetime.fromisoformat(slot["start"]).timestamp() for slot in slots] == [
        datetime.fromisoformat(begin).timestamp() + HOUR * number for number in range(6)
    ]


async def test_one_block_is_shown_and_an_unknown_one_is_refused() -> None:
    async with served(publication=lambda: publication(planned(tiny()))) as exporter:
        _, text, _ = await invoke("--url", exporter.url, "--block", "B")
        code, _, errors = await invoke("--url", exporter.url, "--block", "BB")
    assert text.splitlines()[0].endswith("site kW  B kW")
    assert code == 1
    assert "'BB'" in errors
    assert "B" in errors


async def test_what_cannot_be_kept_and_what_was_earned_is_shown() -> None:
    problem = tiny((capped({1: -2.0}),), energy=1.0)
    points = tuple(
        replace(group, since=0.0, points=(replace(group.points[0], kilowatts=1.0), *group.points[1:]))
        for group in problem.groups
    )
    worth = Worth(today=Money(12.5, 11.0, -3.0))
    plan = planned(replace(problem, groups=points), worth)
    async with served(publication=lambda: publication(plan)) as exporter:
        _, text, _ = await invoke("--url", exporter.url)
    assert "A limit cannot be kept: by 4 kW at most." in text
    assert "The energy of a day cannot be kept: by 11 kWh." in text
    assert "2 starts or stops are earlier than the shortest times, for a limit." in text
    assert "Earned today (UTC): -$3.00 as done, $12.50 by the plan, $11.00 by the verdicts." in text


async def test_stretches_in_which_nothing_changes_are_one_line_and_many_blocks_are_left_out() -> None:
    problem = tiny()
    blocks = tuple(replace(problem.groups[1], block=f"block {number}", prices=(0.03,) * 6) for number in range(7))
    async with served(publication=lambda: publication(planned(replace(problem, groups=blocks)))) as exporter:
        _, text, _ = await invoke("--url", exporter.url)
    assert text.splitlines()[:2] == [
        "from       to         USD/kWh  site kW",
        "Mon 01:00  Mon 07:00   0.0300    2,450",
    ]
    assert "7 blocks: name those to show with --block." in text


async def test_groups_of_a_block_at_several_points_are_named() -> None:
    problem = tiny((capped({1: 300.0}),))
    one = replace(problem, groups=tuple(replace(group, block="A") for group in problem.groups))
    async with served(publication=lambda: publication(planned(one))) as exporter:
        _, text, _ = await invoke("--url", exporter.url)
        _, record, _ = await invoke("--url", exporter.url, "--output", "json")
    assert "210 off, low" in text
    block = json.loads(record)["slots"][1]["blocks"]["A"]
    assert block == {"watts": 210_000.0, "profile": None, "profiles": {"A": "off", "B": "low"}}


async def test_the_record_is_as_documented() -> None:
    worth = Worth(today=Money(1.0, 2.0, 3.0), yesterday=Money(4.0, 5.0, 6.0))
    async with (
        served(publication=lambda: publication(planned(tiny(), worth))) as exporter,
        exporter.get("api/v1/plan") as answer,
    ):
        plan = (await answer.json())["plan"]
    first = plan.pop("slots")[0]
    assert plan == {
        "computed_at": "2026-11-30T06:00:00Z",
        "horizon_end": "2026-11-30T12:00:00Z",
        "unit": "W",
        "value_usd": pytest.approx(71.356667),
        "bound_usd": pytest.approx(71.356667),
        "gap_ratio": pytest.approx(0.0, abs=1e-9),
        "violation_watts": 0.0,
        "early_starts_and_stops": 0,
        "excess_kilowatt_hours": 0.0,
        "earned_usd": {
            "today": {"plan": 1.0, "verdict": 2.0, "done": 3.0},
            "yesterday": {"plan": 4.0, "verdict": 5.0, "done": 6.0},
        },
    }
    assert first == {
        "start": "2026-11-30T06:00:00Z",
        "end": "2026-11-30T07:00:00Z",
        "price_usd_per_kilowatt_hour": pytest.approx(0.03),
        "watts": 657_000.0,
        "blocks": {
            "A": {"watts": 307_000.0, "profile": "full", "profiles": {"A": "full"}},
            "B": {"watts": 350_000.0, "profile": "full", "profiles": {"B": "full"}},
        },
    }


async def test_without_a_plan_the_error_says_what_to_set() -> None:
    async with served(publication=lambda: publication(None)) as exporter:
        code, _, errors = await invoke("--url", exporter.url)
    assert code == 1
    assert "set decision.day_plan" in errors


async def test_a_plan_that_is_over_is_an_empty_table() -> None:
    over = planned(tiny())
    over = replace(over, timetable=replace(over.timetable, now=MORNING + 6 * HOUR))
    async with served(publication=lambda: publication(over)) as exporter:
        code, text, _ = await invoke("--url", exporter.url)
    assert code == 0
    assert text.splitlines()[0] == "from  to  USD/kWh  site kW"


async def test_the_picture_has_price_and_power(tmp_path: Path) -> None:
    picture = tmp_path / "schedule.svg"
    async with served(publication=lambda: publication(planned(tiny()))) as exporter:
        code, _, errors = await invoke("--url", exporter.url, "--picture", str(picture))
        refused = await invoke("--url", exporter.url, "--picture", "schedule.pdf")
    assert code == 0, errors
    text = picture.read_text("utf-8")
    assert ET.fromstring(text).tag.endswith("svg")
    assert "planned power, kW" in text
    assert refused[0] == 2
