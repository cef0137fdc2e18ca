"""The small site's exposition as files to read. After a meant change: UPDATE_GOLDEN=1 make test."""

import os
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from small_site import ALL_GROUPS, small_site

from exporter.exposition.publication import Encoding, Format
from exporter.exposition.render import Renderer

GOLDEN = Path(__file__).parent.parent / "golden"


@pytest.mark.parametrize(
    ("wanted", "name"), [(Format.TEXT, "small_site.txt"), (Format.OPENMETRICS, "small_site.openmetrics.txt")]
)
def test_the_exposition_is_unchanged(wanted: Format, name: str) -> None:
    publication = Renderer(ALL_GROUPS, CollectorRegistry()).render(small_site())
    body = b"".join(publication.body(Encoding(wanted, gzip=False)).chunks)
    if os.environ.get("UPDATE_GOLDEN"):
        (GOLDEN / name).write_bytes(body)
    assert body.decode() == (GOLDEN / name).read_text(encoding="utf-8")
