"""Samples of a metrics page in the text format of Prometheus. Only the wanted families are parsed."""

import re
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from typing import Final, NamedTuple

_LABEL: Final = re.compile(r'([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"')
_ESCAPE: Final = re.compile(r"\\(.)")
_LONGEST_QUOTE: Final = 80


class Sample(NamedTuple):
    """One sample of a family."""

    family: str
    labels: Mapping[str, str]
    value: float


def samples(text: str, families: Collection[str], unreadable: list[str]) -> Iterator[Sample]:
    """Yield the samples with labels of ``families``. Broken lines of these go to ``unreadable``, quoted."""
    wanted = tuple(f"{family}{{" for family in families)
    parsed = cache(_labels)  # the families of a subject have the same labels
    for line in text.split("\n"):
        if line.startswith(wanted):
            family, _, rest = line.partition("{")
            labels, _, value = rest.rpartition("}")
            try:
                sample = Sample(family, parsed(labels), float(value.split()[0]))
            except (ValueError, IndexError):
                unreadable.append(f"not a sample: {line[:_LONGEST_QUOTE]!r}")
            else:
                yield sample


def _labels(text: str) -> dict[str, str]:
    return {name: _ESCAPE.sub(_unescape, value) if "\\" in value else value for name, value in _LABEL.findall(text)}


def _unescape(match: re.Match[str]) -> str:
    return "\n" if match[1] == "n" else match[1]
