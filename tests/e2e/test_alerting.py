"""Who is paged, and how often: a real Alertmanager delivers to a webhook what a real Prometheus finds at the site."""

from collections.abc import Iterator

import pytest
from harness import USUAL, Stack, any_prometheus, wait_for

# promtool tests the rules on each Prometheus: test_rules.py.
pytestmark = [pytest.mark.e2e, any_prometheus]

LOSS = "MiningBlockAvoidableLoss"
CHEAP, DEAR = 20, 400  # USD per MWh


@pytest.fixture(autouse=True)
def quiet(running: Stack) -> Iterator[None]:
    """Begin and end with cheap power, all sources up, and no page on; what is delivered of before is not counted."""
    _calm(running)
    running.pages.since = running.prometheus.value("time()") or 0.0
    yield
    _calm(running)
    running.switch("power", usd_per_megawatt_hour=USUAL)
    assert running.pages.untold() == [], "nobody was notified that they fire"


def _calm(running: Stack) -> None:
    running.switch("power", usd_per_megawatt_hour=CHEAP)
    wait_for("no page to be on", lambda: not running.prometheus.query('ALERTS{severity="critical"}'))
    wait_for("prices", lambda: running.prometheus.query("mining_block_avoidable_loss_usd_per_day"))


def blocks_on_spot(running: Stack) -> set[str]:
    """Blocks whose rigs pay the market's price; the others have a fixed one."""
    return set(running.prometheus.by("block", 'count by (block) (mining_rig_inventory_info{tariff="spot"})'))


def rigs_without_fault(running: Stack, block: str) -> set[str]:
    return {name for name, rig in running.site()["rigs"].items() if rig["block"] == block and not rig["fault"]}


def wait_for_evaluations(running: Stack, seconds: float) -> None:
    """Let Prometheus evaluate its rules for so long."""
    until = (running.prometheus.value("time()") or 0.0) + seconds
    wait_for("evaluations", lambda: (running.prometheus.value("timestamp(site:mining_rigs:count)") or 0.0) > until)


def test_raising_the_power_price_pages_once_per_block(running: Stack) -> None:
    spot = blocks_on_spot(running)
    assert len(spot) >= 2
    running.switch("power", usd_per_megawatt_hour=DEAR)
    wait_for("the pages", lambda: {block for block, _ in running.pages.firing(LOSS)} == spot)
    wait_for_evaluations(running, 10)
    assert len(running.pages.firing(LOSS)) == len(spot), "one page for each block"
    assert {receiver for receiver, _ in running.pages.alerts(LOSS, "firing")} == {"energy-desk"}
    assert not running.pages.alerts("MiningSiteAvoidableLoss", "firing"), "the blocks' pages say it"
    running.switch("power", usd_per_megawatt_hour=CHEAP)
    wait_for("them to resolve", lambda: len(running.pages.alerts(LOSS, "resolved")) >= len(spot))


def test_a_stale_price_pages_and_neither_starts_nor_ends_a_margin_page(running: Stack) -> None:
    spot = blocks_on_spot(running)
    running.switch("power", usd_per_megawatt_hour=DEAR)
    wait_for("the pages", lambda: {block for block, _ in running.pages.firing(LOSS)} == spot)
    running.switch("sources", name="power", fault="down")
    try:
        wait_for("the stale price's page", lambda: running.pages.alerts("MiningPowerPriceStale", "firing"))
        assert not running.prometheus.query('mining_power_price_usd_per_kilowatt_hour{tariff="spot"}')
        for block in spot:
            assert not running.prometheus.query(f'mining_block_margin_usd_per_day{{block="{block}"}}')
        wait_for_evaluations(running, 30)  # longer than the margin alert is kept firing by itself
        assert len(running.pages.firing(LOSS)) == len(spot), "no new page"
        assert not running.pages.alerts(LOSS, "resolved"), "no false all-clear"
    finally:
        running.switch("sources", name="power", fault=None)
    wait_for("the price to be back", lambda: running.pages.alerts("MiningPowerPriceStale", "resolved"))
    assert not running.pages.alerts(LOSS, "resolved"), "it is still dear"
    running.switch("power", usd_per_megawatt_hour=CHEAP)
    wait_for("them to resolve", lambda: len(running.pages.alerts(LOSS, "resolved")) >= len(spot))


FAULTS = {  # by block: the fault, its page, and the alert of each of its rigs
    "container-1": ("worker_renamed", "MiningRigsWorkerWrong", "MiningRigWorkerWrong"),
    "container-2": ("pools_dead", "MiningRigsPoolDead", "MiningRigPoolDead"),
    "container-3": ("hot", "MiningBlockOverheating", "MiningRigOverheating"),
}


def test_faults_of_many_rigs_page_the_noc_once_each_and_not_for_each_rig(running: Stack) -> None:
    rigs = {block: rigs_without_fault(running, block) for block in FAULTS}

    def notified(name: str, block: str) -> set[str]:
        return {alert["labels"]["rig"] for _, alert in running.pages.alerts(name, "firing")} & rigs[block]

    with running.broken({block: fault for block, (fault, _, _) in FAULTS.items()}):
        for block, (_, page, single) in FAULTS.items():
            wait_for(page, lambda page=page: running.pages.alerts(page, "firing"))
            wait_for(
                f"{single} of the rigs",
                lambda block=block, single=single: (
                    len({labels["rig"] for labels in running.prometheus.firing(single)} & rigs[block])
                    > len(rigs[block]) / 3
                ),
            )
        wait_for_evaluations(running, 15)  # longer than a notification of the rigs waits
        for block, (_, page, single) in FAULTS.items():
            assert {receiver for receiver, _ in running.pages.alerts(page, "firing")} == {"noc"}
            assert len(running.pages.firing(page)) == 1
            assert not notified(single, block)
    for _, page, _ in FAULTS.values():
        wait_for(f"{page} to resolve", lambda page=page: running.pages.alerts(page, "resolved"))
    wait_for_evaluations(running, 15)  # then the fixture looks at all that was resolved


def test_the_watchdog_is_notified_again_and_again(running: Stack) -> None:
    def notified() -> int:
        return sum(receiver == "watchdog" for receiver, _ in list(running.pages.notifications))

    first = wait_for("the watchdog", notified)
    wait_for("it again", lambda: notified() > first)


def test_a_block_that_is_out_pages_once_and_silences_its_rigs(running: Stack) -> None:
    block = "container-2"
    rigs = rigs_without_fault(running, block)
    with running.broken({block: "unplugged"}):
        wait_for("the page", lambda: running.pages.alerts("MiningBlockUnreachable", "firing"))
        wait_for(
            "its rigs' own alerts to be on",
            lambda: rigs <= {labels["rig"] for labels in running.prometheus.firing("MiningRigDown")},
        )
        wait_for_evaluations(running, 15)  # longer than a notification of the rigs waits
        assert {block for block, _ in running.pages.firing("MiningBlockUnreachable")} == {block}
        assert len(running.pages.firing("MiningBlockUnreachable")) == 1
        assert not running.pages.alerts("MiningSiteUnreachable", "firing")
        assert not running.pages.alerts("MiningRigsDown", "firing")
        notified = {alert["labels"]["rig"] for _, alert in running.pages.alerts("MiningRigDown", "firing")}
        assert not notified & rigs, "its rigs are not notified one by one"
    wait_for("it to resolve", lambda: running.pages.alerts("MiningBlockUnreachable", "resolved"))
    wait_for("its rigs to be back", lambda: rigs <= set(running.prometheus.by("rig", "mining_rig_up == 1")))
    wait_for_evaluations(running, 15)
    for status in ("firing", "resolved"):
        notified = {alert["labels"]["rig"] for _, alert in running.pages.alerts("MiningRigDown", status)}
        assert not notified & rigs, f"nobody was notified before that they are {status}"
