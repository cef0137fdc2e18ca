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


@pytest.mark.parametrize(("days", "price"), [(0.1, 140_000.0), (1, 30_000.0), (40, 480_000.0), (1000, 7_100.0)])
async def test_a_price_that_markets_can_reach_is_used_after_an_outage(days: float, price: float) -> None:
    world = World(70_000.0)
    source = world.source(BitcoinSettings, remembered=70_000.0)
    world.now += days * DAY
    world.value = price
    assert (await source.fetch()).value == price


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


@pytest.mark.parametrize(("days", "factor"), [(0.1, 3.9), (4, 15.0), (1000, 1 / 15)])
async def test_a_difficulty_that_retargets_can_reach_is_used_after_an_outage(days: float, factor: float) -> None:
    world = World(STATE)
    source = world.source(NetworkSettings, remembered=STATE)
    world.now += days * DAY
    world.value = replace(STATE, difficulty=STATE.difficulty * factor)
    assert (await source.fetch()).value == world.value
