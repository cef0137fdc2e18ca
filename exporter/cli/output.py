"""What commands print, and to where."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click


def log_errors_only() -> None:
    """Log only errors: the result of a command is its output, and warnings would be mixed into it."""
    from exporter.logs import LogSettings, configure

    configure(LogSettings(level="error"))


def to_json(value: object) -> str:
    """Format a value as indented JSON."""
    from exporter.tools.tables import as_json

    return as_json(value)


@contextmanager
def progress(length: int, label: str) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on standard error if that is a terminal. Yields the function that advances it by steps."""
    with click.progressbar(length=length, label=label, file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
        yield bar.update
