"""Renders ``docs/configuration.md`` from the settings models."""

import importlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from enum import Enum
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, Final, Literal, NamedTuple, Union, get_args, get_origin
from zoneinfo import ZoneInfo

import annotated_types
import yaml
from pydantic import BaseModel, SecretStr, TypeAdapter
from pydantic.fields import FieldInfo

from exporter.economics.settings import Band, Plausible
from exporter.inventory.model import RigFacts
from exporter.model.fields import parse_duration
from exporter.settings.flags import FLAGS
from exporter.settings.model import Settings
from exporter.settings.schema import alternatives, full_annotation, is_model, kind_of, name_of
from exporter.sources.contract import SourceSettings
from exporter.sources.http import HttpSettings
from exporter.sources.registry import ROOMS, OneOf, settings_classes

PAGE: Final = Path(__file__).parents[2] / "docs" / "configuration.md"

_INTRODUCTION: Final = """\
# Configuration

Written by `make docs` from the settings themselves: do not edit it here.

    hashmargin check-config --config.file site.yml

says what a configuration would run, secrets masked, without running it. A mistake is told with its file, line and the
nearest right name, all mistakes at once. [deploy/examples/site.yml](../deploy/examples/site.yml) is a whole site,
explained line by line.

## Where values come from

The strongest first:

1. **Flags**: @FLAGS@.
2. **Environment**: `HASHMARGIN_` and the key in capitals, `__` between the levels: `HASHMARGIN_POLLING__INTERVAL=60s`,
   `HASHMARGIN_TARIFFS__PPA__USD_PER_KILOWATT_HOUR=0.05`. In names of yours, what is no letter or digit is written `_`
   (`HASHMARGIN_BLOCKS__CONTAINER_1__TARIFF`). Lists and mappings are JSON. A `HASHMARGIN_` variable that is no setting
   is refused.
3. **Secret files**: in the directory that `--config.secrets-dir` or `HASHMARGIN_SECRETS_DIR` names, a file per key with
   the key as its name: `network__password`.
4. **The YAML file** that `--config.file` or `HASHMARGIN_CONFIG_FILE` names.

A key that is left out has its default; a key that does not exist is refused. Relative file names start from the YAML
file, in flags from the working directory. Durations are written like Prometheus does: `15s`, `5m`, `1h30m`, `2d`.
Passwords and tokens are never logged, exported or shown, and each can come from a file instead.

## Keys

`<name>` is a name of your choice, `[]` an entry of a list.

"""

_INVENTORY: Final = """
A rig and a range may be told all that `fleet.defaults` may.

A CSV file's first line names its columns, in any order: the keys of `fleet.rigs[]` and `fleet.defaults`. Only
`address` is required. Empty cells are as if left out, lines and columns that begin with `#` are skipped, and comma,
semicolon or tab separates. `hashmargin scan` writes such a file.

A rig's own line wins over a range that its address lies in. The addresses of a range are searched: where nothing ever
answered there is no rig, up or down; where something answers it is named by its MAC address, else its serial number,
else its address.
"""

_SOURCES: Final = """
## Sources

A source has a `kind`, and is asked every `interval`; a value older than `max_age` is refused, and all that depends on
it is absent. Those that are asked over HTTP all take:

"""

_END: Final = "...\n"
"""What YAML writes after a bare value."""


class Row(NamedTuple):
    """One line of a table."""

    key: str
    kind: str
    default: str
    text: str


def page() -> str:
    """The whole page."""
    sections = {name: list(_rows(Settings, only=name)) for name in Settings.model_fields}
    plain = [row for rows in sections.values() if len(rows) == 1 for row in rows]
    flags = ", ".join(f"`{flag.name}`" for flag in FLAGS)
    parts = [_INTRODUCTION.replace("@FLAGS@", flags), _table(plain)]
    for name, (head, *rows) in sections.items():
        if rows:
            parts.append(f"\n### `{name}`\n\n{head.text}\n\n{_table(rows)}")
            parts.append(_INVENTORY if name == "fleet" else "")
    parts += [_SOURCES, _table(_http_rows())]
    for room in ROOMS:
        about = _first_line(importlib.import_module(f"exporter.sources.{room}")).partition(":")[0].rstrip(".")
        parts += [f"\n### {about}: `kind` of `{room}`\n", *_room(settings_classes(room))]
    return "".join(parts)


def _http_rows() -> list[Row]:
    own = set(HttpSettings.model_fields) - set(SourceSettings.model_fields)
    return [row for row in _rows(HttpSettings) if row.key in own]


def _room(classes: Mapping[str, type[BaseModel]]) -> Iterator[str]:
    """The rows that all kinds of a room share, then each kind's own."""
    http_rows = _http_rows()
    rows = {
        kind: [row for row in _rows(model) if row.key != "kind" and row not in http_rows]
        for kind, model in classes.items()
    }
    shared = [row for row in next(iter(rows.values())) if all(row in others for others in rows.values())]
    if len(rows) > 1 and shared:
        yield f"\nEvery kind takes:\n\n{_table(shared)}"
    for kind, model in classes.items():
        own = [row for row in rows[kind] if len(rows) == 1 or row not in shared]
        http = " Asked over [HTTP](#sources)." if issubclass(model, HttpSettings) else ""
        yield f"\n#### `kind: {kind}`\n\n{_first_line(model)}{http}\n" + (f"\n{_table(own)}" if own else "")


def _first_line(documented: object) -> str:
    return (documented.__doc__ or "").strip().partition("\n")[0]


def _table(rows: Iterable[Row]) -> str:
    lines = ["| key | value | default | |", "|---|---|---|---|"]
    lines += [f"| `{row.key}` | {row.kind} | {row.default} | {row.text} |" for row in rows]
    return "\n".join(lines) + "\n"


def _rows(model: type[BaseModel], prefix: str = "", only: str | None = None) -> Iterator[Row]:
    """A row per key, those of mappings within included. What any rig may be told stands once, at ``fleet.defaults``."""
    for name, field in model.model_fields.items():
        told_elsewhere = model is not RigFacts and issubclass(model, RigFacts) and name in RigFacts.model_fields
        if told_elsewhere or only not in (None, name):
            continue
        key = prefix + name_of(name, field)
        annotation = full_annotation(field)
        yield Row(key, _spoken(annotation), _default(field), _text(field))
        suffix, inner = _contents(annotation)
        for kind in inner:
            if is_model(kind) and kind is not Band and not _is_source(kind):
                yield from _rows(kind, f"{key}{suffix}.")


def _is_source(kind: type[BaseModel]) -> bool:
    return "kind" in kind.model_fields and kind_of(kind) is not None


def _contents(annotation: Any) -> tuple[str, list[Any]]:
    """What stands in a value, with what is added to the key to name it."""
    for kind in alternatives(annotation):
        if get_origin(kind) is dict:
            return ".<name>", list(alternatives(get_args(kind)[1]))
        if get_origin(kind) in (tuple, list):
            return "[]", list(alternatives(get_args(kind)[0]))
    return "", list(alternatives(annotation))


def _text(field: FieldInfo) -> str:
    plausible = [mark for mark in field.metadata if isinstance(mark, Plausible)]
    expected = "".join(f" Expected {mark.low:g} to {mark.high:g} {mark.unit}." for mark in plausible)
    return ((field.description or "") + expected).replace("|", "\\|")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True)
    if value is None or value in ((), {}) or isinstance(value, BaseModel):
        return f"`{value.base:g}`" if isinstance(value, Band) else ""
    plain = TypeAdapter(full_annotation(field)).dump_python(value, mode="json", warnings=False)
    return f"`{yaml.safe_dump(plain, default_flow_style=True).removesuffix(_END).strip()}`"


_WORDS: Final[Mapping[Any, str]] = MappingProxyType(
    {
        str: "text",
        float: "number",
        int: "whole number",
        bool: "`true` or `false`",
        SecretStr: "secret",
        Path: "file",
        ZoneInfo: "time zone",
        date: "date",
        Band: "number, or `{low, base, high}`",
    }
)


def _spoken(annotation: Any) -> str:
    """Say what a value is, with its bounds."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _spoken_annotated(arguments[0], arguments[1:])
    if origin is dict:
        return f"by name: {_spoken(arguments[1])}"
    if origin in (tuple, list):
        return f"list of: {_spoken(arguments[0])}"
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_spoken(kind) for kind in arguments if kind is not NoneType))
    if origin is Literal or (isinstance(annotation, type) and issubclass(annotation, Enum)):
        return " or ".join(f"`{choice}`" for choice in arguments or annotation)
    return _WORDS.get(annotation, "mapping" if is_model(annotation) else "text")


def _spoken_annotated(inner: Any, marks: tuple[Any, ...]) -> str:
    for mark in marks:
        if isinstance(mark, OneOf):
            return f"a [source](#sources) of `{mark.room}`"
        if getattr(mark, "func", None) is parse_duration:
            return "duration"
    bounds = [f"{sign} {getattr(mark, attribute):,.10g}" for mark in marks for sign, attribute in _bounds_of(mark)]
    return _spoken(inner) + (f" {' and '.join(bounds)}" if bounds else "")


def _bounds_of(mark: Any) -> list[tuple[str, str]]:
    signs = {annotated_types.Gt: (">", "gt"), annotated_types.Ge: ("≥", "ge")}
    signs |= {annotated_types.Lt: ("<", "lt"), annotated_types.Le: ("≤", "le")}
    return [signs[type(mark)]] if type(mark) in signs else []
