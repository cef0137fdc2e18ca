"""Signals of ``hashmargin run`` until its event loop handles them: SIGTERM and SIGINT stop it, SIGHUP is remembered."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_received: Final[set[int]] = set()


def hold() -> None:
    """Exit with code 0 on SIGTERM and SIGINT, and remember SIGHUP for :func:`reload_requested`."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit)
    signal.signal(signal.SIGHUP, _remember)


@contextmanager
def held() -> Iterator[None]:
    """Hold signals inside the context, and restore the former handlers at its end."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    hold()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def reload_requested() -> bool:
    """Whether SIGHUP came while signals were held. The next call returns False."""
    requested = signal.SIGHUP in _received
    _received.clear()
    return requested


def _exit(_number: int, _frame: object) -> None:
    sys.exit(0)


def _remember(number: int, _frame: object) -> None:
    _received.add(number)
