"""Settings of the exposition."""

from enum import StrEnum

from pydantic import Field

from exporter.model.fields import SettingsGroup


class GroupSettings(SettingsGroup):
    """Groups of series. A stock Antminer has about 110 series with all groups enabled, and 45 with none."""

    board: bool = Field(default=True, description="Series of each hash board.")
    fan: bool = Field(default=True, description="Series of each fan.")
    pool: bool = Field(default=True, description="Series of each pool.")
    fault: bool = Field(default=True, description="Series of each fault that a rig reports.")
    temperature: bool = Field(default=True, description="Series of each temperature sensor.")
    power_supply: bool = Field(default=True, description="Series of each power supply.")
    point: bool = Field(
        default=True, description="Series of each measured operating point, if the section `points` is set."
    )
    chip: bool = Field(default=False, description="One series per failed chip, if the firmware reports them.")


class Profile(StrEnum):
    """How much is exported of each group."""

    FULL = "full"
    LEAN = "lean"


class ExpositionSettings(SettingsGroup):
    """YAML ``exposition:``."""

    profile: Profile = Field(
        default=Profile.FULL,
        description="`full`, or `lean`: without the series of rigs that no dashboard, rule, alert or command of "
        "hashmargin uses.",
    )
    groups: GroupSettings = Field(
        default_factory=GroupSettings, description="Groups of series. All except `chip` are enabled by default."
    )
