"""Lets polls and scrapes go before evaluations, which run in worker threads."""

import asyncio
import threading
import time
from contextlib import suppress
from typing import Final

_WORK_BETWEEN_TURNS: Final = 0.005  # s
_LONGEST_TURN: Final = 1.0  # s: a loop that is stuck for longer does not stop evaluations


class LoopFirst:
    """Lets the event loop go first: a worker thread calls it after each step, and it waits until the loop had a turn.

    While a thread computes, the loop waits for the interpreter's lock at each of its callbacks; on a busy machine until
    that thread gets a core again. Polls would then fall behind for a whole evaluation. This way it is one step.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Create it in the thread of ``loop``."""
        self._loop = loop
        self._thread = threading.get_ident()
        self._last = 0.0

    def __call__(self) -> None:
        """Wait for the loop, if the last turn is some milliseconds ago. Does nothing in the loop's own thread."""
        if time.monotonic() - self._last < _WORK_BETWEEN_TURNS or threading.get_ident() == self._thread:
            return
        had_a_turn = threading.Event()
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(had_a_turn.set)
            had_a_turn.wait(_LONGEST_TURN)
        self._last = time.monotonic()
