"""Pools that list nothing, list half, fail in words, want a slower client, or leave open what their figures mean."""

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from pydantic import ValidationError
from source_site import Handler, answers, instant, load_case, placed, serve

from exporter.model.failures import Failure, Reason
from exporter.model.readings import PoolReading, Reading
from exporter.sources.contract import SourceContext
from exporter.sources.pools.antpool import signature
from exporter.sources.registry import kinds, settings_classes

KEY = "watcher-key-1"
NOW = 1_774_094_400.0


@pytest.fixture
async def context() -> AsyncIterator[SourceContext]:
    async with aiohttp.ClientSession() as session:
        yield SourceContext(session, clock=lambda: NOW)


def made(kind: str, server: str = "http://127.0.0.1:1", **changes: Any) -> Any:
    settings = placed(load_case("pools", kind)["settings"], server) | changes
    return settings_classes("pools")[kind].model_validate(settings)


async def ask(context: SourceContext, kind: str, handler: Handler, **changes: Any) -> Reading[PoolReading]:
    async with serve(handler) as server:
        return await made(kind, server, **changes).build(context).fetch()


def saying(document: Any, status: int = 200) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(status=status, text=json.dumps(document), content_type="application/json")

    return handle


EMPTY = {
    "braiins": {"btc": {"workers": {}}},
    "luxor": {"total_active": 0, "total_inactive": 0, "workers": []},
    "ocean": {"result": {"snap_ts": "1774094340", "workers": {}}},
    "f2pool": {"workers": []},
    "viabtc": {"code": 0, "data": {"data": [], "has_next": False}},
    "antpool": {"code": 0, "data": {"rows": [], "totalPage": 1}},
    "foundry": {"workersList": [], "totalWorkerCount": 0},
    "ckpool": {"worker": []},
    "public_pool": {"workers": []},
}


@pytest.mark.parametrize("kind", kinds("pools"))
async def test_a_list_without_workers_is_a_failure_and_not_a_fleet_without_work(
    context: SourceContext, kind: str
) -> None:
    with pytest.raises(Failure, match="lists no workers") as caught:
        await ask(context, kind, saying(EMPTY[kind]))
    assert caught.value.reason is Reason.NOT_READY


CUT = {
    "luxor": {"total_active": 3, "total_inactive": 0, "workers": []},
    "foundry": {"workersList": [], "totalWorkerCount": 3},
}


@pytest.mark.parametrize("kind", CUT)
async def test_a_cut_list_is_not_used(context: SourceContext, kind: str) -> None:
    with pytest.raises(Failure, match="a cut list is not used") as caught:
        await ask(context, kind, saying(CUT[kind]))
    assert caught.value.reason is Reason.GARBLED


async def test_a_page_that_comes_twice_is_not_used(context: SourceContext) -> None:
    page = {"rows": [{"worker": "acme.1", "last1h": "5"}], "totalPage": 2}
    with pytest.raises(Failure, match="the pages list 1 workers of 2"):
        await ask(context, "antpool", saying({"code": 0, "data": page}))


async def test_pages_without_end_are_refused(context: SourceContext) -> None:
    page = {"rows": [], "totalPage": 10**9}
    with pytest.raises(Failure, match="more than 1000 pages"):
        await ask(context, "antpool", saying({"code": 0, "data": page}), request_interval=1e-9)


@pytest.mark.parametrize(
    ("kind", "document", "reason"),
    [
        ("f2pool", {"code": 5010, "msg": "invalid token"}, Reason.AUTH),
        ("viabtc", {"code": 1, "message": f"wrong key {KEY}", "data": {}}, Reason.AUTH),
        ("antpool", {"code": 1, "message": "too many requests"}, Reason.RATE_LIMITED),
        ("ocean", {"result": None}, Reason.NOT_READY),
    ],
)
async def test_an_error_in_words_is_classified_without_the_key(
    context: SourceContext, kind: str, document: Any, reason: Reason
) -> None:
    with pytest.raises(Failure) as caught:
        await ask(context, kind, saying(document))
    assert caught.value.reason is reason
    assert KEY not in str(caught.value)


async def test_payments_that_fail_cost_only_themselves(context: SourceContext) -> None:
    case = load_case("pools", "braiins")
    case["answers"] = case["answers"][:1]
    named = context.named("pools:main")
    reading = await ask(named, "braiins", answers(case))
    assert len(reading.value.workers) == 3
    assert reading.value.payments == ()
    assert "payments" in named.discards.notes


async def test_an_impossible_payment_is_left_out(context: SourceContext) -> None:
    case = load_case("pools", "foundry")
    case["answers"][1]["body"] = '[{"startTime": 1773964800, "totalAmount": 1e9}]'
    named = context.named("pools:main")
    assert (await ask(named, "foundry", answers(case))).value.payments == ()
    assert "payments" in named.discards.notes


async def test_a_bad_row_costs_only_itself(context: SourceContext) -> None:
    rows = [
        {"hash_rate_info": {"name": "a", "h1_hash_rate": 5}},
        {"hash_rate_info": {"name": "b", "h1_hash_rate": 1e30}},
        {"hash_rate_info": {"name": None, "h1_hash_rate": 5}},
    ]
    named = context.named("pools:main")
    workers = (await ask(named, "f2pool", saying({"workers": rows, "transactions": []}))).value.workers
    assert [(worker.name, worker.hashrate) for worker in workers] == [("a", 5.0), ("b", None)]
    assert "worker" in named.discards.notes


async def test_a_worker_is_named_by_what_can_be_printed(context: SourceContext) -> None:
    rows = [{"name": name, "hashRate": 1e14} for name in ("bc1q\0.s21\x1b[31m", "\0\ud800", "s19")]
    reading = await ask(context, "public_pool", saying({"workers": rows}), account="bc1q")
    assert [worker.name for worker in reading.value.workers] == ["s21[31m", "s19"]


async def test_a_list_without_a_readable_worker_is_a_failure(context: SourceContext) -> None:
    with pytest.raises(Failure, match="no worker can be read"):
        await ask(context, "f2pool", saying({"workers": [{"hash_rate_info": {"name": "a", "h1_hash_rate": -1}}]}))


async def test_requests_keep_their_distance() -> None:
    asked: list[float] = []
    case = load_case("pools", "luxor")

    async def handle(request: web.Request) -> web.StreamResponse:
        asked.append(asyncio.get_running_loop().time())
        return await answers(case)(request)

    async with aiohttp.ClientSession() as session:
        await ask(SourceContext(session, clock=lambda: NOW), "luxor", handle, request_interval=0.05)
    gaps = [later - earlier for earlier, later in pairwise(asked)]
    assert len(gaps) == 2
    assert all(gap >= 0.04 for gap in gaps)


async def test_payments_are_read_once_an_hour() -> None:
    case, asked, ticks = load_case("pools", "braiins"), [], [0.0]

    async def handle(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        return await answers(case)(request)

    async with aiohttp.ClientSession() as session, serve(handle) as server:
        context = SourceContext(session, clock=lambda: NOW, timer=lambda: ticks[0])
        source = made("braiins", server).build(context)
        for ticks[0] in (10.0, 310.0, 3_700.0):
            reading = await source.fetch()
    assert [path.split("/")[2] for path in asked] == ["workers", "rewards", "workers", "workers", "rewards"]
    assert len(reading.value.payments) == 2


def test_the_signature_of_antpool() -> None:
    found = signature("secret", "acme", "key", "1774094400000")
    assert found == "7F22C965292365E485CB1F5AE0734FA82E2C73B62051E2D808ACB4AE3E8B7995"


@pytest.mark.parametrize(
    ("kind", "missing", "words"),
    [
        ("antpool", "hashrate_unit", "Field required"),
        ("foundry", "hashrate_unit", "Field required"),
        ("luxor", "window", "Field required"),
        ("public_pool", "window", "Field required"),
        ("braiins", "api_key", "needs api_key_file"),
        ("antpool", "api_secret", "needs either api_secret_file"),
        ("braiins", "account", "Field required"),
    ],
)
def test_what_is_not_known_must_be_confirmed(kind: str, missing: str, words: str) -> None:
    settings = {key: value for key, value in load_case("pools", kind)["settings"].items() if key != missing}
    with pytest.raises(ValidationError, match=words):
        settings_classes("pools")[kind].model_validate(placed(settings, "http://127.0.0.1:1"))


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [
        ("braiins", {"api_key_file": "/etc/key"}, "not both"),
        ("braiins", {"worker": "{serail}"}, "unknown placeholder"),
        ("braiins", {"worker": "farm"}, "same worker for every rig"),
        ("braiins", {"scheme": "ppx"}, "fpps"),
        ("ckpool", {"interval": "30s"}, "one request a minute"),
        ("public_pool", {"interval": "6m"}, "at most half"),
        ("braiins", {"interval": "31m", "max_age": "1h"}, "at most half"),
        ("antpool", {"hashrate_unit": "bananas"}, "MH/s"),
    ],
)
def test_a_setting_that_cannot_be_right_is_refused(kind: str, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        made(kind, **changes)


def test_keys_are_not_shown() -> None:
    assert KEY not in repr(made("braiins"))
    assert "signing-secret-1" not in made("antpool").model_dump_json()


async def test_a_key_is_read_from_its_file_at_each_request(context: SourceContext, tmp_path: Any) -> None:
    case, seen, file = load_case("pools", "f2pool"), [], tmp_path / "key"

    async def handle(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers["F2P-API-SECRET"])
        return await answers(case)(request)

    file.write_text("first\n")
    async with serve(handle) as server:
        settings = placed(case["settings"], server) | {"api_key": None, "api_key_file": str(file)}
        source = settings_classes("pools")["f2pool"].model_validate(settings).build(context)
        await source.fetch()
        file.write_text("second\n")
        await source.fetch()
        file.unlink()
        with pytest.raises(Failure) as caught:
            await source.fetch()
    assert (seen[0], seen[-1]) == ("first", "second")
    assert caught.value.reason is Reason.AUTH


async def test_the_time_of_the_pools_own_snapshot_counts(context: SourceContext) -> None:
    case = load_case("pools", "ocean")
    reading = await ask(context, "ocean", answers(case))
    assert reading.observed_at == instant(case["observed_at"])
