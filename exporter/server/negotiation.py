"""Chooses format and encoding from the headers Accept and Accept-Encoding."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from exporter.exposition.publication import Encoding, Format

_DEFAULT_ESCAPING: Final = "underscores"
_ESCAPINGS: Final = frozenset({_DEFAULT_ESCAPING, "allow-utf-8", "values"})
"""Escaping schemes that do not change our names, which have only letters, digits and underscores.

``dots`` would double every underscore, so that rules and dashboards would not find their metrics.
"""


class Negotiated(NamedTuple):
    """The chosen encoding, and the content type that declares it."""

    encoding: Encoding
    content_type: str


class _Offer(NamedTuple):
    name: str
    parameters: dict[str, str]
    quality: float


class _Choice(NamedTuple):
    quality: float
    format: Format
    content_type: str


_FALLBACK: Final = _Choice(0.0, Format.TEXT, Format.TEXT.value)


def negotiate(accept: str, accept_encoding: str) -> Negotiated:
    """Choose format and encoding. A client that accepts none of the formats gets plain text, as in client_golang.

    https://prometheus.io/docs/instrumenting/content_negotiation/
    """
    choices = [choice for offer in _offers(accept) if offer.quality > 0 and (choice := _choice(offer))]
    best = max(choices, key=lambda choice: (choice.quality, choice.format is Format.OPENMETRICS), default=_FALLBACK)
    return Negotiated(Encoding(best.format, accepts_gzip(accept_encoding)), best.content_type)


def _choice(offer: _Offer) -> _Choice | None:
    """Return the response to one accepted type. None if we have no such format."""
    escaping = offer.parameters.get("escaping", _DEFAULT_ESCAPING)
    escaped = f"; escaping={escaping if escaping in _ESCAPINGS else _DEFAULT_ESCAPING}"
    match offer.name, offer.parameters.get("version"):
        case "application/openmetrics-text", "1.0.0" | None:
            return _Choice(offer.quality, Format.OPENMETRICS, Format.OPENMETRICS.value + escaped)
        case "text/plain", "1.0.0":  # the same for names that need no quotes
            return _Choice(offer.quality, Format.TEXT, f"text/plain; version=1.0.0; charset=utf-8{escaped}")
        case ("text/plain", "0.0.4" | None) | ("text/*" | "*/*", _):
            return _Choice(offer.quality, Format.TEXT, Format.TEXT.value)
    return None


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether the client prefers gzip to no compression."""
    qualities = {offer.name: offer.quality for offer in _offers(accept_encoding)}
    gzip = qualities.get("gzip", qualities.get("*", 0.0))
    return gzip > 0 and gzip >= qualities.get("identity", 0.0)


def _offers(header: str) -> Iterator[_Offer]:
    for part in header.split(","):
        name, *rest = (text.strip() for text in part.split(";"))
        pairs = (text.partition("=") for text in rest)
        parameters = {key.strip().lower(): value.strip().strip('"').lower() for key, _, value in pairs}
        if name:
            yield _Offer(name.lower(), parameters, _quality(parameters.get("q", "1")))


def _quality(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 0.0
