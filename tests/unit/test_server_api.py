"""The JSON API, as scripts read it."""

import csv
import gzip
import io
import json
from dataclasses import fields
from typing import Any

import pytest
from site_server import Served, published, served
from small_site import TAKEN_AT, fleet_of

from docs.generators.api import PAGE, page
from exporter.exposition.catalogue import CATALOGUE
from exporter.server.records import BlockRecord, FaultRecord, MarketRecord, RigRecord


async def read(site: Served, path: str) -> Any:
    async with site.get(f"api/v1/{path}") as answer:
        assert answer.status == 200
        assert answer.content_type == "application/json"
        return json.loads(await answer.read())


async def test_every_rig_is_listed_with_its_fields() -> None:
    async with served() as site:
        answer = await read(site, "rigs")
    assert answer["site"] == "prairie-1"
    assert answer["evaluated_at_timestamp_seconds"] == TAKEN_AT
    assert answer["total"] == 5
    well, stopped, down, *_ = answer["rigs"]
    assert well["margin_usd_per_day"] == 2.254
    assert [fault["code"] for fault in well["faults"]] == ["board_chips", "board_chips", "fan_missing"]
    assert stopped["hashrate_hashes_per_second"] == 0
    assert (down["up"], down["failure_reason"], down["margin_usd_per_day"]) == (False, "timeout", None)


async def test_a_rig_has_its_hardware_and_the_start_of_each_fault() -> None:
    async with served() as site:
        well, stopped, *_ = (await read(site, "rigs"))["rigs"]
    assert well["faults"][1] == {
        "code": "board_chips",
        "severity": "warning",
        "component": "board 1",
        "vendor_code": "0x18",
        "since_timestamp_seconds": TAKEN_AT - 7200,
    }
    assert (well["hostname"], well["algorithm"], well["control_board"]) == ("a-01", "SHA256", "CB6V10")
    assert (well["power_supply_model"], well["power_supply_serial"]) == ("APW17", "PSN1")
    assert well["board_serials"] == {"0": "BSN0", "1": "BSN1"}
    assert (well["suspended"], well["power_mode"], well["tuner"]) == (False, "normal", "tuned")
    assert (stopped["algorithm"], stopped["board_serials"], stopped["faults"]) == ("unknown", {}, [])
    assert (stopped["suspended"], stopped["power_mode"], stopped["tuner"]) == (None, None, None)


async def test_the_api_takes_the_same_filters_as_the_page() -> None:
    async with served() as site:
        answer = await read(site, "rigs?block=south&sort=rig&order=desc&limit=1&offset=1")
    assert answer["total"] == 3
    assert [rig["rig"] for rig in answer["rigs"]] == ["b-02"]


async def test_a_large_fleet_is_returned_completely() -> None:
    async with served(publication=lambda: published(fleet_of(450))) as site:
        rigs = (await read(site, "rigs"))["rigs"]
    assert [rig["rig"] for rig in rigs] == [f"r-{number:03}" for number in range(450)]


async def test_only_the_fields_that_are_asked_for_are_returned() -> None:
    async with served() as site:
        answer = await read(site, "rigs?fields=margin_usd_per_day,rig&limit=1")
        async with site.get("api/v1/rigs?fields=rig,marg") as refused:
            words = await refused.text()
    assert answer["rigs"] == [{"margin_usd_per_day": 2.254, "rig": "a-01"}]
    assert refused.status == 400
    assert words.startswith("there is no field 'marg'")


async def test_one_rig_has_its_explanation() -> None:
    async with served() as site:
        answer = await read(site, "rigs/a-01")
    assert answer["rig"]["rig"] == "a-01"
    assert {flip["name"] for flip in answer["explanation"]["flips"]} == {"power price", "hashprice", "bitcoin price"}
    assert answer["explanation"]["inputs"][0]["name"] == "hashrate"


async def test_every_block_is_listed() -> None:
    async with served() as site:
        north, south = (await read(site, "blocks"))["blocks"]
    assert north["margin_usd_per_day"] == 2.218
    assert south["margin_usd_per_day"] is None


async def test_the_market_is_returned() -> None:
    async with served() as site:
        market = (await read(site, "market"))["market"]
    assert market["hashprice_usd_per_petahash_day"] == 33.3
    assert market["tariffs"]["spot"] == {
        "power_price_usd_per_kilowatt_hour": -0.012,
        "power_price_next_usd_per_kilowatt_hour": None,
    }
    assert market["ai_value_usd_per_kilowatt_hour"]["base"] == 0.0175


@pytest.mark.parametrize(
    ("path", "status"), [("rigs/nobody", 404), ("rigs?limit=x", 400), ("rigs?sort=x", 400), ("x", 404)]
)
async def test_an_invalid_request_is_rejected(path: str, status: int) -> None:
    async with served() as site, site.get(f"api/v1/{path}") as answer:
        assert answer.status == status


@pytest.mark.parametrize("path", ["rigs", "rigs/a-01", "blocks", "market"])
async def test_before_the_first_evaluation_the_api_returns_503(path: str) -> None:
    async with served() as site:
        site.latest.publication = None
        async with site.get(f"api/v1/{path}") as answer:
            assert answer.status == 503


async def test_long_responses_are_compressed_on_request() -> None:
    async with served() as site, site.get("api/v1/rigs", **{"Accept-Encoding": "gzip"}) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert json.loads(gzip.decompress(await answer.read()))["total"] == 5


def test_the_documentation_is_up_to_date_and_names_every_field() -> None:
    text = page()
    assert PAGE.read_text(encoding="utf-8") == text, "run make docs"
    for record in (RigRecord, FaultRecord, BlockRecord, MarketRecord):
        assert all(f"`{field.name}`" in text for field in fields(record))


def test_a_field_that_is_a_metric_has_the_description_of_the_metric() -> None:
    text = page()
    helps = {metric.name: metric.help for metric in CATALOGUE}
    for field, metric in (
        ("margin_usd_per_day", "mining_rig_margin_usd_per_day"),
        ("power_freed_watts", "mining_block_power_freed_watts"),
        ("since_timestamp_seconds", "mining_rig_fault_since_timestamp_seconds"),
        ("hashprice_usd_per_petahash_day", "mining_hashprice_usd_per_petahash_day"),
        ("power_price_next_usd_per_kilowatt_hour", "mining_power_price_next_usd_per_kilowatt_hour"),
    ):
        assert f"| `{field}` | number or null | {helps[metric]} |" in text


async def test_setpoints_and_cuts_are_csv_for_a_client_that_asks() -> None:
    async with served() as site:
        document = await read(site, "setpoints")
        async with site.get("api/v1/setpoints?format=csv&limit=2") as answer:
            assert (answer.status, answer.content_type, answer.charset) == (200, "text/csv", "utf-8")
            rows = list(csv.DictReader(io.StringIO(await answer.text())))
        async with site.get("api/v1/shed?kilowatts=0.8", Accept="text/csv") as answer:
            cuts = list(csv.DictReader(io.StringIO(await answer.text())))
        async with site.get("api/v1/setpoints?format=csv&block=nowhere") as answer:
            header = await answer.text()
        async with site.get("api/v1/setpoints?format=json", Accept="text/csv") as answer:
            assert answer.content_type == "application/json"
        async with site.get("api/v1/shed?kilowatts=1&format=xml") as answer:
            assert (answer.status, await answer.text()) == (400, "format must be json or csv\n")
    known, unknown = document["setpoints"][:2]
    assert [row["rig"] for row in rows] == [known["rig"], unknown["rig"]]
    assert list(rows[0]) == list(known)
    assert float(rows[0]["best_power_watts"]) == known["best_power_watts"]
    assert (unknown["best_point"], rows[1]["best_point"]) == (None, "")
    assert [(cut["rig"], cut["point"]) for cut in cuts] == [("a-01", "2600 W")]
    assert header == ",".join(known) + "\n"
