"""The metrics page lists the whole catalogue, and the README names only metrics of the catalogue."""

import re

from docs.generators.metrics import PAGE, page
from exporter.exposition.catalogue import CATALOGUE

README = PAGE.parents[1] / "README.md"


def test_the_page_lists_every_metric() -> None:
    text = page()
    assert all(f"| `{metric.name}` |" in text for metric in CATALOGUE)


def test_the_readme_names_five_key_metrics_of_the_catalogue() -> None:
    rows = re.findall(r"^\| `(mining_\w+)` \|", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) == 5
    assert {*rows} <= {metric.name for metric in CATALOGUE}
