"""Booking a block's hours: as the hours go by, the history is what it would be if it were made anew."""

from dataclasses import replace

import pytest

from exporter.decision.history import BlockHistory, Day, Hosted, Moment, book, restored, step_of, with_hours

HOUR = 3_600.0


def moment(at: int) -> Moment:
    return Moment(40.0 + at, {"ppa": (0.05, None)}, {("ppa", 175): (1.0, 17.5)})


@pytest.mark.parametrize("skipped", [0, 30])
def test_hours_that_go_by_are_kept_as_if_the_history_were_made_anew(skipped: int) -> None:
    window = 30 * HOUR
    history = BlockHistory()
    hours = [at for at in range(5, 100) if not 40 <= at < 40 + skipped]
    for at in hours:
        history = book(history, moment(at), at * HOUR + 60, 60.0, window)
        before = list(history.hours)
        anew = with_hours(BlockHistory(), before[:-1], before[-1], HOUR, 31)
        assert history == anew
        assert [hour.hour / HOUR for hour in before] == [each for each in hours if each <= at][-31:]


def test_packed_hours_read_back_as_they_were() -> None:
    hosted = Moment(40.0, {"a": (0.05, None), "b": (0.06, 0.02)}, {("a", 175): (1.0, 17.5), ("b", 300): (0.25, 7.5)})
    hours = [hosted.hour(0.0, 1_800.0), replace(moment(1).hour(HOUR, HOUR), recorded=True), moment(2).hour(7.0, 0.0)]
    read = Day.of(hours).hours
    assert Day.of(read) == Day.of(hours)
    assert [replace(hour, tariffs=()) for hour in read] == [replace(hour, tariffs=()) for hour in hours]
    for one, other in zip(read, hours, strict=True):
        assert [(each.tariff, each.price, each.sale, each.steps) for each in one.tariffs] == [
            (each.tariff, each.price, each.sale, each.steps) for each in other.tariffs
        ]
        for packed, whole in zip(one.tariffs, other.tariffs, strict=True):
            assert list(packed.kwh) == pytest.approx(list(whole.kwh), rel=1e-7)
            assert list(packed.work) == pytest.approx(list(whole.work), rel=1e-7)


def test_kept_hours_are_restored_in_order_by_days() -> None:
    hours = [moment(at).hour(at * HOUR, HOUR) for at in (30, 23, 5, 24)]
    history = restored(hours)
    assert [[hour.hour / HOUR for hour in day.hours] for day in history.days] == [[5, 23], [24, 30]]
    assert list(history.hours) == list(Day.of(sorted(hours, key=lambda hour: hour.hour)).hours)
    assert history.open is None


@pytest.mark.parametrize(
    ("hosted", "charge", "cost", "work", "kinks"),
    [
        (Hosted(0.5), 20.0, 30.0, 10.0, ((4.0, 10 / 4e-6 + 5), (4 + 4e-6, -10 / 4e-6))),  # it jumps to 10 - 20 + 20
        (Hosted(0.5, may_stop=True), 20.0, 30.0, 10.0, ((4.0, 10 / 4e-6 + 5), (4 + 4e-6, -10 / 4e-6))),
        (Hosted(0.5, may_stop=True), 20.0, 45.0, 10.0, ((5.0, 5.0),)),  # where the customer starts, the host would lose
        (Hosted(0.05, may_stop=True), 9.5, 10.5, 10.0, ((2.0, 0.5),)),
        (Hosted(0.0, may_stop=True), 9.5, 10.0, 10.0, ()),  # the host loses at any payout
        (Hosted(1.0), 0.0, 2.0, 10.0, ((0.0, -2 / 1e-6 + 10), (1e-6, 2 / 1e-6))),  # the customer mines for nothing
        (Hosted(1.0), 1.0, 2.0, 10.0, ()),  # he never mines
        (Hosted(0.5), 0.0, 5.0, 0.0, ()),
    ],
)
def test_the_hosts_margin_begins_where_the_customer_mines(
    hosted: Hosted, charge: float, cost: float, work: float, kinks: tuple[tuple[float, float], ...]
) -> None:
    found = hosted.kinks(charge, cost, work)
    assert len(found) == len(kinks)
    for one, other in zip(found, kinks, strict=True):
        assert one == pytest.approx(other, rel=1e-9)


def test_what_is_new_in_a_history_is_what_was_booked_since() -> None:
    window = 60 * HOUR
    history = written = BlockHistory()
    for at in range(5, 90):
        for minute in (10, 50):
            history = book(history, moment(at), at * HOUR + minute * 60, 60.0, window)
            new = [hour.hour / HOUR for hour in history.since(written)]
            assert new == ([at] if minute == 50 or at == 5 else [at - 1, at])  # the hour that is over is packed
            assert list(history.since(history)) == []
            written = history


@pytest.mark.parametrize(
    ("work", "kilowatts", "step"), [(1.0, 17.5, 175), (0.0, 17.5, -1), (1e-310, 3.5, 1_000_000), (1.0, 0.0, 0)]
)
def test_rigs_are_grouped_by_tenths_of_a_joule_per_terahash(work: float, kilowatts: float, step: int) -> None:
    assert step_of(work, kilowatts) == step
