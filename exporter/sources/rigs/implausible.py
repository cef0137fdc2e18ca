"""Implausible values: a reader drops them, and the poller counts them by kind."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

_noted: Final[ContextVar[set[str] | None]] = ContextVar("noted", default=None)


@contextmanager
def noting() -> Iterator[set[str]]:
    """Collect the kinds of implausible values that are dropped inside, such as ``temperature``."""
    kinds: set[str] = set()
    token = _noted.set(kinds)
    try:
        yield kinds
    finally:
        _noted.reset(token)


def note(kind: str) -> None:
    """Note that a value of this kind is dropped."""
    kinds = _noted.get()
    if kinds is not None:
        kinds.add(kind)
