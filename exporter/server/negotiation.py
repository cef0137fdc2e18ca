"""Which format and encoding a client wants, by its Accept and Accept-Encoding headers."""

from collections.abc import Iterator
from typing import NamedTuple

from exporter.exposition.publication import Encoding, Format


class _Offer(NamedTuple):
    name: str
    parameters: dict[str, str]
    quality: float


def negotiate(accept: str, accept_encoding: str) -> Encoding:
    """Choose what to serve. Whoever accepts none of it gets plain text, as Prometheus' own exporters do."""
    qualities = {
        Format.OPENMETRICS: max((o.quality for o in _offers(accept) if _is_openmetrics(o)), default=0.0),
        Format.TEXT: max((o.quality for o in _offers(accept) if _is_text(o)), default=0.0),
    }
    best = max(qualities, key=qualities.__getitem__)
    return Encoding(best if qualities[best] > 0 else Format.TEXT, _accepts_gzip(accept_encoding))


def _accepts_gzip(accept_encoding: str) -> bool:
    qualities = {offer.name: offer.quality for offer in _offers(accept_encoding)}
    gzip = qualities.get("gzip", qualities.get("*", 0.0))
    return gzip > 0 and gzip >= qualities.get("identity", 0.0)


def _is_openmetrics(offer: _Offer) -> bool:
    return offer.name == "application/openmetrics-text" and offer.parameters.get("version", "1.0.0") == "1.0.0"


def _is_text(offer: _Offer) -> bool:
    if offer.name == "text/plain":
        return offer.parameters.get("version", "0.0.4") == "0.0.4"
    return offer.name in {"text/*", "*/*"}


def _offers(header: str) -> Iterator[_Offer]:
    for part in header.split(","):
        name, *rest = (text.strip() for text in part.split(";"))
        pairs = (text.partition("=") for text in rest)
        parameters = {key.strip().lower(): value.strip() for key, _, value in pairs}
        if name:
            yield _Offer(name.lower(), parameters, _quality(parameters.get("q", "1")))


def _quality(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 0.0
