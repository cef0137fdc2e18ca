"""The last value of something, which refuses to be read once it is too old: stale data can't be used by accident."""

from typing import Final, Generic, TypeVar

from exporter.model.readings import Reading

T = TypeVar("T")

FUTURE_SKEW: Final = 30.0
"""Seconds that an observation may lie ahead of our clock before it is refused."""


class Stale(Exception):  # noqa: N818 -- reads as what it says
    """There is no value, or it is too old, or it was observed in the future."""


class Latest(Generic[T]):
    """Holds the last reading put; gives it out while it is at most ``max_age`` seconds old."""

    __slots__ = ("_reading", "max_age")

    def __init__(self, max_age: float) -> None:
        self.max_age = max_age
        self._reading: Reading[T] | None = None

    def put(self, reading: Reading[T]) -> None:
        """Keep it instead of the one before, even an older one: the clock may have been put right meanwhile."""
        self._reading = reading

    @property
    def observed_at(self) -> float | None:
        """When the last value was observed (unix seconds), however long ago; None where there is none."""
        return None if self._reading is None else self._reading.observed_at

    def accepts(self, reading: Reading[T], now: float) -> bool:
        """Tell whether a reading can be relied on at ``now`` (unix seconds)."""
        return -FUTURE_SKEW <= now - reading.observed_at <= self.max_age

    def fresh(self, now: float) -> Reading[T] | None:
        """Give the reading, or None unless it can be relied on at ``now`` (unix seconds)."""
        reading = self._reading
        return reading if reading is not None and self.accepts(reading, now) else None

    def get(self, now: float) -> Reading[T]:
        """Give the reading. Raises :class:`Stale` unless it can be relied on at ``now`` (unix seconds)."""
        reading = self.fresh(now)
        if reading is not None:
            return reading
        if self._reading is None:
            raise Stale("there is no value yet")
        age = now - self._reading.observed_at
        raise Stale(
            f"observed {-age:.0f} s in the future" if age < 0 else f"{age:.0f} s old, {self.max_age:.0f} allowed"
        )
