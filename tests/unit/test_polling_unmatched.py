"""What meters and outages tell of that cannot be used is counted, and told once."""

from structlog.testing import capture_logs

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
    misfits = UnmatchedReports(telemetry, RIGS, BLOCKS)
    with capture_logs() as logs:
        misfits.judge("meters:pdus", METER, frozenset({"north"}))
        misfits.judge("meters:pdus", MeterReading(rigs={"a": 3400.0}), frozenset())
        misfits.judge("meters:pdus", METER, frozenset({"north"}))
    assert [(log["reason"], log["names"]) for log in logs] == [
        ("unknown", ["elsewhere", "south"]),
        ("implausible", ["b"]),
        ("disbelieved", ["north"]),
    ]
    assert ignored(telemetry, "meters:pdus") == {"unknown": 2, "implausible": 1, "disbelieved": 1}
    misfits.judge("meters:pdus", MeterReading(rigs={"a": 3400.0}), frozenset())
    assert set(ignored(telemetry, "meters:pdus").values()) == {0}
    misfits.judge("meters:pdus", None, frozenset())
    assert ignored(telemetry, "meters:pdus") == {}


def test_an_outage_of_an_unknown_rig_is_logged() -> None:
    telemetry = Telemetry()
    with capture_logs() as logs:
        outage = ExpectedOff(rigs=("a", "a-typo"), blocks=("unassigned", "nowhere"))
        UnmatchedReports(telemetry, RIGS, BLOCKS).judge("expected_off:works", outage, frozenset())
    assert [log["names"] for log in logs] == [["a-typo", "nowhere"]]
    assert ignored(telemetry, "expected_off:works") == {"unknown": 2}


def test_where_rigs_are_searched_any_name_may_be_right() -> None:
    searched = (*RIGS, Rig(name="127.0.0.3", address="127.0.0.3", discovered=True))
    with capture_logs() as logs:
        UnmatchedReports(Telemetry(), searched, BLOCKS).judge(
            "meters:pdus", MeterReading(rigs={"found": 1.0}), frozenset()
        )
    assert not logs


def test_a_new_inventory_is_judged_by() -> None:
    misfits = UnmatchedReports(Telemetry(), (), ())
    misfits.replace(RIGS, BLOCKS)
    with capture_logs() as logs:
        misfits.judge("meters:pdus", MeterReading(rigs={"a": 1.0}, blocks={"north": 1.0}), frozenset())
    assert not logs
