"""Unmatched reports of meters and outages are counted, and logged once."""

from structlog.testing import capture_logs

from exporter.economics.metering import Disbelieved
from exporter.model.fleet import Block, Rig
from exporter.model.readings import ExpectedOff, MeterReading
from exporter.polling.unmatched import UnmatchedReports
from exporter.telemetry import Telemetry

RIGS = (Rig(name="a", address="127.0.0.1"), Rig(name="b", address="127.0.0.2"))
BLOCKS = (Block(name="north"),)
METER = MeterReading(rigs={"a": 3400.0, "elsewhere": 3000.0}, blocks={"north": 9.0, "south": 9.0}, refused=("b",))


def ignored(telemetry: Telemetry, source: str) -> dict[str, float]:
    reasons = ("unknown", "implausible", "disbelieved")
    values = {
        reason: telemetry.registry.get_sample_value("mining_source_ignored", {"source": source, "reason": reason})
        for reason in reasons
    }
    return {reason: value for reason, value in values.items() if value is not None}


def test_unmatched_reports_are_counted_and_each_name_logged_once() -> None:
    telemetry = Telemetry()
    unmatched = UnmatchedReports(telemetry, RIGS, BLOCKS)
    with capture_logs() as logs:
        unmatched.judge("meters:pdus", METER, Disbelieved(blocks=frozenset({"north"})))
        unmatched.judge("meters:pdus", MeterReading(rigs={"a": 3400.0}), Disbelieved())
        unmatched.judge("meters:pdus", METER, Disbelieved(blocks=frozenset({"north"})))
    assert [(log["reason"], log["names"]) for log in logs] == [
        ("unknown", ["elsewhere", "south"]),
        ("implausible", ["b"]),
        ("disbelieved", ["north"]),
    ]
    assert ignored(telemetry, "meters:pdus") == {"unknown": 2, "implausible": 1, "disbelieved": 1}
    unmatched.judge("meters:pdus", MeterReading(rigs={"a": 3400.0}), Disbelieved())
    assert set(ignored(telemetry, "meters:pdus").values()) == {0}
    unmatched.judge("meters:pdus", None, Disbelieved())
    assert ignored(telemetry, "meters:pdus") == {}


def test_an_outage_of_an_unknown_rig_is_logged() -> None:
    telemetry = Telemetry()
    with capture_logs() as logs:
        outage = ExpectedOff(rigs=("a", "a-typo"), blocks=("unassigned", "nowhere"))
        UnmatchedReports(telemetry, RIGS, BLOCKS).judge("expected_off:works", outage, Disbelieved())
    assert [log["names"] for log in logs] == [["a-typo", "nowhere"]]
    assert ignored(telemetry, "expected_off:works") == {"unknown": 2}


SEARCHED = (*RIGS, Rig(name="127.0.0.3", address="127.0.0.3", discovered=True))


def test_before_all_ranges_were_searched_any_name_may_be_right() -> None:
    with capture_logs() as logs:
        reports = UnmatchedReports(Telemetry(), SEARCHED, BLOCKS)
        reports.judge("meters:pdus", MeterReading(rigs={"found": 1.0}), Disbelieved(), None)
    assert not logs


def test_a_name_that_no_found_rig_has_is_unknown_too() -> None:
    telemetry = Telemetry()
    with capture_logs() as logs:
        reports = UnmatchedReports(telemetry, SEARCHED, BLOCKS)
        reading = MeterReading(rigs={"a": 1.0, "found": 1.0, "A": 2.0, "zz": 3.0})
        reports.judge("meters:pdus", reading, Disbelieved(), {"a", "b", "found"})
    assert [(log["names"], log["nearest"]) for log in logs] == [(["A", "zz"], {"A": "a"})]
    assert ignored(telemetry, "meters:pdus")["unknown"] == 2


def test_a_disbelieved_meter_of_a_rig_or_of_all_behind_a_feeder_is_logged() -> None:
    telemetry = Telemetry()
    wrong = Disbelieved(rigs={"a": 3.2, "elsewhere": 3.0}, totals=frozenset({"", "north"}))
    with capture_logs() as logs:
        reports = UnmatchedReports(telemetry, RIGS, BLOCKS)
        reports.judge("meters:pdus", MeterReading(rigs={"a": 3.2, "b": 3400.0}), wrong)
        reports.judge("meters:feeder", MeterReading(feeders={"": 6.0}), wrong)
    assert [(log["source"], log["reason"], log["names"]) for log in logs] == [
        ("meters:pdus", "disbelieved", ["a"]),
        ("meters:feeder", "disbelieved", ["the whole site"]),
    ]


def test_a_new_inventory_is_judged_by() -> None:
    unmatched = UnmatchedReports(Telemetry(), (), ())
    unmatched.replace(RIGS, BLOCKS)
    with capture_logs() as logs:
        unmatched.judge("meters:pdus", MeterReading(rigs={"a": 1.0}, blocks={"north": 1.0}), Disbelieved())
    assert not logs
