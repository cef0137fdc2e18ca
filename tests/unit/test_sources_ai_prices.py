"""Feeds of GPU prices that are wrong, thin, old or in another unit, and several spellings of one GPU."""

import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from source_site import placed, serve

from exporter.model.failures import Failure, Reason
from exporter.model.readings import Commitment, GpuPrice, Reading
from exporter.sources.contract import Source, SourceContext, SourceSettings
from exporter.sources.registry import settings_classes
from exporter.telemetry import Telemetry

NOW = datetime.fromisoformat("2026-11-29T12:00:00Z").timestamp()
FIRM, INTERRUPTIBLE = Commitment.FIRM, Commitment.INTERRUPTIBLE
SECRET = "sesame-and-poppy"


class Desk:
    """One feed on a server that answers what a test sets."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session
        self.telemetry = Telemetry()
        self.now = NOW
        self.served: Any = {}
        self.asked: list[str] = []
        self.headers: list[str] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path_qs)
        self.headers.append(request.headers.get("Authorization", ""))
        answer = self.served(request) if callable(self.served) else self.served
        if isinstance(answer, web.StreamResponse):
            return answer
        return web.Response(text=answer if isinstance(answer, str) else json.dumps(answer))

    def source(self, server: str, remembered: Reading[Any] | None = None, **settings: Any) -> Source[Any]:
        made = self.settings(server=server, **settings)
        context = SourceContext(
            self.session, clock=lambda: self.now, timer=lambda: self.now, telemetry=self.telemetry
        ).named("ai_price:feed")
        self.notes = context.discards
        return made.build(context, remembered)

    @staticmethod
    def settings(server: str = "http://127.0.0.1", **settings: Any) -> SourceSettings:
        return settings_classes("ai_prices")[settings["kind"]].model_validate(placed(settings, server))

    async def ask(self, served: Any, **settings: Any) -> dict[tuple[str, str], GpuPrice]:
        self.served = served
        async with serve(self.handle) as server:
            reading = await self.source(server, **settings).fetch()
        return by_key(reading)

    async def failure(self, served: Any, **settings: Any) -> Failure:
        with pytest.raises(Failure) as caught:
            await self.ask(served, **settings)
        return caught.value

    def discarded(self, figure: str) -> float | None:
        labels = {"source": "ai_price:feed", "figure": figure}
        return self.telemetry.registry.get_sample_value("mining_source_discarded_total", labels)


def by_key(reading: Reading[Any]) -> dict[tuple[str, str], GpuPrice]:
    return {(price.model, str(price.commitment)): price for price in reading.value}


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with aiohttp.ClientSession() as session:
        yield Desk(session)


JSON: dict[str, Any] = {"kind": "http_json", "url": "{server}/", "commitment": "firm", "models": ["H100 SXM"]}


def offers(*prices: Any, name: str = "H100 SXM") -> list[dict[str, Any]]:
    return [{"gpu_name": name, "price": price} for price in prices]


# --- statistics and units -------------------------------------------------------------------------------------------


async def test_the_median_and_the_tenths_of_the_offers_are_base_low_and_high(desk: Desk) -> None:
    (price,) = (await desk.ask(offers(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11), **JSON)).values()
    assert (price.low, price.price, price.high, price.offers) == (2, 6, 10, 11)


async def test_ten_spellings_of_one_gpu_are_one_market(desk: Desk) -> None:
    names = (
        "H100 SXM",
        "NVIDIA H100 80GB HBM3",
        "h100_sxm5",
        "H100-SXM5-80GB",
        "H100SXM",
        "nvidia/h100-sxm",
        "NVIDIA HGX H100",
        "8x H100 SXM5",
        "Nvidia  H100 (SXM)",
        "H100 SXM5 80GB",
    )
    answer = [offer for place, name in enumerate(names) for offer in offers(2 + place / 10, name=name)]
    others = offers(9, name="H100 PCIe") + offers(9, name="H100") + offers(9, name="H100 NVL") + offers(9, name="Zx 1")
    (price,) = (await desk.ask(answer + others, **JSON)).values()
    assert price.offers == 10
    assert price.price == pytest.approx(2.45)


async def test_a_price_of_whole_offers_is_divided_by_their_gpus(desk: Desk) -> None:
    answer = {
        "offers": [{"gpu_name": "H100 SXM", "num_gpus": 8, "dph_total": 16.0, "min_bid": 9.6, "reliability2": 0.997}]
    }
    firm = JSON | {"offers": "offers", "price": "dph_total", "gpus": "num_gpus"}
    assert (await desk.ask(answer, **firm))["H100 SXM", "firm"].price == pytest.approx(2.00)
    bid = firm | {"price": "min_bid", "commitment": "interruptible"}
    assert (await desk.ask(answer, **bid))["H100 SXM", "interruptible"].price == pytest.approx(1.20)


async def test_cents_per_instance_become_dollars_per_gpu(desk: Desk) -> None:
    kind = {"name": "gpu_8x_h100_sxm5", "price_cents_per_hour": 3192, "specs": {"gpus": 8}}
    lambda_ = JSON | {
        "offers": "values(data)[].instance_type",
        "model": "name",
        "price": "price_cents_per_hour",
        "gpus": "specs.gpus",
        "minor_units": True,
    }
    answer = {"data": {"gpu_8x_h100_sxm5": {"instance_type": kind, "regions_with_capacity_available": []}}}
    assert (await desk.ask(answer, **lambda_))["H100 SXM", "firm"].price == pytest.approx(3.99)


async def test_a_whole_offer_s_price_taken_for_a_gpu_s_is_refused(desk: Desk) -> None:
    failure = await desk.failure(offers(25.6, 31.2), **JSON)
    assert failure.reason is Reason.NOT_READY
    assert "outside 0.05 to 20 USD per GPU-hour: check unit and number of GPUs" in failure.detail


async def test_another_currency_is_converted_or_refused(desk: Desk) -> None:
    answer = [{"gpu_name": "H100 SXM", "price": 2.0, "currency": "EUR"}]
    refused = await desk.failure(answer, **JSON)
    assert refused.reason is Reason.IMPLAUSIBLE
    assert refused.detail == "prices in EUR, not in USD"
    euros = JSON | {"currency": "EUR", "fx": {"kind": "fixed", "usd_per": {"EUR": 1.1}}}
    assert (await desk.ask(answer, **euros))["H100 SXM", "firm"].price == pytest.approx(2.2)
    with pytest.raises(ValueError, match="prices in EUR need fx"):
        desk.settings(**JSON | {"currency": "EUR"})


async def test_a_feed_that_states_its_percentiles_is_taken_at_its_word(desk: Desk) -> None:
    stated = JSON | {"low": "p10", "high": "p90", "count": "n"}
    answer = {"gpu_name": "H100 SXM", "price": 2.0, "p10": 1.5, "p90": 2.5, "n": 40}
    (price,) = (await desk.ask(answer, **stated)).values()
    assert (price.low, price.price, price.high, price.offers) == (1.5, 2.0, 2.5, 40)
    assert "not between" in (await desk.failure(answer | {"p10": 2.1}, **stated)).detail
    twice = await desk.failure([answer, answer], **stated)
    assert "2 figures for one model: select one" in twice.detail


async def test_a_thin_market_has_no_price(desk: Desk) -> None:
    assert (
        "2 offers, fewer than least_offers" in (await desk.failure(offers(2, 3), **JSON | {"least_offers": 3})).detail
    )
    assert await desk.ask(offers(2, 3, 4), **JSON | {"least_offers": 3})


# --- answers that are wrong -----------------------------------------------------------------------------------------


async def test_a_bad_offer_costs_only_itself(desk: Desk) -> None:
    bad = [{"gpu_name": "H100 SXM", "price": "call us"}, {"gpu_name": 7, "price": 2}, 5, None]
    (price,) = (await desk.ask([*offers(2, 3, 4), *bad], **JSON)).values()
    assert price.price == 3
    assert desk.discarded("offer") == 4


async def test_a_price_of_none_is_no_stock_and_not_free(desk: Desk) -> None:
    failure = await desk.failure(offers(None), **JSON)
    assert failure.reason is Reason.NOT_READY
    assert failure.detail == "no stock of H100 SXM"


async def test_a_feed_without_the_model_says_what_it_has(desk: Desk) -> None:
    failure = await desk.failure(offers(2, name="H100 PCIe"), **JSON)
    assert failure.reason is Reason.NOT_READY
    assert failure.detail == "no price of H100 SXM: it has H100 PCIe"
    assert await desk.ask(offers(2), **JSON | {"models": ["H100 SXM", "B200"]})
    assert desk.discarded("gpu_model") == 1


@pytest.mark.parametrize(
    ("served", "reason"),
    [
        ({"error": "rate limit exceeded"}, Reason.RATE_LIMITED),
        ({"error": f"invalid api key {SECRET}"}, Reason.AUTH),
        ({"data": 1}, Reason.GARBLED),
        ("[]", Reason.NOT_READY),
    ],
)
async def test_what_is_no_price_is_a_classified_failure(desk: Desk, served: Any, reason: Reason) -> None:
    keyed = JSON | {"offers": "prices", "bearer_token": SECRET} if served != "[]" else JSON
    failure = await desk.failure(served, **keyed)
    assert failure.reason is reason
    assert SECRET not in failure.detail


# --- time -----------------------------------------------------------------------------------------------------------


async def test_an_old_price_is_left_out_and_a_wholly_old_feed_is_stale(desk: Desk) -> None:
    timed = JSON | {"time": "at", "models": ["H100 SXM", "B200"]}
    fresh = {"gpu_name": "H100 SXM", "price": 2, "at": "2026-11-29T11:00:00Z"}
    old = {"gpu_name": "B200", "price": 5, "at": "2026-11-29T09:00:00"}
    assert set(await desk.ask([fresh, old], **timed)) == {("H100 SXM", "firm")}
    assert desk.discarded("price") == 1
    failure = await desk.failure([old], **timed)
    assert failure.reason is Reason.STALE
    assert "B200 firm: observed 10800 s ago" in failure.detail


async def test_the_time_of_the_oldest_price_is_that_of_the_reading(desk: Desk) -> None:
    desk.served = [
        {"gpu_name": "H100 SXM", "price": 2, "at": NOW - 3_000},
        {"gpu_name": "H100 SXM", "price": 3, "at": NOW - 60},
    ]
    async with serve(desk.handle) as server:
        reading = await desk.source(server, **JSON | {"time": "at"}).fetch()
    assert reading.observed_at == NOW - 3_000


async def test_a_price_of_the_future_is_not_used(desk: Desk) -> None:
    failure = await desk.failure([{"gpu_name": "H100 SXM", "price": 2, "at": NOW + 900}], **JSON | {"time": "at"})
    assert failure.reason is Reason.STALE
    assert "ahead of this host's clock" in failure.detail
    missing = await desk.failure(offers(2), **JSON | {"time": "at"})
    assert missing.reason is Reason.GARBLED


async def test_a_price_that_doubles_within_its_age_is_left_out_until_the_old_one_is_too_old(desk: Desk) -> None:
    both = JSON | {"models": ["H100 SXM", "B200"], "max_age": "2h", "interval": "1h"}
    async with serve(desk.handle) as server:
        source = desk.source(server, **both)
        desk.served = [*offers(2.0), *offers(5.0, name="B200")]
        assert len((await source.fetch()).value) == 2
        desk.now += 3_600
        desk.served = [*offers(4.1), *offers(5.2, name="B200")]
        assert set(by_key(await source.fetch())) == {("B200", "firm")}
        assert desk.notes.notes["price"] == "H100 SXM firm: 4.1 after 2, more than a factor of 2"
        desk.now += 3_601
        assert by_key(await source.fetch())["H100 SXM", "firm"].price == 4.1


async def test_a_feed_whose_every_price_doubles_fails_and_remembers_across_a_restart(desk: Desk) -> None:
    known = Reading((GpuPrice(model="H100 SXM", commitment=FIRM, price=2.0),), NOW - 60)
    desk.served = offers(200 / 45)
    async with serve(desk.handle) as server:
        with pytest.raises(Failure, match=r"4\.44444 after 2, more than a factor of 2") as caught:
            await desk.source(server, known, **JSON).fetch()
    assert caught.value.reason is Reason.IMPLAUSIBLE


# --- Ornn -----------------------------------------------------------------------------------------------------------

ORNN: dict[str, Any] = {"kind": "ornn", "url": "{server}", "models": ["H100 SXM"], "commitment": "interruptible"}


def index(value: Any, at: str = "2026-11-28T21:00:00.000Z", gpu: str = "H100 SXM", **changes: Any) -> dict[str, Any]:
    return {"success": True, "gpu_type": gpu, "data": [{"timestamp": at, "index_value": value}]} | changes


async def test_the_key_of_ornn_goes_to_the_keyed_address(desk: Desk) -> None:
    answer = {"success": True, "data": {"gpu_type": "H100 SXM", "index_value": 1.66, "date": "2026-11-28"}}
    found = await desk.ask(answer, **ORNN | {"bearer_token": SECRET})
    assert found["H100 SXM", "interruptible"].price == 1.66
    assert desk.asked == ["/api/daily-index-simple?gpuType=H100+SXM"]
    assert desk.headers == [f"Bearer {SECRET}"]


@pytest.mark.parametrize(
    ("day", "reason"),
    [("2026-11-29", None), ("2026-11-30", Reason.STALE), ("2026-11-27", Reason.STALE), ("yesterday", Reason.GARBLED)],
)
async def test_the_day_of_an_index(desk: Desk, day: str, reason: Reason | None) -> None:
    answer = {"success": True, "data": {"gpu_type": "H100 SXM", "index_value": 1.66, "date": day}}
    if reason is None:
        assert await desk.ask(answer, **ORNN | {"bearer_token": SECRET})
    else:
        assert (await desk.failure(answer, **ORNN | {"bearer_token": SECRET})).reason is reason


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (index(1.85, "2026-11-26T21:00:00.000Z"), Reason.STALE),
        (index(1.85, gpu="H200"), Reason.GARBLED),
        (index(1.85, success=False), Reason.GARBLED),
        (index(None), Reason.NOT_READY),
        (index(0), Reason.NOT_READY),
        (index(1.85, data=[]), Reason.NOT_READY),
    ],
)
async def test_an_index_that_is_none_is_a_failure(desk: Desk, answer: Any, reason: Reason) -> None:
    assert (await desk.failure(answer, **ORNN)).reason is reason


async def test_one_failing_model_costs_only_itself_and_a_rate_limit_ends_the_round(desk: Desk) -> None:
    two = ORNN | {"models": ["H100 SXM", "RTX 5090"]}

    def lacking(request: web.Request) -> Any:
        return index(1.85) if "H100" in request.path else web.Response(status=404)

    assert set(await desk.ask(lacking, **two)) == {("H100 SXM", "interruptible")}
    assert desk.discarded("price") == 1
    desk.asked.clear()
    failure = await desk.failure(lambda _: web.Response(status=429, headers={"Retry-After": "600"}), **two)
    assert (failure.reason, failure.retry_after) == (Reason.RATE_LIMITED, 600)
    assert len(desk.asked) == 1


# --- the others -----------------------------------------------------------------------------------------------------


async def test_flops_must_answer_the_asked_index_in_dollars(desk: Desk) -> None:
    flops: dict[str, Any] = {"kind": "flops", "url": "{server}", "models": ["H100"], "markets": ["OD"]}
    answer = {"slug": "FLOPS-H100-OD", "value": 6.155, "unit": "USD/GPU-hr", "as_of": "2026-11-29T06:00:00Z"}
    assert (await desk.ask(answer, **flops))["H100", "firm"].price == 6.155
    assert (await desk.failure(answer | {"slug": "FLOPS-H200-OD"}, **flops)).reason is Reason.GARBLED
    other = await desk.failure(answer | {"unit": "EUR/GPU-hr"}, **flops)
    assert (other.reason, other.detail) == (Reason.IMPLAUSIBLE, "FLOPS-H100-OD is in 'EUR/GPU-hr', not in USD/GPU-hr")
    assert (await desk.failure(answer | {"as_of": "2026-11-28T18:00:00Z"}, **flops)).reason is Reason.STALE


def test_flops_does_not_mix_markets_or_guess_forms() -> None:
    flops: dict[str, Any] = {"kind": "flops", "models": ["H100"]}
    with pytest.raises(ValueError, match="SPOT and DEPIN are both interruptible"):
        Desk.settings(**flops | {"markets": ["SPOT", "DEPIN"]})
    with pytest.raises(ValueError, match="write H100, not H100 SXM"):
        Desk.settings(**flops | {"models": ["H100 SXM"]})


def runpod(secure: Any = 3.99, community: Any = 2.69, bid: Any = 1.75, on_demand: Any = 2.69) -> dict[str, Any]:
    lowest = {"minimumBidPrice": bid, "uninterruptablePrice": on_demand}
    gpu = {"id": "NVIDIA H100 80GB HBM3", "securePrice": secure, "communityPrice": community, "lowestPrice": lowest}
    return {"data": {"gpuTypes": [gpu]}}


async def test_runpod_s_firm_and_interruptible_prices_are_apart(desk: Desk) -> None:
    settings: dict[str, Any] = {"kind": "runpod", "url": "{server}/graphql", "models": ["H100 SXM"]}
    found = await desk.ask(runpod(), **settings)
    ratio = found["H100 SXM", "interruptible"].price / found["H100 SXM", "firm"].price
    assert ratio == pytest.approx(0.674, abs=5e-4)
    bids = settings | {"interruptible": "bid"}
    assert (await desk.ask(runpod(), **bids))["H100 SXM", "interruptible"].price == 1.75
    assert set(await desk.ask(runpod(bid=2.69), **bids)) == {("H100 SXM", "firm")}
    refused = await desk.failure({"errors": [{"message": "Unauthorized"}], "data": None}, **settings)
    assert refused.reason is Reason.AUTH


async def test_akash_in_another_currency_or_without_a_free_gpu_has_no_price(desk: Desk) -> None:
    akash: dict[str, Any] = {"kind": "akash", "url": "{server}", "models": ["H100 SXM"]}

    def answer(currency: str = "USD", available: Any = 3) -> dict[str, Any]:
        price = {"currency": currency, "min": 1.2, "max": 2.1, "avg": 1.5, "weightedAverage": 1.45, "med": 1.4}
        model = {"vendor": "nvidia", "model": "h100", "ram": "80Gi", "interface": "SXM5", "price": price}
        return {"models": [model | {"availability": {"total": 9, "available": available}}]}

    (price,) = (await desk.ask(answer(), **akash)).values()
    assert (price.price, price.low, price.high, price.offers) == (1.4, None, None, 3)
    assert (await desk.failure(answer("uakt"), **akash)).reason is Reason.IMPLAUSIBLE
    assert (await desk.failure(answer(available=0), **akash)).detail == "no stock of H100 SXM"


PAGE = """\
vastai_ondemand_price_median_dollars{gpu_name="H100 SXM",rented="any",verified="yes"} 2.01
vastai_ondemand_price_10th_percentile_dollars{gpu_name="H100 SXM",rented="any",verified="yes"} %s
vastai_ondemand_price_median_dollars{gpu_name="H100 SXM",rented="no",verified="no"} 3.5
vastai_gpu_count{gpu_name="H100 SXM",rented="no",verified="no"} 4
"""


async def test_an_exporter_s_page_by_group(desk: Desk) -> None:
    vast: dict[str, Any] = {"kind": "vastai_exporter", "url": "{server}/metrics/global", "models": ["H100 SXM"]}
    (price,) = (await desk.ask(PAGE % "1.6", **vast)).values()
    assert (price.low, price.price, price.high, price.offers) == (1.6, 2.01, None, None)
    (free,) = (await desk.ask(PAGE % "NaN", **vast | {"verified": "no", "rented": "no"})).values()
    assert (free.price, free.offers) == (3.5, 4)
    (without_tenth,) = (await desk.ask(PAGE % "NaN", **vast)).values()
    assert without_tenth.low is None
    (read,) = (await desk.ask(PAGE % "one", **vast)).values()
    assert read.price == 2.01
    assert desk.discarded("line") == 1
    wrong = await desk.failure('up{job="x"} 1', **vast)
    assert wrong.reason is Reason.GARBLED
    assert "is it the page /metrics/global?" in wrong.detail


async def test_a_prometheus_without_percentiles(desk: Desk) -> None:
    found = {"metric": {"chip": "h100_sxm5"}, "value": [NOW, "2.0"]}
    settings: dict[str, Any] = {
        "kind": "prometheus",
        "url": "{server}",
        "models": ["H100 SXM"],
        "commitment": "firm",
        "query": "gpu_price",
        "low_query": None,
        "high_query": None,
        "gpu_label": "chip",
        "currency": "EUR",
        "fx": {"kind": "fixed", "usd_per": {"EUR": 1.1}},
    }
    answer = {"status": "success", "data": {"resultType": "vector", "result": [found]}}
    (price,) = (await desk.ask(answer, **settings)).values()
    assert (price.low, price.price, price.high) == (None, pytest.approx(2.2), None)


@pytest.mark.parametrize(
    ("settings", "has"),
    [
        (ORNN, {INTERRUPTIBLE}),
        (JSON, {FIRM}),
        ({"kind": "flops", "models": ["H100"]}, {FIRM, INTERRUPTIBLE}),
        ({"kind": "flops", "models": ["H100"], "markets": ["OD"]}, {FIRM}),
        ({"kind": "runpod", "models": ["H100"]}, {FIRM, INTERRUPTIBLE}),
        ({"kind": "akash", "models": ["H100"]}, {INTERRUPTIBLE}),
        ({"kind": "vastai_exporter", "url": "http://127.0.0.1", "models": ["H100"]}, {FIRM}),
    ],
)
def test_a_feed_knows_which_prices_it_has(settings: dict[str, Any], has: set[Commitment]) -> None:
    made: Any = Desk.settings(**settings)
    assert made.commitments == has


@pytest.mark.parametrize("models", [[], ["H100"] * 21, [""]])
def test_the_models_are_named_and_bounded(models: list[str]) -> None:
    with pytest.raises(ValueError, match="models"):
        Desk.settings(**JSON | {"models": models})


# --- conditions that public clients of these APIs met -----------------------------------------------------------------


async def test_a_type_that_runpod_describes_in_part_costs_only_itself(desk: Desk) -> None:
    unknown = {"id": "unknown", "displayName": "unknown", "lowestPrice": None}
    answer = runpod()
    answer["data"]["gpuTypes"].append(unknown)
    settings: dict[str, Any] = {"kind": "runpod", "url": "{server}/graphql", "models": ["H100 SXM"]}
    assert len(await desk.ask(answer, **settings)) == 2
    assert desk.discarded("offer") == 1
    assert desk.notes.notes["offer"] == "entry 2: it has no 'securePrice'"
    nothing = await desk.failure({"data": {"gpuTypes": [unknown]}}, **settings)
    assert nothing.reason is Reason.GARBLED


@pytest.mark.parametrize(("bid", "on_demand", "price"), [(1.39, 1.39, None), (0.40, 1.19, 0.40), (2.0, 1.5, None)])
async def test_a_bid_that_is_no_discount_is_no_interruptible_price(
    desk: Desk, bid: float, on_demand: float, price: float | None
) -> None:
    bids: dict[str, Any] = {"kind": "runpod", "url": "{server}", "models": ["H100 SXM"], "interruptible": "bid"}
    found = await desk.ask(runpod(bid=bid, on_demand=on_demand), **bids)
    read = found.get(("H100 SXM", "interruptible"))
    assert (None if read is None else read.price) == price


@pytest.mark.parametrize(
    ("model", "slug"), [("RTX 6000 Ada Generation", "FLOPS-RTX6000Ada-OD"), ("rtx_4090", "FLOPS-RTX4090-OD")]
)
async def test_flops_writes_models_without_spaces(desk: Desk, model: str, slug: str) -> None:
    answer = {"slug": slug, "value": 0.8, "unit": "USD/GPU-hr", "as_of": "2026-11-29T06:00:00Z"}
    await desk.ask(answer, kind="flops", url="{server}", models=[model], markets=["OD"])
    assert desk.asked == [f"/v1/price/{slug}"]


async def test_akash_s_second_currency_beside_dollars_is_not_read(desk: Desk) -> None:
    model = {
        "vendor": "nvidia",
        "model": "h100",
        "ram": "80Gi",
        "interface": "SXM5",
        "availability": {"total": 8, "available": 2},
        "providerAvailability": {"total": 3, "available": 2},
        "price": {"currency": "USD", "weightedAverage": 2.4, "med": 2.5},
        "priceUakt": {"currency": "uakt", "weightedAverage": 4_000_000},
    }
    answer = {"models": [model, {"model": "t4"}]}
    (price,) = (await desk.ask(answer, kind="akash", url="{server}", models=["H100 SXM"])).values()
    assert price.price == 2.5
    assert desk.discarded("offer") == 1
