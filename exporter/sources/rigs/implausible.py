"""Implausible values: a reader drops them, and the poller counts them by kind."""

from contextvars import ContextVar
from typing import Final

_noted: Final[ContextVar[set[str] | None]] = ContextVar("noted", default=None)


class noting:  # noqa: N801 -- used like a function; a generator would cost each poll three times as much
    """Collects the kinds of implausible values that are dropped inside, such as ``temperature``."""

    __slots__ = ("_token",)

    def __enter__(self) -> set[str]:
        kinds: set[str] = set()
        self._token = _noted.set(kinds)
        return kinds

    def __exit__(self, *_: object) -> None:
        _noted.reset(self._token)


def note(kind: str) -> None:
    """Note that a value of this kind is dropped."""
    kinds = _noted.get()
    if kinds is not None:
        kinds.add(kind)
