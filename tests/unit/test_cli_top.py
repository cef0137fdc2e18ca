"""`hashmargin top`: one screen of a served exporter and of an Alertmanager."""

import asyncio
import os
import pty
import subprocess
import sys

from aiohttp import web
from site_server import served
from source_site import serve
from test_tools_plan import HOST, blocks_of_old_and_new, invoke

from exporter.exposition.views import Status
from exporter.tools.fleet import Overview
from exporter.tools.top import Screen, as_text

ALERTS = [
    {
        "labels": {"alertname": name, "severity": severity, "site": "prairie-1"},
        "annotations": {"summary": f"{name} is\x1b[2J bad"},
        "startsAt": "2026-03-21T12:00:00.000Z",
        "status": {"state": "active"},
    }
    for name, severity in (
        *(("MiningRigFault", "info"), ("MiningRigsDown", "critical"), ("DiskFull", "critical")),
        ("MiningWatchdog", "none"),
    )
]


async def alertmanager(request: web.Request) -> web.Response:
    assert request.path == "/api/v2/alerts"
    assert (request.query["silenced"], request.query["inhibited"]) == ("false", "false")
    return web.json_response(ALERTS)


def state(**given: float | None) -> Overview:
    values: dict[str, float | None] = {"margin": None, "avoidable_loss": 1.0, "hashrate": None, "power": None} | given
    return Overview(site="x", age=values.pop("age", 4.0) or 0.0, counts=dict.fromkeys(Status, 0), priced=0, **values)


async def test_an_old_evaluation_is_not_shown_as_the_present() -> None:
    async with served(publication=blocks_of_old_and_new) as exporter:
        code, output, _ = await invoke("top", "--url", exporter.url)
    assert code == 0
    assert output.startswith("prairie-1   STALE: the evaluation is ")
    assert "margin" not in output


def test_an_unknown_value_is_not_shown_as_a_number() -> None:
    lines = as_text(Screen(state(), [], []), 200, 100)
    assert lines[2] == "margin unknown/day   avoidable loss $1.00/day   hashrate ? PH/s   power ? kW"
    assert lines[4] == "FIRING: unknown, give --alertmanager"


def test_rigs_are_listed_and_the_screen_is_never_overfull() -> None:
    rig = {"rig": "a\x1b[2J", "block": "c1", "status": "down", "failure_reason": "timeout", "faults": []}
    losing = {"rig": "b", "block": "c1", "status": "mining", "margin_usd_per_day": -2.5}
    screen = Screen(state(), [losing], [rig])
    text = "\n".join(as_text(screen, 200, 100))
    assert "a [2J  c1     down    timeout" in text
    assert "b    c1     mining  -2.50" in text
    small = as_text(screen, 20, 6)
    assert (len(small), max(map(len, small))) == (6, 20)
    assert small[-1].startswith("... ")


async def test_our_alerts_are_shown_the_most_severe_first() -> None:
    async with served() as exporter, serve(alertmanager) as url:
        _, output, _ = await invoke("top", "--url", exporter.url, "--alertmanager", url.removeprefix("http://"))
        _, silent, _ = await invoke("top", "--url", exporter.url, "--alertmanager", f"{HOST}:1")
    firing = output[output.index("FIRING (2)") :].splitlines()[1:3]
    assert [line.split()[3] for line in firing] == ["MiningRigsDown", "MiningRigFault"]
    assert firing[0].endswith("MiningRigsDown is [2J bad")
    assert "FIRING: unknown (refused: " in silent


async def test_an_exporter_that_does_not_answer_is_exit_code_1() -> None:
    code, _, errors = await invoke("top", "--url", f"{HOST}:1")
    assert code == 1
    assert "start `hashmargin run` there" in errors


def on_a_terminal(*arguments: str) -> bytes:
    """Run a command on a pseudo-terminal and return everything that it writes there."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([sys.executable, "-m", "exporter", *arguments], stdout=theirs, stdin=theirs, stderr=theirs):
        os.close(theirs)
        written = b""
        try:
            while chunk := os.read(ours, 65_536):
                written += chunk
        except OSError:  # Linux reports the end of a pseudo-terminal so
            pass
        finally:
            os.close(ours)
    return written


async def test_a_terminal_is_redrawn_and_left_as_it_was() -> None:
    async with served() as exporter:
        command = ("top", "--count", "2", "--interval", "0.01", "--url")
        shown = await asyncio.to_thread(on_a_terminal, *command, exporter.url)
        dark = await asyncio.to_thread(on_a_terminal, *command, f"{HOST}:1")
    assert shown.startswith(b"\x1b[?1049h")
    assert shown.endswith(b"\x1b[?1049l")
    assert shown.count(b"STALE") == 2
    assert dark.count(b"gave no answer (refused: ") == 2
