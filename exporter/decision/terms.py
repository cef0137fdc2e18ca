"""What the operator must tell the decision: thresholds, dwell times and the strikes of curtailment."""

from typing import Annotated

from pydantic import Field

from exporter.economics.terms import Plausible, Terms


class DecisionTerms(Terms):
    """When a verdict is sure enough to be given, and to be taken back."""

    resale_decay_usd_per_kilowatt_year: Annotated[float, Plausible(0, 500, "USD per kW and year")] = Field(
        default=0.0, description="What the rigs' resale price loses while they go on mining, per kW and year."
    )
