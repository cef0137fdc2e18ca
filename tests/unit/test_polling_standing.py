"""A source that fails is not one that owes nothing: what holds then, for how long, and what is unknown after that."""

import pytest

from exporter.model.fleet import Rig
from exporter.model.obligations import Obligation, ObligationKind, OnStale
from exporter.model.readings import ExpectedOff, Reading
from exporter.polling.downtime import Downtime, Expected
from exporter.polling.latest import Latest
from exporter.polling.standing import StaleSettings, expected_off, site_obligations, standing

AT = 1_000_000.0
MAX_AGE = 120.0
MINUTE = 60.0


def latest(*obligations: Obligation) -> Latest[tuple[Obligation, ...]]:
    made: Latest[tuple[Obligation, ...]] = Latest(MAX_AGE)
    made.put(Reading(obligations, AT))
    return made


def call(start: float, end: float | None, event: str = "e", **fields: object) -> Obligation:
    kind = ObligationKind.CALL
    return Obligation(
        kind=kind, start=AT + start, end=None if end is None else AT + end, event=event, cap=0.0, **fields
    )  # type: ignore[arg-type]


def known_until(settings: StaleSettings, *obligations: Obligation) -> float | None:
    """Minutes after the last answer until it is unknown what is owed; None if it stays known for a day."""
    for minute in range(24 * 60):
        found = site_obligations({"u": latest(*obligations)}, {"u": settings}, AT + minute * MINUTE)
        if not found.known["u"]:
            return minute
    return None


UNKNOWN = StaleSettings(OnStale.UNKNOWN)


def test_the_last_state_holds_for_an_hour_at_most() -> None:
    assert known_until(UNKNOWN) == 60
    assert known_until(UNKNOWN, call(0, None)) == 60
    assert known_until(UNKNOWN, call(0, 7200)) == 60


def test_it_holds_until_its_own_end() -> None:
    assert known_until(UNKNOWN, call(0, 30 * MINUTE)) == 30
    assert known_until(UNKNOWN, call(20 * MINUTE, 40 * MINUTE)) == 40
    assert known_until(UNKNOWN, call(0, 30 * MINUTE, "a"), call(0, 20 * MINUTE, "b")) == 20


def test_an_event_of_several_intervals_ends_with_the_last_of_them() -> None:
    assert known_until(UNKNOWN, call(0, 15 * MINUTE), call(15 * MINUTE, 30 * MINUTE)) == 30


def test_what_ended_while_the_source_was_fresh_does_not_end_the_state() -> None:
    assert known_until(UNKNOWN, call(-60, 60)) == 60


def test_held_it_stays_known_however_old() -> None:
    assert known_until(StaleSettings(OnStale.HOLD), call(0, 30 * MINUTE)) is None


def test_a_source_that_was_never_read_is_unknown() -> None:
    never: Latest[tuple[Obligation, ...]] = Latest(MAX_AGE)
    for on_stale in (OnStale.UNKNOWN, OnStale.HOLD):
        found = site_obligations({"u": never}, {"u": StaleSettings(on_stale, ("c1",))}, AT)
        assert found.known == {"u": False}
        assert found.unclear_blocks(AT) == {"c1"}
    assert standing(never, OnStale.MINE, AT).known


def test_only_what_has_not_ended_is_listed_with_its_source() -> None:
    found = site_obligations({"u": latest(call(-60, -1), call(0, 60))}, {"u": UNKNOWN}, AT)
    assert [(each.source, each.end) for each in found.listed] == [("u", AT + 60)]


def test_blocks_that_share_an_event_owe_each_for_itself() -> None:
    calls = (call(0, 60, blocks=("c1",)), call(0, 60, blocks=("c1", "c2")), call(0, 60), call(0, 60, "f"))
    found = site_obligations({"u": latest(*calls)}, {"u": UNKNOWN}, AT)
    assert [each.event for each in found.listed] == ["e c1", "e c1+c2", "e site", "f"]


def test_after_a_hold_nothing_is_listed_and_the_whole_site_is_unknown() -> None:
    found = site_obligations({"u": latest(call(0, None))}, {"u": UNKNOWN}, AT + 3600)
    assert found.listed == ()
    assert found.unclear_blocks(AT + 3600) is None


def test_an_unclear_event_makes_its_blocks_unknown_while_it_lasts() -> None:
    odd = call(0, 60, blocks=("c1",), unclear="level 2")
    found = site_obligations({"u": latest(odd)}, {"u": UNKNOWN}, AT)
    assert found.unclear_blocks(AT) == {"c1"}
    assert found.unclear_blocks(AT + 60) == frozenset()
    assert found.next_boundary(AT) == AT + 60
    assert found.next_boundary(AT + 60) is None


@pytest.mark.parametrize(
    ("on_stale", "minutes", "off", "known"),
    [
        (OnStale.MINE, 1, True, True),
        (OnStale.MINE, 3, False, True),
        (OnStale.UNKNOWN, 59, True, True),
        (OnStale.UNKNOWN, 60, False, False),
        (OnStale.HOLD, 600, True, True),
    ],
)
def test_downtime_keeps_its_meaning_unless_the_operator_says_otherwise(
    on_stale: OnStale, minutes: float, off: bool, known: bool
) -> None:
    made: Latest[ExpectedOff] = Latest(MAX_AGE)
    made.put(Reading(ExpectedOff(site=True), AT))
    found, whole = expected_off({"d": made}, {"d": on_stale}, AT + minutes * MINUTE)
    assert (bool(found), whole) == (off, known)


RIG = Rig(name="a", address="10.0.0.1", block="c1")
NIGHTLY = Rig(name="n", address="10.0.0.2", block="c1", expected_schedule="night")


@pytest.mark.parametrize(
    ("downtime", "expected"),
    [
        (Downtime(), Expected(mining=True)),
        (Downtime([ExpectedOff(site=True)]), Expected(False, ObligationKind.CALL)),
        (Downtime([ExpectedOff(blocks=("c1",), kind=ObligationKind.PEAK)]), Expected(False, ObligationKind.PEAK)),
        (Downtime([ExpectedOff(blocks=("c2",), rigs=("b",))]), Expected(mining=True)),
        (
            Downtime([ExpectedOff(site=True), ExpectedOff(rigs=("a",), kind=ObligationKind.MAINTENANCE)]),
            Expected(False, ObligationKind.MAINTENANCE),
        ),
        (
            Downtime([ExpectedOff(site=True, kind=ObligationKind.AWARD), ExpectedOff(site=True)]),
            Expected(False, ObligationKind.CALL),
        ),
        (Downtime(shed={"a": ObligationKind.CAP}), Expected(False, ObligationKind.CAP)),
        (Downtime(unknown={"c1"}), Expected(mining=None)),
        (Downtime(unknown=None), Expected(mining=None)),
        (Downtime(unknown={"c2"}), Expected(mining=True)),
        (Downtime([ExpectedOff(rigs=("a",))], unknown=None), Expected(False, ObligationKind.CALL)),
    ],
)
def test_a_rig_is_off_for_the_first_of_its_reasons(downtime: Downtime, expected: Expected) -> None:
    assert downtime.expected(RIG, {}) == expected


def test_a_schedule_is_a_reason_of_its_own() -> None:
    assert Downtime().expected(NIGHTLY, {"night": False}) == Expected(False, ObligationKind.SCHEDULE)
    assert Downtime().expected(NIGHTLY, {"night": True}) == Expected(mining=True)
    off = Rig(name="o", address="10.0.0.3", expected_mining=False)
    assert Downtime(unknown=None).expected(off, {}) == Expected(False, ObligationKind.SCHEDULE)
