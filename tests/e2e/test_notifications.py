"""What a notification says: a real Alertmanager renders our templates, used as the documentation shows."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness import ROOT, SITE, Pages, alertmanager, ask, silenced, wait_for, webhook

pytestmark = pytest.mark.e2e

LABELS = {
    "alertname": "MiningBlockAvoidableLoss",
    "severity": "critical",
    "team": "noc",
    "site": SITE,
    "tariff": 'night + "green" & #2 = 100 %',
}
RUNBOOK = "https://github.com/hashmargin/hashmargin/blob/main/deploy/runbooks/MiningBlockAvoidableLoss.md"


def documented_receiver() -> dict[str, Any]:
    """The receiver that docs/monitoring.md shows."""
    text = (ROOT / "docs/monitoring.md").read_text(encoding="utf-8")
    snippet = re.search(r"<!-- receiver: .*? -->\n```yaml\n(.*?)```", text, re.DOTALL)
    assert snippet is not None
    receiver: dict[str, Any] = yaml.safe_load(snippet[1])
    return receiver


def with_all(pages: Pages) -> dict[str, Any] | None:
    """The message of all twelve alerts: on a busy machine, one of fewer may come before it."""
    said = [body["attachments"][0] for path, body in list(pages.notifications) if path == "chat"]
    return next((message for message in said if "12 firing" in message["title"]), None)


def test_a_notification_has_the_numbers_and_the_links(tmp_path: Path) -> None:
    receiver = documented_receiver()
    with webhook() as (address, pages):
        receiver["slack_configs"][0]["api_url"] = f"{address}/chat"
        with alertmanager(tmp_path, address, receiver) as url:
            alerts = [
                {
                    "labels": LABELS | {"block": f"container-{number}"},
                    "annotations": {
                        "summary": "A block runs at a loss that curtailing would avoid",
                        "description": f"Block container-{number} loses $61 a day.",
                        "dashboard": f"/d/hashmargin-block?var-block=container-{number}",
                        "runbook_url": RUNBOOK,
                    },
                }
                for number in range(1, 13)
            ]
            ask(f"{url}/api/v2/alerts", alerts)
            message = wait_for("it", lambda: with_all(pages))
    assert message["title"] == f"CRITICAL: A block runs at a loss that curtailing would avoid ({SITE}, 12 firing)"
    lines = message["text"].splitlines()
    assert lines[:2] == [
        "Block container-1 loses $61 a day.",
        "https://grafana.example.com/d/hashmargin-block?var-block=container-1",
    ]
    assert len(lines) == 2 * 10 + 3
    assert lines[-3].startswith("All 12: http")
    assert lines[-2] == f"What to do: {RUNBOOK}"
    matchers = ",".join(f"{name}={json.dumps(value)}" for name, value in sorted(LABELS.items()))
    assert silenced(lines[-1]) == f"{{{matchers}}}"
