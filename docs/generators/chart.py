"""Writes the keys of ``config`` into the schema of the Helm chart's values, from the settings models.

Only the keys are checked there, not their values: secrets and the environment may provide what the values lack. The
exporter checks all of it at its start. A secret as a plain value is refused.
"""

import json
from pathlib import Path
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel, SecretStr

from exporter.settings.model import Settings
from exporter.settings.schema import alternatives, full_annotation, is_model, name_of

PAGE: Final = Path(__file__).parents[2] / "deploy" / "helm" / "hashmargin" / "values.schema.json"
_REFUSED: Final = "a secret does not belong here: put it into a Kubernetes secret and name that in `secrets`"
_FREE: Final = "tariffs"
"""The setting whose entries may also have the keys of a market's template."""


def page() -> str:
    """Return the schema with the keys of ``config`` and their definitions written anew."""
    schema = json.loads(PAGE.read_text(encoding="utf-8"))
    definitions: dict[str, Any] = {}
    config = _mapping([Settings], definitions)
    schema["properties"]["config"] = {
        "description": "The site's configuration, with the keys of site.yml.",
        "required": ["site"],
        **config,
        "properties": config["properties"] | {"site": {"type": "string", "minLength": 1}},
    }
    schema["definitions"] = dict(sorted(definitions.items()))
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def _mapping(models: list[type[BaseModel]], definitions: dict[str, Any], *, free: bool = False) -> dict[str, Any]:
    """Describe a mapping with the keys of all ``models``."""
    properties: dict[str, Any] = {}
    for model in models:
        for name, field in model.model_fields.items():
            known = properties.get(name_of(name, field), {})
            annotation = full_annotation(field)
            properties[name_of(name, field)] = known or _value(annotation, definitions, free=name == _FREE)
    return {"type": "object", "additionalProperties": free, "properties": dict(sorted(properties.items()))}


def _value(annotation: Any, definitions: dict[str, Any], *, free: bool = False) -> dict[str, Any]:
    """Describe a value: the keys of mappings in it, whether it is a secret, and nothing else."""
    kinds = list(alternatives(annotation))
    if kinds == [SecretStr]:
        return {"enum": [_REFUSED]}
    models = [kind for kind in kinds if is_model(kind)]
    described: dict[str, Any] = {}
    if models:
        name = "-or-".join(sorted({f"{kind.__module__.removeprefix('exporter.')}.{kind.__name__}" for kind in models}))
        name = name if len(models) == 1 else f"{models[0].__module__.split('.')[-2]}-{len(models)}-kinds"
        if name not in definitions:
            definitions[name] = {}  # a source may contain others
            mapping = _mapping(models, definitions, free=free)
            definitions[name] = {key: value for key, value in mapping.items() if key != "type"}
        described = {"$ref": f"#/definitions/{name}"}
    for kind in kinds:
        arguments = get_args(kind)
        if get_origin(kind) is dict:
            inner = _value(arguments[1], definitions, free=free)
            described |= {"additionalProperties": inner} if inner else {}
        elif get_origin(kind) in (tuple, list):
            inner = _value(arguments[0], definitions)
            described |= {"items": inner} if inner else {}
    return described
