"""Work that a pool credits, against the work that rigs do: rates, their statistical errors, leaks and payouts.

A share of difficulty D proves D x 2^32 hashes on average. Shares arrive by chance (Poisson): the relative standard
error of a rate from n shares is 1 / sqrt(n). https://en.bitcoin.it/wiki/Difficulty
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from ipaddress import ip_address
from math import inf, sqrt
from statistics import NormalDist
from typing import Final, NamedTuple, Self

from exporter.model.fleet import Rig
from exporter.model.units import HASHES_PER_DIFFICULTY, SECONDS_PER_DAY, petahashes

SLAB: Final = 10_800.0
"""Seconds of one slab: work is kept in slabs, of which windows are made."""
MOST_SLABS: Final = 12
"""Slabs of a window at most: 36 hours."""
ENOUGH_SHARES: Final = 45_000.0
"""Expected shares that end a window early: an error of 0.47 %, a fraction of the least deficit."""
LEAST_SHARES: Final = 1_000.0
"""A window with fewer expected shares is not judged: their distribution is not yet normal."""
LEAST_DEFICIT: Final = 0.02
"""Less than this is within what firmware misreports, and is never a leak."""
MISREPORTED: Final = 0.005
"""Deficit that must not be claimed although it is there: what lacks is counted from here, in standard errors."""
LEAST_SIGMAS: Final = 3.0
FALSE_ALARMS: Final = 0.01
"""Chance that any of all rigs looked at is claimed to leak although none does."""

_NORMAL: Final = NormalDist()


class PoolScheme(StrEnum):
    """What a pool pays for."""

    FPPS = "fpps"
    PPS = "pps"
    PPS_PLUS = "pps+"
    PPLNS = "pplns"
    TIDES = "tides"
    SOLO = "solo"

    @property
    def has_luck(self) -> bool:
        """Whether a day's income depends on the blocks that the pool finds."""
        return self in {PoolScheme.PPS_PLUS, PoolScheme.PPLNS, PoolScheme.TIDES, PoolScheme.SOLO}


# --- names of workers -----------------------------------------------------------------------------------------------


_NO_OCTETS: Final = ("",) * 4


@lru_cache(maxsize=100_000)  # each rig's is asked for at each evaluation
def _octets(address: str) -> tuple[str, ...]:
    """Return the octets of an IPv4 address; empty ones for another."""
    try:
        packed = ip_address(address).packed
    except ValueError:
        packed = b""
    return tuple(map(str, packed)) if len(packed) == len(_NO_OCTETS) else _NO_OCTETS


_FACTS: Final[Mapping[str, Callable[[Rig], str]]] = {
    "rig": lambda rig: rig.name,
    "block": lambda rig: rig.block,
    "rack": lambda rig: rig.rack,
    "position": lambda rig: rig.position,
    "customer": lambda rig: rig.customer,
    "serial": lambda rig: rig.serial,
    "mac": lambda rig: rig.mac.replace(":", ""),
    "ip": lambda rig: rig.address,
    "1": lambda rig: _octets(rig.address)[0],
    "2": lambda rig: _octets(rig.address)[1],
    "3": lambda rig: _octets(rig.address)[2],
    "4": lambda rig: _octets(rig.address)[3],
}

PLACEHOLDERS: Final = ("site", *_FACTS)
"""What a pattern of worker names may contain in braces: facts of a rig, and the octets of its IPv4 address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSettings:
    """Settings of one account at a pool."""

    account: str = ""  # in lower case
    worker: str | None = None  # pattern of worker names; None: the inventory's, else the reported login
    blocks: tuple[str, ...] = ()  # empty means all
    scheme: PoolScheme = PoolScheme.FPPS
    fee: float | None = None  # 0-1; None: that of the economics


def worker_of(pattern: str, rig: Rig, site: str) -> str | None:
    """Return the worker that ``pattern`` gives a rig, in lower case. None if the rig lacks a fact that it needs."""
    for name in _placeholders(pattern):
        fact = site if name == "site" else _FACTS[name](rig)
        if not fact:
            return None
        pattern = pattern.replace(f"{{{name}}}", fact)
    return pattern.lower()


@lru_cache
def _placeholders(pattern: str) -> tuple[str, ...]:
    return tuple(name for name in PLACEHOLDERS if f"{{{name}}}" in pattern)


def split_login(login: str) -> tuple[str, str]:
    """Return account and worker of a Stratum login, in lower case. Names of workers may hold dots."""
    account, _, worker = login.lower().partition(".")
    return account, worker


# --- shares and their error -----------------------------------------------------------------------------------------


def hashrate_of(difficulty: float, seconds: float) -> float:
    """Return the hashrate (H/s) that shares prove whose difficulties add up to ``difficulty``."""
    return difficulty * HASHES_PER_DIFFICULTY / seconds


def relative_error(shares: float) -> float:
    """Return the relative standard error of a rate from ``shares`` shares, which must not be 0."""
    return 1 / sqrt(shares)


def raised_sigmas(looked_at: int) -> float:
    """Return how far work must fall short so that chance shows it on any of ``looked_at`` rigs in one of 100 sites."""
    return max(LEAST_SIGMAS, _NORMAL.inv_cdf(1 - FALSE_ALARMS / max(looked_at, 1)))


class Work(NamedTuple):
    """Work of a rig or of several over the same windows, in units of difficulty 1 (2^32 hashes on average).

    Attributes:
        seconds: length of the windows; of several rigs, of each.
        expected: by the rigs' reported rates, less the fee of their firmware.
        spread: expected work times share difficulty, summed: the variance of what is credited. Infinite if a difficulty
            was not known.
        credited: by the pool.
        accepted: by the shares that the rigs count as accepted. Below 0 if a rig does not count them.
    """

    seconds: float
    expected: float
    spread: float
    credited: float
    accepted: float

    @property
    def shares(self) -> float:
        """Expected number of equal shares with the same error. 0 if nothing is expected."""
        return self.expected**2 / self.spread if 0 < self.spread < inf else 0.0

    @property
    def deficit(self) -> float | None:
        """Share of the expected work that is not credited; below 0 if more is credited. None without work."""
        return 1 - self.credited / self.expected if self.expected > 0 else None

    @property
    def sigmas(self) -> float | None:
        """By how many standard errors the credited work falls short. None without work, or without their difficulty."""
        return (self.expected - self.credited) / sqrt(self.spread) if 0 < self.spread < inf else None

    @property
    def error(self) -> float | None:
        """Relative standard error of the credited work."""
        return relative_error(self.shares) if self.shares > 0 else None

    @property
    def luck(self) -> float | None:
        """Accepted against expected work, less 1: what chance, and the rig's own reporting, make of its rate."""
        return self.accepted / self.expected - 1 if self.accepted >= 0 and self.expected > 0 else None

    def plus(self, other: Self) -> "Work":
        """Return the work of the windows that follow each other."""
        return self._added(other, self.seconds + other.seconds)

    def beside(self, other: Self) -> "Work":
        """Return the work of two rigs in the same window."""
        return self._added(other, max(self.seconds, other.seconds))

    def _added(self, other: Self, seconds: float) -> "Work":
        known = self.accepted >= 0 and other.accepted >= 0
        return Work(
            seconds,
            self.expected + other.expected,
            self.spread + other.spread,
            self.credited + other.credited,
            self.accepted + other.accepted if known else -1.0,
        )


NO_WORK: Final = Work(0.0, 0.0, 0.0, 0.0, 0.0)


def windows(slabs: Sequence[Work]) -> list[Work]:
    """Join slabs, newest first, to windows of enough shares or 36 hours. Returns the two latest at most."""
    joined: list[Work] = []
    window, count = NO_WORK, 0
    for slab in slabs:
        window, count = window.plus(slab), count + 1
        if window.shares >= ENOUGH_SHARES or count == MOST_SLABS:
            joined.append(window)
            window, count = NO_WORK, 0
            if len(joined) == 2:  # noqa: PLR2004 -- a leak holds in two windows
                return joined
    return joined if joined or not count else [window]


def is_leak(latest: Work, former: Work, looked_at: int) -> bool:
    """Whether two windows that do not overlap both lack work, beyond chance and beyond what firmware misreports.

    Each must lack more than 2 %, and more than 0.5 % and 3 standard errors. Together they must lack as much as chance
    shows on any of ``looked_at`` rigs in one of 100 sites.
    """
    for window in (latest, former):
        deficit, error = window.deficit, window.error
        if deficit is None or error is None or window.shares < LEAST_SHARES:
            return False
        if deficit <= max(LEAST_DEFICIT, MISREPORTED + LEAST_SIGMAS * error):
            return False
    return (latest.plus(former).sigmas or 0.0) > raised_sigmas(looked_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkBalance:
    """The balance of one rig, block or site over its latest window, in H/s, and what it leaks."""

    reported: float  # H/s, less the firmware's fee
    accepted: float | None  # H/s, from the shares that the rigs count
    credited: float  # H/s
    deficit: float | None = None
    sigmas: float | None = None
    error: float | None = None
    luck: float | None = None
    leak: bool | None = None  # None before there are two windows
    leaked: float | None = None  # H/s; None unless it leaks
    leak_per_day: float | None = None  # USD; None unless it leaks and the payout is known

    def priced(self, payout: float | None) -> Self:
        """Return it with what the leak costs at ``payout``: USD per PH/s and day after the pool's fee, if known."""
        if self.leaked is None or payout is None:
            return self
        return replace(self, leak_per_day=petahashes(self.leaked) * payout)


def balance(slabs: Sequence[Work], looked_at: int) -> WorkBalance | None:
    """Judge the slabs of a subject, newest first. None without work.

    Args:
        slabs: work that is over.
        looked_at: subjects that are judged at the same time.
    """
    found = windows(slabs)
    if not found or found[0].seconds <= 0:
        return None
    latest = found[0]
    leak: bool | None = None
    leaked: float | None = None
    if len(found) > 1:
        former = found[1]
        leak = is_leak(latest, former, looked_at)
        both = latest.plus(former)
        leaked = hashrate_of(both.expected - both.credited, both.seconds) if leak else None
    return WorkBalance(
        reported=hashrate_of(latest.expected, latest.seconds),
        accepted=hashrate_of(latest.accepted, latest.seconds) if latest.accepted >= 0 else None,
        credited=hashrate_of(latest.credited, latest.seconds),
        deficit=latest.deficit,
        sigmas=latest.sigmas,
        error=latest.error,
        luck=latest.luck,
        leak=leak,
        leaked=leaked,
    )


# --- payouts --------------------------------------------------------------------------------------------------------


def expected_payout(hashrate: float, days: float, hashprice_btc: float, fee: float) -> float:
    """Return the bitcoins for ``days`` of credited work at ``hashrate`` (H/s), at a hashprice per PH/s and day."""
    return petahashes(hashrate) * days * hashprice_btc * (1 - fee)


class DayCredit(NamedTuple):
    """What one UTC day's credited work should pay, as far as it was observed."""

    day: float  # unix seconds
    seconds: float  # observed
    bitcoins: float  # for these


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutBalance:
    """What a pool paid for a day against what its own credited work should have paid, in bitcoins."""

    day: float  # unix seconds
    expected: float
    paid: float
    luck: float | None = None  # paid / expected, where income depends on blocks
    shortfall: float | None = None  # 1 - paid / expected, where it does not


_OBSERVED: Final = 0.8


def payout_balance(
    credits_of_days: Iterable[DayCredit], paid: dict[float, float], scheme: PoolScheme
) -> PayoutBalance | None:
    """Compare the latest day that is paid and was observed for 80 % at least. None without such a day."""
    for credit in sorted(credits_of_days, reverse=True):
        if credit.day in paid and credit.seconds >= _OBSERVED * SECONDS_PER_DAY and credit.bitcoins > 0:
            expected = credit.bitcoins * SECONDS_PER_DAY / credit.seconds
            ratio = paid[credit.day] / expected
            return PayoutBalance(
                day=credit.day,
                expected=expected,
                paid=paid[credit.day],
                luck=ratio if scheme.has_luck else None,
                shortfall=None if scheme.has_luck else 1 - ratio,
            )
    return None
