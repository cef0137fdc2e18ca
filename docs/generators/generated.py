"""Writes generated pages, or compares them with ``--check``."""

import sys
from collections.abc import Sequence
from pathlib import Path


def write_or_check(page: Path, text: str, arguments: Sequence[str]) -> int:
    """Write the page; with ``--check`` among the arguments, only compare it. Returns the exit status."""
    if "--check" not in arguments:
        page.write_text(text, encoding="utf-8")
        return 0
    if page.exists() and page.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write(f"{page.name} is out of date: run `make docs`\n")
    return 1
