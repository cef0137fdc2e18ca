"""Which rig is expected in which slot: a slot is one of the inventory's addresses.

A rig with a known MAC address or serial number, from the inventory or from its discovery in a range, is the same rig
wherever it answers: DHCP may move it. Any other rig is whatever answers at its address.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from hashlib import blake2b
from typing import Final, NamedTuple

from exporter.model.failures import Failure, Reason
from exporter.model.fleet import Rig
from exporter.model.readings import RigIdentity
from exporter.polling.ledger import RigLedger, RigMemory
from exporter.polling.notices import RigNotices
from exporter.polling.settings import PollingSettings
from exporter.sources.rigs.contract import Target
from exporter.sources.rigs.logins import Logins

_FORGOTTEN_AFTER: Final = 30 * 86_400.0
"""Seconds of silence after which a rig found in a range is forgotten at a reload, if another one has its address."""


class _Claim(NamedTuple):
    """A rig answered here, at a time of the loop, that is expected in another slot."""

    rig: str
    since: float
    logged: bool = False


class Slot:
    """One address, and the rig that is expected there: None before anything answers. Times are the loop's.

    The outcome of a visit counts only while its target is still the slot's: meanwhile the slot can be given to another
    rig, or to the same one with another login.
    """

    __slots__ = (
        "claim",
        "failures",
        "gone",
        "home",
        "identified_at",
        "identify_at",
        "identify_tried_at",
        "identify_tried_for",
        "keyless",
        "ledger",
        "logins",
        "phase",
        "points_at",
        "target",
        "turn",
    )

    def __init__(self, home: Rig, identify_at: float) -> None:
        self.home = home  # the inventory's entry for the address
        self.ledger: RigLedger | None = None
        self.target = _target(home)
        self.logins = Logins(home.logins, home.address)
        self.phase = phase(home.address)  # of an interval
        self.turn = -math.inf  # for which it is due, in flight or waiting
        self.identify_at = identify_at
        self.identified_at = -math.inf
        self.identify_tried_at = -math.inf
        self.identify_tried_for: Reason | None = None  # how the rig failed when it was last tried because of that
        self.points_at: float | None = None  # when to ask for the list of its operating points
        self.failures = 0  # in a row
        self.gone = False  # from the inventory, or replaced
        self.claim: _Claim | None = None
        self.keyless = False  # what answered had neither MAC nor serial: if that happens again, its address names it

    def is_for(self, rig: Rig) -> bool:
        """Return whether address and logins of ``rig`` are those that are used here."""
        return self.target == _target(rig) and self.logins.offered == Logins(rig.logins, rig.address).offered

    def seat(self, ledger: RigLedger | None) -> None:
        """Expect this rig here from now on, or none if it is None."""
        self.ledger = ledger
        rig = self.home if ledger is None else ledger.rig
        self.target = _target(rig)
        accepted, waited = ("", None) if ledger is None else ledger.login
        self.logins = Logins(rig.logins, rig.address, accepted=accepted, waited=waited)
        self.claim = None
        self.keyless = False


class Roster:
    """Keeps the ledgers of all rigs, and the slots in which they are expected.

    Args:
        settings: How long readings are fresh.
        notices: Logs rigs that are found or move.
        remembered: What the last process knew, by rig name.
        clock: Unix seconds.
    """

    def __init__(
        self,
        settings: PollingSettings,
        notices: RigNotices,
        remembered: Mapping[str, RigMemory],
        clock: Callable[[], float],
    ) -> None:
        self.slots: dict[str, Slot] = {}
        """By address."""
        self.rigs: dict[str, RigLedger] = {}
        """By name: those that the inventory lists, in its order, then those found."""
        self._settings = settings
        self._notices = notices
        self._remembered = dict(remembered)
        self._clock = clock
        self._rows: dict[str, Rig] = {}
        self._known: dict[str, RigLedger] = {}  # by MAC address, and by serial number

    # --- a new inventory ----------------------------------------------------------------------------------------------

    def replace(self, rigs: Iterable[Rig], at: float, first_check: Callable[[], float]) -> list[Slot]:
        """Apply an inventory and return the slots that are new or changed. Rigs that leave it are remembered.

        ``at`` is the loop's time; ``first_check`` returns the time at which the rig in a new slot is identified again.
        """
        homes = {rig.address: rig for rig in rigs}
        rows = {rig.name: rig for rig in homes.values() if not rig.discovered}
        before = self.rigs
        self.rigs = {name: self._listed(row, before.get(name)) for name, row in rows.items()}
        self._rows = rows
        keys = {key for row in rows.values() for key in _keys(row)}
        for ledger in self._found_before(homes, keys, before):
            self.rigs.setdefault(ledger.rig.name, ledger)
        seats = self._seats(homes)
        for name in [name for name, ledger in self.rigs.items() if self._is_forgotten(ledger, seats)]:
            del self.rigs[name]
        for ledger in set(self.rigs.values()) - set(seats.values()):
            if ledger.up is None:  # after a restart, too, another rig is where it was
                ledger.lost()
        self._notices.forget(before.keys() - self.rigs.keys())
        for name in before.keys() - self.rigs.keys():
            self._remembered[name] = before[name].memory(self._clock())
        self._known = {}
        for ledger in self.rigs.values():
            self._know(ledger)
        return self._furnish(homes, seats, at, first_check)

    def _listed(self, row: Rig, ledger: RigLedger | None) -> RigLedger:
        """Return the ledger of a rig that the inventory lists, with the address where it was last seen."""
        if ledger is None:
            memory = self._remembered.pop(row.name, None) or RigMemory()
            address = memory.address if _keys(row) and memory.address else row.address
            return RigLedger(replace(row, address=address), self._settings, memory, self._clock())
        before = self._rows.get(row.name)
        stays = _keys(row) and before is not None and before.address == row.address
        ledger.replace(replace(row, address=ledger.rig.address) if stays else row)
        return ledger

    def _found_before(
        self, homes: Mapping[str, Rig], listed: set[str], before: Mapping[str, RigLedger]
    ) -> Iterator[RigLedger]:
        """Return the rigs found in ranges that are still searched, unless the inventory now lists them."""
        for ledger in before.values():
            home = homes.get(ledger.rig.address)
            if ledger.rig.discovered and home is not None and home.discovered and listed.isdisjoint(_keys(ledger.rig)):
                ledger.replace(_found(home, ledger.rig.name, ledger.rig.mac, ledger.rig.serial))
                yield ledger
        for name, memory in list(self._remembered.items()):
            home, who = homes.get(memory.address), memory.identity
            mac, serial = (who.mac, who.serial) if who is not None else ("", "")
            if memory.discovered and home is not None and home.discovered and listed.isdisjoint({mac, serial}):
                del self._remembered[name]
                yield RigLedger(_found(home, name, mac, serial), self._settings, memory, self._clock())

    def _seats(self, homes: Mapping[str, Rig]) -> dict[str, RigLedger]:
        """Return the rig of each address: a rig without a key at its own, others where last seen, else where listed.

        If two were seen at one address, the later one has it; the other has no slot until it answers.
        """
        seats: dict[str, RigLedger] = {}
        for ledger in sorted(self.rigs.values(), key=lambda each: (bool(_keys(each.rig)), -(each.last_success or 0.0))):
            row = self._rows.get(ledger.rig.name)
            for address in (ledger.rig.address, ledger.rig.address if row is None else row.address):
                if address in homes and address not in seats:
                    seats[address] = ledger
                    ledger.replace(replace(ledger.rig, address=address))
                    break
        return seats

    def _is_forgotten(self, ledger: RigLedger, seats: Mapping[str, RigLedger]) -> bool:
        silent = self._clock() - (ledger.last_success or 0.0) > _FORGOTTEN_AFTER
        return ledger.rig.discovered and silent and seats[ledger.rig.address] is not ledger

    def _furnish(
        self, homes: Mapping[str, Rig], seats: Mapping[str, RigLedger], at: float, first_check: Callable[[], float]
    ) -> list[Slot]:
        running = {slot.ledger for slot in self.slots.values()} - {None}
        before, self.slots = self.slots, {}
        new = []
        for address, home in homes.items():
            slot, ledger = before.get(address), seats.get(address)
            if slot is not None and slot.ledger is ledger and slot.is_for(ledger.rig if ledger else home):
                slot.home = home
                del before[address]
            else:  # another rig, or another login: tried soon, however long nothing came of the one before
                slot = Slot(home, at if ledger in running else first_check())
                slot.seat(ledger)
                new.append(slot)
            self.slots[address] = slot
        for slot in before.values():
            slot.gone = True
            slot.seat(None)
        return new

    # --- what answers -------------------------------------------------------------------------------------------------

    def answered(self, slot: Slot, identity: RigIdentity, at: float) -> None:
        """Seat in ``slot`` the rig that answered there at ``at``, or nobody if it is no rig of this site.

        A rig that is expected in another slot, and may still be there, keeps that one until it is identified there.
        """
        occupant, known = slot.ledger, self._recognise(identity)
        if occupant is not None and (known is occupant or not _keys(occupant.rig)):
            pass
        elif known is not None:
            self._move(known, slot, identity, at)
        elif occupant is None or (occupant.rig.discovered and _is_another(occupant.rig, identity)):
            self._vacate(slot, identity)
            self._find(slot, identity)
        if slot.ledger is not None:
            self._learn(slot.ledger, identity)

    def _recognise(self, identity: RigIdentity) -> RigLedger | None:
        known = [self._known[key] for key in (identity.mac, identity.serial) if key in self._known]
        return next((ledger for ledger in known if not _is_another(ledger.rig, identity)), None)

    def _move(self, ledger: RigLedger, slot: Slot, identity: RigIdentity, at: float) -> None:
        """Move a rig here, unless it may still be where it is expected."""
        rig, claim = ledger.rig, slot.claim
        old = self.slots[rig.address] if self._is_seated(ledger) else None
        self._vacate(slot, identity)
        if old is not None and ledger.up and (ledger.identity is None or not _is_another(rig, ledger.identity)):
            if claim is None or claim.rig != rig.name:
                claim = _Claim(rig.name, at)
                slot.failures = 0  # it is looked at again soon
            elif old.identified_at > claim.since and not claim.logged:
                claim = claim._replace(logged=True)
                self._notices.twins(rig, slot.home.address)
            slot.claim = claim
            old.identify_at = min(old.identify_at, at)
            return
        if old is not None:
            old.seat(None)
        self._notices.moved(rig, slot.home.address)
        row = self._rows.get(rig.name)
        facts = _found(slot.home, rig.name, rig.mac, rig.serial) if row is None else row
        ledger.replace(replace(facts, address=slot.home.address))
        slot.seat(ledger)

    def _is_seated(self, ledger: RigLedger) -> bool:
        slot = self.slots.get(ledger.rig.address)
        return slot is not None and slot.ledger is ledger

    def _vacate(self, slot: Slot, identity: RigIdentity) -> None:
        """Record that another rig answers where this one is expected."""
        if slot.ledger is None:
            return
        who = identity.mac or identity.serial or "another rig"
        if slot.ledger.expected_mining:
            self._notices.down(slot.ledger.rig, Failure(Reason.IMPLAUSIBLE, f"{who} answers at its address"))
        slot.ledger.lost()
        slot.seat(None)

    def _find(self, slot: Slot, identity: RigIdentity) -> None:
        """Add the rig that answers at an address of a range, named by its MAC, else its serial, else the address."""
        if not slot.home.discovered:
            return
        if not (identity.mac or identity.serial or slot.keyless):
            slot.keyless = True  # it may report them at the next try, and a name is for ever
            slot.failures = 0
            return
        names = (identity.mac, identity.serial, slot.home.address)
        name = next((name for name in names if name and name not in self.rigs), None)
        if name is None:
            return
        rig = _found(slot.home, name, identity.mac, identity.serial)
        memory = self._remembered.pop(name, None) or RigMemory()
        self.rigs[name] = ledger = RigLedger(rig, self._settings, memory, self._clock())
        slot.seat(ledger)
        self._notices.found(rig, identity)

    def _learn(self, ledger: RigLedger, identity: RigIdentity) -> None:
        rig = ledger.rig
        if rig.discovered:
            ledger.replace(replace(rig, mac=rig.mac or identity.mac, serial=rig.serial or identity.serial))
        self._know(ledger)

    def _know(self, ledger: RigLedger) -> None:
        for key in _keys(ledger.rig):
            self._known.setdefault(key, ledger)


def phase(name: str) -> float:
    """Return an address' share of the interval (0 to 1), by a stable hash: polls are spread evenly."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest()) / 2**64


def _target(rig: Rig) -> Target:
    return Target(rig.address, next((login for login in rig.logins if login.may_go_to(rig.address)), None))


def _keys(rig: Rig) -> tuple[str, ...]:
    """Return the keys that identify a rig wherever it answers; none for a rig that is bound to its address."""
    return tuple(key for key in (rig.mac, rig.serial) if key)


def _is_another(rig: Rig, identity: RigIdentity) -> bool:
    if rig.mac and identity.mac:
        return rig.mac != identity.mac
    return bool(rig.serial and identity.serial) and rig.serial != identity.serial


def _found(home: Rig, name: str, mac: str, serial: str) -> Rig:
    """Return the rig found at an address of a range."""
    return replace(home, name=name, mac=mac, serial=serial)
