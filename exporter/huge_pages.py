"""Moves memory to huge pages: an evaluation touches all of it, and looking up 4 kB pages is a tenth of its time.

See Linux' ``Documentation/admin-guide/mm/transhuge.rst`` and madvise(2).
"""

import asyncio
import ctypes
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

_INTERVAL: Final = 30.0  # s
_COLLAPSE: Final = 25  # MADV_COLLAPSE, of Linux 6.1 and newer
_IN_USE: Final = 0.9  # share of a mapping: the rest would take memory too
_SETTINGS: Final = Path("/sys/kernel/mm/transparent_hugepage")
_MAPPINGS: Final = Path("/proc/self/smaps")
_ANONYMOUS: Final = re.compile(
    r"^([0-9a-f]+)-([0-9a-f]+) rw-p \S+ 00:00 0 *(?:\[(?:heap|anon:.*)\])?\n(?:\w+:.*\n)*?Rss: +(\d+) kB$", re.MULTILINE
)


async def keep_huge_pages() -> None:
    """Move what was allocated since the last time, until cancelled."""
    while True:
        await asyncio.sleep(_INTERVAL)
        with suppress(OSError):  # a kernel without huge pages, or without these files
            await asyncio.to_thread(use_huge_pages)


def use_huge_pages() -> None:
    """Move all mappings that are in use as a whole to huge pages, unless the system has these turned off.

    Raises OSError where the kernel has none. One that cannot move a mapping, for its age or for want of memory, leaves
    it as it is.
    """
    if "[never]" in (_SETTINGS / "enabled").read_text(encoding="ascii"):
        return
    size = int((_SETTINGS / "hpage_pmd_size").read_text(encoding="ascii"))
    advise = ctypes.CDLL(None).madvise
    mappings = _MAPPINGS.read_text(encoding="utf-8", errors="replace")  # with the names of mapped files
    for start_text, end_text, resident_kilobytes in _ANONYMOUS.findall(mappings):
        start, end = int(start_text, 16), int(end_text, 16)
        first, last = -(-start // size) * size, end // size * size
        if first < last and int(resident_kilobytes) * 1024 >= _IN_USE * (end - start):
            for page in range(first, last, size):  # a call for all would end at the first that cannot be moved
                advise(ctypes.c_void_p(page), ctypes.c_size_t(size), _COLLAPSE)
