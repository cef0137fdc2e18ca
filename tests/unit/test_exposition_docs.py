"""The metrics page and the README's table list the whole catalogue, and are those that the code writes."""

import pytest

from docs.generators.metrics import PAGE, README, page, readme
from exporter.exposition.catalogue import CATALOGUE


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run make docs"


def test_it_lists_every_metric() -> None:
    text = page()
    assert all(f"| `{metric.name}` |" in text for metric in CATALOGUE)


def test_the_readme_is_up_to_date() -> None:
    text = README.read_text(encoding="utf-8")
    assert text == readme(text), "run make docs"


def test_the_readme_names_every_metric_and_keeps_what_stands_around() -> None:
    written = readme("before\n<!-- metrics: written by `make docs` -->\nold\n<!-- metrics: end -->\nafter\n")
    assert written.startswith("before\n")
    assert written.endswith("<!-- metrics: end -->\nafter\n")
    assert "old" not in written
    assert all(f"`{metric.name}`" in written for metric in CATALOGUE)
    assert "`mining_source_failures_total`" in written


def test_a_readme_without_the_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="not found"):
        readme("no table\n")
