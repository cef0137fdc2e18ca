"""All that the operator may say, as one frozen model: the rooms' own terms, composed."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, PrivateAttr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from exporter.decision.settings import DecisionSettings
from exporter.economics.settings import AiSettings, EconomicsSettings, GpuEconomicsSettings, PowerSettings, SiteSettings
from exporter.exposition.settings import ExpositionSettings
from exporter.inventory.load import inventory_files
from exporter.inventory.model import BlockSettings, CustomerSettings, InventorySettings, Name
from exporter.inventory.shards import ShardSettings
from exporter.logs import LogSettings
from exporter.model.fields import Duration
from exporter.model.fleet import UNASSIGNED, Block, Rig
from exporter.polling.schedules import ScheduleSettings
from exporter.polling.settings import PollingSettings
from exporter.server.settings import WebSettings
from exporter.sources.registry import (
    BitcoinSource,
    ExpectedOffSource,
    GpuSource,
    MeterSource,
    NetworkSource,
    TariffSource,
)
from exporter.sources.tariffs import TariffSettings
from exporter.state import StateSettings

_LONGEST_EVALUATION: Final = 3_600.0


def _or_empty(value: object) -> object:
    return {} if value is None else value


class GpuSettings(GpuEconomicsSettings):
    """The GPUs at the site: where they are read, and what they earn."""

    endpoints: tuple[GpuSource, ...] = Field((), description="Where the GPUs are read, one entry per node or server.")


class Settings(BaseSettings):
    """One site, as :func:`exporter.settings.load.load` makes it."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="HASHMARGIN_", env_nested_delimiter="__", hide_input_in_errors=True
    )

    site: Name = Field(description="Name of the site, as the pages and the log show it.")
    evaluation_interval: Duration = Field(15.0, description="How often everything is computed and published anew.")
    log: LogSettings = Field(LogSettings(), description="What is logged, and how.")
    web: WebSettings = Field(WebSettings(), description="What is served, and where.")
    state: StateSettings = Field(StateSettings(), description="What survives a restart.")
    sharding: ShardSettings = Field(
        ShardSettings(), description="Which part of the site is served, where several share it."
    )
    polling: PollingSettings = Field(
        PollingSettings(), description="How often, how patiently and how many rigs are read."
    )
    exposition: ExpositionSettings = Field(ExpositionSettings(), description="Which series are published.")
    schedules: dict[Name, ScheduleSettings] = Field({}, description="When rigs are meant to mine, by name.")
    fleet: InventorySettings = Field(InventorySettings(), description="The rigs.")
    blocks: dict[Name, Annotated[BlockSettings, BeforeValidator(_or_empty)]] = Field(
        {}, description="Containers, buildings or feeders, by name. Where any is listed, rigs may name only those."
    )
    customers: dict[Name, Annotated[CustomerSettings, BeforeValidator(_or_empty)]] = Field(
        {}, description="Who owns rigs, by name. Where any is listed, rigs may name only those."
    )
    tariff: Name | None = Field(None, description="The site's tariff; may be left out where `tariffs` has only one.")
    tariffs: dict[Name, TariffSource] = Field({}, description="Power prices, by name.")
    network: NetworkSource | None = Field(None, description="Where difficulty, height and fees come from.")
    bitcoin: BitcoinSource | None = Field(None, description="Where the bitcoin price comes from.")
    meters: dict[Name, MeterSource] = Field({}, description="Where rigs' power is metered, by a name of your choice.")
    expected_off: dict[Name, ExpectedOffSource] = Field(
        {}, description="What tells which rigs are meant to be off, by a name of your choice."
    )
    power: PowerSettings = Field(
        PowerSettings(), description="From the watts of a rig to the kilowatts that are billed."
    )
    economics: EconomicsSettings = Field(EconomicsSettings(), description="Pool and fixed costs.")
    decision: DecisionSettings = Field(DecisionSettings(), description="When a verdict is sure enough.")
    ai: AiSettings | None = Field(None, description="What AI hosting would pay. Left out, there is no AI value.")
    gpus: GpuSettings | None = Field(None, description="GPUs that already run at the site.")

    _rigs: tuple[Rig, ...] = PrivateAttr(())
    _inventory_stamps: Mapping[Path | str, object] = PrivateAttr({})

    @field_validator("evaluation_interval")
    @classmethod
    def _seldom_enough(cls, seconds: float) -> float:
        if not 1 <= seconds <= _LONGEST_EVALUATION:
            raise ValueError("must be from 1s to 1h")
        return seconds

    @property
    def rigs(self) -> tuple[Rig, ...]:
        """The fleet, as read when these settings were loaded."""
        return self._rigs

    @property
    def inventory_files(self) -> tuple[Path, ...]:
        """The files beside the configuration that the fleet was read from."""
        return inventory_files(self.fleet)

    @property
    def inventory_stamps(self) -> Mapping[Path | str, object]:
        """What those files were like just before they were read."""
        return self._inventory_stamps

    @property
    def fleet_blocks(self) -> tuple[Block, ...]:
        """Every block: those listed, then those that only rigs name."""
        listed = {name: terms.block(name) for name, terms in self.blocks.items()}
        named = {rig.block: Block(name=rig.block) for rig in self._rigs if rig.block != UNASSIGNED}
        return tuple((named | listed).values())

    @property
    def served_rigs(self) -> list[Rig]:
        """The rigs that this shard serves."""
        return [rig for rig in self._rigs if self.sharding.serves_rig(rig)]

    @property
    def served_blocks(self) -> tuple[Block, ...]:
        """The blocks that this shard serves."""
        return tuple(block for block in self.fleet_blocks if self.sharding.serves(block.name))

    @property
    def default_tariff(self) -> str:
        """The site's tariff, empty where it has none."""
        return default_tariff(self.tariff, self.tariffs)

    @property
    def terms(self) -> SiteSettings:
        """What the economics must be told."""
        return SiteSettings(
            economics=self.economics,
            power=self.power,
            ai=self.ai,
            gpus=self.gpus,
            tariff=self.default_tariff,
            tariffs={
                name: tariff.terms
                for name, tariff in self.tariffs.items()
                if isinstance(tariff, TariffSettings) and tariff.terms is not None
            },
        )


def default_tariff(named: str | None, tariffs: Collection[str]) -> str:
    """The site's tariff: the one named, else the only one, else none."""
    return named or (next(iter(tariffs)) if len(tariffs) == 1 else "")
