import asyncio
import contextlib
import math
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from own_network import OWN
from structlog.testing import capture_logs
from virtual_time import run, unix_clock

from exporter.model.failures import Failure, Reason
from exporter.model.fault_codes import FaultCode
from exporter.model.fleet import Credentials, Rig
from exporter.model.readings import Board, ExpectedOff, Pool, RigIdentity, RigReading
from exporter.model.snapshot import RigSnapshot
from exporter.polling.downtime import Downtime
from exporter.polling.ledger import RigLedger, RigMemory
from exporter.polling.rigs import RigPoller
from exporter.polling.roster import phase
from exporter.polling.schedules import ScheduleSettings
from exporter.polling.settings import PollingSettings
from exporter.sources.rigs import coerce
from exporter.sources.rigs.contract import Target
from exporter.sources.rigs.faults import fault
from exporter.sources.rigs.logins import login_attempt
from exporter.telemetry import Telemetry

TERMS = PollingSettings()
IDENTITY = RigIdentity(
    reader="fake", make="Acme", model="A1", firmware="stock", firmware_version="1", mac="02:00:00:00:00:01"
)
READING = RigReading(hashrate=100e12, expected_hashrate=100e12, power=3000.0, mining=True)


def fleet(count: int, **fields: object) -> list[Rig]:
    return [Rig(name=f"rig-{i}", address=f"rig-{i}", **fields) for i in range(count)]


class Site:
    """Rigs that answer as configured. ``behaviour`` maps an address to what a read does; the rest answer at once."""

    def __init__(self) -> None:
        self.behaviour: dict[str, Callable[[], RigReading] | float | Exception] = {}
        self.identities: dict[str, RigIdentity | float | Exception] = {}
        self.reads: dict[str, list[float]] = defaultdict(list)
        self.identifications: dict[str, list[float]] = defaultdict(list)
        self.in_flight: Counter[str] = Counter()
        self.most_in_flight: Counter[str] = Counter()
        self.cancelled = 0

    async def identify(self, target: Target) -> RigIdentity:
        self.identifications[target.address].append(asyncio.get_running_loop().time())
        with self._counted("identify"):
            answer = self.identities.get(target.address, IDENTITY)
            if isinstance(answer, float):
                await asyncio.sleep(answer)
                answer = IDENTITY
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def read(self, target: Target, identity: RigIdentity) -> RigReading:  # noqa: ARG002
        self.reads[target.address].append(asyncio.get_running_loop().time())
        behaviour = self.behaviour.get(target.address, lambda: READING)
        with self._counted("read", target.address):
            if isinstance(behaviour, float):
                await asyncio.sleep(behaviour)
                return READING
        if isinstance(behaviour, BaseException):
            raise behaviour
        return behaviour()

    @contextlib.contextmanager
    def _counted(self, *keys: str) -> Iterable[None]:
        self.in_flight.update(keys)
        for key in keys:
            self.most_in_flight[key] = max(self.most_in_flight[key], self.in_flight[key])
        try:
            yield
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.in_flight.subtract(keys)


@asynccontextmanager
async def polling(poller: RigPoller) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(poller.run())
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def make(rigs: Iterable[Rig], site: Site, settings: PollingSettings = TERMS, **options: object) -> RigPoller:
    options.setdefault("telemetry", Telemetry())
    return RigPoller(rigs, site, settings, clock=unix_clock, rng=random.Random(7), **options)


def known(rigs: Iterable[Rig]) -> dict[str, RigMemory]:
    return {rig.name: RigMemory(identity=IDENTITY) for rig in rigs}


def only(poller: RigPoller) -> RigSnapshot:
    (snapshot,) = poller.snapshots(unix_clock())
    return snapshot


def _punctual(telemetry: Telemetry) -> tuple[float, float]:
    """Polls of healthy rigs so far, and those of them that began within 0.05 s of their time."""
    value = telemetry.registry.get_sample_value
    polls = value("mining_poll_lateness_seconds_count")
    punctual = value("mining_poll_lateness_seconds_bucket", {"le": "0.05"})
    assert polls is not None
    assert punctual is not None
    return polls, punctual


def gaps(times: list[float]) -> list[int]:
    return [round(later - earlier) for earlier, later in pairwise(times)]


# --- many rigs that hang ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "hanging"), [(3_000, 1_500), (10_000, 5_000)])
def test_many_rigs_that_begin_to_hang_cost_the_others_no_poll(count: int, hanging: int) -> None:
    async def main() -> None:
        site, rigs, telemetry = Site(), fleet(count), Telemetry()
        poller = make(rigs, site, remembered=known(rigs), telemetry=telemetry)
        async with polling(poller):
            await asyncio.sleep(31)
            for rig in rigs[:: count // hanging]:
                site.behaviour[rig.address] = 3600.0
            before = telemetry.registry.get_sample_value("mining_poll_lateness_seconds_count")
            healthy = [rig.address for rig in rigs if rig.address not in site.behaviour]
            await asyncio.sleep(2 * 30)
            assert all(max(gaps(site.reads[address][1:])) <= 31 for address in healthy)
            assert all(len(site.reads[address]) >= 3 for address in healthy)
            value = telemetry.registry.get_sample_value
            polls = value("mining_poll_lateness_seconds_count") - before
            in_time = value("mining_poll_lateness_seconds_bucket", {"le": "1.0"}) - before
            assert in_time >= 0.99 * polls

    run(main())


def test_more_polls_that_hang_than_may_be_in_flight_end_early() -> None:
    async def main() -> None:
        site, rigs = Site(), fleet(2_000)
        settings = TERMS.model_copy(update={"max_in_flight": 20, "max_identifying": 5})
        poller = make(rigs, site, settings, remembered=known(rigs))
        async with polling(poller):
            await asyncio.sleep(31)
            for rig in rigs[::2]:
                site.behaviour[rig.address] = 3600.0
            healthy = [rig.address for rig in rigs[1::2]]
            await asyncio.sleep(2 * 30)
            assert all(max(gaps(site.reads[address][1:])) <= 32 for address in healthy)
            ups = [snapshot.up for snapshot in poller.snapshots(unix_clock())]
            assert ups == [False, True] * 1_000
            assert any("while many rigs hang" in attempt.detail for attempt in poller.failures.latest(2_000))
        assert site.in_flight.total() == 0

    run(main())


# --- when each rig is asked -------------------------------------------------------------------------------------------


def test_each_rig_is_read_once_per_interval_at_its_own_moment() -> None:
    async def main() -> None:
        site, rigs = Site(), fleet(500)
        async with polling(make(rigs, site, remembered=known(rigs))):
            await asyncio.sleep(5 * 30)
        assert {len(times) for times in site.reads.values()} == {5}
        assert all(set(gaps(times[1:])) == {30} for times in site.reads.values())
        per_second = Counter(int(times[1]) for times in site.reads.values())
        assert max(per_second.values()) < 50

    run(main())


def test_the_first_round_is_over_in_three_quarters_of_an_interval_and_then_each_rig_keeps_its_slot() -> None:
    async def main() -> None:
        site, rigs, telemetry = Site(), fleet(1000), Telemetry()
        poller = make(rigs, site, remembered=known(rigs), telemetry=telemetry)
        started = asyncio.get_running_loop().time()
        async with polling(poller):
            await asyncio.wait_for(poller.first_round.wait(), 0.75 * 30 + 0.05)
            assert {len(times) for times in site.reads.values()} == {1}
            await asyncio.sleep(2 * 30)
        assert all(30 - 0.05 < times[1] - times[0] < 1.25 * 30 + 0.05 for times in site.reads.values())
        for rig in rigs:
            late = site.reads[rig.address][1] - phase(rig.address) * 30
            assert (late + 0.001) % 30 < 0.05
        first, second = (Counter((times[i] - started) // 5 for times in site.reads.values()) for i in (0, 1))
        assert max(first.values()) < 1.2 * 1000 * 5 / (0.75 * 30)  # spread evenly, whatever the slot
        assert max((first + second).values()) < 1.2 * 1000 * 5 / (0.75 * 30)  # none is read twice meanwhile
        polls, punctual = _punctual(telemetry)
        assert polls == punctual

    run(main())


def test_a_rig_that_is_added_is_read_within_the_interval_and_disturbs_no_other() -> None:
    async def main() -> None:
        site, rigs = Site(), fleet(20)
        poller = make(rigs, site, remembered=known(rigs))
        async with polling(poller):
            await asyncio.sleep(100)
            poller.replace([*rigs, Rig(name="new", address="new")], {})
            await asyncio.sleep(0.75 * 30 + 0.05)
            assert len(site.reads["new"]) == 1
            await asyncio.sleep(100)
        assert all(set(gaps(site.reads[rig.address][1:])) == {30} for rig in rigs)

    run(main())


def test_the_first_round_keeps_to_the_limit_in_flight() -> None:
    async def main() -> None:
        site, rigs = Site(), fleet(200)
        site.behaviour = {rig.address: 2.0 for rig in rigs}
        settings = PollingSettings(max_in_flight=15, identify_every=1e9)  # an interval needs 13.3, the first round 17.8
        poller = make(rigs, site, settings, remembered=known(rigs))
        async with polling(poller):
            await asyncio.wait_for(poller.first_round.wait(), 30)
            await asyncio.sleep(120)
        assert 15 < site.most_in_flight["read"] <= 15 + 4 * 15  # polls of 2 s leave the limit to others
        assert {site.most_in_flight[rig.address] for rig in rigs} == {1}

    run(main())


@given(prefix=st.text(max_size=20))
def test_names_spread_evenly_over_the_interval(prefix: str) -> None:
    phases = [phase(f"{prefix}{i}") for i in range(1000)]
    tenths = Counter(int(value * 10) for value in phases)
    assert set(tenths) <= set(range(10))
    assert all(50 < tenths[tenth] < 150 for tenth in range(10))


def test_the_phase_of_a_name_is_the_same_in_every_process() -> None:
    assert phase("a-01") == pytest.approx(0.892240, abs=1e-6)


def test_no_more_than_the_limit_are_in_flight() -> None:
    async def main() -> None:
        site, rigs = Site(), fleet(100)
        site.behaviour = {rig.address: 4.0 for rig in rigs}
        settings = PollingSettings(
            max_in_flight=7, identify_every=1e9
        )  # those who are asked that have a limit of their own
        async with polling(make(rigs, site, settings, remembered=known(rigs))):
            await asyncio.sleep(120)
        assert 7 < site.most_in_flight["read"] <= 7 + 4 * 7  # polls of 4 s leave the limit to others
        assert len(site.reads) == 100

    run(main())


def test_a_slow_rig_is_never_read_twice_at_once() -> None:
    async def main() -> None:
        site, rigs = Site(), fleet(20)
        site.behaviour = {rig.address: 9.0 for rig in rigs}
        settings = PollingSettings(interval=10.0, deadline=10.0, max_in_flight=4)
        async with polling(make(rigs, site, settings, remembered=known(rigs))):
            await asyncio.sleep(300)
        assert {site.most_in_flight[rig.address] for rig in rigs} == {1}

    run(main())


def test_hung_rigs_delay_no_healthy_one() -> None:
    async def main() -> None:
        site, telemetry = Site(), Telemetry()
        healthy, hung = fleet(200), [Rig(name=f"hung-{i}", address=f"hung-{i}") for i in range(1000)]
        site.behaviour = {rig.address: math.inf for rig in hung}
        poller = make(healthy + hung, site, remembered=known(healthy + hung), telemetry=telemetry)
        started = asyncio.get_running_loop().time()
        async with polling(poller):
            await asyncio.sleep(2 * 30)
            first_rounds = _punctual(telemetry)
            await asyncio.sleep(18 * 30)
            snapshots = {snapshot.rig.name: snapshot for snapshot in poller.snapshots(unix_clock())}
        assert all(set(gaps(site.reads[rig.address][1:])) == {30} for rig in healthy)
        assert all(snapshots[rig.name].reading is not None for rig in healthy)
        assert all(site.reads[rig.address][0] - started < 30 for rig in healthy)
        assert all(snapshots[rig.name].up is False for rig in hung)
        (polls, punctual), (polls_before, punctual_before) = _punctual(telemetry), first_rounds
        assert polls - polls_before == punctual - punctual_before > 0

    run(main())


def test_a_failing_rig_is_asked_ever_less_often_until_it_recovers() -> None:
    async def main() -> None:
        site, rigs = Site(), fleet(1)
        site.behaviour["rig-0"] = Failure(Reason.REFUSED, "closed")
        async with polling(make(rigs, site, PollingSettings(identify_after_failures=100), remembered=known(rigs))):
            await asyncio.sleep(3600)
            pauses = gaps(site.reads["rig-0"])
            assert pauses[0] in range(30, 38)  # the first poll comes ahead of its slot
            assert pauses[1] in {30, 60}
            assert all(150 <= pause <= 300 for pause in pauses[4:])
            assert len(set(pauses[4:])) > 1  # jitter
            del site.behaviour["rig-0"]
            await asyncio.sleep(300)
            before = len(site.reads["rig-0"])
            await asyncio.sleep(300)
            assert set(gaps(site.reads["rig-0"])[before:]) == {30}

    run(main())


def test_the_first_round_is_over_once_every_rig_was_tried() -> None:
    async def main() -> None:
        site, rigs = Site(), fleet(50)
        site.behaviour["rig-7"] = Failure(Reason.UNREACHABLE, "no route")
        poller = make(rigs, site)
        assert not poller.first_round.is_set()
        async with polling(poller):
            await asyncio.wait_for(poller.first_round.wait(), 31)
        assert all(snapshot.up is not None for snapshot in poller.snapshots(unix_clock()))

    run(main())


def test_without_rigs_the_first_round_is_over() -> None:
    async def main() -> None:
        assert make([], Site()).first_round.is_set()

    run(main())


def test_stopping_cancels_what_is_in_flight() -> None:
    async def main() -> None:
        site, rigs = Site(), fleet(50)
        site.behaviour = {rig.address: math.inf for rig in rigs}
        settings = PollingSettings(interval=30.0, deadline=30.0)
        async with polling(make(rigs, site, settings, remembered=known(rigs))):
            await asyncio.sleep(31 - 2)
            flying = site.in_flight["read"]
            assert flying > 25
            began = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() == began
        assert site.in_flight["read"] == 0
        assert site.cancelled == flying
        assert len(asyncio.all_tasks()) == 1

    run(main())


# --- what is known of each ------------------------------------------------------------------------------------------


def test_a_reading_outlives_one_lost_poll_then_vanishes() -> None:
    async def main() -> None:
        site, rigs = Site(), fleet(1)
        poller = make(rigs, site, remembered=known(rigs))
        async with polling(poller):
            assert only(poller).up is None
            await asyncio.sleep(31)
            read_at = site.reads["rig-0"][-1]
            good = only(poller)
            assert (good.up, good.reading.value, good.last_success) == (True, READING, good.reading.observed_at)
            site.behaviour["rig-0"] = Failure(Reason.TIMEOUT, "hangs")
            await asyncio.sleep(read_at + 74 - asyncio.get_running_loop().time())
            assert (only(poller).up, only(poller).reading) == (False, good.reading)
            await asyncio.sleep(2)
            gone = only(poller)
        assert gone == RigSnapshot(
            rig=rigs[0], identity=IDENTITY, up=False, last_success=good.last_success, last_good=good.last_good
        )

    run(main())


def test_what_did_not_change_is_the_same_object() -> None:
    async def main() -> None:
        site, rigs = Site(), fleet(20)
        poller = make(rigs, site, remembered=known(rigs))
        async with polling(poller):
            await asyncio.sleep(31)
            first = poller.snapshots(unix_clock())
            assert all(a is b for a, b in zip(first, poller.snapshots(unix_clock() + 1), strict=True))
            await asyncio.sleep(30)
            assert not any(a is b for a, b in zip(first, poller.snapshots(unix_clock()), strict=True))

    run(main())


def test_energy_adds_up_and_survives_a_restart() -> None:
    async def main() -> None:
        site, rigs = Site(), fleet(1)
        poller = make(rigs, site, remembered=known(rigs))
        async with polling(poller):
            await asyncio.sleep(31 + 10 * 30)
        energy = only(poller).energy
        assert energy == pytest.approx(10 * 30 * 3000.0, rel=0.01)
        memories = poller.memories(unix_clock())
        await asyncio.sleep(5)
        heir = make(rigs, site, remembered=memories)
        async with polling(heir):
            await asyncio.sleep(31)
            assert energy <= only(heir).energy <= energy + 3000.0 * 75
        assert not site.identifications

    run(main())


def test_a_rig_that_draws_nothing_known_has_no_energy() -> None:
    async def main() -> None:
        site, rigs = Site(), fleet(1)
        site.behaviour["rig-0"] = lambda: replace(READING, power=None)
        poller = make(rigs, site, remembered=known(rigs))
        async with polling(poller):
            await asyncio.sleep(100)
            assert only(poller).reading is not None
            assert only(poller).energy is None

    run(main())


def test_energy_is_counted_from_the_nameplate_where_the_rig_reports_none_and_survives_a_restart() -> None:
    async def main() -> None:
        site, rigs = Site(), fleet(1, rated_hashrate=200e12, rated_power=3500.0)
        site.behaviour["rig-0"] = lambda: replace(READING, power=None)
        poller = make(rigs, site, remembered=known(rigs))
        async with polling(poller):
            await asyncio.sleep(31 + 10 * 30)
        energy = only(poller).energy
        assert energy == pytest.approx(10 * 30 * 1750.0, rel=0.01)
        heir = make(rigs, site, remembered=poller.memories(unix_clock()))
        async with polling(heir):
            await asyncio.sleep(31)
            assert energy < only(heir).energy <= energy + 1750.0 * 75

    run(main())


def test_a_rig_that_nobody_rated_goes_by_its_models_nameplate() -> None:
    async def main() -> None:
        site, rigs = Site(), fleet(1)
        site.identities["rig-0"] = replace(IDENTITY, model="S19j Pro")
        site.behaviour["rig-0"] = lambda: replace(READING, power=None)
        poller = make(rigs, site)
        async with polling(poller):
            assert only(poller).rig.rated_power is None
            await asyncio.sleep(31 + 10 * 30)
            assert (only(poller).rig.rated_hashrate, only(poller).rig.rated_power) == (100e12, 3050.0)
            assert only(poller).energy == pytest.approx(10 * 30 * 3050.0, rel=0.01)
            site.behaviour["rig-0"] = Failure(Reason.REFUSED, "closed")
            await asyncio.sleep(300)
            assert only(poller).rig.rated_power == 3050.0

    run(main())


def test_energy_is_counted_at_the_meter_where_there_is_one() -> None:
    async def main() -> None:
        site, rigs = Site(), fleet(1)
        poller = make(rigs, site, remembered=known(rigs))
        poller.metered = {"rig-0": 3300.0}
        async with polling(poller):
            await asyncio.sleep(31 + 10 * 30)
            assert only(poller).energy == pytest.approx(10 * 30 * 3300.0, rel=0.01)
            assert only(poller).last_good.metered_power == 3300.0
            before = only(poller).energy
            poller.metered = {}
            await asyncio.sleep(300)
            assert only(poller).energy - before == pytest.approx(10 * 30 * 3000.0, rel=0.01)
            assert only(poller).last_good.metered_power is None

    run(main())


def test_last_good_is_kept_from_when_it_ran_well() -> None:
    async def main() -> None:
        site, rigs = Site(), fleet(1)
        poller = make(rigs, site, remembered=known(rigs))
        async with polling(poller):
            await asyncio.sleep(31)
            good = only(poller).last_good
            assert (good.hashrate, good.power) == (100e12, 3000.0)
            for limp in (0.0, 50e12, 290e12):
                site.behaviour["rig-0"] = lambda limp=limp: replace(READING, hashrate=limp)
                await asyncio.sleep(60)
                assert only(poller).reading.value.hashrate == limp
                assert only(poller).last_good == good
            lost = replace(READING, hashrate=67e12, expected_hashrate=67e12, faults=(fault(FaultCode.BOARD_MISSING),))
            site.behaviour["rig-0"] = lambda: lost
            await asyncio.sleep(60)
            assert only(poller).reading.value == lost
            assert only(poller).last_good == good

    run(main())


@pytest.mark.parametrize(
    ("rig", "model"), [({"rated_hashrate": 100e12}, "A1"), ({}, "Antminer S19 Pro")], ids=["inventory", "nameplate"]
)
def test_three_times_the_rated_hashrate_is_implausible(rig: dict[str, float], model: str) -> None:
    async def main() -> None:
        site, rigs, telemetry = Site(), fleet(1, **rig), Telemetry()
        remembered = {"rig-0": RigMemory(identity=replace(IDENTITY, model=model))}
        poller = make(rigs, site, remembered=remembered, telemetry=telemetry)
        site.behaviour["rig-0"] = lambda: RigReading(hashrate=340e12)
        async with polling(poller):
            await asyncio.sleep(31)
            assert (only(poller).up, only(poller).reading) == (False, None)
            assert telemetry.registry.get_sample_value("mining_poll_failures_total", {"reason": "implausible"}) == 1
            assert dropped(telemetry, "hashrate") == 1
            site.behaviour["rig-0"] = lambda: RigReading(
                hashrate=120e12,
                average_hashrate=4e14,
                boards=(Board(index=0, hashrate=4e14), Board(index=1, hashrate=4e13)),
            )
            await asyncio.sleep(90)
            reading = only(poller).reading.value
        assert (reading.hashrate, reading.average_hashrate) == (120e12, None)
        assert [board.hashrate for board in reading.boards] == [None, 4e13]
        assert dropped(telemetry, "hashrate") > 1

    run(main())


@pytest.mark.parametrize(
    ("reading", "algorithm", "power"),
    [
        (RigReading(hashrate=100e12, power=3.2), "sha256", None),
        (RigReading(hashrate=100e12, power=32_000.0), "sha256", None),
        (RigReading(hashrate=100e12, power=3_200.0), "sha256", 3_200.0),
        (RigReading(hashrate=100e12, power=20.0, mining=False), "sha256", 20.0),
        (RigReading(hashrate=0.0, power=10.0), "sha256", 10.0),
        (RigReading(hashrate=9.5e9, power=3_425.0), "scrypt", 3_425.0),
    ],
)
def test_a_reported_power_that_contradicts_the_hashrate_is_dropped(
    reading: RigReading, algorithm: str, power: float | None
) -> None:
    async def main() -> None:
        site, telemetry = Site(), Telemetry()
        remembered = {"rig-0": RigMemory(identity=replace(IDENTITY, model="", algorithm=""))}
        poller = make(fleet(1, algorithm=algorithm), site, remembered=remembered, telemetry=telemetry)
        site.behaviour["rig-0"] = lambda: reading
        async with polling(poller):
            await asyncio.sleep(31)
            assert only(poller).reading.value == replace(reading, power=power)
        assert dropped(telemetry, "power") == (1 if power is None else None)

    run(main())


def dropped(telemetry: Telemetry, field: str) -> float | None:
    return telemetry.registry.get_sample_value("mining_rig_dropped_values_total", {"rig": "rig-0", "field": field})


def shares(accepted: float, rejected: float, uptime: float | None) -> RigReading:
    """What 100 TH/s does: it proves 23,283 of difficulty each second."""
    pool = Pool(index=0, accepted=accepted, rejected=rejected)
    return replace(READING, accepted_difficulty=accepted, uptime=uptime, pools=(pool,))


@pytest.mark.parametrize("tells_uptime", [True, False])
def test_the_shares_of_another_rig_at_an_address_are_not_taken_for_work(tells_uptime: bool) -> None:
    async def main() -> None:
        site, rigs, telemetry = Site(), fleet(1), Telemetry()
        poller = make(rigs, site, remembered=known(rigs), telemetry=telemetry)
        loop, swapped = asyncio.get_running_loop(), False

        def answer() -> RigReading:
            now = loop.time()
            accepted, rejected = (1e12, 1e11) if swapped else (0.0, 0.0)
            uptime = (now if swapped else 700_000.0 + now) if tells_uptime else None
            return shares(accepted + now * 100e12 / 2**32, rejected + now, uptime)

        site.behaviour["rig-0"] = answer
        async with polling(poller):
            await asyncio.sleep(700)
            before = only(poller)
            assert before.work_hashrate == pytest.approx(100e12, rel=0.01)
            swapped = True
            for _ in range(30):
                await asyncio.sleep(30)
                snapshot = only(poller)
                assert snapshot.work_hashrate is None or snapshot.work_hashrate == pytest.approx(100e12, rel=0.01)
                assert snapshot.reject_ratio is None or snapshot.reject_ratio == pytest.approx(before.reject_ratio)
            assert snapshot.work_hashrate is not None
        assert dropped(telemetry, "work_hashrate") == (None if tells_uptime else 1)

    run(main())


def hashing(*boards: int, **facts: object) -> RigReading:
    """What a rig says whose firmware expects no more than what its boards do."""
    rate = 40e12 * len(boards)
    listed = tuple(Board(index=index, hashrate=40e12 if index else None, chips=84) for index in boards)
    return RigReading(hashrate=rate, expected_hashrate=rate, boards=listed, **facts)


def missing(ledger: RigLedger) -> list[str]:
    reading = ledger.snapshot(0.0).reading
    assert reading is not None
    return [fault.component for fault in reading.value.faults if fault.code == "board_missing"]


def test_a_board_that_is_no_longer_listed_is_missing_after_a_restart_too() -> None:
    rig = fleet(1)[0]
    ledger = RigLedger(rig, TERMS, RigMemory(identity=IDENTITY), 0.0)
    ledger.succeeded(hashing(0, 1, 2), 0.0, 0.0)
    assert missing(ledger) == []
    for at in (30.0, 60.0):
        ledger.succeeded(hashing(0, 2), 0.0, at)
        assert missing(ledger) == ["board 1"]
        assert ledger.snapshot(0.0).last_good.hashrate == 120e12
    ledger = RigLedger(rig, TERMS, ledger.memory(0.0), 0.0)
    ledger.succeeded(hashing(0, 2), 0.0, 0.0)
    assert missing(ledger) == ["board 1"]
    ledger.succeeded(hashing(1, 2), 0.0, 30.0)
    assert missing(ledger) == ["board 0"]
    ledger.succeeded(hashing(0, 1, 2), 0.0, 60.0)
    assert missing(ledger) == []


@pytest.mark.parametrize(
    "later",
    [
        hashing(0, 1, faults=(fault(FaultCode.BOARD_MISSING, component="board 2"),)),
        hashing(),
        replace(hashing(0), hashrate=0.0, mining=False),
    ],
    ids=["the firmware says so itself", "no board reported", "it stands still"],
)
def test_no_board_is_missing_twice_or_on_a_rig_that_lists_none(later: RigReading) -> None:
    ledger = RigLedger(fleet(1)[0], TERMS, RigMemory(identity=IDENTITY), 0.0)
    ledger.succeeded(hashing(0, 1, 2), 0.0, 0.0)
    ledger.succeeded(later, 0.0, 30.0)
    assert missing(ledger) == [fault.component for fault in later.faults]


def test_a_board_that_never_hashed_and_those_of_other_firmware_are_not_missed() -> None:
    ledger = RigLedger(fleet(1)[0], TERMS, RigMemory(identity=IDENTITY), 0.0)
    whole = hashing(0, 1, 2)
    ledger.succeeded(replace(whole, boards=(*whole.boards, Board(index=3))), 0.0, 0.0)
    ledger.succeeded(whole, 0.0, 30.0)
    assert missing(ledger) == []
    ledger.identified(replace(IDENTITY, firmware="VNish"))
    ledger.succeeded(hashing(1, 2, 3), 0.0, 60.0)
    assert missing(ledger) == []


@pytest.mark.parametrize(
    ("facts", "change"),
    [
        ({"mac": "", "model": "B2"}, "device"),
        ({"mac": "", "make": "Zeta"}, "device"),
        ({"mac": "", "firmware": "VNish"}, "firmware"),
        ({"model": "B2"}, "firmware"),
        ({"mac": "02:00:00:00:00:02"}, "device"),
        ({"mac": ""}, None),
    ],
)
def test_another_device_is_recognised_by_its_mac_else_by_its_model(facts: dict[str, str], change: str | None) -> None:
    ledger = RigLedger(fleet(1)[0], TERMS, RigMemory(identity=IDENTITY), 0.0)
    assert ledger.identified(replace(IDENTITY, **facts)) == change


def test_schedules_say_when_mining_is_expected() -> None:
    nights = ScheduleSettings.model_validate({"timezone": "UTC", "mining": [{"from": "22:00", "to": "06:00"}]})

    async def main() -> None:
        rigs = [*fleet(1, expected_schedule="nights"), Rig(name="off", address="off", expected_mining=False)]
        poller = make(rigs, Site(), schedules={"nights": nights})
        midnight = 1_774_051_200.0
        assert [rig.expected_mining for rig in poller.snapshots(midnight)] == [True, False]
        assert [rig.expected_mining for rig in poller.snapshots(midnight + 12 * 3600)] == [False, False]
        with pytest.raises(ValueError, match="days"):
            poller.replace(fleet(1, expected_schedule="days"), {})
        assert len(poller.snapshots(midnight)) == 2

    run(main())


@pytest.mark.parametrize(
    ("off", "expected"),
    [
        ([], [True, True, False]),
        ([ExpectedOff(rigs=("rig-1", "nobody"))], [True, False, False]),
        ([ExpectedOff(blocks=("b1",))], [False, False, False]),
        ([ExpectedOff(blocks=("b2",)), ExpectedOff(rigs=("rig-0",))], [False, True, False]),
        ([ExpectedOff(site=True)], [False, False, False]),
    ],
)
def test_what_is_meant_to_be_off_is_not_expected_to_mine(off: list[ExpectedOff], expected: list[bool]) -> None:
    async def main() -> None:
        rigs = [*fleet(2, block="b1"), Rig(name="listed", address="z", block="b2", expected_mining=False)]
        poller = make(rigs, Site())
        assert [rig.expected_mining for rig in poller.snapshots(unix_clock(), Downtime(off))] == expected

    run(main())


def test_a_rig_that_is_meant_to_be_off_goes_down_unsaid() -> None:
    async def main() -> None:
        site, rigs = Site(), fleet(1)
        poller = make(rigs, site, remembered=known(rigs))
        with capture_logs() as logs:
            async with polling(poller):
                await asyncio.sleep(31)
                poller.snapshots(unix_clock(), Downtime([ExpectedOff(site=True)]))
                site.behaviour["rig-0"] = Failure(Reason.UNREACHABLE, "no route")
                await asyncio.sleep(600)
                assert only(poller).up is False
                del site.behaviour["rig-0"]
                await asyncio.sleep(600)
                assert only(poller).up is True
                assert logs == []
                poller.snapshots(unix_clock(), Downtime([ExpectedOff(site=True)]))
                site.behaviour["rig-0"] = Failure(Reason.UNREACHABLE, "no route")
                await asyncio.sleep(600)
                poller.snapshots(unix_clock())  # and does not come back when it should
                await asyncio.sleep(600)
        assert [log["event"] for log in logs] == ["rig is down"]

    run(main())


# --- who each is ----------------------------------------------------------------------------------------------------


def test_discovery_is_bounded_and_happens_once() -> None:
    async def main() -> None:
        site, rigs = Site(), fleet(400)
        site.identities = {rig.address: 6.0 for rig in rigs}
        poller = make(rigs, site)
        async with polling(poller):
            await asyncio.wait_for(poller.first_round.wait(), 100)
            await asyncio.sleep(300)
        assert site.most_in_flight["identify"] == 50
        assert {len(times) for times in site.identifications.values()} == {1}

    run(main())


def test_dead_addresses_do_not_hold_up_discovery() -> None:
    async def main() -> None:
        site, healthy = Site(), fleet(100)
        dead = [Rig(name=f"dead-{i}", address=f"dead-{i}") for i in range(200)]
        site.identities = {rig.address: math.inf for rig in dead}
        site.identities |= {rig.address: 1.0 for rig in healthy}
        poller = make(healthy + dead, site)
        async with polling(poller):
            await asyncio.sleep(31 + 200 * 20 / 50)
            snapshots = {snapshot.rig.name: snapshot for snapshot in poller.snapshots(unix_clock())}
        assert all(snapshots[rig.name].up for rig in healthy)

    run(main())


def test_another_device_behind_the_address_is_noticed_after_failures() -> None:
    async def main() -> None:
        site, rigs, telemetry = Site(), fleet(1), Telemetry()
        poller = make(rigs, site, remembered=known(rigs), telemetry=telemetry)
        other = replace(IDENTITY, mac="02:00:00:00:00:02", model="B2")

        def answer() -> RigReading:
            if only(poller).identity == other:
                return replace(READING, hashrate=1e12)
            raise Failure(Reason.GARBLED, "another protocol")

        with capture_logs() as logs:
            async with polling(poller):
                await asyncio.sleep(31)
                site.behaviour["rig-0"] = answer
                site.identities["rig-0"] = other
                await asyncio.sleep(240)
                snapshot = only(poller)
        assert (snapshot.identity, snapshot.up, snapshot.last_good) == (other, True, None)
        assert len(site.identifications["rig-0"]) == 1
        (logged,) = (log for log in logs if log["event"] == "rig is not what it was")
        assert logged["change"] == "device"
        assert logged["what"] == "model 'A1' is now 'B2'; mac '02:00:00:00:00:01' is now '02:00:00:00:00:02'"
        assert telemetry.registry.get_sample_value("mining_rig_identity_changes_total", {"change": "device"}) == 1

    run(main())


@pytest.mark.parametrize(
    "uptimes",
    [
        [100.0, 130.0, 5.0, *(35.0 + 30 * i for i in range(100))],
        [100.0, None, 5.0, *(35.0 + 30 * i for i in range(100))],
        [100.0, 130.0, *(9_000.0 + 30 * i for i in range(100))],  # of another rig at its address
    ],
)
def test_a_rig_whose_uptime_does_not_go_on_is_asked_who_it_is(uptimes: list[float | None]) -> None:
    async def main() -> None:
        site, rigs, telemetry = Site(), fleet(1), Telemetry()
        logged = iter(uptimes)
        site.behaviour["rig-0"] = lambda: replace(READING, uptime=next(logged))
        site.identities["rig-0"] = replace(IDENTITY, firmware="VNish", firmware_version="1.2")
        poller = make(rigs, site, remembered=known(rigs), telemetry=telemetry)
        async with polling(poller):
            await asyncio.sleep(50 * 30)
            assert only(poller).identity.firmware == "VNish"
            assert only(poller).last_good is not None
        assert len(site.identifications["rig-0"]) == 1
        value = telemetry.registry.get_sample_value
        assert value("mining_rig_identity_changes_total", {"change": "firmware"}) == 1
        assert value("mining_rig_identity_changes_total", {"change": "device"}) == 0

    run(main())


def test_a_rig_without_its_mac_is_identified_again_until_it_reports_it() -> None:
    async def main() -> None:
        site, rigs = Site(), fleet(1)
        site.identities["rig-0"] = replace(IDENTITY, mac="")
        settings = PollingSettings(identify_every=3600)
        poller = make(rigs, site, settings, remembered=known(rigs))
        async with polling(poller):
            await asyncio.sleep(2 * 3600)
            assert only(poller).identity.mac == ""
            assert min(gaps(site.identifications["rig-0"])) >= 300
            site.identities["rig-0"] = IDENTITY
            await asyncio.sleep(400)
            assert only(poller).identity == IDENTITY
            asked = len(site.identifications["rig-0"])
            await asyncio.sleep(1500)
        assert len(site.identifications["rig-0"]) == asked

    run(main())


@pytest.mark.parametrize(
    ("behaviour", "least"),
    [
        (math.inf, 300),
        (Failure(Reason.TOO_LARGE, "100 MB"), 300),
        (Failure(Reason.GARBLED, "garbage"), 300),
        (Failure(Reason.REFUSED, "it boots"), 60),
    ],
    ids=["hangs", "floods", "answers garbage", "refuses"],
)
def test_a_rig_that_shows_no_change_is_identified_once_in_the_longest_pause(
    behaviour: float | Failure, least: int
) -> None:
    async def main() -> None:
        site, rigs = Site(), fleet(1)
        site.behaviour["rig-0"] = site.identities["rig-0"] = behaviour
        poller = make(rigs, site, PollingSettings(identify_every=1e9), remembered=known(rigs))
        async with polling(poller):
            await asyncio.sleep(3600)
            tried = site.identifications["rig-0"]
            assert len(tried) > 3
            assert least <= min(gaps(tried)) < least + 120
            site.behaviour.clear()
            site.identities["rig-0"] = replace(IDENTITY, firmware="Other")
            await asyncio.sleep(330)
            assert only(poller).reading is not None

    run(main())


@pytest.mark.parametrize("recovers", [False, True])
def test_a_rig_that_fails_in_another_way_than_when_it_was_identified_is_identified_at_once(*, recovers: bool) -> None:
    async def main() -> None:
        site, rigs = Site(), fleet(1)
        site.behaviour["rig-0"] = site.identities["rig-0"] = Failure(Reason.NOT_READY, "it boots")
        poller = make(rigs, site, PollingSettings(identify_every=1e9), remembered=known(rigs))
        async with polling(poller):
            await asyncio.sleep(200)
            if recovers:
                site.behaviour.clear()
                await asyncio.sleep(330)
            changed = asyncio.get_running_loop().time()
            site.behaviour["rig-0"] = Failure(Reason.NOT_READY if recovers else Reason.GARBLED, "other firmware")
            await asyncio.sleep(330)
        first, second, *_ = site.identifications["rig-0"]
        assert first < changed < second
        assert sum(changed < at <= second for at in site.reads["rig-0"]) == (3 if recovers else 1)

    run(main())


def test_identities_are_checked_now_and_then_without_losing_a_poll() -> None:
    async def main() -> None:
        site, rigs = Site(), fleet(3)
        site.identities["rig-1"] = Failure(Reason.AUTH, "web interface says no")
        site.identities["rig-2"] = math.inf
        settings = PollingSettings(identify_every=3600)
        poller = make(rigs, site, settings, remembered=known(rigs))
        async with polling(poller):
            await asyncio.sleep(4 * 3600)
            assert all(snapshot.reading is not None for snapshot in poller.snapshots(unix_clock()))
        assert 4 <= len(site.identifications["rig-0"]) <= 8
        assert max(gaps(site.reads["rig-0"][1:] + site.reads["rig-1"][1:])) <= 30
        assert len(site.identifications["rig-2"]) > 1

    run(main())


# --- failures -------------------------------------------------------------------------------------------------------


def test_down_and_back_are_logged_once_with_advice() -> None:
    async def main() -> None:
        site, rigs, telemetry = Site(), fleet(1), Telemetry()
        rigs = [replace(rigs[0], logins=(Credentials("root", "hunter2"),))]
        poller = make(rigs, site, remembered=known(rigs), telemetry=telemetry)
        with capture_logs() as logs:
            async with polling(poller):
                await asyncio.sleep(31)
                site.behaviour["rig-0"] = Failure(Reason.REFUSED, "port 4028 is closed")
                await asyncio.sleep(600)
                del site.behaviour["rig-0"]
                await asyncio.sleep(600)
        assert [log["event"] for log in logs] == ["rig is down", "rig is back"]
        assert logs[0]["reason"] == "refused"
        assert "enable the API" in logs[0]["advice"]
        assert "hunter2" not in repr(logs)
        assert telemetry.registry.get_sample_value("mining_poll_failures_total", {"reason": "refused"}) > 1

    run(main())


def test_several_logins_are_tried_one_in_fifteen_minutes_logged_once_and_the_right_one_remembered() -> None:
    async def main() -> None:
        site = Site()
        logins = tuple(Credentials("root", name, name=name) for name in ("day", "old", "right"))
        rigs = [replace(rig, logins=logins) for rig in fleet(34)]
        sent: dict[str, list[tuple[str, float]]] = defaultdict(list)

        async def read(target: Target, identity: RigIdentity) -> RigReading:
            refused = False
            try:
                with login_attempt():
                    assert target.credentials is not None
                    sent[target.address].append((target.credentials.name, asyncio.get_running_loop().time()))
                    if target.credentials.password != "right":
                        raise Failure(Reason.AUTH, "401")  # noqa: TRY301 -- as a reader does
            except Failure:
                refused = True
            return replace(await Site.read(site, target, identity), login_refused=refused)

        site.read = read
        poller = make(rigs, site, remembered=known(rigs))
        with capture_logs() as logs:
            async with polling(poller):
                await asyncio.sleep(1_740)
                assert all(snapshot.up for snapshot in poller.snapshots(unix_clock()))
                assert all([name for name, _ in sent[rig.address]] == ["day", "old"] for rig in rigs)
                memory = poller.memories(unix_clock())["rig-0"]
                assert memory.login == ""
                assert memory.login_rejected_at is not None
                await asyncio.sleep(900)
        for attempts in sent.values():
            wrong = [at for name, at in attempts if name != "right"]
            assert wrong[1] - wrong[0] >= 900
            assert attempts[2][0] == "right"
            assert attempts[2][1] - wrong[1] >= 900
        rejected = [log for log in logs if log["event"] == "rig rejects the login"]
        assert 0 < len(rejected) <= 20
        assert [log["rigs"] for log in logs if log["event"] == "more rigs reject the login"] == [34 - len(rejected)]
        assert rejected[0]["tried"] == "day"
        remembered = poller.memories(unix_clock())
        assert {memory.login for memory in remembered.values()} == {"right"}
        sent.clear()
        async with polling(make(rigs, site, remembered=remembered)):
            await asyncio.sleep(60)
        assert {name for attempts in sent.values() for name, _ in attempts} == {"right"}

    run(main())


def test_a_rating_that_contradicts_the_nameplate_is_logged_once_and_not_used() -> None:
    async def main() -> None:
        site, rigs = Site(), fleet(1, rated_hashrate=104e12, rated_power=3.068)
        site.identities = {"rig-0": replace(IDENTITY, model="Antminer S19j Pro")}
        poller = make(rigs, site)
        with capture_logs() as logs:
            async with polling(poller):
                await asyncio.sleep(4 * 86_400)
                snapshot = only(poller)
        assert snapshot.rig.rated_power == pytest.approx(3068)
        assert snapshot.rating_ratio == pytest.approx(0.001)
        (logged,) = [log for log in logs if log["event"] == "rating of the inventory differs from the nameplate"]
        assert logged["used"] == "the nameplate"

    run(main())


def test_values_that_physics_forbids_are_counted_by_rig_and_kind() -> None:
    async def main() -> None:
        site, rigs, telemetry = Site(), fleet(2), Telemetry()

        def odd() -> RigReading:
            return replace(READING, power=coerce.watts(4e9), uptime=coerce.seconds(-1), fans_expected=coerce.count(4))

        def impossible() -> RigReading:
            return replace(READING, hashrate=coerce.realised(400.0, "TH/s", 100e12))

        def dropped(rig: str, field: str) -> float | None:
            labels = {"rig": rig, "field": field}
            return telemetry.registry.get_sample_value("mining_rig_dropped_values_total", labels)

        site.behaviour = {"rig-0": odd, "rig-1": impossible}
        poller = make(rigs, site, remembered=known(rigs), telemetry=telemetry)
        async with polling(poller):
            await asyncio.sleep(3 * 30)
            assert (dropped("rig-0", "power"), dropped("rig-0", "uptime"), dropped("rig-0", "count")) == (3, 3, None)
            assert dropped("rig-1", "hashrate") >= 1
            assert [rig.up for rig in poller.snapshots(unix_clock())] == [True, False]
            poller.replace(rigs[1:], {})
            assert dropped("rig-0", "power") is None
            assert dropped("rig-1", "hashrate") >= 1

    run(main())


def test_a_site_that_goes_dark_does_not_flood_the_log() -> None:
    async def main() -> None:
        site, rigs = Site(), fleet(1000)
        poller = make(rigs, site, remembered=known(rigs))
        with capture_logs() as logs:
            async with polling(poller):
                await asyncio.sleep(31)
                site.behaviour = {rig.address: Failure(Reason.UNREACHABLE, "no route") for rig in rigs}
                await asyncio.sleep(120)
                site.behaviour.clear()
                await asyncio.sleep(600)
        logged = Counter(log["event"] for log in logs)
        assert len(logs) < 50, logged
        more = {log["event"]: log for log in logs if log["event"].startswith("more rigs")}
        down = logged["rig is down"] + more["more rigs are down"]["rigs"]
        back = logged["rig is back"] + more.get("more rigs are back", {"rigs": 0})["rigs"]
        assert down == back < 300
        (outage,) = (log for log in logs if log["event"] == "many rigs stopped answering at once")
        assert (outage["shared"], outage["rigs"], outage["of"]) == ("the site", 1000, 1000)
        assert outage["reasons"] == "unreachable 1000"
        assert logged["rigs answer again that had stopped at once"] == 1


def test_rigs_of_one_outage_are_not_identified_while_they_hang_and_are_read_again_when_it_ends() -> None:
    async def main() -> None:
        site, telemetry = Site(), Telemetry()
        rigs = [Rig(name=f"r{i}", address=f"10.0.{i % 2}.{i // 2 + 1}", block="north") for i in range(200)]
        settings = TERMS.model_copy(update={"identify_every": 1e9})
        poller = make(rigs, site, settings, remembered=known(rigs), telemetry=telemetry)

        def lost() -> float | None:
            labels = {"block": "", "rack": "", "network": "10.0.1.0/24"}
            return telemetry.registry.get_sample_value("mining_outage_rigs", labels)

        async with polling(poller):
            await asyncio.sleep(31)
            hanging = [rig.address for rig in rigs[1::2]]
            site.behaviour = dict.fromkeys([*hanging, rigs[0].address], 3600.0)
            await asyncio.sleep(300)
            assert lost() == 100
            assert not any(site.identifications[address] for address in hanging)
            assert site.identifications[rigs[0].address]
            site.behaviour.clear()
            await asyncio.sleep(400)
            assert lost() is None
            assert all(snapshot.up for snapshot in poller.snapshots(unix_clock()))

    run(main())


@pytest.mark.parametrize("bug", [KeyError("secret"), asyncio.CancelledError()])
def test_a_bug_in_a_reader_costs_one_rig_one_poll(bug: BaseException) -> None:
    async def main() -> None:
        site, rigs, telemetry = Site(), fleet(5), Telemetry()
        poller = make(rigs, site, remembered=known(rigs), telemetry=telemetry)
        with capture_logs() as logs:
            async with polling(poller) as task:
                site.behaviour["rig-0"] = site.behaviour["rig-1"] = bug
                await asyncio.sleep(100)
                assert not task.done()
                site.behaviour.clear()
                await asyncio.sleep(600)
                assert all(snapshot.up for snapshot in poller.snapshots(unix_clock()))
        assert [log["event"] for log in logs].count("unexpected error") == isinstance(bug, Exception)
        internal = telemetry.registry.get_sample_value("mining_poll_failures_total", {"reason": "internal"})
        assert bool(internal) == isinstance(bug, Exception)

    run(main())


def test_a_read_past_its_deadline_is_a_timeout() -> None:
    async def main() -> None:
        site, rigs, telemetry = Site(), fleet(1), Telemetry()
        site.behaviour["rig-0"] = math.inf
        poller = make(rigs, site, remembered=known(rigs), telemetry=telemetry)
        async with polling(poller):
            await asyncio.sleep(36)
        assert only(poller).up is False
        assert telemetry.registry.get_sample_value("mining_poll_failures_total", {"reason": "timeout"}) == 1

    run(main())


# --- a new inventory ------------------------------------------------------------------------------------------------


def test_a_new_inventory_keeps_what_stays_and_remembers_what_leaves() -> None:
    async def main() -> None:
        site, rigs = Site(), fleet(3)
        poller = make(rigs, site, remembered=known(rigs))
        async with polling(poller):
            await asyncio.sleep(100)
            before = {snapshot.rig.name: snapshot for snapshot in poller.snapshots(unix_clock())}
            new = Rig(name="new", address="new")
            poller.replace([new, replace(rigs[0], block="b2"), rigs[1]], {})
            now = poller.snapshots(unix_clock())
            assert [snapshot.rig.name for snapshot in now] == ["new", "rig-0", "rig-1"]
            assert now[1] == replace(before["rig-0"], rig=replace(rigs[0], block="b2"))
            assert now[2] is before["rig-1"]
            await asyncio.sleep(100)
            reads = len(site.reads["rig-2"])
            assert poller.snapshots(unix_clock())[0].reading is not None
            poller.replace(rigs, {})
            await asyncio.sleep(31)
            assert len(site.reads["rig-2"]) == reads + 1
            back = poller.snapshots(unix_clock())[2]
            assert back.energy >= before["rig-2"].energy > 0
        assert "rig-2" not in site.identifications

    run(main())


@pytest.mark.parametrize("pause", [4.0, math.inf])
def test_what_an_old_address_answers_is_not_booked_for_the_new_one(pause: float) -> None:
    async def main() -> None:
        site, rigs = Site(), fleet(1)
        site.behaviour["rig-0"] = pause
        site.behaviour["elsewhere"] = Failure(Reason.REFUSED, "closed")
        poller = make(rigs, site, remembered=known(rigs))
        async with polling(poller):
            await asyncio.sleep((phase("rig-0") * 30 - asyncio.get_running_loop().time()) % 30 + 1)
            assert site.in_flight["rig-0"]
            poller.replace([replace(rigs[0], address="elsewhere")], {})
            await asyncio.sleep(5)
            assert (only(poller).reading, only(poller).up) == (None, None)
            await asyncio.sleep(31)
            assert only(poller).up is False
        assert len(site.reads["rig-0"]) == 1
        assert len(site.identifications["elsewhere"]) == 1

    run(main())


def test_who_answered_at_an_old_address_is_not_booked_for_the_new_one() -> None:
    async def main() -> None:
        site, rigs = Site(), fleet(1)
        site.identities["rig-0"] = 4.0
        site.identities["elsewhere"] = replace(IDENTITY, model="B2")
        poller = make(rigs, site)
        async with polling(poller):
            await asyncio.sleep((phase("rig-0") * 30 - asyncio.get_running_loop().time()) % 30 + 1)
            assert site.in_flight["identify"]
            poller.replace([replace(rigs[0], address="elsewhere")], {})
            await asyncio.sleep(5)
            assert only(poller).identity is None
            await asyncio.sleep(31)
            assert only(poller).identity.model == "B2"

    run(main())


# --- over real sockets ------------------------------------------------------------------------------------------------


class _LineReader:
    """Asks a rig its hashrate over TCP."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def identify(self, target: Target) -> RigIdentity:
        return replace(IDENTITY, model=(await self._ask(target, b"model")).decode())

    async def read(self, target: Target, identity: RigIdentity) -> RigReading:  # noqa: ARG002
        return RigReading(hashrate=float(await self._ask(target, b"hashrate")))

    async def _ask(self, target: Target, question: bytes) -> bytes:
        try:
            reader, writer = await asyncio.open_connection(target.address, self._port)
        except ConnectionRefusedError as error:
            raise Failure(Reason.REFUSED, "port closed") from error
        try:
            writer.write(question + b"\n")
            return await reader.read()
        finally:
            writer.close()


async def test_rigs_are_read_over_sockets_while_others_hang_or_refuse() -> None:
    hung = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        question = await reader.readline()
        if writer.get_extra_info("sockname")[0] == f"{OWN}.0.9":
            hung.set()
            await reader.read()
        else:
            writer.write({b"model\n": b"A1", b"hashrate\n": b"1e14"}[question])
        writer.close()

    served = [f"{OWN}.0.{i}" for i in range(1, 10)]
    server = await asyncio.start_server(answer, served[0], 0)
    port = server.sockets[0].getsockname()[1]
    others = [await asyncio.start_server(answer, address, port) for address in served[1:]]
    rigs = [Rig(name=address, address=address) for address in [*served, f"{OWN}.0.10"]]
    settings = PollingSettings(interval=2.0, deadline=2.0, identify_deadline=2.0)
    poller = RigPoller(rigs, _LineReader(port), settings, Telemetry())
    try:
        async with polling(poller):
            await asyncio.wait_for(asyncio.gather(poller.first_round.wait(), hung.wait()), 600)
            expected = {address: address in served[:8] for address in [*served, f"{OWN}.0.10"]}
            ups: dict[str, bool | None] = {}
            async with asyncio.timeout(600):
                while ups != expected:  # a busy machine misses deadlines, which the next poll makes good
                    snapshots = poller.snapshots(poller._clock())
                    ups = {snapshot.rig.address: snapshot.up for snapshot in snapshots}
                    await asyncio.sleep(0.05)
        assert {snapshot.reading.value.hashrate for snapshot in snapshots[:8]} == {1e14}
    finally:
        for each in [server, *others]:
            each.close()
            await each.wait_closed()


def test_all_rigs_of_a_block_are_read_within_two_intervals_when_its_power_returns() -> None:
    async def course() -> None:
        rigs = fleet(60, block="container-1")
        others = [Rig(name="other", address="other", block="container-2")]
        site = Site()
        for rig in (*rigs, *others):
            site.behaviour[rig.address] = Failure(Reason.UNREACHABLE, "no route")
        async with polling(make([*rigs, *others], site)):
            await asyncio.sleep(3600)
            polls = len(site.identifications["other"])
            site.behaviour.clear()
            back = asyncio.get_running_loop().time()
            await asyncio.sleep(2 * TERMS.interval)
            unread = [rig.name for rig in rigs if not any(at > back for at in site.reads[rig.address])]
            assert unread == []
            assert polls < 60, "a block of which no rig answers is asked less and less"

    run(course())


def test_in_an_outage_one_rig_of_each_block_is_asked_at_every_interval() -> None:
    async def course() -> None:
        small, others = fleet(10, block="container-1"), fleet(80, block="container-2")[10:]
        dead = Rig(name="dead", address="dead", block="container-1")
        site, lost = Site(), Failure(Reason.UNREACHABLE, "no route")
        site.behaviour[dead.address] = lost
        async with polling(make([*small, dead, *others], site)):
            await asyncio.sleep(1800)
            site.behaviour |= {rig.address: lost for rig in small}
            begin = asyncio.get_running_loop().time() + 10 * TERMS.interval
            await asyncio.sleep(3600)
        asked = sorted(at for rig in small for at in (*site.reads[rig.address], *site.identifications[rig.address]))
        asked = [at for at in asked if at > begin]
        assert max(later - earlier for earlier, later in pairwise(asked)) <= TERMS.interval + TERMS.deadline
        assert len(asked) < 0.6 * len(small) * 3600 / TERMS.interval, "the others are asked less and less"

    run(course())


def test_a_dead_rig_is_asked_at_most_twice_per_interval_while_others_of_its_block_come_and_go() -> None:
    async def course() -> None:
        rigs = fleet(40, block="container-1")
        site = Site()
        dead, flapping = rigs[0], rigs[1:]
        site.behaviour[dead.address] = Failure(Reason.UNREACHABLE, "no route")
        async with polling(make(rigs, site)):
            for turn in range(80):
                for index, rig in enumerate(flapping):
                    site.behaviour.pop(rig.address, None)
                    if (turn + index) % 8 < 4:
                        site.behaviour[rig.address] = Failure(Reason.UNREACHABLE, "no route")
                await asyncio.sleep(TERMS.interval / 2)
            asked = sorted([*site.reads[dead.address], *site.identifications[dead.address]])
            assert 20 < len(asked) <= 2 * 40

    run(course())


async def test_rigs_are_read_over_sockets_while_half_of_them_begin_to_hang() -> None:
    healthy = [f"{OWN}.1.{index}" for index in range(1, 31)]
    hanging = [f"{OWN}.2.{index}" for index in range(1, 31)]
    begun = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        question = await reader.readline()
        if begun.is_set() and writer.get_extra_info("sockname")[0] in hanging:
            await reader.read()
        else:
            writer.write({b"model\n": b"A1", b"hashrate\n": b"1e14"}[question])
        writer.close()

    async with contextlib.AsyncExitStack() as servers:
        first = await servers.enter_async_context(await asyncio.start_server(answer, healthy[0], 0))
        port = first.sockets[0].getsockname()[1]
        for address in [*healthy[1:], *hanging]:
            await servers.enter_async_context(await asyncio.start_server(answer, address, port))
        rigs = [Rig(name=address, address=address) for address in [*healthy, *hanging]]
        settings = PollingSettings(interval=3.0, deadline=3.0, max_in_flight=8, identify_deadline=3.0)
        poller = RigPoller(rigs, _LineReader(port), settings, Telemetry())
        async with polling(poller):
            await asyncio.wait_for(poller.first_round.wait(), 600)
            begun.set()
            down, up = [False] * 30, [True] * 30
            ups: list[bool | None] = []
            async with asyncio.timeout(600):
                while ups != [*up, *down]:
                    await asyncio.sleep(0.1)
                    now = poller.snapshots(poller._clock())
                    ups = [snapshot.up and snapshot.reading is not None for snapshot in now]
