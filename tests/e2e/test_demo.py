"""`hashmargin demo`: what a newcomer starts, sees and ends."""

import contextlib
import os
import re
import signal
import subprocess
import urllib.error
from pathlib import Path

import pytest
from harness import BIN, HOST, ask, free_port, wait_for

pytestmark = pytest.mark.e2e


def children(pid: int) -> set[int]:
    """Every process below ``pid``."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended meanwhile
            for child in map(int, task.read_text().split()):
                found |= {child} | children(child)
    return found


def test_the_demo_starts_shows_a_site_and_leaves_nothing_behind(tmp_path: Path) -> None:
    address = f"{HOST}:{free_port()}"
    said = tmp_path / "said"
    with said.open("wb") as output:
        demo = subprocess.Popen(
            [BIN / "hashmargin", "demo", "--network", "127.80.64.0/18", "--web.listen-address", address],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=tmp_path,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    try:
        wait_for("it to say where to look", lambda: f"http://{address}/metrics" in said.read_text())
        wait_for(
            "priced rigs",
            lambda: re.search(r"^mining_rig_margin_usd_per_day\{", ask(f"http://{address}/metrics"), re.MULTILINE),
        )
        assert "prairie-1" in ask(f"http://{address}/")
        wait_for("a rig that is faulty on purpose", lambda: "rig is down" in said.read_text())
        assert re.search("faulty on purpose.*without power.*rig is down", said.read_text(), re.DOTALL)
        reassigned = 'mining_block_verdict{block="container-1",verdict="reassign"} 1\n'
        wait_for("the old rigs' block to be reassigned", lambda: reassigned in ask(f"http://{address}/metrics"))
        outlook = 'mining_block_conversion_probability_ratio{block="container-1"'
        wait_for("the outlook of that block", lambda: outlook in ask(f"http://{address}/metrics"))
        for question in (["plan", "--megawatts", "0.1"], ["explain", "c1-001"]):
            command = [BIN / "hashmargin", *question, "--url", f"http://{address}"]
            answer = subprocess.run(command, check=True, capture_output=True).stdout
            assert b"container-1" in answer
        assert b"probability that converting now beats the best later start" in answer
        command = [BIN / "hashmargin", "obligations", "list", "--url", f"http://{address}"]
        assert b"RRS-1" in subprocess.run(command, check=True, capture_output=True).stdout
        family = children(demo.pid)
        assert family, "the simulated site is a process of its own"
    finally:
        demo.send_signal(signal.SIGINT)
        code = demo.wait(180)
    assert code == 0, said.read_text()
    wait_for("no process to be left", lambda: not [pid for pid in family if Path(f"/proc/{pid}").exists()])
    with pytest.raises(urllib.error.URLError):
        ask(f"http://{address}/metrics")
