"""Host names in place of addresses: looked up at each poll, and never twice at once, however long it takes."""

import asyncio
import socket
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

from exporter.model.failures import Failure, Reason

LOOKUP_SECONDS: Final = 2.5

_lookups: Final[dict[str, asyncio.Task[str | Exception]]] = {}


async def resolved(address: str) -> str:
    """Give the IP address behind a host name; an IP address is one already. Raises Failure."""
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
    raise Failure(Reason.UNREACHABLE, f"no address is known for the name {address}: mend it here or in the DNS")


async def _look_up(name: str) -> str | Exception:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
        of_rigs = sorted(found, key=lambda each: each[0] != socket.AF_INET)  # few firmwares speak IPv6
        return str(of_rigs[0][4][0])
    except (OSError, UnicodeError) as error:  # given, not raised: nobody may wait for it any more
        return error


@lru_cache(maxsize=200_000)
def is_ip(address: str) -> bool:
    """Tell an IP address from a host name."""
    try:
        ip_address(address)
    except ValueError:
        return False
    return True
