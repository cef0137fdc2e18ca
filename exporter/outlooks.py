"""Keeps the latest outlook. It is worked out in a process of its own, at most once an hour."""

import asyncio
import pickle
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Final

import structlog

from exporter.decision.prospect import Outlook, Question
from exporter.telemetry import Telemetry

_log = structlog.get_logger(__name__)

_COMMAND: Final = (sys.executable, "-m", "exporter.outlook_worker")
_INTERVAL: Final = 3_600.0  # s
_TIMEOUT: Final = 120.0  # s


class OutlookError(Exception):
    """The worker process gave no outlook. The message is one sentence."""


def installed() -> bool:
    """Whether numpy, which the outlook needs, is installed."""
    return find_spec("numpy") is not None


class Outlooks:
    """Asks a worker process for outlooks. If it fails, there is no outlook until the next attempt succeeds."""

    def __init__(self, telemetry: Telemetry, command: Sequence[str] = _COMMAND, interval: float = _INTERVAL) -> None:
        self._telemetry = telemetry
        self._command = command
        self._interval = interval
        self._outlook: Outlook | None = None
        self._asked: float | None = None  # monotonic
        self._questions: asyncio.Queue[Question] = asyncio.Queue(maxsize=1)
        self._failing = False

    @property
    def due(self) -> bool:
        """Whether it is time for a question."""
        return self._asked is None or time.monotonic() - self._asked >= self._interval

    def latest(self, now: float) -> Outlook | None:
        """Return the outlook, unless it is older than two intervals at ``now`` (unix seconds)."""
        outlook = self._outlook
        return outlook if outlook is not None and abs(now - outlook.asked_at) <= 2 * self._interval else None

    def forget(self) -> None:
        """Drop the outlook, because the settings that it was made with have changed; the next question is due."""
        self._outlook, self._asked = None, None

    def ask(self, question: Question) -> None:
        """Let the next run answer this question. A question that still waits is replaced."""
        self._asked = time.monotonic()
        if self._questions.full():
            self._questions.get_nowait()
        self._questions.put_nowait(question)

    async def run(self) -> None:
        """Answer questions until cancelled."""
        while True:
            await self.answer()

    async def answer(self) -> None:
        """Wait for a question and answer it. A failure is counted, and logged if the one before succeeded."""
        question = await self._questions.get()
        try:
            self._outlook = await self._ask_worker(question)
        except Exception as error:  # noqa: BLE001 -- whatever a worker does, it costs the outlook and nothing else
            self._outlook = None
            self._telemetry.outlook_failures.inc()
            if not self._failing:
                _log.error("no outlook until the next attempt", reason=str(error), next_attempt_seconds=self._interval)
            self._failing = True
        else:
            if self._failing:
                _log.info("the outlook is back")
            self._failing = False

    async def _ask_worker(self, question: Question) -> Outlook:
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(_TIMEOUT):
                answer, errors = await process.communicate(pickle.dumps(question))
        except TimeoutError:
            raise OutlookError(f"its worker process took longer than {_TIMEOUT:.0f} s") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            last = errors.decode(errors="replace").strip().splitlines()[-1:]
            raise OutlookError(f"its worker process ended with code {process.returncode}: {' '.join(last)[:200]}")
        outlook: Outlook = pickle.loads(answer)  # noqa: S301 -- of our own worker
        return outlook
