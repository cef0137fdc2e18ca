"""When the curves of a site's rigs are made anew: the same object is kept until something of it has changed."""

from dataclasses import replace
from typing import Any

import pytest
from sites import NOW, rig, site

from exporter.economics import curves
from exporter.economics.curves import CurveBook
from exporter.economics.points import Curve, Trust
from exporter.economics.settings import MeteringPoint, PointsSettings, PowerSettings, SiteSettings, TariffOverrides
from exporter.model.points import LearnedPoint, RigPoints
from exporter.model.readings import RigIdentity
from exporter.model.snapshot import RigSnapshot

S21 = RigIdentity(reader="luxos", make="AntMiner", model="Antminer S21", firmware="LuxOS", algorithm="sha256")
PLAIN = SiteSettings(tariff="ppa", points=PointsSettings())
DAY = 86_400.0


def points(watts: float = 3_000.0, *, name: str = "eco", observed_at: float = NOW) -> RigPoints:
    point = LearnedPoint(
        name=name, hashrate=180e12, power=watts, metered=False, seconds=7_200.0, observed_at=observed_at
    )
    return RigPoints(learned=(point,))


def miner(name: str = "a-01", known: RigPoints | None = None, **changes: Any) -> RigSnapshot:
    return rig(name=name, identity=S21, points=known, **changes)


class Book:
    """A book that is asked at one moment after the other."""

    def __init__(self, *, settings: SiteSettings = PLAIN) -> None:
        self.settings = settings
        self._book = CurveBook()

    def ask(self, *rigs: RigSnapshot, now: float = NOW) -> list[Curve]:
        found = self._book.curves(site(*rigs, taken_at=now), self.settings)
        assert list(found) == [each.rig.name for each in rigs]
        return list(found.values())


def watts(curve: Curve) -> list[float]:
    return [each.power for each in curve.candidates]


def test_a_curve_is_kept_until_the_points_of_its_rig_change() -> None:
    book, known = Book(), points()
    (first,) = book.ask(miner(known=known))
    (kept,) = book.ask(miner(known=known), now=NOW + 15)
    (changed,) = book.ask(miner(known=points(3_100.0)), now=NOW + 30)
    assert kept is first
    assert (watts(first), watts(changed)) == ([3_000], [3_100])


def test_a_curve_is_made_anew_after_a_day_as_its_errors_grow() -> None:
    book, known = Book(), points()
    (first,) = book.ask(miner(known=known))
    (kept,) = book.ask(miner(known=known), now=NOW + DAY - 1)
    (renewed,) = book.ask(miner(known=known), now=NOW + DAY)
    assert kept is first
    assert renewed is not first
    assert renewed.candidates[0].error > first.candidates[0].error


def test_a_curve_from_a_time_to_come_is_made_anew() -> None:
    """The clock went back by a second."""
    book, known = Book(), points()
    (first,) = book.ask(miner(known=known))
    (same,) = book.ask(miner(known=known))
    (renewed,) = book.ask(miner(known=known), now=NOW - 1)
    assert same is first
    assert renewed is not first


def test_a_curve_is_made_anew_when_the_rating_of_its_rig_or_the_losses_of_its_tariff_change() -> None:
    book, known = Book(), points()
    (first,) = book.ask(miner(known=known))
    rated = miner(known=known, facts={"rated_power": 3_500.0})
    (of_rating,) = book.ask(rated)
    (kept,) = book.ask(rated)
    assert of_rating is not first
    assert kept is of_rating
    book.settings = replace(PLAIN, power=PowerSettings(overhead=1.1))
    (lossy,) = book.ask(rated)
    assert (first.candidates[0].kwh, lossy.candidates[0].kwh) == pytest.approx((72.0, 79.2))


def test_the_energy_of_a_point_has_the_losses_between_its_meter_and_the_bill_of_its_tariff() -> None:
    """At a feeder's meter the overhead is in the watts already."""
    own = {"ppa": TariffOverrides(overhead=1.1, metered_at=MeteringPoint.FEEDER)}
    book = Book(settings=replace(PLAIN, tariffs=own))
    reported = points()
    metered = RigPoints(learned=tuple(replace(point, metered=True) for point in reported.learned))
    first, second = book.ask(miner("a", reported), miner("b", metered))
    assert (first.candidates[0].kwh, second.candidates[0].kwh) == pytest.approx((79.2, 72.0))


def test_all_curves_are_made_anew_when_the_settings_of_points_change() -> None:
    book, known = Book(), points()
    (first,) = book.ask(miner(known=known))
    assert first.candidates[0].error == pytest.approx(PointsSettings().measured_error)
    book.settings = replace(PLAIN, points=PointsSettings(measured_error=0.05))
    (second,) = book.ask(miner(known=known))
    assert second.candidates[0].error == pytest.approx(0.05)


def test_without_settings_of_points_there_are_no_curves_and_none_are_kept() -> None:
    known = points()
    book = CurveBook()
    snapshot = site(miner(known=known))
    first = book.curves(snapshot, PLAIN)["a-01"]
    assert book.curves(snapshot, replace(PLAIN, points=None)) == {}
    again = book.curves(snapshot, PLAIN)["a-01"]
    assert again is not first
    assert watts(again) == watts(first)


# --- what rigs of one model share -----------------------------------------------------------------------------------


def pooling(*draws: float) -> list[RigSnapshot]:
    return [miner(f"p-{index}", points(draw)) for index, draw in enumerate(draws)]


def test_a_rig_has_the_medians_of_the_others_of_its_model() -> None:
    new = miner("new", RigPoints())
    other = replace(miner("other", RigPoints()), identity=replace(S21, model="Antminer S19"))
    nameless = replace(miner("nameless", RigPoints()), identity=None)
    *_, pooled, apart, unknown = Book().ask(*pooling(3_000.0, 3_010.0, 3_050.0), new, other, nameless)
    assert [(each.power, each.trust) for each in pooled.candidates] == [(3_010, Trust.POOLED)]
    assert (apart.candidates, unknown.candidates) == ((), ())


def test_the_shared_points_are_worked_out_again_after_ten_minutes() -> None:
    book, new = Book(), miner("new", RigPoints())
    first = book.ask(*pooling(3_000.0, 3_000.0, 3_000.0), new)[-1]
    moved = [*pooling(3_100.0, 3_100.0, 3_100.0), new]
    assert book.ask(*moved)[-1] is first
    assert book.ask(*moved, now=NOW + 599)[-1] is first
    assert watts(book.ask(*moved, now=NOW + 600)[-1]) == [3_100]
    assert watts(book.ask(*pooling(3_200.0, 3_200.0, 3_200.0), new, now=NOW + 599)[-1]) == [
        3_200
    ]  # the clock went back


def test_the_shared_points_are_worked_out_again_as_soon_as_a_new_one_can_be_learned() -> None:
    book = Book(settings=replace(PLAIN, points=PointsSettings(stable=60.0)))
    new = miner("new", RigPoints())
    book.ask(*pooling(3_000.0, 3_000.0, 3_000.0), new)
    moved = [*pooling(3_100.0, 3_100.0, 3_100.0), new]
    assert watts(book.ask(*moved, now=NOW + 59)[-1]) == [3_000]
    assert watts(book.ask(*moved, now=NOW + 60)[-1]) == [3_100]


def test_the_shared_points_are_worked_out_again_when_the_settings_of_points_change() -> None:
    book, new = Book(), miner("new", RigPoints())
    book.ask(*pooling(3_000.0, 3_000.0, 3_000.0), new)
    book.settings = replace(PLAIN, points=PointsSettings(stable=8_000.0))  # all three ran for 7,200 s
    assert book.ask(*pooling(3_000.0, 3_000.0, 3_000.0), new)[-1].candidates == ()


def test_shared_points_that_come_out_the_same_make_no_curve_anew() -> None:
    book, new = Book(), miner("new", RigPoints())
    others = pooling(3_000.0, 3_000.0, 3_000.0)
    first = book.ask(*others, new)[-1]
    assert book.ask(*others, new, now=NOW + 600)[-1] is first
    assert book.ask(*others, new, now=NOW + 1_199)[-1] is first
    assert watts(book.ask(*pooling(3_100.0, 3_100.0, 3_100.0), new, now=NOW + 1_200)[-1]) == [3_100]


# --- many rigs ------------------------------------------------------------------------------------------------------


def test_of_many_rigs_the_oldest_curves_are_made_first_and_the_others_keep_theirs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(curves, "_MOST_NEW", 2)
    book = Book()
    first = [miner(name, points()) for name in "abc"]
    assert [len(curve.candidates) for curve in book.ask(*first)] == [1, 1, 0]  # the third has no curve yet
    assert [len(curve.candidates) for curve in book.ask(*first, now=NOW + 15)] == [1, 1, 1]
    changed = [miner(name, points(3_100.0)) for name in "cab"]  # c is the newest
    assert [watts(curve) for curve in book.ask(*changed, now=NOW + 30)] == [[3_000], [3_100], [3_100]]
    assert [watts(curve) for curve in book.ask(*changed, now=NOW + 45)] == [[3_100], [3_100], [3_100]]


def test_a_new_rig_comes_before_those_that_have_a_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves, "_MOST_NEW", 1)
    book = Book()
    book.ask(miner("old", points()))
    changed, new = book.ask(miner("old", points(3_100.0)), miner("new", points()), now=NOW + 15)
    assert (watts(changed), watts(new)) == ([3_000], [3_000])


def test_a_rig_whose_settings_change_has_no_points_until_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves, "_MOST_NEW", 1)
    book, known = Book(), points()
    book.ask(miner("a", known))
    book.ask(miner("a", known), miner("b", known))
    rated = [miner(name, known, facts={"rated_power": 3_500.0}) for name in "ab"]
    assert [len(curve.candidates) for curve in book.ask(*rated)] == [1, 0]
