"""An inventory that lost many rigs at once is refused until it is confirmed."""

from collections.abc import Iterable

import pytest

from exporter.inventory.model import InventorySettings
from exporter.inventory.shrink import ShrinkGuard, list_sizes, shrinks
from exporter.model.fleet import Rig

URL = "http://127.0.0.1:1/targets"
FLEET = InventorySettings.model_validate({"csv": ["a.csv"], "file_sd": ["b.json"], "http_sd": [{"url": URL}]})


def rigs(listed_in: str, count: int) -> list[Rig]:
    return [
        Rig(name=f"{listed_in}-{number}", address=f"{listed_in}-{number}", listed_in=listed_in)
        for number in range(count)
    ]


def test_the_rigs_of_each_list_are_counted_and_addresses_are_not() -> None:
    found = [*rigs("a.csv", 3), Rig(name="x", address="x", discovered=True)]
    assert list_sizes(["fleet.rigs", "a.csv"], found) == {"fleet.rigs": 0, "a.csv": 3}


@pytest.mark.parametrize(
    ("before", "now", "refused"),
    [
        ({"a": 800}, {"a": 399}, ["a", "fleet"]),
        ({"a": 100}, {"a": 80}, []),
        ({"a": 100}, {"a": 79}, ["a", "fleet"]),
        ({"a": 100, "b": 900}, {"a": 70, "b": 900}, ["a"]),
        ({"a": 100, "b": 900}, {"a": 70, "b": 1_200}, ["a"]),
        ({"a": 300, "b": 700}, {"b": 700}, ["fleet"]),
        ({"a": 100, "b": 900}, {"b": 900}, []),
        ({"a": 3}, {"a": 2}, []),
        ({"a": 1}, {"a": 0}, ["a", "fleet"]),
        ({"a": 0}, {"a": 0}, []),
        ({}, {"a": 0}, []),
        ({"a": 5}, {"a": 9}, []),
    ],
)
def test_a_list_or_the_whole_may_lose_a_fifth(before: dict[str, int], now: dict[str, int], refused: list[str]) -> None:
    assert [each.name for each in shrinks(before, now, 0.2)] == refused


def test_everything_may_be_lost_where_the_operator_says_so() -> None:
    assert shrinks({"a": 800}, {"a": 0}, 1.0) == []


class Reads:
    """The time, and when the URL was last read."""

    def __init__(self) -> None:
        self.now = 0.0
        self.stuck = False

    def clock(self) -> float:
        return self.now

    def read_at(self, url: str) -> float | None:
        assert url == URL
        return 0.0 if self.stuck else self.now


def judge(guard: ShrinkGuard, before: dict[str, int], now: Iterable[Rig]) -> list[str]:
    return [each.name for each in guard.judge(before, FLEET, list(now))]


@pytest.mark.parametrize("source", ["b.json", URL])
def test_three_identical_reads_over_ten_minutes_confirm_a_list_of_service_discovery(source: str) -> None:
    reads = Reads()
    guard = ShrinkGuard(reads.clock, reads.read_at)
    for now, refused in ((0, True), (10, True), (299, True), (300, True), (590, True), (600, False)):
        reads.now = float(now)
        assert bool(judge(guard, {source: 800}, rigs(source, 399))) is refused
        assert guard.is_due() is False
        reads.now += 1


def test_a_refused_list_is_due_again_after_five_minutes() -> None:
    reads = Reads()
    guard = ShrinkGuard(reads.clock, reads.read_at)
    assert not guard.is_due()
    judge(guard, {URL: 800}, rigs(URL, 399))
    reads.now = 299.0
    assert not guard.is_due()
    reads.now = 300.0
    assert guard.is_due()


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({"a.csv": 800}, rigs("a.csv", 399)),
        ({URL: 800}, []),
        ({"b.json": 800, URL: 10}, rigs(URL, 10)),
        ({"a.csv": 800, URL: 800}, [*rigs("a.csv", 700), *rigs(URL, 100)]),
        ({"gone.json": 800}, rigs(URL, 10)),
    ],
)
def test_files_of_the_configuration_and_empty_lists_are_never_confirmed_by_themselves(
    before: dict[str, int], now: list[Rig]
) -> None:
    reads = Reads()
    guard = ShrinkGuard(reads.clock, reads.read_at)
    for _ in range(10):
        assert judge(guard, before, now)
        reads.now += 300


def test_a_list_that_changes_meanwhile_is_confirmed_anew() -> None:
    reads = Reads()
    guard = ShrinkGuard(reads.clock, reads.read_at)
    for count in (399, 399, 398, 398):
        assert judge(guard, {URL: 800}, rigs(URL, count))
        reads.now += 300
    assert not judge(guard, {URL: 800}, rigs(URL, 398))


def test_a_list_that_was_not_read_again_is_no_confirmation() -> None:
    reads = Reads()
    reads.stuck = True
    guard = ShrinkGuard(reads.clock, reads.read_at)
    for _ in range(10):
        assert judge(guard, {URL: 800}, rigs(URL, 399))
        reads.now += 300


def test_a_list_that_is_whole_again_is_accepted_at_once() -> None:
    reads = Reads()
    guard = ShrinkGuard(reads.clock, reads.read_at)
    assert judge(guard, {URL: 800}, rigs(URL, 399))
    assert judge(guard, {URL: 800}, rigs(URL, 800)) == []
    assert not guard.is_due()
