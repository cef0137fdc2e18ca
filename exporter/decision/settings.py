"""What the operator must tell the decision: thresholds, dwell times and the strikes of curtailment."""

from typing import Annotated

from pydantic import Field

from exporter.economics.settings import Plausible, PlausibleSettings
from exporter.model.fields import Duration, Ratio


class DecisionSettings(PlausibleSettings):
    """When a verdict is sure enough to be given, and to be taken back."""

    reassign_score_usd_per_kilowatt_year: Annotated[float, Plausible(0, 500, "USD per kW and year")] = Field(
        default=40.0, description="A block is reassigned when its score is above this, and above `reassign_share`."
    )
    reassign_share: Annotated[float, Plausible(0, 1, "of the AI value", most=10)] = Field(
        default=0.1, description="The same threshold as a share of the AI value; the higher of the two counts."
    )
    reassign_after: Duration = Field(
        default=72 * 3600.0, description="How long the score must stay above the threshold before `reassign`."
    )
    reassign_clear_after: Duration = Field(
        default=24 * 3600.0, description="How long the score must stay below zero before `reassign` is taken back."
    )
    history: Duration = Field(
        default=168 * 3600.0, description="Window of the hourly margins that the score looks back on."
    )
    history_needed: Duration = Field(
        default=48 * 3600.0, description="Watched time that a block needs in that window before a first `reassign`."
    )
    resale_decay_usd_per_kilowatt_year: Annotated[float, Plausible(0, 500, "USD per kW and year")] = Field(
        default=0.0, description="What the rigs' resale price loses while they go on mining, per kW and year."
    )
    curtail_interval: Duration = Field(
        default=300.0, description="Length of a price interval, in which the two counts below are given."
    )
    stop_intervals: int = Field(
        default=2, ge=0, le=10_000, description="Intervals above the breakeven power price before `curtail`."
    )
    resume_intervals: int = Field(
        default=3, ge=0, le=10_000, description="Intervals below the breakeven power price before `mine` again."
    )
    immediate_stop_usd_per_kilowatt_hour: Annotated[
        float | None, Plausible(0, 10, "USD per kWh", least=-10, most=1e6)
    ] = Field(default=None, description="Power price from which a losing rig is curtailed without waiting.")
    repair_after: Duration = Field(
        default=600.0, description="How long a rig that should hash must stand still before `repair`."
    )
    recover_after: Duration = Field(
        default=600.0, description="How long it must hash again before `repair` is taken back."
    )
    coverage: Ratio = Field(
        default=0.8, description="Share of a block's rigs whose inputs must be known for a verdict on the block."
    )
    hold_limit: Duration = Field(
        default=3600.0, description="How long a verdict is held while its inputs are stale; then it is `unknown`."
    )
    longest_gap: Duration = Field(
        default=300.0, description="Longest time between two evaluations that still counts as watched."
    )

    def threshold(self, ai_value: float) -> float:
        """Return the score from which a reassignment is worth its trouble; both in USD per kW and year."""
        return max(self.reassign_score_usd_per_kilowatt_year, self.reassign_share * ai_value)
