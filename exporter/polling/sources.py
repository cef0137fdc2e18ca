"""Polls one source at its interval and keeps its last value until that is too old."""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Generic, TypeVar

import structlog

from exporter.model.failures import SOURCE_ADVICE, Failure, Reason
from exporter.model.readings import Reading
from exporter.polling.attempts import FailedAttempt
from exporter.polling.guard import Guard
from exporter.polling.latest import Latest
from exporter.sources.contract import Source, SourceSettings
from exporter.telemetry import Telemetry

T = TypeVar("T")

_log = structlog.get_logger(__name__)

_DEADLINE: Final = 60.0  # s, for one fetch with all its requests
_FIRST_RETRY: Final = 10.0  # s
_JITTER: Final = 0.05


async def fetched(source: Source[T], guard: Guard) -> Reading[T]:
    """Request a value once. Raises Failure, also if the source hangs or has a bug, so that others are not affected."""
    try:
        async with asyncio.timeout(_DEADLINE):
            return await source.fetch()
    except Failure:
        raise
    except TimeoutError:
        raise Failure(Reason.TIMEOUT, f"no answer within {_DEADLINE:g} s") from None
    except Exception as error:
        raise guard.classified(error) from error


class SourcePoller(Generic[T]):
    """Keeps the ``latest`` value of one source. :meth:`run` polls until cancelled.

    Args:
        name: Value of the ``source`` label.
        source: The source. An exception other than Failure is a bug and counts as one failed request.
        settings: Interval and longest age of the value.
        telemetry: Where requests are counted.
        clock: Unix seconds.
        rng: For the jitter.
    """

    def __init__(
        self,
        name: str,
        source: Source[T],
        settings: SourceSettings,
        telemetry: Telemetry,
        *,
        clock: Callable[[], float] = time.time,
        rng: random.Random | None = None,
    ) -> None:
        self.name = name
        self.latest: Latest[T] = Latest(settings.max_age)
        self.attempted = asyncio.Event()
        """Set after the first request, successful or not."""
        self.last_failure: FailedAttempt | None = None
        self.failing_since: float | None = None
        """Unix seconds of the first failure in a row. None if the latest request succeeded."""
        self._source = source
        self._interval = settings.interval
        self._longest_rest = settings.longest_rest
        self._telemetry = telemetry
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311 -- spreads load, guards nothing
        self._guard = Guard()
        self._failures = 0  # in a row
        self._limits = 0  # of them, those in a row by which the server limits requests
        self._wake = asyncio.Event()

    def restore(self, reading: Reading[T]) -> None:
        """Start with the last value of a previous process. It expires like any other."""
        self.latest.put(reading)

    def shift(self, seconds: float) -> None:
        """Move the time of the last value with the system clock, which was set by ``seconds``, and request a new one.

        A source that failed waits as it would have.
        """
        self.latest.shift(seconds)
        if self.failing_since is not None:
            self.failing_since += seconds
        if self.latest.observed_at is not None:
            self._telemetry.source_last_success.labels(self.name).set(self.latest.observed_at)
        if not self._failures:
            self._wake.set()

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            rest = await self._fetch()
            self.attempted.set()
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(rest):
                    await self._wake.wait()

    async def _fetch(self) -> float:
        """Request a value once. Returns the seconds until the next request."""
        self._telemetry.source_requests.labels(self.name).inc()
        try:
            self._accept(await fetched(self._source, self._guard))
        except Failure as failure:
            return self._failed(failure)
        return self._interval * self._rng.uniform(1 - _JITTER, 1 + _JITTER)

    def _accept(self, reading: Reading[T]) -> None:
        now = self._clock()
        if not self.latest.accepts(reading, now):
            raise Failure(Reason.STALE, f"observed {now - reading.observed_at:.0f} s ago")
        self.latest.put(reading)
        self._telemetry.source_up.labels(self.name).set(1)
        self._telemetry.source_last_success.labels(self.name).set(reading.observed_at)
        if self._failures:
            _log.info("source is back", source=self.name)
        self._failures = self._limits = 0
        self.failing_since = None

    @property
    def up(self) -> bool | None:
        """Whether the latest request succeeded. None before the first."""
        return self._failures == 0 if self.attempted.is_set() else None

    def _failed(self, failure: Failure) -> float:
        self._telemetry.source_up.labels(self.name).set(0)
        self._telemetry.source_failures.labels(self.name, failure.reason).inc()
        self.last_failure = FailedAttempt.of(failure, self.name, "", self._clock())
        if self.failing_since is None:
            self.failing_since = self._clock()
            detail, advice = failure.detail, failure.advised(SOURCE_ADVICE)
            _log.warning("source is down", source=self.name, reason=failure.reason.value, detail=detail, advice=advice)
        self._failures += 1
        self._limits = self._limits + 1 if failure.reason is Reason.RATE_LIMITED else 0
        return self._rest(failure)

    def _rest(self, failure: Failure) -> float:
        """Return the seconds until the next request, with jitter.

        They double with each failure in a row, up to the interval. A server that limits requests without naming a wait
        is left alone for longer: then only limits in a row count. A wait that the server demands is kept.
        """
        if failure.reason is Reason.RATE_LIMITED and failure.retry_after is None:
            rest = _doubled(2 * self._interval, self._limits, self._longest_rest)
        else:
            rest = _doubled(min(_FIRST_RETRY, self._interval), self._failures, self._interval)
        return max(rest * self._rng.uniform(0.5, 1.0), min(failure.retry_after or 0.0, self._longest_rest))


def _doubled(first: float, times: int, longest: float) -> float:
    """Return ``first``, doubled with each time after the first, but at most ``longest``."""
    return min(first * 2.0 ** min(times - 1, 16), longest)
