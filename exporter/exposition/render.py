"""Renders an evaluation as text, one metric of the catalogue after another.

Runs in a worker thread. No single step holds the interpreter's lock for more than a few milliseconds.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import compress
from math import inf
from typing import Any, Final, TypeAlias

import orjson
from prometheus_client import exposition as text_exposition
from prometheus_client import openmetrics
from prometheus_client.registry import CollectorRegistry
from pydantic_core import to_json

from exporter.exposition.catalogue import CATALOGUE, DETAILS, Columns, Kind, Metric, Scope
from exporter.exposition.columns import column
from exporter.exposition.publication import Family, Format, Publication
from exporter.exposition.settings import ExpositionSettings, Profile
from exporter.exposition.views import SiteView

_MAX_LABEL_LENGTH: Final = 256
_LITERALS: Final = {b"true": b"1", b"false": b"0"}
_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n", "%": "%%"})  # a template has % for a number

_Numbers: TypeAlias = list[float | None]


class _Labels:
    """The labels of many samples as a template: one text with a line for each, such as ``{rig="a-01"} %s``."""

    def __init__(self, keys: Sequence[Any], count: int, names: tuple[str, ...], columns: Columns) -> None:
        """``keys`` and ``count`` are those of the subjects, of which ``columns`` are the labels."""
        self.keys = keys
        self.count = count
        self._all, self._chosen = _template(names, columns, count)
        self._used: dict[bytes, bytes] = {}
        self._former: dict[bytes, bytes] = {}

    def turn(self) -> None:
        """Begin an evaluation. Templates that the last one did not use are forgotten."""
        self._former, self._used = self._used, {}

    def lines(self, values: _Numbers) -> tuple[bytes, list[float]]:
        """Return the template of the samples with a value, and the values."""
        if self._chosen is not None:
            values = [values[index] for index in self._chosen]
        known = [value for value in values if value is not None]
        if len(known) in (0, len(values)):
            return self._all, known
        which = bytes([value is not None for value in values])  # the same for all metrics that a firmware lacks
        lines = self._used.get(which) or self._former.get(which)
        self._used[which] = lines = lines or b"\n".join(compress(self._all.split(b"\n"), which))
        return lines, known


@dataclass(frozen=True, slots=True)
class _Family:
    """See :class:`exporter.exposition.publication.Family`."""

    name: str
    heads: Mapping[Format, bytes]
    labels: _Labels
    values: _Numbers

    def samples(self) -> bytes:
        """Write the samples as text. None, NaN and infinite values are omitted."""
        return _samples(self.name.encode(), self.labels, self.values)


def own_metrics(registry: CollectorRegistry) -> dict[Format, bytes]:
    """Render the exporter's own metrics in each format."""
    return {
        Format.TEXT: text_exposition.generate_latest(registry),
        Format.OPENMETRICS: openmetrics.exposition.generate_latest(registry),  # type: ignore[no-untyped-call]
    }


class Renderer:
    """Renders evaluations. Keeps labels, which are expensive to write and rarely change."""

    def __init__(
        self, settings: ExpositionSettings, registry: CollectorRegistry, pause: Callable[[], object] = lambda: None
    ) -> None:
        """``registry`` holds the exporter's own metrics, rendered last. ``pause`` is called after each metric."""
        self._metrics = [
            (metric, column(metric.get), _heads(metric))
            for metric in CATALOGUE
            if (metric.group is None or getattr(settings.groups, metric.group))
            and not (metric.name in DETAILS and settings.profile is Profile.LEAN)
        ]
        self._registry = registry
        self._pause = pause
        self._labels: dict[Scope[Any], _Labels] = {}

    def render(self, view: SiteView) -> Publication:
        """Return an evaluation that is read and written when an encoding of it is wanted."""
        return Publication(view, partial(self._families, view), own_metrics(self._registry), self._pause)

    def _families(self, view: SiteView) -> Iterator[Family]:
        scopes: dict[Scope[Any], tuple[_Labels, Sequence[Any]]] = {}
        for metric, read, heads in self._metrics:
            if metric.scope not in scopes:
                keys, subjects = metric.scope.subjects(view)
                scopes[metric.scope] = self._labelled(metric.scope, keys, len(subjects)), subjects
                self._pause()
            labels, subjects = scopes[metric.scope]
            if subjects:
                yield _Family(metric.name, heads, labels, read(subjects))
                self._pause()

    def _labelled(self, scope: Scope[Any], keys: Sequence[Any], count: int) -> _Labels:
        """Return the labels as text, from the previous evaluation if they are unchanged."""
        known = self._labels.get(scope)
        if known is None or known.count != count or known.keys != keys:
            known = self._labels[scope] = _Labels(keys, count, scope.labels, scope.columns(keys))
        known.turn()
        return known


def _samples(name: bytes, labels: _Labels, values: _Numbers) -> bytes:
    lines, known = labels.lines(values)
    if not known:
        return b""
    # JSON numbers are valid here too. orjson writes them twenty times faster than repr, in the same shortest form.
    try:
        listed = orjson.dumps(known)[1:-1]
    except TypeError:  # an integer of more than 64 bits
        listed = to_json(known, inf_nan_mode="null")[1:-1]
    numbers = listed.split(b",")
    if b"u" in listed or b"s" in listed:  # true, false or null
        if b"null" in numbers:  # NaN or infinite
            values = [value if value is not None and -inf < value < inf else None for value in values]
            return _samples(name, labels, values)
        numbers = [_LITERALS.get(number, number) for number in numbers]
    text: bytes = lines % tuple(numbers)
    return b"".join((name, text.replace(b"\n", b"\n" + name), b"\n"))


def _template(names: tuple[str, ...], columns: Columns, count: int) -> tuple[bytes, list[int] | None]:
    """Write the labels of ``count`` samples as lines; of labels that repeat, the first, with the indices of these."""
    if not names:
        return b"\n".join([b" %s"] * count), None
    pairs = ",".join(f'{name}="%s"' for name in names)
    line = f"{{{pairs}}} %%s"
    texts = [line % row for row in zip(*map(_escaped, columns), strict=True)]  # not map: it would not let others go on
    first = dict(zip(reversed(texts), range(len(texts) - 1, -1, -1), strict=True))
    chosen = None if len(first) == len(texts) else sorted(first.values())
    if chosen is not None:
        texts = [texts[index] for index in chosen]
    # A lone surrogate from a rig's invalid UTF-8 becomes a question mark.
    return "\n".join(texts).encode("utf-8", "replace"), chosen


def _escaped(values: Sequence[object]) -> list[str]:
    """Write label values, shortened and escaped. Checking all of them at once is fast, and most need no change."""
    column = list(map(str, values))
    everything = "".join(column)
    if max(map(len, column), default=0) > _MAX_LABEL_LENGTH or any(odd in everything for odd in '\\"\n%'):
        return [value[:_MAX_LABEL_LENGTH].translate(_ESCAPES) for value in column]
    return column


def _heads(metric: Metric[Any]) -> dict[Format, bytes]:
    """Write ``# HELP``, ``# TYPE`` and ``# UNIT``. OpenMetrics omits the suffix of the type in the name of a family."""
    family = metric.name.removesuffix("_total") if metric.kind is Kind.COUNTER else metric.name
    if metric.kind is Kind.INFO:
        family = family.removesuffix("_info")
    text_type = Kind.GAUGE if metric.kind is Kind.INFO else metric.kind
    unit = f"# UNIT {family} {metric.unit}\n" if metric.unit else ""
    return {
        Format.TEXT: f"# HELP {metric.name} {metric.help}\n# TYPE {metric.name} {text_type}\n".encode(),
        Format.OPENMETRICS: f"# HELP {family} {metric.help}\n# TYPE {family} {metric.kind}\n{unit}".encode(),
    }
