"""Runs the demo: a simulated site in a child process and the exporter in this one, stopped together."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any, Final

from exporter import app
from exporter.settings.load import load
from exporter.settings.model import Settings

_STOP_SECONDS: Final = 5.0


class DemoError(Exception):
    """The demo could not start, or its simulated site stopped unexpectedly. The message is one sentence."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """A simulated site that is ready: what it printed about itself, and the exporter's configuration for it."""

    ready: Mapping[str, Any]
    config_file: Path
    notice: str


def run(
    arguments: list[str], overrides: Mapping[str, object], announce: Callable[[Simulation, Settings], None]
) -> None:
    """Run until SIGINT or SIGTERM, then stop everything and remove all files.

    Args:
        arguments: Arguments of ``python -m exporter.simulation``.
        overrides: Settings that replace those the simulation writes.
        announce: Called once the simulated site is ready, before the exporter starts.

    Raises:
        DemoError: The simulated site did not start or stopped unexpectedly.
        ConfigError: The settings are invalid.
    """
    with _interrupted_by_sigterm(), TemporaryDirectory(prefix="hashmargin-demo-") as folder:
        config_file = Path(folder) / "site.yml"
        with _simulation(arguments, config_file) as simulation:
            overrides = {"state.path": None, **overrides}  # nothing of a simulated site is kept
            settings = load(config_file, overrides=overrides, environ=os.environ)
            announce(simulation, settings)
            app.run_blocking(settings)


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Let SIGTERM stop the demo like Ctrl-C. During cleanup both are ignored."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _simulation(arguments: list[str], config_file: Path) -> Iterator[Simulation]:
    """Start a simulated site. If it stops first, the exporter in this process is stopped too."""
    errors_file = config_file.with_suffix(".err")
    with errors_file.open("w") as errors:
        process = subprocess.Popen(  # noqa: S603 -- our own module and numbers
            [sys.executable, "-m", "exporter.simulation", "--config-out", str(config_file), *arguments],
            stdin=subprocess.PIPE,  # the simulation stops when this pipe closes
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,  # Ctrl-C stops only this process, which then stops the simulation
        )
    ending = threading.Event()
    watcher = threading.Thread(target=_stop_with, args=(process, ending), daemon=True)
    try:
        assert process.stdout is not None  # noqa: S101 -- for mypy
        first = process.stdout.readline()
        if not first:
            raise DemoError(f"the simulated site did not start: {_last_error(errors_file, process)}")
        watcher.start()
        yield Simulation(json.loads(first), config_file, errors_file.read_text().strip())
        if process.poll() is not None:
            raise DemoError(f"the simulated site stopped unexpectedly: {_last_error(errors_file, process)}")
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        ending.set()
        process.terminate()
        try:
            process.communicate(timeout=_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def _stop_with(process: subprocess.Popen[str], ending: threading.Event) -> None:
    process.wait()
    if not ending.is_set():
        os.kill(os.getpid(), signal.SIGTERM)


def _last_error(errors_file: Path, process: subprocess.Popen[str]) -> str:
    code = process.wait()
    lines = errors_file.read_text().strip().splitlines()
    return lines[-1] if lines else f"exit code {code}"
