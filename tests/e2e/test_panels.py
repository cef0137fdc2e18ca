"""What every panel shows of a healthy site and without data, by Grafana's own libraries."""

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from browser import chromium
from harness import SITE, Prometheus, Stack, any_prometheus, prometheus_of, unfolded, wait_for
from panels import DASHBOARDS, UNKNOWN, Shown, draw, known, links, of, show, show_all, tiles
from prometheus_releases import PACKAGED

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("libraries"), any_prometheus]

ELSE_EMPTY = {
    ("What is wrong", "A"): "unplugged",
    ("Rigs that do not answer", "B"): "unplugged",
    ("Faults", "A"): "board_lost",
    ("Workers that are not expected", "A"): "worker_renamed",
    ("Rigs that have no live pool", "A"): "pools_dead",
}
"""Queries that are empty on a healthy site, and the fault of a rig with which they are not.

That of XID errors is too; one of the simulated GPUs is always broken.
"""

NOT_SIMULATED = {
    ("Thermal margin", "A"),
    ("Power", "D"),
    ("Board power", "A"),
    ("Power in and out", "B"),
    ("Disagreement of sources", "A"),
    ("Feeds", "F"),
    *(("Money left on the table, by block", ref) for ref in "ABC"),  # no rig of the site lists its points
    ("Money left on the table, by model", "A"),
    ("Best point", "D"),
    *(("Why the margin changed since yesterday", ref) for ref in "ABCDEF"),  # a day old at least
    ("Probability of a coincident peak", "A"),  # no grid's load is simulated
    *(("Next change by block", ref) for ref in "BC"),  # at steady prices a plan may have none
}
"""Queries for what no firmware or source of the simulated site reports."""

OF_FAILING_SITES = {("What is wrong", "B"), ("Failed fetches by reason", "A")}
"""Queries that test_panels_of_failing_sites.py shows with data."""

OF_HOURS = "pool-against-rig"
"""The dashboard of windows that a site needs hours to fill."""

ELSE_UNKNOWN = {
    ("Margin, mean of 30 days", f"{SITE} acme"),  # until they were recorded for so long
    ("Margin, mean of 30 days", f"{SITE} birch"),
    ("Avoidable loss", f"{SITE} birch"),  # whose rigs the host may curtail
}
"""Big numbers that are unknown on a healthy site."""

Query = tuple[str, str]
"""A panel's title and the letter of one of its queries."""


@pytest.fixture(scope="module")
def healthy(running: Stack) -> dict[str, Shown]:
    """What all dashboards show, once no query is empty and no number unknown that should not be."""
    shown: dict[str, Shown] = {}

    def settled() -> bool:
        shown.update(show_all(running.prometheus.url))
        assert unanswered(of_now(shown).values()) == set()
        assert all(unknown(board) <= ELSE_UNKNOWN for board in of_now(shown).values())
        return True

    wait_for("every query to return data", settled)
    return shown


@pytest.fixture(scope="module")
def rigs(running: Stack) -> list[Shown]:
    """The rig dashboard of a rig of each model: not every firmware reports everything."""
    of_models = {rig["model"]: name for name, rig in running.site()["rigs"].items() if not rig["fault"]}
    views = [("rig", {"rig": name}) for name in of_models.values()]
    shown: list[Shown] = []

    def settled() -> bool:
        shown[:] = show(running.prometheus.url, views)
        assert unanswered(shown) == set()
        return True

    wait_for("every query of a rig to return data", settled)
    return shown


def of_now(boards: Mapping[str, Shown]) -> dict[str, Shown]:
    """The dashboards that a site fills at once, whichever rig it has."""
    return {name: shown for name, shown in boards.items() if name not in {"rig", OF_HOURS}}


def unknown(shown: Shown) -> set[tuple[str, str]]:
    """(panel, name) of each big number that is unknown."""
    return {tile[:2] for tile in tiles(shown) if tile[2:] == UNKNOWN}


def unanswered(boards: Iterable[Shown]) -> set[Query]:
    """The queries that return nothing on any of the dashboards, and should."""
    asked: set[Query] = set()
    answered: set[Query] = set()
    for shown in boards:
        empty = {(panel["title"], ref) for panel in shown.panels for ref in panel.get("empty", [])}
        queries = {
            (panel["title"], target["refId"])
            for panel in unfolded(shown.data["dashboard"])
            for target in panel.get("targets", [])
        }
        asked |= queries
        answered |= queries - empty
    return asked - answered - NOT_SIMULATED - OF_FAILING_SITES - ELSE_EMPTY.keys()


def test_every_query_returns_data_on_a_healthy_site(healthy: dict[str, Shown], rigs: list[Shown]) -> None:
    for shown in (*healthy.values(), *rigs):
        assert [panel for panel in shown.panels if "error" in panel] == []


@pytest.mark.parametrize("query", ELSE_EMPTY)
def test_a_query_for_what_is_wrong_returns_data_when_it_is(running: Stack, query: Query) -> None:
    title, ref = query
    (name,) = (name for name, board in DASHBOARDS.items() if title in {panel["title"] for panel in board["panels"]})
    with broken_rig(running, ELSE_EMPTY[query]) as (rig, block):
        chosen = {"rig": rig, "block": block}
        wait_for(title, lambda: ref not in show(running.prometheus.url, [(name, chosen)])[0].panel(title)["empty"])


@contextlib.contextmanager
def broken_rig(running: Stack, fault: str) -> Iterator[tuple[str, str]]:
    """Break a rig that is well, of a firmware that reports such a fault, until the end of the block."""
    name, rig = next(
        (name, rig)
        for name, rig in running.site()["rigs"].items()
        if not rig["fault"] and rig["model"].startswith("Antminer")
    )
    running.switch("faults", rig=name, fault=fault)
    try:
        yield name, rig["block"]
    finally:
        running.switch("faults", rig=name, fault=None)


def test_a_healthy_site_is_known(healthy: dict[str, Shown]) -> None:
    for name, shown in of_now(healthy).items():
        numbers = list(tiles(shown))
        assert unknown(shown) <= ELSE_UNKNOWN, name
        assert len({tile[:2] for tile in numbers}) == len(numbers), f"{name} has two numbers under one name"


def test_no_text_is_a_number_that_is_none(healthy: dict[str, Shown], rigs: list[Shown]) -> None:
    for shown in (*healthy.values(), *rigs):
        for panel in shown.panels:
            for item in (*panel.get("tiles", ()), *panel.get("lines", ()), *panel.get("buckets", ())):
                assert not re.search(r"NaN|undefined|null|Infinity", item.get("text", "")), panel["title"]


def test_a_legend_names_only_labels_that_are_there(healthy: dict[str, Shown], rigs: list[Shown]) -> None:
    for shown in (*healthy.values(), *rigs):
        for panel in shown.panels:
            names = [item["name"] for item in (*panel.get("lines", ()), *panel.get("buckets", ()))]
            assert [name for name in names if not name or name != name.strip() or "  " in name] == [], panel["title"]
            assert len(set(names)) == len(names), f"{panel['title']} has two lines of one name"


def test_bars_start_at_zero(healthy: dict[str, Shown]) -> None:
    found = list(of("bargauge", healthy))
    assert found
    for place, panel in found:
        assert {bar["min"] for bar in panel["tiles"]} == {0}, place
        assert all(bar["numeric"] >= 0 for bar in panel["tiles"]), f"{place}: a bar for a negative value has no length"


def test_a_link_opens_what_its_row_is_about(healthy: dict[str, Shown]) -> None:
    linked = 0
    for place, panel in of("table", healthy):
        for row, chosen in links(panel):
            about = [label for label in ("rig", "block") if f"var-{label}" in chosen]  # none: the whole site
            assert [chosen[f"var-{label}"] for label in ("site", *about)] == [
                [SITE],
                *([row[label]] for label in about),
            ]
            assert chosen["from"] < chosen["to"], place
            linked += 1
    assert linked > 20


def test_grafanas_components_draw_what_the_panels_show(healthy: dict[str, Shown], tmp_path: Path) -> None:
    with chromium(tmp_path) as browser:
        for name, shown in healthy.items():
            picture = draw(browser, shown, tmp_path)
            assert picture.startswith(b"\x89PNG"), name
            drawn = re.sub(r"\s", "", browser.run("return document.body.innerText"))
            numbers = [tile for panel in shown.panels for tile in panel.get("tiles", ())]
            wanted = [panel["title"] for panel in shown.panels]
            wanted += [tile["text"] for tile in numbers if tile["unit"] != "dateTimeFromNow"]
            assert [text for text in wanted if re.sub(r"\s", "", text) not in drawn] == [], name


def test_without_data_everything_is_unknown(running: Stack) -> None:
    shown = show_all(running.prometheus.url, job="nobody", site="nobody", block="nobody", rig="nobody")
    for name, board in shown.items():
        assert known(board) == {}, name
        assert [panel for panel in board.panels if "error" in panel] == []
    for place, panel in (*of("table", shown), *of("timeseries", shown)):
        assert panel.get("rows") == [] or panel.get("lines") == [], place


AWKWARD = "C+1 & 50% #2 (north)"
"""A name that is no pattern for itself, and has what means something else in an address."""


@pytest.fixture
def without_rules(running: Stack, tmp_path: Path) -> Iterator[Prometheus]:
    """A Prometheus that loads no rules, for which a block, its site and all rigs have awkward names."""
    awkward = [
        {"source_labels": ["block"], "regex": "container-1", "target_label": "block", "replacement": AWKWARD},
        {"source_labels": ["rig"], "regex": "(.+)", "target_label": "rig", "replacement": "$1 (a|b)* & 100%41 #+"},
    ]
    target = {"targets": [urlsplit(running.exporter).netloc], "labels": {"site": AWKWARD}}
    job = {"job_name": "hashmargin", "static_configs": [target], "metric_relabel_configs": awkward}
    document = {"global": {"scrape_interval": "1s"}, "scrape_configs": [job]}
    with prometheus_of(tmp_path, document, PACKAGED) as watcher:
        wait_for("margins", lambda: watcher.query(f'mining_block_margin_usd_per_day{{block="{AWKWARD}"}}'))
        yield watcher


def test_no_alert_is_counted_as_none_where_none_is_evaluated(without_rules: Prometheus) -> None:
    room, fleet = show(without_rules.url, [("ops-room", {}), ("fleet", {})])
    assert {tile[2:] for tile in tiles(room) if tile[0] in {"Critical", "Warnings"}} == {UNKNOWN}
    assert fleet.panel("Rigs that are too hot")["lines"] == []


def test_a_name_with_the_characters_of_patterns_is_chosen_as_it_is(without_rules: Prometheus) -> None:
    def chosen_as_they_are() -> bool:
        block, room = show(without_rules.url, [("block", {"site": AWKWARD, "block": AWKWARD}), ("ops-room", {})])
        assert known(block).keys() >= {"Margin", "Avoidable loss", "Margin per kilowatt-hour"}
        opened = [(row["rig"], chosen["var-rig"]) for row, chosen in links(room.panel("Rigs that lose most"))]
        assert opened
        assert all(names == [rig] for rig, names in opened)
        rig, _ = opened[0]
        (shown,) = show(without_rules.url, [("rig", {"site": AWKWARD, "rig": rig})])
        assert known(shown).get("Answers") == ["1"]
        return True

    wait_for("a block and a rig", chosen_as_they_are)
