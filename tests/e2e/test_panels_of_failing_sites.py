"""What every panel shows of several sites, of dead ones and of one without the optional parts."""

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import yaml
from harness import HOST, ask, exporter, free_port, hurry_exporter, prometheus, silenced, simulated_site, wait_for
from panels import DASHBOARDS, UNKNOWN, Shown, known, links, of, show_all, tiles

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("libraries")]


Boards = dict[str, Shown]
"""What each dashboard shows."""


@dataclass
class Sites:
    """What the dashboards showed: while all was well, when all rigs were dead, and when the exporter was."""

    well: Boards
    of_a_site: dict[str, Boards]
    """By site, while all was well."""
    without_rigs: Boards
    without_exporter: Boards
    gone_at: float
    """When nothing was left of the dead exporter."""


LOST = "lost"
"""A site whose exporter never answered."""

OPTIONAL = ("ai", "ai_prices", "ai_leases", "gpus", "blocks", "state")


@pytest.fixture(scope="module")
def sites(libraries: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
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
        exported = {"north", "south", "plain"}
        wait_for("every target", lambda: set(watcher.by("site", "up")) == exported | {LOST})
        wait_for("priced rigs", lambda: set(watcher.by("site", f"{priced} > {0.8 * rigs}")) == exported)
        wait_for("site totals", lambda: len(watcher.query("site:mining_margin_at_risk_usd_per_day:tenth")) == 3)
        wait_for("GPUs", lambda: watcher.query("host:mining_gpus:count"))
        well = once(check_exporters, lambda: show_all(watcher.url))
        of_a_site = {name: show_all(watcher.url, site=name) for name in ("north", LOST)}
        of_a_site["plain"] = once(check_plain, lambda: show_all(watcher.url, site="plain"))
        for block in {rig["block"] for rig in ask(f"{control}/")["rigs"].values()}:
            ask(f"{control}/faults", {"block": block, "fault": "unplugged"})
        ask(f"{control}/sources", {"name": "bitcoin", "fault": "down"})
        wait_for("all rigs to be dead", lambda: watcher.value("sum(mining_rig_up)") == 0)
        wait_for("the totals to be gone", lambda: not watcher.query("site:mining_margin_usd_per_day:sum"))
        for name in ("MiningSiteUnreachable", "MiningBlockUnreachable"):
            firing = f'ALERTS{{alertname="{name}",alertstate="firing",site="north"}}'
            wait_for(name, lambda firing=firing: watcher.query(firing))
        failed = 'rate(mining_source_failures_total{source="bitcoin",site="north"}[1m]) > 0'
        wait_for("failed fetches", lambda: watcher.query(failed))
        without_rigs = once(check_dead_rigs, lambda: show_all(watcher.url, site="north"))
        mortal.close()
        wait_for("the exporter to be missed", lambda: watcher.value('up{job="mining",site="north"}') == 0)
        recorded = '{__name__=~".+:.+",__name__!~"instance:.+|.+([0-9]+[dm]|held)",site="north"}'
        wait_for("the rules to know", lambda: not watcher.query(recorded))
        gone_at = time.time() + 5  # how far rates look back
        wait_for("a time of which nothing is drawn", lambda: (watcher.value("time()") or 0) > gone_at + 5)
        without_exporter = once(check_dead_exporter, lambda: show_all(watcher.url, site="north"))
        yield Sites(well, of_a_site, without_rigs, without_exporter, gone_at)


PATIENCE = 300  # seconds


def once(check: Callable[[Boards], None], look: Callable[[], Boards]) -> Boards:
    """What dashboards show once it is right: a busy machine is late with rules, and now and then with a scrape.

    Where it never is, what they show in the end, for a test to say so.
    """
    until = time.monotonic() + PATIENCE
    while True:
        shown = look()
        try:
            check(shown)
        except (AssertionError, LookupError, ValueError):
            if time.monotonic() < until:
                continue
        return shown


def test_no_panel_fails(sites: Sites) -> None:
    for boards in (sites.well, *sites.of_a_site.values(), sites.without_rigs, sites.without_exporter):
        assert [(name, panel) for name, shown in boards.items() for panel in shown.panels if "error" in panel] == []


def test_a_tile_tells_sites_apart_and_misses_none(sites: Sites) -> None:
    for name, shown in sites.well.items():
        if name not in {"rig", "block"}:
            found: dict[str, set[str]] = {}
            for title, name_of_tile, _, _ in tiles(shown):
                found.setdefault(title, set()).add(name_of_tile.split()[0])  # a site, or one and its customer
            assert set(map(frozenset, found.values())) <= {frozenset({"north", "south", "plain", LOST})}, name
    assert {tile[1]: tile[2:] for tile in tiles(sites.well["ops-room"]) if tile[0] == "Margin"}[LOST] == UNKNOWN
    assert {tile[1]: tile[2:] for tile in tiles(sites.well["ops-room"]) if tile[0] == "Critical"}[LOST] == UNKNOWN


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


def check_exporters(shown: Boards) -> None:
    health = list(tiles(shown["exporter-health"]))
    well = dict.fromkeys(("north", "south", "plain"), ("0", "green"))
    for title, of_lost in (("Shards missing", UNKNOWN), ("Exporters down", ("1", "red"))):
        assert {tile[1]: tile[2:] for tile in health if tile[0] == title} == well | {LOST: of_lost}, title


def test_all_jobs_are_those_of_our_exporters(sites: Sites) -> None:
    check_exporters(sites.well)


def check_plain(shown: Boards) -> None:
    for name in ("gpu", "ai-reassignment"):
        assert known(shown[name]) == {}, name
    for name in ("ops-room", "economics", "exporter-health"):
        assert [tile for tile in tiles(shown[name]) if tile[2:] == UNKNOWN] == [], name


def test_optional_parts_that_are_not_there_are_unknown_and_nothing_else_is(sites: Sites) -> None:
    check_plain(sites.of_a_site["plain"])


def check_dead_rigs(shown: Boards) -> None:
    assert known(shown["ops-room"]).keys() == {"Critical", "Warnings"}
    assert known(shown["economics"]).keys() == {"Next retarget", "Next halving"}
    assert known(shown["block"]) == {"Rigs that answer": ["0%"]}
    decided = "Verdict and power source"  # a verdict is in force until another is
    assert known(shown["rig"]).keys() - {decided} == {"Answers", "Last answer"}
    assert ("Answers", "0", "red") in {(title, text, color) for title, _, text, color in tiles(shown["rig"])}
    assert shown["ops-room"].panel("Rigs that lose most")["rows"] == []
    rows = {row["alertname"]["text"]: row for row in shown["ops-room"].panel("What is wrong")["rows"]}
    page, inhibited = rows["MiningSiteUnreachable"], rows["MiningBlockUnreachable"]
    assert (page["Firing"]["text"], page["Inhibited"]["text"], page["block"]["text"]) == ("1", "", "")
    assert (inhibited["Firing"]["text"], inhibited["Inhibited"]["text"]) == ("", "1")
    first, *_ = shown["exporter-health"].panel("Market and power sources")["rows"]
    assert (first["source"]["text"], first["Succeeds"]["text"]) == ("bitcoin", "no")


def test_of_dead_rigs_no_value_is_left(sites: Sites) -> None:
    check_dead_rigs(sites.without_rigs)


def check_dead_exporter(shown: Boards) -> None:
    counted = known(shown["ops-room"])
    assert {name: known(board) for name, board in shown.items()} == {name: {} for name in DASHBOARDS} | {
        "exporter-health": {"Exporters down": ["1"]},
        "ops-room": counted,
    }
    assert counted.keys() <= {"Critical", "Warnings"}
    assert "0" not in {text for texts in counted.values() for text in texts}, "it is not known that no other fires"
    for place, panel in of("bargauge", shown):
        assert {(bar["text"], bar["color"]) for bar in panel["tiles"]} == {UNKNOWN}, place
    for place, panel in of("table", shown):
        assert panel["rows"] == [] or place == "ops-room: What is wrong", place


def test_of_a_dead_exporter_no_value_is_left(sites: Sites) -> None:
    check_dead_exporter(sites.without_exporter)
    for kind in ("timeseries", "heatmap"):
        for place, panel in of(kind, sites.without_exporter):
            for line in panel.get("lines", ()):
                if not re.search("Scrape takes|mean of 7 days", f"{place}: {line['name']}"):
                    assert line["at"] / 1000 <= sites.gone_at, f"{place}: {line}"


def test_what_is_wrong_shows_severity_what_is_inhibited_and_where_to_go(sites: Sites) -> None:
    check_dead_rigs(sites.without_rigs)
    rows = {row["alertname"]["text"]: row for row in sites.without_rigs["ops-room"].panel("What is wrong")["rows"]}
    page = rows["MiningSiteUnreachable"]
    assert page["severity"]["text"] == "CRITICAL"
    runbook, silence = page["alertname"]["links"]
    assert runbook.endswith("/deploy/runbooks/MiningSiteUnreachable.md")
    assert silence.startswith("http://localhost:9093/#/silences/new?")
    assert silenced(silence) == '{alertname="MiningSiteUnreachable",site="north"}'
    (critical,) = known(sites.without_rigs["ops-room"])["Critical"]
    assert int(critical) < len(rows), "inhibited ones are not counted"


def test_failing_sources_come_first_and_say_why(sites: Sites) -> None:
    check_dead_rigs(sites.without_rigs)
    shown = sites.without_rigs["exporter-health"]
    assert [line for line in shown.panel("Failed fetches by reason")["lines"] if "bitcoin" in line["name"]]
