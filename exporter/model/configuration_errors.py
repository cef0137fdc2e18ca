"""Configuration errors: where each one is, and one sentence with what is wrong and the nearest name."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final
from zoneinfo import available_timezones

from pydantic_core import ErrorDetails

from exporter.model.secrets import MASK, looks_secret, mask_urls


@dataclass(frozen=True, slots=True)
class ErrorAt:
    """One configuration error: where it is (``site.yml:14: tariffs.day``), and the sentence about it."""

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


def nearest(name: str, known: Iterable[str], *, closeness: float = 0.6) -> str | None:
    """Return the known name that is most similar to ``name``, or None. ``closeness`` is from 0 to 1, 1 is identical."""
    names = {candidate.casefold(): candidate for candidate in known}
    matches = get_close_matches(name.casefold(), names, n=1, cutoff=closeness)
    return names[matches[0]] if matches else None


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Write that no ``what`` has this name, and suggest the most similar known name, else all known names."""
    known = sorted(known)
    longer = [candidate for candidate in known if candidate.startswith(f"{name}_")]
    match = longer[0] if len(longer) == 1 else nearest(name, known)  # a key without its unit, or a typing error
    if match is not None:
        return f"there is no {what} {name!r}: did you mean {match!r}?"
    if len(known) > _MOST_LISTED:
        return f"there is no {what} {name!r}"
    return f"there is no {what} {name!r}: " + (f"choose from {', '.join(known)}" if known else "none is defined")


_MOST_LISTED: Final = 40
_LONGEST_SHOWN: Final = 80
_Context = dict[str, Any]
_SENTENCES: Final[dict[str, Callable[[_Context], str]]] = {
    "missing": lambda _: "is required",
    "union_tag_not_found": lambda _: "needs a `kind`",
    "greater_than": lambda context: f"must be above {context['gt']:g}",
    "greater_than_equal": lambda context: f"must be {context['ge']:,.12g} or more",
    "less_than": lambda context: f"must be below {context['lt']:g}",
    "less_than_equal": lambda context: f"must be {context['le']:,.12g} or less",
    "finite_number": lambda _: "must be a finite number",
    "string_type": lambda _: "must be text: put it in quotes",
    "string_too_short": lambda context: f"must have {context['min_length']} or more characters",
    "string_too_long": lambda context: f"must have {context['max_length']} or fewer characters",
    "too_short": lambda context: f"must have {context['min_length']} or more entries",
    "too_long": lambda context: f"must have {context['max_length']} or fewer entries",
    "value_error": lambda context: str(context["error"]),
}
_NO_MAPPING: Final = "must be a mapping (lines of `key: value`)"
_KINDS: Final = (
    (("bool_",), "must be true or false"),
    (("int_",), "must be a whole number"),
    (("float_", "decimal_"), "must be a number"),
    (("dict_", "model_", "mapping_", "dataclass_"), _NO_MAPPING),
    (("list_", "tuple_", "set_", "frozen_set_", "iterable_"), "must be a list"),
    (("path_",), "must be a file name"),
    (("date_", "time_", "datetime_"), "must be a date or time"),
    (("named_tuple_", "string_pattern"), "does not have the expected format"),
    (("url_",), "must be a URL such as http://127.0.0.1:8332"),
)
_SHOWN: Final = (str, int, float, bool)


def sentence(error: ErrorDetails) -> str:
    """Write what is wrong with a value that a settings model rejected. Includes the value unless it may be secret.

    In the place of a mapping, any text may be the secret that one of its keys should hold.
    """
    message, value = _message(error), error["input"]
    not_shown = error["type"] in {"missing", "union_tag_not_found", "extra_forbidden"} or message == _NO_MAPPING
    if not_shown or not isinstance(value, _SHOWN):
        return message
    if any(looks_secret(str(part)) for part in error["loc"]):
        return message.replace(str(value), MASK)
    shown = mask_urls(str(value))[:_LONGEST_SHOWN]
    has_value = repr(shown) in message or message.startswith((shown or "''", repr(value)))
    return message if has_value else f"{shown!r} {message}"


def _message(error: ErrorDetails) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind in {"literal_error", "enum"}:
        names = _listed(context["expected"])
        match = nearest(str(error["input"]), names)
        return f"must be one of {', '.join(names)}" + (f": did you mean {match!r}?" if match else "")
    if kind == "union_tag_invalid":
        return unknown("kind", context["tag"], _listed(context["expected_tags"]))
    if kind == "zoneinfo_str":
        return _unknown_zone(str(error["input"]))
    if kind in {"too_long", "too_short"} and isinstance(error["input"], str):
        kind = f"string_{kind}"
    write = _SENTENCES.get(kind)
    if write is not None:
        return write(context)
    for prefixes, text in _KINDS:
        if kind.startswith(prefixes):
            return text
    return error["msg"].replace("Input should be", "must be").replace("Value error, ", "")


_ABBREVIATED_ZONES: Final = {
    "PST": "America/Los_Angeles",
    "PDT": "America/Los_Angeles",
    "PT": "America/Los_Angeles",
    "MDT": "America/Denver",
    "MT": "America/Denver",
    "MPT": "America/Edmonton",
    "CST": "America/Chicago, or Asia/Shanghai in China",
    "CDT": "America/Chicago",
    "CT": "America/Chicago",
    "CPT": "America/Chicago",
    "EDT": "America/New_York",
    "ET": "America/New_York",
    "EPT": "America/New_York",
    "AKST": "America/Anchorage",
    "AST": "America/Halifax, or Asia/Riyadh in Arabia",
    "ADT": "America/Halifax",
    "BRT": "America/Sao_Paulo",
    "ART": "America/Argentina/Buenos_Aires",
    "PYT": "America/Asuncion",
    "BST": "Europe/London",
    "IST": "Asia/Kolkata, Europe/Dublin or Asia/Jerusalem",
    "CEST": "Europe/Berlin or another city of Central Europe",
    "EEST": "Europe/Helsinki or another city of Eastern Europe",
    "MSK": "Europe/Moscow",
    "GST": "Asia/Dubai",
    "ALMT": "Asia/Almaty",
    "EAT": "Africa/Nairobi",
    "SAST": "Africa/Johannesburg",
    "SGT": "Asia/Singapore",
    "HKT": "Asia/Hong_Kong",
    "JST": "Asia/Tokyo",
    "AEST": "Australia/Sydney or Australia/Brisbane",
    "AEDT": "Australia/Sydney",
    "AWST": "Australia/Perth",
}
_OFFSET: Final = re.compile(r"(?:UTC|GMT)?([+-])(\d{1,2})(?::?00)?")


def _unknown_zone(name: str) -> str:
    """Write that there is no time zone of this name, and suggest real ones for abbreviations, offsets and cities."""
    bare = name.strip().upper()
    offset = _OFFSET.fullmatch(bare)
    if bare in _ABBREVIATED_ZONES:
        return f"there is no time zone {name!r}: use {_ABBREVIATED_ZONES[bare]}"
    if offset is not None:
        reversed_sign = "-" if offset[1] == "+" else "+"  # POSIX counts hours west of Greenwich
        fixed = f"Etc/GMT{reversed_sign}{int(offset[2])}"
        return f"there is no time zone {name!r}: use that of a city, or {fixed} without summer time"
    zones = sorted(zone for zone in available_timezones() if "/" in zone)
    city = name.strip().replace(" ", "_").casefold()
    found = [zone for zone in zones if zone.rpartition("/")[2].casefold() == city]
    if found:
        return f"there is no time zone {name!r}: did you mean {found[0]!r}?"
    return unknown("time zone", name, zones)


def _listed(expected: str) -> list[str]:
    """Split pydantic's ``'a', 'b' or 'c'`` into names."""
    return [name.strip(" '") for name in expected.replace(" or ", ", ").split(",")]
