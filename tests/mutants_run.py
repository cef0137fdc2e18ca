"""``mutmut run`` that collects the tests once: ``python -m tests.mutants_run WORKERS SHARE [PATTERN...]``.

mutmut starts pytest anew for each mutant, which takes longer than the test that fails. Here each mutant is a fork of a
process that has collected all tests, and runs those that call the changed function, the fastest first: all in the files
of its module, and others as long as these take together at most SHARE of the time of all tests.
"""

import functools
import gc
import math
import resource
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import mutmut.__main__ as command
import pytest
from _pytest.config import _prepareconfig  # as pytest-xdist does, for a session that stays open
from mutmut.configuration import config
from mutmut.mutation import trampoline
from mutmut.runners.harness import PytestRunner
from mutmut.state import state
from mutmut.utils.file_utils import change_cwd
from mutmut.workers.isolation import ForkRunner

MOST_CPU = 10
"""How many times the time of its tests a mutant may take. Endless ones end there."""
MOST_MEMORY = 4 << 30
"""Bytes of address space a mutant may take. One whose list never ends fails its test there."""
KILLED, BROKEN = 1, 3
"""Exit codes: a test failed, and pytest failed, which counts as killed too."""


class Collected:
    """A session of pytest that has collected the tests and has run none."""

    def __init__(self) -> None:
        selection = config().pytest_add_cli_args + config().pytest_add_cli_args_test_selection
        with change_cwd("mutants"):
            settings = _prepareconfig(["--rootdir=.", "--tb=native", "-x", "-q", "--capture=no", *selection])
            settings._do_configure()
            self._session = pytest.Session.from_config(settings)
            settings.hook.pytest_sessionstart(session=self._session)
            settings.hook.pytest_collection(session=self._session)
        self._items = {item.nodeid: item for item in self._session.items}
        for cached in gc.get_objects():  # what earlier runs have left there is not asked of a mutant
            if isinstance(cached, functools._lru_cache_wrapper):
                cached.cache_clear()

    def run(self, tests: Iterable[str]) -> int:
        """Return the exit code of the tests with these ids. Only for a forked process: a session runs once."""
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
        self._session.items = [self._items[name] for name in tests]
        try:
            with change_cwd("mutants"):
                self._session.config.hook.pytest_runtestloop(session=self._session)
        except pytest.Session.Failed:
            return KILLED
        except BaseException:  # noqa: BLE001 - the fork must end here, whatever a mutant raises
            return BROKEN
        return KILLED if self._session.testsfailed else 0


def chosen(mutant: str, tests: Iterable[str], seconds: Mapping[str, float], share: float) -> list[str]:
    """Return the tests to run for a mutant, of those that call its function; ``seconds`` are those of all tests."""
    own = "test_" + "_".join(mutant.split(".")[1:3])  # exporter.decision.latch.x_step__mutmut_1: test_decision_latch
    left = share * sum(seconds.values())
    picked: list[str] = []
    for test in sorted(tests, key=lambda test: (seconds[test], test)):
        if not test.rpartition("/")[2].startswith(own):
            left -= seconds[test]
            if left < 0 and picked:
                continue
        picked.append(test)
    return picked


def main(workers: int, share: float, patterns: tuple[str, ...]) -> None:
    """Test the mutants that match, or all that have no result."""
    collected: list[Collected] = []
    begin, submit, run_tests = ForkRunner.startup, ForkRunner.submit, PytestRunner.run_tests

    def startup(runner: Any) -> None:
        collected.append(Collected())
        begin(runner)

    def pick(runner: Any, mutant_name: str, tests: list[str], *_: float) -> None:
        seconds = state().duration_by_test
        picked = chosen(mutant_name, tests, seconds, share)
        expected = sum(seconds[test] for test in picked)
        limit = math.ceil((expected + 1) * MOST_CPU)
        submit(runner, mutant_name, picked, limit, limit)  # by the clock many times that: the machine may be busy

    def run(runner: Any, *, mutant_name: str | None, tests: Iterable[str]) -> int:
        if mutant_name is None:
            return int(run_tests(runner, mutant_name=None, tests=tests))
        return collected[0].run(tests)

    ForkRunner.startup, ForkRunner.submit, PytestRunner.run_tests = startup, pick, run
    # Called by each call of a function: the lookup in the environment would take longest.
    trampoline.get_mutant_under_test = lambda: trampoline._mutant_under_test or ""
    command._run(patterns, workers)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), tuple(sys.argv[3:]))
