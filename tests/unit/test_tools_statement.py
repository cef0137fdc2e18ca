"""A hosted customer's statement from recorded series: classes of windows, gaps, moves, notes, and its formats."""

import asyncio
import csv
import io
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
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
from exporter.tools.usage import NoteError, Question, read, read_notes
from exporter.tools.windows import Note, Usage, windows_of

CHICAGO = ZoneInfo("America/Chicago")
WINDOW = 300.0
START = datetime(2026, 2, 3, tzinfo=CHICAGO).timestamp()
DAY = Span(name="2026-02", zone="America/Chicago", start=START, end=START + 86_400.0)
ACME = Question(customer="acme", contract="gold", site='a"b')
ONE = 1.0


@dataclass
class Recorded:
    """One rig's series: a value by window, counted from the start of the day; None is no sample."""

    contract: Callable[[int], bool] = lambda _: True
    hashrate: Callable[[int], float | None] = lambda _: 200e12
    watts: Callable[[int], float | None] = lambda _: 3_500.0
    kind: Callable[[int], str | None] = lambda _: None
    source: Callable[[int], str] = lambda _: "metered"
    block: Callable[[int], str] = lambda _: "north"
    customer: Callable[[int], str] = lambda _: "acme"
    named: Callable[[int], str | None] = lambda _: None  # the contract that the exporter shows
    exporter: str = "a:9852"
    revenue: Callable[[int], float | None] = lambda _: 28.8
    income: Callable[[int], float | None] = lambda _: None
    pool_up: Callable[[int], float | None] = lambda _: None
    fault: Callable[[int], float | None] = lambda _: None
    suspended: Callable[[int], float | None] = lambda _: None
    credited: float | None = None


@dataclass
class Site:
    """What a server has recorded: the rigs, and the exporters in all windows but some."""

    rigs: Mapping[str, Recorded]
    gap: Callable[[str, int], bool] = lambda _exporter, _window: False
    any_pool: bool = True
    silent_blocks: Mapping[str, range] = field(default_factory=dict)
    live_blocks: Mapping[str, range] = field(default_factory=dict)
    payments: Mapping[float, tuple[float, float]] = field(default_factory=dict)  # by time: UTC day and BTC

    def series(self, query: str, number: int) -> Iterator[tuple[dict[str, str], float]]:
        """Yield the labels and values of a query at the end of a window."""
        asked = query.removeprefix("sum_over_time(").removeprefix("count_over_time(")
        if "mining_rigs{" in asked:
            exporters = {rig.exporter for rig in self.rigs.values()}
            yield from (({"instance": each}, 1.0) for each in exporters if not self.gap(each, number))
        elif "count by (block)" in asked:
            yield from (({"block": name}, 2.0) for name, windows in self.silent_blocks.items() if number in windows)
        elif "mining_block_power_watts" in asked:
            yield from (({"block": name}, 1.0) for name, windows in self.live_blocks.items() if number in windows)
        elif "mining_power_price" in asked:
            yield {}, 0.04
        elif "scalar(" in asked:
            yield {}, 0.001
        elif asked.startswith("max(max_over_time(mining_rig_pool_up"):
            if self.any_pool:
                yield {}, 1.0
        else:
            yield from self._of_rigs(asked, number)

    def _of_rigs(self, asked: str, number: int) -> Iterator[tuple[dict[str, str], float]]:
        names, metric = _parsed(asked)
        for name, rig in self.rigs.items():
            if names is not None and not names.fullmatch(name):
                continue
            if not rig.contract(number) or self.gap(rig.exporter, number):
                continue
            labels, value = self._value(asked, metric, rig, number)
            if value is not None:
                yield {"rig": name, **labels}, value

    @staticmethod
    def _value(asked: str, metric: str, rig: Recorded, number: int) -> tuple[dict[str, str], float | None]:  # noqa: PLR0911
        owner, place = rig.customer(number), {"block": rig.block(number), "instance": rig.exporter}
        his = ONE if owner == "acme" else None
        match metric:
            case "inventory_info":
                mixed = asked.startswith("sum by (rig, block, customer")
                return place | ({"customer": owner} if mixed else {}), ONE if mixed else his
            case "contract_info":
                contract = rig.named(number)
                return {"contract": str(contract)}, None if contract is None else his
            case "power_source":
                return {"source": rig.source(number)}, rig.watts(number)
            case "expected_off_info":
                kind = rig.kind(number)
                return {"kind": str(kind)}, None if kind is None else ONE
            case "pool_up":
                return {}, ONE if rig.pool_up(number) == 0 else None
            case "pool_credited_hashrate_hashes_per_second" | "pool_reported_hashrate_hashes_per_second":
                return {}, rig.credited
            case _:
                return {}, {
                    "hashrate_hashes_per_second": rig.hashrate,
                    "reported_power_watts": rig.watts,
                    "customer_revenue_usd_per_day": rig.revenue,
                    "revenue_usd_per_day": lambda _: 14.4,
                    "curtailment_income_usd_per_day": rig.income,
                    "rated_power_watts": lambda _: 3_500.0,
                    "rated_hashrate_hashes_per_second": lambda _: 200e12,
                    "fault": rig.fault,
                    "suspended": rig.suspended,
                }[metric](number)

    def answer(self, query: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """Return the series of a range query. A sum or a count over windows is worked out from each of them."""
        over = re.fullmatch(r"(sum|count)_over_time\((.*)\[(\d+)s:300s\]\)", query)
        if "mining_pool_payout" in query:
            place = 0 if "day_timestamp" in query else 1
            values = [[at, str(self.payments[at][place])] for at in _steps(start, end, step) if at in self.payments]
            return [{"metric": {"account": "main"}, "values": values}]
        found: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
        first = end - float(over[3]) // WINDOW * WINDOW if over else start
        for at in _steps(first, end, WINDOW if over else step):
            for labels, value in self.series(query, round((at - START) / WINDOW) - 1):
                found.setdefault(tuple(labels.items()), []).append((at, value))
        if over:
            total = {"sum": sum, "count": len}[over[1]]
            found = {key: [(end, float(total([value for _, value in values])))] for key, values in found.items()}
        return [
            {"metric": dict(key), "values": [[at, str(value)] for at, value in values]} for key, values in found.items()
        ]


@lru_cache
def _parsed(asked: str) -> tuple[re.Pattern[str] | None, str]:
    """Return the pattern of the rigs that a query chooses, and what its first metric of a rig is called."""
    chosen, first = re.search(r'rig=~"([^"]*)"', asked), re.search(r"mining_rig_(\w+)", asked)
    names = None if chosen is None else re.compile(chosen[1].replace("\\\\", "\\"))
    return names, "" if first is None else first[1]


def _steps(start: float, end: float, step: float) -> list[float]:
    return [start + step * number for number in range(int((end - start) / step + 1e-6) + 1)]


@asynccontextmanager
async def store(site: Site | Mapping[str, Recorded]) -> AsyncIterator[str]:
    """A server that has recorded a site."""
    recorded = site if isinstance(site, Site) else Site(site)

    async def answer(request: web.Request) -> web.Response:
        begin, end, step = (float(request.query[name]) for name in ("start", "end", "step"))
        result = recorded.answer(request.query["query"], begin, end, step)
        return web.json_response({"status": "success", "data": {"resultType": "matrix", "result": result}})

    async with serve(answer) as url:
        yield url


async def used(site: Site | Mapping[str, Recorded], question: Question = ACME, period: Span = DAY) -> Usage:
    async with store(site) as url, aiohttp.ClientSession() as session:
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
    found = await used(Site({"a-1": Recorded(), "a-2": Recorded()}, gap=lambda _, at: 100 <= at < 160))
    for rig in found.rigs:
        assert rig.windows == {Class.HASHING: HOURS - 60, Class.UNMONITORED: 60, Class.NOT_CONTRACTED: 0}
        assert rig.kilowatt_hours == {"metered": pytest.approx(3.5 * (HOURS - 60) / 12)}
        assert rig.missing == 60
    (incident,) = found.incidents
    assert (incident.found, incident.rigs) == (Class.UNMONITORED, 2)
    assert (incident.start, incident.end) == (START + 100 * WINDOW, START + 160 * WINDOW)


@pytest.mark.parametrize("gap", [range(50), range(250, 288), range(144, 288)], ids=["first", "last", "whole piece"])
async def test_a_gap_at_either_end_of_the_period_is_unmonitored_too(gap: range) -> None:
    (rig,) = (await used(Site({"a-1": Recorded()}, gap=lambda _, at: at in gap))).rigs
    assert rig.windows[Class.UNMONITORED] == len(gap)
    assert rig.windows[Class.NOT_CONTRACTED] == 0


async def test_a_gap_of_one_shard_is_a_gap_of_its_rigs_alone() -> None:
    def gap(exporter: str, at: int) -> bool:
        return exporter == "b:9852" and 100 <= at < 160

    found = await used(Site({"a-1": Recorded(), "b-1": Recorded(exporter="b:9852")}, gap=gap))
    assert [rig.windows.get(Class.UNMONITORED, 0) for rig in found.rigs] == [0, 60]


async def test_a_customer_who_leaves_is_not_under_contract_after_that() -> None:
    """His rigs are no longer listed, and the exporter goes on: that is no gap. He joined during one."""
    left = Recorded(contract=lambda at: 20 <= at < 100)
    (rig,) = (await used(Site({"a-1": left, "z-1": Recorded(customer=lambda _: "birch")}))).rigs
    assert rig.windows == {Class.HASHING: 80, Class.NOT_CONTRACTED: HOURS - 80}
    around = Site(
        {"a-1": left, "z-1": Recorded(customer=lambda _: "birch")}, gap=lambda _, at: 10 <= at < 20 or at >= 90
    )
    (rig,) = (await used(around)).rigs
    assert rig.windows[Class.HASHING] == 70
    assert rig.windows[Class.UNMONITORED] == HOURS - 90  # nothing says that he left before the end


async def test_a_gap_after_which_a_rig_is_gone_is_not_billed() -> None:
    site = Site({"a-1": Recorded(contract=lambda at: at < 100), "a-2": Recorded()}, gap=lambda _, at: 100 <= at < 160)
    first, second = (await used(site)).rigs
    assert first.windows == {Class.HASHING: 100, Class.NOT_CONTRACTED: HOURS - 100}
    assert second.windows[Class.UNMONITORED] == 60


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


async def test_a_rig_that_changes_hands_is_each_customers_in_his_own_windows() -> None:
    moved = Recorded(customer=lambda at: "acme" if at < 100 else "birch")
    (rig,) = (await used({"a-1": moved})).rigs
    assert rig.windows == {Class.HASHING: 100, Class.NOT_CONTRACTED: HOURS - 100}
    assert rig.kilowatt_hours == {"metered": pytest.approx(3.5 * 100 / 12)}
    assert rig.mined == pytest.approx(28.8 * 100 / HOURS)


async def test_a_renamed_rig_is_billed_once() -> None:
    old, new = Recorded(contract=lambda at: at < 100), Recorded(contract=lambda at: at >= 100)
    found = (await used({"a-1": old, "a-2": new})).rigs
    assert [rig.windows[Class.HASHING] for rig in found] == [100, HOURS - 100]
    assert sum(rig.contracted for rig in found) == HOURS
    assert sum(rig.kilowatt_hours["metered"] for rig in found) == pytest.approx(84.0)


async def test_a_rig_is_billed_under_the_contract_that_was_recorded() -> None:
    """It was under silver until noon. In a window without a record the configuration counts."""
    changed = Recorded(named=lambda at: "silver" if at < 144 else "gold" if at < 200 else None)
    (rig,) = (await used({"a-1": changed})).rigs
    assert rig.windows == {Class.HASHING: 144, Class.NOT_CONTRACTED: 144}
    others = Question(customer="acme", contract="gold", others=frozenset({"a-1"}))
    (rig,) = (await used({"a-1": changed}, others)).rigs
    assert rig.windows == {Class.HASHING: 56, Class.NOT_CONTRACTED: HOURS - 56}


async def test_a_contract_counts_from_its_first_day_to_its_last() -> None:
    asked = Question(customer="acme", contract="gold", start=START + 10 * WINDOW, end=START + 30 * WINDOW)
    (rig,) = (await used({"a-1": Recorded()}, asked)).rigs
    assert rig.windows == {Class.HASHING: 20, Class.NOT_CONTRACTED: HOURS - 20}


# --- whose fault ---


@pytest.mark.parametrize(
    ("recorded", "any_pool", "found"),
    [
        (Recorded(pool_up=lambda _: 0.0), True, Class.CUSTOMER),
        (Recorded(pool_up=lambda _: 0.0), False, Class.UNEXPLAINED),
        (Recorded(fault=lambda _: 1.0), False, Class.CUSTOMER),
        (Recorded(suspended=lambda _: 1.0), True, Class.UNEXPLAINED),
        (Recorded(), True, Class.RIG_FAULT),
    ],
    ids=["his pool is down", "no pool is reached", "wrong worker", "suspended by somebody", "none of these"],
)
async def test_a_rig_that_answers_and_stands_still_is_not_always_broken(
    recorded: Recorded, found: Class, *, any_pool: bool
) -> None:
    recorded.hashrate = lambda at: 0.0 if at < 12 else 200e12
    usage = await used(Site({"a-1": recorded, "a-2": Recorded()}, any_pool=any_pool))
    assert usage.rigs[0].windows[found] == 12


async def test_the_only_rig_of_a_customer_in_a_dark_block_is_the_hosts_fault() -> None:
    silent = Recorded(hashrate=lambda at: None if 24 <= at < 36 else 200e12)
    found = await used(Site({"a-1": silent}, silent_blocks={"north": range(24, 30)}))
    assert found.rigs[0].windows[Class.HOST_FAULT] == 6
    assert found.rigs[0].windows[Class.UNEXPLAINED] == 6


async def test_the_rigs_of_others_show_that_a_block_has_power() -> None:
    dead = Recorded(hashrate=lambda _: 0.0, watts=lambda _: 0.0)
    found = await used(Site({"a-1": dead}, live_blocks={"north": range(100)}))
    assert found.rigs[0].energised == 100


async def test_a_dead_rig_on_a_live_circuit_has_power() -> None:
    dead = Recorded(hashrate=lambda _: 0.0, watts=lambda _: 0.0)
    rig = await one(dead)
    assert rig.energised == HOURS
    alone = await used({"a-1": dead})
    assert alone.rigs[0].energised == 0


async def test_the_hosts_price_is_read_only_if_the_contract_needs_it() -> None:
    (rig,) = (await used({"a-1": Recorded()}, Question(customer="acme", contract="gold", host_tariff="ppa"))).rigs
    assert rig.passed_through == pytest.approx(84.0 * 0.04)
    assert rig.unpriced == 0
    assert (await used({"a-1": Recorded()})).rigs[0].passed_through == 0


async def test_revenue_is_the_customers_and_the_sites_where_that_was_not_recorded() -> None:
    (rig,) = (await used({"a-1": Recorded()})).rigs
    assert (rig.mined, rig.unearned) == (pytest.approx(28.8), 0)
    former = Recorded(revenue=lambda _: None)
    (rig,) = (await used({"a-1": former})).rigs
    assert rig.mined == pytest.approx(14.4)
    (rig,) = (await used({"a-1": former}, Question(customer="acme", contract="gold", own_revenue=True))).rigs
    assert (rig.mined, rig.unearned) == (0.0, HOURS)  # by his own fee it is not known


async def test_the_energy_by_reports_stands_beside_the_metered() -> None:
    (rig,) = (await used({"a-1": Recorded()})).rigs
    assert rig.reported_kilowatt_hours == pytest.approx(84.0)


async def test_standing_still_earns_while_it_is_curtailed() -> None:
    """$16.80 a day for six hours are $4.20; in two of them the price of a sale is not known."""
    asked = Question(customer="acme", contract="gold", income=True)
    called = Recorded(kind=lambda at: "call" if at < 72 else None, income=lambda at: 16.8 if at >= 24 else None)
    (rig,) = (await used({"a-1": called}, asked)).rigs
    assert rig.saved == pytest.approx(2.8)
    assert rig.unsold == 24
    assert (await used({"a-1": called})).rigs[0].saved == 0


async def test_what_pools_credit_stands_beside_what_the_rigs_report() -> None:
    found = (await used({"a-1": Recorded(credited=190e12), "a-2": Recorded()})).rigs
    assert [rig.credited_hashrate for rig in found] == [190e12, None]
    assert found[0].compared_hashrate == 190e12


async def test_coins_are_by_utc_day_and_payments_are_of_their_day() -> None:
    """The local day in Chicago has 18 hours of one UTC day and 6 of the next. A rig earns 0.001 BTC a day."""
    first = datetime(2026, 2, 3, tzinfo=UTC).timestamp()
    payments = {
        START + 3_600.0: (first, 0.0009),
        START + 7_200.0: (first, 0.00095),
        START + 86_400.0: (first + 86_400.0, 0.002),
    }
    asked = Question(customer="acme", contract="gold", accounts=("main",))
    found = await used(Site({"a-1": Recorded()}, payments=payments), asked)
    assert [each.day for each in found.production] == ["2026-02-03", "2026-02-04"]
    assert [each.earned for each in found.production] == pytest.approx([0.00075, 0.00025])
    assert [each.paid for each in found.production] == [0.00095, 0.002]


async def test_notes_move_what_is_unexplained_and_nothing_else() -> None:
    silent = Recorded(hashrate=lambda at: None if at < 12 else 0.0 if at < 24 else 200e12)
    note = Note(START, START + 86_400.0, "a-1", Class.CUSTOMER, "unplugged by the customer")
    found = await used(
        {"a-1": silent, "a-2": Recorded(), "a-3": Recorded()}, Question(customer="acme", contract="gold", notes=[note])
    )
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


# --- lines of the operator ---


def test_lines_of_the_operator_are_read_to_the_cent(tmp_path: Path) -> None:
    file = tmp_path / "lines.csv"
    file.write_text("code,amount,note\ncorrection,-12.4,read twice\nhands,75.00,1.5 hours\n", encoding="utf-8")
    correction, hands = statement.read_lines(file)
    assert (correction.code, str(correction.amount), correction.note) == ("correction", "-12.40", "read twice")
    assert str(hands.amount) == "75.00"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("code,amount\n", "needs the columns"),
        ("code,amount,note\nfee,ten,x\n", "line 2: 'ten' is no amount"),
        ("code,amount,note\nfee,NaN,x\n", "is no amount|parts of a cent"),
        ("code,amount,note\nfee,1.005,x\n", "parts of a cent"),
        ("code,amount,note\nfee,1.00,\n", "a note with the reason"),
        ("code,amount,note\nfee,1.00," + "x" * 200_000, "field larger than"),
        ("c" * 200_000, "field larger than"),
    ],
)
def test_lines_that_are_not_clear_are_refused(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "lines.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(statement.StatementError, match=words):
        statement.read_lines(file)
    with pytest.raises(statement.StatementError, match="cannot be read"):
        statement.read_lines(tmp_path / "missing.csv")


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
    file = tmp_path / "acme.json"
    async with store({"=a-1": rig, "b-1": Recorded()}) as url:
        code, _, errors = await run(tmp_path, url, "--output", "json", "--to", str(file))
        again, _, refused = await run(tmp_path, url, "--output", "json", "--to", str(file))
    assert code == 0, errors
    record = json.loads(file.read_text("utf-8"))
    windows = 672 * 12
    assert record["windows"]["not_contracted"] == joined
    assert record["windows"]["rig_fault"] == 12
    assert record["windows"]["hashing"] == 2 * windows - joined - 12
    kwh = 3.5 / 12 * (2 * windows - joined)
    assert record["lines"][0]["quantity"] == f"{kwh:.3f}"
    assert record["uptime"]["sla"] == 1.0
    assert record["total"] == f"{round(kwh * 0.072, 2) + round(12 * 3.5 * (2 * windows - joined) / windows, 2):.2f}"
    assert record["number"].startswith("acme-2026-02-")
    text, table, page = statement.as_text(record), statement.as_csv(record), statement.as_page(record)
    assert f"total {record['total']} USD" in text
    assert "The contract pays by sla." in text
    rows = list(csv.DictReader(io.StringIO(table)))
    assert sum(float(row["amount"]) for row in rows if row["part"] == "line") == pytest.approx(float(record["total"]))
    assert {row["name"] for row in rows if row["part"] == "windows"} == {"'=a-1", "b-1"}
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
    async with store({"a-1": Recorded(), "b-1": Recorded()}) as url:
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
