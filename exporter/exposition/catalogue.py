"""The catalogue: one row per metric of the site, for the renderer, the documentation, the lint and the dashboards.

A getter answers None for what is unknown, and the series is absent. The exporter's own metrics are in
:mod:`exporter.telemetry`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import Any, Final, Generic, TypeAlias, TypeVar

from exporter.decision.values import Verdict
from exporter.exposition.views import SiteView, is_mining
from exporter.model.readings import RigReading

S = TypeVar("S")
P = TypeVar("P")

Columns: TypeAlias = tuple[list[str], ...]
"""For each label of a scope its values, in the order of the subjects."""


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
    POWER_SUPPLY = "power_supply"
    CHIP = "chip"


@dataclass(frozen=True, slots=True)
class Scope(Generic[S]):
    """What a metric is about: its subjects in a view, with the values of the labels that tell them apart."""

    labels: tuple[str, ...]
    subjects: Callable[[SiteView], tuple[Columns, Sequence[S]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric(Generic[S]):
    """One row: ``get`` gives the value of one subject of ``scope``, or None where it is unknown."""

    scope: Scope[S]
    name: str
    help: str
    get: Callable[[S], float | None]
    unit: str = ""
    kind: Kind = Kind.GAUGE
    stability: Stability = Stability.STABLE
    group: Group | None = None


def _scope(subjects: Callable[[SiteView], Sequence[S]], **labels: Callable[[S], str]) -> Scope[S]:
    """A scope whose labels are read from its subjects."""

    def named(view: SiteView) -> tuple[Columns, Sequence[S]]:
        found = subjects(view)
        return tuple([value(subject) for subject in found] for value in labels.values()), found

    return Scope(tuple(labels), named)


def _parts(parts: Callable[[RigReading], Sequence[P]], **labels: Callable[[P], str]) -> Scope[P]:
    """A scope of the parts that rigs have, labelled with their rig and as given."""

    def named(view: SiteView) -> tuple[Columns, Sequence[P]]:
        found = [part for rig in view.fresh_rigs for part in parts(rig.reading)]
        rigs = [rig.snapshot.rig.name for rig in view.fresh_rigs for _ in parts(rig.reading)]
        return (rigs, *([value(part) for part in found] for value in labels.values())), found

    return Scope(("rig", *labels), named)


def _one(_subject: object) -> float:
    """The value of what is there, or in force."""
    return 1


RIG: Final = _scope(lambda view: view.rigs, rig=lambda rig: rig.snapshot.rig.name)
FRESH_RIG: Final = _scope(lambda view: view.fresh_rigs, rig=lambda rig: rig.snapshot.rig.name)
INVENTORY: Final = _scope(
    lambda view: view.snapshot.rigs,
    rig=lambda rig: rig.rig.name,
    block=lambda rig: rig.rig.block,
    rack=lambda rig: rig.rig.rack,
    position=lambda rig: rig.rig.position,
    customer=lambda rig: rig.rig.customer,
    tariff=lambda rig: rig.rig.tariff,
)
IDENTITY: Final = _scope(
    lambda view: [(rig.rig, rig.identity) for rig in view.snapshot.rigs if rig.identity is not None],
    rig=lambda known: known[0].name,
    make=lambda known: known[1].make,
    model=lambda known: known[1].model,
    firmware=lambda known: known[1].firmware,
    firmware_version=lambda known: known[1].firmware_version,
    ip=lambda known: known[0].address,
    mac=lambda known: known[1].mac,
    serial=lambda known: known[1].serial,
)
HARDWARE: Final = _scope(
    lambda view: [(rig.rig, rig.identity) for rig in view.snapshot.rigs if rig.identity is not None],
    rig=lambda known: known[0].name,
    hostname=lambda known: known[1].hostname,
    algorithm=lambda known: known[1].algorithm,
    api_version=lambda known: known[1].api_version,
    control_board=lambda known: known[1].control_board,
    power_supply_model=lambda known: known[1].power_supply_model,
    power_supply_serial=lambda known: known[1].power_supply_serial,
)
BOARD_SERIAL: Final = _scope(
    lambda view: [
        (rig.rig.name, *board)
        for rig in view.snapshot.rigs
        if rig.identity is not None
        for board in rig.identity.board_serials
    ],
    rig=lambda known: known[0],
    board=lambda known: str(known[1]),
    serial=lambda known: known[2],
)
RIG_POWER_MODE: Final = _scope(
    lambda view: [rig for rig in view.fresh_rigs if rig.reading.power_mode],
    rig=lambda rig: rig.snapshot.rig.name,
    mode=lambda rig: rig.reading.power_mode,
)
RIG_TUNER: Final = _scope(
    lambda view: [rig for rig in view.fresh_rigs if rig.reading.tuner is not None],
    rig=lambda rig: rig.snapshot.rig.name,
    state=lambda rig: str(rig.reading.tuner),
)
RIG_POWER_SOURCE: Final = _scope(
    lambda view: [rig for rig in view.rigs if rig.economics.power_source is not None],
    rig=lambda rig: rig.snapshot.rig.name,
    source=lambda rig: str(rig.economics.power_source),
)
RIG_VERDICT: Final = _scope(
    lambda view: [rig for rig in view.rigs if rig.decision.verdict is not None],
    rig=lambda rig: rig.snapshot.rig.name,
    verdict=lambda rig: str(rig.decision.verdict),
)
SENSOR: Final = _parts(lambda reading: reading.temperatures, sensor=lambda sensor: sensor[0])
FAN: Final = _parts(lambda reading: reading.fans, fan=lambda fan: str(fan.index))
BOARD: Final = _parts(lambda reading: reading.boards, board=lambda board: str(board.index))
CHIP: Final = _parts(
    lambda reading: [(board.index, place) for board in reading.boards for place in board.failed_chips],
    board=lambda chip: str(chip[0]),
    chip=lambda chip: str(chip[1]),
)
POWER_SUPPLY: Final = _scope(
    lambda view: [
        (rig.snapshot.rig.name, rig.reading.power_supply)
        for rig in view.fresh_rigs
        if rig.reading.power_supply is not None
    ],
    rig=lambda known: known[0],
)
POOL: Final = _parts(lambda reading: reading.pools, pool=lambda pool: str(pool.index))
POOL_DETAILS: Final = _parts(
    lambda reading: reading.pools,
    pool=lambda pool: str(pool.index),
    host=lambda pool: pool.host,
    scheme=lambda pool: pool.scheme,
    worker=lambda pool: pool.worker,
)
FAULT: Final = _parts(
    lambda reading: reading.faults,
    code=lambda fault: fault.code,
    severity=lambda fault: fault.severity,
    component=lambda fault: fault.component,
)
FAULT_SINCE: Final = _scope(
    lambda view: [
        (rig.snapshot.rig.name, *known)
        for rig in view.fresh_rigs
        for known in zip(rig.reading.faults, rig.snapshot.faults_since, strict=False)
    ],
    rig=lambda known: known[0],
    code=lambda known: known[1].code,
    severity=lambda known: known[1].severity,
    component=lambda known: known[1].component,
)
FAULT_DETAILS: Final = _parts(
    lambda reading: [fault for fault in reading.faults if fault.vendor_code],
    code=lambda fault: fault.code,
    component=lambda fault: fault.component,
    vendor_code=lambda fault: fault.vendor_code,
)
BLOCK: Final = _scope(lambda view: view.blocks, block=lambda block: block.economics.name)
BLOCK_RIGS: Final = _scope(
    lambda view: [(block, verdict) for block in view.blocks if block.verdicts for verdict in Verdict],
    block=lambda counted: counted[0].economics.name,
    verdict=lambda counted: counted[1],
)
BLOCK_VERDICT: Final = _scope(
    lambda view: [block for block in view.blocks if block.decision.verdict is not None],
    block=lambda block: block.economics.name,
    verdict=lambda block: str(block.decision.verdict),
)
NETWORK: Final = _scope(lambda view: [view.snapshot.network.value] if view.snapshot.network else [])
MARKET: Final = _scope(lambda view: [view.economics.market])
BITCOIN: Final = _scope(lambda view: [view.snapshot.bitcoin_price.value] if view.snapshot.bitcoin_price else [])
TARIFF: Final = _scope(lambda view: list(view.snapshot.tariffs.items()), tariff=lambda named: named[0])
SCENARIO: Final = _scope(lambda view: view.economics.market.ai_value_per_kwh, scenario=lambda named: named[0])
GPU: Final = _scope(lambda view: view.gpus, gpu=lambda gpu: gpu.reading.gpu)
GPU_DETAILS: Final = _scope(
    lambda view: view.snapshot.gpus,
    gpu=lambda gpu: gpu.gpu,
    model=lambda gpu: gpu.model,
    hostname=lambda gpu: gpu.hostname,
)
GPU_ERROR: Final = _scope(
    lambda view: [gpu for gpu in view.snapshot.gpus if gpu.xid_error],
    gpu=lambda gpu: gpu.gpu,
    code=lambda gpu: str(gpu.xid_error),
)
SITE: Final = _scope(lambda view: [view])
SHARD: Final = _scope(
    lambda view: [view.shard], shard=lambda shard: str(shard.number), total=lambda shard: str(shard.total)
)
STATUS: Final = _scope(lambda view: list(view.statuses.items()), status=lambda counted: counted[0])

_INVENTORY_AND_STATE: Final = (
    Metric(
        scope=INVENTORY,
        name="mining_rig_inventory_info",
        help="What the inventory says of the rig; there whether the rig answers or not.",
        kind=Kind.INFO,
        get=_one,
    ),
    Metric(
        scope=IDENTITY,
        name="mining_rig_info",
        help="Who answers at the rig's address, while it is identified.",
        kind=Kind.INFO,
        get=_one,
    ),
    Metric(
        scope=HARDWARE,
        name="mining_rig_hardware_info",
        help="What the rig is made of, as it told when it was identified; what it did not tell is empty.",
        kind=Kind.INFO,
        get=_one,
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
        scope=FRESH_RIG,
        name="mining_rig_suspended",
        help="Whether the rig was told to stop: it sleeps or is paused.",
        get=lambda r: r.reading.suspended,
    ),
    Metric(
        scope=RIG_POWER_MODE,
        name="mining_rig_power_mode",
        help="1 for the power mode, profile or preset in force, in the firmware's own word.",
        get=_one,
    ),
    Metric(
        scope=RIG_TUNER,
        name="mining_rig_tuner_state",
        help="1 for what the firmware's tuner does: off, tuning, tuned or failed.",
        get=_one,
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_fault_light",
        help="Whether the light that helps to find the rig is on.",
        get=lambda r: r.reading.fault_light,
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_login_refused",
        help="Whether the rig's web interface refuses the login: what only that tells is unknown.",
        get=lambda r: r.reading.login_refused,
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
        name="mining_rig_hashrate_window_seconds",
        help="Over how long the firmware averages the realised hashrate.",
        unit="seconds",
        get=lambda r: r.reading.hashrate_window,
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_average_hashrate_hashes_per_second",
        help="Average hashrate since the miner process started.",
        unit="hashes_per_second",
        get=lambda r: r.reading.average_hashrate,
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_expected_hashrate_hashes_per_second",
        help="Hashrate that the rig should reach in its present mode, as its firmware says.",
        unit="hashes_per_second",
        get=lambda r: r.reading.expected_hashrate,
    ),
    Metric(
        scope=RIG,
        name="mining_rig_rated_hashrate_hashes_per_second",
        help="Hashrate on the rig's nameplate, from the inventory, else the table of models, else its firmware.",
        unit="hashes_per_second",
        get=lambda r: r.snapshot.rig.rated_hashrate,
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_work_hashrate_hashes_per_second",
        help="Hashrate that the accepted shares prove, from their difficulty.",
        unit="hashes_per_second",
        get=lambda r: r.snapshot.work_hashrate,
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_firmware_fee_ratio",
        help="Share of its work that the rig does for its firmware's maker, where it tells.",
        unit="ratio",
        get=lambda r: r.reading.firmware_fee,
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_accepted_difficulty_total",
        help="Difficulty of the accepted shares since the miner process started, added up.",
        kind=Kind.COUNTER,
        get=lambda r: r.reading.accepted_difficulty,
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_rejected_difficulty_total",
        help="Difficulty of the rejected shares since the miner process started, added up.",
        kind=Kind.COUNTER,
        get=lambda r: r.reading.rejected_difficulty,
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_discarded_work_total",
        help="Pieces of work that came to nothing, because a new block was found, since the miner process started.",
        kind=Kind.COUNTER,
        get=lambda r: r.reading.discarded_work,
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_best_share_difficulty",
        help="Difficulty of the best share since the miner process started.",
        get=lambda r: r.reading.best_share,
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
        name="mining_rig_rated_power_watts",
        help="Power on the rig's nameplate, from the inventory, else the table of models.",
        unit="watts",
        get=lambda r: r.snapshot.rig.rated_power,
    ),
    Metric(
        scope=RIG_POWER_SOURCE,
        name="mining_rig_power_source",
        help="Where the rig's watts come from: 1 for the source in force.",
        get=_one,
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_power_limit_watts",
        help="Power limit that is set in the rig.",
        unit="watts",
        get=lambda r: r.reading.power_limit,
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_power_target_watts",
        help="Power that the rig's tuner aims at.",
        unit="watts",
        get=lambda r: r.reading.power_target,
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
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_system_uptime_seconds",
        help="How long ago the rig booted.",
        unit="seconds",
        get=lambda r: r.reading.system_uptime,
    ),
)

_HARDWARE: Final = (
    Metric(
        scope=SENSOR,
        name="mining_rig_temperature_celsius",
        help="Temperature at each sensor that belongs to no board.",
        unit="celsius",
        group=Group.TEMPERATURE,
        get=lambda sensor: sensor[1],
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_thermal_margin_celsius",
        help="How much hotter the rig may get before it throttles or stops.",
        unit="celsius",
        get=lambda r: r.reading.thermal_margin,
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
        scope=FRESH_RIG,
        name="mining_rig_fan_duty_ratio",
        help="Fan speed that the rig's controller demands, of full speed.",
        unit="ratio",
        group=Group.FAN,
        get=lambda r: r.reading.fan_duty,
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
        name="mining_rig_board_expected_hashrate_hashes_per_second",
        help="Hashrate that each hash board should reach in its present mode, as its firmware says.",
        unit="hashes_per_second",
        group=Group.BOARD,
        get=lambda b: b.expected_hashrate,
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
        name="mining_rig_board_min_temperature_celsius",
        help="Coolest circuit board sensor of each hash board.",
        unit="celsius",
        group=Group.BOARD,
        get=lambda b: b.temperature_min,
    ),
    Metric(
        scope=BOARD,
        name="mining_rig_board_average_temperature_celsius",
        help="Mean of the circuit board sensors of each hash board.",
        unit="celsius",
        group=Group.BOARD,
        get=lambda b: b.temperature_average,
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
        name="mining_rig_board_min_chip_temperature_celsius",
        help="Coolest chip of each hash board.",
        unit="celsius",
        group=Group.BOARD,
        get=lambda b: b.chip_temperature_min,
    ),
    Metric(
        scope=BOARD,
        name="mining_rig_board_average_chip_temperature_celsius",
        help="Mean over the chips of each hash board, or over those with a sensor.",
        unit="celsius",
        group=Group.BOARD,
        get=lambda b: b.chip_temperature_average,
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
        scope=CHIP,
        name="mining_rig_chip_failed",
        help="1 for each chip that does not work, by its place on its board.",
        group=Group.CHIP,
        get=_one,
    ),
    Metric(
        scope=BOARD,
        name="mining_rig_board_frequency_hertz",
        help="Clock of the chips of each hash board, their mean.",
        unit="hertz",
        group=Group.BOARD,
        get=lambda b: b.frequency,
    ),
    Metric(
        scope=BOARD,
        name="mining_rig_board_voltage_volts",
        help="Voltage at each hash board.",
        unit="volts",
        group=Group.BOARD,
        get=lambda b: b.voltage,
    ),
    Metric(
        scope=BOARD,
        name="mining_rig_board_power_watts",
        help="Power of each hash board.",
        unit="watts",
        group=Group.BOARD,
        get=lambda b: b.power,
    ),
    Metric(
        scope=BOARD,
        name="mining_rig_board_hardware_errors_total",
        help="Hardware errors of each hash board since the miner process started.",
        kind=Kind.COUNTER,
        group=Group.BOARD,
        get=lambda b: b.hardware_errors,
    ),
    Metric(
        scope=BOARD_SERIAL,
        name="mining_rig_board_info",
        help="Serial number of each hash board, as the rig told when it was identified.",
        kind=Kind.INFO,
        group=Group.BOARD,
        get=_one,
    ),
    Metric(
        scope=POWER_SUPPLY,
        name="mining_rig_power_supply_input_voltage_volts",
        help="Input voltage of the rig's power supply.",
        unit="volts",
        group=Group.POWER_SUPPLY,
        get=lambda p: p[1].input_voltage,
    ),
    Metric(
        scope=POWER_SUPPLY,
        name="mining_rig_power_supply_input_current_amperes",
        help="Input current of the rig's power supply.",
        unit="amperes",
        group=Group.POWER_SUPPLY,
        get=lambda p: p[1].input_current,
    ),
    Metric(
        scope=POWER_SUPPLY,
        name="mining_rig_power_supply_input_power_watts",
        help="Input power of the rig's power supply.",
        unit="watts",
        group=Group.POWER_SUPPLY,
        get=lambda p: p[1].input_power,
    ),
    Metric(
        scope=POWER_SUPPLY,
        name="mining_rig_power_supply_output_voltage_volts",
        help="Output voltage of the rig's power supply.",
        unit="volts",
        group=Group.POWER_SUPPLY,
        get=lambda p: p[1].output_voltage,
    ),
    Metric(
        scope=POWER_SUPPLY,
        name="mining_rig_power_supply_output_current_amperes",
        help="Output current of the rig's power supply.",
        unit="amperes",
        group=Group.POWER_SUPPLY,
        get=lambda p: p[1].output_current,
    ),
    Metric(
        scope=POWER_SUPPLY,
        name="mining_rig_power_supply_output_power_watts",
        help="Output power of the rig's power supply.",
        unit="watts",
        group=Group.POWER_SUPPLY,
        get=lambda p: p[1].output_power,
    ),
    Metric(
        scope=POWER_SUPPLY,
        name="mining_rig_power_supply_fan_speed_rpm",
        help="Speed of the power supply's own fan.",
        unit="rpm",
        group=Group.POWER_SUPPLY,
        get=lambda p: p[1].fan_rpm,
    ),
    Metric(
        scope=POWER_SUPPLY,
        name="mining_rig_power_supply_temperature_celsius",
        help="Hottest sensor of the rig's power supply.",
        unit="celsius",
        group=Group.POWER_SUPPLY,
        get=lambda p: p[1].temperature,
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_last_share_timestamp_seconds",
        help="When a pool last took a share of the rig, as the firmware tells.",
        unit="seconds",
        group=Group.POOL,
        get=lambda r: r.reading.last_share_at,
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_hardware_errors_total",
        help="Hardware errors since the miner process started.",
        kind=Kind.COUNTER,
        get=lambda r: r.reading.hardware_errors,
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_hardware_error_ratio",
        help="Hashes lost to hardware errors, of those that were done.",
        unit="ratio",
        get=lambda r: r.reading.hardware_error_ratio,
    ),
    Metric(
        scope=FAULT,
        name="mining_rig_fault",
        help="1 for each fault that the rig reports, by code of the closed list.",
        group=Group.FAULT,
        get=_one,
    ),
    Metric(
        scope=FAULT_SINCE,
        name="mining_rig_fault_since_timestamp_seconds",
        help="When each fault began, where the rig says so, else when it was first seen.",
        unit="seconds",
        group=Group.FAULT,
        get=lambda known: known[2],
    ),
    Metric(
        scope=FAULT_DETAILS,
        name="mining_rig_fault_vendor_info",
        help="The vendor's own code of each fault.",
        kind=Kind.INFO,
        group=Group.FAULT,
        get=_one,
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
        scope=POOL,
        name="mining_rig_pool_difficulty",
        help="Difficulty of the shares that each pool asks for now.",
        group=Group.POOL,
        get=lambda p: p.difficulty,
    ),
    Metric(
        scope=RIG,
        name="mining_rig_worker_expected",
        help="Whether the rig mines under the worker name that it should; absent where none is expected.",
        group=Group.POOL,
        get=lambda r: r.snapshot.worker_expected,
    ),
    Metric(
        scope=POOL_DETAILS,
        name="mining_rig_pool_info",
        help="Each configured pool of the rig.",
        kind=Kind.INFO,
        group=Group.POOL,
        get=_one,
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
        help="What the rig's realised hashrate earns at today's hashprice, after fees and rejected shares.",
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
        name="mining_rig_potential_power_watts",
        help="Power that the rig would draw if it ran as it last ran well, where the tariff is billed.",
        unit="watts",
        get=lambda r: r.economics.potential_power,
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
        help="Power price at which the rig's cash margin is zero: what mining earns per kilowatt-hour billed.",
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
        scope=RIG_VERDICT,
        name="mining_rig_verdict",
        help="1 for the verdict in force.",
        get=_one,
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
        scope=BLOCK_RIGS,
        name="mining_block_rigs",
        help="Rigs of the block, by verdict; absent while none has a verdict.",
        get=lambda counted: counted[0].verdicts.get(counted[1], 0),
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
        name="mining_block_convertible",
        help="Whether the block could be converted to AI hosting, as configured.",
        get=lambda b: b.convertible,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_power_freed_watts",
        help="Power that converting the block would free: what its feeder carries, else what its rigs would draw.",
        unit="watts",
        get=lambda b: b.decision.power_freed,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_margin_lost_usd_per_day",
        help="Mining margin that converting the block would cost, by the margin that its reassign score is made of.",
        unit="usd_per_day",
        get=lambda b: b.decision.margin_lost,
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
        name="mining_block_levelised_margin_usd_per_kilowatt_year",
        help="Mining margin over the rigs' life, levelised over the AI term: beside the reassign score, not in it.",
        unit="usd_per_kilowatt_year",
        stability=Stability.EXPERIMENTAL,
        get=lambda b: b.economics.mining_value,
    ),
    Metric(
        scope=BLOCK_VERDICT,
        name="mining_block_verdict",
        help="1 for the verdict in force.",
        get=_one,
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
        get=lambda named: named[1].price,
    ),
    Metric(
        scope=TARIFF,
        name="mining_power_price_next_usd_per_kilowatt_hour",
        help="Power price of the next slot, once it is known.",
        unit="usd_per_kilowatt_hour",
        get=lambda named: named[1].next_price,
    ),
    Metric(
        scope=SCENARIO,
        name="mining_ai_value_usd_per_kilowatt_hour",
        help="What AI hosting would earn per kilowatt-hour, by scenario; absent without an ai section.",
        unit="usd_per_kilowatt_hour",
        get=lambda named: named[1],
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
        scope=GPU_DETAILS,
        name="mining_gpu_info",
        help="Which GPU it is.",
        kind=Kind.INFO,
        get=_one,
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
        scope=GPU_ERROR,
        name="mining_gpu_xid_error_info",
        help="Code of the last XID error that the driver reported.",
        kind=Kind.INFO,
        get=_one,
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
        name="mining_gpu_billed_power_watts",
        help="Power of the GPU with its share of the host where it is billed: its margin per kWh is over this.",
        unit="watts",
        get=lambda g: g.economics.billed_power,
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
        scope=STATUS,
        name="mining_rigs",
        help=(
            "Rigs by status, summing to the inventory: mining (hashes), expected_off (does not hash and should not), "
            "stopped (answers, should hash, does not), down (should hash, no fresh reading), unknown (not polled yet)."
        ),
        get=lambda counted: counted[1],
    ),
    Metric(
        scope=SITE,
        name="mining_evaluation_timestamp_seconds",
        help="When the published evaluation was taken. A scrape serves that publication and never touches a rig.",
        unit="seconds",
        get=lambda v: v.snapshot.taken_at,
    ),
    Metric(
        scope=SHARD,
        name="mining_exporter_shard_info",
        help="Which part of the site this exporter serves, counted from 0.",
        kind=Kind.INFO,
        get=_one,
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
