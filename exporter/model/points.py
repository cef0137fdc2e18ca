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

    ``variant`` tells rigs of one model apart whose points differ, such as those with other default volts.
    ``power_limit`` (W) is the most that the maker or the settings of the firmware allow.
    """

    points: tuple[Point, ...] = ()
    variant: str = ""
    power_limit: float | None = None
