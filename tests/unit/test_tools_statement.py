"""A hosted customer's statement from recorded series: classes of windows, gaps, moves, notes, and its formats."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import html5lib
import pytest
from aiohttp import web
from click.testing import CliRunner
from source_site import serve

from exporter.cli import main
from exporter.economics.hosting import Class, ContractSettings, RigUse
from exporter.model.failures import Failure
from exporter.sources.http import Endpoint, HttpSettings
from exporter.tools import statement
from exporter.tools.spans import Span
from exporter.tools.usage import Note, NoteError, Question, Usage, queries, ratings, read, read_notes, windows_of

CHICAGO = ZoneInfo("America/Chicago")
WINDOW = 300.0
START = datetime(2026, 2, 3, tzinfo=CHICAGO).timestamp()
DAY = Span(name="2026-02", zone="America/Chicago", start=START, end=START + 86_400.0)
ACME = Question(customer="acme", site='a"b')


@dataclass
class Recorded:
    """One rig's series: a value by window, counted from the start of the day; None is no sample."""

    contract: Callable[[int], bool] = lambda _: True
    hashrate: Callable[[int], float | None] = lambda _: 200e12
    watts: Callable[[int], float | None] = lambda _: 3_500.0
    kind: Callable[[int], str | None] = lambda _: None
    source: Callable[[int], str] = lambda _: "metered"
    block: Callable[[int], str] = lambda _: "north"


def series(rig: str, recorded: Recorded, what: str, times: list[float]) -> dict[tuple[tuple[str, str], ...], Any]:
    found: dict[tuple[tuple[str, str], ...], list[list[object]]] = {}

    def add(at: float, value: float | None, **labels: str) -> None:
        if value is not None:
            found.setdefault((("rig", rig), *labels.items()), []).append([at, str(value)])

    for at in times:
        number = round((at - START) / WINDOW) - 1
        kind = recorded.kind(number)
        if what in ("rated power", "rated hashrate"):
            add(at, 3_500.0 if what == "rated power" else 200e12)
        elif recorded.contract(number):
            value, labels = {
                "contract": (1.0, {"block": recorded.block(number)}),
                "hashrate": (recorded.hashrate(number), {}),
                "power": (recorded.watts(number), {"source": recorded.source(number)}),
                "planned off": (None if kind is None else 1.0, {"kind": str(kind)}),
                "revenue": (28.8, {}),
            }[what]
            add(at, value, **labels)
    return found


@asynccontextmanager
async def store(rigs: Mapping[str, Recorded], question: Question) -> AsyncIterator[str]:
    """A server that has recorded these rigs, and answers exactly the queries of a question."""
    names = {query: name for name, query in (queries(question) | ratings(question)).items()}

    async def answer(request: web.Request) -> web.Response:
        begin, end, step = (float(request.query[name]) for name in ("start", "end", "step"))
        times = [begin + step * number for number in range(int((end - begin) / step + 1e-6) + 1)]
        what = names[request.query["query"]]
        result: list[dict[str, Any]] = []
        if what == "host's price":
            result = [{"metric": {}, "values": [[at, "0.04"] for at in times]}]
        else:
            for rig, recorded in rigs.items():
                for labels, values in series(rig, recorded, what, times).items():
                    result.append({"metric": dict(labels), "values": values})
        return web.json_response({"status": "success", "data": {"resultType": "matrix", "result": result}})

    async with serve(answer) as url:
        yield url


async def used(rigs: Mapping[str, Recorded], question: Question = ACME, period: Span = DAY) -> Usage:
    async with store(rigs, question) as url, aiohttp.ClientSession() as session:
        return await read(Endpoint(HttpSettings(url=url), session), question, period)


async def one(recorded: Recorded) -> RigUse:
    """Read one rig among three that are well, so that it is no outage of the block."""
    well = {f"b-{number}": Recorded() for number in range(3)}
    found = await used({"a-1": recorded, **well})
    return next(rig for rig in found.rigs if rig.rig == "a-1")


HOURS = 288


async def test_a_rig_that_is_well_hashes_all_day() -> None:
    rig = await one(Recorded())
    assert rig.windows == {Class.HASHING: HOURS, Class.NOT_CONTRACTED: 0}
    assert rig.kilowatt_hours == {"metered": pytest.approx(84.0)}
    assert (rig.watts, rig.hashrate, rig.energised, rig.missing) == (3_500.0, 200e12, HOURS, 0)
    assert rig.performed == pytest.approx(200e12 * HOURS)


@pytest.mark.parametrize(
    ("recorded", "found"),
    [
        (Recorded(hashrate=lambda at: 170e12 if at < 12 else 200e12), Class.DEGRADED),
        (Recorded(hashrate=lambda at: 0.0 if at < 12 else 200e12), Class.RIG_FAULT),
        (Recorded(hashrate=lambda at: None if at < 12 else 200e12), Class.UNEXPLAINED),
        (Recorded(kind=lambda at: "call" if at < 12 else None), Class.CURTAILED),
        (Recorded(kind=lambda at: "schedule" if at < 12 else None), Class.CURTAILED),
        (Recorded(kind=lambda at: "maintenance" if at < 12 else None), Class.MAINTENANCE),
        (Recorded(contract=lambda at: at >= 12), Class.NOT_CONTRACTED),
    ],
    ids=["slow", "answers without a hash", "silent alone", "called", "scheduled", "maintained", "joined later"],
)
async def test_each_window_has_one_class(recorded: Recorded, found: Class) -> None:
    rig = await one(recorded)
    assert rig.windows[found] == 12
    assert rig.windows[Class.HASHING] == HOURS - 12
    assert sum(rig.windows.values()) == HOURS


async def test_rigs_of_a_block_that_go_silent_together_are_the_hosts_fault() -> None:
    silent = Recorded(hashrate=lambda at: None if 24 <= at < 36 else 200e12)
    found = await used({"a-1": silent, "a-2": silent, "a-3": Recorded(), "b-1": Recorded(block=lambda _: "south")})
    assert [rig.windows.get(Class.HOST_FAULT, 0) for rig in found.rigs] == [12, 12, 0, 0]
    (incident,) = found.incidents
    assert (incident.found, incident.block, incident.rigs) == (Class.HOST_FAULT, "north", 2)
    assert (incident.start, incident.end) == (START + 24 * WINDOW, START + 36 * WINDOW)


async def test_two_outages_of_a_day_are_two_incidents() -> None:
    twice = Recorded(hashrate=lambda at: 0.0 if at in (5, 6, 100) else 200e12)
    found = await used({"a-1": twice, "a-2": Recorded()})
    assert [(each.end - each.start) / WINDOW for each in found.incidents] == [2, 1]


async def test_a_gap_of_the_exporter_is_unmonitored_and_its_energy_is_missing() -> None:
    def seen(at: int) -> bool:
        return not 100 <= at < 160

    found = await used({"a-1": Recorded(contract=seen), "a-2": Recorded(contract=seen)})
    for rig in found.rigs:
        assert rig.windows == {Class.HASHING: HOURS - 60, Class.UNMONITORED: 60, Class.NOT_CONTRACTED: 0}
        assert rig.kilowatt_hours == {"metered": pytest.approx(3.5 * (HOURS - 60) / 12)}
        assert rig.missing == 60


async def test_a_gap_of_a_whole_piece_is_unmonitored_too() -> None:
    found = await used({"a-1": Recorded(contract=lambda at: at < 144)})
    assert found.rigs[0].windows[Class.UNMONITORED] == 144


async def test_a_slot_without_power_is_missing_and_never_the_last_value() -> None:
    rig = await one(Recorded(watts=lambda at: None if at < 30 else 3_500.0))
    assert rig.missing == 30
    assert rig.kilowatt_hours == {"metered": pytest.approx(3.5 * (HOURS - 30) / 12)}


async def test_a_meter_that_is_exchanged_for_reports_splits_the_energy() -> None:
    rig = await one(Recorded(source=lambda at: "metered" if at < 72 else "reported"))
    assert rig.kilowatt_hours == {"metered": pytest.approx(21.0), "reported": pytest.approx(63.0)}


async def test_a_rig_that_is_moved_to_another_block_is_one_rig() -> None:
    rig = await one(Recorded(block=lambda at: "north" if at < 100 else "south"))
    assert rig.windows[Class.HASHING] == HOURS


async def test_a_dead_rig_on_a_live_circuit_has_power() -> None:
    dead = Recorded(hashrate=lambda _: 0.0, watts=lambda _: 0.0)
    rig = await one(dead)
    assert rig.energised == HOURS
    alone = await used({"a-1": dead})
    assert alone.rigs[0].energised == 0


async def test_the_hosts_price_and_the_coins_are_read_only_if_the_contract_needs_them() -> None:
    asked = Question(customer="acme", host_tariff="ppa", revenue=True)
    (rig,) = (await used({"a-1": Recorded()}, asked)).rigs
    assert rig.passed_through == pytest.approx(84.0 * 0.04)
    assert rig.mined == pytest.approx(28.8)
    assert not {"revenue", "host's price"} & set(queries(ACME))


async def test_notes_move_what_is_unexplained_and_nothing_else() -> None:
    silent = Recorded(hashrate=lambda at: None if at < 12 else 0.0 if at < 24 else 200e12)
    note = Note(START, START + 86_400.0, "a-1", Class.CUSTOMER, "unplugged by the customer")
    found = await used({"a-1": silent, "a-2": Recorded(), "a-3": Recorded()}, Question(customer="acme", notes=[note]))
    rig = found.rigs[0]
    assert (rig.windows[Class.CUSTOMER], rig.windows[Class.RIG_FAULT], found.moved) == (12, 12, 12)


async def test_a_customer_without_a_rig_in_that_time_is_an_error() -> None:
    with pytest.raises(Failure, match="no rig of customer acme is recorded in 2026-02"):
        await used({})


@pytest.mark.parametrize(
    ("month", "hours"),
    [("2026-03", 743), ("2026-10", 744), ("2026-11", 721), ("2026-12", 744), ("2026-02", 672)],
)
def test_a_month_is_local(month: str, hours: int) -> None:
    period = Span.month(month, CHICAGO)
    assert (period.hours, windows_of(period)) == (hours, hours * 12)


# --- notes ----------------------------------------------------------------------------------------------------------


def test_notes_are_read_in_local_time(tmp_path: Path) -> None:
    file = tmp_path / "notes.csv"
    file.write_text("from,to,rig,class,note\n2026-02-03 00:00,2026-02-03 01:00,a-1,customer,unplugged\n", "utf-8")
    assert read_notes(file, CHICAGO) == [Note(START, START + 3_600.0, "a-1", Class.CUSTOMER, "unplugged")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("from,to,rig\n", "needs the columns"),
        ("from,to,rig,class,note\n2026-02-03,2026-02-02,a-1,customer,x\n", "line 2: to must be after from"),
        ("from,to,rig,class,note\n2026-02-03,2026-02-04,a-1,custmer,x\n", "did you mean 'customer'"),
        ("from,to,rig,class,note\n2026-02-03,2026-02-04,a-1,customer,\n", "a note must say why"),
        ("from,to,rig,class,note\n2026-02-03,2026-02-04,a-1,customer," + "x" * 200_000, "field larger than"),
        ("from,to,rig,class,note\nyesterday,2026-02-04,a-1,customer,x\n", "line 2"),
    ],
)
def test_notes_that_are_not_clear_are_refused(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "notes.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(NoteError, match=words):
        read_notes(file, CHICAGO)
    with pytest.raises(NoteError, match="cannot be read"):
        read_notes(tmp_path / "missing.csv", CHICAGO)


# --- the command ----------------------------------------------------------------------------------------------------

CONFIG = """\
site: prairie-1
tariffs: {ppa: {kind: fixed, usd_per_kilowatt_hour: 0.05}}
contracts:
  gold:
    timezone: America/Chicago
    usd_per_kilowatt_hour: 0.072
    usd_per_kilowatt_month: 12
    deposit_usd: 500
    curtailment_credit_share: 0
    uptime: {measure: sla, promised: 0.98}
customers: {acme: {contract: gold}, birch: }
"""
FEBRUARY = datetime(2026, 2, 1, tzinfo=CHICAGO).timestamp()


async def run(folder: Path, url: str, *more: str, config: str = CONFIG) -> tuple[int, str, str]:
    """Run the command in a thread: it has an event loop of its own."""
    (folder / "site.yml").write_text(config, encoding="utf-8")
    arguments = ("statement", "--config.file", str(folder / "site.yml"), "--prometheus", url, "--customer", "acme",
                 "--month", "2026-02", *more)  # fmt: skip
    result = await asyncio.to_thread(CliRunner().invoke, main, arguments)
    return result.exit_code, result.stdout, result.stderr


async def test_the_statement_in_every_format(tmp_path: Path) -> None:
    """A rig that joined on the 3rd and stood still for an hour by itself."""
    joined = round((START - FEBRUARY) / WINDOW)
    rig = Recorded(contract=lambda at: at >= 0, hashrate=lambda at: 0.0 if at < 12 else 200e12)
    async with store({"=a-1": rig, "b-1": Recorded(contract=lambda _: True)}, Question(customer="acme")) as url:
        code, text, errors = await run(tmp_path, url)
        _, printed, _ = await run(tmp_path, url, "--output", "json")
        _, table, _ = await run(tmp_path, url, "--output", "csv")
        written, _, _ = await run(tmp_path, url, "--output", "html", "--to", str(tmp_path / "acme.html"))
        again, _, refused = await run(tmp_path, url, "--output", "html", "--to", str(tmp_path / "acme.html"))
    assert code == 0, errors
    record = json.loads(printed)
    windows = 672 * 12
    assert record["windows"]["not_contracted"] == joined
    assert record["windows"]["rig_fault"] == 12
    assert record["windows"]["hashing"] == 2 * windows - joined - 12
    kwh = 3.5 / 12 * (2 * windows - joined)
    assert record["lines"][0]["quantity"] == f"{kwh:.3f}"
    assert record["uptime"]["sla"] == 1.0
    assert record["total"] == f"{round(kwh * 0.072, 2) + round(12 * 3.5 * (2 * windows - joined) / windows, 2):.2f}"
    assert record["number"].startswith("acme-2026-02-")
    assert f"total {record['total']} USD" in text
    assert "The contract pays by sla." in text
    rows = list(csv.DictReader(io.StringIO(table)))
    assert sum(float(row["amount"]) for row in rows if row["part"] == "line") == pytest.approx(float(record["total"]))
    assert {row["name"] for row in rows if row["part"] == "windows"} == {"'=a-1", "b-1"}
    assert written == 0
    page = (tmp_path / "acme.html").read_text("utf-8")
    html5lib.HTMLParser(strict=True).parse(page)
    assert record["total"] in page
    assert "Deposit held: 500.00 USD" in page
    assert again == 2
    assert "a statement is not changed once it is issued" in refused


async def test_rigs_under_another_contract_are_billed_apart(tmp_path: Path) -> None:
    fleet = """
fleet:
  rigs:
    - {name: a-1, address: 10.0.0.1, customer: acme}
    - {name: b-1, address: 10.0.0.2, customer: acme, contract: silver}
"""
    silver = """  silver:
    timezone: UTC
    usd_per_kilowatt_hour: 0.1
    curtailment_credit_share: 0
    uptime: {measure: hashing, promised: 0}
"""
    config = CONFIG.replace("customers:", f"{silver}customers:") + fleet
    async with store({"a-1": Recorded(), "b-1": Recorded()}, Question(customer="acme")) as url:
        refused = await run(tmp_path, url, config=config)
        unknown = await run(tmp_path, url, "--contract", "sliver", config=config)
        code, text, errors = await run(tmp_path, url, "--contract", "silver", "--output", "json", config=config)
    assert (refused[0], unknown[0]) == (2, 2)
    assert "acme has several contracts, gold, silver: choose one with --contract" in refused[2]
    assert "did you mean 'silver'" in unknown[2]
    assert code == 0, errors
    record = json.loads(text)
    assert [rig["rig"] for rig in record["by_rig"]] == ["b-1"]
    assert [line["code"] for line in record["lines"]] == ["energy"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--customer", "birch"), "customers.birch.contract is not set"),
        (("--customer", "acne"), "did you mean 'acme'"),
        (("--month", "02/2026"), "is not a month such as 2026-11"),
        (("--month", "2126-02"), "is not over yet"),
        (("--output", "pdf"), "needs --to FILE"),
    ],
)
async def test_what_cannot_be_stated_is_one_sentence(more: tuple[str, ...], words: str, tmp_path: Path) -> None:
    code, _, errors = await run(tmp_path, "http://127.0.0.1:9", *more)
    assert code == 2
    assert words in errors


async def test_without_chromium_a_pdf_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.tools.statement.shutil.which", lambda _: None)
    with pytest.raises(statement.StatementError, match="PDF needs Chromium"):
        statement.print_pdf("<p>", tmp_path / "acme.pdf")


def test_the_number_depends_on_what_is_stated_and_not_on_when() -> None:
    settings = ContractSettings.model_validate(
        {
            "timezone": "America/Chicago",
            "usd_per_kilowatt_hour": 0.072,
            "curtailment_credit_share": 0,
            "uptime": {"measure": "sla", "promised": 0.98},
        }
    )

    def number(kwh: float, issued_at: float) -> str:
        rig = RigUse(rig="a", windows={Class.HASHING: 288}, kilowatt_hours={"metered": kwh})
        usage = Usage(rigs=(rig,), incidents=(), moved=0, queries={})
        sheet = statement.sheet_of("prairie-1", "acme", "gold", settings, DAY, usage, issued_at)
        return str(sheet.record["number"])

    assert number(84.0, 1.0) == number(84.0, 2.0)
    assert number(84.0, 1.0) != number(84.001, 1.0)
