"""The records that ``/api/v1`` returns for rigs, blocks and the market. Names include the unit; unknown is null.

A field that is also a metric is described by the catalogue; any other field by its annotation. ``docs/api.md`` shows
both.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Annotated, TypeAlias

from exporter.economics.values import Books
from exporter.exposition.views import BlockView, RigView, SiteView
from exporter.model.readings import RigIdentity, RigReading
from exporter.polling.attempts import FailureLog

Number: TypeAlias = float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRecord:
    """One fault that a rig reports."""

    code: Annotated[str, "Fault code, the same for all vendors."]
    severity: Annotated[str, "`critical`, `warning` or `info`."]
    component: Annotated[str, "Affected part, such as `board 1`. Empty if not reported."]
    vendor_code: Annotated[str, "Code or text of the vendor. Empty if there is none."]
    since_timestamp_seconds: Number


@dataclass(frozen=True, slots=True, kw_only=True)
class RigRecord:
    """One rig of the inventory."""

    rig: Annotated[str, "Name of the rig."]
    address: Annotated[str, "IP address or host name."]
    block: Annotated[str, "Block of the rig."]
    rack: Annotated[str, "Rack. Empty if not listed."]
    position: Annotated[str, "Position in the rack. Empty if not listed."]
    customer: Annotated[str, "Owner of the rig. Empty if not listed."]
    contract: Annotated[str, "Hosting contract of the rig. Empty without one."]
    tariff: Annotated[str, "Tariff that prices the rig's power. Empty if there is none."]
    make: Annotated[str, "Manufacturer. Empty until the rig is identified, like all fields down to `board_serials`."]
    model: Annotated[str, "Model."]
    firmware: Annotated[str, "Firmware."]
    firmware_version: Annotated[str, "Version of the firmware."]
    mac: Annotated[str, "MAC address."]
    serial: Annotated[str, "Serial number."]
    hostname: Annotated[str, "Host name that the rig reports."]
    algorithm: Annotated[
        str, "Hash algorithm, `unknown` if neither reported, set nor known by the model. Only `SHA256` is priced."
    ]
    control_board: Annotated[str, "Type of the control board, as the firmware names it."]
    power_supply_model: Annotated[str, "Model of the power supply."]
    power_supply_serial: Annotated[str, "Serial number of the power supply."]
    board_serials: Annotated[Mapping[str, str], "Serial numbers of the hash boards, by board index."]
    status: Annotated[str, "`mining`, `stopped`, `expected_off`, `down` or `unknown`."]
    up: bool | None
    expected_mining: bool | None
    last_success_timestamp_seconds: Number
    failure_reason: Annotated[str | None, "Reason for which the last poll failed. Null if it succeeded."]
    failure_detail: Annotated[str | None, "Details of the failure. Null if the last poll succeeded."]
    faults: Annotated[tuple[FaultRecord, ...], "Faults that the rig reports."]
    suspended: bool | None
    login_refused: bool | None
    power_mode: Annotated[str | None, "Active power mode, profile or preset, named as in the firmware."]
    tuner: Annotated[str | None, "State of the firmware's tuner: `off`, `tuning`, `tuned` or `failed`."]
    hashrate_hashes_per_second: Number
    expected_hashrate_hashes_per_second: Number
    rated_hashrate_hashes_per_second: Annotated[Number, "Rated hashrate in the inventory. Null if not listed."]
    power_watts: Number
    potential_power_watts: Number
    power_source: Annotated[str | None, "Source of `power_watts`: `metered`, `reported` or `nameplate`."]
    efficiency_joules_per_terahash: Number
    revenue_usd_per_day: Number
    power_cost_usd_per_day: Number
    margin_usd_per_day: Number
    margin_usd_per_kilowatt_hour: Number
    hosted: Annotated[bool, "Whether a hosting contract is in force."]
    customer_margin_usd_per_day: Number
    customer_potential_margin_usd_per_day: Annotated[
        Number, "The customer's margin if the rig ran. Null without a hosting contract."
    ]
    customer_monthly_fee_usd_per_day: Annotated[
        Number, "Part of both customer's margins: the monthly fee per kW. Null without a hosting contract."
    ]
    host_margin_usd_per_day: Number
    host_potential_margin_usd_per_day: Number
    potential_margin_usd_per_day: Number
    forward_margin_usd_per_day: Number
    breakeven_power_price_usd_per_kilowatt_hour: Number
    reassign_score_usd_per_kilowatt_year: Number
    verdict: Annotated[
        str | None, "`mine`, `curtail`, `reassign`, `repair` or `unknown`. Null before the first verdict."
    ]
    verdict_since_timestamp_seconds: Number
    verdict_held: Annotated[bool, "True if the verdict is kept only because its inputs are stale."]
    best_point: Annotated[
        str | None, "Operating point at which the rig should run, or `off`. Null without the section `points`."
    ]
    tuning_gain_usd_per_day: Number


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockRecord:
    """One block."""

    block: Annotated[str, "Name of the block."]
    rigs: Annotated[int, "Number of rigs in the block."]
    rigs_priced: int
    convertible: bool
    convertible_ratio: Number
    moving_cost_usd_per_rig: Annotated[
        Number, "Configured cost in USD of moving one of its rigs to another block. Null if not configured."
    ]
    capacity_watts: Number
    power_watts: Number
    hashrate_hashes_per_second: Number
    revenue_usd_per_day: Number
    power_cost_usd_per_day: Number
    margin_usd_per_day: Number
    host_margin_usd_per_day: Number
    potential_margin_usd_per_day: Number
    avoidable_loss_usd_per_day: Number
    ai_value_usd_per_day: Number
    reassign_score_usd_per_kilowatt_year: Number
    reassign_payback_years: Number
    conversion_margin_usd_per_kilowatt_year: Number
    conversion_margin_lines: Annotated[
        Mapping[str, float], "What the conversion margin is made of, in USD per kW and year; the sum is the margin."
    ]
    coverage_ratio: float
    verdict_evidence_ratio: float
    verdict_dwell_ratio: Number
    reassign_hindrance: Annotated[str | None, "Why the block is not `reassign`. Null while it is."]
    power_freed_watts: Number
    margin_lost_usd_per_day: Number
    verdict: Annotated[str | None, "`mine`, `curtail`, `reassign` or `unknown`. Null before the first verdict."]
    verdict_since_timestamp_seconds: Annotated[
        Number, "Unix time since which the verdict has been in force, in seconds."
    ]
    verdict_held: Annotated[bool, "True if the verdict is kept only because its inputs are stale."]


@dataclass(frozen=True, slots=True, kw_only=True)
class TariffRecord:
    """One tariff."""

    power_price_usd_per_kilowatt_hour: Number
    power_price_next_usd_per_kilowatt_hour: Number


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketRecord:
    """The market at the time of the evaluation."""

    network_difficulty: Number
    network_block_height: int | None
    network_hashrate_hashes_per_second: Number
    network_subsidy_bitcoins: Number
    network_block_fees_bitcoins: Number
    network_next_difficulty: Number
    network_retarget_blocks_remaining: int | None
    network_retarget_timestamp_seconds: Number
    network_halving_timestamp_seconds: Number
    bitcoin_price_usd: Number
    hashprice_usd_per_petahash_day: Number
    hashprice_bitcoins_per_petahash_day: Number
    forward_hashprice_usd_per_petahash_day: Number
    ai_value_usd_per_kilowatt_hour: Annotated[
        Mapping[str, float], "Value of AI hosting in USD per kWh, by scenario: `low`, `base` and `high`."
    ]
    ai_breakeven_rent_usd_per_kilowatt_month: Number
    tariffs: Annotated[Mapping[str, TariffRecord], "Tariffs with a known price, by name."]


_UNIDENTIFIED = RigIdentity(reader="", make="", model="", algorithm="")
_NO_BOOKS = Books()


def rig_record(view: RigView, failures: FailureLog) -> RigRecord:
    """Make the record of one rig."""
    snapshot, economics, decision, setpoint, _ = view
    rig, reading = snapshot.rig, snapshot.reading.value if snapshot.reading is not None else None
    identity = snapshot.identity or _UNIDENTIFIED
    books = economics.books or _NO_BOOKS
    failure = failures.get(rig.name) if snapshot.up is False else None
    return RigRecord(
        rig=rig.name,
        address=rig.address,
        block=rig.block,
        rack=rig.rack,
        position=rig.position,
        customer=rig.customer,
        contract=rig.contract,
        tariff=rig.tariff,
        make=identity.make,
        model=identity.model,
        firmware=identity.firmware,
        firmware_version=identity.firmware_version,
        mac=identity.mac,
        serial=identity.serial,
        hostname=identity.hostname,
        algorithm=snapshot.algorithm,
        control_board=identity.control_board,
        power_supply_model=identity.power_supply_model,
        power_supply_serial=identity.power_supply_serial,
        board_serials={str(board): serial for board, serial in identity.board_serials},
        status=view.status,
        up=snapshot.up,
        expected_mining=snapshot.expected_mining,
        last_success_timestamp_seconds=snapshot.last_success,
        failure_reason=None if failure is None else failure.reason,
        failure_detail=None if failure is None else failure.detail,
        faults=() if reading is None else tuple(_faults(reading, snapshot.faults_since)),
        suspended=None if reading is None else reading.suspended,
        login_refused=None if reading is None else reading.login_refused,
        power_mode=None if reading is None else reading.power_mode or None,
        tuner=None if reading is None else reading.tuner,
        hashrate_hashes_per_second=None if reading is None else reading.hashrate,
        expected_hashrate_hashes_per_second=None if reading is None else reading.expected_hashrate,
        rated_hashrate_hashes_per_second=rig.rated_hashrate,
        power_watts=economics.power,
        potential_power_watts=economics.potential_power,
        power_source=economics.power_source,
        efficiency_joules_per_terahash=economics.efficiency,
        revenue_usd_per_day=economics.revenue,
        power_cost_usd_per_day=economics.power_cost,
        margin_usd_per_day=economics.margin,
        margin_usd_per_kilowatt_hour=economics.margin_per_kwh,
        hosted=economics.hosted,
        customer_margin_usd_per_day=books.customer_margin,
        customer_potential_margin_usd_per_day=books.customer_potential,
        customer_monthly_fee_usd_per_day=books.space_fee,
        host_margin_usd_per_day=books.host_margin,
        host_potential_margin_usd_per_day=books.host_potential,
        potential_margin_usd_per_day=economics.potential_margin,
        forward_margin_usd_per_day=economics.forward_margin,
        breakeven_power_price_usd_per_kilowatt_hour=economics.breakeven_power_price,
        reassign_score_usd_per_kilowatt_year=decision.reassign_score,
        verdict=decision.verdict,
        verdict_since_timestamp_seconds=decision.verdict_since,
        verdict_held=decision.held,
        best_point=None if setpoint is None else setpoint.name,
        tuning_gain_usd_per_day=None if setpoint is None else setpoint.gain,
    )


def _faults(reading: RigReading, since: tuple[float, ...]) -> Iterator[FaultRecord]:
    for fault, began_at in zip_longest(reading.faults, since):
        yield FaultRecord(
            code=fault.code,
            severity=fault.severity,
            component=fault.component,
            vendor_code=fault.vendor_code,
            since_timestamp_seconds=began_at,
        )


def block_record(view: BlockView) -> BlockRecord:
    """Make the record of one block."""
    economics, decision = view.economics, view.decision
    return BlockRecord(
        block=economics.name,
        rigs=economics.rigs,
        rigs_priced=economics.priced,
        convertible=view.convertible,
        convertible_ratio=view.block.convertible_share if view.convertible else 0.0,
        moving_cost_usd_per_rig=view.block.moving_cost_per_rig,
        capacity_watts=economics.capacity,
        power_watts=economics.power,
        hashrate_hashes_per_second=economics.hashrate,
        revenue_usd_per_day=economics.revenue,
        power_cost_usd_per_day=economics.power_cost,
        margin_usd_per_day=economics.margin,
        host_margin_usd_per_day=economics.host_margin,
        potential_margin_usd_per_day=economics.potential_margin,
        avoidable_loss_usd_per_day=economics.avoidable_loss,
        ai_value_usd_per_day=economics.ai_value,
        reassign_score_usd_per_kilowatt_year=decision.reassign_score,
        reassign_payback_years=decision.payback_years,
        conversion_margin_usd_per_kilowatt_year=decision.conversion_margin,
        conversion_margin_lines=decision.margin_lines,
        coverage_ratio=decision.coverage,
        verdict_evidence_ratio=decision.evidence,
        verdict_dwell_ratio=decision.dwell,
        reassign_hindrance=decision.hindrance,
        power_freed_watts=decision.power_freed,
        margin_lost_usd_per_day=decision.margin_lost,
        verdict=decision.verdict,
        verdict_since_timestamp_seconds=decision.verdict_since,
        verdict_held=decision.held,
    )


def market_record(view: SiteView) -> MarketRecord:
    """Make the record of the market."""
    market, bitcoin = view.economics.market, view.snapshot.bitcoin_price
    network = view.snapshot.network.value if view.snapshot.network is not None else None
    return MarketRecord(
        network_difficulty=None if network is None else network.difficulty,
        network_block_height=None if network is None else network.height,
        network_hashrate_hashes_per_second=market.network_hashrate,
        network_subsidy_bitcoins=market.subsidy,
        network_block_fees_bitcoins=None if network is None else network.block_fees,
        network_next_difficulty=market.next_difficulty,
        network_retarget_blocks_remaining=market.retarget_blocks_remaining,
        network_retarget_timestamp_seconds=market.retarget_time,
        network_halving_timestamp_seconds=market.halving_time,
        bitcoin_price_usd=None if bitcoin is None else bitcoin.value,
        hashprice_usd_per_petahash_day=market.hashprice_usd,
        hashprice_bitcoins_per_petahash_day=market.hashprice_btc,
        forward_hashprice_usd_per_petahash_day=market.forward_hashprice_usd,
        ai_value_usd_per_kilowatt_hour=dict(market.ai_value_per_kwh),
        ai_breakeven_rent_usd_per_kilowatt_month=market.ai_breakeven_rent,
        tariffs={
            name: TariffRecord(
                power_price_usd_per_kilowatt_hour=price.price, power_price_next_usd_per_kilowatt_hour=price.next_price
            )
            for name, price in view.snapshot.tariffs.items()
        },
    )
