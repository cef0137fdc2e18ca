"""The settings of a site as one frozen model, composed of the settings of each room."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import BeforeValidator, Field, PrivateAttr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from exporter.decision.settings import DecisionSettings
from exporter.economics.compliance import ComplianceSettings
from exporter.economics.hosting import ContractSettings
from exporter.economics.peaks import PeakSettings
from exporter.economics.settings import (
    AiLeaseSettings,
    AiSettings,
    EconomicsSettings,
    GpuEconomicsSettings,
    PointsSettings,
    PowerSettings,
    SiteSettings,
)
from exporter.economics.settlement import SettlementSettings
from exporter.exposition.settings import ExpositionSettings
from exporter.inventory.load import Inventory, inventory_files
from exporter.inventory.model import BlockSettings, CustomerSettings, InventorySettings, Name
from exporter.inventory.shards import Shards, ShardSettings
from exporter.inventory.shrink import list_sizes, names_of_lists
from exporter.lease import LeaseSettings
from exporter.logs import LogSettings
from exporter.model.fields import Duration
from exporter.model.fleet import UNASSIGNED, Block, Rig
from exporter.polling.schedules import ScheduleSettings
from exporter.polling.settings import PollingSettings
from exporter.server.settings import WebSettings
from exporter.sources.backfill import BackfillSettings
from exporter.sources.registry import (
    AiPriceSource,
    BitcoinSource,
    ExpectedOffSource,
    GpuSource,
    LoadSource,
    MeterSource,
    NetworkSource,
    ObligationSource,
    PoolSource,
    PositionSource,
    TariffSource,
)
from exporter.sources.tariffs import TariffSettings
from exporter.sources.tariffs.template import expanded
from exporter.state import StateSettings

_LONGEST_EVALUATION: Final = 3_600.0


def _or_empty(value: object) -> object:
    return {} if value is None else value


class GpuSettings(GpuEconomicsSettings):
    """Where the GPUs of the site are read, and what they earn."""

    endpoints: tuple[GpuSource, ...] = Field((), description="Sources of GPU metrics, one entry per node or server.")


class MarketPositionSettings(SettlementSettings):
    """A position in the day-ahead market, and where positions come from that differ by date."""

    by_date: PositionSource | None = Field(
        None,
        description="Positions that differ by date, which come before `positions`. While they cannot be read the "
        "position is unknown.",
    )

    @model_validator(mode="after")
    def _has_a_position(self) -> Self:
        if self.position_kilowatts is None and self.by_date is None:
            raise ValueError("position_kilowatts is required without by_date")
        return self


class VerdictSettings(DecisionSettings):
    """Thresholds and delays of verdicts, and where the history before the first start is recorded."""

    backfill: BackfillSettings | None = Field(
        None,
        description="Where hours before the first start are recorded. They are read once after each start, in the "
        "background, for the hours that the history lacks.",
    )


class Settings(BaseSettings):
    """The settings of one site. Made by :func:`exporter.settings.load.load`."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="HASHMARGIN_", env_nested_delimiter="__", hide_input_in_errors=True
    )

    site: Name = Field(description="Name of the site, shown on the pages and in the log.")
    evaluation_interval: Duration = Field(15.0, description="How often all values are calculated and published.")
    log: LogSettings = Field(LogSettings(), description="Level and format of the log.")
    web: WebSettings = Field(WebSettings(), description="Address and content of the web server.")
    state: StateSettings = Field(StateSettings(), description="The state file, which keeps values across restarts.")
    lease: LeaseSettings = Field(
        LeaseSettings(),
        description="Lets one of two identical exporters be active while the other stands by.",
    )
    sharding: ShardSettings = Field(
        ShardSettings(), description="The part of the site that this exporter serves, if several share the site."
    )
    polling: PollingSettings = Field(PollingSettings(), description="Intervals, timeouts and limits for reading rigs.")
    exposition: ExpositionSettings = Field(ExpositionSettings(), description="Which series are exported.")
    schedules: dict[Name, ScheduleSettings] = Field({}, description="When rigs should mine, by name.")
    fleet: InventorySettings = Field(InventorySettings(), description="The rigs.")
    blocks: dict[Name, Annotated[BlockSettings, BeforeValidator(_or_empty)]] = Field(
        {}, description="Containers, buildings or feeders, by name. If any is listed, rigs may name only these."
    )
    customers: dict[Name, Annotated[CustomerSettings, BeforeValidator(_or_empty)]] = Field(
        {}, description="Owners of rigs, by name. If any is listed, rigs may name only these."
    )
    contracts: dict[Name, ContractSettings] = Field({}, description="Hosting contracts of customers, by name.")
    tariff: Name | None = Field(None, description="The site's tariff. Optional if `tariffs` has only one.")
    tariffs: dict[Name, TariffSource] = Field({}, description="Power prices, by name.")
    network: NetworkSource | None = Field(None, description="Source of difficulty, block height and fees.")
    bitcoin: BitcoinSource | None = Field(None, description="Source of the bitcoin price.")
    meters: dict[Name, MeterSource] = Field({}, description="Sources of metered power, by a name of your choice.")
    expected_off: dict[Name, ExpectedOffSource] = Field(
        {}, description="Sources of planned downtime, by a name of your choice."
    )
    ai_prices: dict[Name, AiPriceSource] = Field(
        {}, description="Feeds of GPU prices, by a name of your choice. They are shown side by side and never mixed."
    )
    pools: dict[Name, PoolSource] = Field(
        {}, description="Accounts at mining pools, by a name of your choice: what they credit and pay."
    )
    obligations: dict[Name, ObligationSource] = Field(
        {}, description="Sources of demand-response calls, caps and awards, by a name of your choice."
    )
    system_loads: dict[Name, LoadSource] = Field(
        {}, description="Sources of a grid's load, from which its peaks follow, by a name of your choice."
    )
    peaks: dict[Name, PeakSettings] = Field(
        {}, description="Programs that bill by the load in the grid's peaks, by a name of your choice."
    )
    settlement: MarketPositionSettings | None = Field(
        None, description="Power that was bought day ahead, which is settled apart from what is drawn."
    )
    compliance: ComplianceSettings = Field(
        ComplianceSettings(), description="How it is judged whether obligations are kept."
    )
    power: PowerSettings = Field(
        PowerSettings(), description="How the power of a rig becomes billed power and its cost."
    )
    economics: EconomicsSettings = Field(EconomicsSettings(), description="Pool scheme, pool fees and fixed costs.")
    points: PointsSettings | None = Field(
        None, description="The best operating point of each rig. Without it points are neither read nor judged."
    )
    decision: VerdictSettings = Field(VerdictSettings(), description="Thresholds and delays of verdicts.")
    ai: AiSettings | None = Field(None, description="Revenue of AI hosting. Without it there is no AI value.")
    gpus: GpuSettings | None = Field(None, description="GPUs that already run at the site.")
    ai_leases: dict[Name, AiLeaseSettings] = Field(
        {}, description="Signed leases of space and power to AI tenants, by name. Their rent is part of AI's revenue."
    )

    _inventory: Inventory = PrivateAttr(Inventory(()))
    _inventory_stamps: Mapping[Path | str, object] = PrivateAttr({})

    @field_validator("tariffs", mode="before")
    @classmethod
    def _one_for_each_area(cls, tariffs: object) -> object:
        return expanded(tariffs)

    @field_validator("evaluation_interval")
    @classmethod
    def _seldom_enough(cls, seconds: float) -> float:
        if not 1 <= seconds <= _LONGEST_EVALUATION:
            raise ValueError("must be from 1s to 1h")
        return seconds

    @property
    def rigs(self) -> tuple[Rig, ...]:
        """The fleet as it was when these settings were loaded."""
        return self._inventory.rigs

    @property
    def list_sizes(self) -> dict[str, int]:
        """Number of rigs in each list of the fleet. Addresses of ranges are not counted."""
        return list_sizes(names_of_lists(self.fleet), self.rigs)

    @property
    def inventory_warnings(self) -> tuple[str, ...]:
        """A sentence for each valid setting of the fleet that is probably wrong."""
        return self._inventory.warnings

    @property
    def inventory_files(self) -> tuple[Path, ...]:
        """The files, besides the configuration file, that define the fleet."""
        return inventory_files(self.fleet)

    @property
    def inventory_stamps(self) -> Mapping[Path | str, object]:
        """Inode, size and time of those files just before they were read."""
        return self._inventory_stamps

    @property
    def fleet_blocks(self) -> tuple[Block, ...]:
        """All blocks: those that rigs name, then the configured ones."""
        configured = {name: block.block(name) for name, block in self.blocks.items()}
        named = {rig.block: Block(name=rig.block) for rig in self.rigs if rig.block != UNASSIGNED}
        return tuple((named | configured).values())

    @property
    def shards(self) -> Shards:
        """The shard of every rig and block."""
        return Shards(self.rigs, (block.name for block in self.fleet_blocks), self.sharding.total_shards)

    @property
    def served_rigs(self) -> list[Rig]:
        """The rigs that this shard serves."""
        shards = self.shards
        return [rig for rig in self.rigs if shards.of_rig(rig) == self.sharding.shard]

    @property
    def served_blocks(self) -> tuple[Block, ...]:
        """The blocks that this shard serves."""
        shards = self.shards
        return tuple(block for block in self.fleet_blocks if shards.of_block(block.name) == self.sharding.shard)

    @property
    def default_tariff(self) -> str:
        """Name of the site's tariff. Empty if it has none."""
        return default_tariff(self.tariff, self.tariffs)

    @property
    def index_tariffs(self) -> frozenset[str]:
        """The tariffs of rigs whose prices are a market's: neither fixed nor a price list."""
        listed = {name for name, tariff in self.tariffs.items() if tariff.kind in ("fixed", "time_of_use")}
        return frozenset(rig.tariff for rig in self.rigs if rig.tariff) - listed

    @property
    def site_settings(self) -> SiteSettings:
        """The settings that the economics use."""
        return SiteSettings(
            economics=self.economics,
            power=self.power,
            ai=self.ai,
            gpus=self.gpus,
            points=self.points,
            tariff=self.default_tariff,
            contracts=self.contracts,
            leases={name: lease for name, lease in self.ai_leases.items() if self.sharding.serves(name)},
            tariffs={
                name: tariff.terms
                for name, tariff in self.tariffs.items()
                if isinstance(tariff, TariffSettings) and tariff.terms is not None
            },
        )


def default_tariff(named: str | None, tariffs: Collection[str]) -> str:
    """Return the site's tariff: the configured one, else the only one, else an empty string."""
    return named or (next(iter(tariffs)) if len(tariffs) == 1 else "")
