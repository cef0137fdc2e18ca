"""Numbers as spreadsheets write them: with a decimal point or comma, and with thousands separators."""

import re
from collections.abc import Iterable
from typing import Final

_SPACES: Final = re.compile(r"[\s\u00a0\u202f'\u2019]")
"""Thousands separators that are never decimal separators: spaces and apostrophes."""
_NUMBER: Final = re.compile(r"[-+]?\d[\d.,]*")
_GROUP: Final = 3
_OTHER: Final = {",": ".", ".": ","}


class AmbiguousNumbersError(ValueError):
    """The decimal separator of a file cannot be determined. The message gives the remedy."""


def separator_of(cells: Iterable[str]) -> str:
    """Return the decimal separator of a file, ``.`` or ``,``, from its number cells.

    A cell proves a separator if it has both, if it repeats one (which then separates thousands), or if not exactly
    three digits follow it. ``3.050`` alone proves nothing and is read with a decimal point.

    Raises:
        AmbiguousNumbersError: The cells contradict each other, or only cells such as ``3,050`` are left.
    """
    proven: dict[str, str] = {}
    ambiguous: dict[str, str] = {}
    for cell in cells:
        number = _SPACES.sub("", cell)
        if not _NUMBER.fullmatch(number) or not {",", "."} & set(number):
            continue
        mark = _proves(number)
        if mark:
            proven.setdefault(mark, cell.strip())
        else:
            ambiguous.setdefault("," if "," in number else ".", cell.strip())
    if len(proven) > 1:
        raise AmbiguousNumbersError(
            f"has numbers with a decimal comma ({proven[',']}) and a decimal point ({proven['.']}): use one of them"
        )
    if proven:
        return next(iter(proven))
    if "," in ambiguous:
        example = ambiguous[","]
        raise AmbiguousNumbersError(
            f"has the number {example}, which may be {example.replace(',', '')} or {example.replace(',', '.')}: "
            "write it without a thousands separator and with a decimal point"
        )
    return "."


def plain(cell: str, separator: str) -> str:
    """Write a number cell as Python reads it. Other text is returned unchanged."""
    number = _SPACES.sub("", cell)
    if not _NUMBER.fullmatch(number):
        return cell
    return number.replace(_OTHER[separator], "").replace(separator, ".")


def _proves(number: str) -> str:
    """Return the decimal separator that a number proves, or an empty string."""
    last = max(",.", key=number.rfind)
    if _OTHER[last] in number:
        return last
    if number.count(last) > 1:
        return _OTHER[last]
    whole, _, rest = number.lstrip("+-").partition(last)
    return "" if len(rest) == _GROUP and len(whole) <= _GROUP and whole != "0" else last
