"""`hashmargin explain --since`: why the margin changed, by a Prometheus."""

import asyncio
import json
import re

import pytest
from aiohttp import web
from click.testing import CliRunner
from source_site import serve

from exporter.cli import main

NOW = {
    "mining_bitcoin_price_usd": 77_407.0,
    "mining_network_difficulty": 133.79e12,
    "mining_network_subsidy_bitcoins": 3.125,
    "mining_hashprice_bitcoins_per_petahash_day": 0.000473210715207,
    "mining_block_revenue_usd_per_day": 1_000.0 * 1.1,
    "mining_block_power_cost_usd_per_day": 720.0,
    "mining_block_billed_power_watts": 600_000.0,
    "mining_rigs": 100.0,
}
BEFORE = NOW | {"mining_bitcoin_price_usd": 70_370.0, "mining_block_revenue_usd_per_day": 1_000.0}


async def invoke(*arguments: str, before: dict[str, float] = BEFORE) -> tuple[int, str, str]:
    """Run the command against a Prometheus with these values now and before."""
    asked: list[str] = []

    async def query(request: web.Request) -> web.Response:
        text = request.query["query"]
        if "mining_block_convertible" in text:
            known = [{"metric": {"site": "prairie"}, "value": [0, "1"]}]
            return web.json_response({"status": "success", "data": {"resultType": "vector", "result": known}})
        asked.append(text)
        match = re.search(r"mining_\w+", text)
        assert match is not None
        value = (before if " offset 86400s" in text else NOW)[match[0]]
        value = value / 100 if match[0] == "mining_rigs" else value
        result = [{"metric": {}, "value": [0, str(value)]}]
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": result}})

    async with serve(query) as url:
        command = ("explain", *(argument.replace("URL", url) for argument in arguments))
        result = await asyncio.to_thread(CliRunner().invoke, main, command)
    assert all('site="prairie"' in text for text in asked) or "--site" not in arguments
    return result.exit_code, result.stdout, result.stderr


async def test_the_change_is_split_into_its_causes_and_they_add_up() -> None:
    arguments = ("--since", "24h", "--prometheus", "URL", "--site", "prairie")
    code, text, errors = await invoke(*arguments)
    printed = json.loads((await invoke(*arguments, "--output", "json"))[1])
    assert code == 0, errors
    margin, causes = printed["margin_usd_per_day"], printed["causes_usd_per_day"]
    assert margin["before"] == pytest.approx(280.0)
    assert margin["after"] == pytest.approx(380.0)
    assert causes["bitcoin_price"] == pytest.approx(100.0, rel=1e-3)
    assert sum(causes.values()) == pytest.approx(100.0)
    assert re.search(r"^bitcoin price +70,?370 +77,?407 +\+100\.0", text, re.MULTILINE), text
    assert re.search(r"^margin +280\.00 +380\.00 +\+100\.00$", text, re.MULTILINE), text


async def test_without_a_mining_rig_at_one_time_nothing_is_explained() -> None:
    stopped = BEFORE | {"mining_block_revenue_usd_per_day": 0.0}
    code, _, errors = await invoke("--since", "24h", "--prometheus", "URL", before=stopped)
    assert code == 1
    assert "no rig was mining at one of the two times" in errors


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "give either a rig or --since"),
        (("a", "--since", "24h", "--prometheus", "URL"), "give either a rig or --since"),
        (("--since", "24h"), "--since and --prometheus belong together"),
        (("--since", "soon", "--prometheus", "URL"), "'soon' is not a duration such as 24h"),
    ],
)
async def test_incomplete_or_conflicting_options_are_rejected(arguments: tuple[str, ...], words: str) -> None:
    code, _, errors = await invoke(*arguments)
    assert code == 2
    assert words in errors
