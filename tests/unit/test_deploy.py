"""The files in deploy/ agree: rules, alerts, runbooks, routes, compose. tests/e2e runs the real programs on them."""

import itertools
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.exposition.catalogue import CATALOGUE
from exporter.telemetry import Telemetry

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
RUNBOOKS = "https://github.com/hashmargin/hashmargin/blob/main/deploy/runbooks/"
RUNBOOK_LINK = "../deploy/runbooks/{}.md"
TEAMS = {"noc": "NOC", "energy": "energy desk", "hardware": "hardware team"}
RUNBOOK_SECTIONS = ["What it means", "Check", "Do", "Ignore when"]


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def rules(folder: str) -> list[dict[str, Any]]:
    files = sorted((DEPLOY / "prometheus" / folder).glob("*.yml"))
    return [rule for file in files for group in load(file)["groups"] for rule in group["rules"]]


ALERTS = rules("alerts")
RECORDS = rules("rules")
NAMES = {alert["alert"] for alert in ALERTS}
(WATCHDOG,) = (alert for alert in ALERTS if alert["alert"] == "MiningWatchdog")
DASHBOARDS = {
    board["uid"]: board
    for board in (json.loads(path.read_text(encoding="utf-8")) for path in (ROOT / "grafana/dashboards").glob("*.json"))
}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_every_alert_has_severity_team_texts_and_a_runbook(alert: dict[str, Any]) -> None:
    assert re.fullmatch(r"Mining[A-Za-z]+", alert["alert"])
    assert alert["labels"]["severity"] in ({"none"} if alert is WATCHDOG else {"critical", "warning", "info"})
    assert alert["labels"]["team"] in TEAMS
    assert "{{" not in alert["annotations"]["summary"], "a summary is static"
    assert "{{ $labels.site }}" in alert["annotations"]["description"] or alert is WATCHDOG
    assert alert["annotations"]["runbook_url"] == f"{RUNBOOKS}{alert['alert']}.md"
    page = (DEPLOY / "runbooks" / f"{alert['alert']}.md").read_text(encoding="utf-8")
    severity, team = alert["labels"]["severity"], TEAMS[alert["labels"]["team"]]
    assert page.startswith(f"# {alert['alert']}\n\n**Severity:** {severity}. **Team:** {team}.\n")
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == RUNBOOK_SECTIONS


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_every_alert_links_to_a_dashboard_with_what_it_is_about_chosen(alert: dict[str, Any]) -> None:
    link = re.fullmatch(r"/d/([\w-]+)(?:\?(.+))?", alert["annotations"]["dashboard"])
    assert link is not None
    variables = {variable["name"] for variable in DASHBOARDS[link[1]]["templating"]["list"]}
    chosen = re.findall(r"var-(\w+)=\{\{ urlquery \$labels\.(\w+) \}\}", link[2] or "")
    assert "".join(f"&var-{name}={{{{ urlquery $labels.{label} }}}}" for name, label in chosen)[1:] == (link[2] or "")
    assert all(name == label and name in variables for name, label in chosen)
    assert {"job", "site"} <= {name for name, _ in chosen} or alert is WATCHDOG


def test_no_alert_pages_for_one_rig() -> None:
    assert not [name for name in NAMES if re.match("MiningRig[^s]", name) and severity(name) == "critical"]


def test_an_alert_does_not_resolve_because_its_exporter_is_down() -> None:
    """It is held by a recording rule that keeps its labels: of the rig, of the exporter, or of the site.

    Only alerts about an exporter name it, so that the others are the same when a standby takes over.
    """
    with_instance = {
        case["alertname"]: all("instance" in each["exp_labels"] for each in case["exp_alerts"])
        for case in alert_tests()
        if case.get("exp_alerts")
    }
    about_exporters = {"MiningExporterDown", "MiningStandbyDown"}
    of_one_exporter = {"MiningShardEmpty", "MiningExporterSlow", "MiningConfigReloadFailed", "MiningStateNotKept"}
    assert {name for name, named in with_instance.items() if named} == about_exporters | of_one_exporter
    over = {"MiningShardServedTwice", "MiningExporterGone"}  # of which one exporter less, or more, is the end
    for alert in ALERTS:
        name = alert["alert"]
        if name in about_exporters | over | {WATCHDOG["alert"]}:
            continue
        level = "rig" if re.match("MiningRig[^s]", name) else "instance" if with_instance[name] else "site"
        assert re.findall(r"(\w+):mining_alerts_firing:held\{alertname=\"(\w+)\"\}", alert["expr"]) == [(level, name)]
        assert minutes(alert["keep_firing_for"]) > 1, f"{name} resolves before it is held"


GROUP_INTERVAL = 5
"""Minutes, of the Alertmanager example."""

RESENT = 15
"""Minutes for which Prometheus sends that an alert is over."""

OF_SILENCE = {"MiningRigDown", "MiningRigsDown", "MiningRigsLostTogether", "MiningBlockUnreachable"}
"""Alerts that can start while rigs do not answer. The others need values of theirs."""

NOTHING_STARTS = {"MiningExporterDown", "MiningRigDown", "MiningRigNotMining"}
"""Alerts with which nothing starts that they inhibit, but for tickets of what is broken in the rig itself."""


def test_an_alert_fires_on_longer_than_what_it_inhibits() -> None:
    """Otherwise, what it inhibits is notified after it, although it is over as well."""
    labels: dict[str, set[str]] = {}
    for case in alert_tests():
        for each in case.get("exp_alerts", ()):
            labels.setdefault(case["alertname"], set()).update(each["exp_labels"])
    pairs = 0
    for rule in load(DEPLOY / "alertmanager/alertmanager.yml")["inhibit_rules"]:
        for source, target in itertools.product(matching(rule["source_matchers"]), matching(rule["target_matchers"])):
            name, inhibited = source["alert"], target["alert"]
            alike = all((label in labels[name]) == (label in labels[inhibited]) for label in rule["equal"])
            starts = name not in NOTHING_STARTS and (
                name not in OF_SILENCE | {"MiningSiteUnreachable"} or inhibited in OF_SILENCE
            )
            waits = any(
                re.fullmatch(each, name) for each in re.findall(r'ALERTS{alertname=~?"([^"]+)"', target["expr"])
            )
            if name != inhibited and alike and starts and not waits:
                least = minutes(target["keep_firing_for"]) + GROUP_INTERVAL
                if of_one_rig(inhibited):
                    least += RESENT  # of many rigs, some are notified: with them come those that are over
                assert minutes(source["keep_firing_for"]) >= least, f"{name}, {inhibited}"
                pairs += 1
    assert pairs > 20


def test_no_alert_comes_and_goes_between_two_notifications() -> None:
    """Nobody would be notified that it fires, and then that it is over."""
    kept = {alert["alert"]: minutes(alert["keep_firing_for"]) for alert in ALERTS if "keep_firing_for" in alert}
    assert {name for name, least in kept.items() if least < GROUP_INTERVAL} == set()
    assert NAMES - kept.keys() == {"MiningExporterDown", "MiningExporterGone", WATCHDOG["alert"]}


def of_one_rig(name: str) -> bool:
    return re.match("MiningRig[^s]", name) is not None


def matching(matchers: list[str]) -> list[dict[str, Any]]:
    """The alerts with such a name; other labels are not looked at."""
    found = ALERTS
    for matcher in matchers:
        label, operator, value = re.fullmatch(r'(\w+)(=~|!~|!=|=)"(.*)"', matcher).groups()
        if label == "alertname":
            pattern = value if "~" in operator else re.escape(value)
            wanted = not operator.startswith("!")
            found = [alert for alert in found if (re.fullmatch(pattern, alert["alert"]) is not None) is wanted]
    return found


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_the_text_of_a_held_alert_prints_no_value(alert: dict[str, Any]) -> None:
    """The value of a held alert is not a number."""
    if "mining_alerts_firing:held" in alert["expr"]:
        guarded = r"\{\{ if (?:eq \$value \$value|gt \$value 0\.0) \}\}.*?\{\{ (?:else|end) \}\}"
        assert "$value" not in re.sub(guarded, "", alert["annotations"]["description"]).replace("if eq $value 0.0", "")


def alert_tests() -> Iterator[dict[str, Any]]:
    for file in (DEPLOY / "prometheus" / "tests").glob("*.yml"):
        for test in load(file)["tests"]:
            yield from sorted(test.get("alert_rule_test", []), key=lambda case: minutes(case["eval_time"]))


def severity(name: str) -> str:
    return next(alert["labels"]["severity"] for alert in ALERTS if alert["alert"] == name)


def test_a_runbook_names_only_dashboards_and_panels_that_exist() -> None:
    titles = {
        board["title"].removeprefix("hashmargin / "): {panel["title"] for panel in unfolded(board)}
        for board in DASHBOARDS.values()
    }
    every = {title for panels in titles.values() for title in panels}
    named = 0
    for page in (DEPLOY / "runbooks").glob("*.md"):
        for line in re.sub(r"\n +", " ", page.read_text(encoding="utf-8")).splitlines():
            names = re.findall(r"(?<![*\w])\*([A-Z][^*]*)\*(?!\*)", line)
            boards = [name for name in names if name in titles and f"*{name}* dashboard" in line]
            for name in names:
                if name not in boards:
                    known = titles[boards[0]] if boards else every
                    assert name in known, f"{page.name}: there is no panel {name!r} on {boards or 'any dashboard'}"
                    named += 1
            for name in re.findall(r"\*([^*]+)\* dashboard", line):
                assert name in titles, f"{page.name}: there is no dashboard {name!r}"
    assert named > 10


def unfolded(board: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for panel in board["panels"]:
        yield panel
        yield from panel.get("panels") or []


def test_every_runbook_belongs_to_an_alert_and_its_links_exist() -> None:
    pages = list((DEPLOY / "runbooks").glob("*.md"))
    assert {page.stem for page in pages} - {"README"} == NAMES
    for page in pages:
        for link in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link.partition("#")[0]).exists(), f"{page.name}: {link}"


def test_every_alert_is_tested_to_fire_to_stay_quiet_and_to_resolve() -> None:
    seen: dict[str, list[bool]] = {name: [] for name in NAMES}
    for case in alert_tests():
        seen[case["alertname"]].append(bool(case.get("exp_alerts")))
    for name, course in seen.items():
        assert any(course), f"no test shows {name} firing"
        if name == WATCHDOG["alert"]:
            continue
        first, last = course.index(True), len(course) - 1 - course[::-1].index(True)
        assert False in course[:first], f"no test shows {name} quiet before it fires"
        assert False in course[last:], f"no test shows {name} resolved"


def minutes(duration: str) -> float:
    return sum(
        float(part) * {"s": 1 / 60, "m": 1, "h": 60, "d": 1440}[unit]
        for part, unit in re.findall(r"(\d+)([smhd])", duration)
    )


SUFFIXES = {"counter": ("_total",), "info": ("_info",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}


def test_rules_and_alerts_use_only_metrics_that_exist() -> None:
    own = Telemetry(has_lease=True).registry.collect()
    known = {row.name for row in CATALOGUE} | {each.name + suffix for each in own for suffix in SUFFIXES[each.type]}
    recorded = {rule["record"] for rule in RECORDS}
    for rule in [*RECORDS, *ALERTS]:
        for name in re.findall(r"(?<![\w:\"])((?:\w+:)?mining_\w+(?::\w+)?)", rule["expr"]):
            assert name in (recorded if ":" in name else known), f"{name} in {rule.get('record') or rule.get('alert')}"


def test_recording_rules_are_named_level_metric_operation() -> None:
    levels = "site|block|model|firmware|host|instance|rig|gpu|customer"
    for rule in RECORDS:
        assert re.fullmatch(rf"({levels}):mining_\w+:\w+", rule["record"])


def test_alertmanager_inhibits_and_routes_only_existing_alerts_and_teams() -> None:
    config = load(DEPLOY / "alertmanager" / "alertmanager.yml")
    for rule in config["inhibit_rules"]:
        for matcher in {*rule["source_matchers"], *rule["target_matchers"]} - {'block=""'}:
            pattern = re.fullmatch(r'alertname(=~|=|!=|!~)"(.+)"', matcher)
            assert pattern is not None
            for name in pattern[2].split("|") if "(" not in pattern[2] and "+" not in pattern[2] else []:
                assert name in NAMES, name
    teams = {matcher for route in config["route"]["routes"] for matcher in route["matchers"]}
    assert teams == {'team="energy"', 'team="hardware"', f'alertname="{WATCHDOG["alert"]}"'}
    assert (DEPLOY / "alertmanager" / config["templates"][0]).exists()


def test_compose_mounts_and_builds_only_existing_files() -> None:
    folder = DEPLOY / "compose"
    compose = load(folder / "compose.yml")
    for name, service in compose["services"].items():
        sources = [mount.split(":")[0] for mount in service.get("volumes", [])]
        for source in sources:
            assert source in compose["volumes"] or (folder / source).exists(), f"{name}: {source}"
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        assert "build" in service or re.search(r":v?\d+\.\d+\.\d+$", service["image"]), f"{name} is not pinned"
    prometheus = load(folder / "prometheus.yml")
    targets = [
        target
        for job in prometheus["scrape_configs"]
        for static in job["static_configs"]
        for target in static["targets"]
    ]
    assert targets == ["hashmargin:9852"]


def test_compose_puts_site_and_receiver_of_env_into_the_configurations(tmp_path: Path) -> None:
    services = load(DEPLOY / "compose" / "compose.yml")["services"]
    named = dict(
        line.split("=", 1)
        for line in (DEPLOY / "compose" / "example.env").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    )
    variables = {name for service in services.values() for name in re.findall(r"\$\{(\w+):-", str(service))}
    assert named.keys() == variables
    folders = {"prometheus": DEPLOY / "compose", "alertmanager": DEPLOY / "alertmanager"}
    written = {}
    for name, folder in folders.items():
        target = tmp_path / name
        target.mkdir()
        script = services[name]["entrypoint"][-1].replace("$$", "$").partition("&& exec")[0]
        places = {f"/etc/{name}/": f"{folder}/", f"/{name}/": f"{target}/"}
        script = re.sub(rf"(?<![\w.])(/etc)?/{name}/", lambda match, places=places: places[match[0]], script)
        environ = {"PATH": os.environ["PATH"], "SITE": named["HASHMARGIN_SITE"], "RECEIVER": named["ALERT_RECEIVER"]}
        subprocess.run(["sh", "-ec", script], check=True, env=environ)
        written[name] = load(target / f"{name}.yml")
    (job,) = written["prometheus"]["scrape_configs"]
    assert job["static_configs"][0]["labels"] == {"site": "prairie-1"}
    urls = [each["webhook_configs"][0]["url"] for each in written["alertmanager"]["receivers"]]
    assert all(url.startswith("http://alerts.example.net/") for url in urls)


def test_the_documentation_lists_every_alert() -> None:
    text = (ROOT / "docs/monitoring.md").read_text(encoding="utf-8")
    for alert in ALERTS:
        name, labels, summary = alert["alert"], alert["labels"], alert["annotations"]["summary"]
        row = f"({RUNBOOK_LINK.format(name)}) | {labels['severity']} | {TEAMS[labels['team']]} | {summary} |"
        assert row in text, name


@pytest.mark.parametrize("page", [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")], ids=lambda page: page.name)
def test_every_link_of_the_documentation_leads_to_a_file_and_a_heading(page: Path) -> None:
    for link in re.findall(r"\]\(([^):\s]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_no_two_groups_of_rules_have_one_name() -> None:
    # The chart puts all into one PrometheusRule, and Prometheus Operator refuses a name that is repeated.
    files = [*(DEPLOY / "prometheus/rules").glob("*.yml"), *(DEPLOY / "prometheus/alerts").glob("*.yml")]
    names = [group["name"] for file in files for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]]
    assert sorted(names) == sorted(set(names))
