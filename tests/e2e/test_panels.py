"""What every panel shows, by Grafana's own libraries, on healthy sites, dead ones, several, and without data."""

import contextlib
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from browser import chromium
from harness import (
    HOST,
    SITE,
    Stack,
    any_prometheus,
    ask,
    exporter,
    free_port,
    hurry_exporter,
    prometheus,
    simulated_site,
    unfolded,
    wait_for,
)
from panels import DASHBOARDS, MissingError, Panel, Shown, build, draw, show, show_all

pytestmark = [pytest.mark.e2e, any_prometheus]

GREY = "#8e8e8e"
UNKNOWN = ("unknown", GREY)

ELSE_EMPTY = {
    ("What is wrong", "A"): "unplugged",
    ("Rigs that do not answer", "B"): "unplugged",
    ("Faults", "A"): "board_lost",
}
"""Queries that are empty on a healthy site, and the fault of a rig with which they are not.

That of XID errors is too; one of the simulated GPUs is always broken.
"""

NOT_SIMULATED = {("Thermal margin", "A"), ("Power", "D"), ("Board power", "A"), ("Power in and out", "B")}
"""Queries for what no firmware of the simulated site reports."""


@pytest.fixture(scope="module", autouse=True)
def _libraries() -> None:
    try:
        build()
    except MissingError as error:
        pytest.skip(str(error))


def tiles(shown: Shown) -> Iterator[tuple[str, str, str, str]]:
    """(panel, name, text, colour) of every big number."""
    for panel in shown.panels:
        if panel["type"] == "stat":
            yield from ((panel["title"], tile["name"], tile["text"], tile["color"]) for tile in panel["tiles"])


def known(shown: Shown) -> dict[str, list[str]]:
    """The texts of the big numbers that are not shown as unknown, by panel."""
    found: dict[str, list[str]] = {}
    for title, _, text, color in tiles(shown):
        if (text, color) != UNKNOWN:
            found.setdefault(title, []).append(text)
    return found


def of(kind: str, shown: Mapping[str, Shown]) -> Iterator[tuple[str, Panel]]:
    """Every panel of a kind with its place."""
    for name, dashboard in shown.items():
        yield from ((f"{name}: {each['title']}", each) for each in dashboard.panels if each["type"] == kind)


def links(panel: Panel) -> Iterator[tuple[dict[str, str], dict[str, list[str]]]]:
    """The texts of a row and what a link in it chooses."""
    for row in panel["rows"]:
        for cell in row.values():
            for link in cell["links"]:
                yield {heading: each["text"] for heading, each in row.items()}, parse_qs(urlsplit(link).query)


# A healthy site


@pytest.fixture(scope="module")
def healthy(running: Stack) -> dict[str, Shown]:
    wait_for("alerts", lambda: running.prometheus.query("ALERTS"))
    return show_all(running.prometheus.url)


@pytest.fixture(scope="module")
def rigs(running: Stack) -> list[Shown]:
    """The rig dashboard of a rig of each model: not every firmware reports everything."""
    of_models = {rig["model"]: name for name, rig in running.site()["rigs"].items() if not rig["fault"]}
    return show(running.prometheus.url, [("rig", {"rig": name}) for name in of_models.values()])


def test_every_query_returns_data_on_a_healthy_site(healthy: dict[str, Shown], rigs: list[Shown]) -> None:
    asked, answered = set(), set()
    for shown in (*(shown for name, shown in healthy.items() if name != "rig"), *rigs):
        assert [panel for panel in shown.panels if "error" in panel] == []
        empty = {(panel["title"], ref) for panel in shown.panels for ref in panel.get("empty", [])}
        queries = {
            (panel["title"], target["refId"])
            for panel in unfolded(shown.data["dashboard"])
            for target in panel.get("targets", [])
        }
        asked |= queries
        answered |= queries - empty
    assert asked - answered - NOT_SIMULATED - ELSE_EMPTY.keys() == set()


@pytest.mark.parametrize("query", ELSE_EMPTY)
def test_a_query_for_what_is_wrong_returns_data_when_it_is(running: Stack, query: tuple[str, str]) -> None:
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
    running.tell("faults", rig=name, fault=fault)
    try:
        yield name, rig["block"]
    finally:
        running.tell("faults", rig=name, fault=None)


def test_a_healthy_site_is_known(healthy: dict[str, Shown]) -> None:
    for name, shown in healthy.items():
        if name != "rig":
            assert [tile for tile in tiles(shown) if tile[2:] == UNKNOWN] == [], name


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
            label = "rig" if "var-rig" in chosen else "block"
            assert (chosen["var-site"], chosen[f"var-{label}"]) == ([SITE], [row[label]]), place
            assert chosen["from"] < chosen["to"]
            linked += 1
    assert linked > 20


def test_grafanas_components_draw_what_the_panels_show(healthy: dict[str, Shown], tmp_path: Path) -> None:
    with chromium(tmp_path) as browser:
        for name, shown in healthy.items():
            picture = draw(browser, shown, tmp_path)
            assert picture.startswith(b"\x89PNG"), name
            drawn = re.sub(r"\s", "", browser.run("return document.body.innerText"))
            wanted = [panel["title"] for panel in shown.panels] + [text for _, _, text, _ in tiles(shown)]
            assert [text for text in wanted if re.sub(r"\s", "", text) not in drawn] == [], name


# Sites that are not well, beside sites that are


@dataclass
class Sites:
    """What the dashboards showed: while all was well, when all rigs were dead, and when the exporter was."""

    well: dict[str, Shown]
    of_a_site: dict[str, dict[str, Shown]]
    """By site, while all was well."""
    without_rigs: dict[str, Shown]
    without_exporter: dict[str, Shown]
    killed_at: float


LOST = "lost"
"""A site whose exporter never answered."""

OPTIONAL = ("ai", "gpus", "blocks", "state")


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    folder = tmp_path_factory.mktemp("sites")
    with contextlib.ExitStack() as parts:
        control, config = parts.enter_context(simulated_site(folder, "127.82.0.0/18", "--rigs", "30"))
        ask(f"{control}/power", {"usd_per_megawatt_hour": 55})
        hurry_exporter(config)
        plain = yaml.safe_load(config.read_text(encoding="utf-8"))
        for part in OPTIONAL:
            del plain[part]
        plain["economics"] = {}
        (folder / "plain.yml").write_text(yaml.safe_dump(plain), encoding="utf-8")
        mortal = parts.enter_context(contextlib.ExitStack())
        url = mortal.enter_context(exporter(folder, config))
        nowhere = f"http://{HOST}:{free_port()}"
        jobs = {
            "mining": {"north": url, "south": url, LOST: nowhere},
            "mining-plain": {"plain": parts.enter_context(exporter(folder, folder / "plain.yml", "plain"))},
            "foreign": {"north": nowhere},
        }
        watcher = parts.enter_context(prometheus(folder, [], jobs=jobs))
        rigs = len(ask(f"{control}/")["rigs"])
        priced = "count by (site) (mining_rig_margin_usd_per_day)"
        wait_for("priced rigs", lambda: min(watcher.by("site", priced).values(), default=0) > rigs * 0.8)
        wait_for("site totals", lambda: len(watcher.query("site:mining_margin_at_risk_usd_per_day:tenth")) == 3)
        wait_for("GPUs", lambda: watcher.query("host:mining_gpus:count"))
        well = show_all(watcher.url)
        of_a_site = {name: show_all(watcher.url, site=name) for name in ("north", "plain", LOST)}
        for block in {rig["block"] for rig in ask(f"{control}/")["rigs"].values()}:
            ask(f"{control}/faults", {"block": block, "fault": "unplugged"})
        wait_for("all rigs to be dead", lambda: watcher.value("sum(mining_rig_up)") == 0)
        wait_for("the totals to be gone", lambda: not watcher.query("site:mining_margin_usd_per_day:sum"))
        without_rigs = show_all(watcher.url, site="north")
        killed_at = time.time()
        mortal.close()
        wait_for("the exporter to be missed", lambda: watcher.value('up{job="mining",site="north"}') == 0)
        recorded = '{__name__=~"(site|block|model|host):.+",__name__!~".+:avg7d",site="north"}'
        wait_for("the rules to know", lambda: not watcher.query(recorded))
        without_exporter = show_all(watcher.url, site="north")
        yield Sites(well, of_a_site, without_rigs, without_exporter, killed_at)


def test_no_panel_fails(sites: Sites) -> None:
    for boards in (sites.well, *sites.of_a_site.values(), sites.without_rigs, sites.without_exporter):
        assert [(name, panel) for name, shown in boards.items() for panel in shown.panels if "error" in panel] == []


def test_a_tile_tells_sites_apart_and_misses_none(sites: Sites) -> None:
    for name, shown in sites.well.items():
        if name not in {"rig", "block"}:
            found: dict[str, set[str]] = {}
            for title, site, _, _ in tiles(shown):
                found.setdefault(title, set()).add(site)
            assert set(map(frozenset, found.values())) <= {frozenset({"north", "south", "plain", LOST})}, name
    assert {tile[1]: tile[2:] for tile in tiles(sites.well["ops-room"]) if tile[0] == "Margin"}[LOST] == UNKNOWN
    missing = {tile[1]: tile[2:] for tile in tiles(sites.well["exporter-health"]) if tile[0] == "Shards missing"}
    assert missing == {"north": ("0", "green"), "south": ("0", "green"), "plain": ("0", "green"), LOST: UNKNOWN}


def test_what_is_shown_of_one_thing_is_of_one_site(sites: Sites) -> None:
    for name in ("rig", "block"):
        shown = sites.well[name]
        for title in {tile[0] for tile in tiles(shown)} - {"Verdict and power source", "Power mode and tuner"}:
            assert len([tile for tile in tiles(shown) if tile[0] == title]) == 1, f"{name}: {title}"
        for panel in shown.panels:
            assert len({line["name"] for line in panel.get("lines", ())}) == len(panel.get("lines", ())), panel["title"]


def test_a_link_opens_the_site_of_its_row(sites: Sites) -> None:
    linked = set()
    for place, panel in of("table", sites.well):
        for row, chosen in links(panel):
            assert chosen["var-site"] == [row["site"]], place
            linked.add(row["site"])
    assert linked == {"north", "south", "plain"}


def test_all_jobs_are_those_of_our_exporters(sites: Sites) -> None:
    down = {tile[1]: tile[2:] for tile in tiles(sites.well["exporter-health"]) if tile[0] == "Exporters down"}
    assert down == {"north": ("0", "green"), "south": ("0", "green"), "plain": ("0", "green"), LOST: ("1", "red")}


def test_optional_parts_that_are_not_there_are_unknown_and_nothing_else_is(sites: Sites) -> None:
    shown = sites.of_a_site["plain"]
    for name in ("gpu", "ai-reassignment"):
        assert known(shown[name]) == {}, name
    for name in ("ops-room", "economics", "exporter-health"):
        assert [tile for tile in tiles(shown[name]) if tile[2:] == UNKNOWN] == [], name


def test_of_dead_rigs_no_value_is_left(sites: Sites) -> None:
    shown = sites.without_rigs
    assert known(shown["ops-room"]).keys() == {"Alerts firing"}
    assert known(shown["economics"]).keys() == {"Next retarget", "Next halving"}
    assert known(shown["block"]) == {"Rigs that answer": ["0%"]}
    assert known(shown["rig"]).keys() == {"Answers", "Last answer"}
    assert ("Answers", "0", "red") in {(title, text, color) for title, _, text, color in tiles(shown["rig"])}
    for title in ("Rigs that lose most",):
        assert shown["ops-room"].panel(title)["rows"] == []


def test_of_a_dead_exporter_no_value_is_left(sites: Sites) -> None:
    assert {name: known(shown) for name, shown in sites.without_exporter.items()} == {
        name: {} for name in DASHBOARDS
    } | {
        "exporter-health": {"Exporters down": ["1"]},
        "ops-room": {"Alerts firing": known(sites.without_exporter["ops-room"])["Alerts firing"]},
    }
    for place, panel in of("bargauge", sites.without_exporter):
        assert {(bar["text"], bar["color"]) for bar in panel["tiles"]} == {UNKNOWN}, place
    for place, panel in of("table", sites.without_exporter):
        assert panel["rows"] == [] or place == "ops-room: What is wrong", place
    for kind in ("timeseries", "heatmap"):
        for place, panel in of(kind, sites.without_exporter):
            for line in panel.get("lines", ()):
                if not re.search("Scrape takes|mean of 7 days", f"{place}: {line['name']}"):
                    assert line["at"] / 1000 <= sites.killed_at + 2, f"{place}: {line}"


def test_without_data_everything_is_unknown(running: Stack) -> None:
    shown = show_all(running.prometheus.url, job="nobody", site="nobody", block="nobody", rig="nobody")
    for name, board in shown.items():
        assert known(board) == {}, name
        assert [panel for panel in board.panels if "error" in panel] == []
    for place, panel in (*of("table", shown), *of("timeseries", shown)):
        assert panel.get("rows") == [] or panel.get("lines") == [], place
