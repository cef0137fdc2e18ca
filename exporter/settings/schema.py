"""What keys there are: walks the settings models, for documentation and for the nearest right name."""

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
"""Variables that are no keys of the configuration: they say where it is."""


def entry(values: Any, part: str | int) -> Any:
    """The entry of a mapping or list; None where there is none."""
    try:
        return values[part]
    except (LookupError, TypeError):
        return None


def alternatives(annotation: Any) -> Iterator[Any]:
    """The types that a value may have, the source settings of a room among them."""
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
    """The field's type with what pydantic took off it."""
    return Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation


def name_of(name: str, field: FieldInfo) -> str:
    """The key as it is written in YAML."""
    return field.alias or name


def is_model(kind: Any) -> bool:
    """Whether values of this type are mappings with keys of their own."""
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def kind_of(model: type[BaseModel]) -> str | None:
    """The ``kind`` that chooses this model among those of its room."""
    field = model.model_fields.get("kind")
    return get_args(field.annotation)[0] if field is not None and get_origin(field.annotation) is Literal else None


def keys_at(path: KeyPath, values: Any) -> set[str]:
    """The keys that may stand in the mapping at ``path`` of the configuration ``values``."""
    models = _models_at(path, values)
    kind = entry(reduce(entry, path, values), "kind")
    chosen = [model for model in models if kind_of(model) in (None, kind)] or models
    return {name_of(name, field) for model in chosen for name, field in model.model_fields.items()}


def kinds_at(path: KeyPath, values: Any) -> set[str]:
    """The kinds of source that may stand at ``path``."""
    return {kind for model in _models_at(path, values) if (kind := kind_of(model)) is not None}


def _models_at(path: KeyPath, values: Any) -> list[type[BaseModel]]:
    places: list[Any] = [Settings]
    for part in path:
        kind = entry(values, "kind")
        chosen = [place for place in places if not is_model(place) or kind_of(place) in (None, kind)] or places
        places = [inner for place in chosen for inner in _inside(place, part)]
        values = entry(values, part)
    return [place for place in places if is_model(place)]


def _inside(place: Any, part: str | int) -> Iterator[Any]:
    if is_model(place):
        for name, field in place.model_fields.items():
            if name_of(name, field) == part:
                yield from alternatives(full_annotation(field))
        return
    arguments = get_args(place)
    if arguments:  # of a dict the value's type, of a list or tuple the items'
        yield from alternatives(arguments[1] if get_origin(place) is dict else arguments[0])


def variables() -> Iterator[str]:
    """Every environment variable whose name does not depend on a name that the operator chose."""
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
