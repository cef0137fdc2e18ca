"""Prometheus and Alertmanager check our files themselves."""

import shutil
import subprocess
from pathlib import Path

import pytest
from harness import ROOT, promtool
from prometheus_releases import RELEASES, Release

PROMETHEUS = ROOT / "deploy" / "prometheus"

RULES = sorted([*PROMETHEUS.glob("rules/*.yml"), *PROMETHEUS.glob("alerts/*.yml")])

pytestmark = pytest.mark.e2e
of_each_release = pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@of_each_release
@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_rules_are_valid(path: Path, release: Release) -> None:
    assert "SUCCESS" in promtool(release, "check", "rules", "--lint=all", "--lint-fatal", path)


@of_each_release
@pytest.mark.parametrize("path", sorted(PROMETHEUS.glob("tests/*.yml")), ids=lambda path: path.stem)
def test_alerts_fire_stay_quiet_and_resolve(path: Path, release: Release) -> None:
    assert "SUCCESS" in promtool(release, "test", "rules", path)


@of_each_release
def test_the_example_rules_give_the_watts_of_pdus_and_meters(release: Release) -> None:
    meters = ROOT / "deploy" / "examples" / "meters"
    assert "SUCCESS" in promtool(release, "check", "rules", "--lint=all", "--lint-fatal", meters / "rules.yml")
    assert "SUCCESS" in promtool(release, "test", "rules", meters / "test.yml")
    assert "SUCCESS" in promtool(release, "check", "config", "--syntax-only", meters / "scrape.yml")


@of_each_release
def test_compose_prometheus_finds_its_rules(tmp_path: Path, release: Release) -> None:
    for folder in ("rules", "alerts"):
        shutil.copytree(PROMETHEUS / folder, tmp_path / folder)
    shutil.copy(ROOT / "deploy/compose/prometheus.yml", tmp_path)
    said = promtool(release, "check", "config", tmp_path / "prometheus.yml")
    assert f"{len(RULES)} rule files found" in said


def test_alertmanager_takes_our_config_and_routes_by_team() -> None:
    config = ROOT / "deploy/alertmanager/alertmanager.yml"
    assert "SUCCESS" in run("amtool", "check-config", config)
    for team, receiver in {"energy": "energy-desk", "hardware": "hardware", "noc": "noc"}.items():
        said = run("amtool", "config", "routes", "test", f"--config.file={config}", f"team={team}")
        assert said.split()[0] == receiver
