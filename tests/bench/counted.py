"""Counts the instructions of pieces of Python code, with callgrind: the neighbours on a machine do not change them.

Only what is inside ``with section(name)`` is counted, so that imports cost no time: callgrind runs at a fiftieth of the
usual speed. What exists before a section is hidden from the garbage collector: whether a full collection falls into a
section would hang on how many modules were imported. The calls to it are requests as in valgrind's header
``callgrind.h``, for 64-bit x86.
"""

import ctypes
import gc
import mmap
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_REQUEST: Final = bytes.fromhex("4889f831d248c1c70348c1c70d48c1c73d48c1c7334887db4889d0c3")
"""Machine code of a function that passes a request to valgrind; without valgrind it does nothing."""
_FIRST: Final = ord("C") << 24 | ord("T") << 16
_ZERO, _DUMP_AT, _START, _STOP = _FIRST + 1, _FIRST + 3, _FIRST + 4, _FIRST + 5
_LONGEST: Final = 3_600.0  # s
_SECTION: Final = re.compile(r"^desc: Trigger: Client Request: (.+)$(?s:.*)^(?:summary|totals): (\d+)", re.MULTILINE)


def why_not() -> str:
    """Return why nothing can be counted here; empty if it can."""
    if platform.machine() != "x86_64" or sys.platform != "linux":
        return "instructions are counted on 64-bit x86 with Linux only"
    return "" if shutil.which("valgrind") else "valgrind is not installed"


def counts(module: str, *arguments: str) -> dict[str, int]:
    """Run a module under callgrind, and return the instructions of each of its sections."""
    with tempfile.TemporaryDirectory() as folder:
        tool = ("valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/out")
        subprocess.run(
            (*tool, sys.executable, "-W", "ignore", "-m", module, *arguments),
            env=os.environ | {"PYTHONHASHSEED": "0", "UV_USE_IO_URING": "0"},
            stderr=subprocess.DEVNULL,
            timeout=_LONGEST,
            check=True,
        )
        texts = [path.read_text(encoding="utf-8") for path in Path(folder).iterdir()]
    found = (_SECTION.search(text) for text in texts)
    return {each[1]: int(each[2]) for each in found if each}


@contextmanager
def section(name: str) -> Iterator[None]:
    """Count what runs inside."""
    gc.collect()
    gc.freeze()
    _ask(_START)
    _ask(_ZERO)
    try:
        yield
    finally:
        label = ctypes.create_string_buffer(name.encode())
        _ask(_DUMP_AT, ctypes.addressof(label))
        _ask(_STOP)


def _ask(*words: int) -> None:
    request = (ctypes.c_uint64 * 6)(*words)
    _CALL(ctypes.addressof(request))


_PAGE: Final = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
_PAGE.write(_REQUEST)
_CALL: Final = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_uint64)(ctypes.addressof(ctypes.c_char.from_buffer(_PAGE)))
