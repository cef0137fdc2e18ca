"""Instructions of a poll against its floor: unlike CPU time, they do not depend on what else the machine does."""

import json
import sys
from collections.abc import Callable
from functools import cache

import uvloop

from exporter.sources.rigs import reader, transport
from exporter.sources.rigs.firmware import antminer, whatsminer_v2
from tests.bench.bench_poll import FAMILIES, FLOOR, child, floor, line, ours_without_web_pages
from tests.bench.counted import counts, section, why_not
from tests.bench.machine import TIMEOUT
from tests.bench.result import Result

_WARM_UP = 60  # the interpreter adapts its code to the types that it meets
_POLLS = 20


async def _count(family: str, addresses: list[str]) -> None:
    """Poll within counted sections."""
    for name, contender in (("ours", ours_without_web_pages), ("floor", floor)):
        poll = await contender(addresses)
        for number in range(_WARM_UP):
            await poll(addresses[number % len(addresses)])
        with section(f"{family} {name}"):
            for number in range(_POLLS):
                await poll(addresses[number % len(addresses)])


async def _count_all(rigs: dict[str, list[str]]) -> None:
    for family, addresses in rigs.items():
        await _count(family, addresses)


@cache
def instructions() -> dict[str, dict[str, float]]:
    """Instructions per poll of the rigs of each family, by contender. Those of the kernel are not counted."""
    with child("site") as site:
        found = counts("tests.bench.bench_floor", line(site))
    costs = {family: {name: found[f"{family} {name}"] / _POLLS for name in ("ours", "floor")} for family in FAMILIES}
    for family, figures in costs.items():
        print(
            f"{family}, instructions per poll: {', '.join(f'{k} {v:,.0f}' for k, v in figures.items())}",
            file=sys.stderr,
        )
    return costs


def ratio(family: str) -> Callable[[], Result]:
    def bench() -> Result:
        if reason := why_not():
            raise SystemExit(reason)
        costs = instructions()[family]
        return Result(costs["ours"] / costs["floor"], "ratio", FLOOR)

    return bench


BENCHES = {f"poll_instructions_{family}": ratio(family) for family in FAMILIES}

if __name__ == "__main__":
    for module, timeout in (
        (reader, "PROBE_SECONDS"),
        (transport, "CONNECT_SECONDS"),
        (antminer, "_WEB_TIMEOUT"),
        (whatsminer_v2, "_EXTRA_TIMEOUT"),
    ):
        setattr(module, timeout, TIMEOUT)  # callgrind takes fifty times as long
    uvloop.run(_count_all(json.loads(sys.argv[1])))
