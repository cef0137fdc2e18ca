"""A market that needs no code: one of the YAML files in ``templates``, with the operator's area filled in."""

from functools import cache
from importlib import resources
from string import Template
from typing import Any, Final, Literal

import yaml
from pydantic import Field, model_validator

from exporter.model.configuration_errors import unknown
from exporter.sources.http import Answer
from exporter.sources.tariffs import http_json
from exporter.sources.tariffs.http_csv import read_csv

_FOLDER: Final = resources.files("exporter.sources.tariffs") / "templates"


class Settings(http_json.Settings):
    """All settings of ``http_json``, already filled in by the template; what is set here as well takes precedence."""

    kind: Literal["template"] = "template"  # type: ignore[assignment]
    template: str = Field(description="Which template, such as awattar.")
    area: str = Field(default="", description="The template's market, zone or node; some have a default.")
    format: Literal["json", "csv"] = Field(default="json", description="What the market serves; the template knows.")

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, said: Any) -> Any:
        if not isinstance(said, dict) or not isinstance(said.get("template"), str):
            return said
        if said["template"] not in templates():
            raise ValueError(unknown("template", said["template"], templates()))
        document = _load(said["template"])
        area = said.get("area") or document.get("area")
        if not area:
            raise ValueError(f"the template {said['template']} needs an area: {document['areas']}")
        return _substituted(document["settings"], str(area)) | said

    def parse(self, answer: Answer) -> Any:
        """Read an answer as the template's format says."""
        return answer.json() if self.format == "json" else read_csv(answer)


@cache
def templates() -> tuple[str, ...]:
    """Name every template there is."""
    return tuple(sorted(file.name.removesuffix(".yml") for file in _FOLDER.iterdir() if file.name.endswith(".yml")))


@cache
def _load(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((_FOLDER / f"{name}.yml").read_text(encoding="utf-8"))
    return document


def _substituted(value: Any, area: str) -> Any:
    """Put the area where the template says ``$area``."""
    if isinstance(value, str):
        return Template(value).safe_substitute(area=area)
    if isinstance(value, dict):
        return {name: _substituted(item, area) for name, item in value.items()}
    return value
