"""Answers that several sources need, such as the areas of one market: one request serves all of them."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from exporter.model.failures import Failure

T = TypeVar("T")

_MOST_KEPT: Final = 32


@dataclass(slots=True)
class _Outcome(Generic[T]):
    """The latest outcome of one request, and the lock that makes others wait for it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    at: float = float("-inf")  # by the timer
    answer: T | None = None
    failure: Failure | None = None


class SharedAnswers(Generic[T]):
    """The latest answers by request.

    Args:
        timer: Seconds that never jump.
    """

    def __init__(self, timer: Callable[[], float]) -> None:
        self._timer = timer
        self._outcomes: dict[Hashable, _Outcome[T]] = {}

    async def get(self, key: Hashable, max_age: float, request: Callable[[], Awaitable[T]]) -> tuple[T, float]:
        """Return the answer to ``key`` and its age in seconds, at most ``max_age``. Else ``request`` it.

        Those that ask while it is being requested get the same answer, or the same Failure.
        """
        asked_at = self._timer()
        outcome = self._outcomes.setdefault(key, _Outcome())
        async with outcome.lock:
            if outcome.failure is not None and outcome.at >= asked_at:
                raise outcome.failure.with_traceback(None)
            if outcome.answer is not None:
                age = self._timer() - outcome.at
                if outcome.at >= asked_at or age <= max_age:
                    return outcome.answer, max(0.0, age)
            outcome.answer = outcome.failure = None
            try:
                outcome.answer = await request()
            except Failure as failure:
                outcome.failure = failure
                raise
            finally:
                outcome.at = self._timer()
                self._forget_oldest()
        return outcome.answer, 0.0

    def _forget_oldest(self) -> None:
        while len(self._outcomes) > _MOST_KEPT:
            idle = [key for key, outcome in self._outcomes.items() if not outcome.lock.locked()]
            if not idle:
                return
            del self._outcomes[min(idle, key=lambda key: self._outcomes[key].at)]
