"""The command line: help at once, errors in a sentence, exit codes, and a demo that leaves nothing behind."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any
from urllib.request import urlopen

import click
import pytest
import yaml
from click.testing import CliRunner, Result
from own_network import OWN, fresh_network

from exporter import __version__
from exporter.cli import main
from exporter.model.readings import Reading
from exporter.settings.schema import keys_at
from exporter.settings.upgrade import CHANGED_DEFAULTS, DEPRECATED
from exporter.state import LIST_SIZES, State, StateSettings, StateStore, document
from exporter.telemetry import Telemetry

SITE = """\
site: prairie-1
tariffs: {ppa: {kind: fixed, usd_per_kilowatt_hour: 0.05}}
network: {kind: fixed, difficulty: 1.3e14, height: 941000}
bitcoin: {kind: fixed, usd: 70370}
fleet: {rigs: [{name: a-01, address: 127.60.0.5, password: hunter2}]}
"""


def invoke(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(main, arguments, env=environ)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    file = tmp_path / "site.yml"
    file.write_text(SITE, encoding="utf-8")
    return file


@pytest.mark.parametrize("command", [(), *((name,) for name in sorted(main.commands) if name != "simulate")])
def test_the_help_of_every_command_has_examples_and_exit_codes(command: tuple[str, ...]) -> None:
    result = invoke(*command, "--help")
    assert result.exit_code == 0
    assert "Examples:" in result.output
    assert "Exit codes:" in result.output


def test_every_option_has_a_help_text() -> None:
    options = [option for command in main.commands.values() for option in command.params]
    assert options
    assert [option.name for option in options if isinstance(option, click.Option) and not option.help] == []


def test_the_version_is_printed() -> None:
    assert invoke("--version").output == f"hashmargin, version {__version__}\n"


def test_help_imports_no_heavy_library() -> None:
    script = (
        "import sys\n"
        "from exporter.cli import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "print(sorted({'aiohttp', 'asyncio', 'pyasic', 'pydantic', 'structlog', 'yaml'} & sys.modules.keys()))\n"
    )
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert output.splitlines()[-1] == "[]"


def test_check_config_shows_the_settings_with_secrets_masked(site: Path) -> None:
    result = invoke("check-config", "--config.file", str(site))
    assert result.exit_code == 0
    assert "rigs                 1\n" in result.output
    assert "network fixed, bitcoin fixed, tariff:ppa fixed" in result.output
    assert "warning: 1 rig without rated_watts" in result.output
    assert "hunter2" not in result.output


def test_check_config_prints_json_for_scripts(site: Path) -> None:
    printed = json.loads(invoke("check-config", "--config.file", str(site), "--output", "json").stdout)
    assert printed["tariffs"] == {"ppa": 1}
    assert printed["settings"]["network"]["height"] == 941000


def test_check_config_offline_needs_neither_secrets_nor_network(tmp_path: Path) -> None:
    file = tmp_path / "site.yml"
    file.write_text(
        """\
site: x
tariff: hub
tariffs:
  hub: {kind: ercot, point: HB_WEST, username: me, password_file: absent, subscription_key_file: absent}
network: {kind: bitcoin_core, username: rpc}
bitcoin: {kind: fixed, usd: 70370}
fleet:
  http_sd: [{url: "http://127.60.250.1:9/rigs"}]
  defaults: {username: root, password_file: also-absent}
  rigs: [{name: a, address: 127.60.0.5}]
""",
        encoding="utf-8",
    )
    secrets = ("--config.secrets-dir", str(tmp_path / "not-mounted"))
    assert invoke("check-config", "--config.file", str(file), *secrets).exit_code == 2
    result = invoke("check-config", "--config.file", str(file), *secrets, "--offline")
    assert result.exit_code == 0, result.output
    assert "rigs                 1\n" in result.output
    file.write_text(file.read_text(encoding="utf-8").replace("point:", "pont:"), encoding="utf-8")
    assert "did you mean 'point'?" in invoke("check-config", "--config.file", str(file), "--offline").output
    assert invoke("check-config", "--config.file", str(file), "--offline", "--online").exit_code == 2


def test_options_override_variables_and_both_override_the_file(
    site: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path_factory.mktemp("here")
    monkeypatch.chdir(here)
    (here / "web.yml").write_text("http_server_config: {http2: false}\n", encoding="utf-8")
    result = invoke(
        "check-config",
        *("--output", "json", "--log.level", "error", "--web.config.file", "web.yml"),
        HASHMARGIN_CONFIG_FILE=str(site),
        HASHMARGIN_LOG__LEVEL="debug",
        HASHMARGIN_LOG__FORMAT="json",
    )
    settings = json.loads(result.stdout)["settings"]
    assert settings["log"] == {"level": "error", "format": "json"}
    assert settings["web"]["config_file"] == str(here / "web.yml")


def test_secrets_come_from_a_directory(site: Path, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "site").write_text("from-a-secret\n", encoding="utf-8")
    result = invoke(
        "check-config", "--config.file", str(site), "--config.secrets-dir", str(secrets), "--output", "json"
    )
    assert json.loads(result.stdout)["site"] == "from-a-secret"


def test_an_invalid_configuration_is_exit_code_2_with_every_error_and_no_traceback(site: Path) -> None:
    site.write_text(SITE.replace("kind: fixed, usd: 70370", "kind: fixt, usd: 70370") + "polling: {intervall: 5s}\n")
    result = invoke("run", "--config.file", str(site))
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        "hashmargin: the configuration is invalid: correct these 2 errors, then try again",
        f"{site}:6: polling.intervall: there is no key 'intervall': did you mean 'interval'?",
        f"{site}:4: bitcoin: there is no kind 'fixt': did you mean 'fixed'?",
    ]


def test_an_invalid_option_is_exit_code_2(site: Path) -> None:
    result = invoke("run", "--config.file", str(site), "--log.level", "verbose")
    assert result.exit_code == 2
    assert "--log.level: 'verbose' must be one of debug, info, warning, error" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan", "--megawatts", "nan"),
        ("plan", "--megawatts", "1", "--moving-cost", "inf"),
        ("probe", "127.0.0.1", "--deadline", "-1"),
        ("demo", "--slot-seconds", "0"),
        ("backtest", "--sample", "--days", "nan"),
    ],
)
def test_an_invalid_number_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert f"Invalid value for '{arguments[-2]}'" in result.stderr


@pytest.mark.parametrize(
    ("rig", "expected"),
    [
        ("../../etc", "'../../etc' is not an address: write an IP address or a host name, without scheme or path"),
        ("10.1.0.300", "'10.1.0.300' is not an address: write it like 10.1.0.17"),
        (
            "c1-001.invalid",
            "'c1-001.invalid' cannot be resolved to an address: if it is the name of a rig, add --config.file",
        ),
    ],
)
@pytest.mark.parametrize("command", ["probe", "capture"])
def test_an_invalid_address_is_exit_code_2(command: str, rig: str, expected: str) -> None:
    result = invoke(command, rig)
    assert (result.exit_code, result.stderr) == (2, f"hashmargin: {expected}\n")


def test_a_missing_configuration_is_exit_code_2() -> None:
    result = invoke("run", HASHMARGIN_CONFIG_FILE="")
    assert result.exit_code == 2
    assert "Missing option '--config.file'" in result.stderr


@pytest.fixture
def taken() -> Iterator[str]:
    with socket.create_server((f"{OWN}.0.1", 0)) as server:
        yield f"{OWN}.0.1:{server.getsockname()[1]}"


def served_on(site: Path, address: str) -> subprocess.CompletedProcess[str]:
    """Try to serve there, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "exporter", "run", "--config.file", str(site), "--web.listen-address", address],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_port_in_use_is_one_sentence_with_the_next_step(site: Path, taken: str) -> None:
    result = served_on(site, taken)
    assert result.returncode == 1
    printed = f"cannot serve on {taken}: Address already in use; stop what listens there, or give another"
    assert result.stderr.splitlines()[-1] == f"hashmargin: {printed} --web.listen-address"
    assert "Traceback" not in result.stderr


def test_an_address_of_another_host_is_one_sentence_with_the_next_step(site: Path) -> None:
    result = served_on(site, "203.0.113.9:9852")
    assert result.returncode == 1
    assert "Cannot assign requested address; this host does not have that address: give another" in result.stderr
    assert "Traceback" not in result.stderr


class Demo:
    """A demo in a process of its own, on a loopback network and a port of its own, with its own place for files."""

    def __init__(self, folder: Path, address: str) -> None:
        arguments = ["--rigs=12", f"--network={fresh_network()}", f"--web.listen-address={address}", "--log.level=info"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "exporter", "demo", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(folder)},
        )

    def said(self, words: str) -> str:
        return self._until(words, self.process.stdout)

    def logged(self, words: str) -> str:
        return self._until(words, self.process.stderr)

    def _until(self, words: str, stream: IO[str] | None) -> str:
        assert stream is not None
        for line in stream:
            if words in line:
                return line
        raise AssertionError(f"the demo ended without saying {words!r}: {self.process.communicate()}")

    def simulation(self) -> int:
        pid = self.process.pid
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split():
            if "exporter.simulation" in Path(f"/proc/{child}/cmdline").read_text(encoding="ascii"):
                return int(child)
        raise AssertionError("the demo has no simulation")

    def end(self) -> tuple[int, str, str]:
        output, errors = self.process.communicate(timeout=600)
        return self.process.returncode, output, errors


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Callable[[str], Demo]]:
    started: list[Demo] = []

    def start(address: str) -> Demo:
        started.append(Demo(tmp_path, address))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()  # its simulation ends with it
        one.process.communicate()


@pytest.fixture
def free() -> str:
    with socket.create_server((f"{OWN}.0.2", 0)) as server:
        return f"{OWN}.0.2:{server.getsockname()[1]}"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_before_the_configuration_is_loaded_stops_it_cleanly(tmp_path: Path, number: int) -> None:
    file = tmp_path / "site.yml"
    os.mkfifo(file)
    command = [sys.executable, "-m", "exporter", "run", "--config.file", str(file)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        writer = None
        while writer is None and process.poll() is None:
            with suppress(OSError):  # until it reads
                writer = os.open(file, os.O_WRONLY | os.O_NONBLOCK)
            time.sleep(0.01)
        process.send_signal(signal.SIGHUP)  # a reload that comes as early
        process.send_signal(number)
        _, errors = process.communicate(timeout=600)
    assert (process.returncode, errors) == (0, "")
    assert writer is not None
    os.close(writer)


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_the_demo_serves_and_a_signal_stops_it_without_leftovers(
    demo: Callable[[str], Demo], tmp_path: Path, free: str
) -> None:
    running = demo(free)
    assert f"http://{free}/metrics" in running.said("for Prometheus")
    running.said("Some rigs are faulty on purpose")
    assert re.search(r" c\d-\d{3}\n", running.said("accepts connections and never answers"))
    running.logged("event=serving")
    with urlopen(f"http://{free}/-/healthy", timeout=600) as answer:
        assert answer.status == 200
    simulation = running.simulation()
    running.process.send_signal(signal.SIGTERM)
    code, output, errors = running.end()
    assert code == 0
    assert output.endswith("Stopped; nothing is left running.\n")
    assert "Traceback" not in errors
    assert gone(simulation)
    assert list(tmp_path.iterdir()) == []


def test_the_demo_stops_if_its_simulation_stops(demo: Callable[[str], Demo], tmp_path: Path, free: str) -> None:
    running = demo(free)
    running.logged("event=serving")
    os.kill(running.simulation(), signal.SIGKILL)
    code, _, errors = running.end()
    assert code == 1
    assert "hashmargin: the simulated site stopped unexpectedly" in errors
    assert list(tmp_path.iterdir()) == []


def test_a_demo_on_a_port_in_use_says_so_and_leaves_nothing_running(
    demo: Callable[[str], Demo], tmp_path: Path, taken: str
) -> None:
    code, _, errors = demo(taken).end()
    assert code == 1
    assert f"hashmargin: cannot serve on {taken}" in errors
    assert list(tmp_path.iterdir()) == []


def test_a_demo_that_cannot_start_says_why(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "exporter", "demo", "--network=10.0.0.0/16"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert result.returncode == 1
    assert result.stderr.startswith("hashmargin: the simulated site did not start: the network 10.0.0.0/16 is not on")
    assert list(tmp_path.iterdir()) == []


def test_check_config_compares_the_inventory_with_the_state_file(tmp_path: Path) -> None:
    site, state = tmp_path / "site.yml", tmp_path / "state.sqlite"
    rigs = [{"address": f"127.60.0.{number}"} for number in range(1, 11)]
    config = {"site": "x", "state": {"path": str(state)}, "fleet": {"rigs": rigs[:5]}}
    site.write_text(yaml.safe_dump(config), encoding="utf-8")

    async def keep(rigs: int) -> None:
        store = StateStore(StateSettings(path=state), Telemetry())
        await store.save(State(documents={LIST_SIZES: document(Reading({"fleet.rigs": rigs}, 1.0))}))
        await store.close()

    assert invoke("check-config", "--config.file", str(site)).exit_code == 0
    asyncio.run(keep(10))
    refused = invoke("check-config", "--config.file", str(site))
    assert refused.exit_code == 2
    assert "fleet.rigs lists 5 rigs instead of 10" in refused.output
    assert invoke("check-config", "--config.file", str(site), "--allow-shrink").exit_code == 0


def test_check_config_names_what_to_edit_after_an_upgrade(tmp_path: Path) -> None:
    config = tmp_path / "site.yml"
    config.write_text(
        "site: prairie-1\nfleet:\n  defaults: {username: root, password: hunter2}\n"
        "  ranges:\n    - cidr: 127.80.0.0/30\n      password: other\n  max_shrink: 0.5\nstate: {interval: 30s}\n",
        encoding="utf-8",
    )
    done = CliRunner().invoke(main, ["check-config", "--config.file", str(config), "--upgrade"])
    assert done.exit_code == 0, done.output
    printed = done.output.splitlines()
    assert [line.partition(": deprecated")[0] for line in printed[:-1]] == [
        f"{config}:3: fleet.defaults.username",
        f"{config}:3: fleet.defaults.password",
        f"{config}:6: fleet.ranges.0.password",
    ]
    assert printed[-1].endswith("as before: path: null")
    assert "hunter2" not in done.output
    config.write_text("site: prairie-1\n", encoding="utf-8")
    assert CliRunner().invoke(main, ["check-config", "--config.file", str(config), "--upgrade"]).output == (
        "nothing to edit\n"
    )


def test_deprecated_keys_and_changed_defaults_are_settings() -> None:
    for row in (*DEPRECATED, *CHANGED_DEFAULTS):
        values: Any = None
        for part in reversed(row.path[:-1]):
            values = [values] if part == "*" else {part: values}
        assert row.path[-1] in keys_at(tuple(0 if part == "*" else part for part in row.path[:-1]), values)
