"""A clock that tests set."""

from dataclasses import dataclass


@dataclass
class Clock:
    """Seconds since any moment."""

    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now
