"""Metered power of rigs or of whole blocks, from PDUs and meters."""

from pydantic import Field

from exporter.model.fields import Duration
from exporter.sources.contract import SourceSettings


class MeterSettings(SourceSettings):
    """Settings of all meters. Without a fresh value, the power that the rig reports is used."""

    max_age: Duration = Field(default=150.0, description="Watts older than this are not used.")
