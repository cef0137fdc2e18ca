"""Settings of the decision: thresholds, dwell times, evidence and curtailment."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from exporter.decision.dayplan.settings import DayPlanSettings
from exporter.economics.settings import Plausible, PlausibleSettings
from exporter.model.fields import Duration, Ratio


class RestartSettings(PlausibleSettings):
    """What a start of a rig costs. With neither, starts are free."""

    minutes: Annotated[float, Plausible(0, 60, "minutes", most=1_440)] = Field(
        default=0.0, description="Minutes of full revenue that a start loses: booting, tuning and warming up."
    )
    usd: Annotated[float, Plausible(0, 20, "USD per start")] = Field(
        default=0.0, description="Wear of a start, USD per rig."
    )

    @property
    def costs(self) -> bool:
        """Whether a start costs anything."""
        return bool(self.minutes or self.usd)


class DecisionSettings(PlausibleSettings):
    """When a verdict is given, and when it is taken back."""

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
        default=28 * 86_400.0, description="Window of the hourly margins that the score is made of."
    )
    history_needed: Duration = Field(
        default=14 * 86_400.0,
        description="Known time in that window before the clock of a first `reassign` starts; half of `history` if "
        "`history` is shorter.",
    )
    rigs_sale_usd_per_terahash: Annotated[float | None, Plausible(0, 100, "USD per TH/s")] = Field(
        default=None, description="What the rigs would be sold for at a conversion, per TH/s of rated hashrate."
    )
    rigs_removal_usd_per_rig: Annotated[float, Plausible(0, 1_000, "USD per rig")] = Field(
        default=0.0, description="Cost of removing and selling one rig."
    )
    resale_decay_usd_per_kilowatt_year: Annotated[float, Plausible(0, 500, "USD per kW and year")] = Field(
        default=0.0,
        description="Former setting: what the rigs' sale price loses per kW and year while they mine. Set "
        "`rigs_sale_usd_per_terahash` instead; both together are refused.",
    )
    mining_availability: Ratio = Field(
        default=1.0, description="Share of its potential at which a rig that needs a repair counts as mining."
    )
    confidence: Ratio = Field(
        default=0.8,
        description="Probability, of `ai.outlook`, from which `reassign` does not need AI's low scenario to pay.",
    )
    waiting_gain_usd_per_kilowatt: Annotated[float, Plausible(0, 1_000, "USD per kW")] = Field(
        default=0.0,
        description="By how much converting now must beat every later start, of `ai.outlook`, to be `reassign` on the "
        "outlook alone.",
    )
    restart: RestartSettings = Field(
        default=RestartSettings(),
        description="Cost of a start. With it a stop must be worth a start: of prices that are known ahead within what "
        "is known, of others by how the price has moved so far. The intervals below then do not count.",
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
        default=0.8,
        description="Share of a block that must be known for a verdict on it: of its rigs for `curtail`, of its kW for "
        "`reassign`.",
    )
    hold_limit: Duration = Field(
        default=3600.0, description="How long a verdict is held while its inputs are stale; then it is `unknown`."
    )
    day_plan: DayPlanSettings | None = Field(
        default=None, description="Plan the hours ahead, as far as prices are known. Without it there is no plan."
    )
    longest_gap: Duration = Field(
        default=300.0, description="Longest time between two evaluations that still counts as watched."
    )

    @model_validator(mode="after")
    def _one_formula(self) -> Self:
        if self.resale_decay_usd_per_kilowatt_year and self.rigs_sale_usd_per_terahash is not None:
            raise ValueError(
                "resale_decay_usd_per_kilowatt_year and rigs_sale_usd_per_terahash: set only one; the rigs' sale price "
                "replaces the decay"
            )
        return self

    @property
    def needed(self) -> float:
        """Known time (s) that a block needs in the history's window."""
        return self.history_needed if self.history_needed <= self.history else self.history / 2

    def threshold(self, ai_value: float) -> float:
        """Return the score above which a block is reassigned; both in USD per kW and year."""
        return max(self.reassign_score_usd_per_kilowatt_year, self.reassign_share * ai_value)
