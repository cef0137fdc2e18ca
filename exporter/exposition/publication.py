"""What a scrape is served: the last evaluation as ready bytes, in each format and encoding that is asked for."""

import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from typing import Final, NamedTuple

from exporter.exposition.views import SiteView

_CHUNK_BYTES: Final = 262_144
_GZIP_LEVEL: Final = 1
_GZIP_WINDOW: Final = 31  # zlib's way to say: the largest window, in gzip's frame
_REMEMBERED_SECONDS: Final = 300.0  # as long as Prometheus looks back: no scraper is slower


class Format(Enum):
    """An exposition format; the value is its content type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Encoding(NamedTuple):
    """What a scraper asks for."""

    format: Format
    gzip: bool


class Family(NamedTuple):
    """One metric's samples, whose bytes the formats share, under the head that each format wants."""

    heads: Mapping[Format, bytes]
    samples: bytes


class Body(NamedTuple):
    """A response's body, in chunks to be written one after another."""

    chunks: tuple[bytes, ...]
    length: int


class Publication:
    """One evaluation, rendered. Encodings are made once each, when first asked for; calls may come from any thread."""

    def __init__(self, view: SiteView, families: tuple[Family, ...], own: Mapping[Format, bytes]) -> None:
        self.view = view
        self._families = families
        self._own = own
        self._bodies: dict[Encoding, Body] = {}
        self._lock = threading.Lock()

    @property
    def taken_at(self) -> float:
        """When the evaluation was taken, in unix seconds."""
        return self.view.snapshot.taken_at

    def ready(self, encoding: Encoding) -> bool:
        """Whether :meth:`body` answers at once; if not, it belongs in a worker thread."""
        return encoding in self._bodies

    def body(self, encoding: Encoding) -> Body:
        """The whole publication in this encoding; one that is ready never waits for another that is being made."""
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
    """Where the last publication lies. Each new one is laid out in the encodings that scrapers lately asked for."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.latest: Publication | None = None
        self._clock = clock
        self._published_at = clock()
        self._asked: dict[Encoding, float] = {}

    def age(self) -> float:
        """Seconds since the last publication, or since the start if there was none."""
        return self._clock() - self._published_at

    def asked(self, encoding: Encoding) -> None:
        """Note that a scraper wants this encoding."""
        self._asked[encoding] = self._clock()

    def publish(self, publication: Publication) -> None:
        """Lay out a publication in place of the last one. Slow for a large site: call it in a worker thread."""
        oldest = self._clock() - _REMEMBERED_SECONDS
        for encoding, asked_at in tuple(self._asked.items()):
            if asked_at >= oldest:
                publication.body(encoding)
        self.latest = publication
        self._published_at = self._clock()


def _body(chunks: Iterable[bytes]) -> Body:
    kept = tuple(chunks)
    return Body(kept, sum(map(len, kept)))


def _joined(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Join small pieces, so that each is worth a system call."""
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
    """Compress; zlib releases the interpreter's lock for each chunk."""
    compressor = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    for chunk in chunks:
        yield compressor.compress(chunk)
    yield compressor.flush()
