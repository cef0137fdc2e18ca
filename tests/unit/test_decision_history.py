"""Booking a block's hours: as the hours go by, the history is what it would be if it were made anew."""

from dataclasses import replace

import pytest

from exporter.decision.history import BlockHistory, Day, Moment, book, restored, step_of, with_hours

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
