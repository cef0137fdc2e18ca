"""What the site owes others: caps, demand-response calls, awards and peaks, with their times.

A source that fails is not one without obligations: its last state holds for a while, and is then unknown.
"""

from dataclasses import replace
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field

from exporter.model.failures import Failure, Reason
from exporter.model.fields import Duration
from exporter.model.obligations import Obligation, ObligationKind, OnStale
from exporter.model.units import WATTS_PER_KILOWATT
from exporter.sources.contract import Discards, SourceSettings, printable
from exporter.sources.expected_off import ON_STALE

Obligations = tuple[Obligation, ...]

_MAX_WATTS: Final = 1e10  # ten gigawatts, more than any site
_MAX_LEVEL: Final = 3

Kilowatts = Annotated[float, Field(ge=0, le=_MAX_WATTS / WATTS_PER_KILOWATT, allow_inf_nan=False)]
Level = Annotated[int, Field(ge=1, le=_MAX_LEVEL)]


class Meaning(StrEnum):
    """What a number means for the site's power."""

    CAP = "cap"  # the most that may be drawn
    REDUCTION = "reduction"  # how much less than the baseline must be drawn
    FLOOR = "floor"  # the least that must run
    LEVEL = "level"  # 0-3, whose caps are in `levels`


class ObligationSettings(SourceSettings):
    """Settings of all these sources."""

    interval: Duration = Field(default=30.0, description="How often the obligations are requested.")
    max_age: Duration = Field(
        default=120.0,
        description="Obligations older than this are stale, which `mining_obligations_known` shows. See `on_stale`.",
    )
    on_stale: Literal[OnStale.UNKNOWN, OnStale.HOLD] = Field(
        default=OnStale.UNKNOWN, description=f"What holds once the obligations are stale: {ON_STALE}."
    )
    blocks: tuple[str, ...] = Field(
        default=(), description="The blocks that the obligations are about, together. By default the whole site."
    )
    levels: dict[Level, Kilowatts] = Field(
        default={},
        description="The most that may be drawn at each level of a call (1-3), in kW, such as `{1: 8000, 2: 4000, 3: "
        "0}`. A level that is not listed leaves it unknown which rigs should mine.",
    )
    baseline_kilowatts: Kilowatts | None = Field(
        default=None,
        description="What a reduction is counted from, in kW. By default the mean over the 15 minutes before it began.",
    )

    def check(self, value: Obligations, last: Obligations | None) -> None:  # noqa: ARG002 -- any may follow any
        """Reject amounts that no site draws."""
        for obligation in value:
            for watts in (obligation.cap, obligation.reduction, obligation.floor):
                if watts is not None and not 0 <= watts <= _MAX_WATTS:
                    kilowatts = watts / WATTS_PER_KILOWATT
                    raise Failure(Reason.IMPLAUSIBLE, f"{kilowatts:g} kW of {obligation.event} is outside 0 to 1e7 kW")

    def check_usable(self, value: Obligations, now: float) -> None:
        """Accept an empty answer: nothing is owed."""

    def reconcile(self, value: Obligations, discards: Discards) -> Obligations:  # noqa: ARG002 -- nothing is discarded
        """Fill in what the settings know, the blocks and the cap of a level, and leave out control characters."""
        return tuple(self._completed(obligation) for obligation in value)

    def _completed(self, obligation: Obligation) -> Obligation:
        obligation = replace(
            obligation,
            event=printable(obligation.event),
            program=printable(obligation.program),
            reason=printable(obligation.reason),
            unclear=printable(obligation.unclear),
        )
        blocks = obligation.blocks or self.blocks
        level = obligation.level
        if not level or obligation.limits_power:
            return replace(obligation, blocks=blocks)
        kilowatts = self.levels.get(level)
        if kilowatts is None:
            return replace(obligation, blocks=blocks, unclear=f"level {level} is not in `levels`")
        return replace(obligation, blocks=blocks, cap=kilowatts * WATTS_PER_KILOWATT)


def obliging(kind: ObligationKind, meaning: Meaning, kilowatts: float, start: float) -> Obligation:
    """Make an open-ended obligation of one number: kW, or a level.

    Raises ValueError for a level that is not 1, 2 or 3.
    """
    if meaning is Meaning.LEVEL:
        if kilowatts not in range(1, _MAX_LEVEL + 1):
            raise ValueError(f"level {kilowatts:g} is not 0, 1, 2 or 3")
        return Obligation(kind=kind, start=start, level=int(kilowatts))
    watts = kilowatts * WATTS_PER_KILOWATT
    match meaning:
        case Meaning.CAP:
            return Obligation(kind=kind, start=start, cap=watts)
        case Meaning.REDUCTION:
            return Obligation(kind=kind, start=start, reduction=watts)
        case Meaning.FLOOR:
            return Obligation(kind=kind, start=start, floor=watts)
