"""Logs rigs that come and go: each change once, and few lines when thousands change at once."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Final

import structlog

from exporter.model.failures import RIG_ADVICE, Failure, Reason
from exporter.model.fleet import Rig
from exporter.model.nameplate import IMPLAUSIBLE, TOLERATED, Deviation
from exporter.model.readings import RigIdentity

_log = structlog.get_logger(__name__)

_LINES_PER_WINDOW: Final = 20


class RigNotices:
    """Logs rigs that are found, move, go down and come back; beyond some lines per window only how many more did."""

    def __init__(self, window: float) -> None:
        self._window = window
        self._ends = 0.0
        self._lines = 0
        self._down: set[str] = set()
        self._rejecting: set[str] = set()
        self._more_rejecting = 0
        self._misrated: dict[str, tuple[str, ...]] = {}
        self._more_misrated = 0
        self._more_down: Counter[Reason] = Counter()
        self._more_back = 0
        self._more_found = 0
        self._more_changed = 0

    def found(self, rig: Rig, identity: RigIdentity) -> None:
        """Log that a rig was found in a range."""
        if self._has_room():
            _log.info("rig found", rig=rig.name, address=rig.address, make=identity.make, model=identity.model)
        else:
            self._more_found += 1

    def moved(self, rig: Rig, address: str) -> None:
        """Log that a rig now answers at another address."""
        if self._has_room():
            _log.info("rig has moved", rig=rig.name, before=rig.address, address=address)

    def changed(self, rig: Rig, change: str, before: RigIdentity, now: RigIdentity) -> None:
        """Log that another device or firmware answers at a rig's address, and what differs."""
        if self._has_room():
            facts = ((field.name, getattr(before, field.name), getattr(now, field.name)) for field in fields(now))
            what = "; ".join(f"{name} {old!r} is now {new!r}" for name, old, new in facts if old != new)
            _log.warning("rig is not what it was", rig=rig.name, address=rig.address, change=change, what=what)
        else:
            self._more_changed += 1

    def twins(self, rig: Rig, address: str) -> None:
        """Log that two addresses answer with the identity of one rig."""
        if self._has_room():
            advice = (
                "two rigs have the same MAC address or serial number, and the first is read: give the other its own"
            )
            _log.warning(
                "another address has the identity of this rig",
                rig=rig.name,
                here=rig.address,
                there=address,
                advice=advice,
            )

    def down(self, rig: Rig, failure: Failure) -> None:
        """Log that a rig is down, the reason and what to do; not again until it is back."""
        if rig.name in self._down:
            return
        self._down.add(rig.name)
        if self._has_room():
            _log.warning(
                "rig is down",
                rig=rig.name,
                address=rig.address,
                reason=failure.reason.value,
                detail=failure.detail,
                advice=failure.advised(RIG_ADVICE),
            )
        else:
            self._more_down[failure.reason] += 1

    def back(self, rig: Rig) -> None:
        """Log that a rig is back, if it was logged as down."""
        if rig.name not in self._down:
            return
        self._down.remove(rig.name)
        if self._has_room():
            _log.info("rig is back", rig=rig.name, address=rig.address)
        else:
            self._more_back += 1

    def login(self, rig: Rig, rejected: Sequence[str], *, refused: bool) -> None:
        """Log that a rig rejects its login, or accepts it again. ``rejected`` names the logins that failed."""
        if not refused:
            if rig.name in self._rejecting:
                self._rejecting.remove(rig.name)
                if self._has_room():
                    _log.info("rig accepts the login again", rig=rig.name, address=rig.address)
            return
        if rig.name in self._rejecting:
            return
        self._rejecting.add(rig.name)
        if self._has_room():
            tried = ", ".join(name or "its own" for name in rejected) or "the factory's"
            advice = "add its login to fleet.logins and to `login` of the rig or range: one is tried every 15 minutes"
            _log.warning("rig rejects the login", rig=rig.name, address=rig.address, tried=tried, advice=advice)
        else:
            self._more_rejecting += 1

    def rating(self, rig: Rig, compared: Iterable[Deviation]) -> None:
        """Log once that the rating of a rig in the inventory differs from the nameplate of its model."""
        wrong = [] if rig.accept_implausible else [each for each in compared if each.beyond(TOLERATED)]
        sentences = tuple(each.sentence for each in wrong)
        if sentences == self._misrated.get(rig.name, ()):
            return
        self._misrated[rig.name] = sentences
        if not sentences:
            return
        if not self._has_room():
            self._more_misrated += 1
            return
        used = "the nameplate" if any(each.beyond(IMPLAUSIBLE) for each in wrong) else "the inventory"
        advice = "correct rated_terahash and rated_watts in the inventory, or set accept_implausible: true"
        what = "; ".join(sentences)
        _log.warning(
            "rating of the inventory differs from the nameplate", rig=rig.name, what=what, used=used, advice=advice
        )

    def forget(self, names: Iterable[str]) -> None:
        """Forget rigs that left the inventory."""
        gone = set(names)
        self._down -= gone
        self._rejecting -= gone
        for name in gone:
            self._misrated.pop(name, None)

    def _has_room(self) -> bool:
        self._lines += 1
        return self._lines <= _LINES_PER_WINDOW

    def tick(self, at: float) -> None:
        """Log the numbers of the window if it is over at ``at`` (monotonic seconds)."""
        if at < self._ends:
            return
        if self._more_down:
            reasons = ", ".join(f"{reason.value} {count}" for reason, count in self._more_down.most_common())
            _log.warning("more rigs are down", rigs=self._more_down.total(), reasons=reasons)
        if self._more_rejecting:
            _log.warning("more rigs reject the login", rigs=self._more_rejecting)
        if self._more_misrated:
            _log.warning("more ratings of the inventory differ from the nameplate", rigs=self._more_misrated)
        if self._more_back:
            _log.info("more rigs are back", rigs=self._more_back)
        if self._more_found:
            _log.info("more rigs found", rigs=self._more_found)
        if self._more_changed:
            _log.warning("more rigs are not what they were", rigs=self._more_changed)
        self._ends = at + self._window
        self._lines = self._more_back = self._more_found = self._more_changed = self._more_rejecting = (
            self._more_misrated
        ) = 0
        self._more_down.clear()
