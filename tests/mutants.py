"""Mutation tests of economics/ and decision/: ``python -m tests.mutants [--update] [PATTERN...]`` (``make mutants``).

mutmut changes one expression at a time and runs the tests of both packages. A changed expression that no test notices
is a survivor. ``mutants.yml`` has the accepted number of survivors of each function, and why they are harmless. More
survivors than that fail. Each change meets the tests of its module and some fast ones first, and all tests where more
survive than accepted. mutmut keeps its results in ``mutants/``, so a later run tests only functions that changed.

``mutmut show NAME`` prints a survivor's change. ``--update`` writes the numbers of this run into ``mutants.yml``.
"""

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

ACCEPTED = Path(__file__).with_suffix(".yml")
LONGEST_RUN = 90 * 60
"""Seconds after which a run is stopped. What it has tested counts, and the next run continues there."""
FEW, ALL = "0.05", "1"
"""Share of the time of all tests that those of other modules may take for one mutant: at first, and where in doubt."""
SURVIVED = {"survived", "no tests", "timeout", "suspicious"}
INTRODUCTION = """\
# Accepted survivors of the mutation tests, by function. A function that is not listed has none.
# `why` explains survivors that no test can kill. Survivors without it should be killed.
"""


def mutmut(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "mutmut", *arguments]


def run(patterns: Sequence[str], share: str) -> None:
    """Test the mutants, all or those that match. CalledProcessError: mutmut could not run."""
    workers = str(os.cpu_count() or 1)
    command = [sys.executable, "-m", "tests.mutants_run", workers, share, *patterns]
    with subprocess.Popen(command, start_new_session=True) as process:
        try:
            process.wait(LONGEST_RUN)
        except subprocess.TimeoutExpired:
            print(f"stopped after {LONGEST_RUN // 60} minutes: the next run continues here", file=sys.stderr)
            os.killpg(process.pid, signal.SIGINT)
            process.wait()
            return
        except KeyboardInterrupt:
            os.killpg(process.pid, signal.SIGINT)
            raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)


def survivors() -> dict[str, list[str]]:
    """Return the names of the survivors, by function."""
    output = subprocess.run(mutmut("results"), check=True, capture_output=True, text=True).stdout
    found: dict[str, list[str]] = {}
    for name, status in re.findall(r"^\s*(\S+): (.+)$", output, re.MULTILINE):
        if status in SURVIVED:
            found.setdefault(function_of(name), []).append(name)
    return found


def function_of(mutant: str) -> str:
    """Turn mutmut's name of a mutant into the name of its function.

    ``a.b.x_c__mutmut_1`` is ``a.b.c``, and ``a.b.xǁDǁe__mutmut_2`` is ``a.b.D.e``.
    """
    module, _, name = mutant.rpartition("__mutmut_")[0].rpartition(".")
    return f"{module}.{name.removeprefix('xǁ').replace('ǁ', '.') if name.startswith('xǁ') else name.removeprefix('x_')}"


def unaccepted(found: Mapping[str, Sequence[str]], accepted: Mapping[str, Any]) -> dict[str, Sequence[str]]:
    """Return the survivors of functions that have more of them than accepted."""
    return {
        function: names
        for function, names in sorted(found.items())
        if len(names) > accepted.get(function, {}).get("survivors", 0)
    }


def update(found: Mapping[str, Sequence[str]], accepted: Mapping[str, Any], patterns: Sequence[str]) -> None:
    """Write the numbers of ``found``. Functions that match no pattern were not tested, or in part, and keep theirs."""
    kept = {name: row for name, row in accepted.items() if patterns and not matches(name, patterns)}
    counted = {name: names for name, names in found.items() if not patterns or matches(name, patterns)}
    rows = kept | {name: accepted.get(name, {}) | {"survivors": len(names)} for name, names in counted.items()}
    text = yaml.safe_dump(dict(sorted(rows.items())), sort_keys=False, allow_unicode=True, width=100)
    ACCEPTED.write_text(INTRODUCTION + text, encoding="utf-8")


def matches(function: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch(function, pattern) for pattern in patterns)


def main(arguments: Sequence[str]) -> int:
    """Run, then compare with the accepted numbers or write them. Returns the exit status."""
    patterns = [argument for argument in arguments if argument != "--update"]
    accepted = yaml.safe_load(ACCEPTED.read_text(encoding="utf-8")) or {}
    run(patterns, FEW)
    doubtful = [
        name
        for function, names in unaccepted(survivors(), accepted).items()
        if not patterns or matches(function, patterns)
        for name in names
    ]
    if doubtful:
        run(doubtful, ALL)
    found = survivors()
    if "--update" in arguments:
        update(found, accepted, patterns)
        return 0
    by_room = Counter(".".join(function.split(".")[:2]) for function, names in found.items() for _ in names)
    print("survivors:", ", ".join(f"{room} {count}" for room, count in sorted(by_room.items())) or "none")
    too_many = unaccepted(found, accepted)
    for function, names in too_many.items():
        allowed = accepted.get(function, {}).get("survivors", 0)
        print(f"{function}: {len(names)} survivors, accepted are {allowed}: {' '.join(names)}", file=sys.stderr)
    return 1 if too_many else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
