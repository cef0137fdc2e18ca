"""The content of each list of rigs that is in use, so that one bad list does not keep the others from being used.

Lists are files of ``fleet.csv``, patterns of ``fleet.file_sd`` and URLs of ``fleet.http_sd``, by the name that
:attr:`exporter.model.fleet.Rig.listed_in` has. All of this is process-wide, because the configuration is loaded anew at
each reload.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, TypeVar

T = TypeVar("T")

_loaded: Final[dict[str, Any]] = {}
_accepted: Final[dict[str, Any]] = {}
_kept: ContextVar[Collection[str]] = ContextVar("kept", default=())


def content(name: str, read: Callable[[], T]) -> T:
    """Return what ``read`` returns, unless :func:`keeping` the accepted content of this list."""
    found: T = _accepted[name] if name in _kept.get() else read()
    _loaded[name] = found
    return found


@contextmanager
def keeping(names: Collection[str]) -> Iterator[None]:
    """Load an inventory inside, with these lists as they were when they were last accepted."""
    token = _kept.set(names)
    _loaded.clear()
    try:
        yield
    finally:
        _kept.reset(token)


def accept_lists() -> None:
    """Remember the lists of the inventory that was loaded last, because that is in use now."""
    _accepted.clear()
    _accepted.update(_loaded)


def accepted_lists() -> Collection[str]:
    """Return the names of the lists that are in use."""
    return _accepted.keys()


def is_replaceable(name: str) -> bool:
    """Return whether the accepted content of a list can be used instead of the present one."""
    return name in _accepted and name not in _kept.get()
