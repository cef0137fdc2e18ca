"""Writes every generated page of the documentation; ``--check`` only compares (``python -m docs.generators``)."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from docs.generators import api, configuration, metrics
from docs.generators.generated import write_or_check


def pages() -> Mapping[Path, str]:
    """Render every generated page, by the file it stands in."""
    readme = metrics.README.read_text(encoding="utf-8")
    return {
        metrics.PAGE: metrics.page(),
        metrics.README: metrics.readme(readme),
        api.PAGE: api.page(),
        configuration.PAGE: configuration.page(),
    }


def main(arguments: Sequence[str]) -> int:
    """Write the pages, or report those that are out of date. Returns the exit status."""
    return max([write_or_check(path, text, arguments) for path, text in pages().items()])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
