"""The operating points of a simulated rig: how hashrate and watts change, how it ramps, and what its firmware lists.

Power rises faster than hashrate: the shape is that of the profiles that firmware lists for a rig of 120 TH/s.
"""

from dataclasses import dataclass, field
from random import Random
from typing import Final

RAMP_SECONDS: Final = 300.0
QUICK_RAMP_SECONDS: Final = 5.0
TUNING_FACTOR: Final = 12.0
"""A first visit to a point that is not tuned takes so many ramps."""
SHARES: Final = (0.5, 0.65, 0.8, 0.9, 1.0, 1.1, 1.2)
"""The points of every rig, as shares of its stock hashrate."""
_TUNED: Final = frozenset({0.8, 1.0})
_LINEAR: Final = 0.75
_OFF_BY: Final = 0.1


def watts_share(share: float) -> float:
    """Return the power, as a share of the stock power, at a share of the stock hashrate."""
    return share * (_LINEAR + (1 - _LINEAR) * share)


@dataclass(slots=True)
class Operation:
    """The operating point of a rig and its start. Times in unix seconds."""

    random: Random
    share: float = 1.0
    since: float | None = None  # None: longer than the ramp
    usual_ramp: float = RAMP_SECONDS  # s, to a tuned point
    ramp: float = RAMP_SECONDS  # s, of the last change
    tuned: set[float] = field(default_factory=lambda: set(_TUNED))
    listed_error: dict[float, float] = field(default_factory=dict)  # of the watts in the list, by share

    def __post_init__(self) -> None:
        """Make the firmware's estimates wrong, except for the stock point."""
        self.listed_error = {share: 0.0 if share == 1 else self.random.uniform(-_OFF_BY, _OFF_BY) for share in SHARES}

    def move(self, share: float, now: float) -> None:
        """Change to another point. Raises KeyError for one that the rig does not have."""
        self.listed_error[share]
        self.ramp = self.usual_ramp * (1.0 if share in self.tuned else TUNING_FACTOR)
        self.share, self.since = share, now
        self.tuned.add(share)

    def progress(self, now: float) -> float:
        """Return the share of the point's hashrate that it has reached, 0-1."""
        return 1.0 if self.since is None else min(max((now - self.since) / self.ramp, 0.0), 1.0)

    def tuning(self, now: float) -> bool:
        """Return whether the firmware tunes."""
        return self.ramp > self.usual_ramp and self.progress(now) < 1

    def seconds_at_full(self, start: float, end: float) -> float:
        """Return the seconds between two times, each counted by its progress."""
        return self._integral(end) - self._integral(start)

    def _integral(self, at: float) -> float:
        if self.since is None:
            return at
        into = min(max(at - self.since, 0.0), self.ramp)
        return into * into / (2 * self.ramp) + max(at - self.since - self.ramp, 0.0)


@dataclass(frozen=True, slots=True)
class Listed:
    """A point as the firmware lists it."""

    share: float
    terahash: float
    watts: float
    tuned: bool
