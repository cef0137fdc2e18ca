"""A timeout like :func:`asyncio.timeout` at a small part of its cost, which every poll pays several times."""

import asyncio
import time
from collections import deque
from types import TracebackType
from typing import Final

_RESOLUTION: Final = 0.001  # s, of uvloop's timers


class FastTimeout:
    """Cancels the code inside after ``seconds`` and raises TimeoutError, with the words of the cancellation if any."""

    __slots__ = ("_cancelling", "_expired", "_seconds", "at", "task")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._expired = False
        self.at = 0.0
        """When it expires, by the clock of its deadlines."""
        self.task: asyncio.Task[object] | None = None
        """The task inside; None once it has left."""

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("a timeout needs a running task")
        self.task = task
        self._cancelling = task.cancelling()
        deadlines = _by_length.get(self._seconds)
        if deadlines is None or deadlines.loop is not loop:
            deadlines = _by_length[self._seconds] = _Deadlines(self._seconds, loop)
        deadlines.add(self)

    def expire(self) -> None:
        """Cancel the code inside if it still runs."""
        if self.task is not None:
            self._expired = True
            self.task.cancel()

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        task, self.task = self.task, None
        # A cancellation by somebody else must not be lost.
        if not self._expired or task is None:
            return
        is_ours = task.uncancel() <= self._cancelling
        del task  # it may keep the error, which keeps this frame: a cycle
        if is_ours and exc and exc_type is asyncio.CancelledError:
            raise TimeoutError(*exc.args) from exc


class _Deadlines:
    """The deadlines of one length in one loop. They come in the order of their timeouts, so one timer serves all."""

    def __init__(self, seconds: float, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._seconds = seconds
        # uvloop's time stands still during one turn, which may be long.
        self._clock = loop.time if isinstance(loop, asyncio.BaseEventLoop) else time.monotonic
        self._waiting: deque[FastTimeout] = deque()
        self._armed = False

    def add(self, timeout: FastTimeout) -> None:
        timeout.at = self._clock() + self._seconds
        self._waiting.append(timeout)
        if not self._armed:
            self._arm(self._seconds)

    def _arm(self, seconds: float) -> None:
        self._armed = True
        self.loop.call_later(seconds, self._pass)

    def _pass(self) -> None:
        self._armed = False
        now = self._clock()
        while self._waiting and (self._waiting[0].task is None or self._waiting[0].at <= now + _RESOLUTION):
            self._waiting.popleft().expire()
        if self._waiting:
            self._arm(self._waiting[0].at - now)


_by_length: Final[dict[float, _Deadlines]] = {}
