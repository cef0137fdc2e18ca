"""What a bench says."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """One figure; for a ratio, ``against`` names the rival that was measured in the same run."""

    value: float
    unit: str
    against: str | None = None
