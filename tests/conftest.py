"""For all tests: where FAIL_ON_SKIP is set, as in CI, what would be skipped fails instead."""

import os
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

_NO_SKIP = bool(os.environ.get("FAIL_ON_SKIP"))

# Neither a busy machine nor the luck of the draw is a failed test.
settings.register_profile("steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if _NO_SKIP and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if _NO_SKIP and report.skipped:
        report.outcome = "failed"
    return report
