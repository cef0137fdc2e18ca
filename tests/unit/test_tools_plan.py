"""`hashmargin plan` and `hashmargin explain` against a served exporter, and a plan through Prometheus."""

import asyncio
import csv
import io
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from aiohttp import ClientSession, web
from click.testing import CliRunner
from site_server import published, served
from sites import NOW, SITE, decided, rig, site
from small_site import small_site
from source_site import serve

from exporter.cli import main
from exporter.economics.hosting import ContractSettings
from exporter.economics.site import price_site
from exporter.exposition.publication import Publication
from exporter.exposition.views import SiteView
from exporter.model.fleet import Block
from exporter.server.settings import WebSettings
from exporter.sources.http import Endpoint, HttpSettings
from exporter.tools.allocation import MiningRig
from exporter.tools.plan import Candidate, Constraints, Fleet, plan, query_exporter, query_shards

HOST = "127.81.0.9"
OLD, NEW = 29.5 / 17.5 * 3_500.0, 3_500.0  # W, at 200 TH/s


async def invoke(*arguments: str) -> tuple[int, str, str]:
    """Run a command in a thread: it has an event loop of its own."""
    result = await asyncio.to_thread(CliRunner().invoke, main, arguments)
    return result.exit_code, result.stdout, result.stderr


def blocks_of_old_and_new() -> Publication:
    """Ten old rigs, ten new ones, a block that can't be converted, and one of which nothing is known."""
    rigs = [
        *(rig(name=f"old-{number}", block="old", power=OLD) for number in range(10)),
        *(rig(name=f"new-{number}", block="new", power=NEW) for number in range(10)),
        rig(name="fixed-0", block="fixed"),
        rig(name="silent-0", block="silent", hashrate=None),
    ]
    blocks = (
        Block(name="old", capacity_watts=60_000.0, moving_cost_per_rig=100.0),
        Block(name="new", capacity_watts=40_000.0, moving_cost_per_rig=120.0),
        Block(name="fixed", capacity_watts=40_000.0, convertible_share=0.0),
        Block(name="silent", capacity_watts=40_000.0),
    )
    snapshot = site(*rigs, blocks=blocks)
    economics = price_site(snapshot, SITE)
    return published(SiteView(snapshot=snapshot, economics=economics, decision=decided(snapshot, economics)))


# --- plan, from a running exporter --------------------------------------------------------------------------------


async def test_the_block_that_loses_least_is_chosen() -> None:
    async with served(publication=blocks_of_old_and_new) as exporter:
        code, output, _ = await invoke("plan", "--megawatts", "0.04", "--url", exporter.url)
    assert code == 0
    assert output.startswith("To free 0.040 MW convert 1 block: 0.060 MW for 0.00 USD/day of mining margin.\n")
    assert re.search(r"^old +0\.060 +0\.00 +0\.00 +25\.\d\d +6\.5 +mine$", output, re.MULTILINE)
    assert "refused, power or margin unknown: silent\n" in output
    assert "not considered, not convertible: fixed\n" in output
    assert "swap: not needed, because the blocks already contain the worst rigs of the fleet\n" in output


async def test_an_infeasible_plan_has_the_most_that_is_possible() -> None:
    async with served(publication=blocks_of_old_and_new) as exporter:
        code, output, _ = await invoke("plan", "--megawatts", "5", "--url", exporter.url, "--output", "json")
    printed = json.loads(output)
    assert code == 0
    assert (printed["feasible"], printed["asked_kilowatts"], printed["kilowatts"]) == (False, 5_000, 100)
    assert [block["block"] for block in printed["blocks"]] == ["old", "new"]
    assert printed["greedy"]["margin_lost_usd_per_day"] is None
    assert printed["left_out"] == {
        "blocks_without_figures": ["silent"],
        "blocks_refused": {"silent": "power or margin unknown"},
        "blocks_not_convertible": ["fixed"],
        "rigs_without_figures": 1,
    }


async def test_a_swap_moves_good_rigs_into_the_slots_of_bad_ones() -> None:
    def old_fixed() -> Publication:
        view = blocks_of_old_and_new().view
        fixed = tuple(
            Block(name=block.name, capacity_watts=block.capacity_watts, convertible_share=float(block.name == "new"))
            for block in view.snapshot.blocks
        )
        snapshot = site(*view.snapshot.rigs, blocks=fixed)
        economics = price_site(snapshot, SITE)
        return published(SiteView(snapshot=snapshot, economics=economics, decision=decided(snapshot, economics)))

    async with served(publication=old_fixed) as exporter:
        arguments = ("plan", "--megawatts", "0.03", "--url", exporter.url)
        printed = json.loads((await invoke(*arguments, "--moving-cost", "50", "--output", "json"))[1])
        _, text, _ = await invoke(*arguments)
    assert printed["in_place"]["margin_lost_usd_per_day"] == pytest.approx(22.6, rel=0.02)
    assert printed["swap"]["margin_lost_usd_per_day"] == 0
    assert sorted(printed["swap"]["moved"]) == [f"new-{number}" for number in range(10)]
    assert sorted(printed["swap"]["retired"]) == [f"old-{number}" for number in range(10)]
    assert printed["swap"]["moving_cost_usd"] == 500
    assert "10 good rigs out of the blocks at unknown cost (set moving_cost_usd_per_rig or --moving-cost)" in text


async def test_a_plan_is_written_as_csv_and_markdown() -> None:
    async with served(publication=blocks_of_old_and_new) as exporter:
        _, table, _ = await invoke("plan", "--megawatts", "0.09", "--url", exporter.url, "--output", "csv")
        _, document, _ = await invoke("plan", "--megawatts", "0.09", "--url", exporter.url, "--output", "markdown")
    rows = list(csv.DictReader(io.StringIO(table)))
    assert [(row["block"], float(row["kilowatts"])) for row in rows] == [("old", 60), ("new", 40)]
    assert "| block | MW freed |" in document
    assert "| total | 0.100 |" in document


@pytest.mark.parametrize("power", ["0.04", "0.04MW", "40kW", "40 kw", "0.00004GW"])
async def test_power_may_have_a_unit(power: str) -> None:
    async with served(publication=blocks_of_old_and_new) as exporter:
        code, output, _ = await invoke("plan", "--megawatts", power, "--url", exporter.url, "--output", "json")
    assert code == 0
    assert json.loads(output)["asked_kilowatts"] == pytest.approx(40.0)


async def test_the_login_is_sent_and_a_rejection_is_one_sentence(tmp_path: Path) -> None:
    users = bcrypt.hashpw(b"hunter2", bcrypt.gensalt(4)).decode()
    config = tmp_path / "web.yml"
    config.write_text(f"basic_auth_users: {{desk: '{users}'}}\n", encoding="utf-8")
    password = tmp_path / "password"
    password.write_text("hunter2\n", encoding="utf-8")
    web = WebSettings.model_validate({"listen_address": f"{HOST}:0", "config_file": config})
    async with served(settings=web, publication=blocks_of_old_and_new) as exporter:
        login = ("--username", "desk", "--password-file", str(password))
        code, _, _ = await invoke("plan", "--megawatts", "0.04", "--url", exporter.url, *login)
        refused = await invoke("plan", "--megawatts", "0.04", "--url", exporter.url)
    assert code == 0
    assert refused[0] == 1
    assert "auth" in refused[2]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--megawatts", "5", "--url", f"http://{HOST}:1"), 1, "start `hashmargin run` there, or give another --url"),
        (("--megawatts", "5", "--url", "exporter"), 2, "is not an http:// or https:// address"),
        (("--megawatts", "0"), 2, "not in the range"),
        (("--megawatts", "0kW"), 2, "not in the range"),
        (("--megawatts", "5 apples"), 2, "'5 apples' is not a valid power, such as 5MW or 500kW"),
        (("--megawatts", "5", "--site", "prairie-1"), 2, "--site needs --prometheus"),
        (("--megawatts", "5", "--username", "desk"), 2, "belong together"),
    ],
)
async def test_an_impossible_request_is_one_sentence(arguments: tuple[str, ...], code: int, words: str) -> None:
    exit_code, _, errors = await invoke("plan", *arguments)
    assert exit_code == code
    assert words in errors
    assert "Traceback" not in errors


def test_five_hundred_uneven_blocks_are_planned_exactly() -> None:
    sizes = [400.0 + (37 * number) % 211 + number / 1_000 for number in range(500)]
    candidates = tuple(
        Candidate(block=f"b-{number}", power_freed=size * 1_000, margin_lost=(53 * number) % 97 + 1.0)
        for number, size in enumerate(sizes)
    )
    rigs = tuple(
        MiningRig(rig=f"r-{number}", block=f"b-{number // 200}", kilowatts=3.5, margin=number % 7 - 2.0)
        for number in range(100_000)
    )
    found = plan(Fleet(candidates=candidates, fixed=(), rigs=rigs, unpriced=0), 100_000.0)
    assert found.allocation.feasible
    assert found.allocation.kilowatts >= 100_000
    assert found.allocation.greedy_margin_lost is not None
    assert found.allocation.margin_lost <= found.allocation.greedy_margin_lost
    assert found.allocation.gap <= 1e-4


def candidates(**freed: float) -> Fleet:
    blocks = tuple(
        Candidate(block=name, power_freed=watts, margin_lost=watts / 1e4, ai_value=1.0) for name, watts in freed.items()
    )
    return Fleet(candidates=blocks, fixed=("hall",), rigs=(), unpriced=0)


def test_blocks_that_go_together_are_chosen_together() -> None:
    fleet = candidates(a=1e6, b=1e6, c=5e6, d=1e6)
    found = plan(fleet, 1_500.0, constraints=Constraints(together=(("a", "b"), ("b", "d"))))
    assert found.allocation.blocks == ("a", "b", "d")
    assert found.allocation.margin_lost == 300
    assert plan(fleet, 500.0, constraints=Constraints(together=(("a", "b"),))).allocation.blocks == ("d",)


def test_a_block_is_refused_with_those_that_it_goes_together_with() -> None:
    fleet = candidates(a=1e6, b=1e6, c=5e6)
    found = plan(fleet, 1_000.0, constraints=Constraints(together=(("a", "hall"),)))
    assert found.refused == {"a": "only together with hall"}
    assert found.allocation.blocks == ("b",)


def test_blocks_below_the_least_size_are_refused_unless_together() -> None:
    fleet = candidates(a=1e6, b=1e6, c=5e6)
    found = plan(fleet, 1_000.0, constraints=Constraints(least_kilowatts=2_000.0))
    assert found.refused == dict.fromkeys("ab", "smaller than 2.000 MW")
    assert found.allocation.blocks == ("c",)
    found = plan(fleet, 1_000.0, constraints=Constraints(least_kilowatts=2_000.0, together=(("a", "b"),)))
    assert (found.refused, found.allocation.blocks) == ({}, ("a", "b"))


def test_a_block_is_refused_while_a_contract_binds_it() -> None:
    bound = {"a": date(2027, 6, 30)}
    fleet = candidates(a=1e6, b=2e6)
    last = plan(fleet, 500.0, constraints=Constraints(bound_until=bound, needed_on=date(2027, 6, 30)))
    assert last.refused == {"a": "bound by contract until 2027-06-30"}
    after = plan(fleet, 500.0, constraints=Constraints(bound_until=bound, needed_on=date(2027, 7, 1)))
    assert after.allocation.blocks == ("a",)


async def test_constraints_are_given_as_options_and_a_wrong_name_is_refused() -> None:
    async with served(publication=blocks_of_old_and_new) as exporter:
        common = ("plan", "--megawatts", "0.03", "--url", exporter.url)
        bound = ("--bound-until", "old=2027-12-31", "--by", "2027-07-01")
        _, text, _ = await invoke(*common, *bound, "--least-megawatts", "0.05")
        wrong = await invoke(*common, "--together", "old,news")
        alone = await invoke(*common, *bound[:2])
        malformed = await invoke(*common, "--bound-until", "old")
    assert "refused, bound by contract until 2027-12-31: old" in text
    assert "refused, smaller than 0.050 MW: new" in text
    assert (wrong[0], wrong[2]) == (2, "hashmargin: there is no block 'news': did you mean 'new'?\n")
    assert (alone[0], malformed[0]) == (2, 2)
    assert "--bound-until needs --by" in alone[2]
    assert "'old' is not like c1=2027-12-31" in malformed[2]


# --- plan, through Prometheus -------------------------------------------------------------------------------------

Vector = list[tuple[dict[str, str], float]]

SHARDS: Mapping[str, Vector] = {
    "mining_block_convertible": [
        ({"site": "prairie", "block": "c1"}, 1),
        ({"site": "prairie", "block": "c2"}, 1),
        ({"site": "mesa", "block": "c1"}, 0),
    ],
    "mining_block_power_freed_watts": [
        ({"site": "prairie", "block": "c1"}, 2e6),
        ({"site": "prairie", "block": "c2"}, 3e6),
        ({"site": "mesa", "block": "c1"}, 2e6),
    ],
    "mining_block_margin_lost_usd_per_day": [
        ({"site": "prairie", "block": "c1"}, 120.0),
        ({"site": "prairie", "block": "c2"}, 40.0),
    ],
    "mining_block_verdict": [({"site": "prairie", "block": "c2", "verdict": "reassign"}, 1)],
    "mining_rig_inventory_info": [
        ({"site": "prairie", "rig": "a", "block": "c1"}, 1),
        ({"site": "prairie", "rig": "b", "block": "c2"}, 1),
        ({"site": "prairie", "rig": "down", "block": "c2"}, 1),
    ],
    "mining_rig_potential_margin_usd_per_day": [({"site": "prairie", "rig": name}, 1.0) for name in "ab"],
    "mining_rig_potential_power_watts": [({"site": "prairie", "rig": name}, 3_500.0) for name in "ab"],
}


@asynccontextmanager
async def prometheus(series: Mapping[str, Vector] = SHARDS) -> AsyncIterator[str]:
    """A Prometheus' query API over these series: it picks the metric and the site out of the query."""

    async def query(request: web.Request) -> web.Response:
        assert (request.method, request.path) == ("GET", "/api/v1/query")
        match = re.search(r'\((mining_\w+)(?:\{site="([^"]*)"\})?\)', request.query["query"])
        assert match is not None, request.query["query"]
        found = [pair for pair in series.get(match[1], []) if match[2] in (None, pair[0]["site"])]
        result = [{"metric": labels, "value": [NOW, str(value)]} for labels, value in found]
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": result}})

    async with serve(query) as url:
        yield url


async def planned(*arguments: str) -> Any:
    async with prometheus() as url:
        code, output, errors = await invoke(
            "plan", "--megawatts", "2.5", "--prometheus", url, "--output", "json", *arguments
        )
    assert code == 0, errors
    return json.loads(output)


async def test_shards_are_planned_as_one_site() -> None:
    printed = await planned("--site", "prairie")
    assert [(block["block"], block["verdict"]) for block in printed["blocks"]] == [("c2", "reassign")]
    assert printed["in_place"]["margin_lost_usd_per_day"] == 40
    assert printed["left_out"] == {
        "blocks_without_figures": [],
        "blocks_refused": {},
        "blocks_not_convertible": [],
        "rigs_without_figures": 1,
    }


async def test_hosted_rigs_of_shards_are_worth_what_the_host_earns() -> None:
    """The rig a is under a contract; b is of a customer without one, so that nobody knows what the host loses."""
    a, b = {"site": "prairie", "rig": "a"}, {"site": "prairie", "rig": "b"}
    hosting: Mapping[str, Vector] = {
        "mining_rig_contract_info": [(a | {"customer": "acme", "contract": "gold"}, 1.0)],
        "mining_rig_host_potential_margin_usd_per_day": [(a, 2.52)],
        "mining_rig_customer_margin_usd_per_day": [(a | {"customer": "acme"}, -0.06), (b | {"customer": "birch"}, 1.0)],
    }
    async with prometheus({**SHARDS, **hosting}) as url, ClientSession() as session:
        fleet = await query_shards(Endpoint(HttpSettings(url=url), session), "prairie")
    assert {rig.rig: rig.margin for rig in fleet.rigs} == {"a": 2.52}
    assert fleet.unpriced == 2


async def test_hosted_rigs_of_an_exporter_are_worth_what_the_host_earns() -> None:
    """The customer pays 84 kWh x $0.07 and the host 3 % more kWh x $0.05: 5.88 - 4.326 = $1.554."""

    def hosted() -> Publication:
        gold = {"timezone": "UTC", "usd_per_kilowatt_hour": 0.07, "curtailment_credit_share": 0,
                "uptime": {"measure": "sla", "promised": 0.98}}  # fmt: skip
        settings = replace(SITE, contracts={"gold": ContractSettings.model_validate(gold)})
        snapshot = site(
            rig(name="own", reject_ratio=0.0),
            rig(name="hosted", reject_ratio=0.0, facts={"customer": "acme", "contract": "gold"}),
            rig(name="without", reject_ratio=0.0, facts={"customer": "birch"}),
        )
        economics = price_site(snapshot, settings)
        return published(SiteView(snapshot=snapshot, economics=economics, decision=decided(snapshot, economics)))

    async with served(publication=hosted) as exporter, ClientSession() as session:
        fleet = await query_exporter(Endpoint(HttpSettings(url=exporter.url), session))
    margins = {rig.rig: rig.margin for rig in fleet.rigs}
    assert margins.keys() == {"own", "hosted"}
    assert margins["hosted"] == pytest.approx(1.554)
    assert fleet.unpriced == 1


async def test_blocks_of_several_sites_have_the_site_in_their_names() -> None:
    printed = await planned()
    assert [block["block"] for block in printed["blocks"]] == ["prairie/c2"]
    assert printed["left_out"]["blocks_not_convertible"] == ["mesa/c1"]


@pytest.mark.parametrize(
    ("site", "sentence"),
    [
        ("moon", "there is no site 'moon': choose from mesa, prairie"),
        ("mesa-1", "there is no site 'mesa-1': did you mean 'mesa'?"),
    ],
)
@pytest.mark.parametrize(
    "command",
    [("plan", "--megawatts", "2.5"), ("explain", "--since", "24h")],
    ids=lambda command: command[0],
)
async def test_an_unknown_site_is_refused_with_the_known_ones(
    command: tuple[str, ...], site: str, sentence: str
) -> None:
    async with prometheus() as url:
        code, _, errors = await invoke(*command, "--prometheus", url, "--site", site)
    assert code == 2
    assert sentence in errors


# --- explain --------------------------------------------------------------------------------------------------------


async def test_a_rig_is_explained() -> None:
    async with served(publication=blocks_of_old_and_new) as exporter:
        code, output, _ = await invoke("explain", "old-3", "--url", exporter.url)
    assert code == 0
    assert output.startswith("old-3: mine since ")
    assert re.search(r"^  power price +0\.05 +USD/kWh +tariff ppa", output, re.MULTILINE)
    assert re.search(r"^  hashrate +200 +TH/s +0s$", output, re.MULTILINE)
    assert re.search(r"^  margin +-0\.7\d+ +USD/day$", output, re.MULTILINE)
    axis = next(line for line in output.splitlines() if "mining revenue" in line)
    assert "power price 0.0500 | marginal price 0.0500 | mining revenue 0.045" in axis
    assert "AI value, base 0.0176 | " in axis
    assert axis.endswith(" | GPU margin, measured ?")
    assert re.search(r"^  mine or curtail +power price +0\.05 +0\.045\d+ +USD/kWh$", output, re.MULTILINE)


async def test_a_script_gets_the_explanation_unchanged() -> None:
    async with served(publication=blocks_of_old_and_new) as exporter:
        _, output, _ = await invoke("explain", "old-3", "--url", exporter.url, "--output", "json")
    printed = json.loads(output)
    assert printed["rig"]["block"] == "old"
    assert {flip["change"] for flip in printed["explanation"]["flips"]} >= {"mine or curtail"}


async def test_an_unknown_rig_is_exit_code_2_with_the_nearest_name() -> None:
    async with served(publication=blocks_of_old_and_new) as exporter:
        code, _, errors = await invoke("explain", "old-33", "--url", exporter.url)
    assert code == 2
    assert errors.startswith("hashmargin: there is no rig 'old-33': did you mean 'old-")


async def test_a_rig_is_explained_by_its_address() -> None:
    async with served(publication=lambda: published(small_site())) as exporter:
        code, output, _ = await invoke("explain", "10.1.1.1", "--url", exporter.url)
    assert code == 0
    assert output.startswith("a-01: ")


async def test_an_address_of_several_rigs_is_exit_code_2() -> None:
    async with served(publication=blocks_of_old_and_new) as exporter:
        code, _, errors = await invoke("explain", "127.0.0.1", "--url", exporter.url)
    assert code == 2
    assert "22 rigs have the address '127.0.0.1': give a name, such as 'fixed-0'" in errors


async def test_a_rig_that_does_not_respond_is_explained_as_far_as_known() -> None:
    async with served(publication=blocks_of_old_and_new) as exporter:
        code, output, _ = await invoke("explain", "silent-0", "--url", exporter.url)
    assert code == 0
    assert "unknown, because the margin is unknown" in output
    assert re.search(r"^  hashrate +\? +TH/s$", output, re.MULTILINE)
