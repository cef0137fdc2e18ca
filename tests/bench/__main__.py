"""Runs benches: ``python -m tests.bench [NAME...]``. A table goes to standard error, JSON lines to standard output.
Both say on how many cores, under which load, and what others ran meanwhile.

A bench is a function without arguments that returns a :class:`Result`, listed by name in ``BENCHES`` of a file
``bench_*.py`` beside this one.
"""

import importlib
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from exporter.logs import LogSettings, configure
from tests.bench.machine import moment, shared
from tests.bench.result import Result


def found() -> dict[str, Callable[[], Result]]:
    """Every bench, by name."""
    benches: dict[str, Callable[[], Result]] = {}
    for path in sorted(Path(__file__).parent.glob("bench_*.py")):
        module = importlib.import_module(f"tests.bench.{path.stem}")
        if twice := benches.keys() & module.BENCHES.keys():
            raise SystemExit(f"{path.name}: {', '.join(twice)} is there already")
        benches |= module.BENCHES
    return benches


def main(names: list[str]) -> int:
    """Run the benches of these names, or all."""
    configure(LogSettings(level="warning"))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended before its time"))  # and with it what it has started
    benches = found()
    if unknown := set(names) - benches.keys():
        print(f"no such bench: {', '.join(sorted(unknown))}; there are {', '.join(benches)}", file=sys.stderr)
        return 2
    width = max(map(len, benches))
    for name in names or benches:
        before = moment()
        result = benches[name]()
        after = moment()
        took, machine = after.at - before.at, shared(before, after)
        against = f"against {result.against}" if result.against else ""
        print(f"{name:<{width}}  {result.value:>12,.4g} {result.unit:<8} {against}  ({took:.0f} s)", file=sys.stderr)
        print(f"{'':<{width}}  on {', '.join(f'{key} {value}' for key, value in machine.items())}", file=sys.stderr)
        figures = {"name": name, "value": result.value, "unit": result.unit, "against": result.against} | machine
        print(json.dumps({key: value for key, value in figures.items() if value is not None}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
