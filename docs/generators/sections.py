"""Replaces generated sections of pages that people write."""

from pathlib import Path
from typing import Final

_START: Final = "<!-- {}: written by `make docs` -->\n"
_END: Final = "<!-- {}: end -->\n"


def with_section(page: Path, name: str, lines: list[str]) -> str:
    """Return the text of ``page`` with the section ``name`` replaced by ``lines``.

    Raises:
        ValueError: The page does not have the start or the end mark of the section.
    """
    try:
        return replaced(page.read_text(encoding="utf-8"), name, lines)
    except ValueError as error:
        raise ValueError(f"{page.name} {error}") from None


def replaced(text: str, name: str, lines: list[str]) -> str:
    """Return a page's ``text`` with the section ``name`` replaced by ``lines``. ValueError as :func:`with_section`."""
    start, end = _START.format(name), _END.format(name)
    if start not in text or end not in text:
        raise ValueError(f"has no section {name}: it needs the lines {start!r} and {end!r}")
    before, _, rest = text.partition(start)
    return before + start + "".join(f"{line}\n" for line in lines) + end + rest.partition(end)[2]
