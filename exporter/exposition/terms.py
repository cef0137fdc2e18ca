"""What the operator may say of the exposition."""

from pydantic import BaseModel, ConfigDict, Field


class GroupTerms(BaseModel):
    """Which groups of series are published. A stock Antminer has about 70 series with all of them on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    board: bool = Field(default=True, description="Series of each hash board.")
    fan: bool = Field(default=True, description="Series of each fan.")
    pool: bool = Field(default=True, description="Series of each pool.")
    fault: bool = Field(default=True, description="One series per fault that a rig reports.")
    temperature: bool = Field(default=True, description="Series of each temperature sensor.")


class ExpositionTerms(BaseModel):
    """YAML ``exposition:``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    groups: GroupTerms = Field(default_factory=GroupTerms, description="Groups of series, on unless switched off.")
