"""The catalogue: one row per metric of the site, for the renderer, the documentation, the lint and the dashboards.

A getter answers None for what is unknown, and the series is absent. The exporter's own metrics are in
:mod:`exporter.telemetry`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import Any, Final, Generic, TypeAlias, TypeVar

from exporter.decision.values import Verdict
from exporter.economics.values import MarketEconomics
from exporter.exposition.views import BlockView, FreshRig, GpuView, RigView, SiteView, Status, is_mining
from exporter.readings import Board, Fan, Fault, NetworkState, Pool
from exporter.snapshot import TariffPrice

S = TypeVar("S")

Labelled: TypeAlias = tuple[tuple[str, ...], float | None]
"""The values of a metric's own labels, and the sample's value."""


class Kind(StrEnum):
    """A metric's type. ``info`` is a gauge that is always 1."""

    GAUGE = "gauge"
    COUNTER = "counter"
    INFO = "info"


class Stability(StrEnum):
    """Whether a metric's name and meaning may still change."""

    STABLE = "stable"
    EXPERIMENTAL = "experimental"


class Group(StrEnum):
    """Groups of series that the operator can switch off."""

    BOARD = "board"
    FAN = "fan"
    POOL = "pool"
    FAULT = "fault"
    TEMPERATURE = "temperature"


@dataclass(frozen=True, slots=True)
class Scope(Generic[S]):
    """What a metric is about: its subjects in a view, each with the values of the labels that name it."""

    title: str
    labels: tuple[str, ...]
    subjects: Callable[[SiteView], Iterable[tuple[tuple[str, ...], S]]]


def _nothing(_subject: object) -> Iterable[Labelled]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric(Generic[S]):
    """One row. ``get`` gives the one value of a subject; ``each`` instead gives several, told apart by ``labels``."""

    scope: Scope[S]
    name: str
    help: str
    unit: str = ""
    kind: Kind = Kind.GAUGE
    labels: tuple[str, ...] = ()
    stability: Stability = Stability.STABLE
    group: Group | None = None
    get: Callable[[S], float | None] | None = None
    each: Callable[[S], Iterable[Labelled]] = _nothing

    @property
    def all_labels(self) -> tuple[str, ...]:
        """The scope's labels, then the metric's own."""
        return (*self.scope.labels, *self.labels)


RIG: Final[Scope[RigView]] = Scope("Rig", ("rig",), lambda view: (((rig.snapshot.rig.name,), rig) for rig in view.rigs))
FRESH_RIG: Final[Scope[FreshRig]] = Scope(
    "Rig with a fresh reading",
    ("rig",),
    lambda view: (((rig.snapshot.rig.name,), rig) for rig in view.fresh_rigs),
)
SENSOR: Final[Scope[float]] = Scope(
    "Temperature sensor",
    ("rig", "sensor"),
    lambda view: (
        ((rig.snapshot.rig.name, sensor), celsius)
        for rig in view.fresh_rigs
        for sensor, celsius in rig.reading.temperatures
    ),
)
FAN: Final[Scope[Fan]] = Scope(
    "Fan",
    ("rig", "fan"),
    lambda view: (
        ((rig.snapshot.rig.name, str(fan.index)), fan) for rig in view.fresh_rigs for fan in rig.reading.fans
    ),
)
BOARD: Final[Scope[Board]] = Scope(
    "Hash board",
    ("rig", "board"),
    lambda view: (
        ((rig.snapshot.rig.name, str(board.index)), board) for rig in view.fresh_rigs for board in rig.reading.boards
    ),
)
POOL: Final[Scope[Pool]] = Scope(
    "Pool",
    ("rig", "pool"),
    lambda view: (
        ((rig.snapshot.rig.name, str(pool.index)), pool) for rig in view.fresh_rigs for pool in rig.reading.pools
    ),
)
FAULT: Final[Scope[Fault]] = Scope(
    "Fault",
    ("rig", "code", "severity", "component"),
    lambda view: (
        ((rig.snapshot.rig.name, fault.code, fault.severity, fault.component), fault)
        for rig in view.fresh_rigs
        for fault in rig.reading.faults
    ),
)
BLOCK: Final[Scope[BlockView]] = Scope(
    "Block", ("block",), lambda view: (((block.economics.name,), block) for block in view.blocks)
)
SITE: Final[Scope[SiteView]] = Scope("Site", (), lambda view: (((), view),))
NETWORK: Final[Scope[NetworkState]] = Scope(
    "Network", (), lambda view: () if view.snapshot.network is None else (((), view.snapshot.network.value),)
)
MARKET: Final[Scope[MarketEconomics]] = Scope("Market", (), lambda view: (((), view.economics.market),))
BITCOIN: Final[Scope[float]] = Scope(
    "Bitcoin",
    (),
    lambda view: () if view.snapshot.bitcoin_price is None else (((), view.snapshot.bitcoin_price.value),),
)
TARIFF: Final[Scope[TariffPrice]] = Scope(
    "Tariff", ("tariff",), lambda view: (((name,), price) for name, price in view.snapshot.tariffs.items())
)
GPU: Final[Scope[GpuView]] = Scope("GPU", ("gpu",), lambda view: (((gpu.reading.gpu,), gpu) for gpu in view.gpus))


def _in_force(choice: StrEnum | None) -> Iterable[Labelled]:
    return () if choice is None else (((choice.value,), 1),)


_INVENTORY_AND_STATE: Final = (
    Metric(
        scope=RIG,
        name="mining_rig_inventory_info",
        help="What the inventory says of the rig; there whether the rig answers or not.",
        kind=Kind.INFO,
        labels=("block", "rack", "position", "customer", "tariff"),
        each=lambda r: (
            (
                (
                    r.snapshot.rig.block,
                    r.snapshot.rig.rack,
                    r.snapshot.rig.position,
                    r.snapshot.rig.customer,
                    r.snapshot.rig.tariff,
                ),
                1,
            ),
        ),
    ),
    Metric(
        scope=RIG,
        name="mining_rig_info",
        help="Who answers at the rig's address, while it is identified.",
        kind=Kind.INFO,
        labels=("make", "model", "firmware", "firmware_version", "ip", "mac", "serial"),
        each=lambda r: (
            ()
            if (identity := r.snapshot.identity) is None
            else (
                (
                    (
                        identity.make,
                        identity.model,
                        identity.firmware,
                        identity.firmware_version,
                        r.snapshot.rig.address,
                        identity.mac,
                        identity.serial,
                    ),
                    1,
                ),
            )
        ),
    ),
    Metric(
        scope=RIG,
        name="mining_rig_up",
        help="Whether the last poll of the rig succeeded; absent before the first.",
        get=lambda r: r.snapshot.up,
    ),
    Metric(
        scope=RIG,
        name="mining_rig_last_success_timestamp_seconds",
        help="When the rig last answered a poll.",
        unit="seconds",
        get=lambda r: r.snapshot.last_success,
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_mining",
        help="Whether the rig hashes.",
        get=lambda r: is_mining(r.reading),
    ),
    Metric(
        scope=RIG,
        name="mining_rig_expected_mining",
        help="Whether the rig should hash now, by inventory, schedule or maintenance.",
        get=lambda r: r.snapshot.expected_mining,
    ),
)

_HASHRATE_AND_POWER: Final = (
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_hashrate_hashes_per_second",
        help="Realised hashrate over the firmware's declared averaging window.",
        unit="hashes_per_second",
        get=lambda r: r.reading.hashrate,
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_expected_hashrate_hashes_per_second",
        help="Hashrate that the rig should reach in its present mode, as its firmware says.",
        unit="hashes_per_second",
        get=lambda r: r.reading.expected_hashrate,
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_work_hashrate_hashes_per_second",
        help="Hashrate that the accepted shares prove, from their difficulty.",
        unit="hashes_per_second",
        get=lambda r: r.snapshot.work_hashrate,
    ),
    Metric(
        scope=RIG,
        name="mining_rig_power_watts",
        help="Power drawn at the rig, from the best source there is (see mining_rig_power_source).",
        unit="watts",
        get=lambda r: r.economics.power,
    ),
    Metric(
        scope=RIG,
        name="mining_rig_power_source",
        help="Where the rig's watts come from: 1 for the source in force.",
        labels=("source",),
        each=lambda r: _in_force(r.economics.power_source),
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_power_limit_watts",
        help="Power limit that is set in the rig.",
        unit="watts",
        get=lambda r: r.reading.power_limit,
    ),
    Metric(
        scope=RIG,
        name="mining_rig_energy_joules_total",
        help="Energy used since the rig was first seen, integrated from its power; shown while the power is known.",
        unit="joules",
        kind=Kind.COUNTER,
        get=lambda r: None if r.economics.power is None else r.snapshot.energy,
    ),
    Metric(
        scope=RIG,
        name="mining_rig_efficiency_joules_per_terahash",
        help="Power over hashrate; absent while nothing hashes.",
        unit="joules_per_terahash",
        get=lambda r: r.economics.efficiency,
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_uptime_seconds",
        help="How long the miner process has run.",
        unit="seconds",
        get=lambda r: r.reading.uptime,
    ),
)

_HARDWARE: Final = (
    Metric(
        scope=SENSOR,
        name="mining_rig_temperature_celsius",
        help="Temperature at each sensor that belongs to no board.",
        unit="celsius",
        group=Group.TEMPERATURE,
        get=lambda celsius: celsius,
    ),
    Metric(
        scope=FAN,
        name="mining_rig_fan_speed_rpm",
        help="Speed of each fan.",
        unit="rpm",
        group=Group.FAN,
        get=lambda f: f.rpm,
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_fans_expected",
        help="How many fans the rig should have.",
        group=Group.FAN,
        get=lambda r: r.reading.fans_expected,
    ),
    Metric(
        scope=BOARD,
        name="mining_rig_board_hashrate_hashes_per_second",
        help="Hashrate of each hash board.",
        unit="hashes_per_second",
        group=Group.BOARD,
        get=lambda b: b.hashrate,
    ),
    Metric(
        scope=BOARD,
        name="mining_rig_board_temperature_celsius",
        help="Hottest circuit board sensor of each hash board.",
        unit="celsius",
        group=Group.BOARD,
        get=lambda b: b.temperature,
    ),
    Metric(
        scope=BOARD,
        name="mining_rig_board_chip_temperature_celsius",
        help="Hottest chip of each hash board.",
        unit="celsius",
        group=Group.BOARD,
        get=lambda b: b.chip_temperature,
    ),
    Metric(
        scope=BOARD,
        name="mining_rig_board_chips",
        help="Chips found on each hash board.",
        group=Group.BOARD,
        get=lambda b: b.chips,
    ),
    Metric(
        scope=BOARD,
        name="mining_rig_board_chips_expected",
        help="Chips that each hash board should have.",
        group=Group.BOARD,
        get=lambda b: b.chips_expected,
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_hardware_errors_total",
        help="Hardware errors since the miner process started.",
        kind=Kind.COUNTER,
        get=lambda r: r.reading.hardware_errors,
    ),
    Metric(
        scope=FAULT,
        name="mining_rig_fault",
        help="1 for each fault that the rig reports, by code of the closed list.",
        group=Group.FAULT,
        get=lambda _: 1,
    ),
)

_POOLS: Final = (
    Metric(
        scope=POOL,
        name="mining_rig_pool_up",
        help="Whether each configured pool answers the rig.",
        group=Group.POOL,
        get=lambda p: p.up,
    ),
    Metric(
        scope=POOL,
        name="mining_rig_pool_active",
        help="Whether the rig mines for each configured pool now.",
        group=Group.POOL,
        get=lambda p: p.active,
    ),
    Metric(
        scope=RIG,
        name="mining_rig_worker_expected",
        help="Whether the rig mines under the worker name that it should; absent where none is expected.",
        group=Group.POOL,
        get=lambda r: r.snapshot.worker_expected,
    ),
    Metric(
        scope=POOL,
        name="mining_rig_pool_info",
        help="Each configured pool of the rig.",
        kind=Kind.INFO,
        labels=("host", "scheme", "worker"),
        group=Group.POOL,
        each=lambda p: (((p.host, p.scheme, p.worker), 1),),
    ),
    Metric(
        scope=POOL,
        name="mining_rig_pool_accepted_shares_total",
        help="Shares that each pool accepted since the miner process started.",
        kind=Kind.COUNTER,
        group=Group.POOL,
        get=lambda p: p.accepted,
    ),
    Metric(
        scope=POOL,
        name="mining_rig_pool_rejected_shares_total",
        help="Shares that each pool rejected since the miner process started.",
        kind=Kind.COUNTER,
        group=Group.POOL,
        get=lambda p: p.rejected,
    ),
    Metric(
        scope=POOL,
        name="mining_rig_pool_stale_shares_total",
        help="Shares that came too late for each pool since the miner process started.",
        kind=Kind.COUNTER,
        group=Group.POOL,
        get=lambda p: p.stale,
    ),
)

_RIG_ECONOMICS: Final = (
    Metric(
        scope=RIG,
        name="mining_rig_revenue_usd_per_day",
        help="What the rig's realised hashrate earns at today's hashprice, after pool fee and rejected shares.",
        unit="usd_per_day",
        get=lambda r: r.economics.revenue,
    ),
    Metric(
        scope=RIG,
        name="mining_rig_power_cost_usd_per_day",
        help="What the rig's power costs at the price in force, where it is billed.",
        unit="usd_per_day",
        get=lambda r: r.economics.power_cost,
    ),
    Metric(
        scope=RIG,
        name="mining_rig_margin_usd_per_day",
        help="Cash margin of what is happening: revenue less power cost.",
        unit="usd_per_day",
        get=lambda r: r.economics.margin,
    ),
    Metric(
        scope=RIG,
        name="mining_rig_potential_margin_usd_per_day",
        help="Cash margin that the rig would have if it ran as it last ran well.",
        unit="usd_per_day",
        get=lambda r: r.economics.potential_margin,
    ),
    Metric(
        scope=RIG,
        name="mining_rig_margin_low_usd_per_day",
        help="Cash margin at the expensive end of the power source's error band.",
        unit="usd_per_day",
        get=lambda r: r.economics.margin_low,
    ),
    Metric(
        scope=RIG,
        name="mining_rig_margin_high_usd_per_day",
        help="Cash margin at the cheap end of the power source's error band.",
        unit="usd_per_day",
        get=lambda r: r.economics.margin_high,
    ),
    Metric(
        scope=RIG,
        name="mining_rig_allin_margin_usd_per_day",
        help="Margin after what does not stop with the rig: demand charge, hosting, operations, depreciation, credits.",
        unit="usd_per_day",
        get=lambda r: r.economics.allin_margin,
    ),
    Metric(
        scope=RIG,
        name="mining_rig_forward_margin_usd_per_day",
        help="Cash margin after the next retarget, all else equal.",
        unit="usd_per_day",
        get=lambda r: r.economics.forward_margin,
    ),
    Metric(
        scope=RIG,
        name="mining_rig_margin_usd_per_kilowatt_hour",
        help="Cash margin per kilowatt-hour billed: the axis on which mining and AI hosting compare.",
        unit="usd_per_kilowatt_hour",
        get=lambda r: r.economics.margin_per_kwh,
    ),
    Metric(
        scope=RIG,
        name="mining_rig_breakeven_power_price_usd_per_kilowatt_hour",
        help="Power price at which the rig's cash margin is zero.",
        unit="usd_per_kilowatt_hour",
        get=lambda r: r.economics.breakeven_power_price,
    ),
    Metric(
        scope=RIG,
        name="mining_rig_breakeven_hashprice_usd_per_petahash_day",
        help="Hashprice at which the rig's cash margin is zero.",
        unit="usd_per_petahash_day",
        get=lambda r: r.economics.breakeven_hashprice,
    ),
    Metric(
        scope=RIG,
        name="mining_rig_breakeven_bitcoin_price_usd",
        help="Bitcoin price at which the rig's cash margin is zero.",
        unit="usd",
        get=lambda r: r.economics.breakeven_bitcoin_price,
    ),
    Metric(
        scope=RIG,
        name="mining_rig_cost_usd_per_bitcoin",
        help="Power cost of mining one bitcoin with the rig.",
        unit="usd_per_bitcoin",
        get=lambda r: r.economics.cost_per_bitcoin,
    ),
    Metric(
        scope=RIG,
        name="mining_rig_reassign_score_usd_per_kilowatt_year",
        help="AI value of the rig's power less its mining margin; absent without an AI value.",
        unit="usd_per_kilowatt_year",
        get=lambda r: r.decision.reassign_score,
    ),
    Metric(
        scope=RIG,
        name="mining_rig_verdict",
        help="1 for the verdict in force.",
        labels=("verdict",),
        each=lambda r: _in_force(r.decision.verdict),
    ),
    Metric(
        scope=RIG,
        name="mining_rig_verdict_since_timestamp_seconds",
        help="Since when the verdict has been in force.",
        unit="seconds",
        get=lambda r: r.decision.verdict_since,
    ),
)

_BLOCKS: Final = (
    Metric(
        scope=BLOCK,
        name="mining_block_rigs",
        help="Rigs of the block, by verdict; absent while none has a verdict.",
        labels=("verdict",),
        each=lambda b: [((verdict.value,), b.verdicts.get(verdict, 0)) for verdict in Verdict] if b.verdicts else (),
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_rigs_priced",
        help="Rigs of the block whose inputs are all there: those that its sums of money cover.",
        get=lambda b: b.economics.priced,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_capacity_watts",
        help="Power that the block's feeder can carry, as configured.",
        unit="watts",
        get=lambda b: b.economics.capacity,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_power_watts",
        help="Power of the block's rigs whose power is known.",
        unit="watts",
        get=lambda b: b.economics.power,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_billed_power_watts",
        help="Power of the block's priced rigs where it is billed: its margin per kilowatt-hour is over this.",
        unit="watts",
        get=lambda b: b.economics.billed_power,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_hashrate_hashes_per_second",
        help="Hashrate of the block's rigs that answer.",
        unit="hashes_per_second",
        get=lambda b: b.economics.hashrate,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_revenue_usd_per_day",
        help="Revenue of the block's priced rigs.",
        unit="usd_per_day",
        get=lambda b: b.economics.revenue,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_power_cost_usd_per_day",
        help="Power cost of the block's priced rigs.",
        unit="usd_per_day",
        get=lambda b: b.economics.power_cost,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_margin_usd_per_day",
        help="Cash margin of the block's priced rigs.",
        unit="usd_per_day",
        get=lambda b: b.economics.margin,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_potential_margin_usd_per_day",
        help="Cash margin that the block's rigs would have if they ran.",
        unit="usd_per_day",
        get=lambda b: b.economics.potential_margin,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_avoidable_loss_usd_per_day",
        help="What switching off the block's losing rigs would save, as a positive figure.",
        unit="usd_per_day",
        get=lambda b: b.economics.avoidable_loss,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_ai_value_usd_per_day",
        help="AI value of the power that the block's feeder can carry.",
        unit="usd_per_day",
        get=lambda b: b.economics.ai_value,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_reassign_score_usd_per_kilowatt_year",
        help="AI value of the block's power less its mining margin; absent without an AI value.",
        unit="usd_per_kilowatt_year",
        get=lambda b: b.decision.reassign_score,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_verdict",
        help="1 for the verdict in force.",
        labels=("verdict",),
        each=lambda b: _in_force(b.decision.verdict),
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_reassign_payback_years",
        help="Years until converting the block would have paid for itself.",
        unit="years",
        get=lambda b: b.decision.payback_years,
    ),
)

_NETWORK: Final = (
    Metric(
        scope=NETWORK,
        name="mining_network_difficulty",
        help="Difficulty of the bitcoin network.",
        get=lambda n: n.difficulty,
    ),
    Metric(
        scope=MARKET,
        name="mining_network_hashrate_hashes_per_second",
        help="Estimated hashrate of the bitcoin network.",
        unit="hashes_per_second",
        get=lambda m: m.network_hashrate,
    ),
    Metric(
        scope=NETWORK,
        name="mining_network_block_height",
        help="Height of the last block.",
        get=lambda n: n.height,
    ),
    Metric(
        scope=MARKET,
        name="mining_network_subsidy_bitcoins",
        help="Subsidy of the next block.",
        unit="bitcoins",
        get=lambda m: m.subsidy,
    ),
    Metric(
        scope=NETWORK,
        name="mining_network_block_fees_bitcoins",
        help="Mean transaction fees of the last 144 blocks, per block.",
        unit="bitcoins",
        get=lambda n: n.block_fees,
    ),
    Metric(
        scope=NETWORK,
        name="mining_network_block_interval_seconds",
        help="Mean time between the last 144 blocks.",
        unit="seconds",
        get=lambda n: n.block_interval,
    ),
    Metric(
        scope=MARKET,
        name="mining_network_next_difficulty",
        help="Difficulty after the next retarget, estimated.",
        get=lambda m: m.next_difficulty,
    ),
    Metric(
        scope=MARKET,
        name="mining_network_retarget_blocks_remaining",
        help="Blocks until the next retarget.",
        get=lambda m: m.retarget_blocks_remaining,
    ),
    Metric(
        scope=MARKET,
        name="mining_network_retarget_timestamp_seconds",
        help="When the next retarget is due, estimated.",
        unit="seconds",
        get=lambda m: m.retarget_time,
    ),
    Metric(
        scope=MARKET,
        name="mining_network_retarget_confident",
        help="Whether the next difficulty can be relied on: 500 blocks into the epoch, or told by the node.",
        stability=Stability.EXPERIMENTAL,
        get=lambda m: m.retarget_confident,
    ),
    Metric(
        scope=MARKET,
        name="mining_network_halving_timestamp_seconds",
        help="When the next halving is due, estimated.",
        unit="seconds",
        get=lambda m: m.halving_time,
    ),
)

_MARKET: Final = (
    Metric(
        scope=BITCOIN,
        name="mining_bitcoin_price_usd",
        help="Price of one bitcoin.",
        unit="usd",
        get=lambda price: price,
    ),
    Metric(
        scope=MARKET,
        name="mining_hashprice_usd_per_petahash_day",
        help="What one PH/s earns in a day, before pool fees.",
        unit="usd_per_petahash_day",
        get=lambda m: m.hashprice_usd,
    ),
    Metric(
        scope=MARKET,
        name="mining_hashprice_bitcoins_per_petahash_day",
        help="What one PH/s earns in a day in bitcoins, before pool fees.",
        unit="bitcoins_per_petahash_day",
        get=lambda m: m.hashprice_btc,
    ),
    Metric(
        scope=MARKET,
        name="mining_forward_hashprice_usd_per_petahash_day",
        help="Hashprice after the next retarget, all else equal.",
        unit="usd_per_petahash_day",
        get=lambda m: m.forward_hashprice_usd,
    ),
    Metric(
        scope=TARIFF,
        name="mining_power_price_usd_per_kilowatt_hour",
        help="Power price in force; it may be negative.",
        unit="usd_per_kilowatt_hour",
        get=lambda t: t.price,
    ),
    Metric(
        scope=TARIFF,
        name="mining_power_price_next_usd_per_kilowatt_hour",
        help="Power price of the next slot, once it is known.",
        unit="usd_per_kilowatt_hour",
        get=lambda t: t.next_price,
    ),
    Metric(
        scope=MARKET,
        name="mining_ai_value_usd_per_kilowatt_hour",
        help="What AI hosting would earn per kilowatt-hour, by scenario; absent without an ai section.",
        unit="usd_per_kilowatt_hour",
        labels=("scenario",),
        each=lambda m: [((scenario,), value) for scenario, value in m.ai_value_per_kwh],
    ),
    Metric(
        scope=MARKET,
        name="mining_ai_breakeven_rent_usd_per_kilowatt_month",
        help="Rent per IT kilowatt at which AI hosting is worth nothing.",
        unit="usd_per_kilowatt_month",
        get=lambda m: m.ai_breakeven_rent,
    ),
)

_GPUS: Final = (
    Metric(
        scope=GPU,
        name="mining_gpu_info",
        help="Which GPU it is.",
        kind=Kind.INFO,
        labels=("model", "hostname"),
        each=lambda g: (((g.reading.model, g.reading.hostname), 1),),
    ),
    Metric(
        scope=GPU,
        name="mining_gpu_power_watts",
        help="Power of the GPU itself, without its host.",
        unit="watts",
        get=lambda g: g.reading.power,
    ),
    Metric(
        scope=GPU,
        name="mining_gpu_utilization_ratio",
        help="Share of time in which any kernel ran.",
        unit="ratio",
        get=lambda g: g.reading.utilization,
    ),
    Metric(
        scope=GPU,
        name="mining_gpu_engine_active_ratio",
        help="Share of time in which the compute engine was active.",
        unit="ratio",
        get=lambda g: g.reading.engine_active,
    ),
    Metric(
        scope=GPU,
        name="mining_gpu_memory_used_bytes",
        help="Memory in use on the GPU.",
        unit="bytes",
        get=lambda g: g.reading.memory_used,
    ),
    Metric(
        scope=GPU,
        name="mining_gpu_temperature_celsius",
        help="Temperature of the GPU.",
        unit="celsius",
        get=lambda g: g.reading.temperature,
    ),
    Metric(
        scope=GPU,
        name="mining_gpu_allocated",
        help="Whether the GPU is held by a job.",
        get=lambda g: g.reading.allocated,
    ),
    Metric(
        scope=GPU,
        name="mining_gpu_energy_joules_total",
        help="Energy that the GPU has used, as its driver counts it.",
        unit="joules",
        kind=Kind.COUNTER,
        get=lambda g: g.reading.energy,
    ),
    Metric(
        scope=GPU,
        name="mining_gpu_contracted",
        help="Whether a contract pays for the GPU now.",
        get=lambda g: g.economics.contracted,
    ),
    Metric(
        scope=GPU,
        name="mining_gpu_xid_error_info",
        help="Code of the last XID error that the driver reported.",
        kind=Kind.INFO,
        labels=("code",),
        each=lambda g: (((str(g.reading.xid_error),), 1),) if g.reading.xid_error else (),
    ),
    Metric(
        scope=GPU,
        name="mining_gpu_revenue_usd_per_day",
        help="What the GPU earns by its contract or rate.",
        unit="usd_per_day",
        get=lambda g: g.economics.revenue,
    ),
    Metric(
        scope=GPU,
        name="mining_gpu_power_cost_usd_per_day",
        help="Power cost of the GPU with its share of the host.",
        unit="usd_per_day",
        get=lambda g: g.economics.power_cost,
    ),
    Metric(
        scope=GPU,
        name="mining_gpu_margin_usd_per_day",
        help="Revenue less power cost of the GPU.",
        unit="usd_per_day",
        get=lambda g: g.economics.margin,
    ),
    Metric(
        scope=GPU,
        name="mining_gpu_margin_usd_per_kilowatt_hour",
        help="Margin of the GPU per kilowatt-hour billed: comparable with mining's.",
        unit="usd_per_kilowatt_hour",
        get=lambda g: g.economics.margin_per_kwh,
    ),
)

_EXPORTER: Final = (
    Metric(
        scope=SITE,
        name="mining_rigs",
        help=(
            "Rigs by status, summing to the inventory: mining (hashes), expected_off (does not hash and should not), "
            "stopped (answers, should hash, does not), down (should hash, no fresh reading), unknown (not polled yet)."
        ),
        labels=("status",),
        each=lambda v: [((status.value,), v.statuses[status]) for status in Status],
    ),
    Metric(
        scope=SITE,
        name="mining_evaluation_timestamp_seconds",
        help="When the published evaluation was taken. A scrape serves that publication and never touches a rig.",
        unit="seconds",
        get=lambda v: v.snapshot.taken_at,
    ),
    Metric(
        scope=SITE,
        name="mining_exporter_shard_info",
        help="Which part of the site this exporter serves, counted from 0.",
        kind=Kind.INFO,
        labels=("shard", "total"),
        each=lambda v: (((str(v.shard.number), str(v.shard.total)), 1),),
    ),
    Metric(
        scope=SITE,
        name="mining_exporter_shards",
        help="Into how many shards the site is split: fewer that report are missing.",
        get=lambda v: v.shard.total,
    ),
)

SECTIONS: Final[Mapping[str, tuple[Metric[Any], ...]]] = {
    "Rig: inventory and state": _INVENTORY_AND_STATE,
    "Rig: hashrate and power": _HASHRATE_AND_POWER,
    "Rig: hardware": _HARDWARE,
    "Rig: pools": _POOLS,
    "Rig: economics": _RIG_ECONOMICS,
    "Block": _BLOCKS,
    "Bitcoin network": _NETWORK,
    "Market": _MARKET,
    "GPU": _GPUS,
    "Site and evaluation": _EXPORTER,
}

CATALOGUE: Final = tuple(chain.from_iterable(SECTIONS.values()))
"""Every metric of the site, in the order in which it is published."""
