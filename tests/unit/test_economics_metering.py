"""What meters show becomes watts of rigs: their own, else their share of their block's."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sites import NOW, rig, site

from exporter.economics.metering import Disbelieved, metered_power, with_metered_power
from exporter.model.readings import MeterReading, Reading, RigReading
from exporter.model.snapshot import RigSnapshot

OWN = MeterReading(rigs={"a": 3400.0})
BLOCK = MeterReading(blocks={"north": 9000.0})


def running(name: str, power: float | None, hashrate: float = 200e12, **facts: float) -> RigSnapshot:
    return rig(name=name, power=power, hashrate=hashrate, facts=facts)


def test_a_rigs_power_is_that_of_its_own_meter() -> None:
    snapshot = site(running("a", 3500.0), running("b", 3500.0), meters=(OWN,))
    metered = with_metered_power(snapshot, metered_power(snapshot))
    assert [each.metered_power for each in metered.rigs] == [3400.0, None]


def test_without_meters_the_snapshot_stays_as_it_is() -> None:
    snapshot = site(running("a", 3500.0))
    assert with_metered_power(snapshot, metered_power(snapshot)) is snapshot


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
    assert metered == ({}, Disbelieved(blocks=frozenset({"north"})))


def test_meters_of_other_blocks_count_together_and_each_contradiction_is_named() -> None:
    rigs = (running("a", 3500.0), running("b", 3500.0), rig(name="c", block="south"))
    meters = (MeterReading(blocks={"north": 3600.0}, rigs={"a": 3.5}), MeterReading(blocks={"south": 3.5}))
    metered = metered_power(site(*rigs, meters=meters))
    assert metered.rigs == pytest.approx({"a": 1800.0, "b": 1800.0})
    assert metered.disbelieved == Disbelieved(rigs={"a": 3.5}, blocks=frozenset({"south"}))


@pytest.mark.parametrize(
    ("reported", "watts", "believed"),
    [
        (3500.0, 1750.0, True),  # half
        (3500.0, 1749.9, False),
        (3500.0, 7000.0, True),  # twice
        (3500.0, 7000.1, False),
        (None, 600.0, True),  # 3 J/TH
        (None, 599.9, False),
        (None, 60_000.0, True),  # 300 J/TH
        (None, 60_000.1, False),
    ],
)
def test_the_range_of_a_blocks_meter_includes_its_ends(reported: float | None, watts: float, *, believed: bool) -> None:
    metered = metered_power(site(running("a", reported), meters=(MeterReading(blocks={"north": watts}),)))
    assert metered.rigs == ({"a": watts} if believed else {})


@pytest.mark.parametrize("watts", [0.0, 0.5, 1.0])
def test_a_rig_that_hashes_never_takes_a_share_of_nothing(watts: float) -> None:
    """Of a rig that mines scrypt no range is known, so that any power but 0 is shared out."""
    scrypt = rig(name="a", hashrate=9.5e9, power=None, facts={"algorithm": "scrypt"})
    shares = metered_power(site(scrypt, meters=(MeterReading(blocks={"north": watts}),)))
    assert shares == (({"a": watts}, Disbelieved()) if watts else ({}, Disbelieved(blocks=frozenset({"north"}))))


def test_a_block_without_rigs_or_with_none_running_has_no_shares() -> None:
    meters = (MeterReading(blocks={"north": 9000.0, "nowhere": 9000.0}),)
    assert metered_power(site(rig(hashrate=None), running("idle", 20.0, 0.0), meters=meters)) == ({}, Disbelieved())


@pytest.mark.parametrize(
    ("watts", "rig", "believed"),
    [
        (3.2, running("a", 3500.0), False),  # kilowatts
        (3.2, running("a", None), False),
        (599.9, running("a", 3500.0), False),
        (600.0, running("a", 3500.0), True),  # 3 J/TH
        (60_000.0, running("a", 3500.0), True),  # 300 J/TH
        (60_000.1, running("a", 3500.0), False),
        (15_000.0, running("a", 15.0, 1.2e12), False),  # milliwatts
        (4_000.0, running("a", None, 1e12, rated_hashrate=200e12), True),  # it starts
        (32_000.0, running("a", None, 200e12, rated_hashrate=200e12, rated_power=3500.0), False),
        (350.0, running("a", None, 200e12, rated_hashrate=200e12, rated_power=3500.0), False),
        (3_200.0, running("a", None, 200e12, rated_hashrate=200e12, rated_power=3500.0), True),
        (0.0, running("a", 3500.0), True),  # no figure
        (3.2, rig(hashrate=None), True),
        (3.2, running("a", 20.0, 0.0), True),
        (4_000.0, running("a", 20.0, 0.0), True),
    ],
)
def test_a_meter_that_contradicts_the_rigs_hashrate_is_disbelieved(
    watts: float, rig: RigSnapshot, believed: bool
) -> None:
    snapshot = site(rig, meters=(MeterReading(rigs={rig.rig.name: watts, "elsewhere": 3.2}),))
    metered = metered_power(snapshot)
    seen = with_metered_power(snapshot, metered).rigs[0]
    expected = (watts, None) if believed else (None, watts)
    assert (seen.metered_power, seen.disbelieved_power) == expected
    assert metered.disbelieved.rigs == ({} if believed else {rig.rig.name: watts})


@pytest.mark.parametrize("state", [{"mining": False}, {"suspended": True}])
def test_a_stopped_rig_may_draw_next_to_nothing_while_its_mean_hashrate_falls(state: dict[str, bool]) -> None:
    stopped = replace(rig(), reading=Reading(RigReading(hashrate=150e12, **state), NOW))
    for watts in (20.0, 0.4):
        assert metered_power(site(stopped, meters=(MeterReading(rigs={"a-01": watts}),))).rigs == {"a-01": watts}


@pytest.mark.parametrize(("watts", "believed"), [(60_000.0, True), (60_000.1, False)])
def test_a_rig_that_starts_may_draw_what_its_expected_hashrate_needs(watts: float, *, believed: bool) -> None:
    starting = replace(rig(), reading=Reading(RigReading(hashrate=1e12, expected_hashrate=200e12), NOW))
    metered = metered_power(site(starting, meters=(MeterReading(rigs={"a-01": watts}),)))
    assert metered.rigs == ({"a-01": watts} if believed else {})


def test_a_rig_of_another_algorithm_has_another_efficiency() -> None:
    scrypt = rig(hashrate=9.5e9, power=None, facts={"algorithm": "scrypt"})
    meters = (MeterReading(rigs={"a-01": 3425.0}),)
    assert metered_power(site(scrypt, meters=meters)).rigs == {"a-01": 3425.0}
    assert metered_power(site(scrypt, meters=(MeterReading(blocks={"north": 3425.0}),))).rigs == {"a-01": 3425.0}


@pytest.mark.parametrize("watts", [9.0, 400.0, 100_000.0])
def test_a_block_whose_rigs_report_no_power_is_compared_with_their_hashrate(watts: float) -> None:
    meters = (MeterReading(blocks={"north": watts}),)
    assert metered_power(site(running("a", None), meters=meters)) == ({}, Disbelieved(blocks=frozenset({"north"})))


@given(powers=st.lists(st.floats(500, 7000) | st.none(), min_size=1, max_size=20), factor=st.floats(0.6, 1.9))
def test_shares_add_up_to_what_the_meter_shows(powers: list[float | None], factor: float) -> None:
    rigs = [running(f"r{number}", power) for number, power in enumerate(powers)]
    total = factor * sum(power or 3500.0 for power in powers)
    shares = metered_power(site(*rigs, meters=(MeterReading(blocks={"north": total}),))).rigs
    assert sum(shares.values()) == pytest.approx(total)
    assert shares.keys() == {each.rig.name for each in rigs}
