"""How the process runs: signals, garbage collection, memory, and the delay of the event loop."""

import asyncio
import ctypes
import gc
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from exporter.signals import reload_requested
from exporter.telemetry import Telemetry

_SWITCH_INTERVAL: Final = 0.0002  # s
_COLLECTION_INTERVAL: Final = 300.0  # s
_PULSE_INTERVAL: Final = 0.1  # s
_RELOAD_DELAY: Final = 0.25  # s, in which more requests join the first
_FEEDS_PER_INTERVAL: Final = 3  # of the watchdog
_MICROSECONDS: Final = 1_000_000  # per second
_NEVER: Final = 1_000_000_000
_YOUNG_OBJECTS: Final = 500_000  # between two short garbage collections: more than an evaluation of 10,000 rigs makes
_M_MMAP_THRESHOLD: Final = -3  # from glibc's malloc.h
_M_ARENA_MAX: Final = -8
_LARGE_BLOCK: Final = 262_144  # bytes


def prepare_process() -> None:
    """Keep the event loop responsive and the memory small while evaluations run in a worker thread.

    The event loop takes the interpreter's lock at each event. By default a running evaluation holds it for 5 ms each
    time. A full garbage collection stops the process for 0.3 s with 10,000 rigs, and by default each evaluation causes
    one.
    """
    sys.setswitchinterval(_SWITCH_INTERVAL)
    gc.collect()
    gc.freeze()  # modules and settings
    gc.set_threshold(_YOUNG_OBJECTS, gc.get_threshold()[1], _NEVER)
    _return_freed_memory()


def _return_freed_memory() -> None:
    """Make glibc return freed blocks to the system at once. It may keep blocks of up to 32 MB: 160 MB for 10,000 rigs.

    And let all threads share their free memory: by default each has its own, 33 MB in all for 10,000 rigs.
    Other C libraries have no ``mallopt`` and do not keep blocks.
    """
    with suppress(AttributeError):
        set_option = ctypes.CDLL(None).mallopt
        set_option(_M_MMAP_THRESHOLD, _LARGE_BLOCK)
        set_option(_M_ARENA_MAX, 1)


def stop_signal() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping


def reload_signal() -> asyncio.Event:
    """Return an event that SIGHUP sets. It is already set if SIGHUP came during the start."""
    requested = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, requested.set)
    if reload_requested():
        requested.set()
    return requested


async def reload_when(requested: asyncio.Event, reload: Callable[[], Awaitable[object]]) -> None:
    """Reload whenever ``requested`` is set, until cancelled: once for all requests up to the start of a reload."""
    while True:
        await requested.wait()
        await asyncio.sleep(_RELOAD_DELAY)
        requested.clear()
        await reload()


async def collect_garbage() -> None:
    """Collect all garbage every five minutes until cancelled: libraries may leave cycles, polls do not."""
    while True:
        await asyncio.sleep(_COLLECTION_INTERVAL)
        gc.collect()


async def measure_loop_delay(telemetry: Telemetry) -> None:
    """Measure how late the event loop wakes its tasks, ten times a second, until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _PULSE_INTERVAL
        await asyncio.sleep(_PULSE_INTERVAL)
        telemetry.loop_delay.observe(max(0.0, loop.time() - due))


def notify_systemd(message: str) -> None:
    """Tell systemd about the state of the service. Does nothing if systemd did not start the process.

    https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
        connection.sendto(message.encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)


async def feed_watchdog(is_stuck: Callable[[], bool]) -> None:
    """Tell systemd's watchdog that the service is alive while evaluations are not stuck, until cancelled."""
    interval = _watchdog_seconds() / _FEEDS_PER_INTERVAL
    while interval > 0:
        if not is_stuck():
            notify_systemd("WATCHDOG=1")
        await asyncio.sleep(interval)


def _watchdog_seconds() -> float:
    """Return the interval of the watchdog. 0 without one."""
    usec, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    is_ours = not pid or pid == str(os.getpid())
    return int(usec) / _MICROSECONDS if usec.isdecimal() and is_ours else 0.0
