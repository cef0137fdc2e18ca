"""Writes every generated page of the documentation; ``--check`` only compares (``python -m docs.generators``)."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from docs.generators import alerts, api, chart, configuration, firmware, metrics, tariff_templates
from docs.generators.generated import write_or_check

_PAGES: Final = (alerts, api, chart, configuration, firmware, metrics, tariff_templates)


def pages() -> Mapping[Path, str]:
    """Return the text of every page that is generated, whole or in part, by its file."""
    return {module.PAGE: module.page() for module in _PAGES}


def main(arguments: Sequence[str]) -> int:
    """Write the pages, or report those that are out of date. Returns the exit status."""
    return max([write_or_check(path, text, arguments) for path, text in pages().items()])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
