"""The interface of every reader of rigs, and what a native reader declares about its firmware."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

from exporter.model.failures import Failure, Reason
from exporter.model.fleet import Credentials
from exporter.model.points import PointList
from exporter.model.quickly_made import quickly_made
from exporter.model.readings import RigIdentity, RigReading


@quickly_made
@dataclass(frozen=True, slots=True)
class Target:
    """The address of a rig, and the login for firmware that needs one."""

    address: str
    credentials: Credentials | None = None


class OtherRig(Failure):
    """Another rig answers at the address than the one identified there."""

    def __init__(self, who: str) -> None:
        super().__init__(Reason.IMPLAUSIBLE, f"another rig answers there: {who}")


class Reader(Protocol):
    """Reads rigs of some kind. It sends only questions that change nothing on the rig.

    Deadlines and unexpected exceptions are the caller's: a reader neither bounds a whole read nor classifies a bug.
    """

    name: str

    async def identify(self, target: Target) -> RigIdentity:
        """Identify the rig at an address. Raises Failure."""
        ...

    async def read(self, target: Target, identity: RigIdentity) -> RigReading:
        """Read a rig once. Raises Failure; :class:`OtherRig` if the answer is not from the rig of that ``identity``."""
        ...


Answer = Mapping[str, Any]
Probe = Callable[[str], Awaitable[Answer]]
"""Asks the device at an address one cheap question, to recognise its firmware."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """Every question that a reader may send. All of them only read.

    Attributes:
        rpc: Commands on port 4028, with their parameter if any, such as ``healthchipget 0``.
        pages: Paths to GET, by port.
        v3: Commands of Whatsminer's API V3 with their parameter, such as ``get.miner.status summary``.
        login: Path of the login that gives a token, the only thing ever posted; empty if there is none.
    """

    rpc: tuple[str, ...] = ()
    pages: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    v3: tuple[str, ...] = ()
    login: str = ""


class Recording(NamedTuple):
    """Answers of a rig, recorded and published by others."""

    model: str
    version: str  # of its firmware, or the date of its build; empty if not published
    by: str  # the project that published them


@dataclass(frozen=True, slots=True, kw_only=True)
class Firmware:
    """What a native reader declares: its questions, and its row in docs/firmware.md.

    Attributes:
        title: The firmware's name as operators know it.
        section: The heading in docs/firmware.md that describes it.
        power: Where the power comes from, in a few words.
        recorded: Rigs whose recorded answers the reader was tried against.
        documented: Documents and releases that the fields are from, with their author.
        questions: Every question that the reader may send.
        pyasic_types: pyasic's names for this firmware: pyasic never reads it in the native reader's place.
        unread: Interfaces that a build of it may have and no reader knows; empty if there are none.
    """

    title: str
    section: str
    power: str
    questions: Questions
    pyasic_types: frozenset[str]
    recorded: tuple[Recording, ...] = ()
    documented: str = ""
    unread: str = ""


class NativeReader(Reader, Protocol):
    """A reader of one firmware: the class ``Reader`` of a module in ``firmware/``, found by the registry."""

    firmware: Firmware
    probe: Probe
    """The question whose answer identifies this firmware; it is asked once for all readers that share it."""

    def recognises(self, answer: Answer) -> bool:
        """Return whether this firmware gave that answer to the probe."""
        ...


@runtime_checkable
class HasSecondProbe(Protocol):
    """A reader whose firmware can also be recognised on another port, if the first one is closed."""

    async def second_probe(self, address: str) -> Answer:
        """Ask the question whose answer identifies this firmware too. Raises Failure."""
        ...


@runtime_checkable
class ListsPoints(Protocol):
    """A reader whose firmware lists the operating points of a rig."""

    async def points(self, target: Target, identity: RigIdentity) -> PointList:
        """List the operating points. Raises Failure. They change seldom: this is not part of a read."""
        ...


@runtime_checkable
class KeepsConnections(Protocol):
    """A reader that may keep a connection to a rig from read to read, because that cannot lock anybody out."""

    def keeps(self, identity: RigIdentity) -> bool:
        """Return whether the rig's web server can spare one."""
        ...


@runtime_checkable
class LogsIn(Protocol):
    """A reader whose pages need a login."""

    async def page(self, target: Target, path: str) -> object:
        """Ask for one of its pages, behind the firmware's login. Raises Failure."""
        ...
