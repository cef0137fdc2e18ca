"""The short form of ``make chaos``: every fault once, kills between them, and the invariants on every scrape."""

import pytest
from chaos_invariants import Invariants, parsed
from chaos_run import run
from own_network import OWN, fresh_network

GOOD = """
# TYPE mining_rig_margin_usd_per_day gauge
mining_rig_inventory_info{rig="a",block="north"} 1
mining_rig_inventory_info{rig="b",block="north"} 1
mining_rig_revenue_usd_per_day{rig="a"} 5
mining_rig_power_cost_usd_per_day{rig="a"} 3
mining_rig_margin_usd_per_day{rig="a"} 2
mining_block_margin_usd_per_day{block="north"} 2
mining_rig_last_success_timestamp_seconds{rig="a"} 1000
mining_rig_uptime_seconds{rig="a"} 100
mining_rig_accepted_difficulty_total{rig="a"} 7
mining_rig_energy_joules_total{rig="a"} 10
mining_poll_failures_total{reason="timeout"} 3
"""


def test_a_good_scrape_breaks_no_rule() -> None:
    invariants = Invariants()
    for _ in range(2):
        invariants.check(parsed(GOOD), now=1000.0)
    assert not invariants.broken


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ('mining_rig_revenue_usd_per_day{rig="a"} NaN', "finite"),
        ('mining_rig_power_cost_usd_per_day{rig="a"} 4', "margin"),
        ('mining_rig_margin_usd_per_day{rig="b"} 1', "margin"),
        ('mining_block_margin_usd_per_day{block="north"} 3', "sum"),
        ('mining_rig_last_success_timestamp_seconds{rig="a"} 1002', "age"),
        ('mining_rig_energy_joules_total{rig="a"} 9', "counter"),
        ('mining_rig_accepted_difficulty_total{rig="a"} 0', "counter"),
    ],
)
def test_each_rule_is_checked(line: str, rule: str) -> None:
    invariants = Invariants()
    invariants.check(parsed(GOOD), now=1000.0)
    invariants.forget_process()
    invariants.check(parsed(f"{GOOD}{line}\n"), now=1000.0)
    assert rule in invariants.broken


def test_only_what_was_started_anew_may_count_from_0() -> None:
    invariants = Invariants()
    invariants.check(parsed(GOOD), now=1000.0)
    rig_anew = 'mining_rig_uptime_seconds{rig="a"} 5\nmining_rig_accepted_difficulty_total{rig="a"} 0\n'
    invariants.check(parsed(GOOD + rig_anew), now=1000.0)
    assert not invariants.broken
    fallen = 'mining_poll_failures_total{reason="timeout"} 0\n'
    invariants.check(parsed(GOOD + rig_anew + fallen), now=1000.0)
    assert invariants.broken == {"counter": 1}
    invariants.forget_process()
    invariants.check(parsed(GOOD + rig_anew + fallen), now=1000.0)
    assert invariants.broken == {"counter": 1}


async def test_no_fault_breaks_an_invariant() -> None:
    figures, invariants = await run(
        seconds=12.0, rigs=20, network=fresh_network(), address=f"{OWN}.7.1:19852", seed=21, pause=0.5
    )
    assert invariants.scrapes > 0
    assert figures.kills > 0
    assert not invariants.broken, invariants.examples
