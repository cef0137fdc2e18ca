"""Renders the list of tariff templates in ``docs/sources.md`` from the template files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import yaml

from docs.generators.sections import with_section

_ROOT: Final = Path(__file__).parents[2]
PAGE: Final = _ROOT / "docs" / "sources.md"
_TEMPLATES: Final = _ROOT / "exporter" / "sources" / "tariffs" / "templates"


def page() -> str:
    """Return the page with its list of templates written anew."""
    return with_section(PAGE, "templates", list(_table()))


def _table() -> Iterator[str]:
    yield from ("| template | market | area |", "|---|---|---|")
    for file in sorted(_TEMPLATES.glob("*.yml")):
        template = yaml.safe_load(file.read_text(encoding="utf-8"))
        default = f" (default `{template['area']}`)" if "area" in template else ""
        link = f"[`{file.stem}`]({template['documentation']})"
        yield f"| {link} | {template['market']} | {template['areas']}{default} |"
