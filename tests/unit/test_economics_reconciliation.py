"""Known answers of shares, errors and payouts, and how surely leaks of known size are found among rigs without one."""

from math import sqrt

import numpy as np
import pytest

from exporter.economics.hashprice import hashprice
from exporter.economics.reconciliation import (
    ENOUGH_SHARES,
    MOST_SLABS,
    NO_WORK,
    SLAB,
    DayCredit,
    PoolScheme,
    Work,
    balance,
    expected_payout,
    hashrate_of,
    is_leak,
    payout_balance,
    raised_sigmas,
    split_login,
    windows,
    worker_of,
)
from exporter.model.fleet import Rig
from exporter.model.units import hashes_per_second, suffixed_hashes_per_second

TERAHASH = 1e12
HOUR = 3_600.0
DAY = 86_400.0
DIFFICULTY = 131_072.0
HASHRATE = 200 * TERAHASH


def work_of(hashrate: float, seconds: float, difficulty: float, deficit: float = 0.0) -> Work:
    done = hashrate * seconds / 2**32
    return Work(seconds, done, done * difficulty, done * (1 - deficit), -1.0)


def expected_shares(hashrate: float, seconds: float, difficulty: float) -> float:
    return work_of(hashrate, seconds, difficulty).shares


@pytest.mark.parametrize(
    ("terahash", "difficulty", "seconds", "shares", "error"),
    [
        (100, 65_536, HOUR, 1278.977, 0.02796),
        (100, 65_536, 600, 213.163, 0.06849),
        (200, 131_072, DAY, 30_695.446, 0.00571),
        (200, 131_072, 300, 106.581, 0.09686),
    ],
)
def test_shares_and_their_error(
    terahash: float, difficulty: float, seconds: float, shares: float, error: float
) -> None:
    work = work_of(terahash * TERAHASH, seconds, difficulty)
    assert work.shares == pytest.approx(shares, abs=5e-4)
    assert work.error == pytest.approx(error, abs=5e-6)


def test_credited_hashrate_of_shares() -> None:
    assert hashrate_of(65_536, 1) == pytest.approx(281.474977e12, abs=1e6)
    assert hashrate_of(1_000 * 65_536, HOUR) == pytest.approx(78.187494e12, abs=1e6)


def test_units_of_pools() -> None:
    assert hashes_per_second(123_456.78, "Gh/s") == pytest.approx(123.45678e12)
    assert suffixed_hashes_per_second("1.48T") == pytest.approx(1.48e12)
    assert suffixed_hashes_per_second("199T") == pytest.approx(199e12)
    assert suffixed_hashes_per_second("0") == 0
    with pytest.raises(ValueError, match="unit"):
        suffixed_hashes_per_second("3X")


@pytest.mark.parametrize(("deficit", "shares"), [(0.05, 3_600), (0.02, 22_500), (0.01, 90_000)])
def test_shares_that_show_a_deficit(deficit: float, shares: float) -> None:
    assert Work(DAY, shares, shares, shares * (1 - deficit), -1.0).sigmas == pytest.approx(3)


@pytest.mark.parametrize(("deficit", "hours"), [(0.05, 2.8147), (0.02, 17.592)])
def test_time_that_shows_a_deficit(deficit: float, hours: float) -> None:
    assert work_of(HASHRATE, hours * HOUR, DIFFICULTY, deficit).sigmas == pytest.approx(3, abs=1e-4)


def test_ratio_and_sigmas_of_a_count() -> None:
    expected, seen = 30_695.446, 29_775
    work = Work(DAY, expected * DIFFICULTY, expected * DIFFICULTY**2, seen * DIFFICULTY, -1.0)
    assert work.shares == pytest.approx(expected)
    assert 1 - (work.deficit or 0) == pytest.approx(0.970014, abs=5e-7)
    assert work.sigmas == pytest.approx(5.2537, abs=5e-5)
    assert work.luck is None


def test_shares_of_several_difficulties_count_as_fewer_equal_ones() -> None:
    small, large = Work(HOUR, 1_000.0, 1_000.0 * 10, 0.0, -1.0), Work(HOUR, 1_000.0, 1_000.0 * 40, 0.0, -1.0)
    assert small.plus(large).shares == pytest.approx(2_000**2 / (1_000 * 10 + 1_000 * 40))
    assert small.shares + large.shares > small.plus(large).shares


def test_no_work_says_nothing() -> None:
    assert (NO_WORK.deficit, NO_WORK.sigmas, NO_WORK.error, NO_WORK.luck) == (None,) * 4
    assert NO_WORK.shares == 0
    assert windows([]) == []
    assert balance([], 1) is None
    assert balance([NO_WORK], 1) is None


def test_more_rigs_raise_what_chance_must_not_reach() -> None:
    assert raised_sigmas(0) == raised_sigmas(1) == 3.0
    assert raised_sigmas(50) == pytest.approx(3.5401, abs=1e-4)
    assert raised_sigmas(10_000) == pytest.approx(4.7534, abs=1e-4)


def slab_of(hashrate: float, credited: float, *, rigs: int = 1, difficulty: float = DIFFICULTY) -> Work:
    shares = rigs * expected_shares(hashrate, SLAB, difficulty)
    return Work(SLAB, shares * difficulty, shares * difficulty**2, credited, -1.0)


def test_windows_are_as_long_as_their_error_needs() -> None:
    of_rig = [slab_of(HASHRATE, 0.0)] * 30
    of_block = [slab_of(HASHRATE, 0.0, rigs=50)] * 30
    assert [window.seconds for window in windows(of_rig)] == [MOST_SLABS * SLAB] * 2
    assert [window.seconds for window in windows(of_block)] == [SLAB] * 2
    assert windows(of_rig)[0].shares > ENOUGH_SHARES
    assert [window.seconds for window in windows(of_rig[:5])] == [5 * SLAB]
    assert [window.seconds for window in windows(of_rig[:13])] == [MOST_SLABS * SLAB]


@pytest.mark.parametrize(
    ("shares", "slabs", "seconds"),
    [
        (45_000.0, 3, [SLAB, SLAB]),  # just enough
        (44_999.0, 3, [2 * SLAB]),  # a second window is not full
        (100.0, 24, [36 * HOUR, 36 * HOUR]),  # never enough
        (100.0, 23, [36 * HOUR]),
    ],
)
def test_a_window_ends_with_enough_shares_or_after_36_hours(shares: float, slabs: int, seconds: list[float]) -> None:
    found = windows([Work(SLAB, shares, shares, shares, shares)] * slabs)
    assert [window.seconds for window in found] == seconds
    assert [window.accepted for window in found] == [shares * window.seconds / SLAB for window in found]


def window_of(deficit: float, shares: float = 46_043.0) -> Work:
    return Work(36 * HOUR, shares, shares, shares * (1 - deficit), shares)


def test_a_leak_is_in_both_windows_beyond_two_per_cent_and_chance() -> None:
    assert is_leak(window_of(0.03), window_of(0.03), 10_000)
    assert not is_leak(window_of(0.03), window_of(0.0), 1)
    assert not is_leak(window_of(0.0), window_of(0.03), 1)
    assert not is_leak(window_of(0.019, 1e6), window_of(0.019, 1e6), 1)
    assert not is_leak(window_of(0.034, 10_000), window_of(0.034, 10_000), 1)  # 2.9 sigmas beyond 0.5 %
    assert not is_leak(window_of(0.5, 999), window_of(0.5, 999), 1)  # too few shares to judge
    assert is_leak(window_of(0.5, 1_000), window_of(0.5, 1_000), 1)
    assert is_leak(window_of(0.036, 10_000), window_of(0.036, 10_000), 10_000)  # 5.1 sigmas together
    assert not is_leak(window_of(0.036, 10_000), window_of(0.036, 10_000), 10_000_000)
    assert not is_leak(NO_WORK, window_of(0.5), 1)
    assert not is_leak(Work(1.0, 1.0, 0.0, 0.0, -1.0), window_of(0.5), 1)  # share difficulty unknown


def test_a_balance_in_hashes_and_dollars() -> None:
    slabs = [slab_of(HASHRATE, 0.97 * slab_of(HASHRATE, 0.0).expected)] * 24
    judged = balance(slabs, 1)
    assert judged is not None
    assert judged.leaked == pytest.approx(0.03 * HASHRATE)
    assert judged.reported == pytest.approx(HASHRATE)
    assert judged.credited == pytest.approx(0.97 * HASHRATE)
    assert judged.deficit == pytest.approx(0.03)
    assert judged.sigmas == pytest.approx(0.03 * sqrt(12 * slabs[0].shares))
    assert judged.leak is True
    assert judged.leak_per_day is None
    assert judged.priced(40.0).leak_per_day == pytest.approx(0.03 * 0.2 * 40)
    assert judged.priced(None).leak_per_day is None
    assert judged.accepted is None
    early = balance(slabs[:1], 1)
    assert early is not None
    assert (early.leak, early.leaked) == (None, None)
    fair = balance([window_of(0.0)] * 2, 1)
    assert fair is not None
    assert (fair.leak, fair.priced(40.0).leak_per_day, fair.luck) == (False, None, 0)
    assert fair.accepted == pytest.approx(fair.credited)


def test_rigs_side_by_side_add_up() -> None:
    both = window_of(0.0).beside(window_of(0.02))
    assert both.seconds == 36 * HOUR
    assert both.deficit == pytest.approx(0.01)
    assert both.accepted == pytest.approx(both.expected)
    assert both.beside(Work(1.0, 1.0, 1.0, 1.0, -1.0)).luck is None
    assert both.beside(Work(1.0, 1.0, 1.0, 1.0, 0.0)).accepted == both.accepted


def test_a_rig_that_counts_its_shares_and_has_none_accepts_nothing() -> None:
    judged = balance([Work(1.0, 10.0, 10.0, 0.0, 0.0)], 1)
    assert judged is not None
    assert (judged.accepted, judged.luck) == (0.0, -1.0)


# --- how surely leaks are found -------------------------------------------------------------------------------------


def leaks_found(credited: "np.ndarray", expected: float, looked_at: int) -> "np.ndarray":
    """Whether a leak is claimed at any time, per row of credited shares by slab (oldest first): as `is_leak` does."""
    count = next(n for n in range(1, MOST_SLABS + 1) if n * expected >= ENOUGH_SHARES or n == MOST_SLABS)
    sums = np.cumsum(np.pad(credited, ((0, 0), (1, 0))), axis=1)
    window = sums[:, count:] - sums[:, :-count]
    found = np.zeros(len(credited), dtype=bool)
    suspects = (1 - window / (count * expected) > 0.02) & ((1 - window / (count * expected)) > 0)
    pairs = np.argwhere(suspects[:, count:] & suspects[:, :-count])
    for row, at in pairs:  # the few that come near are judged by the function itself
        latest, former = (
            Work(count * SLAB, count * expected, count * expected, float(window[row, place]), -1.0)
            for place in (at + count, at)
        )
        found[row] |= is_leak(latest, former, looked_at)
    return found


@pytest.mark.parametrize("looked_at", [1, 50, 10_000])
def test_three_per_cent_of_one_rig_are_found_within_three_days(looked_at: int) -> None:
    expected = expected_shares(HASHRATE, SLAB, DIFFICULTY)
    seeds = [np.random.default_rng(seed).poisson(0.97 * expected, 24) for seed in range(100)]
    assert leaks_found(np.array(seeds, dtype=float), expected, looked_at).sum() >= 95


def test_three_per_cent_of_a_block_of_50_rigs_are_found_within_a_day() -> None:
    expected = 50 * expected_shares(HASHRATE, SLAB, DIFFICULTY)
    seeds = [np.random.default_rng(seed).poisson(0.97 * expected, 8) for seed in range(100)]
    assert leaks_found(np.array(seeds, dtype=float), expected, 20).all()


@pytest.mark.parametrize("difficulty", [16_384, 65_536, 131_072, 262_144, 524_288, 4_194_304])
@pytest.mark.parametrize(("leak", "most"), [(0.005, 1), (0.0, 0)])
def test_half_a_per_cent_is_hardly_ever_claimed(leak: float, most: int, difficulty: float) -> None:
    expected = expected_shares(HASHRATE, SLAB, difficulty)
    months = np.random.default_rng(19).poisson((1 - leak) * expected, (1_000, 240)).astype(float)
    assert leaks_found(months, expected, 1).sum() <= most


# --- names ----------------------------------------------------------------------------------------------------------

RIG = Rig(name="S21-017", address="10.1.3.17", serial="JYZ1", mac="02:00:00:00:00:11", block="C1", rack="r2")


@pytest.mark.parametrize(
    ("pattern", "worker"),
    [
        ("{rig}", "s21-017"),
        ("{site}.{rig}", "prairie.s21-017"),
        ("{serial}", "jyz1"),
        ("{mac}", "020000000011"),
        ("{3}x{4}", "3x17"),
        ("{ip}", "10.1.3.17"),
        ("{block}-{rack}-{position}", None),
        ("{customer}.{rig}", None),
    ],
)
def test_the_worker_of_a_rig(pattern: str, worker: str | None) -> None:
    assert worker_of(pattern, RIG, "Prairie") == worker


@pytest.mark.parametrize("address", ["rig-17.example", "2001:db8::17"])
def test_only_an_ipv4_address_has_octets(address: str) -> None:
    assert worker_of("{4}", Rig(name="a", address=address), "s") is None


def test_logins_are_split_at_the_first_dot_only() -> None:
    assert split_login("Acme.c1.S21-017") == ("acme", "c1.s21-017")
    assert split_login("acme") == ("acme", "")


# --- payouts --------------------------------------------------------------------------------------------------------


def test_payouts_of_known_days() -> None:
    foundry = expected_payout(1e15, 1, hashprice(21_448_277_761_059, 6.25), 0.0)
    assert foundry == pytest.approx(0.0058619414, abs=5e-11)
    with_fees = hashprice(21_448_277_761_059, 931.25 + 110.36520932) / hashprice(21_448_277_761_059, 931.25)
    assert with_fees == pytest.approx(1.118512976, abs=5e-10)
    recent = expected_payout(1e15, 1, hashprice(133.79e12, 3.1472), 0.02)
    assert recent == pytest.approx(0.000463746501, abs=5e-13)


def test_a_day_is_judged_once_it_is_paid_and_was_observed() -> None:
    days = [DayCredit(0.0, DAY, 0.01), DayCredit(DAY, 0.9 * DAY, 0.009), DayCredit(2 * DAY, 0.5 * DAY, 0.005)]
    paid = {0.0: 0.0099, DAY: 0.0098, 2 * DAY: 0.01}
    judged = payout_balance(days, paid, PoolScheme.FPPS)
    assert judged is not None
    assert (judged.day, judged.paid) == (DAY, 0.0098)
    assert judged.expected == pytest.approx(0.01)
    assert judged.shortfall == pytest.approx(0.02)
    assert judged.luck is None
    assert payout_balance(days, {}, PoolScheme.FPPS) is None
    lucky = payout_balance(days, paid, PoolScheme.PPLNS)
    assert lucky is not None
    assert lucky.shortfall is None
    assert lucky.luck == pytest.approx(0.98)


def test_a_day_of_which_80_per_cent_were_observed_is_judged_and_one_that_owes_nothing_is_not() -> None:
    days = [DayCredit(0.0, 0.8 * DAY, 0.008), DayCredit(DAY, DAY, 0.0)]
    judged = payout_balance(days, {0.0: 0.01, DAY: 0.01}, PoolScheme.FPPS)
    assert judged is not None
    assert (judged.day, judged.expected, judged.shortfall) == (0.0, pytest.approx(0.01), pytest.approx(0.0))
    assert payout_balance([DayCredit(0.0, 0.79 * DAY, 0.008)], {0.0: 0.01}, PoolScheme.FPPS) is None


@pytest.mark.parametrize("scheme", PoolScheme)
def test_luck_is_apart_from_leak(scheme: PoolScheme) -> None:
    assert scheme.has_luck is (scheme not in {PoolScheme.FPPS, PoolScheme.PPS})
