"""Booking a block's hours: as the hours go by, the history is what it would be if it were made anew."""

import pytest

from exporter.decision.history import BlockHistory, Moment, book, step_of, with_hours

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


@pytest.mark.parametrize(
    ("work", "kilowatts", "step"), [(1.0, 17.5, 175), (0.0, 17.5, -1), (1e-310, 3.5, 1_000_000), (1.0, 0.0, 0)]
)
def test_rigs_are_grouped_by_tenths_of_a_joule_per_terahash(work: float, kilowatts: float, step: int) -> None:
    assert step_of(work, kilowatts) == step
