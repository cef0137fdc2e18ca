"""The overhead that a feeder or utility meter shows, against the configured one."""

from dataclasses import replace

import pytest
from sites import rig, site
from structlog.testing import capture_logs

from exporter.economics.overhead import overheads
from exporter.economics.settings import MeteringPoint, PowerSettings, SiteSettings, TariffOverrides
from exporter.economics.values import Overhead
from exporter.model.readings import MeterReading
from exporter.model.snapshot import RigSnapshot
from exporter.polling.overhead import OverheadCheck
from exporter.telemetry import Telemetry

POWER = PowerSettings(overhead=1.05, transformer_loss=0.02)
SETTINGS = SiteSettings(power=POWER)


def running(name: str, power: float | None = 3000.0, metered: float | None = None) -> RigSnapshot:
    return replace(rig(name=name, power=power, hashrate=100e12), metered_power=metered)


def test_the_feeder_is_compared_with_the_sum_of_the_rigs() -> None:
    snapshot = site(running("a"), running("b"), meters=(MeterReading(feeders={"": 6600.0}),))
    assert overheads(snapshot, SETTINGS) == (Overhead("", pytest.approx(1.1), pytest.approx(1.05)),)


def test_the_utility_is_compared_with_the_transformer_too() -> None:
    snapshot = site(running("a"), running("b"), meters=(MeterReading(utilities={"": 6600.0}),))
    assert overheads(snapshot, SETTINGS) == (Overhead("", pytest.approx(1.1), pytest.approx(1.05 / 0.98)),)


def test_rigs_that_are_metered_at_the_feeder_have_no_overhead_left() -> None:
    metered = SiteSettings(power=POWER.model_copy(update={"metered_at": MeteringPoint.FEEDER}))
    snapshot = site(running("a", metered=3100.0), meters=(MeterReading(feeders={"": 3100.0}),))
    assert overheads(snapshot, metered) == (Overhead("", pytest.approx(1.0), pytest.approx(1.0)),)


def test_a_contract_has_its_own_overhead() -> None:
    settings = SiteSettings(power=POWER, tariff="grid", tariffs={"ppa": TariffOverrides(overhead=1.2)})
    snapshot = site(running("a"), meters=(MeterReading(feeders={"": 3600.0}),))
    assert overheads(snapshot, settings) == (Overhead("", pytest.approx(1.2), pytest.approx(1.2)),)


def test_without_a_meter_or_with_too_many_unknown_rigs_there_is_none() -> None:
    meter = MeterReading(feeders={"": 6600.0, "nowhere": 1.0})
    assert overheads(site(running("a")), SETTINGS) == ()
    assert overheads(site(running("a"), running("b", None), meters=(meter,)), SETTINGS) == ()
    dark = rig(name="dark", hashrate=None)
    assert overheads(site(running("a"), dark, meters=(meter,)), SETTINGS) == ()
    assert len(overheads(site(*(running(f"r{index}") for index in range(60)), dark, meters=(meter,)), SETTINGS)) == 1


@pytest.mark.parametrize(("others", "dark", "known"), [(98, 2, True), (97, 3, False), (97, 2, False)])
def test_the_power_of_one_rig_in_fifty_may_be_unknown(others: int, dark: int, *, known: bool) -> None:
    unknown = (rig(name=f"dark{number}", hashrate=None) for number in range(dark))
    snapshot = site(*unknown, *(running(f"r{n}") for n in range(others)), meters=(MeterReading(feeders={"": 6.6e5}),))
    assert bool(overheads(snapshot, SETTINGS)) is known


def test_a_rig_that_hashes_and_shows_no_power_is_one_of_unknown_power() -> None:
    snapshot = site(running("a"), running("b", 0.0), meters=(MeterReading(feeders={"": 3600.0}),))
    assert overheads(snapshot, SETTINGS) == ()


@pytest.mark.parametrize(("watts", "plausible"), [(6.6, False), (4000.0, False), (6600.0, True), (6.6e6, False)])
def test_a_total_meter_in_another_unit_is_implausible(watts: float, plausible: bool) -> None:
    snapshot = site(running("a"), running("b"), meters=(MeterReading(feeders={"": watts}),))
    assert [each.plausible for each in overheads(snapshot, SETTINGS)] == [plausible]


@pytest.mark.parametrize(("measured", "contradicts"), [(0.69, True), (0.7, False), (5.0, False)])
def test_a_total_meter_below_its_rigs_contradicts_them(measured: float, contradicts: bool) -> None:
    assert Overhead("", measured, 1.0).contradicts_rigs is contradicts


def test_a_lasting_disagreement_is_logged_once_and_so_is_its_end() -> None:
    telemetry = Telemetry()
    check = OverheadCheck(telemetry)
    with capture_logs() as logs:
        for _ in range(50):
            check.export([Overhead("", 1.10, 1.05), Overhead("north", 1.06, 1.05)])
        for _ in range(3):
            check.export([Overhead("", 1.05, 1.05)])
    assert [(entry["log_level"], entry["block"]) for entry in logs] == [("warning", "the whole site"), ("info", "")]
    assert telemetry.registry.get_sample_value("mining_measured_overhead_ratio", {"block": ""}) == 1.05
    assert telemetry.registry.get_sample_value("mining_measured_overhead_ratio", {"block": "north"}) is None


def test_a_short_disagreement_is_not_logged() -> None:
    check = OverheadCheck(Telemetry())
    with capture_logs() as logs:
        for _ in range(10):
            for _ in range(19):
                check.export([Overhead("", 1.2, 1.05)])
            check.export([Overhead("", 1.06, 1.05)])
    assert logs == []
