"""What ``/api/v1`` tells of rigs, blocks and the market. Fields carry their units, and are null where unknown."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Annotated, TypeAlias

from exporter.exposition.views import BlockView, RigView, SiteView
from exporter.model.readings import RigIdentity, RigReading
from exporter.polling.attempts import FailureLog

Number: TypeAlias = float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRecord:
    """What a rig reports as broken."""

    code: Annotated[str, "From our list, the same for every vendor."]
    severity: Annotated[str, "`critical`, `warning` or `info`."]
    component: Annotated[str, "Which part, such as `board 1`; empty where the rig does not say."]
    vendor_code: Annotated[str, "The rig's own code or words; empty where it has none."]
    since_timestamp_seconds: Annotated[Number, "When it was first seen, without a break since."]


@dataclass(frozen=True, slots=True, kw_only=True)
class RigRecord:
    """One rig of the inventory."""

    rig: Annotated[str, "Its stable name."]
    address: Annotated[str, "Where it answers."]
    block: Annotated[str, "What can be switched or converted as one."]
    rack: str
    position: str
    customer: str
    tariff: Annotated[str, "The tariff that prices its power."]
    make: Annotated[str, "Empty while it is not identified, like all down to `power_supply_serial`."]
    model: str
    firmware: str
    firmware_version: str
    mac: str
    serial: str
    hostname: str
    algorithm: Annotated[str, "What it hashes: only `SHA256` is bitcoin's, and priced."]
    control_board: Annotated[str, "Its type, as the firmware names it."]
    power_supply_model: str
    power_supply_serial: str
    board_serials: Annotated[Mapping[str, str], "Serial numbers of its hash boards, by board."]
    status: Annotated[str, "`mining`, `stopped`, `expected_off`, `down` or `unknown`."]
    up: Annotated[bool | None, "Whether the last poll succeeded; null before the first."]
    expected_mining: Annotated[bool, "Whether it should hash now."]
    last_success_timestamp_seconds: Annotated[Number, "When it last answered."]
    failure_reason: Annotated[str | None, "Why its last poll failed; null while it answers."]
    failure_detail: Annotated[str | None, "The same in words."]
    faults: Annotated[tuple[FaultRecord, ...], "What it reports as broken."]
    suspended: Annotated[bool | None, "Whether it was told to stop: it sleeps or is paused."]
    power_mode: Annotated[str | None, "Mode, profile or preset, in the firmware's own word."]
    tuner: Annotated[str | None, "`off`, `tuning`, `tuned` or `failed`."]
    hashrate_hashes_per_second: Number
    expected_hashrate_hashes_per_second: Number
    power_watts: Annotated[Number, "At the rig."]
    potential_power_watts: Annotated[Number, "If it ran as it last ran well, where the tariff is billed."]
    power_source: Annotated[str | None, "`metered`, `reported` or `nameplate`."]
    efficiency_joules_per_terahash: Number
    revenue_usd_per_day: Number
    power_cost_usd_per_day: Number
    margin_usd_per_day: Annotated[Number, "Cash margin of what is happening."]
    margin_usd_per_kilowatt_hour: Number
    potential_margin_usd_per_day: Annotated[Number, "Cash margin if it ran as it last ran well."]
    forward_margin_usd_per_day: Annotated[Number, "Cash margin after the next retarget."]
    breakeven_power_price_usd_per_kilowatt_hour: Number
    reassign_score_usd_per_kilowatt_year: Annotated[Number, "AI value less mining margin."]
    verdict: Annotated[str | None, "`mine`, `curtail`, `reassign`, `repair` or `unknown`."]
    verdict_since_timestamp_seconds: Number
    verdict_held: Annotated[bool, "Whether the verdict stands only because its inputs are stale."]


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockRecord:
    """One block. Sums cover the rigs whose inputs are all known."""

    block: str
    rigs: int
    rigs_priced: Annotated[int, "Rigs that the sums of money cover."]
    convertible: Annotated[bool, "Whether it could be converted to AI hosting."]
    moving_cost_usd_per_rig: Annotated[Number, "To move one of its rigs to another block."]
    capacity_watts: Annotated[Number, "What its feeder can carry."]
    power_watts: Number
    hashrate_hashes_per_second: Number
    revenue_usd_per_day: Number
    power_cost_usd_per_day: Number
    margin_usd_per_day: Number
    potential_margin_usd_per_day: Number
    avoidable_loss_usd_per_day: Annotated[Number, "What switching off its losing rigs would save."]
    ai_value_usd_per_day: Number
    reassign_score_usd_per_kilowatt_year: Number
    reassign_payback_years: Number
    power_freed_watts: Annotated[Number, "What its conversion would free."]
    margin_lost_usd_per_day: Annotated[Number, "The mining margin that its conversion would cost."]
    verdict: str | None
    verdict_since_timestamp_seconds: Number
    verdict_held: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TariffRecord:
    """One tariff."""

    power_price_usd_per_kilowatt_hour: Number
    power_price_next_usd_per_kilowatt_hour: Annotated[Number, "Of the next slot, once it is known."]


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketRecord:
    """The market at the evaluation."""

    network_difficulty: Number
    network_block_height: int | None
    network_hashrate_hashes_per_second: Number
    network_subsidy_bitcoins: Number
    network_block_fees_bitcoins: Annotated[Number, "Mean of the last 144 blocks, per block."]
    network_next_difficulty: Annotated[Number, "After the next retarget, estimated."]
    network_retarget_blocks_remaining: int | None
    network_retarget_timestamp_seconds: Number
    network_halving_timestamp_seconds: Number
    bitcoin_price_usd: Number
    hashprice_usd_per_petahash_day: Number
    hashprice_bitcoins_per_petahash_day: Number
    forward_hashprice_usd_per_petahash_day: Annotated[Number, "After the next retarget, all else equal."]
    ai_value_usd_per_kilowatt_hour: Annotated[Mapping[str, float], "By scenario: low, base, high."]
    ai_breakeven_rent_usd_per_kilowatt_month: Number
    tariffs: Annotated[Mapping[str, TariffRecord], "By name."]


_NOBODY = RigIdentity(reader="", make="", model="", algorithm="")


def rig_record(view: RigView, failures: FailureLog) -> RigRecord:
    """Tell of one rig."""
    snapshot, economics, decision = view
    rig, reading = snapshot.rig, snapshot.reading.value if snapshot.reading is not None else None
    identity = snapshot.identity or _NOBODY
    failure = failures.get(rig.name) if snapshot.up is False else None
    return RigRecord(
        rig=rig.name,
        address=rig.address,
        block=rig.block,
        rack=rig.rack,
        position=rig.position,
        customer=rig.customer,
        tariff=rig.tariff,
        make=identity.make,
        model=identity.model,
        firmware=identity.firmware,
        firmware_version=identity.firmware_version,
        mac=identity.mac,
        serial=identity.serial,
        hostname=identity.hostname,
        algorithm=identity.algorithm,
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
        power_mode=None if reading is None else reading.power_mode or None,
        tuner=None if reading is None else reading.tuner,
        hashrate_hashes_per_second=None if reading is None else reading.hashrate,
        expected_hashrate_hashes_per_second=None if reading is None else reading.expected_hashrate,
        power_watts=economics.power,
        potential_power_watts=economics.potential_power,
        power_source=economics.power_source,
        efficiency_joules_per_terahash=economics.efficiency,
        revenue_usd_per_day=economics.revenue,
        power_cost_usd_per_day=economics.power_cost,
        margin_usd_per_day=economics.margin,
        margin_usd_per_kilowatt_hour=economics.margin_per_kwh,
        potential_margin_usd_per_day=economics.potential_margin,
        forward_margin_usd_per_day=economics.forward_margin,
        breakeven_power_price_usd_per_kilowatt_hour=economics.breakeven_power_price,
        reassign_score_usd_per_kilowatt_year=decision.reassign_score,
        verdict=decision.verdict,
        verdict_since_timestamp_seconds=decision.verdict_since,
        verdict_held=decision.held,
    )


def _faults(reading: RigReading, since: tuple[float, ...]) -> Iterator[FaultRecord]:
    for fault, first_seen in zip_longest(reading.faults, since):
        yield FaultRecord(
            code=fault.code,
            severity=fault.severity,
            component=fault.component,
            vendor_code=fault.vendor_code,
            since_timestamp_seconds=first_seen,
        )


def block_record(view: BlockView) -> BlockRecord:
    """Tell of one block."""
    economics, decision = view.economics, view.decision
    return BlockRecord(
        block=economics.name,
        rigs=economics.rigs,
        rigs_priced=economics.priced,
        convertible=view.convertible,
        moving_cost_usd_per_rig=view.block.moving_cost_per_rig,
        capacity_watts=economics.capacity,
        power_watts=economics.power,
        hashrate_hashes_per_second=economics.hashrate,
        revenue_usd_per_day=economics.revenue,
        power_cost_usd_per_day=economics.power_cost,
        margin_usd_per_day=economics.margin,
        potential_margin_usd_per_day=economics.potential_margin,
        avoidable_loss_usd_per_day=economics.avoidable_loss,
        ai_value_usd_per_day=economics.ai_value,
        reassign_score_usd_per_kilowatt_year=decision.reassign_score,
        reassign_payback_years=decision.payback_years,
        power_freed_watts=decision.power_freed,
        margin_lost_usd_per_day=decision.margin_lost,
        verdict=decision.verdict,
        verdict_since_timestamp_seconds=decision.verdict_since,
        verdict_held=decision.held,
    )


def market_record(view: SiteView) -> MarketRecord:
    """Tell of the market."""
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
