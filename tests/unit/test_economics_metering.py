"""What meters show becomes watts of rigs: their own, else their share of their block's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sites import rig, site

from exporter.economics.metering import metered_power, with_metered_power
from exporter.model.readings import MeterReading
from exporter.model.snapshot import RigSnapshot

OWN = MeterReading(rigs={"a": 3400.0})
BLOCK = MeterReading(blocks={"north": 9000.0})


def running(name: str, power: float | None, hashrate: float = 200e12, **facts: float) -> RigSnapshot:
    return rig(name=name, power=power, hashrate=hashrate, facts=facts)


def test_a_rigs_power_is_that_of_its_own_meter() -> None:
    snapshot = site(running("a", 3500.0), running("b", 3500.0), meters=(OWN,))
    metered = with_metered_power(snapshot, metered_power(snapshot).rigs)
    assert [each.metered_power for each in metered.rigs] == [3400.0, None]


def test_without_meters_the_snapshot_stays_as_it_is() -> None:
    snapshot = site(running("a", 3500.0))
    assert with_metered_power(snapshot, metered_power(snapshot).rigs) is snapshot


def test_of_two_meters_the_first_is_taken() -> None:
    second = MeterReading(rigs={"a": 3300.0, "b": 3000.0})
    assert metered_power(site(running("a", 3500.0), meters=(OWN, second))).rigs == {"a": 3400.0, "b": 3000.0}


def test_a_block_is_shared_by_what_its_running_rigs_report() -> None:
    rigs = (running("a", 3000.0), running("b", 5000.0), rig(name="off", hashrate=None), running("idle", 20.0, 0.0))
    assert metered_power(site(*rigs, meters=(BLOCK,))).rigs == pytest.approx({"a": 3375.0, "b": 5625.0})


def test_a_rig_that_reports_nothing_takes_the_share_of_its_nameplate() -> None:
    rigs = (running("a", 3000.0), running("b", None, rated_hashrate=200e12, rated_power=6000.0))
    assert metered_power(site(*rigs, meters=(BLOCK,))).rigs == pytest.approx({"a": 3000.0, "b": 6000.0})


def test_where_one_rigs_draw_is_unknown_hashrate_decides() -> None:
    rigs = (running("a", 3000.0, 100e12), running("b", None, 200e12))
    assert metered_power(site(*rigs, meters=(BLOCK,))).rigs == pytest.approx({"a": 3000.0, "b": 6000.0})


def test_what_has_its_own_meter_is_taken_off_its_blocks() -> None:
    rigs = (running("a", 3500.0), running("b", 5000.0))
    assert metered_power(site(*rigs, meters=(BLOCK, OWN))).rigs == pytest.approx({"a": 3400.0, "b": 5600.0})


@pytest.mark.parametrize("watts", [0.0, 1700.0, 9.0, 7_100.0, 9e6])
def test_a_meter_that_shows_something_else_is_not_shared_out(watts: float) -> None:
    rigs = (running("a", 3500.0),)
    metered = metered_power(site(*rigs, meters=(MeterReading(blocks={"north": watts}),)))
    assert metered == ({}, {"north"})


def test_a_block_without_rigs_or_with_none_running_has_no_shares() -> None:
    meters = (MeterReading(blocks={"north": 9000.0, "nowhere": 9000.0}),)
    assert metered_power(site(rig(hashrate=None), running("idle", 20.0, 0.0), meters=meters)) == ({}, frozenset())


@given(powers=st.lists(st.floats(500, 7000) | st.none(), min_size=1, max_size=20), factor=st.floats(0.6, 1.9))
def test_shares_add_up_to_what_the_meter_shows(powers: list[float | None], factor: float) -> None:
    rigs = [running(f"r{number}", power) for number, power in enumerate(powers)]
    total = factor * sum(power or 3500.0 for power in powers)
    shares = metered_power(site(*rigs, meters=(MeterReading(blocks={"north": total}),))).rigs
    assert sum(shares.values()) == pytest.approx(total)
    assert shares.keys() == {each.rig.name for each in rigs}
