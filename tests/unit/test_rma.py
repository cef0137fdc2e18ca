"""What is to be repaired: the list of a running exporter."""

import csv
import io
import json
from dataclasses import replace
from typing import Any

import pytest
from site_server import published, served
from small_site import TAKEN_AT, WELL, small_site
from test_cli_status import invoke

from exporter.exposition.views import SiteView
from exporter.tools.rma import Prices, items

# --- the list -------------------------------------------------------------------------------------------------------


def rig(**changes: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "rig": "a",
        "serial": "SN",
        "customer": "",
        "block": "c1",
        "rack": "r",
        "position": "1",
        "make": "Bitmain",
        "model": "S21",
        "power_supply_serial": "PSN",
        "board_serials": {"1": "BSN1"},
        "status": "mining",
        "expected_mining": True,
        "last_success_timestamp_seconds": 1_000.0,
        "faults": [],
        "hosted": False,
        "customer_margin_usd_per_day": None,
        "customer_potential_margin_usd_per_day": None,
        "customer_monthly_fee_usd_per_day": None,
        "margin_usd_per_day": 2.0,
        "potential_margin_usd_per_day": 2.0,
        "hashrate_hashes_per_second": 2e14,
        "expected_hashrate_hashes_per_second": None,
        "rated_hashrate_hashes_per_second": 3e14,
    }
    return facts | changes


def fault(code: str, component: str = "", *, severity: str = "critical", since: float | None = 0.0) -> dict[str, Any]:
    return {
        "code": code,
        "severity": severity,
        "component": component,
        "vendor_code": "E1",
        "since_timestamp_seconds": since,
    }


def test_each_part_has_a_line_and_the_money_stands_on_the_first() -> None:
    faults = [
        fault("board_chain", "board 1", since=86_400.0),
        fault("board_missing", "board 1"),
        fault("psu_fan", "psu", severity="warning", since=None),
        fault("pool_dead"),
        fault("board_chips", "board 2", severity="info"),
    ]
    board, supply = items([rig(faults=faults)], 2 * 86_400.0, Prices(days=730, sale=5, sale_as_is=1))
    assert (board.component, board.serial, board.faults) == ("board 1", "BSN1", "board_chain board_missing")
    assert (board.since_timestamp_seconds, board.age_days, board.vendor_codes) == (0.0, 2.0, "E1")
    assert board.lost_usd_per_day == pytest.approx(1.0)
    assert board.most_repair_usd == pytest.approx(3 * 730 - max(2 * 730, 300))
    assert (supply.serial, supply.age_days, supply.lost_usd_per_day, supply.photo) == ("PSN", None, None, "")


def test_a_hosted_rigs_loss_is_its_customers() -> None:
    """He would earn $0.50 before his monthly fee of $1.38, which is due in either case. At the tariff it is $2."""
    books = {"customer_margin_usd_per_day": -1.40, "customer_potential_margin_usd_per_day": -0.88}
    hosted = rig(
        status="stopped", hosted=True, customer_monthly_fee_usd_per_day=1.38, hashrate_hashes_per_second=0.0, **books
    )
    assert [item.lost_usd_per_day for item in items([hosted], 0.0, None)] == pytest.approx([0.50])
    silent = hosted | {"hashrate_hashes_per_second": None, "customer_margin_usd_per_day": None, "status": "down"}
    assert [item.lost_usd_per_day for item in items([silent], 0.0, None)] == pytest.approx([0.50])
    unknown = hosted | {"customer_potential_margin_usd_per_day": None}
    assert [item.lost_usd_per_day for item in items([unknown], 0.0, None)] == [None]


def test_silent_and_stopped_rigs_are_listed_and_healthy_ones_are_not() -> None:
    silent = rig(rig="s", status="down", hashrate_hashes_per_second=None, margin_usd_per_day=None)
    stopped = rig(rig="t", status="stopped", hashrate_hashes_per_second=0.0, potential_margin_usd_per_day=3.0)
    stopped["margin_usd_per_day"] = -0.1
    unknown = rig(rig="u", status="down", hashrate_hashes_per_second=None, potential_margin_usd_per_day=None)
    off = rig(rig="o", status="expected_off")
    found = items([unknown, silent, rig(), off, stopped], 1_000 + 43_200.0, None)
    assert [(item.rig, item.faults, item.age_days) for item in found] == [
        ("t", "does_not_hash", None),
        ("s", "no_answer", 0.5),
        ("u", "no_answer", 0.5),
    ]
    assert [item.most_repair_usd for item in found] == [None] * 3


def test_without_any_rate_it_is_not_known_what_a_repair_may_cost() -> None:
    (item,) = items(
        [rig(status="down", hashrate_hashes_per_second=None, rated_hashrate_hashes_per_second=None)],
        0.0,
        Prices(days=1, sale=1, sale_as_is=1),
    )
    assert item.most_repair_usd is None


# --- the command ----------------------------------------------------------------------------------------------------


def broken_site() -> SiteView:
    """The small site, in which the rig of acme has lost a part of its rate."""
    view = small_site()
    assert WELL.reading is not None
    slow = replace(WELL, reading=replace(WELL.reading, value=replace(WELL.reading.value, hashrate=1e14)))
    return replace(view, snapshot=replace(view.snapshot, rigs=(slow, *view.snapshot.rigs[1:])))


async def test_the_command_lists_what_is_to_be_repaired() -> None:
    async with served(publication=lambda: published(broken_site())) as exporter:
        url = ("rma", "--url", exporter.url)
        _, table, _ = await invoke(*url, "--months", "24", "--sale", "6", "--sale-as-is", "1")
        _, text, _ = await invoke(*url, "--output", "csv")
        _, document, _ = await invoke(*url, "--output", "json", "--customer", "acme")
        _, none, _ = await invoke(*url, "--customer", "nobody")
        code, _, refusal = await invoke(*url, "--sale", "6")
    assert "repair at most, USD" in table.splitlines()[0]
    assert "rigs lose $" in table
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {row["photo"] for row in rows} == {""}
    acme = json.loads(document)["items"]
    assert {item["rig"] for item in acme} == {"a-01"}
    assert acme[0]["lost_usd_per_day"] == pytest.approx(1.81)  # its customer earns $0.43 + 1.38 at half of its rate
    assert acme[0]["since_timestamp_seconds"] is None or acme[0]["since_timestamp_seconds"] < TAKEN_AT
    assert none == "nothing to repair\n"
    assert code == 2
    assert "give --months, --sale and --sale-as-is together" in refusal
