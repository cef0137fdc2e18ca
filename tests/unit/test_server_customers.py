"""A customer's login over real sockets: his own rigs in his own book, and nothing else."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from site_server import Served, published, served
from small_site import small_site
from test_server_web_config import HASH, PASSWORD, Site, basic, status, web_settings

from exporter.decision.values import RigDecision, Verdict
from exporter.economics.values import Books
from exporter.exposition.views import SiteView
from exporter.server.web_config import WebConfigError, WebConfigFile

ALICE, NOC = f"alice:{PASSWORD}", f"noc:{PASSWORD}"
USERS = {"basic_auth_users": {"alice": HASH, "noc": HASH, "bob": HASH}, "customer_users": {"alice": "acme", "bob": "b"}}


def shared_site() -> SiteView:
    """The small site: the first rig is acme's by contract, the second birch's, the third acme's without a contract."""
    view = small_site()
    owners = ("acme", "birch", "acme")
    rigs = tuple(
        replace(rig, rig=replace(rig.rig, customer=owner))
        for rig, owner in zip(view.snapshot.rigs, (*owners, *[""] * 9), strict=False)
    )
    first = view.economics.rigs[0]
    assert first.books is not None
    return replace(
        view,
        snapshot=replace(view.snapshot, rigs=rigs),
        decision=replace(
            view.decision, rigs=(RigDecision(verdict=Verdict.REASSIGN, verdict_since=1.0), *view.decision.rigs[1:])
        ),
    )


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Served]:
    settings = web_settings(Site(tmp_path).write(**USERS))
    async with served(settings=settings, publication=lambda: published(shared_site())) as found:
        yield found


async def read(running: Served, path: str, login: str = ALICE) -> Any:
    headers = {"Authorization": basic(login)}
    async with running.client.get(f"{running.url}{path}", headers=headers) as answer:
        text = await answer.text()
        return json.loads(text) if "json" in answer.content_type else text


async def test_a_customer_sees_his_own_rigs_only(running: Served) -> None:
    found = await read(running, "api/v1/rigs")
    assert [rig["rig"] for rig in found["rigs"]] == ["a-01", "b-01"]
    assert found["total"] == 2
    page = await read(running, "rigs")
    assert "a-01" in page
    assert "a-02" not in page
    assert (await read(running, "api/v1/rigs?q=a-02"))["rigs"] == []
    assert "a-02" not in str(await read(running, "api/v1/rigs?customer=birch&format=csv"))
    assert [rig["rig"] for rig in (await read(running, "api/v1/rigs", NOC))["rigs"]][:2] == ["a-01", "a-02"]


@pytest.mark.parametrize("path", ["rigs/a-02", "api/v1/rigs/a-02"])
async def test_anothers_rig_is_not_found(running: Served, path: str) -> None:
    assert await status(running, path, login=ALICE) == 404
    assert await status(running, path, login=NOC) == 200


@pytest.mark.parametrize(
    "path",
    [
        "metrics",
        "blocks",
        "sources",
        "config",
        "api/v1/blocks",
        "api/v1/market",
        "api/v1/outlook",
        "api/v1/plan",
        "api/v1/obligations",
        "api/v1/setpoints",
        "api/v1/setpoints?format=csv",
        "api/v1/shed?kilowatts=1",
        "map.json",
        "events",
        "api/v1/events",
        "map",
        "wall",
        "rigs/../metrics",
        "%6Detrics",
        "nowhere",
    ],
)
async def test_what_shows_more_than_his_rigs_is_closed(running: Served, path: str) -> None:
    assert await status(running, path, login=ALICE) in (403, 404)
    headers = {"Authorization": basic(ALICE)}
    async with running.client.get(f"{running.url}{path}", headers=headers) as answer:
        assert "a-02" not in await answer.text()


async def test_the_front_page_leads_to_his_rigs(running: Served) -> None:
    headers = {"Authorization": basic(ALICE)}
    async with running.client.get(running.url, headers=headers, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (302, "/rigs")
    assert await status(running, "static/style.css", login=ALICE) == 200
    assert await status(running, "", login=NOC) == 200


async def test_a_customer_changes_nothing(running: Served) -> None:
    headers = {"Authorization": basic(ALICE)}
    for path in ("-/reload", "rigs"):
        async with running.client.post(f"{running.url}{path}", headers=headers) as answer:
            assert answer.status == 403


async def test_a_customer_sees_his_book_and_not_the_hosts(running: Served) -> None:
    """His margin by contract stands where the site's is, and neither prices nor books of the host are shown."""
    rig = (await read(running, "api/v1/rigs/a-01"))["rig"]
    assert (rig["margin_usd_per_day"], rig["customer_margin_usd_per_day"]) == (0.43, 0.43)
    assert rig["revenue_usd_per_day"] == 6.58
    hidden = ("host_margin_usd_per_day", "power_cost_usd_per_day", "forward_margin_usd_per_day", "verdict")
    assert [rig[name] for name in hidden] == [None] * 4
    answer = await read(running, "api/v1/rigs/a-01")
    assert (answer["explanation"]["inputs"], answer["explanation"]["lines"]) == ([], [])
    page = await read(running, "rigs/a-01")
    assert "0.43" in page
    assert "tariff ppa" not in page
    host = (await read(running, "api/v1/rigs/a-01", NOC))["rig"]
    assert (host["margin_usd_per_day"], host["host_margin_usd_per_day"]) == (2.254, 1.82)


async def test_a_host_who_may_curtail_keeps_what_he_would_earn_to_himself(tmp_path: Path) -> None:
    view = shared_site()
    books = Books(customer_margin=0.43, contract="c", host_may_curtail=True)
    first = view.economics.rigs[0]._replace(books=books, opportunity_margin=1.5)
    view = replace(view, economics=replace(view.economics, rigs=(first, *view.economics.rigs[1:])))
    settings = web_settings(Site(tmp_path).write(**USERS))
    async with served(settings=settings, publication=lambda: published(view)) as running:
        assert (await read(running, "api/v1/rigs/a-01"))["rig"]["potential_margin_usd_per_day"] is None


async def test_a_customer_without_rigs_sees_none(running: Served) -> None:
    assert (await read(running, "api/v1/rigs", f"bob:{PASSWORD}"))["rigs"] == []


def test_a_customers_user_needs_a_login(tmp_path: Path) -> None:
    path = Site(tmp_path).write(basic_auth_users={"alice": HASH}, customer_users={"alise": "acme"})
    with pytest.raises(WebConfigError, match="there is no user 'alise': did you mean 'alice'"):
        WebConfigFile(path)
