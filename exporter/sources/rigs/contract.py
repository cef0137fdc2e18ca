"""What every reader of rigs is: it says who answers at an address, and reads it, or fails classified."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from exporter.model.failures import Failure, Reason
from exporter.model.fleet import Credentials
from exporter.model.readings import RigIdentity, RigReading


@dataclass(frozen=True, slots=True)
class Target:
    """Where a rig is, and how to log in where its firmware asks for that."""

    address: str
    credentials: Credentials | None = None


class OtherRig(Failure):
    """What answers is another rig than the one that was identified there."""

    def __init__(self, who: str) -> None:
        super().__init__(Reason.IMPLAUSIBLE, f"another rig answers there: {who}")


class Reader(Protocol):
    """Reads rigs of some kind. It only ever asks: no command it can send changes a rig."""

    name: str

    async def identify(self, target: Target) -> RigIdentity:
        """Say who answers there. Raises :class:`exporter.model.failures.Failure`, never anything else."""
        ...

    async def read(self, target: Target, identity: RigIdentity) -> RigReading:
        """Read it once. Raises :class:`exporter.model.failures.Failure`, never anything else.

        That is :class:`OtherRig` where the answer itself shows that it is not of the rig of that ``identity``.
        """
        ...


Answer = Mapping[str, Any]
Probe = Callable[[str], Awaitable[Answer]]
"""Asks the device at an address one cheap question, to tell firmware apart."""


class NativeReader(Reader, Protocol):
    """A reader of one firmware, found by the registry: the class ``Reader`` of a module in ``firmware/``."""

    probe: Probe
    """The question whose answer tells this firmware; readers that share one share its answer."""

    def recognises(self, answer: Answer) -> bool:
        """Tell whether this firmware gave that answer to the probe."""
        ...
