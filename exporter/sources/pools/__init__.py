"""What mining pools credit and pay: a file per pool. Keys should be read-only (watcher) keys.

All pages of a worker list are read, or none: a cut list looks like dead rigs.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final, Self, TypeVar

from pydantic import Field, SecretStr, field_validator, model_validator

from exporter.economics.reconciliation import PLACEHOLDERS, AccountSettings, PoolScheme
from exporter.model.failures import Failure, Reason
from exporter.model.fields import ConfigPath, Duration, is_offline
from exporter.model.readings import PoolPayment, PoolReading, PoolWorker, Reading
from exporter.model.units import SECONDS_PER_DAY
from exporter.sources.contract import Discards, SourceContext, SourceSettings, number, printable
from exporter.sources.http import MAX_BYTES, Answer, Endpoint, HttpSettings, read_secret
from exporter.sources.stated import reason_from

HOUR: Final = 3_600.0
_MOST_PAGES: Final = 1_000
_MAX_WORKER_HASHRATE: Final = 1e18  # H/s: many rigs may share a worker
_MAX_PAYMENT: Final = 1_000.0  # bitcoins per day: above every pool's whole income
_PAYMENTS_EVERY: Final = 3_600.0  # s: they change once a day
_PAYMENT_DAYS: Final = 8
_MAX_BYTES: Final = 2 * MAX_BYTES  # of one page: 10,000 workers in one answer
_ROWS_AT_ONCE: Final = 500
_MILLISECONDS: Final = 1e11  # a unix time above this is in milliseconds

T = TypeVar("T")


class PoolSettings(SourceSettings):
    """Settings of all pools: which rigs mine there, and what it pays."""

    interval: Duration = Field(default=300.0, description="How often the value is requested.")
    max_age: Duration = Field(
        default=1_200.0,
        description="A worker list older than this is not used, and nothing is reconciled with it.",
    )
    account: str = Field(
        min_length=1, description="Account, sub-account or payout address at the pool: the login before the first dot."
    )
    worker: str | None = Field(
        default=None,
        description="Name of a rig's worker at the pool, the login after the first dot, such as `{rig}`, "
        "`{site}.{rig}`, `{serial}` or `{3}x{4}` (octets of its address). Left out, the expected worker of the "
        "inventory counts, else the login that the rig reports for this account.",
    )
    blocks: tuple[str, ...] = Field(
        default=(), description="The blocks that mine at this pool, for several pools on one site. Empty means all."
    )
    scheme: PoolScheme = Field(
        default=PoolScheme.FPPS,
        description="What the pool pays for: fpps, pps, pps+ (subsidy at once, fees as blocks are found), pplns or "
        "tides (as blocks are found), or solo.",
    )
    request_interval: Duration = Field(
        default=1.0, description="Shortest time between two requests to the pool, which bans faster clients."
    )
    fee: float | None = Field(
        default=None, ge=0, le=0.2, description="The pool's fee, such as 0.01. Left out, `economics.pool_fee` counts."
    )

    @field_validator("worker")
    @classmethod
    def _known_placeholders(cls, pattern: str | None) -> str | None:
        if pattern is None:
            return None
        rest = pattern
        for name in PLACEHOLDERS:
            rest = rest.replace(f"{{{name}}}", "")
        if "{" in rest or "}" in rest:
            known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
            raise ValueError(f"{pattern!r} has an unknown placeholder: use {known}")
        if rest == pattern:
            raise ValueError(f"{pattern!r} names the same worker for every rig: use a placeholder such as {{rig}}")
        return pattern

    @model_validator(mode="after")
    def _twice_in_a_window(self) -> Self:
        window = getattr(self, "window", HOUR)
        if self.interval > window / 2:
            raise ValueError(f"interval: must be at most half of the pool's window of {window:g} s")
        return self

    @property
    def account_settings(self) -> AccountSettings:
        """What the reconciliation uses of these settings."""
        return AccountSettings(
            account=self.account.lower(), worker=self.worker, blocks=self.blocks, scheme=self.scheme, fee=self.fee
        )

    def check_usable(self, value: PoolReading, now: float) -> None:  # noqa: ARG002
        """Raise a Failure if the pool lists no worker at all: that says nothing about the rigs."""
        if not value.workers:
            raise Failure(
                Reason.NOT_READY,
                "the pool lists no workers: is the account right, and may the key see it?",
                retry_after=self.interval,
            )


class KeySettings(HttpSettings):
    """The key of a pool's API."""

    api_key: SecretStr | None = Field(default=None, description="Read-only key of the pool's API; shown masked.")
    api_key_file: ConfigPath | None = Field(default=None, description="File with the key, read at each request.")

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if self.api_key is not None and self.api_key_file is not None:
            raise ValueError("give api_key or api_key_file, not both")
        if self.api_key is None and self.api_key_file is None and not is_offline():
            raise ValueError("needs api_key_file (or api_key): a read-only key of the pool's API")
        return self

    @property
    def key(self) -> str:
        """The key. Raises a Failure AUTH if its file is unreadable."""
        return secret_of(self.api_key, self.api_key_file)


def secret_of(secret: SecretStr | None, file: ConfigPath | None) -> str:
    """Return a secret from a file, else as given. Raises a Failure AUTH if the file is unreadable."""
    if file is not None:
        return read_secret(file)
    return "" if secret is None else secret.get_secret_value()


class PoolSource:
    """Base of the pools: keeps the pace of requests, joins pages, and reads payments once an hour.

    Subclasses read :meth:`workers` and, where the pool gives them, :meth:`payments`.
    """

    window = HOUR

    def __init__(self, settings: Any, context: SourceContext) -> None:
        self.settings = settings
        self.endpoint = Endpoint(settings, context.session)
        self.discards: Discards = context.discards
        self.clock = context.clock
        self._timer = context.timer
        self._answered_at: float | None = None
        self._payments: tuple[PoolPayment, ...] = ()
        self._payments_at: float | None = None

    async def workers(self) -> list[PoolWorker]:
        """Return every worker of the account. Raises Failure only."""
        raise NotImplementedError

    async def payments(self, days: Mapping[str, datetime]) -> list[PoolPayment] | None:  # noqa: ARG002
        """Return what was credited on the UTC days from ``days["start"]`` to ``days["end"]``. None if not given."""
        return None

    async def fetch(self) -> Reading[PoolReading]:
        """Read all workers, and once an hour the payments. Payments that fail cost only themselves."""
        workers = await self.workers()
        now = self.clock()
        if self._payments_at is None or self._timer() - self._payments_at >= _PAYMENTS_EVERY:
            await self._read_payments(now)
        reading = PoolReading(window=self.window, workers=tuple(workers), payments=self._payments)
        return Reading(reading, now)

    async def _read_payments(self, now: float) -> None:
        today = datetime.fromtimestamp(now - now % SECONDS_PER_DAY, UTC)
        start = datetime.fromtimestamp(today.timestamp() - _PAYMENT_DAYS * SECONDS_PER_DAY, UTC)
        try:
            found = await self.payments({"start": start, "end": today})
        except Failure as failure:
            self.discards.note("payments", failure.detail)
            return
        self._payments_at = self._timer()
        by_day: dict[float, float] = {}
        for payment in found or ():
            if not 0 <= payment.bitcoins <= _MAX_PAYMENT:
                self.discards.note("payments", f"{payment.bitcoins:g} bitcoins for one day")
                continue
            day = payment.day - payment.day % SECONDS_PER_DAY
            by_day[day] = by_day.get(day, 0.0) + payment.bitcoins
        self._payments = tuple(PoolPayment(day, by_day[day]) for day in sorted(by_day))

    async def ask(self, method: str, path: str, **options: Any) -> Any:
        """Send one request, no sooner than the pool's limit allows, and return its JSON. Raises Failure only."""
        async with self._turn():
            answer = await self.endpoint.ask(method, path, max_bytes=_MAX_BYTES, **options)
            return await asyncio.to_thread(_document, answer)

    async def post_form(self, path: str, form: Mapping[str, str]) -> Any:
        """The same with a form, which no failure quotes."""
        async with self._turn():
            answer = await self.endpoint.post_form(self.settings.url + path, form, tuple(form.values()))
            return await asyncio.to_thread(_document, answer)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Wait for the pool's limit, from the end of the request before: the pool measures when requests arrive."""
        if self._answered_at is not None:
            await asyncio.sleep(max(0.0, self._answered_at + self.settings.request_interval - self._timer()))
        try:
            yield
        finally:
            self._answered_at = self._timer()

    async def read_each(self, rows: Iterable[T], read: Callable[[T], PoolWorker]) -> list[PoolWorker]:
        """Read each row of a list. A row that cannot be read, or has an impossible hashrate, costs only itself.

        Polls of rigs get their turn meanwhile: 20,000 rows take 0.1 s.
        """
        found: list[PoolWorker] = []
        bad = 0
        detail = ""
        for row_number, row in enumerate(rows, start=1):
            if row_number % _ROWS_AT_ONCE == 0:
                await asyncio.sleep(0)
            try:
                worker = read(row)
            except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
                bad, detail = bad + 1, f"row {row_number}: {error}"
                continue
            if worker.hashrate is not None and not 0 <= worker.hashrate <= _MAX_WORKER_HASHRATE:
                bad, detail = bad + 1, f"worker {worker.name}: {worker.hashrate:g} H/s"
                worker = PoolWorker(worker.name, None, worker.last_share_at)
            found.append(worker)
        if bad:
            if all(worker.hashrate is None for worker in found):
                raise Failure(Reason.GARBLED, f"no worker can be read: {detail}")
            self.discards.note("worker", detail, bad)
        return found


def _document(answer: Answer) -> Any:
    """Return the JSON of an answer. Raises a Failure also for an error that it states in a code."""
    document = answer.check().json()
    answer.check_stated(document)
    code = document.get("code") if isinstance(document, dict) else None
    if code not in (None, 0, "0"):
        words = answer.quote(str(document.get("msg") or document.get("message") or f"code {code}"))
        raise Failure(reason_from(words), f"{answer.host} answered with an error: {words}")
    return document


def checked_total(workers: list[PoolWorker], listed: int, total: int) -> list[PoolWorker]:
    """Return ``workers`` if all ``total`` were listed. Raises a Failure GARBLED for a cut list or a repeated page.

    ``listed`` counts the rows, also those that could not be read.
    """
    names = {worker.name for worker in workers}
    if listed < total or len(names) < len(workers):
        raise Failure(
            Reason.GARBLED, f"the pages list {len(names)} workers of {total}: a cut list is not used, it is read again"
        )
    return workers


def pages(first: int = 1) -> Iterator[int]:
    """Count pages up to a limit. Raises a Failure TOO_LARGE beyond."""
    yield from range(first, first + _MOST_PAGES)
    raise Failure(Reason.TOO_LARGE, f"more than {_MOST_PAGES} pages of workers")


def worker_name(login: object, account: str) -> str:
    """Return the worker of a login: without the account, or after the first dot if it names another one."""
    if not isinstance(login, str) or not (login := printable(login)):
        raise ValueError("a worker without a name")
    if login.lower() == account.lower():
        return ""
    head, dot, rest = login.partition(".")
    return rest if dot and head.lower() == account.lower() else login


def moment(value: object) -> float | None:
    """Read a time: unix seconds or milliseconds, also as text, or ISO 8601 (UTC). None for 0, null and empty texts."""
    if value in (None, "", 0, "0"):
        return None
    if isinstance(value, str) and not value.replace(".", "").isdecimal():
        at = datetime.fromisoformat(value)
        return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
    seconds = number(value)
    return seconds / 1e3 if seconds > _MILLISECONDS else seconds


def day_of(value: object) -> float:
    """Return the start of the UTC day of a time (unix seconds). Raises ValueError for no time."""
    at = moment(value)
    if at is None:
        raise ValueError("a payment without a date")
    return at - at % SECONDS_PER_DAY
