"""A timeout like :func:`asyncio.timeout` at half its cost, which every poll pays twice."""

import asyncio
from types import TracebackType


class FastTimeout:
    """Cancels the code inside after ``seconds`` and raises TimeoutError, with the words of the cancellation if any."""

    __slots__ = ("_cancelling", "_expired", "_handle", "_seconds", "_task")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._expired = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a timeout needs a running task")
        self._task = task
        self._cancelling = task.cancelling()
        self._handle = asyncio.get_running_loop().call_later(self._seconds, self._expire)

    def _expire(self) -> None:
        self._expired = True
        self._task.cancel()

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._handle.cancel()
        # A cancellation by somebody else must not be lost.
        if self._expired and self._task.uncancel() <= self._cancelling and exc and exc_type is asyncio.CancelledError:
            raise TimeoutError(*exc.args) from exc
