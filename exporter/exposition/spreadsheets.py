"""Writes CSV that a spreadsheet opens without running what a rig or a person wrote in it."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from typing import Any


def as_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Format comma-separated values. None is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def no_formula(text: str) -> str:
    """Quote text of a rig that a spreadsheet would run as a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") and text else text


def cell(value: Any) -> Any:
    """Return what a cell holds for a value of the JSON API. Lists and objects are JSON."""
    if isinstance(value, str):
        return no_formula(value)
    return json.dumps(value) if isinstance(value, (list, dict)) else value
