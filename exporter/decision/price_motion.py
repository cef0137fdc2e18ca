"""How a price moves, learned from its own past, and what it is worth to follow it if each start costs something.

The model is a price that returns to a mean (Ornstein and Uhlenbeck): three figures, learned from hourly samples.
"""

from functools import lru_cache
from math import copysign, erfc, exp, inf, log, pi, sqrt
from typing import Final, NamedTuple

from exporter.model.units import SECONDS_PER_HOUR

_SPAN: Final = 28 * 24.0
"""Hours after which a sample counts for 1/e."""
_LEAST_SAMPLES: Final = 24.0
_LONGEST_GAP: Final = 2 * SECONDS_PER_HOUR
_LONGEST_STEP: Final = 24.0
_STEPS_AVERAGED: Final = 24
_OVERSHOOT: Final = 0.5826
"""By how many deviations of a step a price that moves in steps is past a threshold when it is first seen beyond it
(Chernoff 1965; Broadie, Glasserman and Kou 1997)."""
_LEAST_CORRELATION, _MOST_CORRELATION = 0.02, 0.999  # of a price with itself an hour later
_LEAST_SHARE_SEEN: Final = 0.2
_FAR: Final = 37.0  # deviations: beyond it exp(z^2/2) overflows
_STEPS: Final = 40
_DIGITS: Final = 2


class Swing(NamedTuple):
    """A price that returns to its mean. ``hours`` is the time in which a distance from the mean falls to 1/e."""

    mean: float  # USD per kWh
    mean_error: float  # USD per kWh, two standard errors
    deviation: float  # USD per kWh, standard
    hours: float
    step: float = 0.0  # hours from one price to the next


class PriceMotion(NamedTuple):
    """What is known of the motion of a price, in USD per kWh. Plain data: it is kept across restarts."""

    samples: float = 0.0  # hourly, the older ones with less weight
    mean: float = 0.0
    variance: float = 0.0
    change: float = 0.0  # mean of the squared change from one hour to the next
    changes: float = 0.0  # how many it is the mean of, the older ones with less weight
    price: float = 0.0  # the last sample
    sampled_at: float | None = None  # unix seconds
    latest: float | None = None  # the price in force,
    since: float = 0.0  # unix seconds: and since when
    step: float = 0.0  # mean hours from one price to the next, of the last ones

    def observed(self, price: float, now: float) -> "PriceMotion":
        """Return it with the price at ``now`` (unix seconds). It is sampled once an hour."""
        return _sampled(_stepped(self, price, now), price, now)

    def shifted(self, seconds: float) -> "PriceMotion":
        """Return it with its time moved by ``seconds``: the system clock was set."""
        sampled_at = None if self.sampled_at is None else self.sampled_at + seconds
        return self._replace(sampled_at=sampled_at, since=self.since + seconds)

    @property
    def swing(self) -> Swing | None:
        """Estimate the model; None with less than a day of samples, or if the price did not move.

        The variance of so few samples that hang together is too small on average; it is corrected once for that.
        """
        if min(self.samples, self.changes + 1) < _LEAST_SAMPLES or self.variance <= 0 or self.change <= 0:
            return None
        independent = max(1 - 2 * self._hours(self.variance) / self.samples, _LEAST_SHARE_SEEN)
        variance = self.variance / independent
        hours, deviation = self._hours(variance), sqrt(variance)
        error = 2 * deviation * sqrt(min(2 * hours / self.samples, 1.0))
        return Swing(self.mean, error, deviation, hours, self.step)

    def _hours(self, variance: float) -> float:
        correlation = 1 - self.change / (2 * variance)
        return -1 / log(min(max(correlation, _LEAST_CORRELATION), _MOST_CORRELATION))


def _stepped(motion: PriceMotion, price: float, now: float) -> PriceMotion:
    if price == motion.latest:
        return motion
    held = (now - motion.since) / SECONDS_PER_HOUR
    if motion.latest is None or not 0 <= held <= _LONGEST_STEP:
        return motion._replace(latest=price, since=now)
    step = held if not motion.step else motion.step + (held - motion.step) / _STEPS_AVERAGED
    return motion._replace(latest=price, since=now, step=step)


def _sampled(motion: PriceMotion, price: float, now: float) -> PriceMotion:
    gap = None if motion.sampled_at is None else now - motion.sampled_at
    if gap is not None and 0 <= gap < SECONDS_PER_HOUR:
        return motion
    fading = 1 - 1 / _SPAN
    samples = motion.samples * fading + 1
    step, away = 1 / samples, price - motion.mean
    changes, change = motion.changes, motion.change
    if gap is not None and 0 <= gap <= _LONGEST_GAP:
        changes = changes * fading + 1
        change += ((price - motion.price) ** 2 - change) / changes
    return motion._replace(
        samples=samples,
        mean=motion.mean + step * away,
        variance=(1 - step) * (motion.variance + step * away * away),
        change=change,
        changes=changes,
        price=price,
        sampled_at=now,
    )


def worth_of_leaving(margin: float, mean_margin: float, swing: Swing) -> float:
    """Return what it is worth to leave a state that loses money, in USD per kW of its power.

    It is the expected gain, up to the next moment at which it would pay to come back. A price that moves in steps
    passes a threshold by some way; the margin is taken so much further on. Under the best rule for this
    model a state is left when that gain reaches the cost of a start. For a margin that returns to 0 and a start that
    costs little, the threshold is the cube root of 3/4 of that cost times the volatility squared (USD per kWh and root
    of an hour). Formula: docs/economics.md, What a start costs.

    Args:
        margin: of the state in force, USD per kWh, below 0.
        mean_margin: what the state in force earns at the mean price, USD per kWh. Only what exceeds the mean's
            error counts.
        swing: how the price moves.
    """
    margin -= _OVERSHOOT * swing.deviation * sqrt(2 / swing.hours * swing.step)
    sure = copysign(max(abs(mean_margin) - swing.mean_error, 0.0), mean_margin)
    scaled = _scaled_worth(round(margin / swing.deviation, _DIGITS), round(sure / swing.deviation, _DIGITS))
    return scaled * swing.hours * swing.deviation


@lru_cache(maxsize=16_384)  # the rigs of a model at one price share their figures
def _scaled_worth(margin: float, mean: float) -> float:
    """Return the worth of leaving in units of deviation times hours; margins in deviations.

    With z the distance from the mean, the worth of being in the state falls by g(z) = exp(z^2/2) x (F(b) - F(z)) per
    unit of z, where F(z) = mean x sqrt(pi/2) x erf(z/sqrt 2) - exp(-z^2/2). The state is left at a and entered at b,
    with F(a) = F(b); the worth is the integral of g from a to b.
    """
    a = max(margin - mean, -_FAR)
    beyond = a - (margin - mean)  # there g is 1
    if a > _FAR or _right(_FAR, mean) <= _right(a, mean):
        return inf  # it never pays to come back
    low, high = max(-mean, a), _FAR
    for _ in range(_STEPS):
        b = (low + high) / 2
        low, high = (b, high) if _right(b, mean) < _right(a, mean) else (low, b)
    width = (high - a) / _STEPS
    total = 0.0
    for step in range(_STEPS + 1):  # Simpson's rule
        z = a + step * width
        gap = _right(high, mean) - _right(z, mean) if z > 0 else _left(a, mean) - _left(z, mean)
        total += exp(z * z / 2) * gap * (1 if step in {0, _STEPS} else 4 if step % 2 else 2)
    return max(total * width / 3, 0.0) + beyond


def _right(z: float, mean: float) -> float:
    """Return F(z) less its limit at infinity, exact far to the right."""
    return -mean * sqrt(pi / 2) * erfc(z / sqrt(2)) - exp(-z * z / 2)


def _left(z: float, mean: float) -> float:
    """Return F(z) less its limit at minus infinity, exact far to the left."""
    return mean * sqrt(pi / 2) * erfc(-z / sqrt(2)) - exp(-z * z / 2)
