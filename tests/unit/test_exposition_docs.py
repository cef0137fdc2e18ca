"""The metrics page lists the whole catalogue, and is the one that the code writes."""

from exporter.exposition.catalogue import CATALOGUE
from exporter.exposition.docs import PAGE, page


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run make docs"


def test_it_lists_every_metric() -> None:
    text = page()
    assert all(f"| `{metric.name}` |" in text for metric in CATALOGUE)
