"""Detects changes of files."""

from pathlib import Path
from typing import TypeAlias

Stamp: TypeAlias = tuple[int, int, int]
"""Inode, size and modification time, which differ between versions of a file."""


def stamp(path: Path) -> Stamp | None:
    """Return the stamp of a file. None if it is missing or cannot be accessed."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
