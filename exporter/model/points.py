"""Operating points: the profiles, presets, modes and power targets at which a rig can run."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One operating point as the rig's firmware lists it. Its figures are the firmware's: None where it gives none.

    ``allowed`` is False for a point that needs other hardware, or that is outside of the limits set in the firmware.
    """

    name: str
    hashrate: float | None = None  # H/s
    power: float | None = None  # W
    frequency: float | None = None  # Hz
    voltage: float | None = None  # V
    tuned: bool | None = None  # the firmware has tuned it: a visit costs no tuning run
    allowed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PointList:
    """The points that one rig's firmware lists.

    ``variant`` separates rigs of one model whose points differ, such as those with other default volts.
    ``power_limit`` (W) is the most that the maker or the settings of the firmware allow.
    """

    points: tuple[Point, ...] = ()
    variant: str = ""
    power_limit: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedPoint:
    """What a rig did at one point while it ran steadily: medians over the times that it was there.

    ``metered`` is whether the watts are a meter's or the rig's own.
    """

    name: str
    hashrate: float  # H/s
    power: float  # W
    metered: bool
    seconds: float  # s, that it ran steadily
    observed_at: float  # unix seconds, when it last did


@dataclass(frozen=True, slots=True, kw_only=True)
class RigPoints:
    """What is known of one rig's operating points, and for how long it has run at the one in force."""

    listed: PointList | None = None  # None if the firmware lists none, or was not asked lately
    learned: tuple[LearnedPoint, ...] = ()
    since: float | None = None  # unix seconds, when the point in force was first seen
    changes: int = 0  # of the point in force, within a day
