"""Runs a module in a host whose clock can be set and whose name servers can hang: ``chaos_host.py SETTING MODULE ...``.

``SETTING`` is a JSON file: ``ahead`` is how many seconds the system clock is ahead, ``dns_hangs`` whether lookups hang.
A name like ``ip-127-0-0-1.chaos`` has the address in it.
"""

import json
import runpy
import socket
import sys
import time
from pathlib import Path
from typing import Any

_setting = Path(sys.argv[1])
_time, _getaddrinfo = time.time, socket.getaddrinfo


def _wrong_time() -> float:
    return _time() + float(json.loads(_setting.read_text())["ahead"])


def _lookup(host: Any, *arguments: Any, **options: Any) -> Any:
    if isinstance(host, str) and host.endswith(".chaos"):
        while json.loads(_setting.read_text())["dns_hangs"]:
            time.sleep(0.1)
        host = host.removeprefix("ip-").removesuffix(".chaos").replace("-", ".")
    return _getaddrinfo(host, *arguments, **options)


time.time = _wrong_time
socket.getaddrinfo = _lookup
sys.argv[:] = sys.argv[2:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
