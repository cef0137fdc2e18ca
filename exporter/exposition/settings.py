"""What the operator may say of the exposition."""

from pydantic import Field

from exporter.model.fields import SettingsGroup


class GroupSettings(SettingsGroup):
    """Which groups of series are published. A stock Antminer has about 110 series with all of them on, 45 with none."""

    board: bool = Field(default=True, description="Series of each hash board.")
    fan: bool = Field(default=True, description="Series of each fan.")
    pool: bool = Field(default=True, description="Series of each pool.")
    fault: bool = Field(default=True, description="Series per fault that a rig reports.")
    temperature: bool = Field(default=True, description="Series of each temperature sensor.")
    power_supply: bool = Field(default=True, description="Series of what each power supply measures.")
    chip: bool = Field(default=False, description="One series per chip that does not work, where firmware tells.")


class ExpositionSettings(SettingsGroup):
    """YAML ``exposition:``."""

    groups: GroupSettings = Field(
        default_factory=GroupSettings, description="Groups of series; all but `chip` are on unless switched off."
    )
