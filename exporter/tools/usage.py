"""Reads what a customer's rigs did in a period from Prometheus or VictoriaMetrics, a UTC day at a time."""

import asyncio
import csv
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

from exporter.economics.hosting import WINDOW_SECONDS, Class
from exporter.model.configuration_errors import unknown
from exporter.model.failures import Failure, Reason
from exporter.model.units import SECONDS_PER_DAY, SECONDS_PER_HOUR, kilowatts
from exporter.sources.http import Endpoint
from exporter.sources.prometheus import ask_columns, ask_range, quoted
from exporter.tools.spans import Span
from exporter.tools.windows import (
    HALF,
    MAINTENANCE,
    TOGETHER,
    Column,
    Note,
    Piece,
    Production,
    Reckoning,
    RigColumns,
    Usage,
)

_WINDOW: Final = f"{WINDOW_SECONDS:.0f}s"
_DAYS: Final = WINDOW_SECONDS / SECONDS_PER_DAY
_SELECTED: Final = 3_000
"""Letters of rigs' names in one query: a URL has room for them."""
_POOL_STEP: Final = 3 * SECONDS_PER_HOUR
"""Seconds between the looks at what pools credit, which moves as often."""
_PAID_LATE: Final = 2 * SECONDS_PER_DAY
"""Seconds after a period in which payments of its days still appear."""
_HIS_FAULTS: Final = "pool_wrong|worker_wrong|pool_rejects"
"""Faults of a rig that stands still because of what its customer configured."""


class NoteError(Exception):
    """The file of notes is invalid. The message is one sentence with the line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Whose rigs are read, and what the contract needs.

    Attributes:
        customer: The customer.
        contract: His contract. Where none was recorded for a rig, ``others`` has the rigs under another one.
        start: When the contract begins, unix seconds.
        end: When it ends.
        site: A target label.
        host_tariff: Prices the power for the host; read only if it is named.
        own_revenue: Whether his pool fee or scheme differ from the site's, so that only his own revenue counts.
        income: Whether he has a share of what standing still earns.
        accounts: Pool accounts whose payments are his.
        notes: Notes on unexplained windows.
    """

    customer: str
    contract: str = ""
    start: float = float("-inf")
    end: float = float("inf")
    site: str | None = None
    host_tariff: str = ""
    own_revenue: bool = False
    income: bool = False
    accounts: tuple[str, ...] = ()
    others: frozenset[str] = frozenset()
    notes: Sequence[Note] = ()


def read_notes(path: Path, zone: ZoneInfo) -> list[Note]:
    """Read notes from a CSV file with the columns from, to, rig, class and note, in local time. Raises NoteError."""
    try:
        lines = csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise NoteError(f"{path} cannot be read: {getattr(error, 'strerror', 'it is not UTF-8 text')}") from None
    columns = {"from", "to", "rig", "class", "note"}
    try:
        if set(lines.fieldnames or ()) != columns:
            raise NoteError(f"{path} needs the columns from, to, rig, class and note")
        return [_note(row, zone) for row in lines]
    except (ValueError, csv.Error) as error:
        raise NoteError(f"{path}, line {lines.line_num}: {error}") from None


def _note(row: Mapping[str, str], zone: ZoneInfo) -> Note:
    moments = (datetime.fromisoformat((row[name] or "").strip()) for name in ("from", "to"))
    start, end = ((each if each.tzinfo else each.replace(tzinfo=zone)).timestamp() for each in moments)
    found, text = (row["class"] or "").strip(), (row["note"] or "").strip()
    classes = [each.value for each in Class]
    if found not in classes:
        raise ValueError(str(unknown("class", found, classes)))
    if not text:
        raise ValueError("a note must say why")
    if end <= start:
        raise ValueError("to must be after from")
    return Note(start, end, (row["rig"] or "").strip(), Class(found), text)


# --- queries --------------------------------------------------------------------------------------------------------


class Queries:
    """The queries. Those of rigs are asked for the end of every window, or as a sum over the windows of a piece."""

    def __init__(self, question: Question) -> None:
        self._site = "" if question.site is None else f'site="{quoted(question.site)}"'
        self._customer = f'customer="{quoted(question.customer)}"'
        self._contract = f'contract="{quoted(question.contract)}"'

    def _of(self, metric: str, *matchers: str) -> str:
        return f"{metric}{{{','.join(filter(None, (self._site, *matchers)))}}}"

    def _over(self, function: str, metric: str, by: str, *matchers: str) -> str:
        return f"max by ({by}) ({function}_over_time({self._of(metric, *matchers)}[{_WINDOW}]))"

    @property
    def listed(self) -> str:
        """Rigs that the inventory lists for the customer."""
        return self._over("max", "mining_rig_inventory_info", "rig, block, instance", self._customer)

    @property
    def under_contract(self) -> str:
        """Rigs of the customer by contract."""
        return self._over("max", "mining_rig_contract_info", "rig, contract", self._customer)

    @property
    def exporters(self) -> str:
        """Exporters that were recorded."""
        return self._over("max", "mining_rigs", "instance")

    def lists(self, rigs: str) -> str:
        """Samples of each rig's listings, to tell the customer and block that it is mostly listed for."""
        samples = self._of("mining_rig_inventory_info", rigs)
        return f"sum by (rig, block, customer, instance) (count_over_time({samples}[{_WINDOW}]))"

    def contracts(self, rigs: str) -> str:
        """Samples of each rig's contracts."""
        samples = self._of("mining_rig_contract_info", self._customer, rigs)
        return f"sum by (rig, contract) (count_over_time({samples}[{_WINDOW}]))"

    def hashrate(self, rigs: str) -> str:
        """Mean hashrates, H/s."""
        return self._over("avg", "mining_rig_hashrate_hashes_per_second", "rig", rigs)

    def power(self, rigs: str) -> str:
        """Mean power by source, W."""
        source = self._over("max", "mining_rig_power_source", "rig, source", rigs)
        return f"{source} * on (rig) group_left () {self._over('avg', 'mining_rig_power_watts', 'rig', rigs)}"

    def planned(self, rigs: str, *more: str) -> str:
        """Planned downtime, by kind."""
        return self._over("max", "mining_rig_expected_off_info", "rig, kind", rigs, *more)

    def reported(self, rigs: str) -> str:
        """Mean power that the rigs report, W."""
        return self._over("avg", "mining_rig_reported_power_watts", "rig", rigs)

    def revenue(self, rigs: str, *, own: bool) -> str:
        """Revenue, USD per day: by the customer's pool fee and scheme, or by the site's."""
        metric = "mining_rig_customer_revenue_usd_per_day" if own else "mining_rig_revenue_usd_per_day"
        return self._over("avg", metric, "rig", rigs)

    def income(self, rigs: str) -> str:
        """Income from energy that rigs do not use while it is planned that they are off, USD per day."""
        earned = self._over("avg", "mining_rig_curtailment_income_usd_per_day", "rig", rigs)
        planned = self.planned(rigs, f'kind!="{MAINTENANCE}"')
        return f"{earned} and on (rig) {planned}"

    def rated_power(self, rigs: str) -> str:
        """Rated power, W."""
        return f"max by (rig) ({self._of('mining_rig_rated_power_watts', rigs)})"

    def rated_hashrate(self, rigs: str) -> str:
        """Rated hashrate, H/s."""
        return f"max by (rig) ({self._of('mining_rig_rated_hashrate_hashes_per_second', rigs)})"

    def credited(self, rigs: str) -> str:
        """Hashrate that pools credit, H/s."""
        return f"max by (rig) ({self._of('mining_rig_pool_credited_hashrate_hashes_per_second', rigs)})"

    def compared(self, rigs: str) -> str:
        """Hashrate that rigs reported over the windows of :meth:`credited`, H/s."""
        return f"max by (rig) ({self._of('mining_rig_pool_reported_hashrate_hashes_per_second', rigs)})"

    def suspended(self, rigs: str) -> str:
        """Rigs that report that they were stopped."""
        return f"{self._over('max', 'mining_rig_suspended', 'rig', rigs)} > 0"

    def his_faults(self, rigs: str) -> str:
        """Rigs with a wrong pool or worker, or whose pool rejects them."""
        return self._over("max", "mining_rig_fault", "rig", rigs, f'code=~"{_HIS_FAULTS}"')

    def pools_down(self, rigs: str) -> str:
        """Rigs that reach none of their pools."""
        return f"{self._over('max', 'mining_rig_pool_up', 'rig', rigs)} == 0"

    @property
    def any_pool(self) -> str:
        """Whether any rig of the site reaches a pool."""
        return f"max(max_over_time({self._of('mining_rig_pool_up')}[{_WINDOW}])) > 0"

    def silent_blocks(self, blocks: str) -> str:
        """Blocks of which at least two rigs, and half, do not answer, unplanned: whoever owns them."""
        listed = self._over("max", "mining_rig_inventory_info", "rig, block", blocks)
        planned = self._over("max", "mining_rig_expected_off_info", "rig")
        answers = self._over("max", "mining_rig_hashrate_hashes_per_second", "rig")
        expected = f"({listed} unless on (rig) {planned})"
        silent = f"count by (block) ({expected} unless on (rig) {answers})"
        return f"{silent} >= {TOGETHER} and on (block) {silent} >= {HALF} * count by (block) {expected}"

    def live_blocks(self, blocks: str) -> str:
        """Blocks that draw power."""
        return f"{self._over('max', 'mining_block_power_watts', 'block', blocks)} > 0"

    def price(self, tariff: str) -> str:
        """The price of a tariff, USD per kWh."""
        metric = self._of("mining_power_price_usd_per_kilowatt_hour", f'tariff="{quoted(tariff)}"')
        return f"max(avg_over_time({metric}[{_WINDOW}]))"

    @property
    def earned(self) -> str:
        """Coins that the customer's rigs under this contract earn, BTC per day."""
        revenue = f"max by (rig) ({self._of('mining_rig_customer_revenue_usd_per_day', self._customer)})"
        contract = f"max by (rig) ({self._of('mining_rig_contract_info', self._customer, self._contract)})"
        return f"sum({revenue} and on (rig) {contract}) / scalar(max({self._of('mining_bitcoin_price_usd')}))"

    def paid(self, accounts: str, what: str) -> str:
        """The latest paid UTC day of pool accounts (unix seconds), or its payment (BTC)."""
        return f"max by (account) ({self._of(f'mining_pool_payout_{what}', accounts)})"

    def shown(self, question: Question) -> dict[str, str]:
        """Return the queries for the statement, with ``$rigs`` for the names of rigs."""
        rigs = 'rig=~"$rigs"'
        asked = {
            "listed": self.listed,
            "contract": self.under_contract,
            "hashrate": self.hashrate(rigs),
            "power": self.power(rigs),
            "reported power": self.reported(rigs),
            "planned off": self.planned(rigs),
            "revenue": self.revenue(rigs, own=True),
            "rated power": self.rated_power(rigs),
            "rated hashrate": self.rated_hashrate(rigs),
            "credited hashrate": self.credited(rigs),
            "coins": self.earned,
        }
        if question.host_tariff:
            asked["host's price"] = self.price(question.host_tariff)
        if question.income:
            asked["curtailment income"] = self.income(rigs)
        return asked


def named(label: str, names: Iterable[str]) -> str:
    """Return the matcher of a label that has one of these values."""
    pattern = "|".join(re.escape(name).replace("\\-", "-").replace("\\ ", " ") for name in sorted(names))
    return f'{label}=~"{quoted(pattern)}"'


def _chunks(names: Iterable[str]) -> Iterator[list[str]]:
    chunk: list[str] = []
    letters = 0
    for name in sorted(names):
        if chunk and letters + len(name) >= _SELECTED:
            yield chunk
            chunk, letters = [], 0
        chunk.append(name)
        letters += len(name) + 1
    if chunk:
        yield chunk


# --- reading --------------------------------------------------------------------------------------------------------


async def read(endpoint: Endpoint, question: Question, period: Span) -> Usage:
    """Read a period piece by piece. Raises Failure if the server does not answer, or has no rig of the customer."""
    reckoning = Reckoning(period, question.notes)
    earned: dict[str, float] = {}
    for start, end in _days(period):
        reader = _Reader(endpoint, question, start, end)
        reckoning.add(await reader.piece())
        coins = await reader.earned()
        if coins is not None:
            earned[_day_of(start)] = coins
    if not reckoning.rigs:
        raise Failure(Reason.NOT_READY, f"no rig of customer {question.customer} is recorded in {period.name}")
    paid = await _payments(endpoint, question, period)
    days = dict.fromkeys(_day_of(start) for start, _ in _days(period))
    production = [Production(day, earned.get(day), paid.get(day)) for day in days] if earned or paid else []
    return reckoning.usage(Queries(question).shown(question), production)


def _days(period: Span) -> Iterator[tuple[float, float]]:
    """Cut a period at midnight, UTC, as pools do."""
    start = period.start
    while start < period.end:
        end = min((start // SECONDS_PER_DAY + 1) * SECONDS_PER_DAY, period.end)
        yield start, end
        start = end


def _day_of(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).date().isoformat()


async def _payments(endpoint: Endpoint, question: Question, period: Span) -> dict[str, float]:
    """Return what the customer's pool accounts paid for each UTC day, BTC."""
    if not question.accounts:
        return {}
    accounts, text = named("account", question.accounts), Queries(question)
    found = []
    for what in ("day_timestamp_seconds", "paid_bitcoins"):
        query = text.paid(accounts, what)
        found.append(
            await ask_range(endpoint, query, period.start, period.end + _PAID_LATE, SECONDS_PER_HOUR, allow_empty=True)
        )
    paid: dict[str, dict[str, float]] = {}
    coins = {labels["account"]: values for labels, values in found[1]}
    for labels, days in found[0]:
        account = labels["account"]
        for at, day in days.items():
            if at in coins.get(account, {}):
                paid.setdefault(_day_of(day), {})[account] = coins[account][at]
    return {day: sum(each.values()) for day, each in paid.items()}


_Windows: TypeAlias = dict[str, Collection[int]]


class _Listing(NamedTuple):
    block: str
    exporter: str
    mine: list[bool]
    listed: list[bool]


class _Reader:
    """Reads one piece of a period."""

    def __init__(self, endpoint: Endpoint, question: Question, start: float, end: float) -> None:
        self._endpoint = endpoint
        self._question = question
        self._queries = Queries(question)
        self._count = round((end - start) / WINDOW_SECONDS)
        self._times = [start + WINDOW_SECONDS * number for number in range(1, self._count + 1)]
        self._in_force = [question.start < at <= question.end for at in self._times]
        # The oldest window ends one window after the start: a start that is included must not add another one.
        self._whole = f"{end - start - 1:.0f}s:{_WINDOW}"

    async def piece(self) -> Piece:
        """Return what was recorded in the piece."""
        listings = await self._listings()
        rigs: dict[str, RigColumns] = {}
        for chunk in _chunks(rig for rig, each in listings.items() if any(each.mine)):
            rigs |= await self._columns({rig: listings[rig] for rig in chunk})
        exporters = await self._ask(self._queries.exporters)
        recorded = {labels.get("instance", ""): _known(column) for labels, column in exporters}
        silent, live = await self._blocks(rigs)
        prices: Column | None = None
        if self._question.host_tariff:
            found = await self._ask(self._queries.price(self._question.host_tariff))
            prices = self._first(found)
        return Piece(
            times=self._times, rigs=rigs, recorded=recorded, silent_blocks=silent, live_blocks=live, prices=prices
        )

    async def earned(self) -> float | None:
        """Return the coins that the customer's rigs earned in the piece, BTC."""
        found = await self._total("sum", self._queries.earned)
        return found[0][1] * _DAYS if found else None

    async def _ask(
        self, query: str, times: Sequence[float] | None = None, step: float = WINDOW_SECONDS
    ) -> list[tuple[dict[str, str], Column]]:
        return await ask_columns(self._endpoint, query, times or self._times, step)

    async def _total(self, function: str, query: str) -> list[tuple[dict[str, str], float]]:
        """Let the server work out one number per series from the values at the ends of all windows."""
        found = await self._ask(f"{function}_over_time(({query})[{self._whole}])", self._times[-1:])
        return [(labels, column[0]) for labels, column in found if column[0] is not None]

    # --- who is listed ---

    async def _listings(self) -> dict[str, _Listing]:
        """Return when each rig was listed for the customer under the contract. Most are in every window."""
        whole: dict[str, tuple[str, str]] = {}
        others: set[str] = set()
        for labels, count in await self._total("count", self._queries.listed):
            rig = labels["rig"]
            if count == self._count and rig not in whole:
                whole[rig] = labels.get("block", ""), labels.get("instance", "")
            else:
                others.add(rig)
        contracts: dict[str, str] = {}
        for labels, count in await self._total("count", self._queries.under_contract):
            rig = labels["rig"]
            if count == self._count and rig not in contracts:
                contracts[rig] = labels["contract"]
            else:
                others.add(rig)
        always, never = [True] * self._count, [False] * self._count
        listings: dict[str, _Listing] = {}
        for rig, (block, exporter) in whole.items():
            if rig not in others:
                mine = self._in_force if self._names(rig, contracts.get(rig)) else never
                listings[rig] = _Listing(block, exporter, mine, always)
        for chunk in _chunks(others):
            listings |= await self._listed_at_times(chunk)
        return listings

    async def _listed_at_times(self, rigs: Sequence[str]) -> dict[str, _Listing]:
        """Return window by window for whom rigs are listed: a window is his for whom most of its samples are."""
        selected = named("rig", rigs)
        lists = _mostly(await self._ask(self._queries.lists(selected)), ("customer", "block", "instance"), self._count)
        contracts = _mostly(await self._ask(self._queries.contracts(selected)), ("contract",), self._count)
        found: dict[str, _Listing] = {}
        for rig, column in lists.items():
            his = [each for each in column if each is not None and each[0] == self._question.customer]
            if his:
                known = contracts.get(rig, [None] * self._count)
                mine = [
                    holds
                    and each is not None
                    and each[0] == self._question.customer
                    and self._names(rig, None if contract is None else contract[0])
                    for each, contract, holds in zip(column, known, self._in_force, strict=True)
                ]
                listed = [each is not None for each in column]
                found[rig] = _Listing(his[-1][1], his[-1][2], mine, listed)
        return found

    def _names(self, rig: str, contract: str | None) -> bool:
        """Return whether a rig is billed under the contract: by the contract that was recorded, else as configured."""
        return rig not in self._question.others if contract is None else contract == self._question.contract

    # --- what they did ---

    async def _columns(self, listings: Mapping[str, _Listing]) -> dict[str, RigColumns]:
        text, selected = self._queries, named("rig", listings)
        hashrates, powers, planned, rated_power, rated_hashrate = await asyncio.gather(
            self._ask(text.hashrate(selected)),
            self._ask(text.power(selected)),
            self._ask(text.planned(selected)),
            self._rare(text.rated_power(selected), SECONDS_PER_HOUR),
            self._rare(text.rated_hashrate(selected), SECONDS_PER_HOUR),
        )
        absent: Column = [None] * self._count
        hashrate = {labels["rig"]: column for labels, column in hashrates}
        rigs = {
            rig: RigColumns(
                block=each.block,
                exporter=each.exporter,
                mine=each.mine,
                listed=each.listed,
                hashrate=hashrate.get(rig, absent),
                watts=_latest(rated_power.get(rig, ())),
                rated=_latest(rated_hashrate.get(rig, ())),
            )
            for rig, each in listings.items()
        }
        for labels, column in powers:
            rig = rigs[labels["rig"]]
            rig.power = (*rig.power, (labels.get("source", ""), column))
        for labels, column in planned:
            rig = rigs[labels["rig"]]
            rig.kinds = {**rig.kinds, **dict.fromkeys(_known(column), labels.get("kind", ""))}
        await self._earnings(rigs)
        await self._reasons(rigs)
        return rigs

    async def _rare(self, query: str, step: float) -> dict[str, Column]:
        times = self._times[:: round(step / WINDOW_SECONDS)]
        return {labels["rig"]: column for labels, column in await self._ask(query, times, step)}

    async def _earnings(self, rigs: Mapping[str, RigColumns]) -> None:
        """Add energy by the rigs' own reports, revenue, income and what pools credit."""
        text, selected = self._queries, named("rig", rigs)
        reported, own, credited, compared = await asyncio.gather(
            self._sums(rigs, text.reported),
            self._sums(rigs, lambda chosen: text.revenue(chosen, own=True)),
            self._rare(text.credited(selected), _POOL_STEP),
            self._rare(text.compared(selected), _POOL_STEP),
        )
        for rig, (watts, _) in reported.items():
            rigs[rig].reported = kilowatts(watts) * WINDOW_SECONDS / SECONDS_PER_HOUR
        without = {rig: each for rig, each in rigs.items() if rig not in own}
        sites = (
            {}
            if self._question.own_revenue or not without
            else await self._sums(without, lambda chosen: text.revenue(chosen, own=False))
        )
        for rig, (usd, windows) in (own | sites).items():
            rigs[rig].revenue = usd * _DAYS, windows
        for rig in credited.keys() & compared.keys():
            pairs = zip(credited[rig], compared[rig], strict=True)
            rigs[rig].credited = [(one, other) for one, other in pairs if one is not None and other is not None]
        off = [rig for rig, each in rigs.items() if set(each.kinds.values()) - {MAINTENANCE}]
        if self._question.income and off:
            for labels, column in await self._ask(text.income(named("rig", off))):
                rigs[labels["rig"]].income = {index: value for index, value in enumerate(column) if value is not None}

    async def _sums(self, rigs: Mapping[str, RigColumns], query: Callable[[str], str]) -> dict[str, tuple[float, int]]:
        """Return each rig's sum over its windows under contract, and the number of windows with a value."""
        whole = [rig for rig, each in rigs.items() if all(each.mine)]
        found: dict[str, tuple[float, int]] = {}
        if whole:
            text = query(named("rig", whole))
            sums, counts = await asyncio.gather(self._total("sum", text), self._total("count", text))
            counted = {labels["rig"]: int(count) for labels, count in counts}
            found = {labels["rig"]: (value, counted.get(labels["rig"], 0)) for labels, value in sums}
        parts = [rig for rig in rigs if rig not in whole]
        if parts:
            for labels, column in await self._ask(query(named("rig", parts))):
                mine = rigs[labels["rig"]].mine
                values = [value for value, own in zip(column, mine, strict=True) if own and value is not None]
                found[labels["rig"]] = sum(values), len(values)
        return found

    async def _reasons(self, rigs: Mapping[str, RigColumns]) -> None:
        """Note where a rig that answers stands still for another reason than a fault of its own.

        A wrong pool or worker is the customer's. So is a pool that does not answer, while another rig of the site
        reaches one. Nobody recorded who suspended a rig, or whether the site's network or a pool has failed.
        """
        stopped = {rig: indices for rig, each in rigs.items() if (indices := each.stopped())}
        if not stopped:
            return
        text, selected = self._queries, named("rig", stopped)
        wrong, down, suspended = await asyncio.gather(
            self._ask(text.his_faults(selected)),
            self._ask(text.pools_down(selected)),
            self._ask(text.suspended(selected)),
        )
        reached = _known(self._first(await self._ask(text.any_pool))) if down else frozenset()
        reasons: dict[str, dict[int, Class]] = {}
        for labels, column in down:
            found = {index: Class.CUSTOMER if index in reached else Class.UNEXPLAINED for index in _known(column)}
            reasons.setdefault(labels["rig"], {}).update(found)
        for listed, reason in ((wrong, Class.CUSTOMER), (suspended, Class.UNEXPLAINED)):
            for labels, column in listed:
                reasons.setdefault(labels["rig"], {}).update(dict.fromkeys(_known(column), reason))
        for rig, found in reasons.items():
            rigs[rig].reasons = found

    def _first(self, found: Sequence[tuple[dict[str, str], Column]]) -> Column:
        return found[0][1] if found else [None] * self._count

    async def _blocks(self, rigs: Mapping[str, RigColumns]) -> tuple[_Windows, _Windows]:
        """Return where whole blocks are silent, and where blocks draw power: asked for those in doubt."""
        silent = {each.block for each in rigs.values() if each.silent()}
        dark = {each.block for each in rigs.values() if not all(column and all(column) for _, column in each.power)}
        dark |= {each.block for each in rigs.values() if not each.power}
        found: list[_Windows] = []
        for blocks, query in ((silent, self._queries.silent_blocks), (dark, self._queries.live_blocks)):
            known: _Windows = {}
            for chunk in _chunks(blocks):
                asked = await self._ask(query(named("block", chunk)))
                known |= {labels["block"]: _known(column) for labels, column in asked}
            found.append(known)
        return found[0], found[1]


def _known(column: Column) -> frozenset[int]:
    return frozenset(index for index, value in enumerate(column) if value is not None)


def _latest(values: Sequence[float | None]) -> float | None:
    return next((value for value in reversed(values) if value is not None), None)


def _mostly(
    series: Iterable[tuple[dict[str, str], Column]], labels: Sequence[str], windows: int
) -> dict[str, list[tuple[str, ...] | None]]:
    """Return for each rig the labels of the series with the most samples in each window; of equal ones the last."""
    best: dict[str, list[tuple[float, tuple[str, ...]] | None]] = {}
    for found, column in series:
        key = tuple(found.get(label, "") for label in labels)
        kept = best.setdefault(found["rig"], [None] * windows)
        for index, count in enumerate(column):
            before = kept[index]
            if count is not None and (before is None or (count, key) > before):
                kept[index] = count, key
    return {rig: [None if each is None else each[1] for each in kept] for rig, kept in best.items()}
