"""Time for timers and ages: it never jumps when the system clock is set."""

import time
from collections.abc import Callable
from typing import Final

SLEW: Final = 1.0
"""Seconds. A smaller deviation of the system clock is followed without notice: time servers slew it in small steps."""


def elapsed() -> float:
    """Return seconds since the system booted, including time in suspend where the system counts it."""
    return time.clock_gettime(_CLOCK)


def suspended_seconds() -> float:
    """Return for how many seconds the system was suspended since it booted."""
    return elapsed() - time.monotonic()


_QUICK: Final = 0.1  # s, between two readings of the timer: then both clocks were read at one time
_TRIES: Final = 20

_CLOCK: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class SteadyClock:
    """Unix seconds that follow a change of the system clock only on request, so that all stored times move with it.

    Args:
        wall: The system clock, unix seconds.
        timer: Seconds that never jump.
    """

    def __init__(self, wall: Callable[[], float] = time.time, timer: Callable[[], float] = elapsed) -> None:
        self._wall = wall
        self._timer = timer
        self._offset = self._measured()

    def __call__(self) -> float:
        """Return the time, unix seconds."""
        return self._offset + self._timer()

    def follow(self) -> float:
        """Follow the system clock. Return by how many seconds it was set since the last call; 0 if it was not set."""
        step = self._measured() - self._offset
        self._offset += step
        return step if abs(step) > SLEW else 0.0

    def _measured(self) -> float:
        """Return by how much the system clock is ahead of the timer. A pause of the process between both is not."""
        before, wall = self._timer(), self._wall()
        for _ in range(_TRIES):
            if self._timer() - before < _QUICK:
                break
            before, wall = self._timer(), self._wall()
        return wall - before
