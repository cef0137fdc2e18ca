"""Work is booked window by window where rig and pool are both known, and never where one of them is not."""

from array import array
from collections.abc import Mapping
from typing import Any

import pytest

from exporter.decision.pool_work import BLOCK, NOTHING, RIG, SITE, PoolState, PoolWork, Reconciliation, Subject
from exporter.decision.pool_work import DAY as DAYS
from exporter.economics.reconciliation import SLAB, AccountSettings, PoolScheme
from exporter.economics.settings import EconomicsSettings
from exporter.economics.values import MarketEconomics
from exporter.model.fleet import Rig
from exporter.model.readings import Pool, PoolPayment, PoolReading, PoolWorker, Reading, RigIdentity, RigReading
from exporter.model.snapshot import RigSnapshot, SiteSnapshot
from exporter.model.units import HASHES_PER_DIFFICULTY

HOUR = 3_600.0
DAY = 86_400.0
START = 1_774_051_200.0  # midnight
RATE = 200e12
DIFFICULTY = 131_072.0
MARKET = MarketEconomics(payout_btc=0.0005, payout_usd=40.0, hashprice_btc=0.00055)
TERMS = AccountSettings(account="acme", worker="{rig}")


class Site:
    """A few rigs and their pools, evaluated every five minutes."""

    def __init__(self, rigs: int = 1, settings: Mapping[str, AccountSettings] | None = None) -> None:
        self.rigs = {f"r{index}": RATE for index in range(rigs)}
        self.blocks: dict[str, str] = {}
        self.worker = ""
        self.login = "acme.{rig}"
        self.reading: dict[str, Any] = {}
        self.accepted: float | None = 0.0
        self.credit = 1.0
        self.lists: dict[str, dict[str, float | None]] = {}
        self.unread: set[str] = set()
        self.silent: set[str] = set()
        self.payments: tuple[PoolPayment, ...] = ()
        self.settings = settings or {"one": TERMS}
        self.economics = EconomicsSettings()
        self.market = MARKET
        self.now = START
        self.work = PoolWork({})

    def rig(self, name: str, rate: float) -> RigSnapshot:
        pools = (Pool(index=0, worker=self.login.replace("{rig}", name), active=True, difficulty=DIFFICULTY),)
        reading = {"pools": pools, "accepted_difficulty": self.accepted} | self.reading
        return RigSnapshot(
            rig=Rig(name=name, address="10.0.0.1", block=self.blocks.get(name, "b"), worker=self.worker),
            identity=RigIdentity(reader="x", make="Bitmain", model="S21", algorithm="SHA256"),
            reading=None if name in self.silent else Reading(RigReading(hashrate=rate, **reading), self.now),
        )

    def listed(self, pool: str) -> Reading[PoolReading] | None:
        if pool in self.unread:
            return None
        listed = self.lists.get(pool)
        if listed is None:
            listed = {name: rate * self.credit for name, rate in self.rigs.items()}
        workers = tuple(PoolWorker(name.upper(), rate, self.now - 20) for name, rate in listed.items())
        return Reading(PoolReading(window=HOUR, workers=workers, payments=self.payments), self.now)

    def run(self, hours: float, step: float = 300.0) -> Reconciliation:
        found = NOTHING
        for _ in range(round(hours * HOUR / step) + 1):
            pools = {name: PoolState(settings, self.listed(name)) for name, settings in self.settings.items()}
            rigs = tuple(self.rig(name, rate) for name, rate in self.rigs.items())
            snapshot = SiteSnapshot(taken_at=self.now, rigs=rigs)
            found = self.work.observe(snapshot, pools, self.market, self.economics, site="prairie", longest_gap=600.0)
            self.now += step
            if self.accepted is not None:
                self.accepted += RATE * step / HASHES_PER_DIFFICULTY
        return found

    def booked(self, kind: str = RIG) -> set[str]:
        return {subject.name for subject in self.work.books if subject.kind == kind}

    def pools(self) -> set[str]:
        """The pools at which rigs are booked."""
        return {subject.pool for subject in self.work.books if subject.kind == RIG}

    def slabs(self) -> dict[float, float]:
        """Hours that are booked for the first rig, by the slab after the start."""
        rows = self.work.books[Subject(RIG, "r0", "one")]
        return {(start - START) / SLAB: seconds / HOUR for start, seconds in zip(rows[::6], rows[1::6], strict=True)}


def test_without_pools_nothing_is_followed() -> None:
    site = Site()
    site.settings = {}
    assert site.run(3) is NOTHING
    assert site.work.books == {}


def test_an_honest_pool_has_no_deficit() -> None:
    site = Site(3)
    found = site.run(8)
    assert site.slabs() == {0: 3, 1: 3, 2: 2}
    assert site.pools() == {subject.pool for subject in site.work.books} == {"one"}
    assert found.rigs.keys() == {"r0", "r1", "r2"}
    rig = found.rigs["r0"]
    assert rig.reported == pytest.approx(RATE)
    assert rig.credited == pytest.approx(RATE)
    assert rig.accepted == pytest.approx(RATE)
    assert rig.deficit == pytest.approx(0, abs=1e-12)
    assert rig.leak is None
    assert found.site is not None
    assert found.site.reported == pytest.approx(3 * RATE)
    assert found.blocks["b"].error == pytest.approx(rig.error / 3**0.5)  # type: ignore[operator] -- it is known


def error(hours: float, difficulty: float = DIFFICULTY) -> float:
    """The relative error of a rig's work of so many hours."""
    return (RATE * hours * HOUR / HASHES_PER_DIFFICULTY / difficulty) ** -0.5


def test_work_since_the_last_booking_counts_as_much_as_the_pools_window() -> None:
    """Evaluated every 500 s, a window of an hour is booked every 4,000 s, for the slab of the window's middle."""
    site = Site()
    rig = site.run(8, step=500.0).rigs["r0"]
    assert site.slabs() == {0: 3, 1: 2, 2: 2}
    assert (rig.reported, rig.credited, rig.accepted) == pytest.approx((RATE,) * 3)
    assert rig.error == pytest.approx(error(5))  # of the slabs that are over


def test_evaluations_as_far_apart_as_is_watched_count() -> None:
    site = Site()
    site.run(3, step=600.0)
    assert site.slabs() == {0: 3}


def test_a_slab_counts_from_its_end_until_it_is_a_week_old() -> None:
    site = Site()
    assert site.run(2.9).rigs == {}
    assert site.run(0).rigs.keys() == {"r0"}
    site.now = START + 7 * DAY
    assert site.run(0).rigs.keys() == {"r0"}
    site.now = START + 7 * DAY + SLAB
    assert site.run(0).rigs == {}


def slabs(credited: float) -> list[float]:
    """36 hours of a rig's work in slabs: 1,008 shares, whose error is 3.15 %."""
    work = 84 * DIFFICULTY
    return [SLAB, work, work * DIFFICULTY, credited * work, work]


@pytest.mark.parametrize(("looked_at", "leak"), [(1, True), (10_000, False)])
def test_the_more_rigs_are_looked_at_the_more_a_leak_must_lack(looked_at: int, *, leak: bool) -> None:
    """A tenth of 2,016 shares is 4.5 standard errors: more than 3, less than the 4.75 that chance shows on 10,000."""
    site = Site()
    site.work = PoolWork({Subject(RIG, f"x{number}", "one"): array("d") for number in range(1, looked_at)})
    rows = [value for number in range(24) for value in (START + number * SLAB, *slabs(0.9))]
    site.work.books[Subject(RIG, "r0", "one")] = array("d", rows)
    site.now += 24 * SLAB
    assert site.run(0).rigs["r0"].leak is leak


def test_the_latest_window_is_shown() -> None:
    site = Site()
    rows = [v for number in range(24) for v in (START + number * SLAB, *slabs(1.0 if number < 12 else 0.7))]
    site.work.books[Subject(RIG, "r0", "one")] = array("d", rows)
    site.now += 24 * SLAB
    assert site.run(0).rigs["r0"].deficit == pytest.approx(0.3)


def test_a_leak_is_found_and_priced_after_two_windows() -> None:
    site = Site()
    site.economics = EconomicsSettings(pool_fee=0.01)
    site.credit = 0.9
    found = site.run(78)
    rig = found.rigs["r0"]
    assert rig.deficit == pytest.approx(0.1)
    assert rig.leak is True
    assert rig.leak_per_day == pytest.approx(0.1 * 0.2 * 40 * 0.99)
    assert found.workers["r0"].credited is True
    assert found.workers["r0"].last_share_at == site.now - 300 - 20


def test_the_fee_of_the_firmware_is_not_a_leak() -> None:
    site = Site()
    site.reading, site.credit = {"firmware_fee": 0.02}, 0.98
    assert site.run(8).rigs["r0"].deficit == pytest.approx(0, abs=1e-12)


def test_a_renamed_worker_is_found_by_the_pool_side() -> None:
    site = Site(2)
    site.lists["one"] = {"r0": RATE, "stranger": RATE}
    found = site.run(8)
    assert found.workers["r0"].credited is True
    assert found.workers["r1"].credited is False
    assert found.pools["one"].workers == 2
    assert found.pools["one"].unmatched == 1
    assert found.rigs["r1"].deficit == 1
    assert found.pools["one"].hashrate == pytest.approx(2 * RATE)


def test_a_pool_that_is_down_says_nothing() -> None:
    site = Site()
    site.unread = {"one"}
    found = site.run(8)
    assert found.workers["r0"] == (None, None)
    assert found.pools["one"].workers is None
    assert not site.booked()


def test_a_gap_in_the_worker_list_is_not_booked() -> None:
    site = Site()
    site.run(2)
    before = dict(site.work.books)
    site.unread = {"one"}
    site.run(2)
    site.unread = set()
    site.run(0.5)
    assert site.work.books == before


def test_two_windows_without_a_worker_list_are_booked_as_one() -> None:
    site = Site()
    site.run(1)
    site.unread = {"one"}
    site.run(1.8)
    site.unread = set()
    assert site.run(0).rigs["r0"].reported == pytest.approx(RATE)
    assert site.slabs() == {0: 2}


def test_an_interrupted_watch_is_not_booked() -> None:
    site = Site()
    site.run(0.5)
    site.now += 400  # 700 s since the last evaluation
    found = site.run(0.9)
    assert found.pools["one"].implausible is False
    assert not site.booked()


@pytest.mark.parametrize(("uptime", "booked"), [(600.0, set()), (3_540.0, {"r0"})])
def test_a_rig_that_just_began_is_not_booked(uptime: float, booked: set[str]) -> None:
    site = Site()
    site.reading = {"uptime": uptime}
    site.run(3)
    assert site.booked() == booked


def test_a_rig_that_does_not_answer_costs_no_other_its_booking() -> None:
    site = Site(3)
    site.silent = {"r0"}
    site.run(3)
    assert site.booked() == {"r1", "r2"}


def test_a_rig_that_stands_still_is_not_booked() -> None:
    site = Site()
    site.rigs["r0"] = 0.0
    site.run(3)
    assert not site.booked()


def test_an_unknown_share_difficulty_leaves_the_error_and_the_block_unknown() -> None:
    site = Site()
    site.reading = {"pools": (Pool(index=0, worker="acme.r0", active=True),)}
    site.credit = 0.5
    rig = site.run(8).rigs["r0"]
    assert rig.deficit == pytest.approx(0.5)
    assert (rig.sigmas, rig.error) == (None, None)
    assert not site.booked(BLOCK)
    assert not site.booked(SITE)


@pytest.mark.parametrize("shares", [1.0, 4.0])
def test_a_mean_share_difficulty_is_used_where_the_pool_does_not_say(shares: float) -> None:
    site = Site()
    pools = (Pool(index=0, worker="acme.r0", active=True, accepted=shares),)
    site.reading = {"pools": pools, "accepted_difficulty": DIFFICULTY}
    assert site.run(8).rigs["r0"].error == pytest.approx(error(6, DIFFICULTY / shares))


def test_work_that_the_rig_does_not_count_is_unknown() -> None:
    site = Site()
    site.accepted = None
    rig = site.run(8).rigs["r0"]
    assert (rig.accepted, rig.luck) == (None, None)


def test_a_counter_that_stands_still_has_counted_nothing() -> None:
    site = Site()
    site.reading = {"accepted_difficulty": 1e9}
    rig = site.run(8).rigs["r0"]
    assert (rig.accepted, rig.luck) == (0, -1)


def test_a_counter_that_began_anew_goes_on() -> None:
    site = Site()
    site.accepted = 1e9
    site.run(2)
    site.accepted = 0.0
    rig = site.run(8).rigs["r0"]
    assert rig.accepted == pytest.approx(RATE, rel=0.1)


@pytest.mark.parametrize("credit", [1e-3, 2.0])
def test_a_pool_in_another_unit_is_refused(credit: float) -> None:
    site = Site(2)
    site.credit = credit
    found = site.run(8)
    assert found.pools["one"].implausible is True
    assert not site.booked()


def test_a_pool_that_credits_nothing_is_not_in_another_unit() -> None:
    site = Site()
    site.lists["one"] = {"r0": 0.0}
    found = site.run(8)
    assert found.pools["one"].implausible is False
    assert found.rigs["r0"].deficit == 1


def test_an_unknown_credit_is_not_booked() -> None:
    site = Site()
    site.lists["one"] = {"r0": None}
    site.payments = (PoolPayment(START, 0.1),)
    found = site.run(30)
    assert found.workers["r0"].credited is None
    assert (found.pools["one"].hashrate, found.pools["one"].payout) == (None, None)
    assert not site.booked()


def test_the_hashrate_of_an_account_is_that_of_the_workers_that_are_known() -> None:
    site = Site()
    site.lists["one"] = {"r0": 2.0, "other": None}
    assert site.run(0).pools["one"].hashrate == 2
    site.lists["one"] = {}
    assert site.run(0).pools["one"].hashrate == 0


TWO = {"one": TERMS, "two": AccountSettings(account="other", worker="{site}.{rig}")}


def test_work_at_two_pools_adds_up() -> None:
    site = Site(1, TWO)
    site.lists = {"one": {"r0": 0.6 * RATE}, "two": {"prairie.r0": 0.4 * RATE}}
    found = site.run(8)
    assert found.rigs["r0"].deficit == pytest.approx(0)
    assert found.pools["two"].unmatched == 0
    assert site.pools() == {"one"}


@pytest.mark.parametrize(
    ("one", "two", "home"),
    [({"r0": 0.0}, {"prairie.r0": RATE}, "two"), ({}, {"prairie.r0": 0.0}, "two"), ({}, {}, "one")],
    ids=["where it works", "where it is listed", "where it is expected first"],
)
def test_a_rig_belongs_to_the_pool_where_it_is_found(one: dict[str, float], two: dict[str, float], home: str) -> None:
    site = Site(1, TWO)
    site.lists = {"one": {**one}, "two": {**two}}
    site.run(3)
    assert site.pools() == {home}


def test_a_worker_that_another_pool_may_have_is_unknown() -> None:
    site = Site(1, TWO)
    site.lists = {"one": {}, "two": {}}
    site.unread = {"two"}
    assert site.run(3).workers["r0"].credited is None
    assert not site.booked()


def test_rigs_of_one_block_at_two_pools_are_side_by_side() -> None:
    settings = {name: AccountSettings(account=name, worker="{rig}", blocks=(name,)) for name in ("one", "two")}
    site = Site(2, settings)
    site.blocks = {"r0": "one", "r1": "two"}
    site.lists = {"one": {"r0": RATE}, "two": {"r1": RATE}}
    found = site.run(8)
    assert found.site is not None
    assert found.site.deficit == pytest.approx(0)
    assert found.site.reported == pytest.approx(2 * RATE)
    assert found.blocks.keys() == {"one", "two"}


def test_rigs_that_share_a_worker_are_judged_as_one() -> None:
    site = Site(2, {"one": AccountSettings(account="acme")})
    site.login = "Acme.farm"
    site.lists["one"] = {"farm": 2 * RATE}
    found = site.run(8)
    assert found.rigs == {}
    assert found.blocks["b"].deficit == pytest.approx(0)


def test_rigs_of_several_blocks_that_share_a_worker_count_for_the_site() -> None:
    site = Site(2, {"one": AccountSettings(account="acme")})
    site.blocks = {"r0": "north"}
    site.login = "acme.farm"
    site.lists["one"] = {"farm": 2 * RATE}
    found = site.run(8)
    assert found.blocks == {}
    assert found.site is not None


def test_a_rig_that_reports_another_account_is_of_no_pool() -> None:
    site = Site(1, {"one": AccountSettings(account="acme")})
    site.login = "stranger.r0"
    assert site.run(3).workers == {}


@pytest.mark.parametrize(("active", "workers"), [(1, {"r0"}), (None, set())])
def test_a_rig_is_of_the_account_of_its_active_pool(active: int | None, workers: set[str]) -> None:
    site = Site(1, {"one": AccountSettings(account="acme")})
    logins = ("stranger.r0", "acme.r0")
    pools = tuple(Pool(index=index, worker=login, active=index == active) for index, login in enumerate(logins))
    site.reading = {"pools": pools}
    assert site.run(0).workers.keys() == workers


def test_a_login_that_the_pool_does_not_list_says_nothing() -> None:
    site = Site(1, {"one": AccountSettings(account="acme")})
    site.lists["one"] = {"other": RATE}
    assert site.run(3).workers == {}


def test_an_expected_worker_of_the_inventory_is_looked_for() -> None:
    site = Site(1, {"one": AccountSettings(account="acme")})
    site.worker = "acme.{rig}"
    site.login = "stranger.r0"
    site.lists["one"] = {"other": RATE}
    assert site.run(3).workers["r0"].credited is False
    site.lists["one"] = {"r0": RATE}
    assert site.run(0).workers["r0"].credited is True
    site.worker = "elsewhere.{rig}"
    assert site.run(3).workers == {}


def test_an_expected_beginning_is_no_name_so_that_the_reported_login_counts() -> None:
    site = Site(1, {"one": AccountSettings(account="acme")})
    site.worker = "acme.*"
    assert site.run(0).workers["r0"].credited is True


def test_rigs_of_other_coins_and_without_a_reading_are_left_out() -> None:
    site = Site()
    rig = site.rig("r0", RATE)
    snapshot = SiteSnapshot(
        taken_at=START,
        rigs=(
            RigSnapshot(rig=Rig(name="ltc", address="10.0.0.2", algorithm="Scrypt")),
            RigSnapshot(rig=Rig(name="10.0.0.3", address="10.0.0.3", discovered=True)),
            RigSnapshot(rig=rig.rig, identity=rig.identity),
        ),
    )
    pools = {"one": PoolState(AccountSettings(account="acme"), site.listed("one"))}
    found = site.work.observe(snapshot, pools, MARKET, site.economics, site="s", longest_gap=60.0)
    assert found.workers == {}
    expected = {"two": PoolState(TERMS, site.listed("one"))}
    found = site.work.observe(snapshot, expected, MARKET, site.economics, site="s", longest_gap=60.0)
    assert found.workers.keys() == {"r0"}
    assert found.workers["r0"].credited is True
    assert found.rigs == {}


def test_a_window_belongs_to_the_day_of_its_middle() -> None:
    """The window that ends at 0:25 counts for the day before."""
    site = Site(1, {"one": AccountSettings(account="acme", worker="{rig}", fee=0.02)})
    site.economics = EconomicsSettings(pool_fee=0.01)
    site.now += 1_500
    site.run(26)
    pay = 0.2 * 0.0005 * 0.98
    rows = site.work.books[Subject(DAYS, "", "one")]
    assert list(rows) == pytest.approx([START, DAY, pay, START + DAY, 2 * HOUR, pay / 12])


def test_a_day_is_paid_as_its_credited_work_should() -> None:
    site = Site()
    site.economics = EconomicsSettings(pool_fee=0.01)
    site.payments = (PoolPayment(START, 0.2 * 0.0005 * 0.99 * 0.97),)
    found = site.run(30)
    payout = found.pools["one"].payout
    assert payout is not None
    assert payout.day == START
    assert payout.expected == pytest.approx(0.2 * 0.0005 * 0.99)
    assert payout.shortfall == pytest.approx(0.03)


def test_income_by_luck_is_compared_at_the_whole_hashprice() -> None:
    site = Site(1, {"one": AccountSettings(account="acme", worker="{rig}", scheme=PoolScheme.PPLNS, fee=0.0)})
    site.payments = (PoolPayment(START, 0.2 * 0.00055 * 2),)
    payout = site.run(30).pools["one"].payout
    assert payout is not None
    assert payout.luck == pytest.approx(2)


def test_days_without_a_hashprice_have_no_expected_payout() -> None:
    site = Site()
    site.market = MarketEconomics()
    site.payments = (PoolPayment(START, 0.1),)
    site.credit = 0.9
    found = site.run(78)
    assert found.pools["one"].payout is None
    assert found.rigs["r0"].leak is True
    assert found.rigs["r0"].leak_per_day is None


def test_a_restart_goes_on_with_the_windows_before() -> None:
    site = Site()
    site.credit = 0.9
    site.run(70)
    site.work = PoolWork({subject: array("d", rows.tobytes()) for subject, rows in site.work.books.items()})
    found = site.run(10)
    assert found.rigs["r0"].leak is True


def test_windows_end_and_old_ones_are_forgotten() -> None:
    site = Site()
    site.run(80)
    rows = site.work.books[Subject(RIG, "r0", "one")]
    assert len(rows) == 25 * 6
    site.now += 8 * DAY
    found = site.run(0)
    assert found.rigs == {}
    site.run(2)
    assert len(site.work.books[Subject(RIG, "r0", "one")]) <= 2 * 6


def test_a_clock_that_was_set_changes_no_window() -> None:
    site = Site()
    site.work.shift(5.0)
    site.run(0.5)
    site.work.shift(10 * SLAB)
    site.now += 10 * SLAB
    site.run(0.6)
    assert site.booked() == {"r0"}


def test_a_rig_that_left_is_not_shown() -> None:
    site = Site(2)
    site.blocks = {"r1": "south"}
    assert site.run(8).blocks.keys() == {"b", "south"}
    del site.rigs["r1"]
    found = site.run(0)
    assert found.rigs.keys() == {"r0"}
    assert found.blocks.keys() == {"b"}
