"""Implausible values: a reader drops them, and the poller counts them by kind."""

from contextvars import ContextVar
from typing import Final

from exporter.sources.rigs.scoped import Scoped

_noted: Final[ContextVar[set[str] | None]] = ContextVar("noted", default=None)


def noting() -> Scoped[set[str]]:
    """Collect the kinds of implausible values that are dropped inside, such as ``temperature``."""
    return Scoped(_noted, set())


def note(kind: str) -> None:
    """Note that a value of this kind is dropped."""
    kinds = _noted.get()
    if kinds is not None:
        kinds.add(kind)
