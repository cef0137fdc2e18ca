"""What every market source is: asked once, it answers in our units with the time of observation, or fails."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

import aiohttp
from pydantic import Field, model_validator

from exporter.model.failures import Failure, Reason
from exporter.model.fields import Duration, SettingsGroup
from exporter.model.readings import Reading
from exporter.telemetry import Telemetry

T = TypeVar("T")


class Source(Protocol[T]):
    """Something outside that can be asked. It remembers no value for its caller: the polling room owns time."""

    async def fetch(self) -> Reading[T]:
        """Ask once. Raises :class:`exporter.model.failures.Failure`, never anything else."""
        ...


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What a source is given to work with: the process's one HTTP session, the time (unix seconds), and its metrics."""

    session: aiohttp.ClientSession
    clock: Callable[[], float] = time.time
    telemetry: Telemetry | None = None


class SourceSettings(SettingsGroup):
    """What the operator says of a source. Each source file has one subclass ``Settings`` with its own ``kind``."""

    kind: str = Field(description="Which source this is.")
    interval: Duration = Field(default=60.0, description="How often it is asked.")
    max_age: Duration = Field(
        default=600.0, description="Past this age a value is refused, and all that depends on it is absent."
    )

    @model_validator(mode="after")
    def _lasts_until_asked_again(self) -> Self:
        if self.max_age < self.interval:
            raise ValueError(
                f"max_age ({self.max_age:g} s) is shorter than interval ({self.interval:g} s): "
                "the value would be absent most of the time"
            )
        return self

    def build(self, context: SourceContext) -> Source[Any]:
        """Make the source that these settings describe, guarded against implausible values."""
        return _Guarded(self.connect(context), self, context.clock)

    def connect(self, context: SourceContext) -> Source[Any]:
        """Make the bare source: what each kind defines."""
        raise NotImplementedError

    def check(self, value: Any, last: Any | None) -> None:
        """Raise a Failure IMPLAUSIBLE for a ``value`` that can't be true, or not so soon after ``last``."""


class _Guarded:
    """A source whose values pass their kind's plausibility check before anyone sees them."""

    def __init__(self, source: Source[Any], settings: SourceSettings, clock: Callable[[], float]) -> None:
        self._source = source
        self._settings = settings
        self._clock = clock
        self._last: Reading[Any] | None = None

    async def fetch(self) -> Reading[Any]:
        """Ask once; compare with the last value only while that is fresh, or one wrong value would block for ever."""
        reading = await self._source.fetch()
        last = self._last
        fresh = last is not None and self._clock() - last.observed_at <= self._settings.max_age
        self._settings.check(reading.value, last.value if last is not None and fresh else None)
        self._last = reading
        return reading


@contextmanager
def translating() -> Iterator[None]:
    """Turn what goes wrong while an answer of unexpected shape is read into a Failure GARBLED."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise Failure(Reason.GARBLED, f"unexpected answer: {type(error).__name__}: {error}") from error


def number(value: object) -> float:
    """Read a finite number, also one written as text. Raises TypeError or ValueError for everything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError(f"not a number: {value!r:.40}")
    result = float(value)
    if not math.isfinite(result):
        raise ValueError(f"not a finite number: {value!r:.40}")
    return result


def integer(value: object) -> int:
    """Read an integer of 64 bits, also one written as text. Raises TypeError or ValueError for everything else."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError(f"not an integer: {value!r:.40}")
    result = int(value)
    if not -(2**63) <= result < 2**63:
        raise ValueError("an integer too large")
    return result


def implausible_unless(low: float, value: float, high: float, what: str) -> None:
    """Raise a Failure IMPLAUSIBLE unless ``value`` lies from ``low`` to ``high``."""
    if not low <= value <= high:
        raise Failure(Reason.IMPLAUSIBLE, f"{what} {value:g} is outside {low:g} to {high:g}")
