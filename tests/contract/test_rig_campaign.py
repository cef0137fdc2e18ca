"""The failure campaign: rigs that fail in every way a rig can, with 200 healthy ones beside them that lose no poll."""

import asyncio
import gc
import os
import resource
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
import pytest_asyncio
from rig_replay import simulated_site

from exporter.model.failures import Failure, Reason
from exporter.model.fleet import Credentials, Rig
from exporter.model.readings import RigIdentity, RigReading
from exporter.polling.guard import Guard
from exporter.polling.ledger import RigMemory
from exporter.polling.rigs import RigPoller
from exporter.polling.settings import PollingSettings
from exporter.simulation.faults import Fault
from exporter.simulation.firmware import families
from exporter.simulation.site import SimulatedSite
from exporter.sources.rigs import connections
from exporter.sources.rigs.connections import give_back_sockets
from exporter.sources.rigs.contract import Target
from exporter.sources.rigs.firmware import native_readers
from exporter.sources.rigs.reader import Miners
from exporter.telemetry import Telemetry

T = TypeVar("T")
HEALTHY = 200
VICTIMS = tuple(family.models[0].name for family in families())
AT_ONCE = 4
"""Ways to fail that are tried at the same time, each by its own rig of each firmware."""
DEADLINE = 8.0  # one process is all rigs and their reader: a good one may have to wait
GOOD_AT_ONCE = 10
"""Good rigs that are asked at the same time: more of them could not all connect in time on a busy machine."""
pytestmark = pytest.mark.asyncio(loop_scope="module")

# What each family answers under a fault; None is a good reading. Those that cost their deadline stand first.
EVERY: Mapping[Fault, set[Reason | None]] = {
    Fault.UNPLUGGED: {Reason.UNREACHABLE},
    Fault.HUNG: {Reason.TIMEOUT},
    Fault.SLOW_DRIP: {Reason.TIMEOUT},
    Fault.NEVER_CLOSES: {Reason.TIMEOUT, None},  # a whole answer is enough where its end can be recognised
    Fault.HUGE: {Reason.TOO_LARGE},
    Fault.REFUSED: {Reason.REFUSED},
    Fault.CLOSE_AT_ONCE: {Reason.REFUSED},
    Fault.RESET: {Reason.REFUSED},
    Fault.GARBAGE: {Reason.GARBLED},
    Fault.TRUNCATED: {Reason.GARBLED},
    Fault.HTML: {Reason.GARBLED},
    Fault.WRONG_TYPES: {Reason.GARBLED, Reason.IMPLAUSIBLE, None},
    Fault.NAN: {Reason.IMPLAUSIBLE, Reason.GARBLED},
    Fault.NEGATIVE: {Reason.IMPLAUSIBLE, Reason.GARBLED},
    Fault.LYING: {Reason.IMPLAUSIBLE},
    Fault.WRONG_ENCODING: {Reason.GARBLED},
    Fault.REDIRECT: {Reason.GARBLED, None},  # only web interfaces have any
    Fault.OTHER_MAC: {Reason.IMPLAUSIBLE, None},  # at some firmware's reads nobody says a MAC
    Fault.AUTH_REFUSED: {Reason.AUTH},
    Fault.STOPPED: {None},
    Fault.HOT: {None},
    Fault.BOARD_LOST: {None},
    Fault.FAN_LOST: {None},
    Fault.POOLS_DEAD: {None},
    Fault.WORKER_RENAMED: {None},
}


@dataclass
class Fleet:
    """Two simulated sites, one of them with rigs of each firmware to fail, and who all their rigs are."""

    healthy: SimulatedSite
    failing: SimulatedSite
    miners: Miners
    guard: Guard
    rigs: dict[str, tuple[Target, RigIdentity]]
    victims: tuple[dict[str, str], ...]  # of each way to fail that is tried at once, by reader

    @asynccontextmanager
    async def failed(self, faults: Iterable[Fault]) -> AsyncIterator[dict[Fault, dict[str, str]]]:
        """Let rigs fail, and say which in each way, by reader."""
        failing = dict(zip(faults, self.victims, strict=False))
        for fault, victims in failing.items():
            await self.failing.set_fault(list(victims.values()), fault)
        try:
            yield failing
        finally:
            for victims in failing.values():
                await self.failing.set_fault(list(victims.values()), None)

    async def poll(self, name: str) -> RigReading | Reason:
        try:
            return await self.guard.ask(self.miners.read(*self.rigs[name]), DEADLINE)
        except Failure as failure:
            return failure.reason


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet() -> AsyncIterator[Fleet]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connections, "SHORT_SECONDS", 0.0)  # kept again after they were given back
        async with made_fleet() as made:
            yield made


@asynccontextmanager
async def made_fleet() -> AsyncIterator[Fleet]:
    async with (
        simulated_site(HEALTHY) as healthy,
        simulated_site(models=VICTIMS * AT_ONCE, seed=22) as failing,
        Miners(deadline=DEADLINE, most_kept=1_000) as miners,
    ):
        machines = failing.machines | {f"healthy {name}": machine for name, machine in healthy.machines.items()}
        logins = {
            each.address: Credentials(*each.family.credentials)
            for site in (healthy, failing)
            for each in site.placements
            if each.family.credentials
        }
        targets = {name: Target(machine.address, logins.get(machine.address)) for name, machine in machines.items()}
        identities = await few_at_once(miners.identify(target) for target in targets.values())
        rigs = {name: (targets[name], who) for name, who in zip(targets, identities, strict=True)}
        named = defaultdict(list)
        for name in failing.machines:
            named[rigs[name][1].reader].append(name)
        victims = tuple({reader: names[number] for reader, names in named.items()} for number in range(AT_ONCE))
        yield Fleet(healthy, failing, miners, Guard(), rigs, victims)


async def few_at_once(questions: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    free = asyncio.Semaphore(GOOD_AT_ONCE)

    async def ask(question: Coroutine[Any, Any, T]) -> T:
        async with free:
            return await question

    return await asyncio.gather(*map(ask, questions))


# What a rig that nobody knows yet answers under a fault; None where it is known all the same.
UNKNOWN: Mapping[Fault, set[Reason | None]] = {
    Fault.UNPLUGGED: {Reason.UNREACHABLE, Reason.REFUSED},  # one that listens on few ports is refused on others
    Fault.REFUSED: {Reason.REFUSED},
    Fault.CLOSE_AT_ONCE: {Reason.REFUSED},
    Fault.RESET: {Reason.REFUSED},
    Fault.HUGE: {Reason.TOO_LARGE},
    Fault.HTML: {Reason.UNSUPPORTED, Reason.GARBLED},  # a web server, or garbage on a port of another protocol
    Fault.REDIRECT: {Reason.UNSUPPORTED, Reason.GARBLED, None},  # VNish is known by port 4028 too
    Fault.GARBAGE: {Reason.GARBLED},
    Fault.TRUNCATED: {Reason.GARBLED},
    Fault.WRONG_TYPES: {Reason.NOT_READY, Reason.GARBLED, Reason.UNSUPPORTED, None},  # the make may be no text
    Fault.WRONG_ENCODING: {
        Reason.NOT_READY,
        Reason.GARBLED,
        Reason.UNSUPPORTED,
    },  # pyasic reads some web interfaces all the same
    Fault.AUTH_REFUSED: {Reason.AUTH},
}


def rounds(faults: Iterable[Fault]) -> list[tuple[Fault, ...]]:
    """Put together what is tried at once, first those that fail by waiting."""
    ordered = sorted(faults, key=list(EVERY).index)
    return [tuple(ordered[at : at + AT_ONCE]) for at in range(0, len(ordered), AT_ONCE)]


@pytest.mark.parametrize("faults", rounds(UNKNOWN), ids="+".join)
async def test_a_failing_rig_that_is_not_known_yet_has_its_class_too(fleet: Fleet, faults: tuple[Fault, ...]) -> None:
    async with fleet.failed(faults) as failing:
        names = [name for victims in failing.values() for name in victims.values()]
        outcomes = dict(
            zip(
                names,
                await asyncio.gather(
                    *(fleet.miners.identify(fleet.rigs[name][0]) for name in names), return_exceptions=True
                ),
                strict=True,
            )
        )
    for fault, victims in failing.items():
        answers = {reader: outcomes[name] for reader, name in victims.items()}
        reasons = {outcome.reason if isinstance(outcome, Failure) else None for outcome in answers.values()}
        assert reasons <= UNKNOWN[fault], (fault, answers)
        assert all(who.model for who in answers.values() if not isinstance(who, Failure))


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault.GARBAGE, Reason.GARBLED),
        (Fault.TRUNCATED, Reason.GARBLED),
        (Fault.WRONG_ENCODING, Reason.GARBLED),
        (Fault.HTML, Reason.UNSUPPORTED),
    ],
    ids=str,
)
async def test_garbage_from_an_unknown_rig_is_distinguished_from_a_device_that_is_none(
    fleet: Fleet, fault: Fault, reason: Reason
) -> None:
    async with fleet.failed([fault]) as failing:
        with pytest.raises(Failure) as failure:
            await fleet.miners.identify(fleet.rigs[failing[fault]["antminer"]][0])
    assert failure.value.reason is reason


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def test_every_rig_is_identified_natively_with_its_mac(fleet: Fleet) -> None:
    machines = fleet.failing.machines | {f"healthy {name}": machine for name, machine in fleet.healthy.machines.items()}
    macs = {name: machine.mac.lower() for name, machine in machines.items()}
    silent = {"braiins", "hiveon", "msk"}  # whose API has no MAC address
    for site, prefix in ((fleet.failing, ""), (fleet.healthy, "healthy ")):
        macs |= {f"{prefix}{each.name}": "" for each in site.placements if each.family.name in silent}
    assert {name: identity.mac for name, (_, identity) in fleet.rigs.items()} == macs
    assert all(set(victims) == set(native_readers()) for victims in fleet.victims)
    assert all(identity.model for _, identity in fleet.rigs.values())


@pytest.mark.parametrize("faults", rounds(Fault), ids="+".join)
async def test_failing_rigs_have_their_class_and_their_neighbours_lose_nothing(
    fleet: Fleet, faults: tuple[Fault, ...]
) -> None:
    files, memory = await files_without_kept(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    before = {name: await fleet.poll(name) for name in fleet.failing.machines}
    async with fleet.failed(faults) as failing:
        healthy = [name for name in fleet.rigs if name not in fleet.failing.machines]
        bad = [name for victims in failing.values() for name in victims.values()]
        async with asyncio.timeout(600):  # each of them keeps its own
            of_bad, of_good = await asyncio.gather(
                asyncio.gather(*map(fleet.poll, bad)), few_at_once(map(fleet.poll, healthy))
            )
        outcomes = dict(zip([*bad, *healthy], [*of_bad, *of_good], strict=True))
    for fault, victims in failing.items():
        answers = {reader: outcomes[name] for reader, name in victims.items()}
        reasons = {outcome if isinstance(outcome, Reason) else None for outcome in answers.values()}
        assert reasons <= EVERY[fault], (fault, answers)
    assert not [
        (name, counter, was, now)
        for name, known in before.items()
        for counter, was in counters(known).items()
        if (now := counters(outcomes.get(name, known)).get(counter, was)) < was
    ]
    beside = [outcomes[name] for name in healthy]
    assert len(beside) == HEALTHY
    assert all(isinstance(outcome, RigReading) and outcome.hashrate > 0 for outcome in beside)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 60_000
    gc.collect()
    await settled(files)


def counters(outcome: RigReading | Reason) -> dict[str, float]:
    """Return all counters of a reading by name."""
    if isinstance(outcome, Reason):
        return {}
    rig = ("accepted_difficulty", "rejected_difficulty", "discarded_work", "hardware_errors")
    pool = ("accepted", "rejected", "stale")
    named: dict[str, float | None] = {
        **{name: getattr(outcome, name) for name in rig},
        **{f"pool {each.index} {name}": getattr(each, name) for each in outcome.pools for name in pool},
        **{f"board {board.index}": board.hardware_errors for board in outcome.boards},
    }
    return {name: value for name, value in named.items() if value is not None}


async def files_without_kept() -> int:
    """Close the connections that are kept between reads, and count the files that are open then."""
    give_back_sockets()
    for _ in range(20):
        await asyncio.sleep(0)
    return open_files()


async def settled(files: int) -> None:
    """Wait until no socket is left over."""
    give_back_sockets()
    for _ in range(60_000):
        if open_files() <= files:
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"{open_files() - files} sockets leaked in {os.getpid()}")


async def test_a_stopped_rig_reads_zero_and_is_not_mining(fleet: Fleet) -> None:
    async with fleet.failed([Fault.STOPPED]) as failing:
        victims = failing[Fault.STOPPED].values()
        readings = [await fleet.poll(name) for name in victims]
    assert [(reading.hashrate, reading.mining) for reading in readings if isinstance(reading, RigReading)] == [
        (0.0, False)
    ] * len(victims)


async def test_a_rig_that_was_given_anothers_address_is_not_taken_for_it(fleet: Fleet) -> None:
    first, second, *_ = [name for name, (_, who) in fleet.rigs.items() if who.reader == "whatsminer_v2"]
    target, _ = fleet.rigs[first]
    with pytest.raises(Failure) as failure:
        await fleet.miners.read(target, fleet.rigs[second][1])
    assert failure.value.reason is Reason.IMPLAUSIBLE


async def test_an_address_that_changes_hands_costs_one_poll_and_its_neighbours_none(fleet: Fleet) -> None:
    named = {"whatsminer_v2", "whatsminer_v3", "bitaxe", "luxos", "vnish", "braiins_rest"}  # who say a MAC at each read
    victims = [name for reader, name in fleet.victims[0].items() if reader in named]
    rigs = [
        Rig(name=name, address=target.address, logins=() if target.credentials is None else (target.credentials,))
        for name, (target, _) in fleet.rigs.items()
    ]
    remembered = {name: RigMemory(identity=who) for name, (_, who) in fleet.rigs.items()}
    # None is identified by the way: one that just was is not again at its first odd answer.
    settings, telemetry = PollingSettings(interval=DEADLINE, deadline=DEADLINE, identify_every=1e9), Telemetry()
    poller = RigPoller(rigs, fleet.miners, settings, telemetry, remembered=remembered)
    value = telemetry.registry.get_sample_value

    def whose() -> set[str]:
        now = time.time()
        return {
            each.rig.name for each in poller.snapshots(now) if each.up and each.identity != fleet.rigs[each.rig.name][1]
        }

    polling = asyncio.create_task(poller.run())
    try:
        await poller.first_round.wait()
        for name in victims:
            await fleet.failing.set_fault([name], Fault.OTHER_MAC)
        async with asyncio.timeout(600):
            while whose() != set(victims):  # noqa: ASYNC110 - the poller has no event for it
                await asyncio.sleep(0.1)
    finally:
        polling.cancel()
        await asyncio.wait([polling])
        await fleet.failing.set_fault(victims, None)
    assert len(victims) == len(named)
    assert value("mining_poll_failures_total", {"reason": "implausible"}) == len(victims)
    assert value("mining_rig_identity_changes_total", {"change": "device"}) == len(victims)
    assert {attempt.name for attempt in poller.failures.latest(len(rigs))} == set(victims)


async def test_firmware_that_was_changed_is_not_read_as_what_it_was(fleet: Fleet) -> None:
    victims, *_ = fleet.victims
    _, antminer = fleet.rigs[victims["antminer"]]
    target, _ = fleet.rigs[victims["whatsminer_v2"]]
    with pytest.raises(Failure) as failure:
        await fleet.miners.read(target, antminer)
    assert failure.value.reason in {Reason.GARBLED, Reason.IMPLAUSIBLE}
