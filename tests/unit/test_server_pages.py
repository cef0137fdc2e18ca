"""The pages that people read."""

import html
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise

import pytest
from site_server import published, served
from small_site import DOWN, TAKEN_AT, WELL, fleet_of, small_site
from yarl import URL

from exporter.model.fault_codes import FaultCode
from exporter.server.pages.blocks import waterfall
from exporter.sources.rigs.faults import fault

UNKNOWN = '<span class="unknown">unknown</span>'

PAGES = ["", "rigs", "rigs/a-01", "rigs/b-01", "blocks", "change", "map", "wall", "sources", "config"]


async def test_the_overview_shows_margin_fleet_and_market() -> None:
    async with served() as site, site.get("") as answer:
        page = await answer.text()
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "prairie-1" in page
        assert "$2.22" in page  # the margin of the only block that has one
        assert '<a href="/metrics">' in page


async def test_the_change_of_the_margin_is_a_waterfall_of_its_causes() -> None:
    async with served() as site:
        page = await (await site.get("change")).text()
        overview = await (await site.get("")).text()
    rows = re.findall(
        r'<th scope="row">([^<]+)</th>\s*<td class="number[^"]*">([^<]+)</td>\s*<td class="number">([^<]+)', page
    )
    assert rows == [
        ("bitcoin price", "$0.50", "$0.50"),
        ("difficulty", "−$0.75", "−$0.25"),  # noqa: RUF001 -- a real minus
        ("fees", "$0.02", "−$0.23"),  # noqa: RUF001 -- as above
        ("power price", "$0.20", "−$0.03"),  # noqa: RUF001 -- as above
        ("hashrate", "$0.10", "$0.07"),
        ("efficiency", "$0.05", "$0.12"),
        ("uptime", "$0.10", "$0.22"),
    ]
    assert page.count("<rect") == len(rows)
    assert '<a href="/change">Change since yesterday</a></dt><dd>$0.22</dd>' in overview


async def test_a_change_that_is_not_known_is_not_shown() -> None:
    view = replace(small_site(), change=None)
    async with served(publication=lambda: published(view)) as site:
        page = await (await site.get("change")).text()
        overview = await (await site.get("")).text()
    assert "The change since yesterday is not known" in page
    assert "<svg" not in page
    assert "Change since yesterday" not in overview


async def test_a_change_of_nothing_has_no_waterfall() -> None:
    view = small_site()
    assert view.change is not None
    same = replace(view.change, before=2.22, causes=dict.fromkeys(view.change.causes, 0.0))
    async with served(publication=lambda: published(replace(view, change=same))) as site:
        assert "No cause changed" in await (await site.get("change")).text()


async def test_before_the_first_evaluation_the_overview_says_so() -> None:
    async with served() as site:
        site.latest.publication = None
        async with site.get("") as answer:
            assert answer.status == 200
            assert "no evaluation yet" in await answer.text()


async def test_unknown_values_are_shown_as_unknown() -> None:
    view = small_site()
    view = replace(
        view,
        economics=replace(view.economics, blocks=()),
        decision=replace(view.decision, blocks=()),
        snapshot=replace(view.snapshot, bitcoin_price=None),
    )
    async with served(publication=lambda: published(view)) as site, site.get("") as answer:
        page = await answer.text()
        assert f'<div class="lead"><dt>Cash margin</dt><dd>{UNKNOWN}</dd>' in page
        assert f"<dt>Bitcoin price</dt><dd>{UNKNOWN}</dd>" in page


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_is_valid_and_marks_itself_in_the_navigation(path: str) -> None:
    async with served() as site, site.get(path) as answer:
        page = await answer.text()
        assert answer.status == 200
        assert page.startswith("<!doctype html>")
        assert page.rstrip().endswith("</html>")
        assert page.count("<h1>") == 1
        assert f'<a href="/{path}" aria-current="page">' in page or path.startswith("rigs/")
        Checker().check(page)
        assert not re.search(r'\sstyle=|<script(?! src="/static/)|\son\w+=', page), (
            "the content security policy forbids it"
        )


class Checker(HTMLParser):
    """That elements nest, ids are unique, and that a screen reader gets the same content."""

    VOID = frozenset({"meta", "link", "input"})

    def check(self, page: str) -> None:
        self.open: list[str] = []
        self.ids: list[str] = []
        self.named_by: list[str] = []
        self.headings: list[int] = []
        self.feed(page)
        self.close()
        assert not self.open
        assert len(self.ids) == len(set(self.ids))
        assert set(self.named_by) <= set(self.ids)
        assert self.headings[0] == 1
        assert all(after - before <= 1 for before, after in pairwise(self.headings))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert len(given) == len(attrs), "an attribute twice"
        if tag not in self.VOID:
            self.open.append(tag)
        if tag in {"input", "select"} and given.get("type") != "hidden":
            assert "label" in self.open
        if tag == "th":
            assert given.get("scope") in {"col", "row"}
        if "tabindex" in given and tag != "main":
            assert "aria-label" in given or "aria-labelledby" in given
        self.ids += [given["id"] or ""] if "id" in given else []
        self.named_by += [given["aria-labelledby"] or ""] if "aria-labelledby" in given else []
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in {"rect", "path"}
        assert len(dict(attrs)) == len(attrs), "an attribute twice"

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize(
    ("text", "behind"),
    [
        ("text", "page"),
        ("text", "card"),
        ("text", "notice"),
        ("quiet", "page"),
        ("quiet", "card"),
        ("link", "page"),
        ("link", "card"),
        ("good", "card"),
        ("bad", "card"),
        ("page", "link"),
    ],
)
def test_text_is_legible_in_light_and_dark(text: str, behind: str) -> None:
    sheet = (files("exporter.server") / "static" / "style.css").read_text(encoding="utf-8")
    themes = re.findall(r":root \{(.*?)\}", sheet, re.DOTALL)
    assert len(themes) == 2
    for theme in themes:
        colours = dict(re.findall(r"--(\w+): #(\w{6});", theme))
        assert contrast(colours[text], colours[behind]) >= 4.5  # WCAG 2.2, AA


def contrast(first: str, second: str) -> float:
    """WCAG's contrast ratio of two colours."""
    low, high = sorted(map(luminance, (first, second)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


async def test_the_fleet_is_listed_with_verdict_margin_age_and_reason() -> None:
    async with served() as site, site.get("rigs") as answer:
        rows = table_rows(await answer.text())
    assert [row[0] for row in rows] == ["a-01", "a-02", "b-01", "b-02", "b-03"]
    assert rows[0][1:4] == ["mining", "$2.25", "mine"]
    assert rows[0][-2:] == ["4 s", "board_chips, fan_missing"]
    assert rows[2][1:4] == ["down", "unknown", "unknown"]
    assert rows[2][-2:] == ["1.0 h", "timeout: no answer within 5 s"]


@pytest.mark.parametrize(
    ("query", "rigs"),
    [
        ("sort=margin", ["a-02", "a-01", "b-01", "b-02", "b-03"]),
        ("sort=margin&order=desc", ["a-01", "a-02", "b-01", "b-02", "b-03"]),
        ("sort=age&order=desc", ["b-01", "a-02", "a-01", "b-02", "b-03"]),
        ("block=north&sort=rig&order=desc", ["a-02", "a-01"]),
        ("status=down", ["b-01"]),
        ("verdict=repair", ["a-02"]),
        ("q=ANTMINER", ["a-01"]),
        ("q=10.1.2.", ["b-01", "b-02", "b-03"]),
        ("q=acme", ["a-01"]),
        ("q=psn1", ["a-01"]),
        ("q=bsn1", ["a-01"]),
        ("page=99", ["a-01", "a-02", "b-01", "b-02", "b-03"]),
    ],
)
async def test_the_fleet_sorts_and_filters(query: str, rigs: list[str]) -> None:
    async with served() as site, site.get(f"rigs?{query}") as answer:
        assert [row[0] for row in table_rows(await answer.text())] == rigs


@pytest.mark.parametrize(
    "query", ["sort=password", "status=%3Cscript%3E", "verdict=x", "order=up", "page=-1", "page=x"]
)
async def test_an_invalid_parameter_is_rejected(query: str) -> None:
    async with served() as site, site.get(f"rigs?{query}") as answer:
        assert answer.status == 400
        assert answer.content_type == "text/plain"


async def test_a_large_fleet_is_split_into_pages() -> None:
    fleet = published(fleet_of(250))
    async with served(publication=lambda: fleet) as site, site.get("rigs?page=2&status=down") as answer:
        page = await answer.text()
        assert len(table_rows(page)) == 100
        assert table_rows(page)[0][0] == "r-100"
        assert 'rel="prev" href="/rigs?status=down&amp;page=1"' in page
        assert 'rel="next" href="/rigs?status=down&amp;page=3"' in page


async def test_a_rig_is_explained() -> None:
    async with served() as site, site.get("rigs/a-01") as answer:
        page = await answer.text()
        assert "Antminer S21" in page
        assert "USD/kWh" in page
        assert "mine or curtail" in page


async def test_a_rig_shows_its_faults_and_their_duration() -> None:
    async with served() as site, site.get("rigs/a-01") as answer:
        assert table_rows(await answer.text()) == [
            ["board chips", "warning", "board 1", "2.0 h", "0x17"],
            ["board chips", "warning", "board 1", "2.0 h", "0x18"],
            ["fan missing", "critical", "", "10 min", ""],
        ]


async def test_a_rig_shows_its_state_and_hardware() -> None:
    async with served() as site, site.get("rigs/a-01") as answer:
        page = await answer.text()
    facts = dict(re.findall(r"<dt>([^<]*)</dt><dd>([^<]*)</dd>", html.unescape(page)))
    assert facts["Suspended"] == "no"
    assert (facts["Power mode"], facts["Tuner"]) == ("normal", "tuned")
    assert (facts["Power target"], facts["Power limit"]) == ("3.55 kW", "3.60 kW")
    assert (facts["Thermal margin"], facts["Temperatures"]) == ("13.0 °C", "inlet 24.5 °C, outlet 51.0 °C")
    assert (facts["Fans"], facts["Fan duty"]) == ("0: 4,200 rpm", "65 %")
    assert facts["Power supply input"] == "231.0 V, 15.2 A, 3.51 kW"
    assert facts["Power supply output"] == "13.8 V, 242.0 A, 3.34 kW"
    assert (facts["Control board"], facts["Power supply"]) == ("CB6V10", "APW17 PSN1")
    assert facts["Hash board serials"] == "0: BSN0, 1: BSN1"
    assert table_rows(page.partition('id="boards"')[2]) == [
        ["0", "100.0 TH/s", "100.0 TH/s", "60.0 °C", "72.0 °C", "108", "108", "490 MHz", "13.80 V", "1.16 kW", "5"],
        ["1", "100.1 TH/s", *["unknown"] * 3, "107", "108", *["unknown"] * 4],
    ]


async def test_values_that_a_rig_does_not_report_are_omitted() -> None:
    async with served() as site:
        async with site.get("rigs/a-02") as answer:
            stopped = await answer.text()
        async with site.get("rigs/b-01") as answer:
            down = await answer.text()
    for page in (stopped, down):
        assert not re.search('id="(faults|state|boards)"', page)
        assert f"<dt>Control board</dt><dd>{UNKNOWN}</dd>" in page


async def test_faults_of_a_rig_are_escaped() -> None:
    view = small_site()
    reading = replace(
        WELL.reading.value, faults=(fault(FaultCode.FAN_FAILED, component="<b>", vendor_code="<script>"),)
    )
    broken = replace(WELL, reading=replace(WELL.reading, value=reading), faults_since=(TAKEN_AT,))
    view = replace(view, snapshot=replace(view.snapshot, rigs=(broken, *view.snapshot.rigs[1:])))
    async with served(publication=lambda: published(view)) as site, site.get("rigs/a-01") as answer:
        page = await answer.text()
    assert not re.search("<(b|script)>", page)
    assert table_rows(page) == [["fan failed", "critical", "<b>", "0 s", "<script>"]]


async def test_a_rig_that_is_down_shows_reason_and_advice() -> None:
    async with served() as site, site.get("rigs/b-01") as answer:
        assert "timeout: no answer within 5 s: it accepted the connection" in await answer.text()


async def test_an_unknown_rig_returns_404_with_its_name() -> None:
    async with served() as site, site.get("rigs/%3Cb%3Enobody") as answer:
        assert answer.status == 404
        assert "&lt;b&gt;nobody" in await answer.text()


@pytest.mark.parametrize("name", ["a/b", "a b", "50%", "ü", "?x=1#y", "<b>", '"'])
async def test_the_link_of_every_rig_opens_its_page(name: str) -> None:
    view = small_site()
    named = replace(DOWN, rig=replace(DOWN.rig, name=name))
    view = replace(view, snapshot=replace(view.snapshot, rigs=(named, *view.snapshot.rigs[1:])))
    async with served(publication=lambda: published(view)) as site:
        async with site.get("rigs") as answer:
            links = re.findall(r'<th scope="row"><a href="/(rigs/[^"]*)">', await answer.text())
        found = []
        for link in links:
            async with site.client.get(URL(f"{site.url}{html.unescape(link)}", encoded=True)) as answer:
                page = await answer.text()
                found.append(html.unescape(re.findall("<h1>(.*)</h1>", page)[0]))
    assert name in found


async def test_sources_and_failed_polls_are_listed() -> None:
    async with served() as site, site.get("sources") as answer:
        page = await answer.text()
        assert "401 &lt;Unauthorized&gt;" in page
        assert "no value yet" in page
        assert "failing for" in page  # its last value is fresh all the same
        assert ">fresh</td>" in page
        assert "left out: +30.0% from the median" in page
        assert "no answer within 5 s" in page
        assert "check its login, token or key" in page.lower()


async def test_a_long_configuration_is_split_into_pages() -> None:
    text = "".join(f"line {number}\n" for number in range(4_001))
    async with served(config=lambda: text) as site:
        pages = [await (await site.get(f"config?page={number}")).text() for number in (1, 2, 3, 9)]
    shown = [re.findall(r"line (\d+)", page) for page in pages]
    assert [(lines[0], lines[-1]) for lines in shown] == [
        ("0", "1999"),
        ("2000", "3999"),
        ("4000", "4000"),
        ("4000", "4000"),
    ]
    assert 'rel="next" href="/config?page=3"' in pages[1]
    assert 'rel="next"' not in pages[2]


async def test_the_configuration_is_shown_unchanged() -> None:
    async with served() as site, site.get("config") as answer:
        assert "site: prairie-1\npassword: &#39;***&#39;\n" in await answer.text()


@pytest.mark.parametrize("path", ["rigs", "rigs/a-01", "blocks"])
async def test_before_the_first_evaluation_pages_return_503(path: str) -> None:
    async with served() as site:
        site.latest.publication = None
        async with site.get(path) as answer:
            assert answer.status == 503


def table_rows(page: str) -> list[list[str]]:
    """The cells' text of the first table's body."""
    body = page.partition("<tbody>")[2].partition("</tbody>")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in rows]
    return [[html.unescape(re.sub("<[^>]*>", "", cell)) for cell in row] for row in cells]


async def test_names_are_escaped() -> None:
    async with served(site="<script>alert(1)</script>") as site, site.get("") as answer:
        assert "<script>" not in await answer.text()


async def test_pages_load_only_files_that_the_server_has() -> None:
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


async def test_the_page_of_a_rig_starts_with_the_rig() -> None:
    async with served() as site:
        page = await (await site.get("rigs/a-01")).text()
    found = [
        page.index(f'<h2 id="{name}">') for name in ("faults", "state", "boards", "identity", "inputs", "sum", "flips")
    ]
    assert found == sorted(found)


def test_a_waterfall_goes_from_the_first_line_to_the_sum() -> None:
    steps = waterfall({"revenue": 100.0, "power": -120.0, "stopping or selling": 40.0, "next retarget": 0.0})
    assert [(step.name, step.total) for step in steps] == [
        ("revenue", 100.0),
        ("power", -20.0),
        ("stopping or selling", 20.0),
    ]
    assert [(round(step.start, 3), round(step.width, 3)) for step in steps] == [
        (16.667, 83.333),
        (0.0, 100.0),
        (0.0, 33.333),
    ]
    assert waterfall({}) == []
