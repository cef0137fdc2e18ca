"""Prometheus and Alertmanager check our files themselves."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"

RULES = sorted([*PROMETHEUS.glob("rules/*.yml"), *PROMETHEUS.glob("alerts/*.yml")])

pytestmark = pytest.mark.e2e


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_rules_are_valid(path: Path) -> None:
    assert "SUCCESS" in run("promtool", "check", "rules", "--lint=all", "--lint-fatal", path)


@pytest.mark.parametrize("path", sorted(PROMETHEUS.glob("tests/*.yml")), ids=lambda path: path.stem)
def test_alerts_fire_stay_quiet_and_resolve(path: Path) -> None:
    assert "SUCCESS" in run("promtool", "test", "rules", path)


def test_compose_prometheus_finds_its_rules(tmp_path: Path) -> None:
    for folder in ("rules", "alerts"):
        shutil.copytree(PROMETHEUS / folder, tmp_path / folder)
    shutil.copy(ROOT / "deploy/compose/prometheus.yml", tmp_path)
    said = run("promtool", "check", "config", tmp_path / "prometheus.yml")
    assert f"{len(RULES)} rule files found" in said


def test_alertmanager_takes_our_config_and_routes_by_team() -> None:
    config = ROOT / "deploy/alertmanager/alertmanager.yml"
    assert "SUCCESS" in run("amtool", "check-config", config)
    for team, receiver in {"energy": "energy-desk", "hardware": "hardware", "noc": "noc"}.items():
        said = run("amtool", "config", "routes", "test", f"--config.file={config}", f"team={team}")
        assert said.split()[0] == receiver
