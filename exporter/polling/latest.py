"""The last value of something. It is not returned once it is too old, so stale data cannot be used by accident."""

from typing import Final, Generic, TypeVar

from exporter.model.readings import Reading

T = TypeVar("T")

FUTURE_SKEW: Final = 30.0
"""Seconds that an observation may be ahead of our clock."""


class Latest(Generic[T]):
    """Holds the last reading and returns it while it is at most ``max_age`` seconds old."""

    __slots__ = ("_reading", "max_age")

    def __init__(self, max_age: float) -> None:
        self.max_age = max_age
        self._reading: Reading[T] | None = None

    def put(self, reading: Reading[T]) -> None:
        """Replace the reading, also by an older one: the clock may have been corrected."""
        self._reading = reading

    def shift(self, seconds: float) -> None:
        """Move the time of the reading with the system clock, which was set by ``seconds``."""
        if self._reading is not None:
            self._reading = Reading(self._reading.value, self._reading.observed_at + seconds)

    @property
    def last(self) -> Reading[T] | None:
        """The last reading at any age. Only what may hold longer than it is fresh uses it: see :mod:`standing`."""
        return self._reading

    @property
    def observed_at(self) -> float | None:
        """When the last value was observed (unix seconds), at any age. None if there is none."""
        return None if self._reading is None else self._reading.observed_at

    def accepts(self, reading: Reading[T], now: float) -> bool:
        """Whether a reading is usable at ``now`` (unix seconds)."""
        return -FUTURE_SKEW <= now - reading.observed_at <= self.max_age

    def fresh(self, now: float) -> Reading[T] | None:
        """Return the reading if it is usable at ``now`` (unix seconds), else None."""
        reading = self._reading
        return reading if reading is not None and self.accepts(reading, now) else None
