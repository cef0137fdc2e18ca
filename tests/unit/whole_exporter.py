"""The whole exporter as a process of its own against a few simulated rigs, for the files ``test_app*.py``."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from child_process import child
from own_network import OWN
from prometheus_client.parser import text_string_to_metric_families

NEVER = 600  # s, also on a machine with sixty busy processes
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Exporter:
    """``hashmargin run`` on a free port, with its configuration and state in a folder."""

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        with socket.create_server((f"{OWN}.0.9", 0)) as server:
            self.address = f"{OWN}.0.9:{server.getsockname()[1]}"
        self.file = folder / "site.yml"
        self.config = config | {
            "evaluation_interval": "1s",
            "polling": {"interval": "2s", "deadline": "2s"},
            "web": {"listen_address": self.address, "enable_lifecycle": True},
            "state": {"path": str(folder / "state.sqlite")},
        }

    def configure(self, **changes: Any) -> None:
        self.config |= changes
        self.file.write_text(yaml.safe_dump(self.config), encoding="utf-8")

    @asynccontextmanager
    async def running(
        self, *options: str, flags: Sequence[str] = (), held_back: bool = False
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        """Start it; ``options`` are those of the interpreter, ``flags`` those of the command.

        Where it is ``held_back``, it waits for the configuration until :meth:`hand_over`.
        """
        self.configure()
        if held_back:
            self.file.unlink()
            os.mkfifo(self.file)
        async with child(
            *(sys.executable, *options, "-m", "exporter", "run", "--config.file", str(self.file), *flags),
            stderr=asyncio.subprocess.PIPE,
            env={name: value for name, value in os.environ.items() if not name.startswith("HASHMARGIN_")},
        ) as process:
            yield process

    def reader(self) -> int | None:
        """Return the open pipe to a process that waits for the configuration."""
        with suppress(OSError):
            return os.open(self.file, os.O_WRONLY | os.O_NONBLOCK)
        return None

    def hand_over(self, waiting: int) -> None:
        """Give the configuration to the process that waits for it. Later ones read the file."""
        self.file.unlink()
        self.configure()
        with os.fdopen(waiting, "wb") as file:
            file.write(self.file.read_bytes())

    async def ask(self, method: str, path: str) -> tuple[int, str]:
        async with aiohttp.request(method, f"http://{self.address}{path}") as answer:
            return answer.status, await answer.text()

    async def until(self, holds: Callable[[Samples], bool]) -> Samples:
        """Scrape until it holds; the test's own time limit ends what never does."""
        async with asyncio.timeout(NEVER):
            while True:
                try:
                    status, text = await self.ask("GET", "/metrics")
                except (aiohttp.ClientError, TimeoutError):
                    status, text = 0, ""
                samples = parse(text) if status == 200 else {}
                if samples and holds(samples):
                    return samples
                await asyncio.sleep(0.1)


def parse(text: str) -> Samples:
    families = text_string_to_metric_families(text)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def values(samples: Samples, name: str) -> dict[str, float]:
    """Give a metric's values by rig."""
    return {dict(labels)["rig"]: value for (found, labels), value in samples.items() if found == name}


def one(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, frozenset(labels.items())))


def verdicts(samples: Samples) -> dict[tuple[str, str], float]:
    """Give the unix time since which each rig has its verdict."""
    since = values(samples, "mining_rig_verdict_since_timestamp_seconds")
    given = (dict(labels) for (name, labels), on in samples.items() if name == "mining_rig_verdict" and on)
    return {(each["rig"], each["verdict"]): since[each["rig"]] for each in given}


def all_margins(samples: Samples) -> bool:
    return len(values(samples, "mining_rig_margin_usd_per_day")) == 3


def decided(samples: Samples) -> bool:
    return len(verdicts(samples)) == 3 and all(verdict != "unknown" for _, verdict in verdicts(samples))


async def read_to(words: str, stream: asyncio.StreamReader) -> str:
    """Read up to the line with these words."""
    lines = [await stream.readline()]
    while words.encode() not in lines[-1]:
        assert lines[-1], f"it ended without {words!r}"
        lines.append(await stream.readline())
    return b"".join(lines).decode()


def read_within(seconds: float, samples: Samples) -> set[str]:
    """Return the rigs that were read in the seconds before the evaluation: a busy machine reads some later."""
    evaluated = one(samples, "mining_evaluation_timestamp_seconds") or 0.0
    read = values(samples, "mining_rig_last_success_timestamp_seconds")
    return {rig for rig, at in read.items() if evaluated - at < seconds}


async def ended(process: asyncio.subprocess.Process) -> str:
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(NEVER):
        _, errors = await process.communicate()
    assert process.returncode == 0
    return errors.decode()
