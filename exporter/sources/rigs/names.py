"""Resolves the host names of rigs: at each poll, apart from those of other sources."""

import socket
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

from exporter.model.failures import Failure, Reason
from exporter.sources.resolver import Resolver

_resolver: Final = Resolver()


async def resolved(address: str) -> str:
    """Return the IP address of a host name or address. Raises Failure."""
    if is_ip(address):
        return address
    try:
        found = await _resolver.resolve(address)
    except TimeoutError:
        raise Failure(Reason.UNREACHABLE, f"the name server does not answer for {address}") from None
    except (OSError, UnicodeError):
        advice = "correct it in the inventory or in the DNS"
        raise Failure(Reason.UNREACHABLE, f"the name {address} has no address: {advice}") from None
    return min(found, key=lambda each: each.family != socket.AF_INET).text  # few firmwares speak IPv6


@lru_cache(maxsize=200_000)
def is_ip(address: str) -> bool:
    """Return whether this is an IP address, not a host name."""
    try:
        ip_address(address)
    except ValueError:
        return False
    return True
