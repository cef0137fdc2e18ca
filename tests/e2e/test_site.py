"""A real Prometheus scrapes a simulated site: what it stores is what the site does, and the money adds up."""

import pytest
from harness import Prometheus, Stack, wait_for

pytestmark = pytest.mark.e2e

SILENT = ("unplugged", "hung")
CENT = 0.01
MONEY = ("revenue", "power_cost", "margin")


def scraped(prometheus: Prometheus) -> float:
    """When the newest stored scrape began: it is whole there, whatever is being scraped now."""
    return wait_for("a scrape", prometheus.scrapes)[-1]


def priced(prometheus: Prometheus) -> float | None:
    """When the newest stored scrape began, if it has the margins of most rigs at the price of a usual night."""
    at = scraped(prometheus)
    margins = prometheus.by("rig", "mining_rig_margin_usd_per_day", at).values()
    # Old rigs lose, new ones earn.
    return at if len(margins) > 100 and min(margins) < 0 < max(margins) else None


def seen_by_rules(prometheus: Prometheus) -> tuple[float, list[float]]:
    """When all rules last ran, and the scrapes of which each saw one: the newest may have been under way."""

    def all_ran() -> float | None:
        stamps = [prometheus.value(f"timestamp(site:mining_{quantity}_usd_per_day:sum)") for quantity in MONEY]
        return min(at for at in stamps if at is not None) if None not in stamps else None

    ran = wait_for("the rules", all_ran)
    wait_for("all scrapes of before", lambda: scraped(prometheus) > ran)
    return ran, prometheus.scrapes(ran)[-2:]


def test_rigs_are_up_and_down_as_simulated(running: Stack) -> None:
    silent = running.rigs_with(*SILENT)
    assert silent, "the simulation starts with some rigs that do not answer"
    healthy = {name for name, rig in running.site()["rigs"].items() if rig["fault"] is None}
    expected = dict.fromkeys(silent, 0) | dict.fromkeys(healthy, 1)
    wait_for(
        "them to be those that are down",
        lambda: expected.items() <= running.prometheus.by("rig", "mining_rig_up").items(),
    )


def test_margin_is_revenue_less_power_cost_for_each_rig(running: Stack) -> None:
    at = wait_for("margins", lambda: priced(running.prometheus))
    revenue = running.prometheus.by("rig", "mining_rig_revenue_usd_per_day", at)
    cost = running.prometheus.by("rig", "mining_rig_power_cost_usd_per_day", at)
    margin = running.prometheus.by("rig", "mining_rig_margin_usd_per_day", at)
    for rig, value in margin.items():
        assert value == pytest.approx(revenue[rig] - cost[rig], abs=1e-6), rig


def test_a_block_is_the_sum_of_its_rigs(running: Stack) -> None:
    prometheus = running.prometheus
    at = wait_for("margins", lambda: priced(prometheus))
    # A sum covers the rigs whose margin is known.
    for quantity in MONEY:
        by_rig = prometheus.by(
            "block",
            f"sum by (block) ((mining_rig_{quantity}_usd_per_day and on (rig) mining_rig_margin_usd_per_day)"
            " * on (rig) group_left (block) mining_rig_inventory_info)",
            at,
        )
        blocks = prometheus.by("block", f"mining_block_{quantity}_usd_per_day", at)
        assert by_rig == pytest.approx(blocks, abs=CENT), quantity
    assert prometheus.value("sum(mining_rigs)", at) == prometheus.value("count(mining_rig_inventory_info)", at)


def test_the_site_is_the_sum_of_its_blocks(running: Stack) -> None:
    prometheus = running.prometheus
    ran, moments = seen_by_rules(prometheus)
    for quantity in MONEY:  # each by a rule of its own
        blocks = [prometheus.value(f"sum(mining_block_{quantity}_usd_per_day)", at) for at in moments]
        site = prometheus.value(f"site:mining_{quantity}_usd_per_day:sum", ran)
        assert site in [pytest.approx(total, abs=CENT) for total in blocks], quantity


def test_hashprice_is_that_of_the_market(running: Stack) -> None:
    prometheus = running.prometheus
    value = wait_for("it", lambda: prometheus.value("mining_hashprice_usd_per_petahash_day", scraped(prometheus)))
    assert value == pytest.approx(33.30, rel=0.02)


def test_an_unplugged_rig_vanishes_and_comes_back(running: Stack) -> None:
    prometheus = running.prometheus
    rig = next(name for name, rig in running.site()["rigs"].items() if rig["fault"] is None)
    hashrate = f'mining_rig_hashrate_hashes_per_second{{rig="{rig}"}}'
    wait_for("its hashrate", lambda: prometheus.query(hashrate))

    def gone() -> float | None:
        at = scraped(prometheus)
        down = prometheus.value(f'mining_rig_up{{rig="{rig}"}}', at) == 0
        return at if down and not prometheus.query(hashrate, at) else None

    running.switch("faults", rig=rig, fault="unplugged")
    try:
        at = wait_for("it to be down and its hashrate to be gone", gone)
        for name in ("mining_rig_power_watts", "mining_rig_margin_usd_per_day", "mining_rig_revenue_usd_per_day"):
            assert not prometheus.query(f'{name}{{rig="{rig}"}}', at), name
        assert prometheus.value(f'mining_rig_inventory_info{{rig="{rig}"}}', at) == 1, "the inventory still has it"
        assert prometheus.value(f'mining_rig_last_success_timestamp_seconds{{rig="{rig}"}}', at)
    finally:
        running.switch("faults", rig=rig, fault=None)
    wait_for("it to be back", lambda: prometheus.query(hashrate))


def test_implausible_values_of_a_rig_are_dropped(running: Stack) -> None:
    (liar,) = running.rigs_with("lying")
    assert not running.prometheus.query(f'mining_rig_hashrate_hashes_per_second{{rig="{liar}"}} > 1e15')


def test_what_the_site_owes_and_its_plan_are_stored(running: Stack) -> None:
    prometheus = running.prometheus

    def owed() -> float | None:
        at = scraped(prometheus)
        return at if prometheus.value("min(mining_obligations_known)", at) == 1 else None

    at = wait_for("what is owed", owed)
    assert prometheus.value('mining_obligation_cap_watts{event="feeder"}', at) == 5e6
    assert prometheus.value('mining_obligation_floor_watts{event="reserve"}', at) == 1e3

    def of_one_scrape() -> tuple[float, float] | None:
        at = scraped(prometheus)
        blocks = prometheus.value("sum(mining_plan_block_watts)", at)
        site = prometheus.value('mining_plan_site_watts{offset_hours="0"}', at)
        return None if blocks is None or site is None else (blocks, site)

    blocks, site = wait_for("a plan", of_one_scrape)
    assert blocks == pytest.approx(site)
    assert 0 < site < 5e6


def test_scrapes_are_complete(running: Stack) -> None:
    at = scraped(running.prometheus)
    assert (running.prometheus.value("scrape_samples_scraped", at) or 0) > 3000
