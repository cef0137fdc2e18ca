"""Renders an evaluation as text, one metric of the catalogue after another.

The values of all metrics of a scope are read first, of some hundred subjects at a time, so that a rig is fetched from
memory once and not for each metric. Text is written in as many pieces.

Runs in a worker thread. No single step holds the interpreter's lock for more than a few milliseconds.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import compress
from typing import Any, Final, TypeVar

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

S = TypeVar("S")

_MAX_LABEL_LENGTH: Final = 256
_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n", "%": "%%"})  # a template has % for a number

_PART: Final = 500
"""Subjects that are read, and samples that are written, at a time: few enough for the processor's cache."""


class _Labels:
    """The labels of many samples as templates of some hundred lines, such as ``{rig="a-01"} %s``."""

    def __init__(self, keys: Sequence[Any], count: int, names: tuple[str, ...], columns: Columns) -> None:
        """``keys`` and ``count`` are those of the subjects, of which ``columns`` are the labels."""
        self.keys = keys
        self.count = count
        lines, self._chosen = _lines(names, columns, count)
        self._templates = [b"\n".join(part) for part in _parts(lines)]
        self._used: dict[tuple[int, bytes], bytes] = {}
        self._former: dict[tuple[int, bytes], bytes] = {}

    def turn(self) -> None:
        """Begin an evaluation. Templates that the last one did not use are forgotten."""
        self._former, self._used = self._used, {}

    def parts(self, subjects: Sequence[S]) -> Iterable[Sequence[S]]:
        """Return the subjects of each template; of subjects with the same labels, the first."""
        if self._chosen is not None:
            subjects = [subjects[index] for index in self._chosen]
        return _parts(subjects)

    def lines(self, part: int, listed: bytes) -> tuple[bytes, list[bytes]]:
        """Return the template of the samples with a number, and the numbers, of which ``listed`` is the list."""
        numbers = listed.split(b",")
        if b"n" not in listed:  # no null
            return self._templates[part], numbers
        which = bytes([number != b"null" for number in numbers])  # the same for all metrics that a firmware lacks
        lines = self._used.get((part, which)) or self._former.get((part, which))
        self._used[part, which] = lines = lines or b"\n".join(compress(self._templates[part].split(b"\n"), which))
        return lines, list(compress(numbers, which))


@dataclass(frozen=True, slots=True)
class _Family:
    """See :class:`exporter.exposition.publication.Family`."""

    name: str
    heads: Mapping[Format, bytes]
    labels: _Labels
    numbers: Sequence[bytes]  # of each part of the subjects, see _numbers

    def samples(self) -> Iterator[bytes]:
        """Write the samples as text. None, NaN and infinite values are omitted."""
        name = self.name.encode()
        for part, listed in enumerate(self.numbers):
            lines, numbers = self.labels.lines(part, listed) if listed else (b"", [])
            if numbers:
                text: bytes = lines % tuple(numbers)
                yield name
                yield text.replace(b"\n", b"\n" + name)
                yield b"\n"


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
            (metric, _heads(metric))
            for metric in CATALOGUE
            if (metric.group is None or getattr(settings.groups, metric.group))
            and not (metric.name in DETAILS and settings.profile is Profile.LEAN)
        ]
        self._columns: dict[Scope[Any], dict[str, Callable[[Sequence[Any]], list[float | None]]]] = {}
        for metric, _ in self._metrics:
            self._columns.setdefault(metric.scope, {})[metric.name] = column(metric.get)
        self._registry = registry
        self._pause = pause
        self._labels: dict[Scope[Any], _Labels] = {}

    def render(self, view: SiteView) -> Publication:
        """Return an evaluation that is read and written when an encoding of it is wanted."""
        return Publication(view, partial(self._families, view), own_metrics(self._registry), self._pause)

    def _families(self, view: SiteView) -> Iterator[Family]:
        scopes: dict[Scope[Any], tuple[_Labels, dict[str, list[bytes]]]] = {}
        for metric, heads in self._metrics:
            if metric.scope not in scopes:
                scopes[metric.scope] = self._read(metric.scope, view)
            labels, numbers = scopes[metric.scope]
            yield _Family(metric.name, heads, labels, numbers.pop(metric.name))
            self._pause()

    def _read(self, scope: Scope[Any], view: SiteView) -> tuple[_Labels, dict[str, list[bytes]]]:
        """Return the labels of a scope, and the numbers of each of its metrics."""
        keys, subjects = scope.subjects(view)
        labels = self._labelled(scope, keys, len(subjects))
        self._pause()
        columns = self._columns[scope]
        numbers: dict[str, list[bytes]] = {name: [] for name in columns}
        for part in labels.parts(subjects):
            for name, read in columns.items():
                numbers[name].append(_numbers(read(part)))
            self._pause()
        return labels, numbers

    def _labelled(self, scope: Scope[Any], keys: Sequence[Any], count: int) -> _Labels:
        """Return the labels as text, from the previous evaluation if they are unchanged."""
        known = self._labels.get(scope)
        if known is None or known.count != count or known.keys != keys:
            known = self._labels[scope] = _Labels(keys, count, scope.labels, scope.columns(keys))
        known.turn()
        return known


def _parts(items: Sequence[S]) -> list[Sequence[S]]:
    return [items[start : start + _PART] for start in range(0, len(items), _PART)]


def _numbers(values: list[float | None]) -> bytes:
    """Write numbers with commas between them, null for None, NaN and infinite ones; nothing if all are None."""
    if not any(values) and values.count(None) == len(values):
        return b""
    # JSON numbers are valid here too. orjson writes them twenty times faster than repr, in the same shortest form.
    try:
        listed = orjson.dumps(values)[1:-1]
    except TypeError:  # an integer of more than 64 bits
        listed = to_json(values, inf_nan_mode="null")[1:-1]
    if b"t" in listed or b"f" in listed:
        return listed.replace(b"true", b"1").replace(b"false", b"0")
    return listed


def _lines(names: tuple[str, ...], columns: Columns, count: int) -> tuple[list[bytes], list[int] | None]:
    """Write the labels of ``count`` samples as lines; of labels that repeat, the first, with the indices of these."""
    if not names:
        return [b" %s"] * count, None
    pairs = ",".join(f'{name}="%s"' for name in names)
    line = f"{{{pairs}}} %%s"
    texts = [line % row for row in zip(*map(_escaped, columns), strict=True)]  # not map: it would not let others go on
    first = dict(zip(reversed(texts), range(len(texts) - 1, -1, -1), strict=True))
    chosen = None if len(first) == len(texts) else sorted(first.values())
    if chosen is not None:
        texts = [texts[index] for index in chosen]
    # A lone surrogate from a rig's invalid UTF-8 becomes a question mark.
    return [text.encode("utf-8", "replace") for text in texts], chosen


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
