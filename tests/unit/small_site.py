"""A small site with one of everything: three rigs (one well, one stopped, one down), two blocks, one GPU."""

from dataclasses import replace
from zoneinfo import ZoneInfo

from exporter.decision.change import MarginChange
from exporter.decision.dayplan.problem import Group, OperatingPoint, Plan, Problem, Slot
from exporter.decision.dayplan.timetable import Timetable
from exporter.decision.dayplan.worth import Money, Worth
from exporter.decision.model_curves import ModelCurve, ModelPoint, Product
from exporter.decision.pool_work import PoolBalance, Reconciliation, WorkerState
from exporter.decision.setpoints import NO_SETPOINTS, Setpoint, SiteSetpoints, sum_block
from exporter.decision.values import BlockDecision, BlockOutlook, RigDecision, SiteDecision, Verdict
from exporter.economics.compliance import ComplianceMemory, ObligationStatus
from exporter.economics.hosting import ContractSettings, UptimePromise
from exporter.economics.peaks import DayPeak, PastPeak, PeakEconomics
from exporter.economics.points import Candidate, Curve, Trust
from exporter.economics.reconciliation import PayoutBalance, WorkBalance
from exporter.economics.settlement import Settlement
from exporter.economics.values import (
    BlockEconomics,
    Books,
    CustomerEconomics,
    Deciding,
    GpuEconomics,
    LeaseEconomics,
    MarketEconomics,
    PowerSource,
    PricingFeed,
    RentingEconomics,
    RigEconomics,
    SiteEconomics,
)
from exporter.exposition.settings import ExpositionSettings, GroupSettings
from exporter.exposition.views import PlanView, Shard, SiteView
from exporter.model.fault_codes import FaultCode
from exporter.model.fleet import Block, Rig
from exporter.model.obligations import Obligation, ObligationKind, SiteObligations
from exporter.model.readings import (
    Board,
    Commitment,
    Fan,
    GpuPrice,
    GpuReading,
    NetworkState,
    Pool,
    PowerSupply,
    Reading,
    RigIdentity,
    RigReading,
    TunerState,
)
from exporter.model.snapshot import RigSnapshot, SiteSnapshot, TariffPrice
from exporter.sources.rigs.faults import fault

TAKEN_AT = 1_774_000_000.0

ALL_GROUPS = ExpositionSettings(groups=GroupSettings(**dict.fromkeys(GroupSettings.model_fields, True)))

WELL = RigSnapshot(
    rig=Rig(
        name="a-01",
        address="10.1.1.1",
        block="north",
        rack="r1",
        position="3",
        customer="acme",
        tariff="ppa",
        rated_hashrate=200e12,
        rated_power=3500.0,
    ),
    identity=RigIdentity(
        reader="antminer",
        make="Bitmain",
        model="Antminer S21",
        firmware="stock",
        firmware_version="49.0.1.3",
        mac="02:00:00:00:00:01",
        serial="SN1",
        hostname="a-01",
        algorithm="SHA256",
        api_version="3.1",
        control_board="CB6V10",
        power_supply_model="APW17",
        power_supply_serial="PSN1",
        board_serials=((0, "BSN0"), (1, "BSN1")),
    ),
    up=True,
    last_success=TAKEN_AT - 4.5,
    rating_ratio=1.05,
    reading=Reading(
        RigReading(
            hashrate=2.001e14,
            hashrate_window=5.0,
            average_hashrate=1.99e14,
            expected_hashrate=2e14,
            power=3500.0,
            power_limit=3600.0,
            power_target=3550.0,
            power_supply=PowerSupply(
                input_voltage=231.0,
                input_current=15.2,
                input_power=3510.0,
                output_voltage=13.8,
                output_current=242.0,
                output_power=3340.0,
                fan_rpm=6000.0,
                temperature=47.0,
            ),
            mining=True,
            suspended=False,
            power_mode="normal",
            tuner=TunerState.TUNED,
            fault_light=False,
            login_refused=False,
            uptime=86_400.0,
            system_uptime=86_460.0,
            firmware_fee=0.02,
            accepted_difficulty=1.05e9,
            rejected_difficulty=2.1e6,
            discarded_work=4528.0,
            best_share=1.29e10,
            last_share_at=1_774_130_396.0,
            hardware_errors=12.0,
            hardware_error_ratio=0.0004,
            temperatures=(("inlet", 24.5), ("outlet", 51.0)),
            thermal_margin=13.0,
            fans=(Fan(0, 4200.0), Fan(1, None)),
            fans_expected=4,
            fan_duty=0.65,
            boards=(
                Board(
                    index=0,
                    hashrate=1e14,
                    expected_hashrate=1e14,
                    temperature=60.0,
                    temperature_min=46.0,
                    temperature_average=53.25,
                    chip_temperature=72.0,
                    chip_temperature_min=55.0,
                    chip_temperature_average=64.5,
                    chips=108,
                    chips_expected=108,
                    frequency=4.9e8,
                    voltage=13.8,
                    power=1160.0,
                    hardware_errors=5.0,
                ),
                Board(index=1, hashrate=1.001e14, chips=107, chips_expected=108, failed_chips=(17,)),
            ),
            pools=(
                Pool(
                    index=0,
                    host="pool.example.com",
                    scheme="stratum+tcp",
                    worker="acme.a-01",
                    up=True,
                    active=True,
                    difficulty=524_288.0,
                    accepted=1000.0,
                    rejected=2.0,
                    stale=1.0,
                ),
                Pool(
                    index=1, host="spare.example.com", scheme="stratum+ssl", worker="acme.a-01", up=False, active=False
                ),
            ),
            faults=(
                fault(FaultCode.BOARD_CHIPS, "board 1", "0x17"),
                fault(FaultCode.BOARD_CHIPS, "board 1", "0x18"),
                fault(FaultCode.FAN_MISSING),
            ),
        ),
        TAKEN_AT - 4.5,
    ),
    work_hashrate=1.98e14,
    energy=3.024e8,
    worker_expected=True,
    faults_since=(TAKEN_AT - 7200.0, TAKEN_AT - 7200.0, TAKEN_AT - 600.0),
)

STOPPED = RigSnapshot(
    rig=Rig(name="a-02", address="10.1.1.2", block="north"),
    up=True,
    last_success=TAKEN_AT - 9.0,
    reading=Reading(RigReading(hashrate=0.0, power=30.0, mining=False), TAKEN_AT - 9.0),
)

DOWN = RigSnapshot(rig=Rig(name="b-01", address="10.1.2.1", block="south"), up=False, last_success=TAKEN_AT - 3600.0)

NEVER_POLLED = RigSnapshot(rig=Rig(name="b-02", address="10.1.2.2", block="south"))

SWITCHED_OFF = RigSnapshot(
    rig=Rig(name="b-03", address="10.1.2.3", block="south"),
    up=False,
    expected_mining=False,
    off_because=ObligationKind.CALL,
)

WORK = WorkBalance(
    reported=1.96e14,
    accepted=1.95e14,
    credited=1.90e14,
    deficit=0.030612,
    sigmas=6.57,
    error=0.00466,
    luck=-0.005102,
    leak=True,
    leak_per_day=0.2,
)

RIGS = (WELL, STOPPED, DOWN, NEVER_POLLED, SWITCHED_OFF)


def planned() -> PlanView:
    """Off now and on again in an hour, with a limit that leaves 100 W too much."""
    points = (OperatingPoint(name="off", work=0.0, kilowatts=0.0), OperatingPoint(name="on", work=0.2, kilowatts=3.6))
    ahead = tuple(Slot(start=TAKEN_AT + 3600 * hour, end=TAKEN_AT + 3600 * (hour + 1)) for hour in range(2))
    group = Group(block="north", name="Antminer S21 / ppa / on", points=points, prices=(0.3, 0.05), now=1)
    problem = Problem(asked_at=TAKEN_AT - 60, slots=ahead, hashprices=(33.3, 33.3), groups=(group,))
    plan = Plan(
        problem=problem, choices=((0, 1),), value=0.0975, bound=0.1, broken=0, violations=(0.0, 0.1), excess=0.0
    )
    worth = Worth(at=TAKEN_AT, today=Money(3.5, 3.25, -0.5), yesterday=Money(4.0, 3.0, 2.0))
    return PlanView(timetable=Timetable(plan=plan, now=TAKEN_AT), worth=worth)


def operating() -> SiteSetpoints:
    """Setpoints of the rig that runs well: its firmware's estimate is a tenth too low, and a lower point earns more."""

    def point(name: str, hashrate: float, power: float, trust: Trust = Trust.MEASURED) -> Candidate:
        return Candidate(
            name=name,
            hashrate=hashrate,
            power=power,
            source=PowerSource.METERED,
            kwh=power * 0.024,
            trust=trust,
            error=0.01,
        )

    stock, low = point("3500 W", 200e12, 3_500.0), point("2600 W", 180e12, 2_600.0, Trust.ESTIMATE)
    setpoint = Setpoint(
        in_force=stock,
        best=low,
        best_margin=2.874,
        best_margin_low=2.843,
        best_margin_high=2.905,
        gain=0.414,
        gain_low=0.403,
        valid_until=TAKEN_AT + 300,
        value=33.3e-15,
        price=0.05,
    )
    return SiteSetpoints(
        curves=(Curve.of([stock, low], 0.1), *[Curve()] * (len(RIGS) - 1)),
        rigs=(setpoint, *[None] * (len(RIGS) - 1)),
        blocks=(sum_block("north", [setpoint, None]), sum_block("south", [None])),
    )


CHANGE = MarginChange(
    since=TAKEN_AT - 86_700.0,
    before=2.0,
    after=2.22,
    causes={
        "bitcoin_price": 0.5,
        "difficulty": -0.75,
        "subsidy": 0.0,
        "fees": 0.02,
        "power_price": 0.2,
        "hashrate": 0.1,
        "efficiency": 0.05,
        "uptime": 0.1,
    },
)


def small_site() -> SiteView:
    """The site, with every figure that the catalogue knows."""
    return SiteView(
        plan=planned(),
        setpoints=operating(),
        model_curves=(
            ModelCurve(
                product=Product("Antminer S21", "Stock"),
                points=(
                    ModelPoint(name="2600 W", rigs=1, hashrate=180e12, power=2_600.0, marginal=14.444),
                    ModelPoint(name="3000 W", rigs=1, hashrate=185e12, power=3_000.0, marginal=None),
                    ModelPoint(name="3500 W", rigs=2, hashrate=200e12, power=3_500.0, marginal=45.0),
                ),
                breakeven=27.75,
            ),
        ),
        contracts={
            "acme-2026": ContractSettings(
                timezone=ZoneInfo("America/Chicago"),
                usd_per_kilowatt_hour=0.05,
                curtailment_credit_share=0.5,
                uptime=UptimePromise(measure="sla", promised=0.98),
            )
        },
        obligations=(
            ObligationStatus(
                source="utility",
                event="e-7",
                kind=ObligationKind.CALL,
                program="ERS",
                reason="heat",
                blocks=("south",),
                level=2,
                end=TAKEN_AT + 1800.0,
                cap=4_000.0,
                floor=1_000.0,
                delivered=3_900.0,
                projected=3_950.0,
                power=3_990.0,
            ),
        ),
        compliance=ComplianceMemory(counts={("utility", "call", "kept"): 3}),
        peaks=(
            PeakEconomics(
                name="4cp",
                probability=0.1,
                expected_cost=1.75,
                usd_per_kilowatt=17.5,
                grid=8.1e10,
                threshold=8.2e10,
                past=(PastPeak(1, DayPeak(TAKEN_AT - 86_400.0, 8.2e10, 2_000.0, 9_000.0), 35.0, 122.5),),
            ),
        ),
        change=CHANGE,
        settlement=Settlement(day_ahead=9_600.0, real_time=-57_600.0, capacity=960.0),
        snapshot=SiteSnapshot(
            taken_at=TAKEN_AT,
            rigs=RIGS,
            blocks=(Block(name="north", capacity_watts=10_000.0), Block(name="south")),
            network=Reading(
                NetworkState(height=942_472, difficulty=133.79e12, block_fees=0.0222, block_interval=598.5), TAKEN_AT
            ),
            bitcoin_price=Reading(70_370.0, TAKEN_AT),
            tariffs={"ppa": TariffPrice(0.05, 0.06), "spot": TariffPrice(-0.012)},
            obligations=SiteObligations(
                listed=(Obligation(kind=ObligationKind.AWARD, start=TAKEN_AT + 3600.0, source="utility"),),
                known={"utility": True, "broker": False},
            ),
            gpus=(
                GpuReading(
                    gpu="GPU-1",
                    model="NVIDIA H100 80GB HBM3",
                    hostname="node-1",
                    power=650.0,
                    energy=1.2e9,
                    utilization=0.93,
                    engine_active=0.88,
                    memory_used=6.4e10,
                    temperature=61.0,
                    allocated=True,
                    xid_error=63,
                ),
            ),
            ai_prices={
                "vast": (
                    GpuPrice(model="H100 SXM", commitment=Commitment.FIRM, price=2.01, low=1.6, high=2.67, offers=352),
                ),
                "ornn": (GpuPrice(model="H100 SXM", commitment=Commitment.INTERRUPTIBLE, price=1.85),),
            },
        ),
        economics=SiteEconomics(
            market=MarketEconomics(
                subsidy=3.125,
                hashprice_usd=33.3,
                payout_usd=33.3,
                hashprice_btc=0.00047321,
                forward_hashprice_usd=34.1,
                network_hashrate=9.57e20,
                next_difficulty=130.6e12,
                retarget_blocks_remaining=1016,
                retarget_time=TAKEN_AT + 610_000.0,
                retarget_confident=True,
                halving_time=TAKEN_AT + 64_000_000.0,
                ai_value_per_kwh=(("low", 0.004), ("base", 0.0175), ("high", 0.04)),
                ai_breakeven_rent=128.9,
                ai_pricing=PricingFeed("vast", "H100 SXM", Commitment.FIRM),
            ),
            rigs=(
                RigEconomics(
                    power=3500.0,
                    power_source=PowerSource.REPORTED,
                    billed_power=3605.0,
                    efficiency=17.49,
                    revenue=6.58,
                    power_cost=4.326,
                    margin=2.254,
                    margin_low=1.8,
                    margin_high=2.7,
                    power_price=0.05,
                    marginal_price=0.05,
                    paid_share=1.0,
                    judged_price=0.05,
                    allin_breakeven_hashprice=29.9178,
                    allin_cost_per_bitcoin=63_222.7,
                    potential_revenue=6.58,
                    potential_margin=2.254,
                    potential_power=3605.0,
                    allin_margin=0.9,
                    forward_margin=2.4,
                    margin_per_kwh=0.026,
                    breakeven_power_price=0.076,
                    breakeven_hashprice=21.89,
                    breakeven_bitcoin_price=46_262.0,
                    cost_per_bitcoin=46_262.0,
                    opportunity_margin=0.45,
                    books=Books(
                        customer_margin=0.43,
                        host_margin=1.82,
                        contract="acme-2026",
                        space_fee=1.38,
                        work_factor=1.0,
                        energy_charge_per_kwh=0.05,
                        customer_revenue=6.51,
                        customer_potential=0.45,
                        curtailment_income=0.0,
                        host_best=0.5,
                    ),
                ),
                RigEconomics(
                    power=30.0, power_source=PowerSource.REPORTED, revenue=0.0, power_cost=0.036, margin=-0.036
                ),
                RigEconomics(),
                RigEconomics(),
                RigEconomics(),
            ),
            blocks=(
                BlockEconomics(
                    name="north",
                    rigs=2,
                    priced=2,
                    capacity=10_000.0,
                    power=3530.0,
                    hashrate=2.001e14,
                    revenue=6.58,
                    power_cost=4.362,
                    margin=2.218,
                    billed_power=3635.9,
                    potential_margin=4.5,
                    host_margin=1.82,
                    deciding=Deciding(margin=0.414, cost=4.362, forward_margin=0.2, allin_margin=-0.96),
                    avoidable_loss=0.0,
                    ai_value=4.2,
                    mining_value=31.5,
                    sale_income=0.0,
                    allin_cost=5.9,
                    allin_breakeven_hashprice=29.9178,
                    allin_cost_per_bitcoin=63_222.7,
                ),
                BlockEconomics(name="south", rigs=3),
            ),
            gpus=(
                GpuEconomics(
                    contracted=True,
                    billed_power=1_333.3,
                    revenue=50.4,
                    power_cost=1.6,
                    margin=48.8,
                    margin_per_kwh=1.53,
                    market_value=36.18,
                    market_margin=22.4,
                    unrented_cost=0.0,
                ),
            ),
            renting=(
                RentingEconomics(
                    feed="vast",
                    model="H100 SXM",
                    commitment=Commitment.FIRM,
                    scenario="base",
                    margin_per_kwh=0.7369,
                    margin_per_kilowatt_year=5196.73,
                ),
            ),
            leases=(
                LeaseEconomics(
                    lease="north-hall",
                    tenant="tenant-a",
                    commitment=Commitment.FIRM,
                    start=1_767_225_600.0,
                    power=20e6,
                    revenue=98_630.1,
                    value_per_kilowatt_year=1_800.0,
                ),
            ),
            customers=(CustomerEconomics(name="acme", margin=0.43, avoidable_loss=0.0),),
        ),
        decision=SiteDecision(
            rigs=(
                RigDecision(reassign_score=-74.5, verdict=Verdict.MINE, verdict_since=TAKEN_AT - 7200.0),
                RigDecision(verdict=Verdict.REPAIR, verdict_since=TAKEN_AT - 60.0),
                RigDecision(),
                RigDecision(),
                RigDecision(),
            ),
            blocks=(
                BlockDecision(
                    name="north",
                    reassign_score=-74.5,
                    payback_years=6.54,
                    verdict=Verdict.MINE,
                    margin_lost=6.25,
                    power_freed=10_000.0,
                    unused_power=6_400.0,
                    conversion_margin=128.2714,
                    low_score=-90.5,
                    margin_lines={"revenue": 694.5429, "power": -438.0, "opex": -128.2715},
                    watched=9 * 86_400.0,
                    needed=14 * 86_400.0,
                    evidence=0.6429,
                    dwell=0.0,
                    coverage=1.0,
                    outlook=BlockOutlook(probability=0.31, lead=-12.5, waiting={3: 12.5, 6: 11.0, 12: 4.0, 48: -260.0}),
                ),
                BlockDecision(name="south"),
            ),
        ),
        shard=Shard(0, 2),
        reconciliation=Reconciliation(
            rigs={"a-01": WORK},
            blocks={"north": WORK},
            site=WORK,
            workers={"a-01": WorkerState(True, TAKEN_AT - 30.0), "a-02": WorkerState(False, None)},
            pools={
                "main": PoolBalance(
                    workers=3,
                    unmatched=1,
                    hashrate=3.9e14,
                    implausible=False,
                    payout=PayoutBalance(
                        day=1_773_878_400.0, expected=0.00018, paid=0.000175, shortfall=0.02777778, luck=None
                    ),
                ),
                "ocean": PoolBalance(payout=PayoutBalance(day=1_773_878_400.0, expected=0.0001, paid=0.0002, luck=2.0)),
            },
        ),
    )


def fleet_of(count: int) -> SiteView:
    """As many rigs as wanted, all down, named r-000 and on."""
    view = small_site()
    rigs = tuple(replace(DOWN, rig=replace(DOWN.rig, name=f"r-{number:03}")) for number in range(count))
    return replace(
        view,
        setpoints=NO_SETPOINTS,
        model_curves=(),
        snapshot=replace(view.snapshot, rigs=rigs),
        economics=replace(view.economics, rigs=(RigEconomics(),) * count),
        decision=replace(view.decision, rigs=(RigDecision(),) * count),
    )
