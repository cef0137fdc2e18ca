"""One stack for all end-to-end tests that share it; who changes the site puts it back."""

from collections.abc import Iterator

import pytest
from harness import Stack, stack, wait_for

USUAL = 55  # USD per MWh: old rigs lose, new ones earn


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site that has been polled and scraped, with the rules run over it, at the power price of a usual night."""
    with stack(tmp_path_factory.mktemp("stack")) as started:
        prometheus, rigs = started.prometheus, len(started.site()["rigs"])
        started.tell("power", usd_per_megawatt_hour=USUAL)
        wait_for("all rigs to be polled", lambda: prometheus.value("count(mining_rig_up)") == rigs)
        wait_for(
            "answering rigs to be priced",
            lambda: (prometheus.value("count(mining_rig_margin_usd_per_day)") or 0) > rigs * 0.9,
        )
        wait_for("site totals", lambda: prometheus.query("site:mining_margin_usd_per_day:sum"))
        yield started
