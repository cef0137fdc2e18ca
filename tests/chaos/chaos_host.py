"""Runs a module in a host whose clock can be set and whose name servers can hang: ``chaos_host.py SETTING MODULE ...``.

``SETTING`` is a file of two doubles: by how many seconds the system clock is ahead, and whether lookups hang. It stays
mapped, because a clock that opened a file would fail where descriptors run out.
A name like ``ip-127-0-0-1.chaos`` has the address in it.
"""

import mmap
import runpy
import socket
import struct
import sys
import time
from pathlib import Path
from typing import Any

with Path(sys.argv[1]).open("rb") as _file:
    _setting = mmap.mmap(_file.fileno(), 0, prot=mmap.PROT_READ)
_time, _getaddrinfo = time.time, socket.getaddrinfo


def _facts() -> tuple[float, float]:
    ahead, dns_hangs = struct.unpack("2d", _setting[:])
    return ahead, dns_hangs


def _wrong_time() -> float:
    return _time() + _facts()[0]


def _lookup(host: Any, *arguments: Any, **options: Any) -> Any:
    if isinstance(host, str) and host.endswith(".chaos"):
        while _facts()[1]:
            time.sleep(0.1)
        host = host.removeprefix("ip-").removesuffix(".chaos").replace("-", ".")
    return _getaddrinfo(host, *arguments, **options)


time.time = _wrong_time
socket.getaddrinfo = _lookup
sys.argv[:] = sys.argv[2:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
