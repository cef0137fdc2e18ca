"""One evaluation into a publication: the catalogue's rows as lines of text.

Written for a worker thread beside an event loop: no single step holds the interpreter for more than a few milliseconds.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import add
from typing import Any, Final, TypeAlias

from prometheus_client import exposition as text_exposition
from prometheus_client import openmetrics
from prometheus_client.registry import CollectorRegistry
from pydantic_core import to_json

from exporter.exposition.catalogue import CATALOGUE, Kind, Metric, Scope
from exporter.exposition.publication import Family, Format, Publication
from exporter.exposition.terms import ExpositionTerms
from exporter.exposition.views import SiteView

_MAX_LABEL_LENGTH: Final = 256
_ABSENT: Final = "null"

_LabelValues: TypeAlias = list[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class _Labels:
    """The labels of many samples as text, such as ``{rig="a-01"} ``, with the values that they were made of."""

    values: _LabelValues
    texts: list[str]
    chosen: list[int] | None  # where samples are named alike, as boards of a confused rig may be: the first of each


class Renderer:
    """Renders one evaluation after another, keeping the labels' text in between: it is costly and seldom changes."""

    def __init__(self, terms: ExpositionTerms, registry: CollectorRegistry) -> None:
        """``registry`` holds the exporter's own metrics, which follow the site's."""
        self._metrics = [metric for metric in CATALOGUE if metric.group is None or getattr(terms.groups, metric.group)]
        self._registry = registry
        self._labels: dict[Scope[Any] | str, _Labels] = {}

    def render(self, view: SiteView) -> Publication:
        """Render the evaluation; one call at a time."""
        return Publication(
            view,
            tuple(self._families(view)),
            {
                Format.TEXT: text_exposition.generate_latest(self._registry),
                Format.OPENMETRICS: openmetrics.exposition.generate_latest(self._registry),  # type: ignore[no-untyped-call]
            },
        )

    def _families(self, view: SiteView) -> Iterator[Family]:
        scopes: dict[Scope[Any], tuple[_LabelValues, list[Any], _Labels]] = {}
        for metric in self._metrics:
            scope = metric.scope
            if scope not in scopes:
                label_values, subjects = _named(scope, view)
                scopes[scope] = label_values, subjects, self._labelled(scope, scope.labels, label_values)
            label_values, subjects, labels = scopes[scope]
            if metric.get is not None:
                numbers = list(map(metric.get, subjects))
            else:
                label_values, numbers = _spread(metric, label_values, subjects)
                labels = self._labelled(metric.name, metric.all_labels, label_values)
            samples = _lines(metric.name, labels, numbers)
            if samples:
                yield Family(_heads(metric), samples)

    def _labelled(self, owner: Scope[Any] | str, names: tuple[str, ...], values: _LabelValues) -> _Labels:
        """The text of these label values, from the last time if they are the same."""
        kept = self._labels.get(owner)
        if kept is None or kept.values != values:
            kept = self._labels[owner] = _labels(names, values)
        return kept


def _named(scope: Scope[Any], view: SiteView) -> tuple[_LabelValues, list[Any]]:
    label_values: _LabelValues = []
    subjects: list[Any] = []
    for values, subject in scope.subjects(view):
        label_values.append(values)
        subjects.append(subject)
    return label_values, subjects


def _spread(
    metric: Metric[Any], label_values: _LabelValues, subjects: list[Any]
) -> tuple[_LabelValues, list[float | None]]:
    """The several samples of each subject, with the metric's own labels behind the subject's."""
    spread: _LabelValues = []
    numbers: list[float | None] = []
    for subject_values, subject in zip(label_values, subjects, strict=True):
        for own_values, number in metric.each(subject):
            spread.append(subject_values + own_values)
            numbers.append(number)
    return spread, numbers


def _lines(name: str, labels: _Labels, values: list[float | None]) -> bytes:
    """The samples of one metric; what is None, not a number or infinite is left out."""
    if labels.chosen is not None:
        values = [values[position] for position in labels.chosen]
    # JSON's numbers are valid here too, and pydantic writes them ten times as fast as repr: shortest form, same value.
    listed = to_json(values, inf_nan_mode=_ABSENT).decode().replace("true", "1").replace("false", "0")
    numbers = listed[1:-1].split(",")
    texts = labels.texts
    if _ABSENT in listed:
        texts = [text for text, number in zip(texts, numbers, strict=True) if number != _ABSENT]
        numbers = [number for number in numbers if number != _ABSENT]
    lines = f"\n{name}".join(map(add, texts, numbers))
    # A lone surrogate, left by a rig's invalid UTF-8, becomes a question mark.
    return f"{name}{lines}\n".encode("utf-8", "replace") if lines else b""


def _labels(names: tuple[str, ...], values: _LabelValues) -> _Labels:
    write = _label_writer(names)
    texts = list(map(write, values))
    first = dict(zip(reversed(texts), range(len(texts) - 1, -1, -1), strict=True))
    if len(first) == len(texts):
        return _Labels(values, texts, None)
    chosen = sorted(first.values())
    return _Labels(values, [texts[position] for position in chosen], chosen)


def _label_writer(names: tuple[str, ...]) -> Callable[[tuple[str, ...]], str]:
    """Make the function that writes these labels' values as ``{name="value",...} ``, or a blank without labels."""
    pairs = ",".join(f'{name}="%s"' for name in names)
    template = f"{{{pairs}}} " if names else " "
    quotes = 2 * len(names)

    def write(values: tuple[str, ...]) -> str:
        text = template % values
        # Looking at the whole is faster than looking at each value, and almost always finds nothing to escape.
        if len(text) > _MAX_LABEL_LENGTH or "\\" in text or "\n" in text or text.count('"') != quotes:
            return template % tuple(map(_escaped, values))
        return text

    return write


def _escaped(value: str) -> str:
    return value[:_MAX_LABEL_LENGTH].replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _heads(metric: Metric[Any]) -> dict[Format, bytes]:
    """``# HELP``, ``# TYPE`` and ``# UNIT``; OpenMetrics names the family without the type's suffix."""
    family = metric.name.removesuffix("_total") if metric.kind is Kind.COUNTER else metric.name
    if metric.kind is Kind.INFO:
        family = family.removesuffix("_info")
    text_type = Kind.GAUGE if metric.kind is Kind.INFO else metric.kind
    unit = f"# UNIT {family} {metric.unit}\n" if metric.unit else ""
    return {
        Format.TEXT: f"# HELP {metric.name} {metric.help}\n# TYPE {metric.name} {text_type}\n".encode(),
        Format.OPENMETRICS: f"# HELP {family} {metric.help}\n# TYPE {family} {metric.kind}\n{unit}".encode(),
    }
