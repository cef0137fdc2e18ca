"""Values calculated from successive readings of one rig: its energy, and the growth of counters in a sliding window."""

import math
from operator import ge, sub
from typing import Final

_SAMPLES_PER_WINDOW: Final = 5  # enough to slide smoothly, few enough for 10,000 rigs


class Energy:
    """Energy in joules, by the trapezoid rule between successive readings. None until a power was read."""

    __slots__ = ("_at", "_watts", "joules")

    def __init__(self, joules: float | None = None) -> None:
        self.joules = joules
        self._watts: float | None = None
        self._at = -math.inf

    def observe(self, watts: float | None, at: float, max_gap: float) -> None:
        """Add a reading taken at ``at`` (monotonic seconds); a gap longer than ``max_gap`` seconds adds nothing."""
        if watts is None or not 0 <= watts < math.inf:
            self._watts = None
            return
        self.joules = self.joules or 0.0
        if self._watts is not None and 0 <= at - self._at <= max_gap:
            self.joules += (self._watts + watts) / 2 * (at - self._at)
        self._watts = watts
        self._at = at


class CounterWindow:
    """Counters over a sliding window of at least ``length`` seconds, which starts again when one of them falls."""

    __slots__ = ("_last", "_length", "_samples")

    def __init__(self, length: float) -> None:
        self._length = length
        self.clear()

    def clear(self) -> None:
        """Start the window again."""
        self._samples: list[tuple[float, ...]] = []
        self._last: tuple[float, ...] = ()

    def observe(self, at: float, *counters: float) -> None:
        """Add the counters as they stood at ``at`` (monotonic seconds)."""
        sample = (at, *counters)
        if self._last and not self._continues(sample):
            self.clear()
        samples = self._samples
        if not samples or at - samples[-1][0] >= self._length / _SAMPLES_PER_WINDOW:
            samples.append(sample)
        while len(samples) > 1 and at - samples[1][0] >= self._length:
            samples.pop(0)
        self._last = sample

    def _continues(self, sample: tuple[float, ...]) -> bool:
        return all(map(ge, sample, self._last)) and sample[0] - self._last[0] <= self._length

    def growth(self) -> tuple[float, ...] | None:
        """Return the seconds covered, then the growth of each counter; None until the window is full."""
        if not self._samples:
            return None
        growth = tuple(map(sub, self._last, self._samples[0]))
        return growth if growth[0] >= self._length else None
