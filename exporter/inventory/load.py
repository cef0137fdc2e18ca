"""The rigs of a site as the operator lists them: single rigs, CSV files and address ranges."""

import csv
import io
import ipaddress
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from exporter.model.configuration_errors import Problem, nearest, sentence, unknown
from exporter.model.failures import SOURCE_ADVICE, Failure
from exporter.model.fields import ConfigPath, Text
from exporter.model.fleet import UNASSIGNED, Block, Credentials, Rig
from exporter.model.units import HASHES_PER_TERAHASH, WATTS_PER_KILOWATT
from exporter.sources.discovery import HttpSd, TargetGroups, file_targets, http_targets
from exporter.sources.rigs import coerce

WIDEST_RANGE: Final = 16
"""The shortest prefix that a range may have: beyond 65,536 addresses a slip is likelier than a site."""

MOST_ADDRESSES: Final = 100_000
"""The most addresses of one inventory, those in ranges where nothing answers included."""

KeyPath = tuple[str | int, ...]


class InventoryError(Exception):
    """An inventory that cannot be used, with every mistake in it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


# --- what the operator may say --------------------------------------------------------------------------------------


_HOST_NAME: Final = re.compile(r"(?=.{1,253}$)(?!-)[\w-]{1,63}(\.(?!-)[\w-]{1,63})*\.?")
_DIGITS_AND_DOTS: Final = re.compile(r"[\d.]+")
_BROADCAST: Final = "255.255.255.255"


def host(text: str) -> str:
    """Return the address of a rig as we write it. Raises ValueError for what is neither IP address nor host name."""
    text = text.strip()
    if "/" in text or (":" not in text and not _DIGITS_AND_DOTS.fullmatch(text)):
        if _HOST_NAME.fullmatch(text):
            return text.lower()
        raise ValueError(f"{text!r} is not an address: write an IP address or a host name, without scheme or path")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        hint = "leave the port out" if ":" in text else "write it like 10.1.0.17"
        raise ValueError(f"{text!r} is not an address: {hint}") from None
    if address.is_unspecified or address.is_multicast or str(address) == _BROADCAST:
        raise ValueError(f"{text!r} is not the address of one device")
    return str(address)


def _name(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError(f"{text!r} is not a name: it must have visible characters only")
    return text.strip()


def _range(value: object) -> object:
    if isinstance(value, IPv4Network):
        return value
    text = value.strip() if isinstance(value, str) else ""
    try:
        network = IPv4Network(text, strict=False)
    except ValueError:
        raise ValueError(f"{value!r} is not an IPv4 range: write it like 10.1.0.0/24") from None
    if str(network.network_address) != text.partition("/")[0]:
        raise ValueError(f"{value!r} does not begin at a network address: did you mean {str(network)!r}?")
    if network.prefixlen < WIDEST_RANGE:
        raise ValueError(
            f"{value!r} has {network.num_addresses:,} addresses, and scanning them takes hours: "
            f"list the parts that hold rigs, each a /{WIDEST_RANGE} or smaller"
        )
    return network


def _yes_or_no(value: object) -> object:
    words = {"true": True, "yes": True, "false": False, "no": False}
    return words.get(value.strip().lower(), value) if isinstance(value, str) else value


def _mac(text: str) -> str:
    mac = coerce.mac(text)
    if not mac:
        raise ValueError(f"{text!r} is not a MAC address: write it in quotes, like '02:1a:b3:00:00:01'")
    return mac


def _worker(text: str) -> str:
    fixed = text.replace("{rig}", "").removesuffix("*")
    if any(character in fixed for character in "{}*"):
        raise ValueError(f"{text!r} is no worker name: write it like 'acme.{{rig}}' or 'acme.*'")
    return text


Name = Annotated[Text, Field(max_length=200), AfterValidator(_name)]


class RigFacts(BaseModel):
    """What may be said of a rig, of a whole range, and of all rigs that do not say it themselves."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    block: Name | None = Field(None, description="Block that it stands in: what is switched or converted as one.")
    rack: Name | None = Field(None, description="Rack within the block.")
    position: Name | None = Field(None, description="Place within the rack.")
    customer: Name | None = Field(None, description="Who owns it, on a hosting site.")
    tariff: Name | None = Field(
        None,
        description="Tariff that its power is billed by; else its customer's, else its block's, else the site's.",
    )
    username: Text | None = Field(None, description="User of its web interface or API.")
    password: SecretStr | None = Field(None, description="Password of that user.")
    password_file: ConfigPath | None = Field(None, description="File that holds the password, instead of `password`.")
    rated_terahash: float | None = Field(None, gt=0, le=100_000, description="Nameplate hashrate in TH/s.")
    rated_watts: float | None = Field(None, gt=0, le=1_000_000, description="Nameplate power in W.")
    worker: Annotated[Name, AfterValidator(_worker)] | None = Field(
        None,
        description="Worker name that it should mine under, such as `acme.{rig}` (`{rig}` is its name) or `acme.*`.",
    )
    expected_mining: Annotated[bool | str, BeforeValidator(_yes_or_no)] | None = Field(
        None, description="Whether it is meant to mine: true, false, or the name of one of the `schedules`."
    )

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        if self.password is not None and self.password_file is not None:
            raise ValueError("give password or password_file, not both")
        return self


class RigRow(RigFacts):
    """One rig, inline or as a line of a CSV file."""

    name: Name | None = Field(
        None, description="Its name for ever: the `rig` label. Else its MAC, serial or address is."
    )
    mac: Annotated[Text, AfterValidator(_mac)] | None = Field(
        None, description="Its MAC address: with it the rig is recognised wherever in the inventory it answers."
    )
    serial: Name | None = Field(None, description="Its serial number, by which it is recognised likewise.")
    address: Annotated[str, AfterValidator(host)] = Field(description="IP address or host name.")


class CsvFile(NamedTuple):
    """One inventory file: what parts its cells, its columns, and its rigs."""

    delimiter: str
    columns: tuple[str, ...]
    rows: tuple[RigRow, ...]


class RangeSettings(RigFacts):
    """A range of addresses in which rigs are to be found."""

    cidr: Annotated[IPv4Network, BeforeValidator(_range)] = Field(description="The range, such as 10.1.0.0/24.")
    exclude: tuple[Annotated[IPv4Network, BeforeValidator(_range)], ...] = Field(
        (), description="Addresses and ranges within it where no rig is: gateways, switches, PDUs."
    )


class InventorySettings(BaseModel):
    """The fleet (YAML ``fleet:``). A rig's own row wins over the range that its address lies in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    defaults: RigFacts = Field(RigFacts(), description="What holds for every rig that does not say it itself.")
    csv: tuple[ConfigPath, ...] = Field((), description="CSV files with a header line, one rig a line.")
    file_sd: tuple[ConfigPath, ...] = Field(
        (), description="Files of targets as Prometheus' file_sd reads them, JSON or YAML; labels tell of the rigs."
    )
    http_sd: tuple[HttpSd, ...] = Field(
        (), description="URLs of such lists, as Prometheus' http_sd asks them; each a [source](#sources) over HTTP."
    )
    ranges: tuple[RangeSettings, ...] = Field((), description="Address ranges: rigs are found in them.")
    rigs: tuple[RigRow, ...] = Field((), description="Rigs listed here.")


class BlockSettings(BaseModel):
    """A block: a container, a building, a feeder (YAML ``blocks:``)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    capacity_kilowatts: float | None = Field(None, gt=0, le=2_000_000, description="What its feeder carries, in kW.")
    convertible: bool = Field(True, description="Whether it could be converted to AI hosting.")
    moving_cost_usd_per_rig: float | None = Field(
        None,
        ge=0,
        le=100_000,
        description="What it costs to move a rig from it to another block, for `hashmargin plan`.",
    )
    tariff: Name | None = Field(
        None, description="Tariff of the rigs in it, unless they or their customers have their own."
    )

    def block(self, name: str) -> Block:
        """The block's facts under its name."""
        watts = None if self.capacity_kilowatts is None else self.capacity_kilowatts * WATTS_PER_KILOWATT
        return Block(
            name=name,
            capacity_watts=watts,
            convertible=self.convertible,
            moving_cost_per_rig=self.moving_cost_usd_per_rig,
        )


class CustomerSettings(BaseModel):
    """What the operator says of one customer, under its name in YAML ``customers:``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tariff: Name | None = Field(None, description="Tariff of the rigs it owns, unless they have their own.")


# --- loading --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The names that the rest of the configuration defines, for rigs to refer to."""

    blocks: Mapping[str, BlockSettings]
    tariffs: Collection[str]
    schedules: Collection[str]
    customers: Mapping[str, CustomerSettings] = field(default_factory=dict)
    tariff: str = ""
    """The site's tariff."""


@dataclass(frozen=True, slots=True)
class _Listed:
    """A rig as listed, and where, as the operator is told."""

    row: RigFacts
    address: str
    name: str
    where: str
    discovered: bool = False


def dotted(path: KeyPath) -> str:
    """Write a key path as the operator reads it: ``fleet.rigs.3.block``."""
    return ".".join(part if part.isprintable() else repr(part)[1:-1] for part in map(str, path))


def inventory_files(terms: InventorySettings) -> tuple[Path, ...]:
    """The files beside the configuration that the fleet is read from."""
    passwords = (facts.password_file for facts in (terms.defaults, *terms.ranges, *terms.rigs))
    return tuple(dict.fromkeys((*terms.csv, *terms.file_sd, *(path for path in passwords if path is not None))))


def load_inventory(terms: InventorySettings, names: Names, where: Callable[[KeyPath], str] = dotted) -> tuple[Rig, ...]:
    """Read the whole fleet.

    ``where`` tells how a key path is shown to the operator, in front of what is wrong there. Raises InventoryError with
    every mistake found.
    """
    problems: list[Problem] = []
    rows = [
        *(
            _Listed(row, row.address, _identity(row), where(("fleet", "rigs", index)))
            for index, row in enumerate(terms.rigs)
        ),
        *(listed for path in terms.csv for listed in _csv_rows(path, problems)),
        *(listed for path in terms.file_sd for listed in _file_rows(path, problems)),
        *(listed for url in terms.http_sd for listed in _http_rows(url, problems)),
    ]
    problems += _duplicates(rows)
    size = len(rows) + sum(entry.cidr.num_addresses for entry in terms.ranges)
    if size > MOST_ADDRESSES:
        problems.append(
            Problem(where(("fleet",)), f"lists {size:,} addresses, more than the {MOST_ADDRESSES:,} allowed")
        )
        raise InventoryError(problems)
    listed = [*rows, *_candidates(terms.ranges, {row.address for row in rows}, where, problems)]
    reader = _Reader(terms.defaults, names, problems)
    rigs = tuple(map(reader.rig, listed))
    if problems:
        raise InventoryError(dict.fromkeys(problems))
    return rigs


def _identity(row: RigRow) -> str:
    return row.name or row.mac or row.serial or row.address


def _duplicates(rows: Iterable[_Listed]) -> Iterator[Problem]:
    seen: dict[tuple[str, str], _Listed] = {}
    for row in rows:
        mac, serial = (row.row.mac, row.row.serial) if isinstance(row.row, RigRow) else (None, None)
        own = ("MAC address", mac) if mac else ("serial number", serial)  # what it is recognised by
        for what, value in (("address", row.address), ("name", row.name), own):
            first = seen.setdefault((what, value), row) if value else row
            if first is not row:
                yield Problem(row.where, f"the {what} {value!r} is already taken at {first.where}")
                break


def _candidates(
    ranges: Iterable[RangeSettings], taken: Collection[str], where: Callable[[KeyPath], str], problems: list[Problem]
) -> Iterator[_Listed]:
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
                yield _Listed(terms, str(address), str(address), place, discovered=True)
        if clash is not None:
            problems.append(Problem(place, f"{terms.cidr} overlaps {clash}: exclude the common part from one of them"))


class _Reader:
    """Makes rigs of what is listed: fills in the defaults, checks what is referred to, reads passwords once."""

    def __init__(self, defaults: RigFacts, names: Names, problems: list[Problem]) -> None:
        self._defaults = defaults
        self._names = names
        self._problems = problems
        self._passwords: dict[Path, str] = {}

    def rig(self, listed: _Listed) -> Rig:
        """The rig of a row or of an address of a range."""
        block = self._known(listed, "block", self._names.blocks)
        block_terms = self._names.blocks.get(block)
        customer = self._known(listed, "customer", self._names.customers)
        customer_terms = self._names.customers.get(customer)
        own_tariff = self._known(listed, "tariff", self._names.tariffs)
        shared_tariff = (customer_terms and customer_terms.tariff) or (block_terms and block_terms.tariff)
        expected = self._fact(listed, "expected_mining")
        if isinstance(expected, str) and expected not in self._names.schedules:
            self._problems.append(Problem(listed.where, unknown("schedule", expected, self._names.schedules)))
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
            worker=self._fact(listed, "worker") or "",
            expected_schedule=expected if isinstance(expected, str) else None,
            expected_mining=expected is not False,
            searched_range=str(listed.row.cidr) if isinstance(listed.row, RangeSettings) else "",
            discovered=listed.discovered,
        )

    def _fact(self, listed: _Listed, name: str) -> Any:
        own = getattr(listed.row, name)
        return getattr(self._defaults, name) if own is None else own

    def _known(self, listed: _Listed, what: str, names: Collection[str]) -> str:
        name: str = self._fact(listed, what) or ""
        free = what in ("block", "customer") and not names  # without such a section any name goes
        if name and name not in names and not free:
            self._problems.append(Problem(listed.where, unknown(what, name, names)))
        return name

    def _credentials(self, listed: _Listed) -> Credentials | None:
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
                    self._problems.append(Problem(where, empty))
            except (OSError, UnicodeDecodeError) as error:
                self._problems.append(Problem(where, f"password_file {facts.password_file} {_why_unreadable(error)}"))
        return self._passwords[facts.password_file]


def _why_unreadable(error: OSError | UnicodeDecodeError) -> str:
    match error:
        case FileNotFoundError():
            return "does not exist"
        case IsADirectoryError():
            return "is a directory"
        case PermissionError():
            return "cannot be read: give the exporter's user the right to read it"
        case UnicodeDecodeError():
            return "is not UTF-8 text: save it as UTF-8"
    return f"cannot be read ({error.strerror})"


# --- CSV ------------------------------------------------------------------------------------------------------------


def csv_file(path: Path) -> CsvFile:
    """Read one inventory file by itself. Raises InventoryError with every mistake found."""
    problems: list[Problem] = []
    listed = list(_csv_rows(path, problems))
    problems += _duplicates(listed)
    if problems:
        raise InventoryError(problems)
    text = path.read_text("utf-8-sig")
    columns = next(cells for _, cells in _csv_lines(path, text, problems) if _tells(cells))
    rows = tuple(each.row for each in listed if isinstance(each.row, RigRow))
    return CsvFile(_delimiter(text), tuple(map(_column, columns)), rows)


def _tells(cells: list[str]) -> bool:
    """Tell a header or a row from an empty line and from a note."""
    return any(map(str.strip, cells)) and not cells[0].startswith("#")


def _column(cell: str) -> str:
    return cell.strip().lower()


def _csv_rows(path: Path, problems: list[Problem]) -> Iterator[_Listed]:
    """The rigs of one file; what is wrong with it goes to ``problems``, every bad line by its number."""
    try:
        text = path.read_text("utf-8-sig")  # spreadsheets write a byte order mark
    except (OSError, UnicodeDecodeError) as error:
        problems.append(Problem(str(path), _why_unreadable(error)))
        return
    columns: list[str] = []
    for where, cells in _csv_lines(path, text, problems):
        if not _tells(cells):
            continue
        if not columns:
            columns = list(map(_column, cells))
            mistakes = [Problem(where, message) for message in _bad_header(columns)]
            problems += mistakes
            if mistakes:
                return
        elif len(cells) > len(columns) and any(cells[len(columns) :]):
            problems.append(Problem(where, f"has {len(cells)} values for {len(columns)} columns"))
        else:
            cells_by_column = dict(zip(columns, cells, strict=False))
            row = _row(where, {name: cell for name, cell in cells_by_column.items() if name[:1] != "#"}, problems)
            if row is not None:
                yield _Listed(row, row.address, _identity(row), where)
    if not columns:
        problems.append(Problem(str(path), "has no header line: begin it with name,address,block"))


def _csv_lines(path: Path, text: str, problems: list[Problem]) -> Iterator[tuple[str, list[str]]]:
    """The lines of one file, each with its place; one that has no end is a problem."""
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), skipinitialspace=True)
    read = 0
    try:
        for cells in lines:
            read = lines.line_num
            yield f"{path}:{read}", cells
    except csv.Error:
        problems.append(Problem(f"{path}:{read + 1}", "has a quotation mark that no other one closes"))


def _delimiter(text: str) -> str:
    header = next((line for line in text.splitlines() if line.strip() and not line.startswith("#")), "")
    return max(",;\t", key=header.count)


def _bad_header(columns: list[str]) -> Iterator[str]:
    if any(_DIGITS_AND_DOTS.fullmatch(column) for column in columns):
        yield "is no header line: begin the file with one, such as name,address,block"
        return
    for column in columns:
        if column not in RigRow.model_fields and column[:1] != "#":  # a note for people
            yield unknown("column", column, RigRow.model_fields)
    for column in sorted({column for column in columns if columns.count(column) > 1}):
        yield f"the column {column!r} stands twice"
    if "address" not in columns:
        yield "the column 'address' is missing"


def _row(where: str, cells: Mapping[str, str], problems: list[Problem]) -> RigRow | None:
    given = {column: cell.strip() for column, cell in cells.items() if cell.strip()}
    try:
        return RigRow.model_validate(given)
    except ValidationError as error:
        for mistake in error.errors(include_url=False):
            column = dotted(mistake["loc"][:1])
            problems.append(Problem(f"{where}: {column}" if column else where, sentence(mistake)))
        return None


# --- Prometheus service discovery ----------------------------------------------------------------------------------


def _file_rows(path: Path, problems: list[Problem]) -> Iterator[_Listed]:
    try:
        groups = file_targets(path)
    except (OSError, UnicodeDecodeError) as error:
        problems.append(Problem(str(path), _why_unreadable(error)))
    except ValidationError as error:
        problems += _no_groups(str(path), error)
    except (json.JSONDecodeError, yaml.YAMLError) as error:
        problems.append(Problem(str(path), f"is not valid JSON or YAML: {str(error).splitlines()[0]}"))
    else:
        yield from _target_rows(str(path), groups, problems)


def _http_rows(settings: HttpSd, problems: list[Problem]) -> Iterator[_Listed]:
    try:
        groups = http_targets(settings)
    except Failure as failure:
        advice = SOURCE_ADVICE[failure.reason]
        problems.append(Problem(settings.url, f"gave no list of rigs: {failure.detail} ({advice})"))
    except ValidationError as error:
        problems += _no_groups(settings.url, error)
    else:
        yield from _target_rows(settings.url, groups, problems)


def _no_groups(where: str, error: ValidationError) -> Iterator[Problem]:
    return (Problem(f"{where}: {dotted(told['loc'])}", sentence(told)) for told in error.errors(include_url=False))


def _target_rows(source: str, groups: TargetGroups, problems: list[Problem]) -> Iterator[_Listed]:
    """The rigs of one list. A target's port is Prometheus' business; labels that tell nothing of a rig are skipped."""
    for index, group in enumerate(groups):
        problems += [Problem(f"{source}: {index}", message) for message in _misspelt(group.labels)]
        known = {label: value for label, value in group.labels.items() if label in RigRow.model_fields}
        for target in group.targets:
            where = f"{source}: {index}: {target}"
            row = _row(where, known | {"address": _PORT.sub(r"\1\2", target)}, problems)
            if row is not None:
                yield _Listed(row, row.address, _identity(row), where)


_PORT: Final = re.compile(r"^(?:([^:\[\]]*)|\[([^\[\]]*)\])(?::\d+)?$")


def _misspelt(labels: Iterable[str]) -> Iterator[str]:
    """Labels that look like one of ours; others, and Prometheus' own that begin with __, may well be for others."""
    for label in labels:
        if label not in RigRow.model_fields and not label.startswith("__"):
            match = nearest(label, RigRow.model_fields, closeness=0.8)
            if match is not None:
                yield f"there is no label {label!r}: did you mean {match!r}?"
