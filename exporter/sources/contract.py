"""The contract of every market source: one request, and a value in our units with its time, or a Failure."""

import math
import time
from collections.abc import Callable, Iterator, Sized
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final, Generic, Protocol, Self, TypeVar, runtime_checkable
from weakref import WeakValueDictionary

import aiohttp
import structlog
from pydantic import Field, model_validator

from exporter.model.failures import Failure, Reason
from exporter.model.fields import Duration, SettingsGroup
from exporter.model.readings import Reading
from exporter.model.secrets import mask_secrets
from exporter.sources.shared import SharedAnswers
from exporter.steady_clock import SLEW, elapsed
from exporter.telemetry import Telemetry

T = TypeVar("T")

_log = structlog.get_logger(__name__)

_LONGEST_QUOTE: Final = 40
_LONGEST_REST: Final = 3_600.0  # s, for a source that is asked at least every half hour


class Source(Protocol[T]):
    """A server or file that provides one value. It keeps no value for its caller: the polling package does that."""

    async def fetch(self) -> Reading[T]:
        """Request the value once. Raises only :class:`exporter.model.failures.Failure`."""
        ...


class Discards:
    """Parts of a source's answers that are not used: counted each time, logged when they begin.

    Args:
        source: Value of the ``source`` label.
        telemetry: Where they are counted. None counts nothing.
    """

    def __init__(self, source: str = "", telemetry: Telemetry | None = None) -> None:
        self.notes: dict[str, str] = {}
        """What the latest answer lost, by figure."""
        self._source = source
        self._telemetry = telemetry
        self._logged: set[str] = set()

    def note(self, figure: str, detail: str, count: int = 1) -> None:
        """Record that ``count`` values of ``figure`` are not used. ``detail`` goes to the log, without secrets."""
        detail = mask_secrets(detail)
        self.notes[figure] = detail
        if self._telemetry is not None:
            self._telemetry.source_discarded.labels(self._source, figure).inc(count)
        if figure not in self._logged:
            _log.warning(
                "part of an answer is not used", source=self._source, figure=figure, count=count, detail=detail
            )
            self._logged.add(figure)

    def mention(self, figure: str, detail: str) -> None:
        """Show ``detail`` in a check of the configuration. It is right as it is: it is neither counted nor logged."""
        self.notes[figure] = mask_secrets(detail)

    def begin(self) -> None:
        """Start a new answer. A figure that the previous answer did not lose is logged again when it is lost again."""
        self._logged &= self.notes.keys()
        self.notes = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberState:
    """One source of a group after its latest request. The value of a member that fails is not used, however young."""

    kind: str
    interval: float  # s
    max_age: float  # s
    observed_at: float | None = None  # unix seconds, of the last value; None before the first
    failing_since: float | None = None  # unix seconds, of the first failure in a row; None if it does not fail
    failed_at: float | None = None  # unix seconds, of the last failure
    failure: Failure | None = None  # the last one
    left_out: str = ""  # why a value that it gave is not used


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What a source works with: the HTTP session of the process, the clock (unix seconds), its name and metrics."""

    session: aiohttp.ClientSession
    clock: Callable[[], float] = time.time
    timer: Callable[[], float] = elapsed
    """Seconds that never jump, for timers."""
    telemetry: Telemetry | None = None
    discards: Discards = field(default_factory=Discards)
    members: dict[str, MemberState] = field(default_factory=dict)
    """The members of the source, by name, if it is a group."""
    shared: SharedAnswers[Any] = field(default_factory=lambda: SharedAnswers(elapsed))
    """Answers that several sources of the process need."""
    claims: WeakValueDictionary[str, Any] = field(default_factory=WeakValueDictionary)
    """The source that requests each GPU node, by address: a node that several lists name is requested once."""

    def named(self, source: str) -> Self:
        """Return the context of one source. ``source`` is the value of its label."""
        return replace(self, discards=Discards(source, self.telemetry), members={})


class Kept(Generic[T]):
    """A reading that a source keeps. Its age does not depend on changes of the system clock."""

    def __init__(self, reading: Reading[T], context: SourceContext) -> None:
        self._reading = reading
        self._context = context
        self._offset = context.clock() - context.timer()

    @property
    def reading(self) -> Reading[T]:
        """The reading. If the system clock was set, its time is moved by as much."""
        step = self._context.clock() - self._context.timer() - self._offset
        if abs(step) <= SLEW:
            return self._reading
        return Reading(self._reading.value, self._reading.observed_at + step)

    @property
    def age(self) -> float:
        """Seconds since it was observed, at least 0."""
        return max(0.0, self._context.clock() - self.reading.observed_at)


class SourceSettings(SettingsGroup):
    """Settings of a source. Each source file has one subclass ``Settings`` with its own ``kind``."""

    kind: str = Field(description="Which source this is.")
    interval: Duration = Field(default=60.0, description="How often the value is requested.")
    max_age: Duration = Field(
        default=600.0,
        description="A value older than this is not used, and all values that depend on it are absent.",
    )

    @model_validator(mode="after")
    def _lasts_until_asked_again(self) -> Self:
        if self.max_age < self.interval:
            raise ValueError(
                f"max_age ({self.max_age:g} s) is shorter than interval ({self.interval:g} s): "
                "the value would be absent most of the time"
            )
        return self

    @property
    def longest_rest(self) -> float:
        """Longest wait before the next request in seconds, also if the server demands more."""
        return min(max(2 * self.interval, _LONGEST_REST), self.max_age)

    def build(self, context: SourceContext, remembered: Reading[Any] | None = None) -> "Guarded":
        """Create the source that these settings describe. Its values are checked before anything uses them.

        ``remembered`` is the last value that a former process accepted, however old.
        """
        return Guarded(self.connect(context), self, context, remembered)

    def connect(self, context: SourceContext) -> Source[Any]:
        """Create the source without the checks. Each kind defines it."""
        raise NotImplementedError

    def reconcile(self, value: Any, discards: Discards) -> Any:  # noqa: ARG002 -- most rooms have nothing to compare
        """Return ``value`` without the figures that contradict other figures of the same answer."""
        return value

    def check(self, value: Any, last: Any | None) -> None:
        """Raise a Failure IMPLAUSIBLE if ``value`` cannot be true, or cannot follow ``last`` so soon."""

    def check_after(self, value: Any, last: Any, age: float) -> None:
        """Raise a Failure IMPLAUSIBLE if ``value`` cannot follow ``last``, which is ``age`` s old and not used."""

    def doubt(self, value: Any, last: Any) -> None:
        """Raise a Failure IMPLAUSIBLE if ``value`` is possible after ``last``, however old, but needs a second opinion.

        It has one if :meth:`agree` is true of it and the value of another source, or a later value of this one.
        """

    def agree(self, value: Any, other: Any) -> bool:  # noqa: ARG002 -- only what is doubted is compared
        """Whether two values of the same time confirm each other."""
        return False

    def check_usable(self, value: Any, now: float) -> None:  # noqa: ARG002 -- only prices end
        """Raise a Failure if a well-formed ``value`` contains nothing that can be used at ``now`` (unix seconds)."""
        if isinstance(value, Sized) and not len(value):
            raise Failure(Reason.NOT_READY, f"the answer is empty: {self.likely_cause}", retry_after=self.interval)

    @property
    def likely_cause(self) -> str:
        """The most likely cause of an answer without a usable value."""
        return "is the query or the address right?"


class Doubted(Failure):
    """An improbable value, which is not used before it has a second opinion."""

    def __init__(self, doubt: Failure, reading: Reading[Any], wait: float) -> None:
        detail = f"{doubt.detail}: not used before another source agrees, or it has lasted {wait:g} s"
        super().__init__(doubt.reason, detail)
        self.reading = reading


@runtime_checkable
class Seconded(Protocol):
    """A source of several members, which may confirm each other."""

    @property
    def seconded(self) -> bool:
        """Whether two members agree on the latest value, or one compared it with its own earlier ones."""


class Guarded:
    """A source whose values pass the checks of their room before anything uses them."""

    def __init__(
        self, source: Source[Any], settings: SourceSettings, context: SourceContext, remembered: Reading[Any] | None
    ) -> None:
        self._source = source
        self._settings = settings
        self._discards = context.discards
        self._context = context
        self._last = None if remembered is None else Kept(remembered, context)
        self.weighed = False
        """Whether the value could be compared with an earlier one."""
        self._doubted: tuple[Any, float] | None = None  # the first of the values that agree, and when it came

    async def fetch(self) -> Reading[Any]:
        """Request the value, and compare it with the last one: more loosely if that is too old to use."""
        self._discards.begin()
        reading = await self._source.fetch()
        value = self._settings.reconcile(reading.value, self._discards)
        last = self._last
        fresh = last is not None and last.age <= self._settings.max_age
        self._settings.check(value, last.reading.value if last is not None and fresh else None)
        if last is not None and not fresh:
            self._settings.check_after(value, last.reading.value, last.age)
        self._settings.check_usable(value, self._context.clock())
        accepted = Reading(value, reading.observed_at)
        self.weighed = last is not None
        if last is not None:
            self._weigh(accepted, last.reading.value)
        return self.believe(accepted)

    def believe(self, reading: Reading[Any]) -> Reading[Any]:
        """Accept a reading, also one that was doubted and that another source confirms."""
        self._doubted = None
        self._last = Kept(reading, self._context)
        return reading

    def _weigh(self, reading: Reading[Any], last: Any) -> None:
        """Raise Doubted if the value is improbable, comes from one source and has not lasted for ``max_age``."""
        try:
            self._settings.doubt(reading.value, last)
        except Failure as failure:
            now = self._context.timer()
            if self._doubted is None or not self._settings.agree(reading.value, self._doubted[0]):
                self._doubted = reading.value, now
            seconded = isinstance(self._source, Seconded) and self._source.seconded
            if not seconded and now - self._doubted[1] < self._settings.max_age:
                raise Doubted(failure, reading, self._settings.max_age) from None


UNEXPECTED: Final = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)
"""What reading an answer of unexpected form raises."""


@contextmanager
def translating() -> Iterator[None]:
    """Turn an error while reading an answer of unexpected form into a Failure GARBLED."""
    try:
        yield
    except UNEXPECTED as error:
        advice = "check that url and kind belong together; if they do, its API has changed: please report it"
        raise Failure(Reason.GARBLED, f"unexpected answer: {in_words(error)}", advice=advice) from error


def in_words(error: Exception) -> str:
    """Describe what an answer lacks, in words of the answer instead of Python's."""
    text = str(error)
    match error:
        case KeyError():
            text = f"it has no {error.args[0]!r:.{_LONGEST_QUOTE}}"
        case IndexError():
            text = "a list in it has too few entries"
        case TypeError() | AttributeError() if "NoneType" in text:
            text = "a part of it is null"
        case TypeError() | AttributeError() if "object" in text or "indices" in text:
            text = "a part of it has another type than expected"
        case ValueError() if "unpack" in text:
            text = "a list in it has another number of entries than expected"
    return text


def printable(text: str) -> str:
    """Return a text without control characters and broken Unicode, as it may become a label."""
    return text if text.isprintable() else "".join(filter(str.isprintable, text))


def number(value: object) -> float:
    """Read a finite number, also as text. Raises TypeError or ValueError for everything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError(f"not a number: {value!r:.{_LONGEST_QUOTE}}")
    try:
        result = float(value)
    except ValueError:
        raise ValueError(f"not a number: {value!r:.{_LONGEST_QUOTE}}") from None
    if not math.isfinite(result):
        raise ValueError(f"not a finite number: {value!r:.{_LONGEST_QUOTE}}")
    return result


def integer(value: object) -> int:
    """Read an integer of 64 bits, also as text. Raises TypeError or ValueError for everything else."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError(f"not an integer: {value!r:.{_LONGEST_QUOTE}}")
    try:
        result = int(value)
    except ValueError:
        raise ValueError(f"not an integer: {value!r:.{_LONGEST_QUOTE}}") from None
    if not -(2**63) <= result < 2**63:
        raise ValueError("an integer too large")
    return result


_FLAGS: Final = {
    **dict.fromkeys(("true", "t", "yes", "y", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0", ""), False),
}


def flag(value: object) -> bool:
    """Read a yes or no in any usual spelling: true, "Y", "yes", 1, "F", null... Raises ValueError for others."""
    text = "" if value is None else str(value).strip().lower()
    if text not in _FLAGS:
        raise ValueError(f"not a yes or no: {value!r:.{_LONGEST_QUOTE}}")
    return _FLAGS[text]


def implausible_unless(low: float, value: float, high: float, what: str) -> None:
    """Raise a Failure IMPLAUSIBLE unless ``value`` is between ``low`` and ``high``."""
    if not low <= value <= high:
        raise Failure(Reason.IMPLAUSIBLE, f"{what} {value:g} is outside {low:g} to {high:g}")


def within(value: float, other: float, factor: float) -> bool:
    """Whether neither of two positive values is more than ``factor`` times the other."""
    return max(value, other) <= factor * min(value, other)
