"""Simulated rigs with profiles that ramp and tune, read by the real readers over the real protocols."""

from dataclasses import dataclass

import pytest
from rig_replay import simulated_site

from exporter.model.readings import TunerState
from exporter.sources.rigs.contract import Target
from exporter.sources.rigs.reader import Miners

MODELS = {
    "LuxOS S19k Pro": "LuxOS",
    "VNish S19j Pro": "VNish",
    "Braiins REST S19 XP": "BOS+",
    "ePIC S19 XP": "ePIC",
    "Whatsminer M30S++": "Stock",
    "Whatsminer M60S": "Stock",
}
LISTS = {"LuxOS", "VNish", "BOS+", "ePIC"}


@dataclass
class Clock:
    now: float = 1_780_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("model", MODELS)
async def test_a_rig_ramps_to_its_new_point_and_reports_it(model: str) -> None:
    clock = Clock()
    async with simulated_site(models=[model], clock=clock) as site, Miners() as miners:
        (placement,) = site.placements
        machine, target = site.machines[placement.name], Target(placement.address)
        identity = await miners.identify(target)
        stock = await miners.read(target, identity)
        assert identity.firmware == MODELS[model]
        assert stock.power
        assert stock.point
        machine.run_at(0.8, clock.now)
        clock.now += 150
        half = await miners.read(target, identity)
        assert half.hashrate == pytest.approx(0.4 * stock.hashrate, rel=0.05)
        clock.now += 1_200
        low = await miners.read(target, identity)
        assert low.point not in {"", stock.point}
        assert low.hashrate == pytest.approx(0.8 * stock.hashrate, rel=0.05)
        assert low.power == pytest.approx(0.76 * stock.power, rel=0.05)
        assert low.power is not None
        assert low.settled is not False
        listed = await miners.points(target, identity)
        names = [] if listed is None else [point.name for point in listed.points]
        assert (low.point in names) == (identity.firmware in LISTS)
        machine.run_at(0.5, clock.now)
        clock.now += 600
        tuning = await miners.read(target, identity)
        assert tuning.tuner is TunerState.TUNING
        clock.now += 3_600
        tuned = await miners.read(target, identity)
        assert tuned.tuner in {TunerState.TUNED, None}
        if listed is not None:
            again = await miners.points(target, identity)
            assert again is not None
            (point,) = [point for point in again.points if point.name == tuned.point]
            assert point.power is not None
            assert tuned.power is not None
            assert point.power != pytest.approx(tuned.power, rel=0.005)  # an estimate, and what is drawn
