"""Settings of operating points: what is learned of them, how far they are trusted, and what a change costs."""

from typing import Annotated

from pydantic import Field

from exporter.economics.settings import Plausible, PlausibleSettings
from exporter.model.fields import Duration, Ratio


class PointsSettings(PlausibleSettings):
    """The best operating point of each rig. Without this section points are neither read nor judged."""

    list_interval: Duration = Field(
        default=3_600.0, description="How often rigs are asked for the points that their firmware lists."
    )
    settle: Duration = Field(
        default=900.0, description="Time after a start or a change of the point in which nothing is learned of it."
    )
    stable: Duration = Field(
        default=1_800.0,
        description="Time that a rig must run steadily at a point before its figures count as measured.",
    )
    forget_after: Duration = Field(
        default=90 * 86_400.0,
        description="How long a measured point is used after the rig last ran at it: the season changes its power.",
    )
    measured_error: Ratio = Field(
        default=0.01, description="How far the energy of a measured point may be off. It grows to 5 times with its age."
    )
    pooled_error: Ratio = Field(
        default=0.05, description="The same for a point that other rigs of the model were measured at."
    )
    estimate_error: Ratio = Field(
        default=0.05,
        description="The same for an estimate of the firmware, after correction by the points that were measured.",
    )
    refuted_above: Ratio = Field(
        default=0.25,
        description="A list of the firmware whose watts or hashrate are further off than this is not used.",
    )
    most_of_rated_power: Annotated[float | None, Plausible(0.5, 2, "of the rated power", most=10)] = Field(
        default=None,
        description="The highest power of an advised point, as a share of the rig's rated power. Without it only the "
        "limits of the maker and the firmware hold.",
    )
    ramp: Duration = Field(
        default=300.0,
        description="Time from a change of the point to full hashrate. A rig that reports its last ramp replaces it.",
    )
    cold_ramp: Duration = Field(default=900.0, description="The same from standstill.")
    untuned_ramp: Duration = Field(default=3_600.0, description="The same for a point that must be tuned first.")
    change_usd: Annotated[float, Plausible(0, 5, "USD per change")] = Field(
        default=0.0, description="Wear of one change of the point, USD per rig."
    )
    dwell: Duration = Field(default=1_800.0, description="Shortest time at a point before another is advised.")
    most_changes_per_day: int = Field(
        default=8, ge=1, le=1_000, description="Most changes of a rig's point in 24 hours."
    )
    least_gain: Ratio = Field(
        default=0.02,
        description="A gain that is a smaller share of the revenue is none, unless prices are known ahead.",
    )
    persistence: Duration = Field(
        default=4 * 3_600.0, description="How long a price is expected to last whose end is not known."
    )
    valid_for: Duration = Field(
        default=300.0, description="How long a setpoint may be acted on, unless a price changes before."
    )
