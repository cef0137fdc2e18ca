"""Renders the table of alerts in ``docs/monitoring.md`` from the rule files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from docs.generators.sections import with_section

_ROOT: Final = Path(__file__).parents[2]
PAGE: Final = _ROOT / "docs" / "monitoring.md"
_ALERTS: Final = _ROOT / "deploy" / "prometheus" / "alerts"
_TEAMS: Final = {"noc": "NOC", "energy": "energy desk", "hardware": "hardware team"}
_SEVERITIES: Final = ("critical", "warning", "info", "none")


def page() -> str:
    """Return the page with its table of alerts written anew."""
    return with_section(PAGE, "alerts", list(_table()))


def _table() -> Iterator[str]:
    yield from ("| alert | severity | team | meaning |", "|---|---|---|---|")
    for alert in sorted(_alerts(), key=_order):
        name, labels = alert["alert"], alert["labels"]
        link = f"[{name}](../deploy/runbooks/{name}.md)"
        yield f"| {link} | {labels['severity']} | {_TEAMS[labels['team']]} | {alert['annotations']['summary']} |"


def _alerts() -> Iterator[dict[str, Any]]:
    for file in sorted(_ALERTS.glob("*.yml")):
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]:
            yield from group["rules"]


def _order(alert: dict[str, Any]) -> tuple[int, int, str]:
    """Sort by team, then severity, then name."""
    labels = alert["labels"]
    return list(_TEAMS).index(labels["team"]), _SEVERITIES.index(labels["severity"]), alert["alert"]
