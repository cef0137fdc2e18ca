"""Rigs as they are listed, each with its location: what all kinds of lists share."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from exporter.inventory.model import RigFacts, RigRow
from exporter.model.configuration_errors import ErrorAt, sentence

KeyPath = tuple[str | int, ...]


class InventoryError(Exception):
    """The inventory is invalid. ``errors`` lists every configuration error in it."""

    def __init__(self, errors: Iterable[ErrorAt]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(map(str, self.errors)))


@dataclass(frozen=True, slots=True)
class Listed:
    """A rig as listed.

    Attributes:
        row: Its settings.
        address: Its address.
        name: Its ``rig`` label.
        where: The location of the row, for error messages.
        listed_in: The list that contains it: ``fleet.rigs``, a file or a URL. Empty for an address of a range.
        model: Its model, if the list has it.
        discovered: Whether it is an address of a range.
    """

    row: RigFacts
    address: str
    name: str
    where: str
    listed_in: str = ""
    model: str = ""
    discovered: bool = False


def dotted(path: KeyPath) -> str:
    """Format a key path: ``fleet.rigs.3.block``."""
    return ".".join(part if part.isprintable() else repr(part)[1:-1] for part in map(str, path))


def identity(row: RigRow) -> str:
    """Return the `rig` label of a row: its name, else its MAC address, serial number or address."""
    return row.name or row.mac or row.serial or row.address


def duplicates(rows: Iterable[Listed]) -> Iterator[ErrorAt]:
    """Yield an error for each row with the address, name, MAC address or serial number of an earlier row."""
    seen: dict[tuple[str, str], Listed] = {}
    for row in rows:
        mac, serial = (row.row.mac, row.row.serial) if isinstance(row.row, RigRow) else (None, None)
        key = ("MAC address", mac) if mac else ("serial number", serial)  # by which the rig is recognised
        for what, value in (("address", row.address), ("name", row.name), key):
            first = seen.setdefault((what, value), row) if value else row
            if first is not row:
                yield ErrorAt(row.where, f"the {what} {value!r} is already taken at {first.where}")
                break


def parse_row(
    where: str, cells: Mapping[str, str], errors: list[ErrorAt], columns: Mapping[str, str] | None = None
) -> RigRow | None:
    """Validate one rig. Returns None and adds to ``errors`` if it is invalid; ``columns`` has its own column names."""
    given = {column: cell.strip() for column, cell in cells.items() if cell.strip()}
    try:
        return RigRow.model_validate(given)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            column = dotted(detail["loc"][:1])
            column = (columns or {}).get(column, column)
            errors.append(ErrorAt(f"{where}: {column}" if column else where, sentence(detail)))
        return None
