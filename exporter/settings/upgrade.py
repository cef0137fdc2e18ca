"""What to change in a configuration of an older version: deprecated keys, and defaults that have changed.

To deprecate a key or change a default, add a row here.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from exporter.inventory.listed import KeyPath
from exporter.settings import document
from exporter.settings.document import Document

_ANY: Final = "*"
_LOGIN: Final = "move it into an entry of fleet.logins with the networks of its rigs, and name that entry in `login`"


class DeprecatedKey(NamedTuple):
    """A key that still works. ``*`` in its path is any name or index."""

    path: tuple[str, ...]
    since: str
    instead: str


class ChangedDefault(NamedTuple):
    """A key whose default has changed, for configurations that have the section ``within`` but not the key."""

    path: tuple[str, ...]
    since: str
    now: str
    as_before: str

    @property
    def within(self) -> tuple[str, ...]:
        """The section that the key is in."""
        return self.path[:-1]


DEPRECATED: Final = tuple(
    DeprecatedKey((*place, key), "0.1.0", _LOGIN)
    for place in (("fleet", "defaults"), ("fleet", "rigs", _ANY), ("fleet", "ranges", _ANY))
    for key in ("username", "password", "password_file")
)
CHANGED_DEFAULTS: Final = (
    ChangedDefault(("ai", "capex_dates"), "0.1.0", "capex is paid in instalments over the building months", "at_start"),
    ChangedDefault(("fleet", "max_shrink"), "0.1.0", "an inventory that loses more than 20 % is refused", "1"),
    ChangedDefault(("state", "path"), "0.1.0", "state is kept in STATE_DIRECTORY where that is set", "null"),
)


def upgrades(file: Path) -> Iterator[str]:
    """Yield a sentence for each place of a configuration file that an operator may want to edit."""
    content = document.read(file)
    for key in DEPRECATED:
        for path in _matches(content.values, key.path):
            yield f"{_place(file, content, path)}: deprecated since {key.since}: {key.instead}"
    for default in CHANGED_DEFAULTS:
        section = next(iter(_matches(content.values, default.within)), None)
        if section is not None and not any(_matches(content.values, default.path)):
            name = ".".join(default.path)
            yield (
                f"{file}: {name}: the default has changed in {default.since}: {default.now}; as before: "
                f"{default.path[-1]}: {default.as_before}"
            )


def _matches(values: Any, path: tuple[str, ...], before: KeyPath = ()) -> Iterator[KeyPath]:
    if not path:
        yield before
        return
    first, *rest = path
    entries: Any = enumerate(values) if isinstance(values, list) else values.items() if isinstance(values, dict) else ()
    for key, value in entries:
        if first in (_ANY, key):
            yield from _matches(value, tuple(rest), (*before, key))


def _place(file: Path, content: Document, path: KeyPath) -> str:
    line = content.lines.get(path)
    dotted = ".".join(map(str, path))
    return f"{file}:{line}: {dotted}" if line is not None else f"{file}: {dotted}"
