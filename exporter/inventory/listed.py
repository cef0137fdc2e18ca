"""Rigs as they are listed, each with its place in a file: what every kind of list shares."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from exporter.inventory.model import RigFacts, RigRow
from exporter.model.configuration_errors import ErrorAt, sentence

KeyPath = tuple[str | int, ...]


class InventoryError(Exception):
    """An inventory that cannot be used, with every mistake in it."""

    def __init__(self, errors: Iterable[ErrorAt]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(map(str, self.errors)))


@dataclass(frozen=True, slots=True)
class Listed:
    """A rig as listed, and where, as the operator is told."""

    row: RigFacts
    address: str
    name: str
    where: str
    discovered: bool = False


def dotted(path: KeyPath) -> str:
    """Write a key path as the operator reads it: ``fleet.rigs.3.block``."""
    return ".".join(part if part.isprintable() else repr(part)[1:-1] for part in map(str, path))


def identity(row: RigRow) -> str:
    """Return the `rig` label of a row: its name, else its MAC address, serial number or address."""
    return row.name or row.mac or row.serial or row.address


def duplicates(rows: Iterable[Listed]) -> Iterator[ErrorAt]:
    """Report every row whose address, name, MAC address or serial number an earlier row has."""
    seen: dict[tuple[str, str], Listed] = {}
    for row in rows:
        mac, serial = (row.row.mac, row.row.serial) if isinstance(row.row, RigRow) else (None, None)
        own = ("MAC address", mac) if mac else ("serial number", serial)  # what it is recognised by
        for what, value in (("address", row.address), ("name", row.name), own):
            first = seen.setdefault((what, value), row) if value else row
            if first is not row:
                yield ErrorAt(row.where, f"the {what} {value!r} is already taken at {first.where}")
                break


def parse_row(where: str, cells: Mapping[str, str], errors: list[ErrorAt]) -> RigRow | None:
    """Validate one rig; every error is added to ``errors``. Returns None for a row that is not valid."""
    given = {column: cell.strip() for column, cell in cells.items() if cell.strip()}
    try:
        return RigRow.model_validate(given)
    except ValidationError as error:
        for mistake in error.errors(include_url=False):
            column = dotted(mistake["loc"][:1])
            errors.append(ErrorAt(f"{where}: {column}" if column else where, sentence(mistake)))
        return None


def why_unreadable(error: OSError | UnicodeDecodeError) -> str:
    """Say why a file cannot be read, to follow its name in a sentence."""
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
