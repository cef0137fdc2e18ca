"""A month of ten rigs in a real VictoriaMetrics, billed twice: the worked statement to the cent, and as a PDF."""

import json
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from harness import HOST, ask, free_port
from test_remote_write import victoria_metrics

from exporter.tools.spans import Span
from exporter.tools.windows import windows_of

NOVEMBER = Span.month("2025-11", ZoneInfo("America/Chicago"))
WINDOW = 300
CONFIG = """\
site: prairie-1
tariffs: {ppa: {kind: fixed, usd_per_kilowatt_hour: 0.05}}
contracts:
  gold: &gold
    timezone: America/Chicago
    usd_per_kilowatt_hour: 0.072
    usd_per_kilowatt_month: 12
    curtailment_credit_share: 0
    uptime: {measure: sla, promised: 0.98}
  shared: {<<: *gold, curtailment_credit_share: 0.5}
customers: {acme: {contract: gold}}
"""
METERED = 24_790.0 / 6_850.0 * 1_000  # W of a rig that runs
"""Ten S21: off for 20 h by the host's fault, curtailed for 6 h, and one of them dead for 100 h more."""


def samples() -> Iterator[str]:
    """Yield a sample in the middle of each window, as Prometheus' text with timestamps."""
    for number in range(windows_of(NOVEMBER)):
        at = int((NOVEMBER.start + (number + 0.5) * WINDOW) * 1_000)
        hour = number / 12
        for rig in range(10):
            label = f'rig="a-{rig}"'
            yield f'mining_rig_inventory_info{{{label},block="north",customer="acme"}} 1 {at}'
            yield f"mining_rig_rated_power_watts{{{label}}} 3500 {at}"
            yield f"mining_rig_rated_hashrate_hashes_per_second{{{label}}} 2e14 {at}"
            yield f'mining_rig_power_source{{{label},source="metered"}} 1 {at}'
            runs = not 100 <= hour < 126 and not (rig == 9 and 200 <= hour < 300)
            yield f"mining_rig_power_watts{{{label}}} {METERED if runs else 0} {at}"
            if 120 <= hour < 126:
                yield f'mining_rig_expected_off_info{{{label},kind="call"}} 1 {at}'
                yield f"mining_rig_curtailment_income_usd_per_day{{{label}}} {84 * 0.2} {at}"
            if not 100 <= hour < 120:
                yield f"mining_rig_hashrate_hashes_per_second{{{label}}} {2e14 if runs else 0} {at}"


def bill(folder: Path, url: str, *more: str) -> str:
    (folder / "site.yml").write_text(CONFIG, encoding="utf-8")
    command = (sys.executable, "-m", "exporter", "statement", "--config.file", folder / "site.yml", "--prometheus", url,
               "--customer", "acme", "--month", NOVEMBER.name, *more)  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.e2e
def test_a_month_is_billed_to_the_cent_and_the_same_twice(tmp_path: Path) -> None:
    port = free_port()
    with victoria_metrics(tmp_path, port) as store:
        url = f"http://{HOST}:{port}"
        body = "\n".join(samples()).encode()
        with urllib.request.urlopen(f"{url}/api/v1/import/prometheus", data=body, timeout=120) as answer:
            assert answer.status in (200, 204)
        ask(f"{store.url}/internal/force_flush")
        first, second = (json.loads(bill(tmp_path, url, "--output", "json")) for _ in range(2))
        shared = json.loads(bill(tmp_path, url, "--output", "json", "--contract", "shared"))
        if shutil.which("chromium"):
            bill(tmp_path, url, "--output", "pdf", "--to", str(tmp_path / "acme.pdf"))
    assert first["windows"] == second["windows"]
    assert first["number"] == second["number"]
    found = first["windows"]
    assert (found["hashing"], found["host_fault"], found["curtailed"], found["rig_fault"]) == (
        82_200,
        2_400,
        720,
        1_200,
    )
    assert found["unmonitored"] == found["unexplained"] == 0
    energy = {"kwh": {"metered": "24790.000"}, "reported_kwh": "0.000", "missing_windows": 0, "factor": "1.0"}
    assert first["energy"] == energy
    assert first["uptime"] == {
        "hashing": 0.9500693,
        "power": 0.963939,
        "performance": pytest.approx(0.9500693, abs=1e-7),
        "sla": 0.9716312,
    }
    assert {line["code"]: line["amount"] for line in first["lines"]} == {
        "energy": "1784.88",
        "space": "420.00",
        "sla_credit": "-14.94",
    }
    assert first["total"] == "2189.94"
    # 210 kWh that were bought at $0.05 and sold at $0.25 earned $42; half of them is the customer's.
    assert {line["code"]: line["amount"] for line in shared["lines"]}["curtailment_credit"] == "-21.00"
    assert (shared["total"], shared["curtailment"]) == (
        "2168.94",
        {"earned_usd": "42.00", "windows_without_income": 0},
    )
    assert first["period"]["from"] == "2025-11-01T00:00:00-05:00"
    assert first["period"]["to"] == "2025-12-01T00:00:00-06:00"
    assert datetime.fromisoformat(first["incidents"][0]["from"]).timestamp() == NOVEMBER.start + 100 * 3_600
    assert (tmp_path / "acme.pdf").read_bytes().startswith(b"%PDF")
