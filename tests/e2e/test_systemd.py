"""The unit is as closed as systemd can check, and its user can be made."""

import re
import subprocess
from pathlib import Path

import pytest
from harness import BIN, ROOT

pytestmark = pytest.mark.e2e

SYSTEMD = ROOT / "deploy/systemd"


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_unit_is_exposed_little() -> None:
    unit = SYSTEMD / "hashmargin.service"
    said = run("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20", unit)
    assert "Overall exposure level" in said


def test_the_unit_starts_what_there_is() -> None:
    unit = (SYSTEMD / "hashmargin.service").read_text(encoding="utf-8")
    command = re.search(r"^ExecStart=\S+/hashmargin (run) (--[\w.-]+)=", unit, re.MULTILINE)
    assert command is not None
    assert command[2] in run(BIN / "hashmargin", command[1], "--help")


def test_the_user_can_be_made() -> None:
    said = run("systemd-sysusers", "--dry-run", SYSTEMD / "hashmargin.sysusers.conf")
    assert "hashmargin" in said
