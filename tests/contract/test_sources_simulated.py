"""The sources against the simulated site: what it serves is what they read."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from own_network import OWN

from exporter.model.failures import Failure, Reason
from exporter.simulation.faults import Fault
from exporter.simulation.gpu_market import GpuMarket
from exporter.simulation.gpus import gpu_nodes
from exporter.simulation.market import BITCOIN_USD, BitcoinMarket, PowerMarket
from exporter.simulation.node import DIFFICULTY, PASSWORD, START_HEIGHT, USERNAME, Chain, Node
from exporter.simulation.plant import Plant
from exporter.simulation.pool_server import TOKEN, PoolServer
from exporter.simulation.pools import ACCOUNT
from exporter.sources.contract import SourceContext
from exporter.sources.registry import settings_classes

HOST = f"{OWN}.0.1"
SEED = 7
NOW = 1_774_130_400.0


@pytest.fixture
async def context() -> AsyncIterator[SourceContext]:
    async with aiohttp.ClientSession() as session:
        yield SourceContext(session, clock=lambda: NOW)


async def value_of(context: SourceContext, room: str, **settings: Any) -> Any:
    made = settings_classes(room)[settings["kind"]].model_validate(settings)
    return (await made.build(context).fetch()).value


async def test_the_node(context: SourceContext) -> None:
    node = Node(Chain(SEED, NOW), lambda: NOW, HOST, 0)
    await node.service.start()
    try:
        state = await value_of(
            context, "network", kind="bitcoin_core", url=node.service.url, username=USERNAME, password=PASSWORD
        )
    finally:
        await node.service.stop()
    assert state.difficulty == pytest.approx(DIFFICULTY, rel=1e-4)
    assert state.height == START_HEIGHT
    assert state.block_fees == pytest.approx(0.0222, rel=0.3)
    assert 300 < state.block_interval < 1200
    assert state.epoch_start_time < state.tip_time


async def test_the_power_market(context: SourceContext) -> None:
    market = PowerMarket(SEED, lambda: NOW, HOST, 0, slot_seconds=900.0)
    await market.service.start()
    try:
        slots = await value_of(
            context,
            "tariffs",
            kind="http_json",
            url=f"{market.service.url}/prices",
            slots="slots",
            end="end",
            unit="MWh",
        )
    finally:
        await market.service.stop()
    (current,) = [slot for slot in slots if slot.start <= NOW < slot.end]
    assert current.price == pytest.approx(market.price(NOW) / 1000)


async def test_the_bitcoin_market(context: SourceContext) -> None:
    market = BitcoinMarket(SEED, lambda: NOW, HOST, 0)
    await market.service.start()
    try:
        price = await value_of(context, "bitcoin", kind="coinbase", url=f"{market.service.url}/v2/prices/BTC-USD/spot")
    finally:
        await market.service.stop()
    assert price == pytest.approx(BITCOIN_USD, rel=0.01)


async def test_the_gpu_market(context: SourceContext) -> None:
    market = GpuMarket(SEED, lambda: NOW, HOST, 0)
    await market.service.start()
    url, models = market.service.url, ["H100 SXM"]
    try:
        (offers,) = await value_of(
            context, "ai_prices", kind="vastai_exporter", url=f"{url}/metrics/global", models=models
        )
        (index,) = await value_of(
            context, "ai_prices", kind="ornn", url=url, models=[*models, "B200"], commitment="interruptible"
        )
    finally:
        await market.service.stop()
    assert offers.low < offers.price < offers.high
    assert offers.price == pytest.approx(market.price("H100 SXM"), rel=1e-4)
    assert offers.offers == 352
    assert index.price == pytest.approx(1.85, rel=0.05)
    assert index.commitment == "interruptible"


async def test_the_pool(context: SourceContext) -> None:
    site = Plant(12, models=(), seed=SEED, clock=lambda: NOW, troubles=False, lowest_port=1024)
    rigs = list(site.machines)
    site.machines[rigs[1]].set_fault(Fault.WORKER_RENAMED, NOW - 7_200)
    site.machines[rigs[2]].set_fault(Fault.POOLS_DEAD, NOW - 7_200)
    site.pool.skim[rigs[3]] = 0.5
    server = PoolServer(SEED, lambda: NOW, HOST, 0, site.machines)
    server.skim = site.pool.skim
    await server.service.start()
    account = {"kind": "braiins", "url": server.service.url, "account": ACCOUNT, "worker": "{rig}"}
    try:
        with pytest.raises(Failure) as refused:
            await value_of(context, "pools", api_key="stolen", **account)
        reading = await value_of(context, "pools", api_key=TOKEN, **account)
    finally:
        await server.service.stop()
    assert refused.value.reason is Reason.AUTH
    credited = {worker.name: worker.hashrate for worker in reading.workers}
    rated = {name: machine.model.terahash * 1e12 for name, machine in site.machines.items()}
    assert credited[rigs[0]] == pytest.approx(rated[rigs[0]], rel=0.25)
    assert rigs[1] not in credited
    assert credited[rigs[2]] == 0
    assert credited[rigs[3]] == pytest.approx(0.5 * rated[rigs[3]], rel=0.25)
    assert reading.payments == ()  # within the five seconds that the pool wants between two requests


async def test_the_gpu_nodes(context: SourceContext) -> None:
    nodes = gpu_nodes(SEED, lambda: NOW, HOST, (0, 0))
    found = []
    for node in nodes:
        await node.service.start()
        try:
            url = f"{node.service.url}/metrics"
            found.append(await value_of(context, "gpus", kind="dcgm_exporter", url=url))
        finally:
            await node.service.stop()
    full, mixed = found
    assert len(full) == len(mixed) == 8
    assert all(gpu.allocated and gpu.power > 60 and gpu.hostname for gpu in full)
    assert all(gpu.hostname for gpu in mixed)
    assert any(gpu.power is None for gpu in mixed)
    assert any(gpu.allocated is False for gpu in mixed)
    assert all(0 <= gpu.energy < 1e11 for gpu in (*full, *mixed) if gpu.energy is not None)
