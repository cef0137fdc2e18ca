"""Configuration errors: where each one is, and one sentence that says what is wrong and suggests the nearest name."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final
from zoneinfo import available_timezones

from pydantic_core import ErrorDetails

from exporter.model.fields import MASK, looks_secret, mask_urls


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
_KINDS: Final = (
    (("bool_",), "must be true or false"),
    (("int_",), "must be a whole number"),
    (("float_", "decimal_"), "must be a number"),
    (("dict_", "model_", "mapping_", "dataclass_"), "must be a mapping (lines of `key: value`)"),
    (("list_", "tuple_", "set_", "frozen_set_", "iterable_"), "must be a list"),
    (("path_",), "must be a file name"),
    (("date_", "time_", "datetime_"), "must be a date or time"),
    (("named_tuple_", "string_pattern"), "does not have the expected format"),
    (("url_",), "must be a URL such as http://127.0.0.1:8332"),
)
_SHOWN: Final = (str, int, float, bool)


def sentence(error: ErrorDetails) -> str:
    """Write what is wrong with a value that a settings model rejected. Includes the value unless it is secret."""
    message, value = _message(error), error["input"]
    if error["type"] in {"missing", "union_tag_not_found", "extra_forbidden"} or not isinstance(value, _SHOWN):
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
        return unknown("time zone", str(error["input"]), available_timezones())
    if kind in {"too_long", "too_short"} and isinstance(error["input"], str):
        kind = f"string_{kind}"
    write = _SENTENCES.get(kind)
    if write is not None:
        return write(context)
    for prefixes, text in _KINDS:
        if kind.startswith(prefixes):
            return text
    return error["msg"].replace("Input should be", "must be").replace("Value error, ", "")


def _listed(expected: str) -> list[str]:
    """Split pydantic's ``'a', 'b' or 'c'`` into names."""
    return [name.strip(" '") for name in expected.replace(" or ", ", ").split(",")]
