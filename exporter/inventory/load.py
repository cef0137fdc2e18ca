"""The rigs of a site as the operator lists them: single rigs, CSV files, service discovery and address ranges."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, Final

from exporter.inventory.csv_files import csv_rows
from exporter.inventory.listed import InventoryError, KeyPath, Listed, dotted, duplicates, identity, why_unreadable
from exporter.inventory.model import BlockSettings, CustomerSettings, InventorySettings, RangeSettings, RigFacts, RigRow
from exporter.inventory.service_discovery import file_rows, http_rows
from exporter.model.configuration_errors import ErrorAt, unknown
from exporter.model.fields import is_offline
from exporter.model.fleet import UNASSIGNED, Credentials, Rig
from exporter.model.units import HASHES_PER_TERAHASH

MOST_ADDRESSES: Final = 100_000
"""The most addresses of one inventory, those in ranges where nothing answers included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The names that the rest of the configuration defines, for rigs to refer to."""

    blocks: Mapping[str, BlockSettings]
    tariffs: Collection[str]
    schedules: Collection[str]
    customers: Mapping[str, CustomerSettings] = field(default_factory=dict)
    tariff: str = ""
    """The site's tariff."""


def inventory_files(terms: InventorySettings) -> tuple[Path, ...]:
    """The files beside the configuration that the fleet is read from."""
    passwords = (facts.password_file for facts in (terms.defaults, *terms.ranges, *terms.rigs))
    return tuple(dict.fromkeys((*terms.csv, *terms.file_sd, *(path for path in passwords if path is not None))))


def load_inventory(terms: InventorySettings, names: Names, where: Callable[[KeyPath], str] = dotted) -> tuple[Rig, ...]:
    """Read the whole fleet.

    ``where`` tells how a key path is shown to the operator, in front of what is wrong there. Raises InventoryError with
    every mistake found.
    """
    errors: list[ErrorAt] = []
    rows = [
        *(
            Listed(row, row.address, identity(row), where(("fleet", "rigs", index)))
            for index, row in enumerate(terms.rigs)
        ),
        *(listed for path in terms.csv for listed in csv_rows(path, errors)),
        *(listed for path in terms.file_sd for listed in file_rows(path, errors)),
        *(listed for url in terms.http_sd for listed in http_rows(url, errors)),
    ]
    errors += duplicates(rows)
    size = len(rows) + sum(entry.cidr.num_addresses for entry in terms.ranges)
    if size > MOST_ADDRESSES:
        errors.append(ErrorAt(where(("fleet",)), f"lists {size:,} addresses, more than the {MOST_ADDRESSES:,} allowed"))
        raise InventoryError(errors)
    listed = [*rows, *_candidates(terms.ranges, {row.address for row in rows}, where, errors)]
    reader = _Reader(terms.defaults, names, errors)
    rigs = tuple(map(reader.rig, listed))
    if errors:
        raise InventoryError(dict.fromkeys(errors))
    return rigs


def _candidates(
    ranges: Iterable[RangeSettings], taken: Collection[str], where: Callable[[KeyPath], str], errors: list[ErrorAt]
) -> Iterator[Listed]:
    """Every address of every range that no row takes. A range that overlaps an earlier one is a problem."""
    seen: dict[IPv4Address, IPv4Network] = {}
    for index, terms in enumerate(ranges):
        place = where(("fleet", "ranges", index))
        clash = None
        for address in terms.cidr.hosts():
            if any(address in network for network in terms.exclude):
                continue
            clash = clash or seen.get(address)
            if seen.setdefault(address, terms.cidr) is terms.cidr and str(address) not in taken:
                yield Listed(terms, str(address), str(address), place, discovered=True)
        if clash is not None:
            errors.append(ErrorAt(place, f"{terms.cidr} overlaps {clash}: exclude the common part from one of them"))


class _Reader:
    """Makes rigs of what is listed: fills in the defaults, checks what is referred to, reads passwords once."""

    def __init__(self, defaults: RigFacts, names: Names, errors: list[ErrorAt]) -> None:
        self._defaults = defaults
        self._names = names
        self._problems = errors
        self._passwords: dict[Path, str] = {}

    def rig(self, listed: Listed) -> Rig:
        """The rig of a row or of an address of a range."""
        block = self._known(listed, "block", self._names.blocks)
        block_terms = self._names.blocks.get(block)
        customer = self._known(listed, "customer", self._names.customers)
        customer_terms = self._names.customers.get(customer)
        own_tariff = self._known(listed, "tariff", self._names.tariffs)
        shared_tariff = (customer_terms and customer_terms.tariff) or (block_terms and block_terms.tariff)
        expected = self._fact(listed, "expected_mining")
        if isinstance(expected, str) and expected not in self._names.schedules:
            self._problems.append(ErrorAt(listed.where, unknown("schedule", expected, self._names.schedules)))
        terahash = self._fact(listed, "rated_terahash")
        row = listed.row if isinstance(listed.row, RigRow) else None
        return Rig(
            name=listed.name,
            address=listed.address,
            mac=(row and row.mac) or "",
            serial=(row and row.serial) or "",
            block=block or UNASSIGNED,
            rack=self._fact(listed, "rack") or "",
            position=self._fact(listed, "position") or "",
            customer=customer,
            tariff=own_tariff or shared_tariff or self._names.tariff,
            credentials=self._credentials(listed),
            rated_hashrate=None if terahash is None else terahash * HASHES_PER_TERAHASH,
            rated_power=self._fact(listed, "rated_watts"),
            algorithm=self._fact(listed, "algorithm") or "",
            worker=self._fact(listed, "worker") or "",
            expected_schedule=expected if isinstance(expected, str) else None,
            expected_mining=expected is not False,
            searched_range=str(listed.row.cidr) if isinstance(listed.row, RangeSettings) else "",
            discovered=listed.discovered,
        )

    def _fact(self, listed: Listed, name: str) -> Any:
        own = getattr(listed.row, name)
        return getattr(self._defaults, name) if own is None else own

    def _known(self, listed: Listed, what: str, names: Collection[str]) -> str:
        name: str = self._fact(listed, what) or ""
        free = what in ("block", "customer") and not names  # without such a section any name goes
        if name and name not in names and not free:
            self._problems.append(ErrorAt(listed.where, unknown(what, name, names)))
        return name

    def _credentials(self, listed: Listed) -> Credentials | None:
        facts = listed.row if listed.row.password or listed.row.password_file else self._defaults
        username = self._fact(listed, "username")
        password = self._password(facts, listed.where)
        return None if username is None and password is None else Credentials(username or "", password or "")

    def _password(self, facts: RigFacts, where: str) -> str | None:
        if facts.password_file is None:
            return None if facts.password is None else facts.password.get_secret_value()
        if facts.password_file not in self._passwords:
            self._passwords[facts.password_file] = ""
            try:
                self._passwords[facts.password_file] = facts.password_file.read_text("utf-8").strip()
                if not self._passwords[facts.password_file]:
                    empty = f"password_file {facts.password_file} is empty: for no password write password: ''"
                    self._problems.append(ErrorAt(where, empty))
            except (OSError, UnicodeDecodeError) as error:
                if is_offline():
                    return ""
                self._problems.append(ErrorAt(where, f"password_file {facts.password_file} {why_unreadable(error)}"))
        return self._passwords[facts.password_file]
