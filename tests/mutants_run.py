"""``mutmut run`` that collects the tests once: ``python -m tests.mutants_run WORKERS [PATTERN...]``.

mutmut starts pytest anew for each mutant, which takes longer than the test that fails. Here each mutant is a fork of a
process that has collected all tests, and runs those of the changed function, the fastest first.
"""

import functools
import gc
import sys
from collections.abc import Iterable
from typing import Any

import mutmut.__main__ as command
import pytest
from _pytest.config import _prepareconfig  # as pytest-xdist does, for a session that stays open
from mutmut.configuration import config
from mutmut.mutation import trampoline
from mutmut.runners.harness import PytestRunner
from mutmut.utils.file_utils import change_cwd
from mutmut.workers.isolation import ForkRunner

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
        self._session.items = [self._items[name] for name in tests]
        try:
            with change_cwd("mutants"):
                self._session.config.hook.pytest_runtestloop(session=self._session)
        except pytest.Session.Failed:
            return KILLED
        except BaseException:  # noqa: BLE001 - the fork must end here, whatever a mutant raises
            return BROKEN
        return KILLED if self._session.testsfailed else 0


def main(workers: int, patterns: tuple[str, ...]) -> None:
    """Test the mutants that match, or all that have no result."""
    collected: list[Collected] = []
    begin, run_tests = ForkRunner.startup, PytestRunner.run_tests

    def startup(runner: Any) -> None:
        collected.append(Collected())
        begin(runner)

    def run(runner: Any, *, mutant_name: str | None, tests: Iterable[str]) -> int:
        if mutant_name is None:
            return int(run_tests(runner, mutant_name=None, tests=tests))
        return collected[0].run(tests)

    ForkRunner.startup, PytestRunner.run_tests = startup, run
    # Called by each call of a function: the lookup in the environment would take longest.
    trampoline.get_mutant_under_test = lambda: trampoline._mutant_under_test or ""
    command._run(patterns, workers)


if __name__ == "__main__":
    main(int(sys.argv[1]), tuple(sys.argv[2:]))
