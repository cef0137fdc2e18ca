"""Lets a user who may not bind ports below 1024 run the tests of what listens there: a higher port is used instead.

Where conftest.py finds that this is needed, it runs this file and puts its folder on the path of child processes.
Python imports a module of this name when it starts.
"""

import socket
from typing import Any

_MOVED = 20_000  # below the ports that the kernel gives to connections
_LOWEST = 1024  # that any user may bind


def _moved(address: Any) -> Any:
    """Give the address that is really used."""
    if isinstance(address, tuple) and 0 < address[1] < _LOWEST:
        return (address[0], address[1] + _MOVED, *address[2:])
    return address


def _as_asked(address: Any) -> Any:
    """Give the address that was asked for, from the one that is really used."""
    if isinstance(address, tuple) and _MOVED < address[1] < _MOVED + _LOWEST:
        return (address[0], address[1] - _MOVED, *address[2:])
    return address


class _Socket(socket.socket):
    """A socket whose low ports are moved up, unseen by its user."""

    __slots__ = ()

    def bind(self, address: Any, /) -> None:
        super().bind(_moved(address))

    def connect(self, address: Any, /) -> None:
        super().connect(_moved(address))

    def connect_ex(self, address: Any, /) -> int:
        return super().connect_ex(_moved(address))

    def getsockname(self) -> Any:
        return _as_asked(super().getsockname())

    def getpeername(self) -> Any:
        return _as_asked(super().getpeername())


socket.socket = _Socket  # type: ignore[misc]
