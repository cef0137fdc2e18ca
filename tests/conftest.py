"""For all tests: any user can run them; where FAIL_ON_SKIP is set, as in CI, what would be skipped fails instead.

Tests marked ``recordings`` are the exception: the recorded answers that they need are not in the repository.
"""

import os
import runpy
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from recordings import ABSENT

from exporter.simulation.wire import can_listen

_ANY_USER = Path(__file__).parent / "any_user"


# Child processes, pytest-xdist's workers among them, take it from the environment.
if not can_listen("127.0.0.1", 80):
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(_ANY_USER), os.environ.get("PYTHONPATH"))))
    sys.path.insert(0, str(_ANY_USER))
    runpy.run_path(str(_ANY_USER / "sitecustomize.py"))

_NO_SKIP = bool(os.environ.get("FAIL_ON_SKIP"))

# Neither a busy machine nor the luck of the draw is a failed test.
settings.register_profile("steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")
# For `make mutants`, which runs a test many times and asks only whether it fails: few examples, and nothing is shrunk.
settings.register_profile(
    "mutants", parent=settings.get_profile("steady"), phases=[Phase.explicit, Phase.generate], max_examples=20
)


_LONGEST = (
    *("test_app", "test_chaos.", "test_rig_campaign.", "test_state.", "test_tools_replay.", "test_tools_backtest."),
    *("test_sources.", "test_polling_rigs.", "test_cli_init.", "test_fuzz."),
)
"""Beginnings of the names of the files that take longest: most wait for processes and timers."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files, so that no worker is left with one of them at the end."""
    items.sort(key=lambda item: not item.path.name.startswith(_LONGEST))


def pytest_report_header() -> str:
    return f"ports below 1024: {'stood for by higher ones' if str(_ANY_USER) in sys.path else 'as they are'}"


def pytest_runtest_setup(item: pytest.Item) -> None:
    if ABSENT and item.get_closest_marker("recordings"):
        pytest.skip(ABSENT)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    allowed = ABSENT and item.get_closest_marker("recordings")
    if _NO_SKIP and report.skipped and not allowed and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if _NO_SKIP and report.skipped:
        report.outcome = "failed"
    return report
