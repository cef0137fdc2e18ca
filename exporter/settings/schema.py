"""Lists the keys of the settings models, for the documentation and to suggest the most similar key."""

from collections.abc import Iterator
from functools import reduce
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from exporter.inventory.listed import KeyPath
from exporter.settings.model import Settings
from exporter.sources.registry import OneOf, settings_classes

PREFIX: Final = "HASHMARGIN_"
OUTSIDE: Final = ("HASHMARGIN_CONFIG_FILE", "HASHMARGIN_SECRETS_DIR")
"""Variables that are not keys of the configuration. They contain its location."""


def entry(values: Any, part: str | int) -> Any:
    """Return the entry of a mapping or list, or None."""
    try:
        return values[part]
    except (LookupError, TypeError):
        return None


def alternatives(annotation: Any) -> Iterator[Any]:
    """Yield the types that a value may have, including the source settings of a room."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        room = next((mark for mark in arguments[1:] if isinstance(mark, OneOf)), None)
        if room is not None:
            yield from settings_classes(room.room, besides=room.besides).values()
        else:
            yield from alternatives(arguments[0])
    elif origin in (Union, UnionType):
        for argument in arguments:
            yield from alternatives(argument)
    elif annotation is not NoneType:
        yield annotation


def full_annotation(field: FieldInfo) -> Any:
    """Return the type of a field with the metadata that pydantic keeps apart."""
    return Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation


def name_of(name: str, field: FieldInfo) -> str:
    """Return the key as it is written in YAML."""
    return field.alias or name


def is_model(kind: Any) -> bool:
    """Return whether values of this type are mappings with defined keys."""
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def kind_of(model: type[BaseModel]) -> str | None:
    """Return the ``kind`` that selects this model in its room, or None."""
    field = model.model_fields.get("kind")
    return get_args(field.annotation)[0] if field is not None and get_origin(field.annotation) is Literal else None


def keys_at(path: KeyPath, values: Any) -> set[str]:
    """Return the keys that are allowed in the mapping at ``path`` of the configuration ``values``."""
    models = _models_at(path, values)
    kind = entry(reduce(entry, path, values), "kind")
    chosen = [model for model in models if kind_of(model) in (None, kind)] or models
    return {name_of(name, field) for model in chosen for name, field in model.model_fields.items()}


def kinds_at(path: KeyPath, values: Any) -> set[str]:
    """Return the kinds of source that are allowed at ``path``."""
    return {kind for model in _models_at(path, values) if (kind := kind_of(model)) is not None}


def _models_at(path: KeyPath, values: Any) -> list[type[BaseModel]]:
    types: list[Any] = [Settings]
    for part in path:
        kind = entry(values, "kind")
        chosen = [each for each in types if not is_model(each) or kind_of(each) in (None, kind)] or types
        types = [inner for each in chosen for inner in _inside(each, part)]
        values = entry(values, part)
    return [each for each in types if is_model(each)]


def _inside(outer: Any, part: str | int) -> Iterator[Any]:
    if is_model(outer):
        for name, field in outer.model_fields.items():
            if name_of(name, field) == part:
                yield from alternatives(full_annotation(field))
        return
    arguments = get_args(outer)
    if arguments:  # the type of a dict's values, or of the items of a list or tuple
        yield from alternatives(arguments[1] if get_origin(outer) is dict else arguments[0])


def variables() -> Iterator[str]:
    """Yield every environment variable whose name does not contain a name that the operator chose."""
    yield from OUTSIDE
    for path in _fixed_paths(Settings):
        yield PREFIX + "__".join(path).upper()


def _fixed_paths(model: type[BaseModel]) -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        inner = [kind for kind in alternatives(full_annotation(field)) if is_model(kind)]
        for kind in inner:
            yield from ((name_of(name, field), *rest) for rest in _fixed_paths(kind))
        if not inner:
            yield (name_of(name, field),)
