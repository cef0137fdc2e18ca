"""Questions that are not worth a connection at each read: what changes seldom, and what a rig's build does not know."""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from exporter.sources.rigs.transport import NoSuchPage, is_unknown_command

LACKING_SECONDS: Final = 300.0

T = TypeVar("T")
_EMPTY: Final[Mapping[str, Any]] = {}


@dataclass(frozen=True, slots=True)
class _Kept(Generic[T]):
    due: float  # monotonic s
    key: object
    value: T


class Seldom(Generic[T]):
    """What changes seldom, by address: asked again after some seconds, and at once if it may have changed."""

    def __init__(self, seconds: float) -> None:
        """Keep each value for ``seconds``."""
        self._seconds = seconds
        self._kept: dict[str, _Kept[T]] = {}

    def forget(self, address: str) -> None:
        """Ask at the next read."""
        self._kept.pop(address, None)

    def kept(self, address: str, key: object) -> T | None:
        """Return the value that is kept if it was asked at the same ``key``; None if it is to be asked."""
        kept = self._kept.get(address)
        return kept.value if kept is not None and time.monotonic() < kept.due and key == kept.key else None

    def keep(self, address: str, key: object, value: T) -> None:
        """Keep a value."""
        self._kept[address] = _Kept(time.monotonic() + self._seconds, key, value)

    async def ask(self, address: str, key: object, ask: Callable[[], Awaitable[T | None]]) -> T | None:
        """Return the value that is kept, or ask and keep it; None, unknown, is not kept. Raises Failure."""
        value = self.kept(address, key)
        if value is None:
            value = await ask()
            if value is not None:
                self.keep(address, key, value)
        return value


class Lacking:
    """What rigs of one firmware do not know, by address: asked again after :data:`LACKING_SECONDS`."""

    def __init__(self) -> None:
        """Know of nothing that is lacking."""
        self._until: dict[str, dict[str, float]] = {}  # by address and question (monotonic s)

    def forget(self, address: str) -> None:
        """Ask everything again, as after an identification: the build may be another one."""
        self._until.pop(address, None)

    async def ask(self, address: str, question: str, ask: Callable[[str], Awaitable[T]]) -> T | Mapping[str, Any]:
        """Ask, and return the answer; empty if the rig does not know the question. Raises Failure."""
        lacking = self._until.get(address)
        if lacking is not None and time.monotonic() < lacking.get(question, 0.0):
            return _EMPTY
        try:
            answer = await ask(question)
            if not is_unknown_command(answer):
                return answer
        except NoSuchPage:
            pass
        self._until.setdefault(address, {})[question] = time.monotonic() + LACKING_SECONDS
        return _EMPTY
