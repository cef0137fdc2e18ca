"""`hashmargin init`: a first configuration of simulated rigs that runs."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import yaml
from click.testing import CliRunner, Result
from own_network import OWN, fresh_network

from exporter.cli import main
from exporter.settings.upgrade import upgrades
from exporter.simulation.site import SimulatedSite

MODELS = ("Antminer S19j Pro", "Antminer S21")
SILENT = "127.60.0.0/30"  # no rig listens there


@pytest.fixture
async def network() -> AsyncIterator[str]:
    async with SimulatedSite(models=MODELS, network=fresh_network(), troubles=False, control_port=0) as site:
        yield f"{site.placements[0].address.rpartition('.')[0]}.0/28"


async def init(folder: Path, *arguments: str, answers: str = "") -> Result:
    """Run the command in a thread: it has an event loop of its own."""
    command = ("init", "--directory", str(folder), *arguments)
    return await asyncio.to_thread(CliRunner().invoke, main, command, input=answers)


def check(file: Path) -> Result:
    return CliRunner().invoke(main, ("check-config", "--output", "json", "--config.file", str(file)))


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_options_give_a_configuration_that_runs(network: str, tmp_path: Path) -> None:
    options = ("--no-input", "--site=prairie-1", "--block=container-1", "--power-price=0.05")
    made = await init(tmp_path, network, *options)
    assert made.exit_code == 0, made.output
    assert "Rigs: 2." in made.output
    written = yaml.safe_load((tmp_path / "site.yml").read_text(encoding="utf-8"))
    assert written == {
        "site": "prairie-1",
        "state": {"path": "state.sqlite"},
        "fleet": {"csv": ["rigs.csv"], "defaults": {"block": "container-1"}},
        "tariffs": {"power": {"kind": "fixed", "usd_per_kilowatt_hour": 0.05}},
    }
    assert await blocks_of_rigs_that_answer(tmp_path / "site.yml") == ["container-1", "container-1"]


async def blocks_of_rigs_that_answer(file: Path) -> list[str]:
    """Run the exporter until all rigs have answered."""
    with socket.create_server((f"{OWN}.0.9", 0)) as server:
        address = f"{OWN}.0.9:{server.getsockname()[1]}"
    command = (sys.executable, "-m", "exporter", "run", "--config.file", str(file), "--web.listen-address", address)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("HASHMARGIN_")}
    environ |= {"HASHMARGIN_EVALUATION_INTERVAL": "1s", "HASHMARGIN_POLLING__INTERVAL": "5s"}
    exporter = await asyncio.create_subprocess_exec(*command, env=environ, stderr=asyncio.subprocess.PIPE)
    try:
        async with asyncio.timeout(600), aiohttp.ClientSession() as session:
            while exporter.returncode is None:
                try:
                    async with session.get(f"http://{address}/api/v1/rigs?status=mining") as answer:
                        rigs = json.loads(await answer.text())["rigs"] if answer.status == 200 else []
                except aiohttp.ClientConnectionError:
                    rigs = []
                if len(rigs) == len(MODELS):
                    return [rig["block"] for rig in rigs]
                await asyncio.sleep(0.1)
    finally:
        if exporter.returncode is None:
            exporter.terminate()
        _, errors = await exporter.communicate()
    raise AssertionError(errors.decode())


async def test_questions_are_asked_for_what_no_option_gives(network: str, tmp_path: Path) -> None:
    answers = [
        "prairie 1",
        "10.1.0.0/33",
        f"{network}, {SILENT}",
        "container: 1",
        "dear",
        "0.0412345",
        "root",
        "s: #3cret",
        "y",
    ]
    made = await init(tmp_path, answers="\n".join(answers))
    assert made.exit_code == 0, made.output
    assert "s: #3cret" not in made.output
    assert "'10.1.0.0/33' is not an IPv4 range" in made.output
    assert (tmp_path / "rig-password").read_text(encoding="utf-8") == "s: #3cret\n"
    assert (tmp_path / "rig-password").stat().st_mode & 0o777 == 0o600
    checked = check(tmp_path / "site.yml")
    assert checked.exit_code == 0, checked.output
    written = yaml.safe_load((tmp_path / "site.yml").read_text(encoding="utf-8"))
    assert written["site"] == "prairie 1"
    assert written["tariffs"]["power"]["usd_per_kilowatt_hour"] == 0.0412345
    assert written["fleet"]["defaults"] == {"block": "container: 1", "login": "rigs"}
    login = {"username": "root", "password_file": "rig-password", "cidr": [network, SILENT]}
    assert written["fleet"]["logins"] == {"rigs": login}
    assert not [line for line in upgrades(tmp_path / "site.yml") if "deprecated" in line]
    assert (written["network"], written["bitcoin"]["kind"]) == ({"kind": "mempool"}, "median")


async def test_answers_left_empty_are_left_out(network: str, tmp_path: Path) -> None:
    made = await init(tmp_path, network, "--site=x", answers="\n\n\nn\n")
    assert made.exit_code == 0, made.output
    written = yaml.safe_load((tmp_path / "site.yml").read_text(encoding="utf-8"))
    assert written == {"site": "x", "state": {"path": "state.sqlite"}, "fleet": {"csv": ["rigs.csv"]}}
    assert check(tmp_path / "site.yml").exit_code == 0


@pytest.mark.parametrize("name", ["site.yml", "rigs.csv", "rig-password"])
async def test_no_file_is_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine", encoding="utf-8")
    refused = await init(tmp_path, SILENT, "--no-input", "--site=x")
    assert refused.exit_code == 2
    assert f"{name} exists and is not replaced" in refused.stderr
    assert (tmp_path / name).read_text(encoding="utf-8") == "mine"
    assert files(tmp_path) == [name]


async def test_a_configuration_that_would_be_refused_leaves_no_file(network: str, tmp_path: Path) -> None:
    refused = await init(tmp_path, network, "--no-input", "--site=x", f"--block={'b' * 201}")
    assert refused.exit_code == 2
    assert "block" in refused.stderr
    assert files(tmp_path) == []


async def test_a_scan_that_finds_no_rig_writes_nothing(tmp_path: Path) -> None:
    empty = await init(tmp_path, SILENT, "--no-input", "--site=x")
    assert empty.exit_code == 1
    assert "none of 2 addresses has a rig" in empty.stderr
    assert files(tmp_path) == []


async def test_without_a_terminal_and_without_answers_the_options_are_named(tmp_path: Path) -> None:
    asked = await init(tmp_path)
    assert (asked.exit_code, "--no-input" in asked.stderr) == (2, True)
    missing = await init(tmp_path, "--no-input")
    assert (missing.exit_code, "--site and a RANGE" in missing.stderr) == (2, True)
