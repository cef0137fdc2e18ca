"""The last failed attempt at each rig and source, for the web pages and the API."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, Self

from exporter.model.failures import RIG_ADVICE, SOURCE_ADVICE, Failure, Reason

_MOST: Final = 20_000


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """One failed read of a rig (at ``address``) or of a source (which has no address)."""

    name: str
    address: str
    at: float  # unix seconds
    reason: Reason
    detail: str
    own_advice: str = ""

    @classmethod
    def of(cls, failure: Failure, name: str, address: str, at: float) -> Self:
        """Return the attempt that failed so, without the failure's traceback."""
        return cls(name, address, at, failure.reason, failure.detail, failure.advice)

    @property
    def advice(self) -> str:
        """What the operator can do about it."""
        return self.own_advice or (RIG_ADVICE if self.address else SOURCE_ADVICE)[self.reason]


class FailureLog:
    """Remembers the last failed attempt under each name, of the latest 20,000 names."""

    def __init__(self) -> None:
        self._attempts: dict[str, FailedAttempt] = {}  # oldest first

    def note(self, attempt: FailedAttempt) -> None:
        """Remember it instead of the last one under its name."""
        self._attempts.pop(attempt.name, None)
        self._attempts[attempt.name] = attempt
        if len(self._attempts) > _MOST:
            del self._attempts[next(iter(self._attempts))]

    def get(self, name: str) -> FailedAttempt | None:
        """Return the last one under this name."""
        return self._attempts.get(name)

    def latest(self, count: int) -> list[FailedAttempt]:
        """Return the latest ones, newest first."""
        newest: Iterator[FailedAttempt] = reversed(self._attempts.values())
        return list(islice(newest, count))


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStatus:
    """One source: the age of its value and the state of the source, which are two facts.

    A source can fail while its last value is still usable. That of a member of a group is then not used.
    """

    name: str
    kind: str
    interval: float  # s
    max_age: float  # s
    observed_at: float | None  # unix seconds, of the last value; None before the first
    usable: bool  # fresh enough, and not of a failing member of a group
    last_failure: FailedAttempt | None
    up: bool | None = None  # whether the latest request succeeded; None before the first
    failing_since: float | None = None  # unix seconds, of the first failure in a row; None if it does not fail
    left_out: str = ""  # why a group does not use the value that its member gave
