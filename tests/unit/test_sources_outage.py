"""The first value after an outage that was longer than a value may be used."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from exporter.model.failures import Failure, Reason
from exporter.model.readings import NetworkState, Reading
from exporter.sources.bitcoin import BitcoinSettings
from exporter.sources.contract import Source, SourceContext
from exporter.sources.network import NetworkSettings

DAY = 86_400.0
STATE = NetworkState(height=941_000, difficulty=133.79e12, block_fees=0.02)


@dataclass
class World:
    """A clock, and the value that a source returns."""

    value: Any
    now: float = 1_774_000_000.0

    async def fetch(self) -> Reading[Any]:
        return Reading(self.value, self.now)

    def source(self, settings: type[BitcoinSettings | NetworkSettings], remembered: Any = None) -> Source[Any]:
        world = self

        class Settings(settings):
            kind: str = "fake"

            def connect(self, context: SourceContext) -> Source[Any]:  # noqa: ARG002
                return world

        context = SourceContext(None, clock=lambda: self.now, timer=lambda: self.now)
        return Settings().build(context, None if remembered is None else Reading(remembered, self.now))


async def refused(source: Source[Any], detail: str) -> None:
    with pytest.raises(Failure, match=detail) as failure:
        await source.fetch()
    assert failure.value.reason is Reason.IMPLAUSIBLE


@pytest.mark.parametrize("days", [0.001, 0.1, 3, 40, 1000])
@pytest.mark.parametrize("restarted", [False, True])
async def test_a_price_a_thousandfold_is_not_believed_after_any_outage(days: float, *, restarted: bool) -> None:
    world = World(70_000.0)
    source = world.source(BitcoinSettings, remembered=70_000.0 if restarted else None)
    if not restarted:
        await source.fetch()
    world.now += days * DAY
    for wild in (70_000_000.0, 70.0 * 10, 70_000_000.0):
        world.value = wild
        with pytest.raises(Failure) as failure:
            await source.fetch()
        assert failure.value.reason is Reason.IMPLAUSIBLE
    world.value = 75_000.0
    assert (await source.fetch()).value == 75_000.0


@pytest.mark.parametrize(("days", "price"), [(0.1, 140_000.0), (1, 36_000.0), (40, 70_100.0), (1000, 140_000.0)])
async def test_a_price_that_markets_often_reach_is_used_at_once_after_an_outage(days: float, price: float) -> None:
    world = World(70_000.0)
    source = world.source(BitcoinSettings, remembered=70_000.0)
    world.now += days * DAY
    world.value = price
    assert (await source.fetch()).value == price


@pytest.mark.parametrize(
    ("days", "price"), [(0.0001, 150_000.0), (1, 30_000.0), (40, 480_000.0), (1000, 7_200.0), (1000, 690_000.0)]
)
@pytest.mark.parametrize("restarted", [False, True])
async def test_a_wild_price_that_is_possible_is_used_after_it_has_lasted(
    days: float, price: float, *, restarted: bool
) -> None:
    world = World(70_000.0)
    source = world.source(BitcoinSettings, remembered=70_000.0 if restarted else None)
    if not restarted:
        await source.fetch()
    world.now += days * DAY
    for waited, wild in ((0, price), (300, price * 0.99), (299, price)):
        world.now, world.value = world.now + waited, wild
        await refused(source, "not used before another source agrees, or it has lasted 600 s")
    world.now += 1
    assert (await source.fetch()).value == price
    world.now, world.value = world.now + 60, 70_000.0
    await refused(source, "outside")


async def test_what_does_not_agree_with_the_wild_price_before_waits_anew() -> None:
    world = World(70_000.0)
    source = world.source(BitcoinSettings, remembered=70_000.0)
    world.now += 3 * DAY
    for wild in (150_000.0, 180_000.0, 150_000.0):
        world.value = wild
        await refused(source, "has lasted")
        world.now += 599
    world.value = 71_000.0
    assert (await source.fetch()).value == 71_000.0
    world.now, world.value = world.now + 2, 150_000.0
    await refused(source, "has lasted")


@pytest.mark.parametrize("days", [0.1, 20, 1000])
@pytest.mark.parametrize("factor", [1000.0, 0.001])
async def test_a_difficulty_a_thousandfold_is_not_believed_after_any_outage(days: float, factor: float) -> None:
    world = World(STATE)
    source = world.source(NetworkSettings)
    await source.fetch()
    world.now += days * DAY
    world.value = replace(STATE, difficulty=STATE.difficulty * factor)
    with pytest.raises(Failure) as failure:
        await source.fetch()
    assert failure.value.reason is Reason.IMPLAUSIBLE


@pytest.mark.parametrize(("days", "factor"), [(0.0001, 2.1), (0.1, 3.9), (4, 15.0), (1000, 1 / 15)])
async def test_a_wild_difficulty_that_retargets_can_reach_is_used_after_it_has_lasted(
    days: float, factor: float
) -> None:
    world = World(STATE)
    source = world.source(NetworkSettings, remembered=STATE)
    world.now += days * DAY
    world.value = replace(STATE, difficulty=STATE.difficulty * factor)
    await refused(source, "has lasted")
    world.now += 600
    assert (await source.fetch()).value == world.value


async def test_a_difficulty_that_retargets_often_reach_is_used_at_once() -> None:
    world = World(STATE)
    source = world.source(NetworkSettings, remembered=STATE)
    world.now += 30 * DAY
    world.value = replace(STATE, difficulty=STATE.difficulty * 1.9)
    assert (await source.fetch()).value == world.value
