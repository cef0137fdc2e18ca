"""What an ops room looks at: the wall, the map of the site, and the charts of the last six hours."""

import asyncio
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import aiohttp
import pytest
import yaml
from aiohttp import web
from site_server import published, served
from small_site import TAKEN_AT, WELL, small_site
from source_site import serve

from exporter.decision.values import RigDecision, Verdict
from exporter.economics.values import BlockEconomics, RigEconomics
from exporter.exposition.views import RigView, SiteView, Status
from exporter.model.failures import Failure, Reason
from exporter.model.readings import Board
from exporter.server.pages.charts import charts
from exporter.server.pages.site_map import HOT, LOSS, VIEWS, BlockPlan, hottest_board, natural, plans
from exporter.server.pages.wall import failing
from exporter.server.rings import POINTS, Course, Rings
from exporter.sources.alertmanager import Alert, LatestAlerts, alerts
from exporter.sources.http import Endpoint, HttpSettings

DEPLOY = Path(__file__).parents[2] / "deploy/prometheus"
MINUTE = 60.0
UNKNOWN = '<span class="unknown">unknown</span>'


def at(seconds: float, *blocks: BlockEconomics) -> SiteView:
    view = small_site()
    return replace(
        view,
        economics=replace(view.economics, blocks=blocks),
        snapshot=replace(view.snapshot, taken_at=TAKEN_AT + seconds),
    )


def block(name: str = "north", **values: float | None) -> BlockEconomics:
    return replace(BlockEconomics(name=name), **values)  # type: ignore[arg-type]


# --- rings --------------------------------------------------------------------------------------------------------


def test_a_ring_keeps_the_last_evaluation_of_each_minute() -> None:
    rings = Rings()
    for seconds, margin in ((0, 1.0), (15, 2.0), (MINUTE, 3.0)):
        rings.note(at(seconds, block(margin=margin)))
    (course,) = rings.site()
    assert (course.name, course.known) == ("margin", [2.0, 3.0])
    assert course.values[-2:] == [2.0, 3.0]
    assert course.end == (TAKEN_AT + MINUTE) // MINUTE * MINUTE


def test_what_was_unknown_is_a_gap() -> None:
    rings = Rings()
    rings.note(at(0, block(margin=1.0)))
    rings.note(at(MINUTE, block(margin=None)))
    rings.note(at(4 * MINUTE, block(margin=4.0)))
    (course,) = rings.site()
    assert course.values[-5:] == [1.0, None, None, None, 4.0]


def test_a_ring_forgets_after_six_hours() -> None:
    rings = Rings()
    for minute in range(POINTS + 5):
        rings.note(at(minute * MINUTE, block(margin=float(minute))))
    (course,) = rings.site()
    assert course.values == [float(minute) for minute in range(5, POINTS + 5)]
    rings.note(at((3 * POINTS) * MINUTE, block(margin=7.0)))
    assert rings.site()[0].known == [7.0]


def test_a_clock_that_is_set_back_begins_anew() -> None:
    rings = Rings()
    rings.note(at(10 * MINUTE, block(margin=1.0)))
    rings.note(at(0, block(margin=2.0)))
    assert rings.site()[0].known == [2.0]


def test_a_block_that_is_gone_is_forgotten() -> None:
    rings = Rings()
    rings.note(at(0, block("north", margin=1.0), block("south", margin=2.0)))
    rings.note(at(MINUTE, block("south", margin=3.0)))
    assert {name: [course.known for course in courses] for name, courses in rings.blocks().items()} == {
        "south": [[2.0, 3.0]]
    }


def test_the_price_of_the_site_is_weighted_by_power() -> None:
    rings = Rings()
    cheap = block("north", marginal_price=0.02, judged_power=3e6, hashrate=1e15)
    rings.note(at(0, cheap, block("south", marginal_price=0.06, judged_power=1e6), block("west")))
    assert {course.name: course.known for course in rings.site()} == {
        "price": [pytest.approx(0.03)],
        "hashrate": [1e15],
    }


def test_the_rings_of_any_site_take_at_most_5_megabytes() -> None:
    rings = Rings()
    rings.note(at(0, *(block(f"b{index}", margin=1.0) for index in range(2_000))))
    assert rings.size <= 5e6
    assert len(rings.blocks()) == 500


# --- charts -------------------------------------------------------------------------------------------------------


def test_a_chart_is_a_line_with_gaps() -> None:
    (chart,) = charts([Course("margin", [None, -10.0, 10.0, None, 0.0], 0.0)])
    assert chart.path == "M1 57.0h.5L2 3.0M4 30.0h.5"
    assert (chart.least, chart.most, chart.now, chart.zero) == ("−$10.00", "$10.00", "$0.00", 30.0)  # noqa: RUF001


def test_a_value_that_hardly_changes_is_drawn_flat() -> None:
    (chart,) = charts([Course("hashrate", [1.000e15, 1.001e15, None], 0.0)])
    assert chart.path == "M0 31.3h.5L1 28.7"
    assert (chart.now, chart.zero) == (None, None)
    (constant,) = charts([Course("margin", [0.0], 0.0)])
    assert constant.path == "M0 30.0h.5"


async def test_the_pages_draw_what_was_published_since_the_start() -> None:
    async with served() as site:
        site.latest.publish(published(small_site()))
        async with site.get("") as overview, site.get("blocks") as blocks:
            assert "Margin per day: <b>$2.22</b>" in await overview.text()
            assert "Last 6 hours" in await blocks.text()


# --- map ----------------------------------------------------------------------------------------------------------


def rig(name: str, block: str = "north", rack: str = "", position: str = "") -> RigView:
    snapshot = replace(WELL, rig=replace(WELL.rig, name=name, block=block, rack=rack, position=position))
    return RigView(snapshot, RigEconomics(), RigDecision())


def test_racks_are_columns_and_positions_are_rows_in_natural_order() -> None:
    rigs = [rig("d", rack="r10", position="2"), rig("b", rack="r9", position="10"), rig("c", rack="r9", position="2")]
    assert plans(rigs) == [
        BlockPlan(name="north", columns=2, rows=2, cells=[(1, 0, 0), (0, 1, 1), (0, 0, 2)]),
    ]


def test_rigs_without_a_place_of_their_own_are_a_grid_beneath() -> None:
    placed = [rig("a", rack="r1", position="1"), rig("twin", rack="r1", position="1")]
    (plan,) = plans([*placed, rig("n10"), rig("n9")])
    assert (plan.columns, plan.rows) == (3, 2)
    assert plan.cells == [(0, 0, 0), (0, 1, 3), (1, 1, 2), (2, 1, 1)]


def test_every_rig_has_one_cell_of_its_own_within_its_block() -> None:
    rigs = [rig(f"r{index}", f"b{index % 7}", position=str(index % 5)) for index in range(200)]
    found = plans(rigs)
    assert [plan.name for plan in found] == [f"b{number}" for number in range(7)]
    assert sorted(index for plan in found for _, _, index in plan.cells) == list(range(200))
    for plan in found:
        assert len({(column, row) for column, row, _ in plan.cells}) == len(plan.cells)
        assert all(0 <= column < plan.columns and 0 <= row < plan.rows for column, row, _ in plan.cells)


def test_names_are_sorted_by_their_numbers() -> None:
    assert sorted(["c10", "c9", "b", "", "²"], key=natural) == ["", "b", "c9", "c10", "²"]


def test_the_hottest_board_is_unknown_without_a_fresh_reading() -> None:
    view = rig("a")
    reading = view.snapshot.reading
    assert reading is not None
    boards = (Board(index=0, temperature=61.0), Board(index=1, temperature=72.5), Board(index=2))
    hot = replace(view.snapshot, reading=replace(reading, value=replace(reading.value, boards=boards)))
    assert hottest_board(view._replace(snapshot=hot)) == 72.5
    assert hottest_board(view._replace(snapshot=replace(hot, reading=None))) is None


def test_the_map_turns_red_where_alerts_fire() -> None:
    alerts_of = {
        alert["alert"]: alert["expr"]
        for path in DEPLOY.glob("alerts/*.yml")
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
        for alert in group["rules"]
    }
    assert f"mining_rig_potential_margin_usd_per_day < {LOSS:g}\n" in alerts_of["MiningRigAvoidableLoss"]
    recorded = (DEPLOY / "rules/alerts.yml").read_text(encoding="utf-8")
    assert f"(mining_rig_board_temperature_celsius > {HOT:g})\n" in recorded


def test_every_status_and_verdict_has_a_colour_on_the_map() -> None:
    sheet = (files("exporter.server") / "static" / "style.css").read_text(encoding="utf-8")
    assert VIEWS["status"]["kinds"].keys() == set(Status) - {Status.UNKNOWN}
    assert VIEWS["verdict"]["kinds"].keys() == set(Verdict) - {Verdict.UNKNOWN}
    for view in VIEWS.values():
        steps = view.get("steps", [])
        assert [limit for *_, limit in steps] == sorted(limit for *_, limit in steps[:-1]) + [None] * bool(steps)
        for colour in [*view.get("kinds", {}).values(), *(colour for _, colour, _ in steps)]:
            assert f".swatch-{colour} " in sheet


async def test_the_cells_of_the_map_say_what_is_unknown() -> None:
    async with served() as site:
        async with site.get("map.json") as answer:
            found = await answer.json()
        assert (found["evaluated"], found["stuck"]) == (TAKEN_AT, False)
        by_name = {name: rest for name, *rest in found["rigs"]}
        assert by_name["a-01"][0] == "mining"
        assert by_name["b-01"] == ["down", None, None, None]
        site.clock.now += 46
        async with site.get("map.json") as answer:
            assert (await answer.json())["stuck"]


# --- wall ---------------------------------------------------------------------------------------------------------


async def test_the_wall_shows_what_is_down_and_that_alerts_are_unknown() -> None:
    async with served() as site, site.get("wall") as answer:
        page = await answer.text()
    assert '<dd class="figure good">$2</dd>' in page
    assert f'<dd class="figure">{UNKNOWN}</dd>' in page
    assert "Set web.alertmanager" in page
    assert dict(failing(small_site())).items() <= {"north": 1, "south": 1}.items()


async def test_the_wall_shows_no_figures_of_a_stuck_exporter() -> None:
    async with served() as site:
        site.clock.now += 46
        async with site.get("wall") as answer:
            page = await answer.text()
    assert "has stopped evaluating" in page
    assert "$" not in page
    assert page.count(UNKNOWN) == 4


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        ([Alert("MiningRigsDown", "critical", "prairie-1", "9 rigs are down", 0.0)], "critical: 9 rigs are down<"),
        ([Alert("MiningRigDown", "info", "other", "", 0.0)], "info: MiningRigDown (other)"),
        ([Alert("MiningRigDown", "info", "", "", 0.0)] * 6, "and 2 more"),
        ([], '<dd class="figure">0</dd>'),
        (Failure(Reason.TIMEOUT, "no answer within 5 s"), "The alerts are unknown. no answer within 5 s"),
    ],
)
async def test_the_wall_shows_the_alerts_that_fire(found: list[Alert] | Failure, shown: str) -> None:
    async with served(alerts=found) as site, site.get("wall") as answer:
        assert shown in await answer.text()


def alert(name: str, severity: str) -> dict[str, object]:
    return {"labels": {"alertname": name, "severity": severity}, "startsAt": "2026-01-01T00:00:00Z"}


WATCHDOG = alert("MiningWatchdog", "none")


async def test_the_watchdog_is_no_alert() -> None:
    listed = [alert("MiningRigDown", "info"), WATCHDOG, alert("MiningRigsDown", "critical")]

    async def respond(_: web.Request) -> web.Response:
        return web.json_response(listed)

    async with serve(respond) as url, aiohttp.ClientSession() as session:
        found = await alerts(Endpoint(HttpSettings(url=url), session))
    assert isinstance(found, list)
    assert [each.name for each in found] == ["MiningRigsDown", "MiningRigDown"]


async def test_without_the_watchdog_the_alerts_are_unknown() -> None:
    """An empty list of an Alertmanager that no Prometheus sends to is no all-clear."""

    async def respond(_: web.Request) -> web.Response:
        return web.json_response([])

    async with serve(respond) as url, aiohttp.ClientSession() as session:
        found = await alerts(Endpoint(HttpSettings(url=url), session))
    assert isinstance(found, Failure)
    assert "MiningWatchdog does not fire" in found.detail


async def test_walls_that_ask_together_share_one_request_and_keep_its_failure() -> None:
    asked = 0

    async def respond(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.json_response([WATCHDOG], status=200 if asked == 1 else 503)

    now = 0.0
    async with serve(respond) as url, aiohttp.ClientSession() as session:
        firing = LatestAlerts(Endpoint(HttpSettings(url=url), session), lambda: now)
        assert await asyncio.gather(firing(), firing(), firing()) == [[], [], []]
        assert asked == 1
        now = 6.0
        assert isinstance(await firing(), Failure)
        assert asked > 1
