"""Reads a YAML file with the line of each key. Duplicate keys are errors, and YAML 1.1's implicit types are off.

Only ``true`` and ``false`` are booleans. ``22:00``, ``2026-03-21`` and ``0123`` are texts.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from exporter import yaml_nodes
from exporter.file_stamp import why_unreadable
from exporter.inventory.listed import KeyPath
from exporter.model.configuration_errors import ErrorAt

try:
    from yaml import CSafeLoader as _BaseLoader
except ImportError:  # PyYAML built without libyaml
    from yaml import SafeLoader as _BaseLoader  # type: ignore[assignment]


class _Loader(_BaseLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


for _tag, _pattern, _first in (
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("null", r"(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)$", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$", "-+.0123456789"),
    ("merge", r"<<$", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))


@dataclass(frozen=True, slots=True)
class Document:
    """The values of a YAML file, the line (from 1) of each key path, and the errors of the file itself."""

    values: dict[str, Any] = field(default_factory=dict)
    lines: dict[KeyPath, int] = field(default_factory=dict)
    errors: list[ErrorAt] = field(default_factory=list)


def read(path: Path) -> Document:
    """Read a YAML file. Raises nothing: errors are in the document."""
    document = Document()
    try:
        loader = _Loader(path.read_bytes())
        root = yaml_nodes.compose(loader)
        if isinstance(root, yaml.MappingNode):
            document.values.update(_Builder(loader, path, document).mapping(root, ()))
        elif root is not None:
            document.errors.append(ErrorAt(f"{path}:1", "must be a mapping: lines of `key: value`"))
    except OSError as error:
        document.errors.append(ErrorAt(str(path), why_unreadable(error)))
    except RecursionError:
        document.errors.append(ErrorAt(str(path), "is nested too deeply"))
    except yaml.MarkedYAMLError as error:
        document.errors.append(_not_yaml(path, error))
    except yaml.YAMLError as error:
        document.errors.append(ErrorAt(str(path), f"is not text in UTF-8: {str(error).splitlines()[0]}"))
    return document


def _not_yaml(path: Path, error: yaml.MarkedYAMLError) -> ErrorAt:
    mark = error.problem_mark or error.context_mark
    hint = (
        " (indent with spaces, not tabs; quote what begins with @ or `)"
        if "start any token" in str(error.problem)
        else ""
    )
    return ErrorAt(f"{path}:{mark.line + 1}" if mark else str(path), f"is not valid YAML: {error.problem}{hint}")


class _Builder:
    def __init__(self, loader: Any, path: Path, document: Document) -> None:
        self._loader = loader
        self._path = path
        self._document = document
        self._open: set[yaml.Node] = set()

    def mapping(self, node: yaml.MappingNode, at: KeyPath) -> dict[str, Any]:
        self._refuse_duplicates(node, at)
        self._loader.flatten_mapping(node)  # `<<: *defaults`
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(self._constructed(key_node))
            self._document.lines[*at, key] = key_node.start_mark.line + 1
            values[key] = self._value(value_node, (*at, key))
        return values

    def _value(self, node: yaml.Node, at: KeyPath) -> Any:
        if node in self._open:
            raise yaml.constructor.ConstructorError(None, None, "an alias contains itself", node.start_mark)
        self._open.add(node)
        try:
            match node:
                case yaml.MappingNode():
                    return self.mapping(node, at)
                case yaml.SequenceNode():
                    return [self._item(item, (*at, index)) for index, item in enumerate(node.value)]
                case _:
                    return self._constructed(node)
        finally:
            self._open.discard(node)

    def _constructed(self, node: yaml.Node) -> Any:
        """Construct a scalar or a key. PyYAML raises all kinds of errors for a value that does not fit its tag."""
        try:
            return self._loader.construct_object(node, deep=True)
        except (ValueError, LookupError, AttributeError, TypeError):
            kind = node.tag.rpartition(":")[2]
            raise yaml.constructor.ConstructorError(None, None, f"this is no {kind}", node.start_mark) from None

    def _item(self, node: yaml.Node, at: KeyPath) -> Any:
        self._document.lines[at] = node.start_mark.line + 1
        return self._value(node, at)

    def _refuse_duplicates(self, node: yaml.MappingNode, at: KeyPath) -> None:
        seen: dict[str, int] = {}
        for key_node, _ in node.value:
            key, line = str(key_node.value), key_node.start_mark.line + 1
            if key in seen:
                place = ".".join(map(str, (*at, key)))
                self._document.errors.append(
                    ErrorAt(f"{self._path}:{line}", f"{place} is already set in line {seen[key]}")
                )
            seen.setdefault(key, line)
