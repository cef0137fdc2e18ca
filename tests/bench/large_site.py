"""A large site for the benches: stock Antminers with everything they can say, and every value different each time."""

import random
from functools import cache

from exporter.decision.values import BlockDecision, RigDecision, SiteDecision, Verdict
from exporter.economics.values import BlockEconomics, MarketEconomics, PowerSource, RigEconomics, SiteEconomics
from exporter.exposition.views import SiteView
from exporter.model.fleet import Block, Rig
from exporter.model.readings import Board, Fan, NetworkState, Pool, Reading, RigIdentity, RigReading
from exporter.model.snapshot import RigSnapshot, SiteSnapshot, TariffPrice

TAKEN_AT = 1_774_000_000.0
RIGS_PER_BLOCK = 250


def _reading(rng: random.Random) -> RigReading:
    return RigReading(
        hashrate=rng.uniform(1.8e14, 2.1e14),
        hashrate_window=5.0,
        average_hashrate=rng.uniform(1.8e14, 2.1e14),
        expected_hashrate=rng.uniform(1.9e14, 2e14),
        power=rng.uniform(3_300, 3_600),
        power_limit=float(rng.randint(3_400, 3_600)),
        mining=True,
        fault_light=False,
        login_refused=False,
        uptime=float(rng.randint(1, 10_000_000)),
        accepted_difficulty=float(rng.randint(0, 10_000_000_000)),
        rejected_difficulty=float(rng.randint(0, 10_000_000)),
        discarded_work=float(rng.randint(0, 10_000_000)),
        best_share=float(rng.randint(0, 10_000_000_000)),
        hardware_errors=float(rng.randint(0, 100_000)),
        temperatures=(("inlet", float(rng.randint(20, 40))), ("outlet", float(rng.randint(40, 60)))),
        fans=tuple(Fan(index, float(rng.randint(3_000, 6_000))) for index in range(4)),
        fans_expected=4,
        boards=tuple(
            Board(
                index=index,
                hashrate=rng.uniform(6e13, 7e13),
                temperature=float(rng.randint(55, 70)),
                temperature_min=float(rng.randint(40, 50)),
                temperature_average=rng.randint(200, 220) / 4,
                chip_temperature=float(rng.randint(75, 90)),
                chip_temperature_min=float(rng.randint(55, 65)),
                chip_temperature_average=rng.randint(270, 290) / 4,
                chips=108 - rng.randint(0, 2),
                chips_expected=108,
                frequency=float(rng.randint(400, 600)) * 1e6,
                hardware_errors=float(rng.randint(0, 100_000)),
            )
            for index in range(3)
        ),
        pools=tuple(
            Pool(
                index=index,
                host=f"pool-{index}.example.com",
                scheme="stratum+tcp",
                worker="acme.worker",
                up=True,
                active=index == 0,
                difficulty=524_288.0 if index == 0 else None,
                accepted=float(rng.randint(0, 1_000_000)),
                rejected=float(rng.randint(0, 1_000)),
                stale=float(rng.randint(0, 1_000)),
            )
            for index in range(3)
        ),
    )


def _economics(rng: random.Random) -> RigEconomics:
    return RigEconomics(
        power=rng.uniform(3_300, 3_600),
        power_source=PowerSource.REPORTED,
        efficiency=rng.uniform(15, 20),
        revenue=rng.uniform(5, 8),
        power_cost=rng.uniform(3, 5),
        margin=rng.uniform(-2, 3),
        margin_low=rng.uniform(-2, 3),
        margin_high=rng.uniform(-2, 3),
        potential_margin=rng.uniform(-2, 3),
        allin_margin=rng.uniform(-2, 3),
        forward_margin=rng.uniform(-2, 3),
        margin_per_kwh=rng.uniform(-0.02, 0.03),
        breakeven_power_price=rng.uniform(0.03, 0.09),
        breakeven_hashprice=rng.uniform(20, 40),
        breakeven_bitcoin_price=rng.uniform(40_000, 90_000),
        cost_per_bitcoin=rng.uniform(40_000, 90_000),
    )


@cache
def _known(number: int) -> tuple[Rig, RigIdentity]:
    """A rig and its identity: the same objects at each evaluation, as in the exporter."""
    rig = Rig(
        name=f"rig-{number:05}",
        address=f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}",
        block=f"container-{number // RIGS_PER_BLOCK}",
        rack=f"r{number % 10}",
        position=str(number % 25),
        tariff="ppa",
        rated_hashrate=2e14,
        rated_power=3_480.0,
    )
    identity = RigIdentity(
        reader="antminer", make="AntMiner", model="S21", firmware="stock", firmware_version="49.0.1.3"
    )
    return rig, identity


def large_site(rigs: int, seed: int) -> SiteView:
    """A site of so many rigs, in blocks of 250; another seed changes every value."""
    rng = random.Random(seed)
    known = [_known(number) for number in range(rigs)]
    blocks = sorted({rig.block for rig, _ in known})
    snapshots = tuple(
        RigSnapshot(
            rig=rig,
            identity=identity,
            up=True,
            last_success=TAKEN_AT - rng.uniform(0, 30),
            reading=Reading(_reading(rng), TAKEN_AT),
            work_hashrate=rng.uniform(1.8e14, 2.1e14),
            energy=rng.uniform(1e9, 1e12),
        )
        for rig, identity in known
    )
    return SiteView(
        snapshot=SiteSnapshot(
            taken_at=TAKEN_AT + seed,
            rigs=snapshots,
            blocks=tuple(Block(name=name) for name in blocks),
            network=Reading(NetworkState(height=942_472, difficulty=133.79e12), TAKEN_AT),
            bitcoin_price=Reading(70_370.0, TAKEN_AT),
            tariffs={"ppa": TariffPrice(rng.uniform(0.03, 0.07))},
        ),
        economics=SiteEconomics(
            market=MarketEconomics(hashprice_usd=rng.uniform(30, 36)),
            rigs=tuple(_economics(rng) for _ in snapshots),
            blocks=tuple(BlockEconomics(name=name, margin=rng.uniform(-100, 100)) for name in blocks),
        ),
        decision=SiteDecision(
            rigs=tuple(
                RigDecision(
                    reassign_score=rng.uniform(-100, 300), verdict=Verdict.MINE, verdict_since=TAKEN_AT - rng.random()
                )
                for _ in snapshots
            ),
            blocks=tuple(BlockDecision(name=name, reassign_score=rng.uniform(-100, 300)) for name in blocks),
        ),
    )
