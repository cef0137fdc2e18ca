"""What a pool of 10,000 workers costs: every page at the pool's own pace, and reconciling as many rigs with it."""

import asyncio
import json
import multiprocessing
import time
from collections.abc import Callable
from typing import Any, Final

import aiohttp
from aiohttp import web

from exporter.decision.pool_work import PoolState, PoolWork
from exporter.economics.reconciliation import AccountSettings
from exporter.economics.settings import EconomicsSettings
from exporter.economics.values import MarketEconomics
from exporter.model.fleet import Rig
from exporter.model.readings import Pool, PoolReading, PoolWorker, Reading, RigIdentity, RigReading
from exporter.model.snapshot import RigSnapshot, SiteSnapshot
from exporter.sources.contract import SourceContext
from exporter.sources.registry import settings_classes
from tests.bench.result import Result

_WORKERS: Final = 10_000
_NOW: Final = 1_774_094_400.0
_RATE: Final = 199_120_400_000_000


def _braiins(_query: dict[str, str]) -> Any:
    row = {"last_share": 1_774_094_380, "state": "ok", "hash_rate_unit": "Gh/s", "hash_rate_60m": 199_120.4}
    padding = {"hash_rate_5m": 201_333.1, "hash_rate_24h": 198_700.0, "shares_5m": 12, "shares_60m": 170}
    return {"btc": {"workers": {f"acme.rig-{number}": row | padding for number in range(_WORKERS)}}}


def _page(query: dict[str, str], number: str, size: str, first: int = 1) -> range:
    start = (int(query[number]) - first) * int(query[size])
    return range(start, min(start + int(query[size]), _WORKERS))


def _luxor(query: dict[str, str]) -> Any:
    rows = [
        {"id": str(each), "name": f"rig-{each}", "hashrate": _RATE, "last_share_time": "2026-03-21T11:59:40Z"}
        for each in _page(query, "page_number", "page_size")
    ]
    return {"total_active": _WORKERS, "total_inactive": 0, "workers": rows}


def _viabtc(query: dict[str, str]) -> Any:
    found = _page(query, "page", "limit")
    rows = [{"worker_name": f"rig-{each}", "hashrate_1hour": str(_RATE), "last_active": 1} for each in found]
    return {"code": 0, "data": {"data": rows, "has_next": found.stop < _WORKERS}}


def _antpool(query: dict[str, str]) -> Any:
    found = _page(query, "page", "pageSize")
    rows = [{"worker": f"acme.rig-{each}", "last1h": "199120400.0"} for each in found]
    return {"code": 0, "data": {"rows": rows, "totalPage": -(-_WORKERS // int(query["pageSize"]))}}


def _foundry(query: dict[str, str]) -> Any:
    found = _page(query, "pageNumber", "pageSize", 0)
    rows = [{"workerName": f"rig-{each}", "hashrate_1h": 199_120.4, "lastShareTime": 1_774_094_380} for each in found]
    return {"workersList": rows, "totalWorkerCount": _WORKERS}


_POOLS: Final[dict[str, tuple[Callable[[dict[str, str]], Any], dict[str, Any]]]] = {
    "braiins": (_braiins, {}),
    "luxor": (_luxor, {"window": "1h"}),
    "viabtc": (_viabtc, {}),
    "antpool": (_antpool, {"api_secret": "secret", "hashrate_unit": "MH/s"}),
    "foundry": (_foundry, {"hashrate_unit": "GH/s"}),
}


def _serve(pipe: Any) -> None:
    """Serve all pools in a process of its own, so that its CPU time is not counted."""

    async def handle(request: web.Request) -> web.Response:
        answer, _ = _POOLS[request.match_info["kind"]]
        query = dict(request.query) | {name: str(value) for name, value in (await request.post()).items()}
        try:
            return web.Response(text=json.dumps(answer(query)), content_type="application/json")
        except KeyError:  # payments
            return web.Response(status=404)

    async def run() -> None:
        app = web.Application()
        app.router.add_route("*", "/{kind}/{path:.*}", handle)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        pipe.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(run())


def _read() -> tuple[float, float]:
    """Return the longest wall-clock and CPU seconds that a pool needs."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,), daemon=True)
    server.start()
    port = ours.recv()
    try:
        return asyncio.run(_read_all(port))
    finally:
        server.terminate()
        server.join()


async def _read_all(port: int) -> tuple[float, float]:
    longest = spent = 0.0
    async with aiohttp.ClientSession() as session:
        for kind, (_, more) in _POOLS.items():
            said = {"kind": kind, "url": f"http://127.0.0.1:{port}/{kind}", "account": "acme", "api_key": "key"}
            source = settings_classes("pools")[kind].model_validate(said | more).build(SourceContext(session))
            started, cpu = time.perf_counter(), time.process_time()
            reading = await source.fetch()
            longest = max(longest, time.perf_counter() - started)
            spent = max(spent, time.process_time() - cpu)
            if len(reading.value.workers) != _WORKERS:
                raise SystemExit(f"{kind}: {len(reading.value.workers)} workers")
    return longest, spent


def pool_read() -> Result:
    """Seconds to read 10,000 workers of the slowest pool, at its limit of requests."""
    return Result(_read()[0], "s")


def pool_read_cpu() -> Result:
    """CPU seconds of the same, of the pool that needs most."""
    return Result(_read()[1], "s")


def pool_reconcile_cpu() -> Result:
    """CPU seconds of one evaluation of 10,000 rigs against their pool, without a booking: the best of a few rounds."""
    identity = RigIdentity(reader="x", make="Bitmain", model="S21", algorithm="SHA256")
    reading = RigReading(
        hashrate=2e14,
        accepted_difficulty=1e9,
        pools=(Pool(index=0, worker="acme.x", active=True, difficulty=131_072.0),),
    )
    rigs = tuple(
        RigSnapshot(rig=Rig(name=f"rig-{each}", address="10.0.0.1"), identity=identity, reading=Reading(reading, _NOW))
        for each in range(_WORKERS)
    )
    workers = tuple(PoolWorker(f"rig-{each}", 2e14) for each in range(_WORKERS))
    state = PoolState(
        AccountSettings(account="acme", worker="{rig}"), Reading(PoolReading(window=3_600.0, workers=workers), _NOW)
    )
    work, spent = PoolWork({}), []
    for seconds in range(5):
        started = time.process_time()
        work.observe(
            SiteSnapshot(taken_at=_NOW + 15 * seconds, rigs=rigs),
            {"main": state},
            MarketEconomics(),
            EconomicsSettings(),
            site="s",
            longest_gap=300.0,
        )
        spent.append(time.process_time() - started)
    return Result(min(spent), "s")


BENCHES: Final = {
    "pool_read": pool_read,
    "pool_read_cpu": pool_read_cpu,
    "pool_reconcile_cpu": pool_reconcile_cpu,
}
