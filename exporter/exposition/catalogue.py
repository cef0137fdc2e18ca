"""The catalogue: one row per metric of the site. Renderer, documentation and tests use it.

A getter returns None for an unknown value, and the series is then absent. The exporter's own metrics are in
:mod:`exporter.telemetry`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain, repeat
from typing import Any, Final, Generic, TypeAlias, TypeVar

from exporter.decision.setpoints import Setpoint
from exporter.decision.values import Verdict
from exporter.economics.gpu_market import scenarios
from exporter.economics.points import Trust
from exporter.economics.reconciliation import WorkBalance
from exporter.economics.values import Books, RigEconomics
from exporter.exposition.columns import column
from exporter.exposition.views import SiteView, is_mining
from exporter.model.fleet import Rig
from exporter.model.obligations import first_ahead
from exporter.model.readings import RigIdentity, RigReading
from exporter.model.snapshot import RigSnapshot
from exporter.model.units import joules_per_terahash

S = TypeVar("S")
P = TypeVar("P")

Columns: TypeAlias = Sequence[Sequence[object]]
"""The values of each label of a scope, in the order of the subjects, written as ``str`` does."""


class Kind(StrEnum):
    """Type of a metric. ``info`` is a gauge that is always 1."""

    GAUGE = "gauge"
    COUNTER = "counter"
    INFO = "info"


class Stability(StrEnum):
    """Whether the name and meaning of a metric may still change."""

    STABLE = "stable"
    EXPERIMENTAL = "experimental"


class Group(StrEnum):
    """Groups of series that can be switched off in the settings."""

    BOARD = "board"
    FAN = "fan"
    POOL = "pool"
    FAULT = "fault"
    TEMPERATURE = "temperature"
    POWER_SUPPLY = "power_supply"
    CHIP = "chip"
    POINT = "point"


@dataclass(frozen=True, slots=True)
class Scope(Generic[S]):
    """What a metric describes: its subjects in a view, and the labels that identify them.

    ``subjects`` also returns keys, of which ``columns`` makes the labels: equal keys make equal labels.
    """

    labels: tuple[str, ...]
    subjects: Callable[[SiteView], tuple[Sequence[Any], Sequence[S]]]
    columns: Callable[[Sequence[Any]], Columns]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric(Generic[S]):
    """One metric: ``get`` returns the value of one subject of ``scope``, or None if it is unknown."""

    scope: Scope[S]
    name: str
    help: str
    get: Callable[[S], float | None]
    unit: str = ""
    kind: Kind = Kind.GAUGE
    stability: Stability = Stability.STABLE
    group: Group | None = None


def _scope(subjects: Callable[[SiteView], Sequence[S]], **labels: Callable[[S], object]) -> Scope[S]:
    """Make a scope with labels that are read from its subjects."""
    read = [*map(column, labels.values())]

    def keyed(view: SiteView) -> tuple[Columns, Sequence[S]]:
        found = subjects(view)
        return [values(found) for values in read], found

    return Scope(tuple(labels), keyed, tuple)


def _lasting(subjects: Callable[[SiteView], Sequence[S]], **labels: Callable[[S], object]) -> Scope[S]:
    """Make a scope of subjects that few polls replace, such as identities. They are their own keys."""

    def keyed(view: SiteView) -> tuple[Sequence[S], Sequence[S]]:
        found = subjects(view)
        return found, found

    read = [*map(column, labels.values())]

    def columns(found: Sequence[S]) -> Columns:
        return [values(found) for values in read]

    return Scope(tuple(labels), keyed, columns)


def _parts(parts: Callable[[RigReading], Sequence[P]], **labels: Callable[[P], object]) -> Scope[P]:
    """Make a scope of parts of rigs, labelled with the name of their rig and the given labels."""
    of_rigs, read = column(parts), [*map(column, labels.values())]

    def keyed(view: SiteView) -> tuple[Sequence[Any], Sequence[P]]:
        of_rig = of_rigs(view.fresh_readings)
        found = list(chain.from_iterable(of_rig))
        return [view.fresh_names, list(map(len, of_rig)), *(values(found) for values in read)], found

    def columns(keys: Sequence[Any]) -> Columns:
        names, counts, *values = keys
        return [list(chain.from_iterable(map(repeat, names, counts))), *values]

    return Scope(("rig", *labels), keyed, columns)


def _fresh(view: SiteView) -> Iterable[tuple[str, RigReading]]:
    """Return the name and the reading of each rig with a fresh reading."""
    return zip(view.fresh_names, view.fresh_readings, strict=True)


def _board_serials(view: SiteView) -> tuple[Sequence[tuple[Rig, RigIdentity]], Sequence[tuple[int, str]]]:
    return view.identities, [board for _, identity in view.identities for board in identity.board_serials]


def _labels_of_board_serials(known: Sequence[tuple[Rig, RigIdentity]]) -> Columns:
    rows = [(rig.name, *board) for rig, identity in known for board in identity.board_serials]
    return list(zip(*rows, strict=True)) or [(), (), ()]


def _setpoints(view: SiteView) -> list[tuple[str, Setpoint]]:
    rigs = zip(view.snapshot.rigs, view.setpoints.rigs, strict=False)
    return [(rig.rig.name, setpoint) for rig, setpoint in rigs if setpoint is not None]


def _one(_subject: object) -> float:
    """Return 1, the value of an info metric."""
    return 1


def _hosted(view: SiteView) -> list[tuple[RigSnapshot, RigEconomics, Books]]:
    """Return the rigs under a hosting contract."""
    return [
        (rig.snapshot, rig.economics, rig.economics.books)
        for rig in view.rigs
        if rig.economics.books is not None and rig.economics.books.contract
    ]


def _site_work(view: SiteView) -> list[tuple[str, WorkBalance]]:
    return [] if view.reconciliation.site is None else [("", view.reconciliation.site)]


RIG: Final = Scope(("rig",), lambda view: ([view.names], view.rigs), tuple)
PRICED_RIG: Final = Scope(("rig",), lambda view: ([view.names], view.economics.rigs), tuple)
FRESH_RIG: Final = Scope(("rig",), lambda view: ([view.fresh_names], view.fresh_readings), tuple)
MEASURED_WORK: Final = _scope(lambda view: view.fresh_rigs, rig=lambda rig: rig.rig.name)
INVENTORY: Final = _lasting(
    lambda view: [rig.rig for rig in view.snapshot.rigs],
    rig=lambda rig: rig.name,
    block=lambda rig: rig.block,
    rack=lambda rig: rig.rack,
    position=lambda rig: rig.position,
    customer=lambda rig: rig.customer,
    tariff=lambda rig: rig.tariff,
)
EXPECTED_OFF: Final = _scope(
    lambda view: [(rig.rig.name, rig.off_because) for rig in view.snapshot.rigs if rig.off_because is not None],
    rig=lambda off: off[0],
    kind=lambda off: off[1],
)
IDENTITY: Final = _lasting(
    lambda view: view.identities,
    rig=lambda known: known[0].name,
    make=lambda known: known[1].make,
    model=lambda known: known[1].model,
    firmware=lambda known: known[1].firmware,
    firmware_version=lambda known: known[1].firmware_version,
    ip=lambda known: known[0].address,
    mac=lambda known: known[1].mac,
    serial=lambda known: known[1].serial,
)
HARDWARE: Final = _lasting(
    lambda view: view.identities,
    rig=lambda known: known[0].name,
    hostname=lambda known: known[1].hostname,
    algorithm=lambda known: RigSnapshot(rig=known[0], identity=known[1]).algorithm,
    api_version=lambda known: known[1].api_version,
    control_board=lambda known: known[1].control_board,
    power_supply_model=lambda known: known[1].power_supply_model,
    power_supply_serial=lambda known: known[1].power_supply_serial,
)
BOARD_SERIAL: Final = Scope(("rig", "board", "serial"), _board_serials, _labels_of_board_serials)
RIG_POWER_MODE: Final = _scope(
    lambda view: [known for known in _fresh(view) if known[1].power_mode],
    rig=lambda known: known[0],
    mode=lambda known: known[1].power_mode,
)
RIG_TUNER: Final = _scope(
    lambda view: [known for known in _fresh(view) if known[1].tuner is not None],
    rig=lambda known: known[0],
    state=lambda known: known[1].tuner,
)
RIG_POWER_SOURCE: Final = _scope(
    lambda view: [rig for rig in view.rigs if rig.economics.power_source is not None],
    rig=lambda rig: rig.snapshot.rig.name,
    source=lambda rig: rig.economics.power_source,
)
RIG_VERDICT: Final = _scope(
    lambda view: [rig for rig in view.rigs if rig.decision.verdict is not None],
    rig=lambda rig: rig.snapshot.rig.name,
    verdict=lambda rig: rig.decision.verdict,
)
RIG_CUSTOMER: Final = _scope(
    lambda view: [rig for rig in view.rigs if rig.economics.books is not None and rig.snapshot.rig.customer],
    rig=lambda rig: rig.snapshot.rig.name,
    customer=lambda rig: rig.snapshot.rig.customer,
)
RIG_HOSTED: Final = _scope(_hosted, rig=lambda hosted: hosted[0].rig.name)
RIG_HOSTED_CUSTOMER: Final = _scope(
    _hosted,
    rig=lambda hosted: hosted[0].rig.name,
    customer=lambda hosted: hosted[0].rig.customer,
)
RIG_CONTRACT: Final = _scope(
    _hosted,
    rig=lambda hosted: hosted[0].rig.name,
    customer=lambda hosted: hosted[0].rig.customer,
    contract=lambda hosted: hosted[2].contract,
)
CUSTOMER: Final = _scope(lambda view: view.economics.customers, customer=lambda customer: customer.name)
SENSOR: Final = _parts(lambda reading: reading.temperatures, sensor=lambda sensor: sensor[0])
FAN: Final = _parts(lambda reading: reading.fans, fan=lambda fan: fan.index)
BOARD: Final = _parts(lambda reading: reading.boards, board=lambda board: board.index)
CHIP: Final = _parts(
    lambda reading: [(board.index, chip) for board in reading.boards for chip in board.failed_chips],
    board=lambda chip: chip[0],
    chip=lambda chip: chip[1],
)
POWER_SUPPLY: Final = _scope(
    lambda view: [(name, reading.power_supply) for name, reading in _fresh(view) if reading.power_supply is not None],
    rig=lambda known: known[0],
)
POOL: Final = _parts(lambda reading: reading.pools, pool=lambda pool: pool.index)
POOL_DETAILS: Final = _parts(
    lambda reading: reading.pools,
    pool=lambda pool: pool.index,
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
        (rig.rig.name, *known)
        for rig, reading in zip(view.fresh_rigs, view.fresh_readings, strict=True)
        if reading.faults
        for known in zip(reading.faults, rig.faults_since, strict=False)
    ],
    rig=lambda known: known[0],
    code=lambda known: known[1].code,
    severity=lambda known: known[1].severity,
    component=lambda known: known[1].component,
)
FAULT_DETAILS: Final = _parts(
    lambda reading: [fault for fault in reading.faults if fault.vendor_code] if reading.faults else (),
    code=lambda fault: fault.code,
    component=lambda fault: fault.component,
    vendor_code=lambda fault: fault.vendor_code,
)
RIG_POINT: Final = _scope(
    lambda view: [(name, point) for name, setpoint in _setpoints(view) if (point := setpoint.in_force) is not None],
    rig=lambda known: known[0],
    point=lambda known: known[1].name,
    trust=lambda known: known[1].trust,
)
RIG_BEST_POINT: Final = _scope(
    _setpoints,
    rig=lambda known: known[0],
    point=lambda known: known[1].name,
    trust=lambda known: "" if known[1].best is None else str(known[1].best.trust),
)
RIG_SETPOINT: Final = _scope(_setpoints, rig=lambda known: known[0])
RIG_CURVE: Final = _scope(
    lambda view: [(rig.rig.name, curve) for rig, curve in zip(view.snapshot.rigs, view.setpoints.curves, strict=False)],
    rig=lambda known: known[0],
)
MEASURED_POINT: Final = _scope(
    lambda view: [
        (rig.rig.name, point)
        for rig, curve in zip(view.snapshot.rigs, view.setpoints.curves, strict=False)
        for point in curve.candidates
        if point.trust is Trust.MEASURED
    ],
    rig=lambda known: known[0],
    point=lambda known: known[1].name,
)
MODEL_CURVE: Final = _scope(
    lambda view: view.model_curves,
    model=lambda curve: curve.product.model,
    firmware=lambda curve: curve.product.firmware,
)
MODEL_POINT: Final = _scope(
    lambda view: [(curve.product, point) for curve in view.model_curves for point in curve.points],
    model=lambda known: known[0].model,
    firmware=lambda known: known[0].firmware,
    point=lambda known: known[1].name,
)
BLOCK_SETPOINTS: Final = _scope(lambda view: view.setpoints.blocks, block=lambda block: block.name)
BLOCK: Final = _scope(lambda view: view.blocks, block=lambda block: block.economics.name)
BLOCK_HOSTED: Final = _scope(
    lambda view: [
        (each.name, each.deciding) for block in view.blocks if (each := block.economics).deciding is not None
    ],
    block=lambda deciding: deciding[0],
)
BLOCK_RIGS: Final = _scope(
    lambda view: [(block, verdict) for block in view.blocks if block.verdicts for verdict in Verdict],
    block=lambda counted: counted[0].economics.name,
    verdict=lambda counted: counted[1],
)
BLOCK_VERDICT: Final = _scope(
    lambda view: [block for block in view.blocks if block.decision.verdict is not None],
    block=lambda block: block.economics.name,
    verdict=lambda block: block.decision.verdict,
)
BLOCK_WAITING: Final = _scope(
    lambda view: [
        (block.economics.name, months, value)
        for block in view.blocks
        if block.decision.outlook is not None
        for months, value in block.decision.outlook.waiting.items()
    ],
    block=lambda waiting: waiting[0],
    months=lambda waiting: waiting[1],
)
BLOCK_LINE: Final = _scope(
    lambda view: [
        (block.economics.name, line, value)
        for block in view.blocks
        for line, value in block.decision.margin_lines.items()
    ],
    block=lambda line: line[0],
    line=lambda line: line[1],
)
PLAN: Final = _scope(lambda view: [] if view.plan is None else [view.plan])
PLAN_BLOCK: Final = _scope(
    lambda view: [] if view.plan is None else [(view.plan.timetable, block) for block in view.plan.timetable.blocks],
    block=lambda planned: planned[1],
)
PLAN_POINT: Final = _scope(
    lambda view: (
        []
        if view.plan is None
        else [(block, point) for block in view.plan.timetable.blocks for point in view.plan.timetable.points(block)]
    ),
    block=lambda planned: planned[0],
    profile=lambda planned: planned[1],
)
PLAN_HOUR: Final = _scope(
    lambda view: [] if view.plan is None else list(view.plan.timetable.site_watts.items()),
    offset_hours=lambda planned: planned[0],
)
PLAN_MONEY: Final = _scope(
    lambda view: (
        []
        if view.plan is None
        else [
            (day, policy, usd)
            for day, money in (("today", view.plan.worth.today), ("yesterday", view.plan.worth.yesterday))
            if money is not None
            for policy, usd in money._asdict().items()
        ]
    ),
    day=lambda earned: earned[0],
    policy=lambda earned: earned[1],
)
RIG_WORK: Final = _scope(lambda view: list(view.reconciliation.rigs.items()), rig=lambda known: known[0])
BLOCK_WORK: Final = _scope(lambda view: list(view.reconciliation.blocks.items()), block=lambda known: known[0])
SITE_WORK: Final = _scope(_site_work)
WORKER: Final = _scope(lambda view: list(view.reconciliation.workers.items()), rig=lambda known: known[0])
ACCOUNT: Final = _scope(lambda view: list(view.reconciliation.pools.items()), account=lambda known: known[0])
PAYOUT: Final = _scope(
    lambda view: [(name, pool.payout) for name, pool in view.reconciliation.pools.items() if pool.payout is not None],
    account=lambda known: known[0],
)
OBLIGATION_SOURCE: Final = _scope(
    lambda view: list(view.snapshot.obligations.known.items()), source=lambda known: known[0]
)
OBLIGATION: Final = _scope(
    lambda view: view.obligations,
    source=lambda status: status.source,
    event=lambda status: status.event,
    kind=lambda status: status.kind,
)
OBLIGATION_DETAILS: Final = _scope(
    lambda view: view.obligations,
    source=lambda status: status.source,
    event=lambda status: status.event,
    kind=lambda status: status.kind,
    program=lambda status: status.program,
    reason=lambda status: status.reason,
    blocks=lambda status: ",".join(status.blocks),
)
OBLIGATION_AHEAD: Final = _scope(
    lambda view: first_ahead(view.snapshot.obligations.listed, view.snapshot.taken_at),
    source=lambda ahead: ahead.source,
    kind=lambda ahead: ahead.kind,
)
PEAK_PROGRAM: Final = _scope(lambda view: view.peaks, program=lambda peaks: peaks.name)
PAST_PEAK: Final = _scope(
    lambda view: [(peaks.name, past) for peaks in view.peaks for past in peaks.past],
    program=lambda known: known[0],
    rank=lambda known: known[1].rank,
)
INTERVALS: Final = _scope(
    lambda view: list(view.compliance.counts.items()),
    source=lambda counted: counted[0][0],
    kind=lambda counted: counted[0][1],
    outcome=lambda counted: counted[0][2],
)
NETWORK: Final = _scope(lambda view: [view.snapshot.network.value] if view.snapshot.network else [])
MARKET: Final = _scope(lambda view: [view.economics.market])
BITCOIN: Final = _scope(lambda view: [view.snapshot.bitcoin_price.value] if view.snapshot.bitcoin_price else [])
TARIFF: Final = _scope(lambda view: list(view.snapshot.tariffs.items()), tariff=lambda named: named[0])
SCENARIO: Final = _scope(lambda view: view.economics.market.ai_value_per_kwh, scenario=lambda named: named[0])
GPU_PRICE: Final = _scope(
    lambda view: [
        (feed, price, *figure)
        for feed, prices in view.snapshot.ai_prices.items()
        for price in prices
        for figure in scenarios(price)
    ],
    feed=lambda quoted: quoted[0],
    model=lambda quoted: quoted[1].model,
    commitment=lambda quoted: quoted[1].commitment,
    scenario=lambda quoted: quoted[2],
)
GPU_OFFERS: Final = _scope(
    lambda view: [(feed, price) for feed, prices in view.snapshot.ai_prices.items() for price in prices],
    feed=lambda quoted: quoted[0],
    model=lambda quoted: quoted[1].model,
    commitment=lambda quoted: quoted[1].commitment,
)
PRICING_FEED: Final = _scope(
    lambda view: [feed] if (feed := view.economics.market.ai_pricing) is not None else [],
    feed=lambda feed: feed.feed,
    model=lambda feed: feed.model,
    commitment=lambda feed: feed.commitment,
)
RENTING: Final = _scope(
    lambda view: view.economics.renting,
    feed=lambda renting: renting.feed,
    model=lambda renting: renting.model,
    commitment=lambda renting: renting.commitment,
    scenario=lambda renting: renting.scenario,
)
LEASE: Final = _scope(
    lambda view: view.economics.leases,
    lease=lambda part: part.lease,
    tenant=lambda part: part.tenant,
    commitment=lambda part: part.commitment,
)
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
    code=lambda gpu: gpu.xid_error,
)
SITE: Final = _scope(lambda view: [view])
CHANGE: Final = _scope(lambda view: [] if view.change is None else [view.change])
CAUSE: Final = _scope(
    lambda view: [] if view.change is None else list(view.change.causes.items()), cause=lambda part: part[0]
)
SETTLEMENT: Final = _scope(lambda view: [view.settlement])
SHARD: Final = _scope(lambda view: [view.shard], shard=lambda shard: shard.number, total=lambda shard: shard.total)
STATUS: Final = _scope(lambda view: list(view.statuses.items()), status=lambda counted: counted[0])

_INVENTORY_AND_STATE: Final = (
    Metric(
        scope=INVENTORY,
        name="mining_rig_inventory_info",
        help=(
            "Always 1 for each rig of the inventory; the labels are its inventory entry. Present whether or not the "
            "rig responds."
        ),
        kind=Kind.INFO,
        get=_one,
    ),
    Metric(
        scope=IDENTITY,
        name="mining_rig_info",
        help="Always 1 for each identified rig; the labels are its identity. Absent until the rig was identified.",
        kind=Kind.INFO,
        get=_one,
    ),
    Metric(
        scope=HARDWARE,
        name="mining_rig_hardware_info",
        help=(
            "Always 1 for each identified rig; the labels describe its hardware. A label is empty if the firmware "
            "does not report it."
        ),
        kind=Kind.INFO,
        get=_one,
    ),
    Metric(
        scope=RIG,
        name="mining_rig_up",
        help="1 if the last poll of the rig succeeded, 0 if it failed. Absent before the first poll.",
        get=lambda r: r.snapshot.up,
    ),
    Metric(
        scope=RIG,
        name="mining_rig_last_success_timestamp_seconds",
        help="Unix time of the last successful poll of the rig, in seconds. Absent before the first success.",
        unit="seconds",
        get=lambda r: r.snapshot.last_success,
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_mining",
        help="1 if the rig is hashing, 0 if not. Absent without a fresh reading.",
        get=is_mining,
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_suspended",
        help="1 if the rig was stopped by command and is asleep or paused, 0 if not. Absent if not reported.",
        get=lambda reading: reading.suspended,
    ),
    Metric(
        scope=RIG_POWER_MODE,
        name="mining_rig_power_mode",
        help="1 for the active power mode, profile or preset, named as in the firmware. Absent if not reported.",
        get=_one,
    ),
    Metric(
        scope=RIG_TUNER,
        name="mining_rig_tuner_state",
        help="1 for the state of the firmware's tuner: off, tuning, tuned or failed. Absent if not reported.",
        get=_one,
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_fault_light",
        help="1 if the locate light of the rig is on, 0 if not. Absent if not reported.",
        get=lambda reading: reading.fault_light,
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_login_refused",
        help=(
            "1 if the rig's web interface rejects the login, 0 if it accepts it. While it is 1, values that only the "
            "web interface provides are absent. Absent for firmware that is read without a login."
        ),
        get=lambda reading: reading.login_refused,
    ),
    Metric(
        scope=RIG,
        name="mining_rig_expected_mining",
        help=(
            "1 if the rig should be hashing now according to inventory, schedules, expected_off sources and "
            "obligations, 0 if not. Absent if it is not known what the site owes."
        ),
        get=lambda r: r.snapshot.expected_mining,
    ),
    Metric(
        scope=EXPECTED_OFF,
        name="mining_rig_expected_off_info",
        help=(
            "Always 1 for each rig that should be off; the label is why: maintenance, schedule, call, cap, peak or "
            "award. Of several reasons the first in this order."
        ),
        kind=Kind.INFO,
        get=_one,
    ),
)

_HASHRATE_AND_POWER: Final = (
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_hashrate_hashes_per_second",
        help=(
            "Realised hashrate in H/s, averaged over mining_rig_hashrate_window_seconds. Absent without a fresh "
            "reading."
        ),
        unit="hashes_per_second",
        get=lambda reading: reading.hashrate,
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_hashrate_window_seconds",
        help="Averaging window of the realised hashrate, in seconds. Absent if the firmware does not declare it.",
        unit="seconds",
        get=lambda reading: reading.hashrate_window,
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_average_hashrate_hashes_per_second",
        help="Average hashrate since the miner process started, in H/s. Absent if not reported.",
        unit="hashes_per_second",
        get=lambda reading: reading.average_hashrate,
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_expected_hashrate_hashes_per_second",
        help="Hashrate that the firmware expects in the active power mode, in H/s. Absent if not reported.",
        unit="hashes_per_second",
        get=lambda reading: reading.expected_hashrate,
    ),
    Metric(
        scope=RIG,
        name="mining_rig_rated_hashrate_hashes_per_second",
        help=(
            "Nameplate hashrate in H/s: from the inventory, else from the table of models, else from the firmware. "
            "Absent if none of them has it."
        ),
        unit="hashes_per_second",
        get=lambda r: r.snapshot.rig.rated_hashrate,
    ),
    Metric(
        scope=MEASURED_WORK,
        name="mining_rig_work_hashrate_hashes_per_second",
        help=(
            "Hashrate computed from the difficulty of accepted shares, in H/s. Absent if not reported or not "
            "measured for long enough."
        ),
        unit="hashes_per_second",
        get=lambda rig: rig.work_hashrate,
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_firmware_fee_ratio",
        help="Share of hashrate that the firmware takes as a developer fee, from 0 to 1. Absent if not reported.",
        unit="ratio",
        get=lambda reading: reading.firmware_fee,
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_accepted_difficulty_total",
        help="Sum of the difficulty of accepted shares since the miner process started. Absent if not reported.",
        kind=Kind.COUNTER,
        get=lambda reading: reading.accepted_difficulty,
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_rejected_difficulty_total",
        help="Sum of the difficulty of rejected shares since the miner process started. Absent if not reported.",
        kind=Kind.COUNTER,
        get=lambda reading: reading.rejected_difficulty,
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_discarded_work_total",
        help="Work items discarded because of a new block since the miner process started. Absent if not reported.",
        kind=Kind.COUNTER,
        get=lambda reading: reading.discarded_work,
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_best_share_difficulty",
        help="Difficulty of the best share since the miner process started. Absent if not reported.",
        get=lambda reading: reading.best_share,
    ),
    Metric(
        scope=PRICED_RIG,
        name="mining_rig_power_watts",
        help=(
            "Power drawn at the rig in watts, from the best available source (see mining_rig_power_source). Absent "
            "if no source has it."
        ),
        unit="watts",
        get=lambda rig: rig.power,
    ),
    Metric(
        scope=RIG,
        name="mining_rig_rated_power_watts",
        help="Nameplate power in watts: from the inventory, else from the table of models. Absent if neither has it.",
        unit="watts",
        get=lambda r: r.snapshot.rig.rated_power,
    ),
    Metric(
        scope=RIG,
        name="mining_rig_rating_deviation_ratio",
        help=(
            "Rated hashrate or power in the inventory divided by that of the model's nameplate, the one that differs "
            "more. Beyond a factor of 3 the nameplate is used instead. Absent if the inventory has no rating or "
            "accept_implausible, or if the nameplate is not known."
        ),
        unit="ratio",
        get=lambda r: r.snapshot.rating_ratio,
    ),
    Metric(
        scope=RIG_POWER_SOURCE,
        name="mining_rig_power_source",
        help=(
            "1 for the source of mining_rig_power_watts: metered, reported or nameplate. Absent if the power is "
            "unknown."
        ),
        get=_one,
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_power_limit_watts",
        help="Power limit set in the rig, in watts. Absent if not reported.",
        unit="watts",
        get=lambda reading: reading.power_limit,
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_power_target_watts",
        help="Power target of the rig's tuner, in watts. Absent if not reported.",
        unit="watts",
        get=lambda reading: reading.power_target,
    ),
    Metric(
        scope=RIG,
        name="mining_rig_energy_joules_total",
        help=(
            "Energy used since the rig was first seen, in joules, integrated from its power. Absent while the power "
            "is unknown."
        ),
        unit="joules",
        kind=Kind.COUNTER,
        get=lambda r: None if r.economics.power is None else r.snapshot.energy,
    ),
    Metric(
        scope=PRICED_RIG,
        name="mining_rig_efficiency_joules_per_terahash",
        help="Power divided by hashrate, in J/TH. Absent while the rig does not hash or its power is unknown.",
        unit="joules_per_terahash",
        get=lambda rig: rig.efficiency,
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_uptime_seconds",
        help="Time since the miner process started, in seconds. Absent if not reported.",
        unit="seconds",
        get=lambda reading: reading.uptime,
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_system_uptime_seconds",
        help="Time since the rig booted, in seconds. Absent if not reported.",
        unit="seconds",
        get=lambda reading: reading.system_uptime,
    ),
)

_HARDWARE: Final = (
    Metric(
        scope=SENSOR,
        name="mining_rig_temperature_celsius",
        help="Temperature at each sensor that belongs to no listed board, in degrees Celsius. Absent if not reported.",
        unit="celsius",
        group=Group.TEMPERATURE,
        get=lambda sensor: sensor[1],
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_thermal_margin_celsius",
        help="Temperature rise until the rig throttles or stops, in degrees Celsius. Absent if not reported.",
        unit="celsius",
        get=lambda reading: reading.thermal_margin,
    ),
    Metric(
        scope=FAN,
        name="mining_rig_fan_speed_rpm",
        help="Speed of each fan in revolutions per minute. Absent if not reported.",
        unit="rpm",
        group=Group.FAN,
        get=lambda f: f.rpm,
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_fans_expected",
        help="Number of fans that the rig should have. Absent if unknown.",
        group=Group.FAN,
        get=lambda reading: reading.fans_expected,
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_fan_duty_ratio",
        help="Fan speed set by the rig's controller, as a share of full speed from 0 to 1. Absent if not reported.",
        unit="ratio",
        group=Group.FAN,
        get=lambda reading: reading.fan_duty,
    ),
    Metric(
        scope=BOARD,
        name="mining_rig_board_hashrate_hashes_per_second",
        help="Hashrate of each hash board in H/s. Absent if not reported.",
        unit="hashes_per_second",
        group=Group.BOARD,
        get=lambda b: b.hashrate,
    ),
    Metric(
        scope=BOARD,
        name="mining_rig_board_expected_hashrate_hashes_per_second",
        help=(
            "Hashrate of each hash board that the firmware expects in the active power mode, in H/s. Absent if not "
            "reported."
        ),
        unit="hashes_per_second",
        group=Group.BOARD,
        get=lambda b: b.expected_hashrate,
    ),
    Metric(
        scope=BOARD,
        name="mining_rig_board_temperature_celsius",
        help=(
            "Temperature at the hottest circuit board sensor of each hash board, in degrees Celsius. Absent if not "
            "reported."
        ),
        unit="celsius",
        group=Group.BOARD,
        get=lambda b: b.temperature,
    ),
    Metric(
        scope=BOARD,
        name="mining_rig_board_min_temperature_celsius",
        help=(
            "Temperature at the coolest circuit board sensor of each hash board, in degrees Celsius. Absent if not "
            "reported."
        ),
        unit="celsius",
        group=Group.BOARD,
        get=lambda b: b.temperature_min,
    ),
    Metric(
        scope=BOARD,
        name="mining_rig_board_average_temperature_celsius",
        help=(
            "Mean temperature of the circuit board sensors of each hash board, in degrees Celsius. Absent if not "
            "reported."
        ),
        unit="celsius",
        group=Group.BOARD,
        get=lambda b: b.temperature_average,
    ),
    Metric(
        scope=BOARD,
        name="mining_rig_board_chip_temperature_celsius",
        help="Temperature of the hottest chip of each hash board, in degrees Celsius. Absent if not reported.",
        unit="celsius",
        group=Group.BOARD,
        get=lambda b: b.chip_temperature,
    ),
    Metric(
        scope=BOARD,
        name="mining_rig_board_min_chip_temperature_celsius",
        help="Temperature of the coolest chip of each hash board, in degrees Celsius. Absent if not reported.",
        unit="celsius",
        group=Group.BOARD,
        get=lambda b: b.chip_temperature_min,
    ),
    Metric(
        scope=BOARD,
        name="mining_rig_board_average_chip_temperature_celsius",
        help=(
            "Mean temperature of the chips that have a sensor on each hash board, in degrees Celsius. Absent if not "
            "reported."
        ),
        unit="celsius",
        group=Group.BOARD,
        get=lambda b: b.chip_temperature_average,
    ),
    Metric(
        scope=BOARD,
        name="mining_rig_board_chips",
        help="Number of chips detected on each hash board. Absent if not reported.",
        group=Group.BOARD,
        get=lambda b: b.chips,
    ),
    Metric(
        scope=BOARD,
        name="mining_rig_board_chips_expected",
        help="Number of chips that each hash board should have. Absent if unknown.",
        group=Group.BOARD,
        get=lambda b: b.chips_expected,
    ),
    Metric(
        scope=CHIP,
        name="mining_rig_chip_failed",
        help="1 for each chip that does not work, by its index on its board. Absent for working chips.",
        group=Group.CHIP,
        get=_one,
    ),
    Metric(
        scope=BOARD,
        name="mining_rig_board_frequency_hertz",
        help="Mean clock frequency of the chips of each hash board, in Hz. Absent if not reported.",
        unit="hertz",
        group=Group.BOARD,
        get=lambda b: b.frequency,
    ),
    Metric(
        scope=BOARD,
        name="mining_rig_board_voltage_volts",
        help="Voltage of each hash board in volts. Absent if not reported.",
        unit="volts",
        group=Group.BOARD,
        get=lambda b: b.voltage,
    ),
    Metric(
        scope=BOARD,
        name="mining_rig_board_power_watts",
        help="Power drawn by each hash board in watts. Absent if not reported.",
        unit="watts",
        group=Group.BOARD,
        get=lambda b: b.power,
    ),
    Metric(
        scope=BOARD,
        name="mining_rig_board_hardware_errors_total",
        help="Hardware errors of each hash board since the miner process started. Absent if not reported.",
        kind=Kind.COUNTER,
        group=Group.BOARD,
        get=lambda b: b.hardware_errors,
    ),
    Metric(
        scope=BOARD_SERIAL,
        name="mining_rig_board_info",
        help="Always 1 for each hash board with a known serial number, which is a label.",
        kind=Kind.INFO,
        group=Group.BOARD,
        get=_one,
    ),
    Metric(
        scope=POWER_SUPPLY,
        name="mining_rig_power_supply_input_voltage_volts",
        help="Input voltage of the power supply in volts. Absent if not reported.",
        unit="volts",
        group=Group.POWER_SUPPLY,
        get=lambda p: p[1].input_voltage,
    ),
    Metric(
        scope=POWER_SUPPLY,
        name="mining_rig_power_supply_input_current_amperes",
        help="Input current of the power supply in amperes. Absent if not reported.",
        unit="amperes",
        group=Group.POWER_SUPPLY,
        get=lambda p: p[1].input_current,
    ),
    Metric(
        scope=POWER_SUPPLY,
        name="mining_rig_power_supply_input_power_watts",
        help="Input power of the power supply in watts. Absent if not reported.",
        unit="watts",
        group=Group.POWER_SUPPLY,
        get=lambda p: p[1].input_power,
    ),
    Metric(
        scope=POWER_SUPPLY,
        name="mining_rig_power_supply_output_voltage_volts",
        help="Output voltage of the power supply in volts. Absent if not reported.",
        unit="volts",
        group=Group.POWER_SUPPLY,
        get=lambda p: p[1].output_voltage,
    ),
    Metric(
        scope=POWER_SUPPLY,
        name="mining_rig_power_supply_output_current_amperes",
        help="Output current of the power supply in amperes. Absent if not reported.",
        unit="amperes",
        group=Group.POWER_SUPPLY,
        get=lambda p: p[1].output_current,
    ),
    Metric(
        scope=POWER_SUPPLY,
        name="mining_rig_power_supply_output_power_watts",
        help="Output power of the power supply in watts. Absent if not reported.",
        unit="watts",
        group=Group.POWER_SUPPLY,
        get=lambda p: p[1].output_power,
    ),
    Metric(
        scope=POWER_SUPPLY,
        name="mining_rig_power_supply_fan_speed_rpm",
        help="Speed of the power supply's fan in revolutions per minute. Absent if not reported.",
        unit="rpm",
        group=Group.POWER_SUPPLY,
        get=lambda p: p[1].fan_rpm,
    ),
    Metric(
        scope=POWER_SUPPLY,
        name="mining_rig_power_supply_temperature_celsius",
        help="Temperature at the hottest sensor of the power supply, in degrees Celsius. Absent if not reported.",
        unit="celsius",
        group=Group.POWER_SUPPLY,
        get=lambda p: p[1].temperature,
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_last_share_timestamp_seconds",
        help="Unix time at which a pool last accepted a share of the rig, in seconds. Absent if not reported.",
        unit="seconds",
        group=Group.POOL,
        get=lambda reading: reading.last_share_at,
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_hardware_errors_total",
        help="Hardware errors of the rig since the miner process started. Absent if not reported.",
        kind=Kind.COUNTER,
        get=lambda reading: reading.hardware_errors,
    ),
    Metric(
        scope=FRESH_RIG,
        name="mining_rig_hardware_error_ratio",
        help="Share of hashes lost to hardware errors, from 0 to 1. Absent if not reported.",
        unit="ratio",
        get=lambda reading: reading.hardware_error_ratio,
    ),
    Metric(
        scope=FAULT,
        name="mining_rig_fault",
        help="1 for each fault that the rig reports; the code is the same for all vendors. Absent if there is none.",
        group=Group.FAULT,
        get=_one,
    ),
    Metric(
        scope=FAULT_SINCE,
        name="mining_rig_fault_since_timestamp_seconds",
        help=(
            "Unix time at which each fault began, in seconds: as reported by the rig, else when the exporter first "
            "saw it."
        ),
        unit="seconds",
        group=Group.FAULT,
        get=lambda known: known[2],
    ),
    Metric(
        scope=FAULT_DETAILS,
        name="mining_rig_fault_vendor_info",
        help="Always 1 for each fault with a vendor code, which is a label.",
        kind=Kind.INFO,
        group=Group.FAULT,
        get=_one,
    ),
)

_POOLS: Final = (
    Metric(
        scope=POOL,
        name="mining_rig_pool_up",
        help="1 if the rig can reach the configured pool, 0 if not. Absent if not reported.",
        group=Group.POOL,
        get=lambda p: p.up,
    ),
    Metric(
        scope=POOL,
        name="mining_rig_pool_active",
        help="1 if the rig currently mines to the configured pool, 0 if not. Absent if not reported.",
        group=Group.POOL,
        get=lambda p: p.active,
    ),
    Metric(
        scope=POOL,
        name="mining_rig_pool_difficulty",
        help="Share difficulty currently set by each pool. Absent if not reported.",
        group=Group.POOL,
        get=lambda p: p.difficulty,
    ),
    Metric(
        scope=RIG,
        name="mining_rig_worker_expected",
        help=(
            "1 if the rig mines under the worker name expected by the inventory, 0 if not. Absent if no worker name "
            "is expected or reported."
        ),
        group=Group.POOL,
        get=lambda r: r.snapshot.worker_expected,
    ),
    Metric(
        scope=POOL_DETAILS,
        name="mining_rig_pool_info",
        help="Always 1 for each pool configured in the rig; the labels are its address and worker.",
        kind=Kind.INFO,
        group=Group.POOL,
        get=_one,
    ),
    Metric(
        scope=POOL,
        name="mining_rig_pool_accepted_shares_total",
        help="Shares accepted by each pool since the miner process started. Absent if not reported.",
        kind=Kind.COUNTER,
        group=Group.POOL,
        get=lambda p: p.accepted,
    ),
    Metric(
        scope=POOL,
        name="mining_rig_pool_rejected_shares_total",
        help="Shares rejected by each pool since the miner process started. Absent if not reported.",
        kind=Kind.COUNTER,
        group=Group.POOL,
        get=lambda p: p.rejected,
    ),
    Metric(
        scope=POOL,
        name="mining_rig_pool_stale_shares_total",
        help="Shares that arrived too late at each pool since the miner process started. Absent if not reported.",
        kind=Kind.COUNTER,
        group=Group.POOL,
        get=lambda p: p.stale,
    ),
)


def _of_pools(
    scope: Scope[tuple[str, P]], name: str, text: str, unit: str, get: Callable[[P], float | None]
) -> Metric[tuple[str, P]]:
    """Make a metric that the pools provide. Its subjects are pairs of a name and what ``get`` reads."""
    return Metric(
        scope=scope,
        name=name,
        help=text,
        unit=unit,
        get=lambda known: get(known[1]),
        stability=Stability.EXPERIMENTAL,
    )


def _balance(kind: str, who: str, scope: Scope[tuple[str, WorkBalance]]) -> tuple[Metric[Any], ...]:
    """Make the metrics of the balance between pools and ``who``, the rigs of one ``kind`` of subject."""
    rows: tuple[tuple[str, str, str, Callable[[WorkBalance], float | None]], ...] = (
        (
            "reported_hashrate_hashes_per_second",
            (
                f"Mean hashrate that {who} reported over the reconciled window, less the firmware's fee. Absent before "
                "the first window, and without a worker at a configured pool."
            ),
            "hashes_per_second",
            lambda found: found.reported,
        ),
        (
            "accepted_hashrate_hashes_per_second",
            (
                f"Mean hashrate that the accepted shares of {who} prove over the reconciled window. Absent if the "
                "firmware does not count their difficulty."
            ),
            "hashes_per_second",
            lambda found: found.accepted,
        ),
        (
            "credited_hashrate_hashes_per_second",
            (
                f"Mean hashrate that the pools credited to {who} over the reconciled window. Absent before the first "
                "window."
            ),
            "hashes_per_second",
            lambda found: found.credited,
        ),
        (
            "error_ratio",
            (
                f"Relative standard error of the credited hashrate of {who}, by the number of shares. Absent if their "
                "difficulty is not known."
            ),
            "ratio",
            lambda found: found.error,
        ),
        (
            "deficit_ratio",
            (
                f"Share of the reported hashrate of {who} that the pools did not credit over the reconciled window; "
                "below 0 if they credited more. Absent before the first window."
            ),
            "ratio",
            lambda found: found.deficit,
        ),
        (
            "deficit_sigmas",
            (
                f"By how many standard errors the credited work of {who} falls short. Absent if the difficulty of the "
                "shares is not known."
            ),
            "",
            lambda found: found.sigmas,
        ),
        (
            "luck_ratio",
            (
                f"Hashrate that the accepted shares of {who} prove, relative to the reported one, less 1: chance, "
                "rejected shares and misreporting, but not the pool. Absent if accepted shares are not counted."
            ),
            "ratio",
            lambda found: found.luck,
        ),
        (
            "leak",
            (
                f"1 if {who} lost more than 2 %, and more than chance explains, in two windows in a row; 0 if not. "
                "Absent before there are two windows."
            ),
            "",
            lambda found: found.leak,
        ),
        (
            "leak_usd_per_day",
            (
                f"What the leak of {who} costs in US dollars per day at the current payout. Absent without a leak, "
                "difficulty or bitcoin price."
            ),
            "usd_per_day",
            lambda found: found.leak_per_day,
        ),
    )
    return tuple(_of_pools(scope, f"mining_{kind}_pool_{name}", text, unit, get) for name, text, unit, get in rows)


_RECONCILIATION: Final = (
    *_balance("rig", "the rig", RIG_WORK),
    *_balance("block", "the block's rigs", BLOCK_WORK),
    *_balance("site", "the site's rigs", SITE_WORK),
    _of_pools(
        WORKER,
        "mining_rig_pool_credited",
        "1 if a pool credits work to the rig's worker over the pool's window, 0 if the pools list no such worker or "
        "credit it nothing. Absent without a fresh worker list.",
        "",
        lambda worker: worker.credited,
    ),
    _of_pools(
        WORKER,
        "mining_rig_pool_last_share_timestamp_seconds",
        "Unix time at which a pool last received a share of the rig's worker, in seconds. Absent if the pool does not "
        "report it.",
        "seconds",
        lambda worker: worker.last_share_at,
    ),
    _of_pools(
        ACCOUNT,
        "mining_pool_workers",
        "Number of workers that the pool lists. Absent without a fresh worker list.",
        "",
        lambda pool: pool.workers,
    ),
    _of_pools(
        ACCOUNT,
        "mining_pool_workers_unmatched",
        "Number of workers with work that belong to no rig of this exporter. Absent without a fresh worker list.",
        "",
        lambda pool: pool.unmatched,
    ),
    _of_pools(
        ACCOUNT,
        "mining_pool_credited_hashrate_hashes_per_second",
        "Hashrate that the pool credits to all workers of the account. Absent without a fresh worker list, and while "
        "it gives no worker's hashrate.",
        "hashes_per_second",
        lambda pool: pool.hashrate,
    ),
    _of_pools(
        ACCOUNT,
        "mining_pool_implausible",
        "1 if the pool's last window was refused: it credits all rigs more than 1.5 times, or less than a hundredth "
        "of, what they reported. 0 if it was used. Absent before the first window.",
        "",
        lambda pool: pool.implausible,
    ),
    _of_pools(
        PAYOUT,
        "mining_pool_payout_day_timestamp_seconds",
        "Unix time at which the UTC day of the payout metrics began, in seconds. Absent before a paid day.",
        "seconds",
        lambda payout: payout.day,
    ),
    _of_pools(
        PAYOUT,
        "mining_pool_payout_expected_bitcoins",
        "Bitcoins that the credited work of the latest paid UTC day should have paid by the pool's scheme, after its "
        "fee. Absent if less than 80 % of the day was observed.",
        "bitcoins",
        lambda payout: payout.expected,
    ),
    _of_pools(
        PAYOUT,
        "mining_pool_payout_paid_bitcoins",
        "Bitcoins that the pool credited for the latest paid UTC day. Absent if the pool's API has no payments.",
        "bitcoins",
        lambda payout: payout.paid,
    ),
    _of_pools(
        PAYOUT,
        "mining_pool_payout_shortfall_ratio",
        "Share of the expected payout that was not paid; below 0 if more was paid. Absent for schemes whose income "
        "depends on blocks found.",
        "ratio",
        lambda payout: payout.shortfall,
    ),
    _of_pools(
        PAYOUT,
        "mining_pool_payout_luck_ratio",
        "Paid against expected payout, where income depends on the blocks that the pool finds: judge it over weeks. "
        "Absent for fpps and pps.",
        "ratio",
        lambda payout: payout.luck,
    ),
)

_RIG_ECONOMICS: Final = (
    Metric(
        scope=PRICED_RIG,
        name="mining_rig_revenue_usd_per_day",
        help=(
            "Revenue in USD per day from the realised hashrate at the current hashprice, after fees and rejected "
            "shares. Absent if an input is unknown."
        ),
        unit="usd_per_day",
        get=lambda rig: rig.revenue,
    ),
    Metric(
        scope=PRICED_RIG,
        name="mining_rig_power_cost_usd_per_day",
        help="Power cost in USD per day: billed power at the current power price. Absent if an input is unknown.",
        unit="usd_per_day",
        get=lambda rig: rig.power_cost,
    ),
    Metric(
        scope=PRICED_RIG,
        name="mining_rig_margin_usd_per_day",
        help="Cash margin in USD per day: revenue minus power cost. Absent if either is unknown.",
        unit="usd_per_day",
        get=lambda rig: rig.margin,
    ),
    Metric(
        scope=RIG_CUSTOMER,
        name="mining_rig_customer_margin_usd_per_day",
        help=(
            "Margin in USD per day of the customer who owns the rig: revenue by his pool fee and scheme, minus the "
            "charges of his hosting contract. Without a contract, the margin at the rig's tariff. Absent without "
            "`contracts`, or if an input is unknown."
        ),
        unit="usd_per_day",
        get=lambda r: None if r.economics.books is None else r.economics.books.customer_margin,
    ),
    Metric(
        scope=RIG_CONTRACT,
        name="mining_rig_contract_info",
        help=(
            "Always 1 for each rig under a hosting contract that is in force; the labels are its customer and the "
            "contract. Absent without `contracts`."
        ),
        kind=Kind.INFO,
        get=_one,
    ),
    Metric(
        scope=RIG_HOSTED_CUSTOMER,
        name="mining_rig_customer_revenue_usd_per_day",
        help=(
            "Revenue in USD per day of a rig under a hosting contract by its customer's pool fee and scheme, before "
            "the host's share. Absent without a contract, or if an input is unknown."
        ),
        unit="usd_per_day",
        get=lambda hosted: hosted[2].customer_revenue,
    ),
    Metric(
        scope=RIG_HOSTED,
        name="mining_rig_judged_margin_usd_per_day",
        help=(
            "Margin in USD per day that a rig under a hosting contract would have if it ran, in the book that decides "
            "whether it runs: the customer's, or the host's if the contract lets him stop it. Absent without a "
            "contract, or if an input is unknown."
        ),
        unit="usd_per_day",
        get=lambda hosted: hosted[1].opportunity_margin,
    ),
    Metric(
        scope=RIG_HOSTED,
        name="mining_rig_host_potential_margin_usd_per_day",
        help=(
            "Margin in USD per day that the host would have with a rig under a hosting contract if its customer did "
            "what pays him best, and if the host stopped it where he may and it pays. Absent without a contract, or if "
            "an input is unknown."
        ),
        unit="usd_per_day",
        get=lambda hosted: hosted[2].host_potential,
    ),
    Metric(
        scope=RIG_HOSTED,
        name="mining_rig_curtailment_income_usd_per_day",
        help=(
            "Income of the host in USD per day from the energy that a rig under a hosting contract could use and does "
            "not: at the resale tariff of the contract's host tariff, less what it saves. 0 if that energy cannot be "
            "sold. Absent without a contract, or if an input is unknown."
        ),
        unit="usd_per_day",
        get=lambda hosted: hosted[2].curtailment_income,
    ),
    Metric(
        scope=RIG_HOSTED,
        name="mining_rig_reported_power_watts",
        help=(
            "Power in watts that a rig under a hosting contract reports itself, beside mining_rig_power_watts. Absent "
            "without a contract, or if it is not reported."
        ),
        unit="watts",
        get=lambda hosted: None if hosted[0].reading is None else hosted[0].reading.value.power,
    ),
    Metric(
        scope=PRICED_RIG,
        name="mining_rig_host_margin_usd_per_day",
        help=(
            "Margin in USD per day of the host: the charges of the hosting contract minus his power cost. For the "
            "site's own rigs, their margin. Absent without `contracts`, if an input is unknown, or if a customer's rig "
            "has no contract."
        ),
        unit="usd_per_day",
        get=lambda rig: None if rig.books is None else rig.books.host_margin,
    ),
    Metric(
        scope=PRICED_RIG,
        name="mining_rig_potential_margin_usd_per_day",
        help=(
            "Cash margin in USD per day that the rig would have if it ran as it last ran well. Absent if an input is "
            "unknown."
        ),
        unit="usd_per_day",
        get=lambda rig: rig.potential_margin,
    ),
    Metric(
        scope=PRICED_RIG,
        name="mining_rig_potential_power_watts",
        help="Billed power in watts that the rig would draw if it ran as it last ran well. Absent if unknown.",
        unit="watts",
        get=lambda rig: rig.potential_power,
    ),
    Metric(
        scope=PRICED_RIG,
        name="mining_rig_margin_low_usd_per_day",
        help=(
            "Cash margin in USD per day if the true power is at the upper end of its source's error band. Absent if "
            "the margin is unknown."
        ),
        unit="usd_per_day",
        get=lambda rig: rig.margin_low,
    ),
    Metric(
        scope=PRICED_RIG,
        name="mining_rig_margin_high_usd_per_day",
        help=(
            "Cash margin in USD per day if the true power is at the lower end of its source's error band. Absent if "
            "the margin is unknown."
        ),
        unit="usd_per_day",
        get=lambda rig: rig.margin_high,
    ),
    Metric(
        scope=PRICED_RIG,
        name="mining_rig_allin_margin_usd_per_day",
        help=(
            "Margin in USD per day after fixed costs too: demand charge, hosting, operations and depreciation, minus "
            "credits. Absent if the margin is unknown or no fixed cost is configured."
        ),
        unit="usd_per_day",
        get=lambda rig: rig.allin_margin,
    ),
    Metric(
        scope=PRICED_RIG,
        name="mining_rig_forward_margin_usd_per_day",
        help=(
            "Cash margin in USD per day after the next retarget, with all other inputs unchanged. Absent if an input "
            "is unknown."
        ),
        unit="usd_per_day",
        get=lambda rig: rig.forward_margin,
    ),
    Metric(
        scope=PRICED_RIG,
        name="mining_rig_margin_usd_per_kilowatt_hour",
        help="Cash margin in USD per billed kWh, comparable with AI hosting. Absent if the margin is unknown.",
        unit="usd_per_kilowatt_hour",
        get=lambda rig: rig.margin_per_kwh,
    ),
    Metric(
        scope=PRICED_RIG,
        name="mining_rig_breakeven_power_price_usd_per_kilowatt_hour",
        help=(
            "Power price in USD per kWh at which the cash margin is zero, equal to the revenue per billed kWh. "
            "Absent if the rig does not hash or an input is unknown."
        ),
        unit="usd_per_kilowatt_hour",
        get=lambda rig: rig.breakeven_power_price,
    ),
    Metric(
        scope=PRICED_RIG,
        name="mining_rig_breakeven_hashprice_usd_per_petahash_day",
        help=(
            "Hashprice in USD per PH/s and day at which the cash margin is zero. Absent if the rig does not hash or "
            "an input is unknown."
        ),
        unit="usd_per_petahash_day",
        get=lambda rig: rig.breakeven_hashprice,
    ),
    Metric(
        scope=PRICED_RIG,
        name="mining_rig_breakeven_bitcoin_price_usd",
        help=(
            "Bitcoin price in USD at which the cash margin is zero. Absent if the rig does not hash or an input is "
            "unknown."
        ),
        unit="usd",
        get=lambda rig: rig.breakeven_bitcoin_price,
    ),
    Metric(
        scope=PRICED_RIG,
        name="mining_rig_cost_usd_per_bitcoin",
        help=(
            "Power cost of mining one bitcoin with this rig, in USD. Absent if the rig does not hash or an input is "
            "unknown."
        ),
        unit="usd_per_bitcoin",
        get=lambda rig: rig.cost_per_bitcoin,
    ),
    Metric(
        scope=PRICED_RIG,
        name="mining_rig_allin_breakeven_hashprice_usd_per_petahash_day",
        help=(
            "Hashprice in USD per PH/s and day at which the all-in margin is zero at running power: energy, monthly "
            "costs and depreciation. Absent without such costs, or if an input is unknown."
        ),
        unit="usd_per_petahash_day",
        get=lambda rig: rig.allin_breakeven_hashprice,
    ),
    Metric(
        scope=PRICED_RIG,
        name="mining_rig_allin_cost_usd_per_bitcoin",
        help=(
            "All-in cost of mining one bitcoin with this rig at running power, in USD: energy, monthly costs and "
            "depreciation. Absent without such costs, or if an input is unknown."
        ),
        unit="usd_per_bitcoin",
        get=lambda rig: rig.allin_cost_per_bitcoin,
    ),
    Metric(
        scope=RIG,
        name="mining_rig_reassign_score_usd_per_kilowatt_year",
        help="AI value minus mining margin, in USD per kW and year. Absent if either is unknown.",
        unit="usd_per_kilowatt_year",
        get=lambda r: r.decision.reassign_score,
    ),
    Metric(
        scope=RIG_VERDICT,
        name="mining_rig_verdict",
        help="1 for the current verdict: mine, curtail, reassign, repair or unknown. Absent before the first verdict.",
        get=_one,
    ),
    Metric(
        scope=RIG,
        name="mining_rig_verdict_since_timestamp_seconds",
        help="Unix time since which the verdict has been in force, in seconds. Absent before the first verdict.",
        unit="seconds",
        get=lambda r: r.decision.verdict_since,
    ),
)

_BLOCKS: Final = (
    Metric(
        scope=BLOCK_RIGS,
        name="mining_block_rigs",
        help="Number of rigs in the block, by verdict. Absent while no rig has a verdict.",
        get=lambda counted: counted[0].verdicts.get(counted[1], 0),
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_rigs_priced",
        help="Number of rigs in the block with a known margin. The block's revenue, cost and margin cover only these.",
        get=lambda b: b.economics.priced,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_capacity_watts",
        help="Configured capacity of the block's feeder in watts. Absent if not configured.",
        unit="watts",
        get=lambda b: b.economics.capacity,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_convertible",
        help="1 if the block can be converted to AI hosting, 0 if not, as configured.",
        get=lambda b: b.convertible,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_convertible_ratio",
        help="Share of the block's capacity that can be converted to AI hosting (0-1), as configured.",
        unit="ratio",
        get=lambda b: b.block.convertible_share if b.convertible else 0.0,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_unused_power_watts",
        help=(
            "Part of the block's capacity in watts that its rigs would not use if all of them ran, 0 or more. Absent "
            "without a configured capacity, or if no rig's power is known."
        ),
        unit="watts",
        get=lambda b: b.decision.unused_power,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_conversion_margin_usd_per_kilowatt_year",
        help=(
            "What mining would earn if the block is not converted, in USD per utility kW and year: each hour's best "
            "use of each rig's energy, less the costs that a conversion ends. The higher of the history's mean and the "
            "same hours after the next retarget. Absent if unknown."
        ),
        unit="usd_per_kilowatt_year",
        get=lambda b: b.decision.conversion_margin,
    ),
    Metric(
        scope=BLOCK_LINE,
        name="mining_block_conversion_margin_line_usd_per_kilowatt_year",
        help=(
            "What mining_block_conversion_margin_usd_per_kilowatt_year is made of; the sum over `line` is that margin. "
            "Revenue and power of rigs that always mine, the gain of stopping and of selling power, each cost that a "
            "conversion ends (a credit is positive), and the effect of the next retarget. Absent if unknown."
        ),
        unit="usd_per_kilowatt_year",
        get=lambda line: line[2],
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_verdict_evidence_ratio",
        help="Known hours of the block's history, as a share of those that a first reassign needs (0-1).",
        unit="ratio",
        get=lambda b: b.decision.evidence,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_verdict_evidence_seconds",
        help="Known time of the block's history, in seconds.",
        unit="seconds",
        get=lambda b: b.decision.watched,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_verdict_evidence_needed_seconds",
        help="Known time of the block's history that a first reassign needs, in seconds.",
        unit="seconds",
        get=lambda b: b.decision.needed,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_verdict_dwell_ratio",
        help=(
            "Time for which reassign has been called for without a break, as a share of the time that is required "
            "(0-1). Absent if the block cannot be reassigned."
        ),
        unit="ratio",
        get=lambda b: b.decision.dwell,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_coverage_ratio",
        help="Share of the block's kW whose rigs are observed and have a known margin (0-1).",
        unit="ratio",
        get=lambda b: b.decision.coverage,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_reassign_low_score_usd_per_kilowatt_year",
        help=(
            "Reassign score in AI's low scenario, in USD per utility kW and year. Absent without an AI value or a "
            "conversion margin."
        ),
        unit="usd_per_kilowatt_year",
        get=lambda b: b.decision.low_score,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_resale_income_usd_per_day",
        help=(
            "Income in USD per day from power sales: of the energy that the block's rigs could use and do not, at the "
            "resale tariff, less what it saves. 0 or more. Absent if unknown for every rig."
        ),
        unit="usd_per_day",
        get=lambda b: b.economics.sale_income,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_allin_cost_usd_per_day",
        help=(
            "All costs of the block's rigs at running power in USD per day: energy, monthly costs and depreciation. "
            "Absent without such costs, or if unknown for every rig."
        ),
        unit="usd_per_day",
        get=lambda b: b.economics.allin_cost,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_allin_breakeven_hashprice_usd_per_petahash_day",
        help=(
            "Hashprice in USD per PH/s and day at which the block's all-in margin is zero at running power. Absent "
            "without monthly costs and depreciation, or if unknown for every rig."
        ),
        unit="usd_per_petahash_day",
        get=lambda b: b.economics.allin_breakeven_hashprice,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_allin_cost_usd_per_bitcoin",
        help=(
            "All-in cost of mining one bitcoin with the block's rigs at running power, in USD. Absent without monthly "
            "costs and depreciation, or if an input is unknown."
        ),
        unit="usd_per_bitcoin",
        get=lambda b: b.economics.allin_cost_per_bitcoin,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_power_freed_watts",
        help=(
            "Power in watts that a conversion would free: the feeder's capacity, else the potential power of the "
            "rigs. Absent if both are unknown."
        ),
        unit="watts",
        get=lambda b: b.decision.power_freed,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_margin_lost_usd_per_day",
        help=(
            "Mining margin in USD per day that a conversion would forgo. The reassign score uses the same margin. "
            "Absent if unknown."
        ),
        unit="usd_per_day",
        get=lambda b: b.decision.margin_lost,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_power_watts",
        help="Power in watts of the block's rigs whose power is known. Absent if none is known.",
        unit="watts",
        get=lambda b: b.economics.power,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_billed_power_watts",
        help=(
            "Billed power in watts of the block's priced rigs; divide the margin by it to get USD per kWh. Absent if "
            "no rig is priced."
        ),
        unit="watts",
        get=lambda b: b.economics.billed_power,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_hashrate_hashes_per_second",
        help="Hashrate in H/s of the block's rigs with a fresh reading. Absent if there is none.",
        unit="hashes_per_second",
        get=lambda b: b.economics.hashrate,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_revenue_usd_per_day",
        help="Revenue in USD per day of the block's priced rigs. Absent if no rig is priced.",
        unit="usd_per_day",
        get=lambda b: b.economics.revenue,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_power_cost_usd_per_day",
        help="Power cost in USD per day of the block's priced rigs. Absent if no rig is priced.",
        unit="usd_per_day",
        get=lambda b: b.economics.power_cost,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_margin_usd_per_day",
        help="Cash margin in USD per day of the block's priced rigs. Absent if no rig is priced.",
        unit="usd_per_day",
        get=lambda b: b.economics.margin,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_host_margin_usd_per_day",
        help=(
            "Margin in USD per day of the host, of the block's rigs that have one; see "
            "mining_rig_host_margin_usd_per_day. Absent if no rig has."
        ),
        unit="usd_per_day",
        get=lambda b: b.economics.host_margin,
    ),
    Metric(
        scope=BLOCK_HOSTED,
        name="mining_block_deciding_margin_usd_per_day",
        help=(
            "Margin in USD per day of the block's rigs as they run, each in the book that decides whether it runs: of "
            "a rig under a hosting contract the customer's, or the host's if the contract lets him stop it; of the "
            "others the margin at their tariff. Monthly fees are not counted. Absent for blocks without a rig under a "
            "contract, or if unknown for every rig."
        ),
        unit="usd_per_day",
        get=lambda deciding: deciding[1].margin,
    ),
    Metric(
        scope=BLOCK_HOSTED,
        name="mining_block_deciding_power_cost_usd_per_day",
        help="Cost of energy in USD per day within mining_block_deciding_margin_usd_per_day. Absent with it.",
        unit="usd_per_day",
        get=lambda deciding: deciding[1].cost,
    ),
    Metric(
        scope=BLOCK_HOSTED,
        name="mining_block_deciding_forward_margin_usd_per_day",
        help=(
            "What mining_block_deciding_margin_usd_per_day would be after the next retarget, in USD per day. Absent "
            "for blocks without a rig under a hosting contract, or if unknown for every rig."
        ),
        unit="usd_per_day",
        get=lambda deciding: deciding[1].forward_margin,
    ),
    Metric(
        scope=BLOCK_HOSTED,
        name="mining_block_deciding_allin_margin_usd_per_day",
        help=(
            "What is left of mining_block_deciding_margin_usd_per_day after the contracts' monthly fees, the host's "
            "monthly costs in his book, and all configured costs of the other rigs, in USD per day. The price of a "
            "customer's rig is not counted. Absent for blocks without a rig under a hosting contract, or if unknown "
            "for every rig."
        ),
        unit="usd_per_day",
        get=lambda deciding: deciding[1].allin_margin,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_potential_margin_usd_per_day",
        help=(
            "Cash margin in USD per day that the block's rigs would have if they all ran. Absent if unknown for "
            "every rig."
        ),
        unit="usd_per_day",
        get=lambda b: b.economics.potential_margin,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_avoidable_loss_usd_per_day",
        help=(
            "USD per day saved by switching off the rigs with a negative margin, 0 or more. Rigs of which it is not "
            "known whether they draw power are left out; absent if that is so for every rig. Rigs on whose stop their "
            "customer decides are counted in mining_customer_avoidable_loss_usd_per_day instead."
        ),
        unit="usd_per_day",
        get=lambda b: b.economics.avoidable_loss,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_ai_value_usd_per_day",
        help="AI value in USD per day of the feeder's capacity. Absent without an AI value or a capacity.",
        unit="usd_per_day",
        get=lambda b: b.economics.ai_value,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_reassign_score_usd_per_kilowatt_year",
        help="AI value minus mining margin of the block, in USD per kW and year. Absent if either is unknown.",
        unit="usd_per_kilowatt_year",
        get=lambda b: b.decision.reassign_score,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_levelised_margin_usd_per_kilowatt_year",
        help=(
            "Mining margin over the life of the rigs, levelised over the AI term, in USD per kW and year. Not part "
            "of the reassign score. Absent without ai.difficulty_growth, or if an input is unknown."
        ),
        unit="usd_per_kilowatt_year",
        stability=Stability.EXPERIMENTAL,
        get=lambda b: b.economics.mining_value,
    ),
    Metric(
        scope=BLOCK_VERDICT,
        name="mining_block_verdict",
        help="1 for the current verdict: mine, curtail, reassign, repair or unknown. Absent before the first verdict.",
        get=_one,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_reassign_payback_years",
        help="Years until the conversion of the block pays for itself. Absent if unknown or if it never does.",
        unit="years",
        get=lambda b: b.decision.payback_years,
    ),
    Metric(
        scope=BLOCK,
        name="mining_block_conversion_probability_ratio",
        help=(
            "Probability that converting the block now is worth more than converting it at the best later start, 0 to "
            "1. Absent without `ai.outlook`, or if the outlook is unknown."
        ),
        unit="ratio",
        get=lambda b: None if b.decision.outlook is None else b.decision.outlook.probability,
    ),
    Metric(
        scope=BLOCK_WAITING,
        name="mining_block_value_of_waiting_usd_per_kilowatt",
        help=(
            "Mean value of converting the block after so many months, minus that of converting it now, in USD per "
            "utility kW. The last number of months is the end of the rigs' life. Absent without `ai.outlook`."
        ),
        unit="usd_per_kilowatt",
        get=lambda waiting: waiting[2],
    ),
)

_POINTS: Final = (
    Metric(
        scope=RIG_POINT,
        name="mining_rig_operating_point_info",
        help=(
            "Always 1 for the operating point in force of each rig that hashes, with the origin of its figures: "
            "measured, pooled or estimate. Absent without the section `points`, or if the point cannot be judged."
        ),
        kind=Kind.INFO,
        stability=Stability.EXPERIMENTAL,
        get=_one,
    ),
    Metric(
        scope=RIG_BEST_POINT,
        name="mining_rig_best_point_info",
        help=(
            "Always 1 for the operating point at which the rig should run now, or off. A change is advised only if it "
            "is worth its cost. Absent without the section `points`, or if no point can be judged."
        ),
        kind=Kind.INFO,
        stability=Stability.EXPERIMENTAL,
        get=_one,
    ),
    Metric(
        scope=RIG_SETPOINT,
        name="mining_rig_best_power_watts",
        help="Power of the rig's best operating point in watts, 0 if it is off. Absent if no point can be judged.",
        unit="watts",
        stability=Stability.EXPERIMENTAL,
        get=lambda known: known[1].best_power,
    ),
    Metric(
        scope=RIG_SETPOINT,
        name="mining_rig_best_margin_usd_per_day",
        help=(
            "Margin of the rig's best operating point at the marginal price in USD per day, 0 if it is off. Absent if "
            "no point can be judged."
        ),
        unit="usd_per_day",
        stability=Stability.EXPERIMENTAL,
        get=lambda known: known[1].best_margin,
    ),
    Metric(
        scope=RIG_SETPOINT,
        name="mining_rig_best_margin_low_usd_per_day",
        help="The same in USD per day if the point uses more energy, by the error of its figures. Absent likewise.",
        unit="usd_per_day",
        stability=Stability.EXPERIMENTAL,
        get=lambda known: known[1].best_margin_low,
    ),
    Metric(
        scope=RIG_SETPOINT,
        name="mining_rig_best_margin_high_usd_per_day",
        help="The same in USD per day if the point uses less energy, by the error of its figures. Absent likewise.",
        unit="usd_per_day",
        stability=Stability.EXPERIMENTAL,
        get=lambda known: known[1].best_margin_high,
    ),
    Metric(
        scope=RIG_SETPOINT,
        name="mining_rig_tuning_gain_usd_per_day",
        help=(
            "What the best operating point, or off, earns more than the one in force in USD per day, 0 or more. A gain "
            "that is not worth the change is 0. Absent without two trusted points."
        ),
        unit="usd_per_day",
        stability=Stability.EXPERIMENTAL,
        get=lambda known: known[1].gain,
    ),
    Metric(
        scope=RIG_SETPOINT,
        name="mining_rig_tuning_gain_low_usd_per_day",
        help="The same in USD per day if the figures of the points are off by their error. Absent likewise.",
        unit="usd_per_day",
        stability=Stability.EXPERIMENTAL,
        get=lambda known: known[1].gain_low,
    ),
    Metric(
        scope=RIG_CURVE,
        name="mining_rig_point_estimate_error_ratio",
        help=(
            "How far the power is off that the firmware lists for a point: 0.1 if the rig was measured to draw a tenth "
            "more. Absent until a listed point is measured."
        ),
        unit="ratio",
        stability=Stability.EXPERIMENTAL,
        get=lambda known: known[1].estimate_error,
    ),
    Metric(
        scope=RIG_CURVE,
        name="mining_rig_point_estimates_refuted",
        help=(
            "1 if the points that the rig's firmware lists are too far from what was measured to be used. Absent until "
            "a listed point is measured."
        ),
        stability=Stability.EXPERIMENTAL,
        get=lambda known: None if known[1].estimate_error is None else float(known[1].refuted),
    ),
    Metric(
        scope=MEASURED_POINT,
        name="mining_rig_point_hashrate_hashes_per_second",
        help="Median hashrate of the rig at an operating point that was measured on it, in hashes per second.",
        unit="hashes_per_second",
        stability=Stability.EXPERIMENTAL,
        group=Group.POINT,
        get=lambda known: known[1].hashrate,
    ),
    Metric(
        scope=MEASURED_POINT,
        name="mining_rig_point_power_watts",
        help="Median power of the rig at an operating point that was measured on it, in watts.",
        unit="watts",
        stability=Stability.EXPERIMENTAL,
        group=Group.POINT,
        get=lambda known: known[1].power,
    ),
    Metric(
        scope=MEASURED_POINT,
        name="mining_rig_point_efficiency_joules_per_terahash",
        help="Energy per hash of the rig at an operating point that was measured on it, in joules per terahash.",
        unit="joules_per_terahash",
        stability=Stability.EXPERIMENTAL,
        group=Group.POINT,
        get=lambda known: joules_per_terahash(known[1].power, known[1].hashrate),
    ),
    Metric(
        scope=MODEL_POINT,
        name="mining_model_point_rigs",
        help=(
            "Number of rigs of a model and firmware that were measured at an operating point, or for which it is known "
            "from others or from the firmware's corrected list. At most 20 points of a model, and 50 models."
        ),
        stability=Stability.EXPERIMENTAL,
        group=Group.POINT,
        get=lambda known: known[1].rigs,
    ),
    Metric(
        scope=MODEL_POINT,
        name="mining_model_point_hashrate_hashes_per_second",
        help="Median hashrate of the same rigs at the operating point, in hashes per second.",
        unit="hashes_per_second",
        stability=Stability.EXPERIMENTAL,
        group=Group.POINT,
        get=lambda known: known[1].hashrate,
    ),
    Metric(
        scope=MODEL_POINT,
        name="mining_model_point_power_watts",
        help="Median power of the same rigs at the operating point, in watts; of those with a meter if there are any.",
        unit="watts",
        stability=Stability.EXPERIMENTAL,
        group=Group.POINT,
        get=lambda known: known[1].power,
    ),
    Metric(
        scope=MODEL_POINT,
        name="mining_model_point_marginal_joules_per_terahash",
        help=(
            "Energy per additional hash of the step to this operating point from the next lower one, or from off, in "
            "joules per terahash. Absent for a point that is never the best."
        ),
        unit="joules_per_terahash",
        stability=Stability.EXPERIMENTAL,
        group=Group.POINT,
        get=lambda known: known[1].marginal,
    ),
    Metric(
        scope=MODEL_CURVE,
        name="mining_model_breakeven_joules_per_terahash",
        help=(
            "Energy per hash at which power costs what the hash earns now, in joules per terahash at the rig: the "
            "median over the model's rigs, at their marginal prices. A step to a point pays if its marginal energy is "
            "below. Absent if no price is above 0."
        ),
        unit="joules_per_terahash",
        stability=Stability.EXPERIMENTAL,
        group=Group.POINT,
        get=lambda curve: curve.breakeven,
    ),
    Metric(
        scope=BLOCK_SETPOINTS,
        name="mining_block_rigs_with_points",
        help="Number of rigs in the block with a known tuning gain. The block's sums below cover only these.",
        stability=Stability.EXPERIMENTAL,
        get=lambda block: block.judged,
    ),
    Metric(
        scope=BLOCK_SETPOINTS,
        name="mining_block_best_power_watts",
        help="Power of the best operating points in the block at the billing meter, in watts. Absent if none is known.",
        unit="watts",
        stability=Stability.EXPERIMENTAL,
        get=lambda block: block.best_power,
    ),
    Metric(
        scope=BLOCK_SETPOINTS,
        name="mining_block_best_margin_usd_per_day",
        help="Margin of the best operating points in the block in USD per day. Absent if none is known.",
        unit="usd_per_day",
        stability=Stability.EXPERIMENTAL,
        get=lambda block: block.best_margin,
    ),
    Metric(
        scope=BLOCK_SETPOINTS,
        name="mining_block_tuning_gain_usd_per_day",
        help="Sum of the tuning gains of the block's rigs in USD per day. Absent if none is known.",
        unit="usd_per_day",
        stability=Stability.EXPERIMENTAL,
        get=lambda block: block.gain,
    ),
    Metric(
        scope=BLOCK_SETPOINTS,
        name="mining_block_tuning_gain_low_usd_per_day",
        help="The same in USD per day if the figures of the points are off by their error. Absent likewise.",
        unit="usd_per_day",
        stability=Stability.EXPERIMENTAL,
        get=lambda block: block.gain_low,
    ),
    Metric(
        scope=BLOCK_SETPOINTS,
        name="mining_block_tuning_gain_ratio",
        help="The block's tuning gain as a share of the revenue of the same rigs. Absent if none is known.",
        unit="ratio",
        stability=Stability.EXPERIMENTAL,
        get=lambda block: block.gain_ratio,
    ),
)

_DAY_PLAN: Final = (
    Metric(
        scope=PLAN_POINT,
        name="mining_plan_block_profile_info",
        help="Always 1 for each operating point that the day-ahead plan has for the block now, or off.",
        kind=Kind.INFO,
        stability=Stability.EXPERIMENTAL,
        get=_one,
    ),
    Metric(
        scope=PLAN_BLOCK,
        name="mining_plan_block_watts",
        help="Power that the block draws now by the day-ahead plan, at the billing meter, in watts.",
        unit="watts",
        stability=Stability.EXPERIMENTAL,
        get=lambda planned: None if (now := planned[0].in_force(planned[1])) is None else now.watts,
    ),
    Metric(
        scope=PLAN_BLOCK,
        name="mining_plan_next_change_timestamp_seconds",
        help="Unix time at which the planned power of the block changes next, in seconds. Absent if it does not.",
        unit="seconds",
        stability=Stability.EXPERIMENTAL,
        get=lambda planned: None if (change := planned[0].next_change(planned[1])) is None else change.at,
    ),
    Metric(
        scope=PLAN_BLOCK,
        name="mining_plan_next_change_watts",
        help="Planned power of the block after its next change, in watts. Absent if there is none.",
        unit="watts",
        stability=Stability.EXPERIMENTAL,
        get=lambda planned: None if (change := planned[0].next_change(planned[1])) is None else change.watts,
    ),
    Metric(
        scope=PLAN_HOUR,
        name="mining_plan_site_watts",
        help="Planned power of all blocks so many hours from now, in watts. Absent beyond the known prices.",
        unit="watts",
        stability=Stability.EXPERIMENTAL,
        get=lambda planned: planned[1],
    ),
    Metric(
        scope=PLAN,
        name="mining_plan_value_usd",
        help="What the plan earns over all its hours, with energy at its marginal price, in USD.",
        unit="usd",
        stability=Stability.EXPERIMENTAL,
        get=lambda plan: plan.timetable.plan.value,
    ),
    Metric(
        scope=PLAN,
        name="mining_plan_bound_usd",
        help="What no plan over the same hours can beat, in USD.",
        unit="usd",
        stability=Stability.EXPERIMENTAL,
        get=lambda plan: plan.timetable.plan.bound,
    ),
    Metric(
        scope=PLAN,
        name="mining_plan_computed_timestamp_seconds",
        help="Unix time of the evaluation that the plan starts from, in seconds.",
        unit="seconds",
        stability=Stability.EXPERIMENTAL,
        get=lambda plan: plan.timetable.plan.asked_at,
    ),
    Metric(
        scope=PLAN,
        name="mining_plan_violation_watts",
        help="Highest power by which the plan exceeds a cap or misses a floor in any of its hours, in watts.",
        unit="watts",
        stability=Stability.EXPERIMENTAL,
        get=lambda plan: plan.timetable.violation_watts,
    ),
    Metric(
        scope=PLAN_MONEY,
        name="mining_plan_earned_usd",
        help=(
            "What the planned rigs earned in the UTC day, with energy at its marginal price, in USD: by the plan, by "
            "the verdicts, and as done. Only time counts in which a plan was in force."
        ),
        unit="usd",
        stability=Stability.EXPERIMENTAL,
        get=lambda earned: earned[2],
    ),
)

_NETWORK: Final = (
    Metric(
        scope=NETWORK,
        name="mining_network_difficulty",
        help="Difficulty of the bitcoin network. Absent without a usable network source.",
        get=lambda n: n.difficulty,
    ),
    Metric(
        scope=MARKET,
        name="mining_network_hashrate_hashes_per_second",
        help="Estimated hashrate of the bitcoin network in H/s. Absent if the block interval is unknown.",
        unit="hashes_per_second",
        get=lambda m: m.network_hashrate,
    ),
    Metric(
        scope=NETWORK,
        name="mining_network_block_height",
        help="Height of the latest block. Absent without a usable network source.",
        get=lambda n: n.height,
    ),
    Metric(
        scope=MARKET,
        name="mining_network_subsidy_bitcoins",
        help="Subsidy of the next block in bitcoins. Absent without a usable network source.",
        unit="bitcoins",
        get=lambda m: m.subsidy,
    ),
    Metric(
        scope=NETWORK,
        name="mining_network_block_fees_bitcoins",
        help="Mean transaction fees per block over the last 144 blocks, in bitcoins. Absent if the source has none.",
        unit="bitcoins",
        get=lambda n: n.block_fees,
    ),
    Metric(
        scope=NETWORK,
        name="mining_network_block_interval_seconds",
        help="Mean time between the last 144 blocks, in seconds. Absent if the source has none.",
        unit="seconds",
        get=lambda n: n.block_interval,
    ),
    Metric(
        scope=MARKET,
        name="mining_network_next_difficulty",
        help="Estimated difficulty after the next retarget. Absent if the start of the epoch is unknown.",
        get=lambda m: m.next_difficulty,
    ),
    Metric(
        scope=MARKET,
        name="mining_network_retarget_blocks_remaining",
        help="Number of blocks until the next retarget. Absent without a usable network source.",
        get=lambda m: m.retarget_blocks_remaining,
    ),
    Metric(
        scope=MARKET,
        name="mining_network_retarget_timestamp_seconds",
        help="Estimated unix time of the next retarget, in seconds. Absent if the time of the latest block is unknown.",
        unit="seconds",
        get=lambda m: m.retarget_time,
    ),
    Metric(
        scope=MARKET,
        name="mining_network_retarget_confident",
        help=(
            "1 if the next difficulty is reliable: 500 blocks into the epoch, or provided by the node. 0 if not. "
            "Absent without a usable network source."
        ),
        stability=Stability.EXPERIMENTAL,
        get=lambda m: m.retarget_confident,
    ),
    Metric(
        scope=MARKET,
        name="mining_network_halving_timestamp_seconds",
        help="Estimated unix time of the next halving, in seconds. Absent if the time of the latest block is unknown.",
        unit="seconds",
        get=lambda m: m.halving_time,
    ),
)

_MARKET: Final = (
    Metric(
        scope=BITCOIN,
        name="mining_bitcoin_price_usd",
        help="Price of one bitcoin in USD. Absent without a usable bitcoin source.",
        unit="usd",
        get=lambda price: price,
    ),
    Metric(
        scope=MARKET,
        name="mining_hashprice_usd_per_petahash_day",
        help=(
            "Hashprice in USD per PH/s and day: subsidy and fees, before pool fees. Absent if fees, difficulty or "
            "bitcoin price are unknown."
        ),
        unit="usd_per_petahash_day",
        get=lambda m: m.hashprice_usd,
    ),
    Metric(
        scope=MARKET,
        name="mining_hashprice_bitcoins_per_petahash_day",
        help=(
            "Hashprice in bitcoins per PH/s and day: subsidy and fees, before pool fees. Absent if fees or "
            "difficulty are unknown."
        ),
        unit="bitcoins_per_petahash_day",
        get=lambda m: m.hashprice_btc,
    ),
    Metric(
        scope=MARKET,
        name="mining_forward_hashprice_usd_per_petahash_day",
        help=(
            "Hashprice in USD per PH/s and day after the next retarget, with all other inputs unchanged. Absent if "
            "an input is unknown."
        ),
        unit="usd_per_petahash_day",
        get=lambda m: m.forward_hashprice_usd,
    ),
    Metric(
        scope=TARIFF,
        name="mining_power_price_usd_per_kilowatt_hour",
        help="Current power price of the tariff in USD per kWh; may be negative. Absent if unknown.",
        unit="usd_per_kilowatt_hour",
        get=lambda named: named[1].price,
    ),
    Metric(
        scope=TARIFF,
        name="mining_power_price_next_usd_per_kilowatt_hour",
        help="Power price of the tariff's next slot in USD per kWh. Absent until it is known.",
        unit="usd_per_kilowatt_hour",
        get=lambda named: named[1].next_price,
    ),
    Metric(
        scope=SCENARIO,
        name="mining_ai_value_usd_per_kilowatt_hour",
        help="Value of AI hosting in USD per kWh, by scenario: low, base or high. Absent without settings in `ai`.",
        unit="usd_per_kilowatt_hour",
        get=lambda named: named[1],
    ),
    Metric(
        scope=MARKET,
        name="mining_ai_breakeven_rent_usd_per_kilowatt_month",
        help="Rent in USD per IT kW and month at which the AI value is zero. Absent without settings in `ai`.",
        unit="usd_per_kilowatt_month",
        get=lambda m: m.ai_breakeven_rent,
    ),
)

_AI: Final = (
    Metric(
        scope=GPU_PRICE,
        name="mining_ai_price_usd_per_gpu_hour",
        help=(
            "Price of a GPU-hour in a feed, in USD. base: the median offer, or the feed's index. low, high: the 10th "
            "and 90th percentile of the offers, where the feed has them. Absent if too old."
        ),
        unit="usd_per_gpu_hour",
        get=lambda quoted: quoted[3],
    ),
    Metric(
        scope=GPU_OFFERS,
        name="mining_ai_price_offers",
        help="Number of offers, or of GPUs in them, that a feed's price is made of. Absent if not reported.",
        get=lambda quoted: quoted[1].offers,
    ),
    Metric(
        scope=PRICING_FEED,
        name="mining_ai_pricing_feed_info",
        help=(
            "Always 1 for the feed that prices the AI value, also while it has no price; `model` is empty if it has "
            "only one. Absent if a configured figure prices it."
        ),
        kind=Kind.INFO,
        get=_one,
    ),
    Metric(
        scope=RENTING,
        name="mining_ai_renting_margin_usd_per_kilowatt_hour",
        help=(
            "Margin of renting own GPUs out at a feed's price, in USD per kWh that they consume: rent at the expected "
            "utilization, less platform fee, power and failures, before capital. Comparable with mining. Absent "
            "without a fresh price."
        ),
        unit="usd_per_kilowatt_hour",
        get=lambda renting: renting.margin_per_kwh,
    ),
    Metric(
        scope=RENTING,
        name="mining_ai_renting_margin_usd_per_kilowatt_year",
        help=(
            "The same margin in USD per kW and year that the GPUs occupy at the feeder, rented or not. Absent without "
            "a fresh price."
        ),
        unit="usd_per_kilowatt_year",
        get=lambda renting: renting.margin_per_kilowatt_year,
    ),
    Metric(
        scope=LEASE,
        name="mining_ai_lease_power_watts",
        help="IT power of a signed lease in watts, firm and interruptible (curtailable) apart.",
        unit="watts",
        get=lambda part: part.power,
    ),
    Metric(
        scope=LEASE,
        name="mining_ai_lease_start_timestamp_seconds",
        help="Unix time of the first day on which rent is due, in seconds.",
        unit="seconds",
        get=lambda part: part.start,
    ),
    Metric(
        scope=LEASE,
        name="mining_ai_lease_revenue_usd_per_day",
        help=(
            "Rent of a signed lease in USD per day, less that of the hours in which it is curtailed. 0 before its "
            "start and after its end."
        ),
        unit="usd_per_day",
        get=lambda part: part.revenue,
    ),
    Metric(
        scope=LEASE,
        name="mining_ai_lease_value_usd_per_kilowatt_year",
        help=(
            "What an IT kW of a signed lease is worth per year, in USD: its rent; for curtailable power less the rent "
            "of the hours cut, plus what a demand response programme pays."
        ),
        unit="usd_per_kilowatt_year",
        get=lambda part: part.value_per_kilowatt_year,
    ),
)

_GPUS: Final = (
    Metric(
        scope=GPU_DETAILS,
        name="mining_gpu_info",
        help="Always 1 for each GPU; the labels are its model and host.",
        kind=Kind.INFO,
        get=_one,
    ),
    Metric(
        scope=GPU,
        name="mining_gpu_power_watts",
        help="Power drawn by the GPU without its host, in watts. Absent if not reported.",
        unit="watts",
        get=lambda g: g.reading.power,
    ),
    Metric(
        scope=GPU,
        name="mining_gpu_utilization_ratio",
        help="Share of time in which any kernel ran, from 0 to 1. Absent if not reported.",
        unit="ratio",
        get=lambda g: g.reading.utilization,
    ),
    Metric(
        scope=GPU,
        name="mining_gpu_engine_active_ratio",
        help="Share of time in which the compute engine was active, from 0 to 1. Absent if not reported.",
        unit="ratio",
        get=lambda g: g.reading.engine_active,
    ),
    Metric(
        scope=GPU,
        name="mining_gpu_memory_used_bytes",
        help="GPU memory in use, in bytes. Absent if not reported.",
        unit="bytes",
        get=lambda g: g.reading.memory_used,
    ),
    Metric(
        scope=GPU,
        name="mining_gpu_temperature_celsius",
        help="Temperature of the GPU in degrees Celsius. Absent if not reported.",
        unit="celsius",
        get=lambda g: g.reading.temperature,
    ),
    Metric(
        scope=GPU,
        name="mining_gpu_allocated",
        help="1 if a job holds the GPU, 0 if not. Absent if neither pods nor memory are reported.",
        get=lambda g: g.reading.allocated,
    ),
    Metric(
        scope=GPU,
        name="mining_gpu_energy_joules_total",
        help="Energy counter of the GPU's driver, in joules. Absent if not reported.",
        unit="joules",
        kind=Kind.COUNTER,
        get=lambda g: g.reading.energy,
    ),
    Metric(
        scope=GPU,
        name="mining_gpu_contracted",
        help=(
            "1 if a contract pays for the GPU whether or not it is used, 0 if it earns only while allocated. Absent "
            "without a rate."
        ),
        get=lambda g: g.economics.contracted,
    ),
    Metric(
        scope=GPU_ERROR,
        name="mining_gpu_xid_error_info",
        help="Always 1 for each GPU with an XID error; the label is the code of the last one.",
        kind=Kind.INFO,
        get=_one,
    ),
    Metric(
        scope=GPU,
        name="mining_gpu_revenue_usd_per_day",
        help=(
            "Revenue of the GPU in USD per day, from its contract or hourly rate. Absent without a rate, or if it is "
            "not known whether the GPU is allocated."
        ),
        unit="usd_per_day",
        get=lambda g: g.economics.revenue,
    ),
    Metric(
        scope=GPU,
        name="mining_gpu_power_cost_usd_per_day",
        help="Power cost of the GPU and its share of the host, in USD per day. Absent if power or price is unknown.",
        unit="usd_per_day",
        get=lambda g: g.economics.power_cost,
    ),
    Metric(
        scope=GPU,
        name="mining_gpu_billed_power_watts",
        help="Billed power of the GPU and its share of the host, in watts. Absent if unknown.",
        unit="watts",
        get=lambda g: g.economics.billed_power,
    ),
    Metric(
        scope=GPU,
        name="mining_gpu_margin_usd_per_day",
        help="Margin of the GPU in USD per day: revenue minus power cost. Absent if either is unknown.",
        unit="usd_per_day",
        get=lambda g: g.economics.margin,
    ),
    Metric(
        scope=GPU,
        name="mining_gpu_margin_usd_per_kilowatt_hour",
        help="Margin of the GPU in USD per billed kWh, comparable with mining. Absent if the margin is unknown.",
        unit="usd_per_kilowatt_hour",
        get=lambda g: g.economics.margin_per_kwh,
    ),
    Metric(
        scope=GPU,
        name="mining_gpu_market_value_usd_per_day",
        help=(
            "What the GPU would earn in USD per day if it were rented all day at the price of its feed, after the "
            "platform's fee. Absent without a fresh price."
        ),
        unit="usd_per_day",
        get=lambda g: g.economics.market_value,
    ),
    Metric(
        scope=GPU,
        name="mining_gpu_market_margin_usd_per_day",
        help=(
            "Margin of the GPU in USD per day on the market: rent at the expected utilization, less platform fee, "
            "power and failures, before capital. Absent without a fresh price."
        ),
        unit="usd_per_day",
        get=lambda g: g.economics.market_margin,
    ),
    Metric(
        scope=GPU,
        name="mining_gpu_unrented_cost_usd_per_day",
        help=(
            "What it costs in USD per day that nobody rents the GPU: its market value, less the power that it would "
            "draw in addition. 0 if it is rented. Absent without a fresh price, or if it is not known whether it is."
        ),
        unit="usd_per_day",
        get=lambda g: g.economics.unrented_cost,
    ),
)

_OBLIGATIONS: Final = (
    Metric(
        scope=OBLIGATION_SOURCE,
        name="mining_obligations_known",
        help=(
            "1 if it is known what this source obliges the site to, also if that is nothing; 0 if not. While it is 0, "
            "mining_rig_expected_mining of its rigs is absent."
        ),
        get=lambda known: known[1],
    ),
    Metric(
        scope=OBLIGATION_DETAILS,
        name="mining_obligation_info",
        help=(
            "Always 1 for each event in force: a call, cap, award or peak. The labels are its program and reason, and "
            "the blocks that it is about; empty means the whole site."
        ),
        kind=Kind.INFO,
        get=_one,
    ),
    Metric(
        scope=OBLIGATION,
        name="mining_obligation_cap_watts",
        help=(
            "Most that may be drawn now, in watts at the billing point. Absent if the event has no cap, or if its "
            "level or baseline is not known."
        ),
        unit="watts",
        get=lambda status: status.cap,
    ),
    Metric(
        scope=OBLIGATION,
        name="mining_obligation_floor_watts",
        help="Least that must run now, in watts at the billing point. Absent if the event has no floor.",
        unit="watts",
        get=lambda status: status.floor,
    ),
    Metric(
        scope=OBLIGATION,
        name="mining_obligation_level",
        help="Level of the event: 1 (moderate), 2 (high) or 3 (emergency). Absent if it has none.",
        get=lambda status: status.level,
    ),
    Metric(
        scope=OBLIGATION,
        name="mining_obligation_unclear",
        help="1 if it is not known what the event demands, such as a level without a cap; 0 if it is known.",
        get=lambda status: bool(status.unclear),
    ),
    Metric(
        scope=OBLIGATION,
        name="mining_obligation_power_watts",
        help=(
            "Power that counts for the event now, in watts at the billing point. Absent without a meter if more than "
            "5 per cent of the rigs are silent."
        ),
        unit="watts",
        get=lambda status: status.power,
    ),
    Metric(
        scope=OBLIGATION,
        name="mining_obligation_delivered_watts",
        help="Mean power in this settlement interval so far, in watts. Absent if it is not measured.",
        unit="watts",
        get=lambda status: status.delivered,
    ),
    Metric(
        scope=OBLIGATION,
        name="mining_obligation_projected_watts",
        help=(
            "Mean power in this settlement interval if the power stays as it is, in watts. Absent if it is not "
            "measured."
        ),
        unit="watts",
        get=lambda status: status.projected,
    ),
    Metric(
        scope=OBLIGATION,
        name="mining_obligation_end_timestamp_seconds",
        help="Unix time when the event ends, in seconds. Absent if it lasts until further notice.",
        unit="seconds",
        get=lambda status: status.end,
    ),
    Metric(
        scope=OBLIGATION_AHEAD,
        name="mining_obligation_next_start_timestamp_seconds",
        help="Unix time when the next event of this source and kind begins, in seconds. Absent if none is known.",
        unit="seconds",
        get=lambda ahead: ahead.start,
    ),
    Metric(
        scope=INTERVALS,
        name="mining_obligation_intervals_total",
        help="Settlement intervals by outcome: kept, failed or not_measured.",
        kind=Kind.COUNTER,
        get=lambda counted: counted[1],
    ),
)

_PEAKS: Final = (
    Metric(
        scope=PEAK_PROGRAM,
        name="mining_peak_probability_ratio",
        help=(
            "Probability that this interval is one of the grid's peaks that the program bills by, from 0 to 1. "
            "Absent without the grid's load, or while fewer than three days of the period are known."
        ),
        unit="ratio",
        get=lambda peaks: peaks.probability,
    ),
    Metric(
        scope=PEAK_PROGRAM,
        name="mining_peak_expected_cost_usd_per_kilowatt",
        help=(
            "Expected cost of a kilowatt that runs through this interval, in USD: the probability times the cost "
            "of a peak. Absent if the probability is unknown."
        ),
        unit="usd_per_kilowatt",
        get=lambda peaks: peaks.expected_cost,
    ),
    Metric(
        scope=PEAK_PROGRAM,
        name="mining_peak_grid_load_watts",
        help="Last measured load of the grid, in watts. Absent without a fresh value.",
        unit="watts",
        get=lambda peaks: peaks.grid,
    ),
    Metric(
        scope=PEAK_PROGRAM,
        name="mining_peak_grid_threshold_watts",
        help="Lowest of the peaks so far that count, in watts. Absent until there are as many as count.",
        unit="watts",
        get=lambda peaks: peaks.threshold,
    ),
    Metric(
        scope=PAST_PEAK,
        name="mining_peak_grid_watts",
        help="Load of the grid in the highest intervals so far, in watts, by rank.",
        unit="watts",
        get=lambda known: known[1].peak.grid,
    ),
    Metric(
        scope=PAST_PEAK,
        name="mining_peak_timestamp_seconds",
        help="Unix time when the interval began, in seconds.",
        unit="seconds",
        get=lambda known: known[1].peak.start,
    ),
    Metric(
        scope=PAST_PEAK,
        name="mining_peak_own_watts",
        help="Power that the site drew in the interval, in watts. Absent if it was not measured.",
        unit="watts",
        get=lambda known: known[1].peak.own,
    ),
    Metric(
        scope=PAST_PEAK,
        name="mining_peak_cost_usd",
        help=("What the power drawn in the interval costs if it stays a peak, in USD. Absent if it was not measured."),
        unit="usd",
        get=lambda known: known[1].cost,
    ),
    Metric(
        scope=PAST_PEAK,
        name="mining_peak_saved_usd",
        help=(
            "What the rigs that stood still in the interval save if it stays a peak, in USD. Absent if it was not "
            "measured."
        ),
        unit="usd",
        get=lambda known: known[1].saved,
    ),
)

_SETTLEMENT: Final = (
    Metric(
        scope=SETTLEMENT,
        name="mining_site_day_ahead_cost_usd_per_day",
        help="Cost of the power that was bought day ahead, in USD per day. Absent without a position or its price.",
        unit="usd_per_day",
        get=lambda settled: settled.day_ahead,
    ),
    Metric(
        scope=SETTLEMENT,
        name="mining_site_real_time_cost_usd_per_day",
        help=(
            "Cost of the power drawn beyond the position at the real-time price, in USD per day; negative for "
            "what is sold. Absent without a position, price or power."
        ),
        unit="usd_per_day",
        get=lambda settled: settled.real_time,
    ),
    Metric(
        scope=SETTLEMENT,
        name="mining_site_capacity_income_usd_per_day",
        help="Income from the awards in force, in USD per day. Absent if one of them has no price.",
        unit="usd_per_day",
        get=lambda settled: settled.capacity,
    ),
)

_CUSTOMERS: Final = (
    Metric(
        scope=CUSTOMER,
        name="mining_customer_margin_usd_per_day",
        help=(
            "Margin in USD per day of a customer, of those of his rigs for which it is known; see "
            "mining_rig_customer_margin_usd_per_day. Absent without `contracts`, or if it is known for no rig."
        ),
        unit="usd_per_day",
        get=lambda c: c.margin,
    ),
    Metric(
        scope=CUSTOMER,
        name="mining_customer_avoidable_loss_usd_per_day",
        help=(
            "USD per day that a customer would save by switching off his rigs that lose money at his rate, 0 or more. "
            "Rigs that the host may curtail are counted in mining_block_avoidable_loss_usd_per_day. Absent without "
            "`contracts`, or if it is known for no rig."
        ),
        unit="usd_per_day",
        get=lambda c: c.avoidable_loss,
    ),
)

_EXPORTER: Final = (
    Metric(
        scope=STATUS,
        name="mining_rigs",
        help=(
            "Number of rigs by status; the values add up to the inventory. mining: hashing. expected_off: not "
            "hashing, as expected. stopped: responding, but not hashing. down: no fresh reading. unknown: not polled "
            "yet, or it is not known whether it should be hashing."
        ),
        get=lambda counted: counted[1],
    ),
    Metric(
        scope=CAUSE,
        name="mining_margin_change_usd_per_day",
        help=(
            "Change of the margin of the priced rigs since yesterday, in USD per day, by cause. The causes add up to "
            "the change. Absent without a sample of 24 hours ago, or while no rig is mining."
        ),
        unit="usd_per_day",
        get=lambda part: part[1],
    ),
    Metric(
        scope=CHANGE,
        name="mining_margin_change_since_timestamp_seconds",
        help=(
            "Unix time of the sample that mining_margin_change_usd_per_day compares with, in seconds: 24 to 24.5 hours "
            "ago. Absent without one."
        ),
        unit="seconds",
        get=lambda change: change.since,
    ),
    Metric(
        scope=SITE,
        name="mining_evaluation_timestamp_seconds",
        help="Unix time of the published evaluation, in seconds. Scrapes return this evaluation and never poll rigs.",
        unit="seconds",
        get=lambda v: v.snapshot.taken_at,
    ),
    Metric(
        scope=SHARD,
        name="mining_exporter_shard_info",
        help="Always 1; the labels are the index of this shard, from 0, and the configured number of shards.",
        kind=Kind.INFO,
        get=_one,
    ),
    Metric(
        scope=SITE,
        name="mining_exporter_shards",
        help="Number of configured shards. If fewer report, some are missing.",
        get=lambda v: v.shard.total,
    ),
)

SECTIONS: Final[Mapping[str, tuple[Metric[Any], ...]]] = {
    "Rig: inventory and state": _INVENTORY_AND_STATE,
    "Rig: hashrate and power": _HASHRATE_AND_POWER,
    "Rig: hardware": _HARDWARE,
    "Rig: pools": _POOLS,
    "Pool against rig": _RECONCILIATION,
    "Rig: economics": _RIG_ECONOMICS,
    "Block": _BLOCKS,
    "Customer": _CUSTOMERS,
    "Operating points": _POINTS,
    "Day-ahead plan": _DAY_PLAN,
    "Bitcoin network": _NETWORK,
    "Market": _MARKET,
    "AI market": _AI,
    "GPU": _GPUS,
    "Obligations": _OBLIGATIONS,
    "Coincident peaks": _PEAKS,
    "Settlement": _SETTLEMENT,
    "Site and evaluation": _EXPORTER,
}

CATALOGUE: Final = tuple(chain.from_iterable(SECTIONS.values()))
"""Every metric of the site, in the order of the exposition."""

DETAILS: Final = frozenset(
    {
        "mining_rig_hashrate_window_seconds",
        "mining_rig_firmware_fee_ratio",
        "mining_rig_energy_joules_total",
        "mining_rig_system_uptime_seconds",
        "mining_rig_chip_failed",
        "mining_rig_last_share_timestamp_seconds",
        "mining_rig_pool_stale_shares_total",
        "mining_rig_pool_accepted_hashrate_hashes_per_second",
        "mining_rig_pool_error_ratio",
        "mining_rig_pool_luck_ratio",
        "mining_rig_pool_leak_usd_per_day",
        "mining_rig_host_margin_usd_per_day",
        "mining_rig_breakeven_hashprice_usd_per_petahash_day",
        "mining_rig_breakeven_bitcoin_price_usd",
        "mining_rig_cost_usd_per_bitcoin",
        "mining_rig_allin_breakeven_hashprice_usd_per_petahash_day",
        "mining_rig_allin_cost_usd_per_bitcoin",
        "mining_rig_verdict_since_timestamp_seconds",
        "mining_rig_operating_point_info",
        "mining_rig_best_point_info",
        "mining_rig_tuning_gain_low_usd_per_day",
        "mining_rig_point_estimate_error_ratio",
        "mining_rig_point_estimates_refuted",
    }
)
"""Metrics of rigs that none of our dashboards, rules, alerts and commands uses."""
