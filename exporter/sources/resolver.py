"""Resolves host names in a few threads of its own. What hangs there delays only the names that hang.

The event loop would use its own threads, which it also needs for other work, and a handful of names whose servers do
not answer would take all of them.
"""

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Final, NamedTuple

from aiohttp.abc import AbstractResolver, ResolveResult

LOOKUP_SECONDS: Final = 2.5
"""Seconds to wait for a name server."""

_THREADS: Final = 8
_UNKNOWN: Final = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})
"""Answers of a name server that has no address for a name."""


class Address(NamedTuple):
    """One address of a host."""

    family: int
    text: str


class Resolver:
    """Resolves names, each at most once at a time. If the name servers fail, a name keeps its last addresses.

    Args:
        threads: Maximum number of lookups at once. Further ones wait.
    """

    def __init__(self, threads: int = _THREADS) -> None:
        self._threads = _Threads(threads)
        self._known: dict[str, list[Address]] = {}
        self._lookups: dict[str, asyncio.Future[list[Address]]] = {}
        self._waiting: dict[str, int] = {}

    async def resolve(self, name: str) -> list[Address]:
        """Return the addresses of a host name.

        Raises:
            OSError: It has none.
            TimeoutError: The name servers do not answer, and never did for this name.
        """
        known, lookup = self._known.get(name), self._lookups.get(name)
        if lookup is not None and lookup.get_loop() is not asyncio.get_running_loop():
            lookup = None
        if lookup is not None and known is not None:
            return known  # a lookup that hangs delays only the first request
        self._waiting[name] = self._waiting.get(name, 0) + 1
        try:
            lookup = lookup or self._start(name)
            done, _ = await asyncio.wait({lookup}, timeout=LOOKUP_SECONDS)  # whoever waits, the lookup goes on
            if not done:
                raise TimeoutError
            return lookup.result()
        except (OSError, UnicodeError) as error:  # a TimeoutError is an OSError
            if known is None or (isinstance(error, socket.gaierror) and error.errno in _UNKNOWN):
                raise
            return known
        finally:
            self._waiting[name] -= 1
            if not self._waiting[name]:
                del self._waiting[name]

    def _start(self, name: str) -> asyncio.Future[list[Address]]:
        loop = asyncio.get_running_loop()
        lookup: asyncio.Future[list[Address]] = loop.create_future()
        self._lookups[name] = lookup

        def work() -> None:
            given_up = name not in self._waiting  # before a thread was free
            found = TimeoutError() if given_up else _addresses(name)
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(self._finish, name, lookup, found)

        self._threads.run(work)
        return lookup

    def _finish(self, name: str, lookup: asyncio.Future[list[Address]], found: list[Address] | Exception) -> None:
        if self._lookups.get(name) is lookup:
            del self._lookups[name]
        if isinstance(found, list):
            self._known[name] = found
            lookup.set_result(found)
        else:
            lookup.set_exception(found)
            lookup.exception()  # nobody may be waiting any more


def _addresses(name: str) -> list[Address] | Exception:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        return [Address(family, str(address[0])) for family, _, _, _, address in found]
    except (OSError, UnicodeError) as error:
        return error


class _Threads:
    """Up to ``most`` daemon threads: the process ends without waiting for a lookup that hangs."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._queue: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._started = 0

    def run(self, work: Callable[[], None]) -> None:
        self._queue.put(work)
        if not self._idle.acquire(blocking=False) and self._started < self._most:
            self._started += 1
            threading.Thread(target=self._serve, name="resolver", daemon=True).start()

    def _serve(self) -> None:
        while True:
            self._queue.get()()
            self._idle.release()


class HttpResolver(AbstractResolver):
    """The resolver of the HTTP session."""

    def __init__(self) -> None:
        self._resolver = Resolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Resolve a host name. Raises OSError."""
        try:
            found = await self._resolver.resolve(host)
        except TimeoutError:  # which aiohttp would take for its own
            raise OSError("the name servers do not answer") from None
        except UnicodeError:
            raise OSError("it is not a host name") from None
        addresses = [each for each in found if family in (socket.AF_UNSPEC, each.family)]
        return [
            ResolveResult(
                hostname=host,
                host=each.text,
                port=port,
                family=each.family,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for each in addresses
        ]

    async def close(self) -> None:
        """Do nothing: lookups end on their own."""
