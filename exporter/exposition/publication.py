"""The latest evaluation as bytes, in each format and encoding that scrapers request."""

import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from typing import Final, NamedTuple

from exporter.exposition.views import SiteView

_CHUNK_BYTES: Final = 262_144
_GZIP_LEVEL: Final = 1
_GZIP_WINDOW: Final = 31  # for zlib: the largest window, in gzip format
_REMEMBERED_SECONDS: Final = 300.0  # lookback of Prometheus: no scraper has a longer interval


class Format(Enum):
    """An exposition format; the value is its content type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Encoding(NamedTuple):
    """The format and compression of a response."""

    format: Format
    gzip: bool


class Family(NamedTuple):
    """The samples of one metric, which are the same in all formats, and its head in each format."""

    heads: Mapping[Format, bytes]
    samples: bytes


class Body(NamedTuple):
    """The body of a response, in chunks."""

    chunks: tuple[bytes, ...]
    length: int


class Publication:
    """One rendered evaluation. Each encoding is made once, on the first request. Safe to call from any thread."""

    def __init__(self, view: SiteView, families: tuple[Family, ...], own: Mapping[Format, bytes]) -> None:
        self.view = view
        self._families = families
        self._own = own
        self._bodies: dict[Encoding, Body] = {}
        self._lock = threading.Lock()

    @property
    def taken_at(self) -> float:
        """Time of the evaluation in unix seconds."""
        return self.view.snapshot.taken_at

    def ready(self, encoding: Encoding) -> bool:
        """Whether :meth:`body` returns immediately. If not, call it in a worker thread."""
        return encoding in self._bodies

    def body(self, encoding: Encoding) -> Body:
        """Return the publication in this encoding. A ready encoding does not wait for another that is being made."""
        body = self._bodies.get(encoding)
        if body is not None:
            return body
        with self._lock:
            body = self._bodies.get(encoding)
            if body is None:
                chunks = _joined(self._pieces(encoding.format))
                body = _body(_joined(_compressed(chunks)) if encoding.gzip else chunks)
                self._bodies[encoding] = body
            return body

    def _pieces(self, wanted: Format) -> Iterator[bytes]:
        for family in self._families:
            yield family.heads[wanted]
            yield family.samples
        yield self._own[wanted]


class LatestPublication:
    """Holds the latest publication. A new one is prepared in the encodings that scrapers requested recently."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.publication: Publication | None = None
        self._clock = clock
        self._published_at = clock()
        self._requested: dict[Encoding, float] = {}
        self._listeners: list[Callable[[SiteView], None]] = []

    def subscribe(self, listener: Callable[[SiteView], None]) -> None:
        """Call ``listener`` after each publication, in the thread that publishes."""
        self._listeners.append(listener)

    def unsubscribe(self, listener: Callable[[SiteView], None]) -> None:
        """Call ``listener`` no more."""
        self._listeners.remove(listener)

    def age(self) -> float:
        """Seconds since the last publication, or since the start if there was none."""
        return self._clock() - self._published_at

    def requested(self, encoding: Encoding) -> None:
        """Note that a scraper requested this encoding."""
        self._requested[encoding] = self._clock()

    def publish(self, publication: Publication) -> None:
        """Replace the publication. Slow for a large site, so call it in a worker thread."""
        oldest = self._clock() - _REMEMBERED_SECONDS
        for encoding, requested_at in tuple(self._requested.items()):
            if requested_at >= oldest:
                publication.body(encoding)
        self.publication = publication
        self._published_at = self._clock()
        for listener in tuple(self._listeners):
            listener(publication.view)


def _body(chunks: Iterable[bytes]) -> Body:
    kept = tuple(chunks)
    return Body(kept, sum(map(len, kept)))


def _joined(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Join small pieces to chunks, to save system calls."""
    pending: list[bytes] = []
    size = 0
    for piece in pieces:
        pending.append(piece)
        size += len(piece)
        if size >= _CHUNK_BYTES:
            yield b"".join(pending)
            pending, size = [], 0
    if pending:
        yield b"".join(pending)


def _compressed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Compress with gzip. zlib releases the interpreter's lock for each chunk."""
    compressor = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    for chunk in chunks:
        yield compressor.compress(chunk)
    yield compressor.flush()
