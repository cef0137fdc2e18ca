"""Starts a simulated site: ``python -m exporter.simulation --rigs 120 --config-out site.yml``.

It writes one JSON line to standard output when it is ready. It runs until SIGTERM or SIGINT, or until its parent or a
piped standard input goes away.
"""

import argparse
import asyncio
import contextlib
import json
import math
import os
import signal
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import yaml

from exporter.simulation.config import owed
from exporter.simulation.control import SWITCHES
from exporter.simulation.market import SLOT_SECONDS
from exporter.simulation.site import CONTROL_PORT, SimulatedSite
from exporter.simulation.wire import SimulationError

_PARENT_CHECK_SECONDS: Final = 1.0


def main(arguments: Sequence[str] | None = None, site: type[SimulatedSite] = SimulatedSite) -> int:
    """Run a site until a signal or its parent's end stops it, and return the process's exit status."""
    options = _parser().parse_args(arguments)
    with contextlib.suppress(ImportError, ValueError, OSError):
        _raise_file_limit()
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(options, site))
    except SimulationError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


async def _serve(options: argparse.Namespace, kind: type[SimulatedSite]) -> None:
    site = kind(
        options.rigs,
        seed=options.seed,
        network=options.network,
        slot_seconds=options.slot_seconds,
        wave_seconds=options.price_wave,
        control_port=options.control_port,
        port_offset=options.port_offset,
        models=options.model,
        weights=dict(options.weight),
    )
    stopping = _stop_signal()
    async with site:
        if options.config_out is not None:
            try:
                write_config(site, options.config_out)
            except OSError as error:
                raise SimulationError(f"{options.config_out} cannot be written to: {error.strerror}") from None
        if site.left_out:
            sys.stderr.write(f"left out: {'; '.join(site.left_out)}\n")
        ready = {
            "ready": True,
            "rigs": len(site.placements),
            "left_out": site.left_out,
            "planned_faults": site.planned_faults(),
            "control": site.control.service.url,
            "sources": {name: service.url for name, service in site.sources.items()},
        }
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        await stopping.wait()


def write_config(site: SimulatedSite, path: Path) -> None:
    """Write the exporter's configuration for a site, and beside it what the site owes, if its prices are scripted."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # ten thousand rigs take the pure Python one several seconds
    config = site.config()
    if site.wave_seconds is not None:
        file = path.with_name("obligations.yml")
        file.write_text(yaml.dump(owed(site), Dumper=dumper, sort_keys=False), encoding="utf-8")
        config |= {"obligations": {"utility": {"kind": "schedule", "path": file.name, "interval": "5s"}}}
    path.write_text(yaml.dump(config, Dumper=dumper, sort_keys=False), encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m exporter.simulation",
        description="A simulated mining site on loopback addresses, with the real protocols and ports.",
        epilog=f"Its control API: GET / returns its state; {'; '.join(f'POST {each}' for each in SWITCHES)}.",
    )
    parser.add_argument("--rigs", type=int, default=120, help="how many rigs (default: %(default)s)")
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        help="a rig of this model, such as 'LuxOS S21', instead of the mixture; may be repeated (an unknown "
        "name lists the known ones)",
    )
    parser.add_argument(
        "--weight",
        action="append",
        default=[],
        type=_weight,
        metavar="FIRMWARE=WEIGHT",
        help="the weight of a firmware in the mixture, such as luxos=0.1; may be repeated (an unknown name lists the "
        "known ones)",
    )
    parser.add_argument("--seed", type=int, default=21, help="same seed, same site (default: %(default)s)")
    parser.add_argument(
        "--network", default="127.30.0.0/16", help="loopback network that it lives in (default: %(default)s)"
    )
    parser.add_argument("--config-out", type=Path, help="write the exporter's configuration for this site to this file")
    parser.add_argument(
        "--control-port", type=int, default=CONTROL_PORT, help="port of the control API (default: %(default)s)"
    )
    parser.add_argument(
        "--port-offset", type=int, default=0, help="added to the ports of node, markets and GPUs (default: %(default)s)"
    )
    parser.add_argument(
        "--slot-seconds",
        type=float,
        default=SLOT_SECONDS,
        help="how long a power price lasts; 60 lets a viewer see it move (default: %(default)s)",
    )
    parser.add_argument(
        "--price-wave",
        type=float,
        metavar="SECONDS",
        help="script the power prices: from dear to nearly free and back in so many seconds, and let the exporter's "
        "configuration decide within a minute or two, so that a viewer sees verdicts change",
    )
    return parser


def _weight(text: str) -> tuple[str, float]:
    """Read a firmware and its weight. Raises ArgumentTypeError for anything else."""
    name, _, number = text.partition("=")
    try:
        weight = float(number)
    except ValueError:
        weight = 0.0
    if not 0 < weight < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no firmware and weight above 0, such as luxos=0.1")
    return name, weight


def _loop_factory() -> "type[asyncio.AbstractEventLoop] | None":
    try:
        import uvloop  # noqa: PLC0415 - not there on every platform
    except ImportError:
        return None
    return uvloop.Loop


def _raise_file_limit() -> None:
    """Raise the limit of open files to the highest allowed: each rig has listening sockets."""
    import resource  # noqa: PLC0415 - not there on every platform

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _stop_signal() -> asyncio.Event:
    """Make an event that is set by SIGTERM, SIGINT, the end of a piped stdin, or the end of the parent."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    with contextlib.suppress(OSError):  # there may be no standard input at all
        if stat.S_IFMT(os.fstat(0).st_mode) in (stat.S_IFIFO, stat.S_IFSOCK):  # uvloop makes sockets for pipes
            loop.add_reader(0, _watch_stdin, stopping)
    parent = os.getppid()

    def check_parent() -> None:
        if os.getppid() != parent:
            stopping.set()
        loop.call_later(_PARENT_CHECK_SECONDS, check_parent)

    check_parent()
    return stopping


def _watch_stdin(stopping: asyncio.Event) -> None:
    if not os.read(0, 4096):
        asyncio.get_running_loop().remove_reader(0)
        stopping.set()


if __name__ == "__main__":
    sys.exit(main())
