"""The simulated node, power market, bitcoin price and GPUs."""

from collections.abc import AsyncIterator
from datetime import datetime
from itertools import pairwise
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families
from simulation_clients import NOW, Clock, free_network

from exporter.simulation.market import BitcoinMarket, PowerMarket
from exporter.simulation.node import (
    EPOCH_HEIGHT,
    PASSWORD,
    START_HEIGHT,
    USERNAME,
    Chain,
    retargeted,
    subsidy,
    to_bits,
    to_difficulty,
    to_target,
)
from exporter.simulation.service import SourceFault
from exporter.simulation.site import SimulatedSite

WEEKS = [NOW + 900 * number for number in range(96 * 60)]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def site(clock: Clock) -> AsyncIterator[SimulatedSite]:
    async with SimulatedSite(models=["Whatsminer M60"], clock=clock, network=free_network(), troubles=False) as site:
        yield site


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


# --- bitcoin ---------------------------------------------------------------------------------------------------------


def test_compact_targets_give_the_known_difficulty() -> None:
    assert to_difficulty(0x1701FCA1) == pytest.approx(141668107417558.24, rel=1e-15)
    for bits in (0x1701FCA1, 0x1D00FFFF, 0x1C00FFFF):
        assert to_bits(to_target(bits)) == bits


def test_a_retarget_is_bitcoin_cores() -> None:
    assert retargeted(0x1D00FFFF, 1_262_152_739 - 1_261_130_161) == 0x1D00D86A  # of Core's own tests
    assert retargeted(0x1C05A3F4, 1_279_297_671 - 1_279_008_237) == 0x1C0168FD  # bounded below
    assert retargeted(0x1C387F6F, 1_269_211_443 - 1_263_163_443) == 0x1D00E1FD  # bounded above


def test_the_subsidy_halves() -> None:
    assert [subsidy(height) for height in (1_049_999, 1_050_000)] == [312_500_000, 156_250_000]


def test_the_chain_starts_from_the_market_of_march_2026() -> None:
    chain = Chain(21, NOW)
    assert chain.height == START_HEIGHT == 942_472
    assert to_difficulty(chain.bits(EPOCH_HEIGHT)) == pytest.approx(133.79e12, rel=1e-5)
    assert to_difficulty(chain.bits(EPOCH_HEIGHT)) / to_difficulty(chain.bits(EPOCH_HEIGHT - 1)) - 1 == pytest.approx(
        -0.0776, abs=1e-4
    )
    assert chain.time(chain.height) == pytest.approx(NOW, abs=600)
    fees = sum(chain.fees(chain.height - back) for back in range(144)) / 144
    reward = (subsidy(chain.height) + fees) / 1e8
    hashprice = 1e15 * 86_400 * reward / (to_difficulty(chain.bits(chain.height)) * 2**32) * 70_370
    assert hashprice == pytest.approx(33.30, rel=0.005)


def test_the_retarget_follows_the_rule() -> None:
    chain = Chain(21, NOW)
    before = chain.time(EPOCH_HEIGHT - 1) - chain.time(EPOCH_HEIGHT - 2_016)
    assert 145.045e12 * 1_209_600 / before == pytest.approx(133.79e12, rel=1e-4)
    chain.advance(NOW + 8 * 86_400)
    retarget = EPOCH_HEIGHT + 2_016
    assert chain.height > retarget
    seconds = chain.time(retarget - 1) - chain.time(EPOCH_HEIGHT)
    assert to_difficulty(chain.bits(retarget)) == pytest.approx(
        to_difficulty(chain.bits(retarget - 1)) * 1_209_600 / seconds, rel=2e-5
    )


def test_blocks_come_as_the_clock_goes_on_and_on_demand() -> None:
    chain = Chain(21, NOW)
    chain.advance(NOW + 86_400)
    assert chain.height - START_HEIGHT == pytest.approx(145, abs=40)
    assert chain.time(chain.height) <= NOW + 86_400
    height = chain.height
    chain.mine(7, NOW + 86_400)
    assert chain.height == height + 7
    times = [chain.time(number) for number in range(height - 100, chain.height + 1)]
    assert times == sorted(times)


async def call(
    session: aiohttp.ClientSession, site: SimulatedSite, payload: Any, password: str = PASSWORD
) -> tuple[int, Any]:
    login = {"Authorization": aiohttp.encode_basic_auth(USERNAME, password)}
    async with session.post(site.sources["node"].url, json=payload, headers=login) as answer:
        return answer.status, await answer.json() if answer.content_type == "application/json" else None


async def test_the_node_speaks_json_rpc(session: aiohttp.ClientSession, site: SimulatedSite) -> None:
    status, answer = await call(session, site, {"method": "getblockcount", "params": [], "id": 7})
    assert (status, answer) == (200, {"result": 942_472, "error": None, "id": 7})
    status, answer = await call(session, site, {"jsonrpc": "2.0", "method": "getblockcount", "id": 8})
    assert (status, answer) == (200, {"jsonrpc": "2.0", "result": 942_472, "id": 8})
    assert (await call(session, site, {"method": "getblockcount"}, "wrong"))[0] == 401


async def test_the_nodes_answers_agree(session: aiohttp.ClientSession, site: SimulatedSite, clock: Clock) -> None:
    names = ["getmininginfo", "getblockchaininfo", "getnetworkhashps", "getbestblockhash", "getnetworkinfo"]
    status, answers = await call(session, site, [{"method": name, "id": name} for name in names])
    assert status == 200
    mining, chain, hashrate, best, network = (answer["result"] for answer in answers)
    assert mining["blocks"] == chain["blocks"] == 942_472
    assert mining["next"]["height"] == 942_473
    assert mining["next"]["difficulty"] == mining["difficulty"] == chain["difficulty"]
    assert (chain["chain"], chain["initialblockdownload"]) == ("main", False)
    assert mining["networkhashps"] == hashrate == pytest.approx(967e18, rel=0.3)
    assert network["version"] >= 290000
    _, answer = await call(session, site, {"method": "getblockheader", "params": [best]})
    header = answer["result"]
    assert (header["height"], header["time"], header["confirmations"]) == (942_472, chain["time"], 1)
    assert header["mediantime"] < header["time"] <= clock.now
    _, answer = await call(session, site, {"method": "getblockhash", "params": [942_471]})
    assert answer["result"] == header["previousblockhash"]
    _, answer = await call(session, site, {"method": "getblockstats", "params": [best, ["totalfee", "subsidy"]]})
    assert answer["result"]["subsidy"] == 312_500_000
    assert 0 < answer["result"]["totalfee"] < 50_000_000


@pytest.mark.parametrize(
    ("method", "params", "status", "code"),
    [
        ("nosuchmethod", [], 404, -32601),
        ("getblockhash", [10_000_000], 500, -8),
        ("getblockhash", ["seven"], 500, -1),
        ("getblockstats", [100], 500, -1),
        ("getblockstats", [942_472, ["nosuchstat"]], 500, -8),
        ("getblockheader", ["00" * 32], 500, -5),
    ],
)
async def test_the_node_refuses_as_bitcoin_core_does(
    session: aiohttp.ClientSession, site: SimulatedSite, method: str, params: list[Any], status: int, code: int
) -> None:
    got, answer = await call(session, site, {"method": method, "params": params, "id": 1})
    assert (got, answer["error"]["code"], answer["result"]) == (status, code, None)
    got, answer = await call(session, site, {"jsonrpc": "2.0", "method": method, "params": params, "id": 1})
    assert (got, answer["error"]["code"], "result" in answer) == (200, code, False)


async def test_the_bitcoin_price_moves_from_where_it_is_set(
    session: aiohttp.ClientSession, site: SimulatedSite, clock: Clock
) -> None:
    url = f"{site.sources['bitcoin'].url}/v2/prices/BTC-USD/spot"
    async with session.get(url) as answer:
        assert await answer.json() == {"data": {"amount": "70370.00", "base": "BTC", "currency": "USD"}}
    clock.now += 3_600
    assert site.bitcoin.price() != 70_370
    assert site.bitcoin.price() == pytest.approx(70_370, rel=0.02)
    site.bitcoin.set(100_000)
    assert site.bitcoin.price() == 100_000
    async with session.get(url.replace("BTC-USD", "ETH-USD")) as answer:
        assert answer.status == 404


# --- power -----------------------------------------------------------------------------------------------------------


def power(clock: Clock, slot_seconds: float = 900.0) -> PowerMarket:
    return PowerMarket(21, clock, "127.30.0.1", 1, slot_seconds=slot_seconds)


def test_old_rigs_lose_most_of_the_time_and_new_ones_earn(clock: Clock) -> None:
    prices = [power(clock).price(at) for at in WEEKS]
    old, new = (33.30 * 0.99 / (24 * 1.03 * efficiency) * 1_000 for efficiency in (30.5, 17.5))  # USD per MWh
    assert sum(price > old for price in prices) / len(prices) > 0.8
    assert sum(price < new for price in prices) / len(prices) > 0.95
    assert 0.01 < sum(price < 0 for price in prices) / len(prices) < 0.2
    assert min(prices) > -60
    assert max(prices) < 150


@pytest.mark.parametrize("slot_seconds", [900.0, 60.0])
def test_the_slots_cover_yesterday_to_the_day_after_tomorrow(clock: Clock, slot_seconds: float) -> None:
    market = power(clock, slot_seconds)
    slots = market.slots()
    assert len(slots) == 4 * 96
    assert all(end - start == slot_seconds for start, end, _ in slots)
    assert all(before[1] == after[0] for before, after in pairwise(slots))
    assert slots[0][0] <= clock.now - 96 * slot_seconds
    assert slots[-1][1] > clock.now + 2 * 96 * slot_seconds
    (running,) = [price for start, end, price in slots if start <= clock.now < end]
    assert market.price(clock.now) == running
    clock.now += 5 * slot_seconds
    assert market.slots() == slots, "published prices stay as they were"


def test_an_override_holds_from_the_slot_that_runs(clock: Clock) -> None:
    market = power(clock)
    before = market.slots()
    clock.now += 1_000
    market.override(-25.0)
    for (start, end, price), (_, _, was) in zip(market.slots(), before, strict=True):
        assert price == (-25.0 if end > clock.now else was), start
    market.override(None)
    assert market.slots() == before


async def test_the_power_market_is_json_with_iso_times(session: aiohttp.ClientSession, site: SimulatedSite) -> None:
    async with session.get(f"{site.sources['power'].url}/prices") as answer:
        body = await answer.json()
    assert (body["currency"], body["unit"]) == ("USD", "MWh")
    read = [(datetime.fromisoformat(slot["start"]).timestamp(), slot["price"]) for slot in body["slots"]]
    assert read == [(start, price) for start, _, price in site.power.slots()]


def test_markets_are_seeded(clock: Clock) -> None:
    assert power(clock).slots() == power(clock).slots()
    assert power(clock).slots() != PowerMarket(22, clock, "127.30.0.1", 1, slot_seconds=900.0).slots()
    first, second = (BitcoinMarket(seed, clock, "127.30.0.1", 1) for seed in (21, 22))
    clock.now += 1_000
    assert first.price() != second.price()


# --- GPUs ------------------------------------------------------------------------------------------------------------


def samples(text: str) -> list[tuple[str, dict[str, str], float]]:
    return [
        (sample.name, sample.labels, sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]


async def test_a_gpu_node_is_dcgm_text(session: aiohttp.ClientSession, site: SimulatedSite) -> None:
    async with session.get(f"{site.sources['gpu-1'].url}/metrics") as answer:
        assert answer.content_type == "text/plain"
        text = await answer.text()
    names = {family.name: family.type for family in text_string_to_metric_families(text)}
    assert names["DCGM_FI_DEV_POWER_USAGE"] == "gauge"
    assert names["DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"] == "counter"
    powers = [(labels, value) for name, labels, value in samples(text) if name == "DCGM_FI_DEV_POWER_USAGE"]
    assert len({labels["UUID"] for labels, _ in powers}) == 8
    assert all(550 < value < 700 and labels["pod"] == "train-70b-0" for labels, value in powers)
    assert all(labels["Hostname"] == "gpu-1" for labels, _ in powers)


async def test_the_second_gpu_node_has_every_trap(site: SimulatedSite) -> None:
    found = samples(site.gpu_nodes[1].text())
    assert all("hostname" in labels and "Hostname" not in labels for _, labels, _ in found)
    by_gpu = {
        gpu: [(name, labels, value) for name, labels, value in found if labels["gpu"] == str(gpu)] for gpu in range(8)
    }
    power = {gpu: [value for name, _, value in rows if name.endswith("POWER_USAGE")] for gpu, rows in by_gpu.items()}
    assert power[4] == power[5] == [71.0]
    assert "pod" not in by_gpu[4][0][1]
    assert by_gpu[5][0][1]["pod"] == "notebook-0"
    assert len(power[6]) == 2
    assert power[6][0] == power[6][1]
    assert {labels["GPU_I_ID"] for _, labels, _ in by_gpu[6]} == {"1", "2"}
    assert not [name for name, _, _ in by_gpu[6] if name.endswith("GPU_UTIL")]
    errors = {name: value for name, _, value in by_gpu[7]}
    assert errors.pop("DCGM_FI_DEV_XID_ERRORS") == 79
    assert min(errors.values()) >= 2**47


async def test_energy_is_power_over_time(site: SimulatedSite, clock: Clock) -> None:
    def total() -> float:
        return sum(value for name, _, value in samples(site.gpu_nodes[0].text()) if "ENERGY" in name)

    watts, start, joules = 0.0, total(), clock.now
    for _ in range(94):  # twenty periods of its load
        clock.now += 10
        watts += sum(value for name, _, value in samples(site.gpu_nodes[0].text()) if name.endswith("POWER_USAGE")) / 94
    assert (total() - start) / 1_000 == pytest.approx(watts * (clock.now - joules), rel=1e-3)


# --- faults of services ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["node", "power", "bitcoin", "gpu-market", "gpu-1", "gpu-2"])
async def test_every_source_can_fail_and_come_back(
    session: aiohttp.ClientSession, site: SimulatedSite, name: str
) -> None:
    url = f"{site.sources[name].url}/metrics"
    async with session.get(url) as answer:
        status = answer.status
    await site.set_source_fault(name, SourceFault.DOWN)
    with pytest.raises(aiohttp.ClientConnectorError):
        await session.get(url)
    await site.set_source_fault(name, SourceFault.GARBAGE)
    async with session.get(url) as answer:
        with pytest.raises(UnicodeDecodeError):
            (await answer.read()).decode()
    await site.set_source_fault(name, SourceFault.ERROR)
    async with session.get(url) as answer:
        assert answer.status == 500
    await site.set_source_fault(name, SourceFault.HANG)
    with pytest.raises(TimeoutError):
        await session.get(url, timeout=aiohttp.ClientTimeout(total=0.2))
    await site.set_source_fault(name, None)
    async with session.get(url) as answer:
        assert answer.status == status
