"""Addresses that no other process tests with at the same time: simulated rigs listen on the ports of their firmware."""

import itertools
import socket
from contextlib import suppress

_CLAIM_PORT = 20_000  # below those that the kernel gives to connections
_claim = socket.socket()


def _claimed() -> str:
    """Give the first two numbers of a /16 of loopback that is ours until this process ends."""
    for second in range(100, 200):
        with suppress(OSError):
            _claim.bind((f"127.{second}.0.1", _CLAIM_PORT))
            return f"127.{second}"
    raise RuntimeError("every loopback network for tests is in use")


OWN = _claimed()
_bases = itertools.cycle(range(8, 256, 8))


def fresh_network(prefix: int = 21) -> str:
    """Give a network of at most 2,048 addresses that was not used lately; OWN.0.0/21 is never among them."""
    return f"{OWN}.{next(_bases)}.0/{prefix}"
