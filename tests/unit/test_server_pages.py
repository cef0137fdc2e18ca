"""The pages that people read."""

import re
from dataclasses import replace

import pytest
from site_server import published, served
from small_site import small_site


async def test_the_landing_page_shows_the_site_at_a_glance() -> None:
    async with served() as site, site.get("") as answer:
        page = await answer.text()
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "prairie-1" in page
        assert "$2.22" in page  # the margin of the only block that has one
        assert '<a href="/metrics">' in page


async def test_before_the_first_evaluation_it_says_so() -> None:
    async with served() as site:
        site.newsstand.latest = None
        async with site.get("") as answer:
            assert answer.status == 200
            assert "no evaluation yet" in await answer.text()


async def test_what_is_unknown_is_shown_as_unknown() -> None:
    view = small_site()
    view = replace(
        view,
        economics=replace(view.economics, blocks=()),
        decision=replace(view.decision, blocks=()),
        snapshot=replace(view.snapshot, bitcoin_price=None),
    )
    async with served(publication=lambda: published(view)) as site, site.get("") as answer:
        page = await answer.text()
        assert "<dt>Cash margin</dt><dd>unknown</dd>" in page
        assert "<dt>Bitcoin</dt><dd>unknown</dd>" in page


async def test_names_are_text_not_markup() -> None:
    async with served(site="<script>alert(1)</script>") as site, site.get("") as answer:
        assert "<script>" not in await answer.text()


async def test_nothing_is_loaded_from_elsewhere_and_all_that_is_loaded_is_there() -> None:
    async with served() as site:
        async with site.get("") as answer:
            loaded = re.findall(r'(?:src|<link[^>]* href)="([^"]*)"', await answer.text())
        assert loaded
        for path in loaded:
            assert path.startswith("/static/")
            async with site.get(path.removeprefix("/")) as answer:
                assert answer.status == 200


@pytest.mark.parametrize(
    "path", ["static/", "static/..%2fapp.py", "static/%2e%2e/app.py", "static/../app.py", "static/style.css%00"]
)
async def test_no_other_file_is_served(path: str) -> None:
    async with served() as site, site.get(path) as answer:
        assert answer.status == 404
