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

Look up a key, its values and its default. `make docs` generates this page from the settings: do not edit it.

Check a configuration without running it:

```sh
hashmargin check-config --config.file site.yml
```

The command shows what would run, with secrets masked. It reports all configuration errors at once, with file, line
and the nearest right name. [deploy/examples/site.yml](../deploy/examples/site.yml) explains a whole site line by
line.

## Precedence

A setting comes from the first of these that has it:

1. **Flags**: @FLAGS@.
2. **Environment**: `HASHMARGIN_` and the key in capitals, with `__` between the levels. Examples:
   `HASHMARGIN_POLLING__INTERVAL=60s`, `HASHMARGIN_TARIFFS__PPA__USD_PER_KILOWATT_HOUR=0.05`.
3. **Secret files**: one file per key in the directory of `--config.secrets-dir` or `HASHMARGIN_SECRETS_DIR`, named
   like the key: `network__password`.
4. **The YAML file** of `--config.file` or `HASHMARGIN_CONFIG_FILE`.
5. **`STATE_DIRECTORY`**, which systemd and the image set: the directory of the state file.

In variables, write every character of your own names that is not a letter or digit as `_`:
`HASHMARGIN_BLOCKS__CONTAINER_1__TARIFF`. Lists and mappings are JSON. A `HASHMARGIN_` variable that is not a setting
is refused.

## Values

- A key that is left out has its default. An unknown key is refused.
- Relative file names start from the directory of the YAML file; in flags, from the working directory.
- Durations are written as in Prometheus: `15s`, `5m`, `1h30m`, `2d`.
- Passwords and tokens are never logged, exported or shown. Each can be read from a file instead.

## Keys

`<name>` is a name of your choice, and `[]` an entry of a list.

"""

_INVENTORY: Final = """
A rig and a range can have every key of `fleet.defaults`.

The first line of a CSV file names its columns, in any order: the keys of `fleet.rigs[]` and `fleet.defaults`. Only
`address` is required. Empty cells count as left out. Lines and columns that start with `#` are skipped. The separator
is a comma, semicolon or tab. `hashmargin scan` writes such a file.

A listed rig takes precedence over a range that contains its address. [inventory](inventory.md) explains ranges and
names.
"""

_SOURCES: Final = """
## Sources

A source has a `kind` and is read every `interval`. A value older than `max_age` is not used, and all values that
depend on it are absent. Every source that is read over HTTP also takes:

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
    """Return the whole page."""
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
    """Yield one row per key, including nested keys. The keys of every rig are listed once, at ``fleet.defaults``."""
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
