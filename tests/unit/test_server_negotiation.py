"""Which format and encoding a scraper gets."""

import pytest

from exporter.exposition.publication import Encoding, Format
from exporter.server.negotiation import negotiate

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (PROMETHEUS_2, Format.OPENMETRICS),
        (PROMETHEUS_3, Format.OPENMETRICS),
        (f"{PROTOBUF};q=0.7,{PROMETHEUS_3}", Format.OPENMETRICS),
        (f"application/openmetrics-text;version=2.0.0;escaping=allow-utf-8;q=0.7,{PROMETHEUS_3}", Format.OPENMETRICS),
        (f"{PROTOBUF};q=0.5,*/*;q=0.1", Format.TEXT),
        ("application/openmetrics-text", Format.OPENMETRICS),
        ("APPLICATION/OpenMetrics-Text; Version=1.0.0", Format.OPENMETRICS),
        ("application/openmetrics-text;version=2.0.0,text/plain;q=0.1", Format.TEXT),
        ("application/openmetrics-text;q=0.2,text/plain;version=0.0.4;q=0.9", Format.TEXT),
        ("application/openmetrics-text;q=0,*/*", Format.TEXT),
        ("application/openmetrics-text;q=nonsense", Format.TEXT),
        ("text/html,application/xhtml+xml,*/*;q=0.8", Format.TEXT),
        ("text/*", Format.TEXT),
        ("application/json", Format.TEXT),
        ("", Format.TEXT),
        (";;,,;q=1", Format.TEXT),
    ],
)
def test_the_format_is_negotiated(accept: str, wanted: Format) -> None:
    assert negotiate(accept, "").encoding.format is wanted


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (PROMETHEUS_2, "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"),
        (PROMETHEUS_3, "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8"),
        (
            'application/openmetrics-text; version="1.0.0"; escaping="values"',
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=values",
        ),
        (
            "application/openmetrics-text;version=1.0.0;escaping=dots",  # it would double the underscores of our names
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
        ),
        (
            "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.6,*/*;q=0.5",
            "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
        ),
        (
            "text/plain;version=1.0.0;escaping=x\r\nSet-Cookie:y",
            "text/plain; version=1.0.0; charset=utf-8; escaping=underscores",
        ),
        ("text/plain;version=0.0.4;escaping=allow-utf-8", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text;version=0.0.1", "text/plain; version=0.0.4; charset=utf-8"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
    ],
)
def test_the_content_type_declares_version_and_escaping(accept: str, content_type: str) -> None:
    assert negotiate(accept, "").content_type == content_type


@pytest.mark.parametrize(
    ("accept_encoding", "zipped"),
    [
        ("gzip", True),
        ("deflate, GZIP;q=0.5, br", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip;q=0, *", False),
        ("identity, gzip;q=0.5", False),
        ("deflate, br", False),
        ("", False),
    ],
)
def test_gzip_is_negotiated(accept_encoding: str, zipped: bool) -> None:
    assert negotiate("*/*", accept_encoding).encoding == Encoding(Format.TEXT, zipped)
