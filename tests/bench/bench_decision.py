"""Operating points of 10,000 rigs, and the event loop beside a worker that makes a day-ahead plan."""

import asyncio
import random
import time
from dataclasses import replace
from functools import cache

from prometheus_client import Counter

from exporter.background import Background
from exporter.decision.dayplan.problem import Plan
from exporter.decision.dayplan.question import Question
from exporter.decision.setpoints import Choices, site_setpoints
from exporter.decision.values import RigDecision, SiteDecision, Verdict
from exporter.economics.curves import CurveBook
from exporter.economics.settings import PointsSettings, SiteSettings
from exporter.economics.site import price_on
from exporter.economics.values import MarketEconomics
from exporter.model.fleet import Rig
from exporter.model.points import LearnedPoint, Point, PointList, RigPoints
from exporter.model.readings import PriceSlot, Reading, RigIdentity, RigReading
from exporter.model.snapshot import RigSnapshot, SiteSnapshot, TariffPrice
from exporter.runtime import prepare_process
from tests.bench.result import Result
from tests.unit.day_plans import wandering
from tests.unit.operating_points import HASHPRICE, S19K_PRO

RIGS = 10_000
MEASURED = 3
EVALUATIONS = 8
INTERVAL = 15.0  # s
NOW = 1_774_000_000.0
PULSE = 0.02  # s
QUARTERS = 96
GROUPS = 50


def _rig(number: int, rng: random.Random) -> RigSnapshot:
    """A rig whose firmware lists seven points, of which three were measured; every figure is its own."""
    points = [(name, rate * 1e12 * rng.uniform(0.99, 1.01), watts) for name, rate, watts in S19K_PRO]
    listed = tuple(
        Point(name=name, hashrate=rate, power=watts * rng.uniform(0.97, 1.03)) for name, rate, watts in points
    )
    learned = tuple(
        LearnedPoint(name=name, hashrate=rate, power=watts, metered=False, seconds=7_200.0, observed_at=NOW - 3_600)
        for name, rate, watts in points[2 : 2 + MEASURED]
    )
    return RigSnapshot(
        rig=Rig(name=f"r-{number}", address=f"10.0.{number // 250}.{number % 250}", block="b", tariff="spot"),
        identity=RigIdentity(reader="luxos", make="Antminer", model="S19k Pro", firmware="LuxOS", algorithm="sha256"),
        reading=Reading(RigReading(hashrate=points[4][1], power=points[4][2], point=points[4][0], mining=True), NOW),
        points=RigPoints(listed=PointList(points=listed), learned=learned),
    )


@cache
def evaluations() -> list[float]:
    """CPU seconds for the curves and setpoints of each evaluation from a start on, at day-ahead prices."""
    prepare_process()
    rng = random.Random(RIGS)
    slots = [PriceSlot(NOW + 3_600 * hour, NOW + 3_600 * (hour + 1), rng.uniform(0.02, 0.09)) for hour in range(30)]
    site = SiteSnapshot(
        taken_at=NOW,
        rigs=tuple(_rig(number, rng) for number in range(RIGS)),
        tariffs={"spot": TariffPrice(slots[0].price, ahead=tuple(slots))},
    )
    settings = SiteSettings(points=PointsSettings(), tariff="spot")
    market = MarketEconomics(payout_usd=HASHPRICE, forward_payout_usd=HASHPRICE)
    decision = SiteDecision(rigs=(RigDecision(verdict=Verdict.MINE),) * RIGS)
    book, choices = CurveBook(), Choices()
    spent: list[float] = []
    known = 0
    for number in range(EVALUATIONS):
        snapshot = replace(site, taken_at=NOW + number * INTERVAL)
        started = time.process_time()
        curves = book.curves(snapshot, settings)
        made = time.process_time() - started
        economics = price_on(market, snapshot, settings, curves)
        started = time.process_time()
        setpoints = site_setpoints(snapshot, economics, decision, curves, settings, choices)
        spent.append(made + time.process_time() - started)
        known = sum(setpoint is not None and setpoint.gain is not None for setpoint in setpoints.rigs)
    if known != RIGS:
        raise RuntimeError(f"only {known} rigs have a gain")
    return spent


def points_new() -> Result:
    """The dearest evaluation while all curves and choices are new."""
    return Result(max(evaluations()), "CPU s")


def points_kept() -> Result:
    """An evaluation in which nothing has changed."""
    return Result(min(evaluations()[-3:]), "CPU s")


async def _delays() -> tuple[list[float], float]:
    """How late the loop wakes a task while a worker plans, and for how long it planned. Seconds."""
    problem = wandering(GROUPS, QUARTERS, 1, seconds=900.0)
    background: Background[Question, Plan] = Background(
        "day-ahead plan", 900.0, Counter("failures", "Failed plans.", registry=None)
    )
    background.ask(Question(problem=replace(problem, asked_at=time.time())))
    started = time.monotonic()
    answering = asyncio.create_task(background.answer())
    delays: list[float] = []
    loop = asyncio.get_running_loop()
    while not answering.done():
        due = loop.time() + PULSE
        await asyncio.sleep(PULSE)
        delays.append(max(0.0, loop.time() - due))
    await answering
    if background.latest(time.time()) is None:
        raise RuntimeError("there is no plan")
    return delays, time.monotonic() - started


def plan_loop_delay() -> Result:
    """The 99th percentile of the loop's delays while 50 groups are planned by quarter hours."""
    prepare_process()
    delays, took = asyncio.run(_delays())
    return Result(
        sorted(delays)[int(0.99 * len(delays))] * 1_000, "ms", f"{len(delays)} wakes in {took:.0f} s of planning"
    )


BENCHES = {"points10k_new": points_new, "points10k_kept": points_kept, "plan_loop_delay_p99": plan_loop_delay}
