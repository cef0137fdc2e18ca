"""Metered power of rigs or of whole blocks, from PDUs and meters."""

from pydantic import Field

from exporter.model.fields import Duration
from exporter.sources.contract import SourceSettings


class MeterSettings(SourceSettings):
    """What all meters share: watts that are not those of long ago. Past that, a rig's own report counts."""

    max_age: Duration = Field(default=150.0, description="Past this age the watts are refused.")
