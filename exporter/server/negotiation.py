"""Which format and encoding a client wants, by its Accept and Accept-Encoding headers."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from exporter.exposition.publication import Encoding, Format

_DEFAULT_ESCAPING: Final = "underscores"
_ESCAPINGS: Final = frozenset({_DEFAULT_ESCAPING, "allow-utf-8", "values"})
"""Escaping schemes that leave our names unchanged, which are all letters, digits and underscores.

``dots`` would double every underscore, and no rule or dashboard would find its metrics.
"""


class Negotiated(NamedTuple):
    """What a client gets, and the content type that declares it."""

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
    """Choose what to serve. Whoever accepts none of it gets plain text, as Prometheus' own exporters do.

    https://prometheus.io/docs/instrumenting/content_negotiation/
    """
    choices = [choice for offer in _offers(accept) if offer.quality > 0 and (choice := _choice(offer))]
    best = max(choices, key=lambda choice: (choice.quality, choice.format is Format.OPENMETRICS), default=_FALLBACK)
    return Negotiated(Encoding(best.format, _accepts_gzip(accept_encoding)), best.content_type)


def _choice(offer: _Offer) -> _Choice | None:
    """What an offer is served with; None if we have nothing of it."""
    escaping = offer.parameters.get("escaping", _DEFAULT_ESCAPING)
    escaped = f"; escaping={escaping if escaping in _ESCAPINGS else _DEFAULT_ESCAPING}"
    match offer.name, offer.parameters.get("version"):
        case "application/openmetrics-text", "1.0.0" | None:
            return _Choice(offer.quality, Format.OPENMETRICS, Format.OPENMETRICS.value + escaped)
        case "text/plain", "1.0.0":  # the same text: it differs in how names are quoted that need it
            return _Choice(offer.quality, Format.TEXT, f"text/plain; version=1.0.0; charset=utf-8{escaped}")
        case ("text/plain", "0.0.4" | None) | ("text/*" | "*/*", _):
            return _Choice(offer.quality, Format.TEXT, Format.TEXT.value)
    return None


def _accepts_gzip(accept_encoding: str) -> bool:
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
