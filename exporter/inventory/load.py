"""Loads the rigs of a site: single rigs, CSV files, service discovery and address ranges."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, Final, NamedTuple

from exporter.file_stamp import why_unreadable
from exporter.inventory.accepted import accepted_lists, is_replaceable
from exporter.inventory.csv_files import csv_rows, headers
from exporter.inventory.listed import InventoryError, KeyPath, Listed, dotted, duplicates, identity
from exporter.inventory.model import (
    BlockSettings,
    CustomerSettings,
    InventorySettings,
    LoginSettings,
    RangeSettings,
    RigFacts,
    RigRow,
)
from exporter.inventory.ratings import doubtful_rating, implausible_rating
from exporter.inventory.service_discovery import file_rows, files_of, http_rows
from exporter.inventory.shrink import INLINE
from exporter.model.configuration_errors import ErrorAt, unknown
from exporter.model.fields import is_offline
from exporter.model.fleet import UNASSIGNED, Credentials, Rig
from exporter.model.units import HASHES_PER_TERAHASH

MOST_ADDRESSES: Final = 100_000
"""Maximum number of addresses of an inventory, including addresses of ranges where nothing answers."""
_MOST_WARNED: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The names that other sections of the configuration define and rigs may use."""

    blocks: Mapping[str, BlockSettings]
    tariffs: Collection[str]
    schedules: Collection[str]
    customers: Mapping[str, CustomerSettings] = field(default_factory=dict)
    contracts: Collection[str] = ()
    tariff: str = ""
    """The site's tariff."""


class Inventory(NamedTuple):
    """The fleet, and a sentence for each valid setting that is probably wrong."""

    rigs: tuple[Rig, ...]
    warnings: tuple[str, ...] = ()


def inventory_files(settings: InventorySettings) -> tuple[Path, ...]:
    """Return the files, besides the configuration file, that define the fleet."""
    rigs: tuple[RigFacts, ...] = (settings.defaults, *settings.ranges, *settings.rigs)
    files = (*(each.password_file for each in rigs), *(each.password_file for each in settings.logins.values()))
    passwords = (path for path in files if path is not None)
    targets = (path for pattern in settings.file_sd for path in files_of(pattern))
    return tuple(dict.fromkeys((*settings.csv, *targets, *passwords)))


def load_inventory(settings: InventorySettings, names: Names, where: Callable[[KeyPath], str] = dotted) -> Inventory:
    """Load the whole fleet.

    Args:
        settings: The fleet's settings.
        names: The names that rigs may use.
        where: Returns the location of a key path, for error messages.

    Raises:
        InventoryError: The inventory is invalid.
    """
    errors: list[ErrorAt] = []
    warnings: list[str] = []

    def found(paths: Sequence[Path], key: str) -> Iterator[Path]:
        """Yield the files that exist or did. Another one is an error at its key in the configuration."""
        for index, path in enumerate(paths):
            if files_of(path) == (path,) and not path.exists() and str(path) not in accepted_lists():
                errors.append(ErrorAt(where(("fleet", key, index)), f"{path} does not exist"))
            else:
                yield path

    rows = [
        *(
            Listed(row, row.address, identity(row), where(("fleet", "rigs", index)), listed_in=INLINE)
            for index, row in enumerate(settings.rigs)
        ),
        *(listed for path in found(settings.csv, "csv") for listed in csv_rows(path, settings.columns, errors)),
        *(listed for path in found(settings.file_sd, "file_sd") for listed in file_rows(path, errors, warnings)),
        *(listed for url in settings.http_sd for listed in http_rows(url, errors, warnings)),
    ]
    errors += duplicates(rows)
    errors += _absent_columns(settings, where)
    size = len(rows) + sum(entry.cidr.num_addresses for entry in settings.ranges)
    if size > MOST_ADDRESSES:
        errors.append(ErrorAt(where(("fleet",)), f"lists {size:,} addresses, more than the {MOST_ADDRESSES:,} allowed"))
        raise InventoryError(errors)
    listed = [*rows, *_candidates(settings.ranges, {row.address for row in rows}, where, errors)]
    secrets = _Secrets(errors)
    logins = _logins(settings.logins, secrets, where)
    builder = _Builder(settings.defaults, logins, secrets, names, where, errors)
    rigs = tuple(map(builder.rig, listed))
    if errors:
        raise InventoryError(dict.fromkeys(errors))
    return Inventory(rigs, (*dict.fromkeys(warnings), *_shortened(builder.doubtful)))


def _shortened(sentences: list[str]) -> Iterator[str]:
    yield from sentences[:_MOST_WARNED]
    if len(sentences) > _MOST_WARNED:
        yield f"{len(sentences) - _MOST_WARNED:,} more rigs have ratings that differ from the nameplate of their model"


def _absent_columns(settings: InventorySettings, where: Callable[[KeyPath], str]) -> Iterator[ErrorAt]:
    """Yield an error for each header of ``fleet.columns`` that no CSV file has: of the files, where they changed."""
    found = set[str]().union(*(headers(path) for path in settings.csv))
    changed = [str(path) for path in settings.csv if is_replaceable(str(path))]
    for ours, theirs in settings.columns.items():
        if found and theirs.strip().casefold() not in found:
            for place in changed or [where(("fleet", "columns", ours))]:
                yield ErrorAt(place, unknown("header", theirs, found))


def _candidates(
    ranges: Iterable[RangeSettings], taken: Collection[str], where: Callable[[KeyPath], str], errors: list[ErrorAt]
) -> Iterator[Listed]:
    """Yield every address of every range that is not listed. A range that overlaps an earlier one is an error."""
    seen: dict[IPv4Address, IPv4Network] = {}
    for index, entry in enumerate(ranges):
        location = where(("fleet", "ranges", index))
        overlapped = None
        for address in entry.cidr.hosts():
            if any(address in network for network in entry.exclude):
                continue
            overlapped = overlapped or seen.get(address)
            if seen.setdefault(address, entry.cidr) is entry.cidr and str(address) not in taken:
                yield Listed(entry, str(address), str(address), location, discovered=True)
        if overlapped is not None:
            message = f"{entry.cidr} overlaps {overlapped}: exclude the common part from one of them"
            errors.append(ErrorAt(location, message))


class _Secrets:
    """Reads each password file once. An error is reported at the first place that uses the file."""

    def __init__(self, errors: list[ErrorAt]) -> None:
        self._errors = errors
        self._passwords: dict[Path, str] = {}

    def password(self, owner: RigFacts | LoginSettings, where: str) -> str | None:
        if owner.password_file is None:
            return None if owner.password is None else owner.password.get_secret_value()
        if owner.password_file not in self._passwords:
            self._passwords[owner.password_file] = self._content(owner.password_file, where)
        return self._passwords[owner.password_file]

    def _content(self, path: Path, where: str) -> str:
        try:
            password = path.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            if is_offline():
                return ""
            self._errors.append(ErrorAt(where, f"password_file {path} {why_unreadable(error)}"))
            return ""
        if not password:
            self._errors.append(ErrorAt(where, f"password_file {path} is empty: for no password write password: ''"))
        return password


def _logins(
    logins: Mapping[str, LoginSettings], secrets: _Secrets, where: Callable[[KeyPath], str]
) -> dict[str, Credentials]:
    return {
        name: Credentials(
            login.username,
            secrets.password(login, where(("fleet", "logins", name, "password_file"))) or "",
            name=name,
            networks=login.cidr,
        )
        for name, login in logins.items()
    }


class _Builder:
    """Makes rigs of rows: adds defaults, checks names and ratings, resolves logins."""

    def __init__(
        self,
        defaults: RigFacts,
        logins: Mapping[str, Credentials],
        secrets: _Secrets,
        names: Names,
        where: Callable[[KeyPath], str],
        errors: list[ErrorAt],
    ) -> None:
        self.doubtful: list[str] = []
        """A sentence for each rating that differs from the nameplate of the model, but not too much."""
        self._defaults = defaults
        self._logins = logins
        self._secrets = secrets
        self._names = names
        self._errors = errors
        self._defaults_at = where(("fleet", "defaults"))
        self._default_login = where(("fleet", "defaults", "password_file"))
        missing = (name for name in defaults.login or () if name not in logins)
        errors += (ErrorAt(where(("fleet", "defaults", "login")), unknown("login", name, logins)) for name in missing)
        if defaults.has_own_login:  # a missing file is reported here, once, rather than at a rig that uses it
            secrets.password(defaults, self._default_login)

    def rig(self, listed: Listed) -> Rig:
        """Make the rig of a row or of an address of a range."""
        block = self._known(listed, "block", self._names.blocks)
        block_settings = self._names.blocks.get(block)
        customer = self._known(listed, "customer", self._names.customers)
        customer_settings = self._names.customers.get(customer)
        contract = self._known(listed, "contract", self._names.contracts)
        if contract and not customer:
            self._errors.append(ErrorAt(listed.where, f"has the contract {contract!r} and no customer: set customer"))
        own_tariff = self._known(listed, "tariff", self._names.tariffs)
        shared_tariff = (customer_settings and customer_settings.tariff) or (block_settings and block_settings.tariff)
        expected = self._fact(listed, "expected_mining")
        if isinstance(expected, str) and expected not in self._names.schedules:
            self._errors.append(ErrorAt(listed.where, unknown("schedule", expected, self._names.schedules)))
        terahash, watts = self._fact(listed, "rated_terahash"), self._fact(listed, "rated_watts")
        accepted = self._fact(listed, "accept_implausible") is True
        self._judge_rating(listed, watts, terahash, accepted=accepted)
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
            contract=contract or (customer_settings and customer_settings.contract) or "",
            tariff=own_tariff or shared_tariff or self._names.tariff,
            logins=self._logins_of(listed),
            rated_hashrate=None if terahash is None else terahash * HASHES_PER_TERAHASH,
            rated_power=watts,
            accept_implausible=accepted,
            algorithm=self._fact(listed, "algorithm") or "",
            worker=self._fact(listed, "worker") or "",
            expected_schedule=expected if isinstance(expected, str) else None,
            expected_mining=expected is not False,
            searched_range=str(listed.row.cidr) if isinstance(listed.row, RangeSettings) else "",
            listed_in=listed.listed_in,
            discovered=listed.discovered,
        )

    def _fact(self, listed: Listed, name: str) -> Any:
        own = getattr(listed.row, name)
        return getattr(self._defaults, name) if own is None else own

    def _known(self, listed: Listed, what: str, names: Collection[str]) -> str:
        name: str = self._fact(listed, what) or ""
        free = what in ("block", "customer") and not names  # without such a section any name is valid
        if name and name not in names and not free:
            self._errors.append(ErrorAt(listed.where, unknown(what, name, names)))
        return name

    def _judge_rating(self, listed: Listed, watts: float | None, terahash: float | None, *, accepted: bool) -> None:
        if accepted:
            return
        wrong = list(implausible_rating(watts, terahash, listed.model))
        for key, sentence in wrong:
            location = listed.where if getattr(listed.row, key) is not None else self._defaults_at
            end = "" if sentence.endswith("?") else "."
            message = f"{sentence}{end} If it is right, set accept_implausible: true"
            self._errors.append(ErrorAt(f"{location}: {key}", message))
        if not wrong and listed.model:
            self.doubtful += (f"{listed.where}: {text}" for text in doubtful_rating(watts, terahash, listed.model))

    # --- logins -------------------------------------------------------------------------------------------------------

    def _logins_of(self, listed: Listed) -> tuple[Credentials, ...]:
        """Return the logins of a rig in the order in which they are tried: its own, else those of the defaults."""
        own = listed.row
        if own.login is not None:
            return tuple(self._named(own.login, listed))
        if own.has_own_login:
            return (self._given(own, listed),)
        if self._defaults.login is not None:
            known = (self._logins[name] for name in self._defaults.login if name in self._logins)
            return tuple(login for login in known if login.may_go_to(listed.address))
        return (self._given(own, listed),) if self._defaults.has_own_login else ()

    def _named(self, names: Iterable[str], listed: Listed) -> Iterator[Credentials]:
        for name in names:
            login = self._logins.get(name)
            if login is None:
                self._errors.append(ErrorAt(listed.where, unknown("login", name, self._logins)))
            elif login.may_go_to(listed.address):
                yield login
            elif not listed.discovered:  # a range may be partly within a login's networks
                networks = ", ".join(map(str, login.networks))
                self._errors.append(
                    ErrorAt(
                        listed.where,
                        f"the login {name!r} may only be sent to {networks}, and not to {listed.address}: add the "
                        f"address to fleet.logins.{name}.cidr, or name another login",
                    )
                )

    def _given(self, own: RigFacts, listed: Listed) -> Credentials:
        """Combine user name and password of a rig with those of the defaults."""
        has_password = own.password is not None or own.password_file is not None
        owner, where = (own, listed.where) if has_password else (self._defaults, self._default_login)
        username = self._fact(listed, "username")
        return Credentials(username or "", self._secrets.password(owner, where) or "")
