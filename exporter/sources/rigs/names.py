"""Looks host names up: at each poll, and never the same name twice at once."""

import asyncio
import socket
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

from exporter.model.failures import Failure, Reason

LOOKUP_SECONDS: Final = 2.5

_lookups: Final[dict[str, asyncio.Task[str | Exception]]] = {}


async def resolved(address: str) -> str:
    """Return the IP address of a host name or address. Raises Failure."""
    if is_ip(address):
        return address
    lookup = _lookups.get(address)
    if lookup is None:
        lookup = _lookups[address] = asyncio.create_task(_look_up(address))
        lookup.add_done_callback(lambda _: _lookups.pop(address, None))
    try:
        async with asyncio.timeout(LOOKUP_SECONDS):
            found = await asyncio.shield(lookup)  # a lookup cannot be stopped: the next poll waits for the same one
    except TimeoutError:
        raise Failure(Reason.UNREACHABLE, f"the name server does not answer for {address}") from None
    if isinstance(found, str):
        return found
    raise Failure(Reason.UNREACHABLE, f"the name {address} has no address: correct it in the inventory or in the DNS")


async def _look_up(name: str) -> str | Exception:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
        of_rigs = sorted(found, key=lambda each: each[0] != socket.AF_INET)  # few firmwares speak IPv6
        return str(of_rigs[0][4][0])
    except (OSError, UnicodeError) as error:  # returned, not raised: nobody may be waiting any more
        return error


@lru_cache(maxsize=200_000)
def is_ip(address: str) -> bool:
    """Return whether this is an IP address, not a host name."""
    try:
        ip_address(address)
    except ValueError:
        return False
    return True
