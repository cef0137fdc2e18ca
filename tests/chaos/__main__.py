"""``make chaos``: twenty minutes of faults in a network of their own, one line of JSON per figure.

Exits with 1 if a figure is above its limit. Needs ``unshare`` and ``ip`` for the network of its own.
"""

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from chaos_run import lines, run

_HERE: Final = Path(__file__).parent
_FUZZ: Final = _HERE.parent / "contract" / "test_fuzz.py"
_FUZZ_SHARE: Final = 0.3


def main() -> int:
    """Run it, in a network of its own by default."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1_200.0)
    parser.add_argument("--rigs", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=21)
    parser.add_argument("--network", default="127.90.0.0/18")
    parser.add_argument("--address", default="127.0.0.1:19852")
    parser.add_argument(
        "--only", default="", help="some faults, with commas, and nothing else: pages,guesses,idle connections"
    )
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.inside:
        return _in_own_network([*sys.argv[1:], "--inside"])
    only = [name.strip() for name in options.only.split(",") if name.strip()]
    share = options.seconds if only else options.seconds * (1 - _FUZZ_SHARE)
    figures, invariants = asyncio.run(
        run(share, options.rigs, options.network, options.address, options.seed, prometheus=True, only=only)
    )
    records = [*lines(figures, invariants), *([] if only else [_fuzz(options.seconds - share, options.seed)])]
    for record in records:
        print(json.dumps(record))
    return int(not all(record["holds"] for record in records))


def _in_own_network(arguments: list[str]) -> int:
    if not shutil.which("unshare") or not shutil.which("ip"):
        print("make chaos needs unshare (util-linux) and ip (iproute2)", file=sys.stderr)
        return 2
    mapped = () if os.geteuid() == 0 else ("--map-root-user",)
    script = 'ip link set lo up && exec "$@"'
    command = ("unshare", *mapped, "--net", "sh", "-c", script, "sh", sys.executable, str(_HERE))
    return subprocess.run([*command, *arguments], check=False).returncode


def _fuzz(seconds: float, seed: int) -> dict[str, object]:
    """Send hostile input to every parser and translator until the time is over, each round with another seed."""

    ends, rounds, failed, output = time.monotonic() + seconds, 0, 0, ""
    while failed == 0 and (rounds == 0 or time.monotonic() < ends):
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "-n2", "-p", "no:cacheprovider", str(_FUZZ)],
            env=os.environ | {"HASHMARGIN_FUZZ": "3", "HASHMARGIN_FUZZ_SEED": str(seed + rounds)},
            capture_output=True,
            text=True,
            check=False,
        )
        rounds += 1
        failed += done.returncode != 0
        output = done.stdout[-1_500:] if done.returncode else ""
    record: dict[str, object] = {"figure": "rounds_of_fuzzing", "value": rounds, "failed": failed, "holds": not failed}
    return record | ({"example": output} if output else {})


if __name__ == "__main__":
    sys.exit(main())
