"""What should be off: maintenance, curtailment, demand response. A rig that should be off is not a fault."""

from pydantic import Field

from exporter.model.fields import Duration
from exporter.sources.contract import SourceSettings


class ExpectedOffSettings(SourceSettings):
    """Settings of all these sources."""

    interval: Duration = Field(default=15.0, description="How often the value is requested.")
    max_age: Duration = Field(
        default=180.0, description="A value older than this is not used. The rigs that it named should then mine again."
    )
