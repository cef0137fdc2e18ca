"""A market that needs no code: one of the YAML files in ``templates``, with the configured area filled in."""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from string import Template
from typing import Any, Final, Literal

import yaml
from pydantic import Field, model_validator

from exporter.model.configuration_errors import unknown
from exporter.model.fields import Text
from exporter.sources.http import Answer
from exporter.sources.tariffs import http_json
from exporter.sources.tariffs.http_csv import read_csv
from exporter.sources.xml import as_document, parse_xml

_FOLDER: Final = resources.files("exporter.sources.tariffs") / "templates"


class Settings(http_json.Settings):
    """The settings of ``http_json``, filled in by the template. A setting that is given here takes precedence."""

    kind: Literal["template"] = "template"  # type: ignore[assignment]
    template: str = Field(description="Name of the template, such as awattar.")
    area: Text = Field(default="", description="Market, zone or node. Some templates have a default.")
    areas: tuple[Text, ...] = Field(
        default=(), description="Several areas instead of `area`: one tariff for each, named like spot-WEST."
    )
    asked_with: tuple[Text, ...] = Field(
        default=(), description="All areas that are requested together. It is set for tariffs with `areas`."
    )
    format: Literal["json", "csv", "xml"] = Field(
        default="json", description="Format of the answer. The template sets it."
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, given: Any) -> Any:
        if not isinstance(given, dict) or not isinstance(given.get("template"), str):
            return given
        if given["template"] not in templates():
            raise ValueError(unknown("template", given["template"], templates()))
        document = _load(given["template"])
        if given.get("areas"):
            raise ValueError("give areas only to a template directly in tariffs, or give area")
        area = given.get("area") or document.get("area")
        if not area:
            raise ValueError(f"the template {given['template']} needs an area: {document['areas']}")
        together = str(document.get("together", ",")).join(map(str, given.get("asked_with") or (area,)))
        return _substituted(document["settings"], {"area": str(area), "areas": together}) | given

    def parse(self, answer: Answer) -> Any:
        """Read the body of an answer in the template's format."""
        match self.format:
            case "csv":
                return read_csv(answer, self.columns_wanted)
            case "xml":
                return as_document(parse_xml(answer.text()))
        return answer.json()

    @property
    def likely_cause(self) -> str:
        """The most likely cause of an answer without a usable price."""
        document = _load(self.template)
        areas = document["areas"]
        if document.get("area") == areas:  # there is only one
            return super().likely_cause
        return f"not published yet, or the area is wrong: it is {areas}"


def expanded(tariffs: object) -> object:
    """Replace each tariff with several ``areas`` by one tariff for each, named ``<name>-<area>``."""
    if not isinstance(tariffs, Mapping):
        return tariffs
    found: dict[str, Any] = {}
    for name, settings in tariffs.items():
        areas = settings.get("areas") if isinstance(settings, Mapping) else None
        if not isinstance(areas, list | tuple) or not areas or settings.get("area"):
            found[name] = settings
            continue
        common = {key: value for key, value in settings.items() if key != "areas"} | {"asked_with": tuple(areas)}
        found |= {f"{name}-{area}": common | {"area": area} for area in areas}
    return found


@cache
def templates() -> tuple[str, ...]:
    """Return the names of all templates."""
    return tuple(sorted(file.name.removesuffix(".yml") for file in _FOLDER.iterdir() if file.name.endswith(".yml")))


@cache
def _load(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((_FOLDER / f"{name}.yml").read_text(encoding="utf-8"))
    return document


def _substituted(value: Any, names: Mapping[str, str]) -> Any:
    """Put the area wherever the template has ``$area``, and all that are requested together at ``$areas``."""
    if isinstance(value, str):
        return Template(value).safe_substitute(names)
    if isinstance(value, dict):
        return {Template(name).safe_substitute(names): _substituted(item, names) for name, item in value.items()}
    return value
