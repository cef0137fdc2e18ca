"""Several sources of one quantity: who is taken, who is left out, who is asked when, and what is reported."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from source_site import serve
from structlog.testing import capture_logs

from exporter.model.failures import Failure, Reason
from exporter.model.readings import Reading
from exporter.sources import group as panel
from exporter.sources.bitcoin import bitstamp, median
from exporter.sources.contract import SourceContext
from exporter.sources.network import failover, mempool
from exporter.telemetry import Telemetry


class Markets:
    """Coinbases whose price, or failing status, is set per path."""

    def __init__(self) -> None:
        self.answers: dict[str, float | int] = {}
        self.headers: dict[str, str] = {}
        self.asked: list[str] = []
        self.now = 1_774_094_400.0

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        answer = self.answers[request.path]
        if isinstance(answer, int):
            return web.Response(status=answer, headers=self.headers)
        return web.json_response({"data": {"amount": f"{answer}", "currency": "USD"}})

    async def handle_mempool(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        which, _, path = request.path.lstrip("/").partition("/")
        answer = self.answers[which]
        if isinstance(answer, int):
            return web.Response(status=answer)
        return web.json_response(
            {
                "api/v1/mining/hashrate/3d": {"currentDifficulty": answer},
                "api/v1/difficulty-adjustment": {"remainingBlocks": 1000, "nextRetargetHeight": 943_488},
                "api/v1/mining/reward-stats/144": {"startBlock": 1, "endBlock": 144, "totalFee": "288000000"},
            }.get(path, [])
        )


@pytest.fixture
async def markets() -> Markets:
    return Markets()


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


@pytest.fixture
async def context(markets: Markets, telemetry: Telemetry) -> AsyncIterator[SourceContext]:
    async with aiohttp.ClientSession() as session:
        yield SourceContext(session, clock=lambda: markets.now, timer=lambda: markets.now, telemetry=telemetry)


def sample(telemetry: Telemetry, name: str, **labels: str) -> float | None:
    return telemetry.registry.get_sample_value(name, labels)


def median_of(server: str, *paths: str, **settings: Any) -> median.Settings:
    sources = [{"kind": "coinbase", "url": f"{server}/{path}"} | settings for path in paths]
    return median.Settings.model_validate({"kind": "median", "sources": sources})


async def test_an_outlier_is_left_out_and_counted(
    markets: Markets, context: SourceContext, telemetry: Telemetry
) -> None:
    markets.answers = {"/a": 70_000.0, "/b": 70_100.0, "/c": 80_000.0}
    async with serve(markets.handle) as server:
        reading = await median_of(server, "a", "b", "c").build(context).fetch()
    assert reading.value == 70_050
    assert sample(telemetry, "mining_source_outliers_total", source="bitcoin:coinbase-3") == 1
    assert sample(telemetry, "mining_source_disagreement_ratio", quantity="bitcoin_price") == pytest.approx(
        10_000 / 70_100
    )


async def test_each_member_shows_the_state_of_its_requests_and_its_value(
    markets: Markets, context: SourceContext
) -> None:
    async with serve(markets.handle) as server:
        urls = [f"{server}/{name}" for name in ("a", "b", "c", "d")]
        sources = [{"kind": "coinbase", "url": url} for url in urls]
        source = median.Settings.model_validate({"sources": sources}).build(context)
        markets.answers = {"/a": 100_000.0, "/b": 100_100.0, "/c": 130_000.0, "/d": 100_050.0}
        began = markets.now
        await source.fetch()
        markets.answers["/b"] = 500
        markets.now += 60
        await source.fetch()
        markets.now += 60
        await source.fetch()
        members = context.members
        assert list(members) == [f"bitcoin:coinbase-{number}" for number in (1, 2, 3, 4)]
        fine, failing, strayed, _ = members.values()
        assert (fine.observed_at, fine.failing_since, fine.left_out) == (markets.now, None, "")
        assert (failing.observed_at, failing.failing_since, failing.failed_at) == (began, began + 60, began + 120)
        assert failing.failure is not None
        assert failing.failure.reason is Reason.SERVER_ERROR
        assert (strayed.failing_since, strayed.left_out) == (None, "+29.9% from the median")
        markets.answers |= {"/b": 100_100.0, "/c": 100_000.0}
        markets.now += 60
        await source.fetch()
        _, back, agrees, _ = members.values()
        assert (back.observed_at, back.failing_since, back.failed_at) == (markets.now, None, began + 120)
        assert agrees.left_out == ""


async def test_an_outlier_is_logged_once_until_it_agrees_again(markets: Markets, context: SourceContext) -> None:
    async with serve(markets.handle) as server:
        source = median_of(server, "a", "b", "c", interval="10s").build(context)
        with capture_logs() as logs:
            for far in (80_000.0, 81_000.0, 500, 81_000.0, 70_000.0, 82_000.0):
                markets.answers = {"/a": 70_000.0, "/b": 70_100.0, "/c": far}
                markets.now += 20
                await source.fetch()
    assert [(entry["event"], entry.get("value")) for entry in logs] == [
        ("source left out", 80_000.0),
        ("source is down", None),
        ("source is back", None),
        ("source counts again", None),
        ("source left out", 82_000.0),
    ]


@pytest.mark.parametrize(("fault", "reason"), [("hang", "timeout"), ("bug", "internal")])
async def test_one_that_hangs_or_has_a_bug_takes_no_other_with_it(
    markets: Markets,
    context: SourceContext,
    telemetry: Telemetry,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    reason: str,
) -> None:
    async def fetch(_: object) -> Reading[float]:
        if fault == "bug":
            raise RuntimeError("oops")
        await asyncio.Event().wait()
        raise AssertionError

    if fault == "hang":
        monkeypatch.setattr(panel, "_DEADLINE", 5.0)  # which a busy machine may need for the other one, too
    monkeypatch.setattr(bitstamp._Bitstamp, "fetch", fetch)
    markets.answers = {"/a": 70_000.0}
    async with serve(markets.handle) as server:
        sources = [{"kind": "coinbase", "url": f"{server}/a"}, {"kind": "bitstamp", "url": f"{server}/b"}]
        source = median.Settings.model_validate({"kind": "median", "sources": sources}).build(context)
        assert (await source.fetch()).value == 70_000
    assert sample(telemetry, "mining_source_failures_total", source="bitcoin:bitstamp", reason=reason) == 1


async def test_those_that_do_not_answer_are_done_without(markets: Markets, context: SourceContext) -> None:
    markets.answers = {"/a": 500, "/b": 70_100.0}
    async with serve(markets.handle) as server:
        assert (await median_of(server, "a", "b").build(context).fetch()).value == 70_100


async def test_two_prices_that_disagree_are_no_price(markets: Markets, context: SourceContext) -> None:
    markets.answers = {"/a": 70_000.0, "/b": 90_000.0}
    async with serve(markets.handle) as server:
        with pytest.raises(Failure) as caught:
            await median_of(server, "a", "b").build(context).fetch()
    assert caught.value.reason is Reason.IMPLAUSIBLE


async def test_a_leap_that_a_second_market_confirms_is_used_at_once(
    markets: Markets, context: SourceContext, telemetry: Telemetry
) -> None:
    markets.answers = {"/a": 70_000.0, "/b": 70_100.0}
    async with serve(markets.handle) as server:
        source = median_of(server, "a", "b").build(context)
        assert (await source.fetch()).value == 70_050
        markets.now += 60
        markets.answers["/a"] = 150_000.0
        assert (await source.fetch()).value == 70_100, "one alone is not believed"
        assert sample(telemetry, "mining_source_failures_total", source="bitcoin:coinbase-1", reason="implausible") == 1
        markets.now += 60
        markets.answers["/b"] = 151_000.0
        with capture_logs() as logs:
            assert (await source.fetch()).value == 150_500
        assert [log["event"] for log in logs] == ["source is back"]


async def test_a_leap_that_both_markets_show_for_the_first_time_is_no_failure(
    markets: Markets, context: SourceContext, telemetry: Telemetry
) -> None:
    markets.answers = {"/a": 70_000.0, "/b": 70_100.0}
    async with serve(markets.handle) as server:
        source = median_of(server, "a", "b").build(context)
        await source.fetch()
        markets.now += 60
        markets.answers = {"/a": 30_000.0, "/b": 30_100.0}
        with capture_logs() as logs:
            assert (await source.fetch()).value == 30_050
    assert logs == []
    assert sample(telemetry, "mining_source_up", source="bitcoin:coinbase-1") == 1


async def test_the_only_market_that_is_left_waits_once(markets: Markets, context: SourceContext) -> None:
    markets.answers = {"/a": 70_000.0, "/b": 70_100.0}
    async with serve(markets.handle) as server:
        source = median_of(server, "a", "b").build(context)
        await source.fetch()
        markets.now += 60
        markets.answers = {"/a": 150_000.0, "/b": 500}
        with pytest.raises(Failure, match="not used before another source agrees"):
            await source.fetch()
        markets.now += 600
        assert (await source.fetch()).value == 150_000


async def test_after_a_start_one_market_alone_is_compared_with_the_last_median(
    markets: Markets, context: SourceContext
) -> None:
    markets.answers = {"/a": 150_000.0, "/b": 500}
    async with serve(markets.handle) as server:
        source = median_of(server, "a", "b").build(context, Reading(70_000.0, markets.now - 3_600))
        with pytest.raises(Failure, match="not used before another source agrees"):
            await source.fetch()
        markets.answers["/b"] = 150_100.0
        assert (await source.fetch()).value == 150_050


async def test_how_far_they_differ_is_absent_once_none_answers(
    markets: Markets, context: SourceContext, telemetry: Telemetry
) -> None:
    async with serve(markets.handle) as server:
        source = median_of(server, "a", "b", interval="10s").build(context)
        markets.answers = {"/a": 70_000.0, "/b": 70_700.0}
        await source.fetch()
        assert sample(telemetry, "mining_source_disagreement_ratio", quantity="bitcoin_price") is not None
        markets.answers = {"/a": 500, "/b": 500}
        markets.now += 20
        with pytest.raises(Failure):
            await source.fetch()
    assert sample(telemetry, "mining_source_disagreement_ratio", quantity="bitcoin_price") is None


async def test_one_whose_price_is_old_is_down(markets: Markets, context: SourceContext, telemetry: Telemetry) -> None:
    async def handle(request: web.Request) -> web.Response:
        if request.path == "/old":
            return web.json_response({"timestamp": str(int(markets.now - 86_400)), "last": "70000"})
        return await markets.handle(request)

    markets.answers = {"/a": 70_100.0}
    async with serve(handle) as server:
        sources = [{"kind": "coinbase", "url": f"{server}/a"}, {"kind": "bitstamp", "url": f"{server}/old"}]
        source = median.Settings.model_validate({"kind": "median", "sources": sources}).build(context)
        with capture_logs() as logs:
            assert (await source.fetch()).value == 70_100
    assert [(entry["event"], entry["reason"]) for entry in logs] == [("source is down", "stale")]
    assert sample(telemetry, "mining_source_up", source="bitcoin:bitstamp") == 0


async def test_the_first_reason_is_raised_if_no_source_answers(markets: Markets, context: SourceContext) -> None:
    markets.answers = {"/a": 401, "/b": 500}
    async with serve(markets.handle) as server:
        with pytest.raises(Failure) as caught:
            await median_of(server, "a", "b").build(context).fetch()
    assert caught.value.reason is Reason.AUTH


async def test_each_keeps_its_own_rhythm_and_its_own_age(markets: Markets, context: SourceContext) -> None:
    markets.answers = {"/a": 70_000.0, "/b": 70_010.0}
    async with serve(markets.handle) as server:
        settings = median_of(server, "a", "b", interval="5m", max_age="10m")
        slow = settings.build(context)
        await slow.fetch()
        markets.now += 60
        assert (await slow.fetch()).observed_at == markets.now - 60
        assert sorted(markets.asked) == ["/a", "/b"]
        markets.now += 300
        markets.answers["/a"] = 500
        assert (await slow.fetch()).value == 70_010
        assert len(markets.asked) == 4


async def test_a_price_of_the_hour_does_not_age_the_median(markets: Markets, context: SourceContext) -> None:
    async def handle(request: web.Request) -> web.Response:
        if request.path == "/api/v1/prices":
            return web.json_response({"time": markets.now - 3000, "USD": 69_000})
        return await markets.handle(request)

    async with serve(handle) as server:
        sources = [{"kind": "coinbase", "url": f"{server}/a"}, {"kind": "mempool", "url": server}]
        source = median.Settings.model_validate({"kind": "median", "sources": sources}).build(context)
        markets.answers = {"/a": 70_000.0}
        reading = await source.fetch()
        assert (reading.value, reading.observed_at) == (70_000, markets.now)
        markets.answers = {"/a": 500}
        markets.now += 100
        reading = await source.fetch()
        assert (reading.value, reading.observed_at) == (69_000, markets.now - 3100)


async def test_who_says_too_often_is_left_alone_for_as_long_as_it_asked(
    markets: Markets, context: SourceContext
) -> None:
    markets.answers = {"/a": 429, "/b": 70_010.0}
    markets.headers = {"Retry-After": "120"}
    async with serve(markets.handle) as server:
        source = median_of(server, "a", "b", interval="10s").build(context)
        for wait in (0, 60, 59):
            markets.now += wait
            await source.fetch()
        assert markets.asked.count("/a") == 1
        markets.now += 1
        await source.fetch()
        assert markets.asked.count("/a") == 2
        markets.headers = {"Retry-After": "86400"}
        for wait, asked in ((120, 3), (599, 3), (1, 4)):  # its max_age is 600 s
            markets.now += wait
            await source.fetch()
            assert markets.asked.count("/a") == asked


@pytest.mark.parametrize(
    ("nonsense", "figure"),
    [
        ({"currentHashrate": 10**25}, "hashrate"),
        ({"currentHashrate": 0}, "hashrate"),
        ({"previousTime": 1_774_098_000_000}, "epoch_start_time"),
        ({"previousTime": 0}, "epoch_start_time"),
    ],
)
async def test_a_figure_that_contradicts_its_answer_is_absent_and_the_others_stay(
    markets: Markets, context: SourceContext, telemetry: Telemetry, nonsense: dict[str, int], figure: str
) -> None:
    async def handle(request: web.Request) -> web.Response:
        if request.path.startswith("/api/v1/blocks"):
            return web.json_response([{"height": 942_488, "timestamp": 1_774_698_900}])
        answer = await markets.handle_mempool(request.clone(rel_url=f"/own{request.path}"))
        return web.json_response(json.loads(answer.text or "") | nonsense)

    markets.answers = {"own": 1.3e14}
    async with serve(handle) as server:
        settings = mempool.Settings.model_validate({"kind": "mempool", "url": server})
        state = (await settings.build(context.named("network")).fetch()).value
    assert getattr(state, figure) is None
    assert (state.difficulty, state.height) == (1.3e14, 942_488)
    assert sample(telemetry, "mining_source_discarded_total", source="network", figure=figure) == 1


async def test_a_height_far_from_the_newest_block_is_refused(markets: Markets, context: SourceContext) -> None:
    async def handle(request: web.Request) -> web.Response:
        if request.path.startswith("/api/v1/blocks"):
            return web.json_response([{"height": 900_000, "timestamp": 1_774_698_900}])
        return await markets.handle_mempool(request.clone(rel_url=f"/own{request.path}"))

    markets.answers = {"own": 1.3e14}
    async with serve(handle) as server:
        settings = mempool.Settings.model_validate({"kind": "mempool", "url": server})
        with pytest.raises(Failure, match="height 942488 by the epoch, but the newest block is 900000"):
            await settings.build(context).fetch()


def failover_of(server: str, *names: str) -> failover.Settings:
    sources = [{"kind": "mempool", "url": f"{server}/{name}", "interval": "1s"} for name in names]
    return failover.Settings.model_validate({"kind": "failover", "sources": sources})


async def test_the_first_that_answers_is_taken_and_the_others_check_it(
    markets: Markets, context: SourceContext, telemetry: Telemetry
) -> None:
    markets.answers = {"own": 1.0e14, "public": 1.1e14}
    async with serve(markets.handle_mempool) as server:
        state = (await failover_of(server, "own", "public").build(context).fetch()).value
    assert state.difficulty == 1.0e14
    assert state.height == 942_488
    assert state.block_fees == 0.02
    disagreement = "mining_source_disagreement_ratio"
    assert sample(telemetry, disagreement, quantity="network_difficulty") == pytest.approx(0.1)
    assert sample(telemetry, disagreement, quantity="network_block_fees") == 0


async def test_a_difficulty_that_leaps_is_used_at_once_if_two_sources_have_it(
    markets: Markets, context: SourceContext
) -> None:
    markets.answers = {"mine": 133.79e12, "theirs": 133.79e12}
    async with serve(markets.handle_mempool) as server:
        source = failover_of(server, "mine", "theirs").build(context)
        await source.fetch()
        markets.now += 86_400 * 5
        markets.answers["mine"] = 350e12
        assert (await source.fetch()).value.difficulty == 133.79e12
        markets.now += 400
        markets.answers["theirs"] = 350e12
        assert (await source.fetch()).value.difficulty == 350e12


async def test_a_failover_is_logged_once_and_so_is_the_return(
    markets: Markets, context: SourceContext, telemetry: Telemetry
) -> None:
    markets.answers = {"own": 1.0e14, "public": 1.0e14}
    async with serve(markets.handle_mempool) as server:
        source = failover_of(server, "own", "public").build(context)
        await source.fetch()
        with capture_logs() as logs:
            markets.answers["own"] = 503
            for _ in range(3):
                markets.now += 10
                assert (await source.fetch()).value.difficulty == 1.0e14
            assert sample(telemetry, "mining_source_disagreement_ratio", quantity="network_difficulty") is None
            markets.answers["own"] = 1.0e14
            markets.now += 10
            await source.fetch()
    assert [(entry["event"], entry.get("reason")) for entry in logs] == [
        ("source is down", "not_ready"),
        ("source is back", None),
    ]
    failures = sample(telemetry, "mining_source_failures_total", source="network:mempool-1", reason="not_ready")
    assert failures == 3
