"""What is meant to be off: maintenance, curtailment, demand response. A rig that is meant to be off is no fault."""

from pydantic import Field

from exporter.model.fields import Duration
from exporter.sources.contract import SourceSettings


class ExpectedOffSettings(SourceSettings):
    """What all of them share."""

    interval: Duration = Field(default=15.0, description="How often it is asked.")
    max_age: Duration = Field(
        default=180.0, description="Past this age it is refused: what it named is then meant to mine again."
    )
