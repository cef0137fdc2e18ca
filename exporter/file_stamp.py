"""Files that people edit: whether one has changed, and why one cannot be read."""

import os
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


def why_unreadable(error: OSError | UnicodeDecodeError) -> str:
    """Return why a file cannot be read, as the rest of a sentence that starts with its name."""
    match error:
        case FileNotFoundError():
            return "does not exist"
        case IsADirectoryError():
            return "is a directory"
        case PermissionError():
            return f"cannot be read: give user {os.geteuid()}, as which this runs, the right to read it"
        case UnicodeDecodeError():
            return "is not UTF-8 text: save it as UTF-8 (in Excel: CSV UTF-8)"
    return f"cannot be read ({error.strerror or error})"
