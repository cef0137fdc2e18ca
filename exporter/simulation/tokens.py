"""Tokens that a simulated rig's login gives: each carries its own time and proof, so that none is kept."""

import hashlib
from typing import Final

from exporter.simulation.faults import Fault
from exporter.simulation.machine import Machine

TOKEN_SECONDS: Final = 3_600


def issue(machine: Machine, now: float) -> str:
    """Make a token."""
    issued = int(now)
    proof = hashlib.blake2b(f"{issued} {machine.serial}".encode(), digest_size=8).hexdigest()
    return f"{issued:x}.{proof}"


def admits(machine: Machine, token: str, now: float) -> bool:
    """Return whether the rig accepts a token."""
    try:
        issued = int(token.partition(".")[0], 16)
    except ValueError:
        return False
    return machine.fault is not Fault.AUTH_REFUSED and token == issue(machine, issued) and now - issued <= TOKEN_SECONDS
