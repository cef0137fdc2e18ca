"""Keeps the latest answer of a background task. It is worked out in a process of its own, one at a time."""

import asyncio
import math
import pickle
import sys
import time
from collections.abc import Sequence
from typing import Final, Generic, Protocol, TypeVar

import structlog
from prometheus_client import Counter

_log = structlog.get_logger(__name__)

_TIMEOUT: Final = 120.0  # s


class Answer(Protocol):
    """What a task gives. ``asked_at`` are the unix seconds of what it starts from."""

    @property
    def asked_at(self) -> float:
        """Unix seconds of the state of things that it starts from."""


QuestionT = TypeVar("QuestionT")
AnswerT = TypeVar("AnswerT", bound=Answer)


class BackgroundError(Exception):
    """The worker process gave no answer. The message is one sentence."""


class Background(Generic[QuestionT, AnswerT]):
    """Asks a worker process. If it fails, there is no answer until the next attempt succeeds.

    Args:
        task: what is worked out, as the worker and the log name it.
        interval: how often, s. An answer is dropped when it is two intervals old.
        failures: counts the failed attempts.
        command: starts the worker; a test may give another.
    """

    def __init__(self, task: str, interval: float, failures: Counter, command: Sequence[str] | None = None) -> None:
        self.interval = interval
        self._task = task
        self._failures = failures
        self._command = command or (sys.executable, "-m", "exporter.background_worker", task)
        self._answer: AnswerT | None = None
        self._asked: float | None = None  # monotonic
        self._questions: asyncio.Queue[QuestionT] = asyncio.Queue(maxsize=1)
        self._failing = False

    @property
    def waited(self) -> float:
        """Seconds since the last question; infinite before the first."""
        return math.inf if self._asked is None else time.monotonic() - self._asked

    @property
    def due(self) -> bool:
        """Whether it is time for a question."""
        return self.waited >= self.interval

    def latest(self, now: float) -> AnswerT | None:
        """Return the answer, unless it is older than two intervals at ``now`` (unix seconds)."""
        answer = self._answer
        return answer if answer is not None and abs(now - answer.asked_at) <= 2 * self.interval else None

    def forget(self) -> None:
        """Drop the answer, because the settings that it was made with have changed; the next question is due."""
        self._answer, self._asked = None, None

    def ask(self, question: QuestionT) -> None:
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
            self._answer = await self._ask_worker(question)
        except Exception as error:  # noqa: BLE001 -- whatever a worker does, it costs its answer and nothing else
            self._answer = None
            self._failures.inc()
            if not self._failing:
                _log.error(
                    f"no {self._task} until the next attempt",
                    reason=str(error),
                    next_attempt_seconds=self.interval,
                )
            self._failing = True
        else:
            if self._failing:
                _log.info(f"the {self._task} is back")
            self._failing = False

    async def _ask_worker(self, question: QuestionT) -> AnswerT:
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
            raise BackgroundError(f"its worker process took longer than {_TIMEOUT:.0f} s") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            last = errors.decode(errors="replace").strip().splitlines()[-1:]
            raise BackgroundError(f"its worker process ended with code {process.returncode}: {' '.join(last)[:200]}")
        found: AnswerT = pickle.loads(answer)  # noqa: S301 -- of our own worker
        return found
