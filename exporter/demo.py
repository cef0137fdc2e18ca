"""The demo: a simulated site as a process of its own, the exporter in this one against it, both ended together."""

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
    """The demo could not start, or its simulated site ended by itself. One sentence."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """A simulated site that is ready: what it said of itself, and where the exporter's configuration for it lies."""

    ready: Mapping[str, Any]
    config_file: Path
    notice: str


def run(arguments: list[str], overrides: Mapping[str, object], tell: Callable[[Simulation, Settings], None]) -> None:
    """Run until SIGINT or SIGTERM, and leave nothing behind.

    Args:
        arguments: For ``python -m exporter.simulation``.
        overrides: Settings that replace those the simulation writes.
        tell: Called once the simulated site is ready, before the exporter reads it.

    Raises:
        DemoError: Where the simulated site did not start or ended by itself.
        ConfigError: Where the settings cannot be used.
    """
    with _interrupted_by_sigterm(), TemporaryDirectory(prefix="hashmargin-demo-") as folder:
        config_file = Path(folder) / "site.yml"
        with _simulation(arguments, config_file) as simulation:
            settings = load(config_file, overrides=overrides, environ=os.environ)
            tell(simulation, settings)
            app.run_blocking(settings)


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the demo as Ctrl-C does; while it tidies up, neither breaks in."""

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
    """Start a simulated site, and end this process's exporter should it end first."""
    words = config_file.with_suffix(".err")
    with words.open("w") as errors:
        process = subprocess.Popen(  # noqa: S603 -- our own module and numbers
            [sys.executable, "-m", "exporter.simulation", "--config-out", str(config_file), *arguments],
            stdin=subprocess.PIPE,  # its end tells the simulation that we are gone, however we went
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,  # Ctrl-C is for us: we end it after ourselves
        )
    ending = threading.Event()
    watcher = threading.Thread(target=_end_with, args=(process, ending), daemon=True)
    try:
        assert process.stdout is not None  # noqa: S101 -- for mypy: it was asked for
        first = process.stdout.readline()
        if not first:
            raise DemoError(f"the simulated site did not start: {_last_words(words, process)}")
        watcher.start()
        yield Simulation(json.loads(first), config_file, words.read_text().strip())
        if process.poll() is not None:
            raise DemoError(f"the simulated site ended by itself: {_last_words(words, process)}")
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


def _end_with(process: subprocess.Popen[str], ending: threading.Event) -> None:
    process.wait()
    if not ending.is_set():
        os.kill(os.getpid(), signal.SIGTERM)


def _last_words(words: Path, process: subprocess.Popen[str]) -> str:
    code = process.wait()
    said = words.read_text().strip().splitlines()
    return said[-1] if said else f"exit code {code}"
