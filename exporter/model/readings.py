"""Values from sources, in our units. Plain frozen data; None means that the source has no such value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, NamedTuple, TypeVar

from exporter.model.fault_codes import FaultCode, Severity
from exporter.model.obligations import ObligationKind
from exporter.model.quickly_made import quickly_made

T = TypeVar("T")


@quickly_made
@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """A value and when it was observed (unix seconds, our clock unless the source's is to be trusted)."""

    value: T
    observed_at: float


# --- rigs -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class RigIdentity:
    """Which rig answers at an address. ``reader`` is the name of the reader that understands it.

    ``algorithm`` is the one that the rig reports or that its firmware is limited to, empty if there is none.
    ``board_serials`` are pairs of a board's index and its serial number. ``rated_hashrate`` (H/s) is the one on its
    sticker or of its model as sold, whatever it is tuned to.
    """

    reader: str
    make: str
    model: str
    firmware: str = ""
    firmware_version: str = ""
    mac: str = ""
    serial: str = ""
    hostname: str = ""
    algorithm: str = ""
    api_version: str = ""
    control_board: str = ""
    power_supply_model: str = ""
    power_supply_serial: str = ""
    board_serials: tuple[tuple[int, str], ...] = ()
    rated_hashrate: float | None = None


@quickly_made
@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that the rig reports: its canonical code, and the vendor's own code where there is one.

    ``since`` (unix seconds) is when it began, if the rig reports that reliably.
    """

    code: FaultCode
    severity: Severity
    component: str = ""
    vendor_code: str = ""
    since: float | None = None


@quickly_made
@dataclass(frozen=True, slots=True)
class Fan:
    """One fan, by its index as the rig counts it."""

    index: int
    rpm: float | None


@quickly_made
@dataclass(frozen=True, slots=True)
class Board:
    """One hash board. Temperatures in celsius: ``temperature`` and ``chip_temperature`` are the hottest sensor's."""

    index: int
    hashrate: float | None = None  # H/s
    expected_hashrate: float | None = None  # H/s
    temperature: float | None = None
    temperature_min: float | None = None
    temperature_average: float | None = None
    chip_temperature: float | None = None
    chip_temperature_min: float | None = None
    chip_temperature_average: float | None = None
    chips: int | None = None
    chips_expected: int | None = None
    failed_chips: tuple[int, ...] = ()  # indexes of the chips that do not work, from 0
    frequency: float | None = None  # Hz
    voltage: float | None = None  # V
    power: float | None = None  # W
    hardware_errors: float | None = None  # since the miner process started


@quickly_made
@dataclass(frozen=True, slots=True, kw_only=True)
class PowerSupply:
    """What the power supply measures: volts, amperes, watts."""

    input_voltage: float | None = None
    input_current: float | None = None
    input_power: float | None = None
    output_voltage: float | None = None
    output_current: float | None = None
    output_power: float | None = None
    fan_rpm: float | None = None
    temperature: float | None = None  # celsius, of the hottest sensor


class TunerState(StrEnum):
    """What the firmware's tuner does."""

    OFF = "off"
    TUNING = "tuning"
    TUNED = "tuned"
    FAILED = "failed"


@quickly_made
@dataclass(frozen=True, slots=True)
class Pool:
    """One configured pool, by its index. Share figures are totals since the miner process started."""

    index: int
    host: str = ""
    scheme: str = ""
    worker: str = ""
    up: bool | None = None
    active: bool | None = None
    difficulty: float | None = None  # of the shares that it asks for
    accepted: float | None = None
    rejected: float | None = None
    stale: float | None = None


@quickly_made
@dataclass(frozen=True, slots=True, kw_only=True)
class RigReading:
    """One successful read of a rig. ``hashrate`` is mandatory: without it a read has failed, whatever answered."""

    hashrate: float  # H/s, the realised average over the firmware's declared window
    hashrate_window: float | None = None  # s, of that average
    average_hashrate: float | None = None  # H/s, since the miner process started
    expected_hashrate: float | None = None  # H/s
    power: float | None = None  # W, as the rig reports it
    power_limit: float | None = None  # W
    power_target: float | None = None  # W, target of the tuner
    power_supply: PowerSupply | None = None
    mining: bool | None = None
    suspended: bool | None = None  # stopped by command: asleep or paused
    power_mode: str = ""  # the firmware's name of its mode, profile or preset
    point: str = ""  # name of the operating point in force
    settled: bool | None = None  # the hashrate no longer climbs after a start, where the firmware reports it
    ramp: float | None = None  # s, that the last start took until the hashrate had settled, as reported
    tuner: TunerState | None = None
    fault_light: bool | None = None
    login_refused: bool | None = None  # by a web interface that the read does not need
    uptime: float | None = None  # s, of the miner process where known
    system_uptime: float | None = None  # s, since the rig booted
    firmware_fee: float | None = None  # 0-1, share of the hashrate that the firmware takes as a developer fee
    accepted_difficulty: float | None = None  # sum over accepted shares since the miner process started
    rejected_difficulty: float | None = None  # the same of rejected ones
    discarded_work: float | None = None  # work units without a result, since the miner process started
    best_share: float | None = None  # difficulty of the best share since the miner process started
    last_share_at: float | None = None  # unix seconds, when a pool last accepted a share
    hardware_errors: float | None = None
    hardware_error_ratio: float | None = None  # 0-1, of the hashes that were done
    temperatures: tuple[tuple[str, float], ...] = ()  # (sensor, celsius), such as ambient, inlet, outlet
    thermal_margin: float | None = None  # celsius, to where it throttles or stops
    fans: tuple[Fan, ...] = ()
    fans_expected: int | None = None
    fan_duty: float | None = None  # 0-1, of full speed, as the controller demands it
    boards: tuple[Board, ...] = ()
    pools: tuple[Pool, ...] = ()
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterReading:
    """Meter readings in watts, by name of the rig or block. ``refused`` are the names with implausible readings."""

    rigs: Mapping[str, float] = field(default_factory=dict)
    blocks: Mapping[str, float] = field(default_factory=dict)
    feeders: Mapping[str, float] = field(default_factory=dict)  # of a whole block, or of the site (""), at the feeder
    utilities: Mapping[str, float] = field(default_factory=dict)  # the same at the utility's meter
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedOff:
    """What should be off: the whole site, blocks, or rigs, by name, and why."""

    site: bool = False
    blocks: tuple[str, ...] = ()
    rigs: tuple[str, ...] = ()
    kind: ObligationKind = ObligationKind.CALL


# --- pools ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PoolWorker:
    """One worker as a pool lists it: the part of its login after the account."""

    name: str
    hashrate: float | None  # H/s that the pool credits, mean over the reading's window
    last_share_at: float | None = None  # unix seconds


@dataclass(frozen=True, slots=True)
class PoolPayment:
    """What a pool credited to the account's balance for one UTC day, which begins at ``day`` (unix seconds)."""

    day: float
    bitcoins: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolReading:
    """All workers of one account at a pool. A cut list is never a reading: absent workers would look dropped."""

    window: float  # s, over which the credited hashrates are means
    workers: tuple[PoolWorker, ...]
    payments: tuple[PoolPayment, ...] = ()  # by day; empty if the pool gives none


# --- market ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkState:
    """The bitcoin network at its tip. Fees are means over the last 144 blocks, in bitcoins per block."""

    height: int
    difficulty: float
    block_fees: float | None = None
    epoch_start_time: float | None = None  # unix seconds, of the epoch's first block
    tip_time: float | None = None  # unix seconds, of the last block
    next_difficulty: float | None = None  # only if the source knows it exactly
    hashrate: float | None = None  # H/s, as the source estimates it
    block_interval: float | None = None  # s, mean over the last 144 blocks


@dataclass(frozen=True, slots=True)
class PriceSlot:
    """A price in force from ``start`` until ``end`` (unix seconds, ends excluded), in US dollars per kWh."""

    start: float
    end: float
    price: float

    @property
    def held_until(self) -> float:
        """When the price is no longer used (unix seconds): a late market may hold it for its own length once more."""
        return self.end + (self.end - self.start)


@dataclass(frozen=True, slots=True)
class PositionSlot:
    """Power in kW that was bought from ``start`` until ``end`` (unix seconds, ends excluded)."""

    start: float
    end: float
    kilowatts: float


@dataclass(frozen=True, slots=True)
class DatedPositions:
    """Positions by date. If it is not ``complete``, part of it could not be read: other hours are then unknown."""

    slots: tuple[PositionSlot, ...] = ()
    complete: bool = True

    def at(self, now: float) -> set[float]:
        """Return the positions in kW that are given for ``now`` (unix seconds). Several contradict each other."""
        return {slot.kilowatts for slot in self.slots if slot.start <= now < slot.end}


class Commitment(StrEnum):
    """What a GPU price is for: hours that the host must provide, or hours that it may take back."""

    FIRM = "firm"
    INTERRUPTIBLE = "interruptible"


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuPrice:
    """The price of one GPU model in one feed, in US dollars per GPU-hour. ``model`` is spelled as by `gpu_model`."""

    model: str
    commitment: Commitment
    price: float  # the median offer, or the feed's index
    low: float | None = None  # 10th percentile of the offers
    high: float | None = None  # 90th percentile of the offers
    offers: int | None = None  # how many the price is made of, if reported


class LoadPoint(NamedTuple):
    """Mean load of a whole grid from ``start`` until ``end`` (unix seconds), in watts."""

    start: float
    end: float
    watts: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemLoad:
    """Load of a whole grid: measured, and forecast from then on."""

    measured: tuple[LoadPoint, ...] = ()
    forecast: tuple[LoadPoint, ...] = ()


# --- GPUs -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuReading:
    """One physical GPU, keyed on its UUID. ``allocated`` is known only if the scrape has pods or memory."""

    gpu: str
    model: str = ""
    hostname: str = ""
    power: float | None = None  # W
    energy: float | None = None  # J, counter
    utilization: float | None = None  # 0-1, time with any kernel
    engine_active: float | None = None  # 0-1
    memory_used: float | None = None  # bytes
    temperature: float | None = None
    allocated: bool | None = None
    xid_error: int | None = None  # last code, 0 if none
