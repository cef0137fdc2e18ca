"""One frozen picture of the site: all that was known, and when. One per evaluation; the pure rooms read only this.

A value that is missing or too old is None here: the polling room has already refused it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.model.fleet import Block, Rig
from exporter.model.models import BITCOIN_ALGORITHM, algorithm_of
from exporter.model.obligations import ObligationKind, SiteObligations
from exporter.model.points import RigPoints
from exporter.model.quickly_made import quickly_made
from exporter.model.readings import (
    DatedPositions,
    GpuPrice,
    GpuReading,
    MeterReading,
    NetworkState,
    PriceSlot,
    Reading,
    RigIdentity,
    RigReading,
    SystemLoad,
)


@quickly_made
@dataclass(frozen=True, slots=True, kw_only=True)
class LastGood:
    """What a rig did when it last ran well: the base of its potential margin."""

    hashrate: float  # H/s
    power: float | None  # W, as the rig reported it
    observed_at: float
    metered_power: float | None = None  # W, from a meter or PDU


@quickly_made
@dataclass(frozen=True, slots=True, kw_only=True)
class RigSnapshot:
    """One rig: the inventory's facts, who it is, and its last reading while that is fresh."""

    rig: Rig
    identity: RigIdentity | None = None
    up: bool | None = None  # did the last poll succeed; None before the first
    last_success: float | None = None  # unix seconds
    reading: Reading[RigReading] | None = None
    expected_mining: bool | None = True  # None if it is not known what the site owes
    off_because: ObligationKind | None = None  # why it should be off, if it should
    metered_power: float | None = None  # W, from a meter or PDU
    disbelieved_power: float | None = None  # W, of a meter that is implausible for the rig's hashrate
    work_hashrate: float | None = None  # H/s, from accepted difficulty
    reject_ratio: float | None = None  # 0-1, rejected and stale shares of those sent, over the same window
    energy: float | None = None  # J, integrated since the rig was first seen
    energy_power: float | None = None  # W, that the energy was integrated from at the last success
    worker_expected: bool | None = None  # does the active pool's worker match; None where none is expected
    last_good: LastGood | None = None
    rating_ratio: float | None = None  # rating of the inventory over the nameplate of its model; None if not comparable
    points: RigPoints | None = None  # None if points are not configured
    faults_since: tuple[float, ...] = ()  # unix seconds: when each of the reading's faults was first seen

    @property
    def algorithm(self) -> str:
        """The rig's algorithm; :data:`~exporter.model.models.UNKNOWN_ALGORITHM` if it is unknown."""
        known = self.identity
        reported, make, model = ("", "", "") if known is None else (known.algorithm, known.make, known.model)
        return algorithm_of(reported, self.rig.algorithm, make, model)

    @property
    def mines_bitcoin(self) -> bool:
        """Whether its hashes are known to be bitcoin's. Those of a rig that was never identified need the setting."""
        return self.algorithm == BITCOIN_ALGORITHM


@dataclass(frozen=True, slots=True)
class TariffPrice:
    """The power price in force, and the next slot's, in US dollars per kWh."""

    price: float
    next_price: float | None = None
    observed_at: float | None = None  # unix seconds of the tariff's last answer
    ahead: tuple[PriceSlot, ...] = ()  # the slot in force, and those that follow without a gap


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSnapshot:
    """The whole site at ``taken_at`` (unix seconds)."""

    taken_at: float
    rigs: tuple[RigSnapshot, ...] = ()
    blocks: tuple[Block, ...] = ()
    network: Reading[NetworkState] | None = None
    bitcoin_price: Reading[float] | None = None  # USD
    tariffs: Mapping[str, TariffPrice] = field(default_factory=dict)
    gpus: tuple[GpuReading, ...] = ()
    meters: tuple[MeterReading, ...] = ()
    ai_prices: Mapping[str, tuple[GpuPrice, ...]] = field(default_factory=dict)  # by feed
    surcharges: Mapping[str, tuple[PriceSlot, ...]] = field(default_factory=dict)  # of peaks, by tariff, USD per kWh
    system_loads: Mapping[str, SystemLoad] = field(default_factory=dict)  # of grids, by source
    positions: DatedPositions | None = field(default_factory=DatedPositions)  # None if they cannot be read
    obligations: SiteObligations = field(default_factory=SiteObligations)
