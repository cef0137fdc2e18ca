"""One site for all end-to-end tests that share it; who changes the site puts it back."""

import contextlib
import os
from collections.abc import Callable, Iterator

import pytest
from harness import USUAL, Stack, exported_site, own_network, stack, wait_for
from panels import MissingError, build
from prometheus_releases import RELEASES

LONGEST = "test_alerting"
HUNGRIEST = "test_sharded_site"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest file begins first; the one that needs most of the machine last, when few alerts are still timed."""
    items.sort(key=lambda item: (item.path.stem != LONGEST, item.path.stem == HUNGRIEST))


@pytest.fixture(scope="session", autouse=True)
def outside() -> Iterator[Callable[[], contextlib.AbstractContextManager[None]]]:
    """Processes side by side have a network each, so that their ports don't collide; this leads out of it."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        yield contextlib.nullcontext
        return
    with own_network() as way_out:
        yield way_out


@pytest.fixture(scope="module", autouse=True)
def network(
    request: pytest.FixtureRequest, outside: Callable[[], contextlib.AbstractContextManager[None]]
) -> Iterator[None]:
    """Tests marked ``downloads`` run in the usual network."""
    marked = any(mark.name == "downloads" for mark in request.node.iter_markers())
    with outside() if marked else contextlib.nullcontext():
        yield


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The site's control API and its exporter."""
    with exported_site(tmp_path_factory.mktemp("site")) as started:
        yield started


@pytest.fixture(scope="session", params=RELEASES, ids=lambda release: release.name)
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, exported: tuple[str, str]
) -> Iterator[Stack]:
    """A site that has been polled and scraped, with the rules run over it, at the power price of a usual night.

    Tests run once for each Prometheus; those to which it makes no difference are marked with ``any_prometheus``.
    """
    with stack(tmp_path_factory.mktemp("stack"), exported, request.param) as started:
        prometheus, rigs = started.prometheus, len(started.site()["rigs"])
        started.switch("power", usd_per_megawatt_hour=USUAL)
        spot = 'mining_power_price_usd_per_kilowatt_hour{tariff="spot"}'
        wait_for("the price", lambda: prometheus.value(spot) == pytest.approx(USUAL / 1_000))
        wait_for("all rigs to be polled", lambda: prometheus.value("count(mining_rig_up)") == rigs)
        wait_for(
            "answering rigs to be priced",
            lambda: (prometheus.value("count(mining_rig_margin_usd_per_day)") or 0) > rigs * 0.9,
        )
        wait_for("site totals", lambda: prometheus.query("site:mining_margin_usd_per_day:sum"))
        yield started


@pytest.fixture(scope="session")
def libraries() -> None:
    """Grafana's libraries, ready to be asked."""
    try:
        build()
    except MissingError as error:
        pytest.skip(str(error))
