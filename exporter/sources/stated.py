"""The error message in a server's answer, from JSON, XML, HTML or text."""

import html
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from exporter.model.failures import Reason

_LONGEST_READ: Final = 65_536  # bytes
_REASON_KEYS: Final = (
    "message",
    "error_description",
    "error_message",
    "errormessage",
    "detail",
    "title",
    "reason",
    "text",
    "msg",
    "description",
    "err_desc",
    "error",
    "errors",
    "fault",
    "faultstring",
)
_LONGEST_NOTICE: Final = 200
_UNSEEN: Final = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.IGNORECASE | re.DOTALL)
_WORDS: Final = {
    Reason.RATE_LIMITED: re.compile(
        r"rate limit|too many|throttl|quota|exceeded|acceptable use|retry your request", re.IGNORECASE
    ),
    Reason.AUTH: re.compile(
        r"unauth|not authori[sz]ed|not authenticated|access denied|forbidden|log ?in|sign in"
        r"|(invalid|no valid|missing|expired|unknown|wrong) [\w ]*(key|token|credential)",
        re.IGNORECASE,
    ),
    Reason.NOT_READY: re.compile(r"no (matching )?data|not (yet )?(published|available|found)", re.IGNORECASE),
}


def reason_from(words: str) -> Reason:
    """Classify an error by the server's words. GARBLED if they say nothing known."""
    return next((reason for reason, pattern in _WORDS.items() if pattern.search(words)), Reason.GARBLED)


def stated_error(document: Any) -> str:
    """Return the error that a JSON document states although its status is a success; empty if it states none."""
    if not isinstance(document, Mapping):
        return ""
    stated = [document[key] for key in ("errors", "error", "fault") if isinstance(document.get(key), str | list | dict)]
    return next((words for words in map(_reason_in, filter(None, stated)) if words), "")


def stated_reason(body: bytes) -> str:
    """Return the reason that the body of an error gives, from JSON, XML, HTML or text; empty if it gives none."""
    text = body[:_LONGEST_READ].decode("utf-8", errors="replace").strip()
    if text.startswith(("{", "[")):
        with suppress(ValueError, RecursionError):
            return _reason_in(json.loads(text))
    if is_html(text):
        title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
        words = " ".join(html.unescape(title[1] if title is not None else _UNSEEN.sub(" ", text)).split())
        return words if len(words) <= _LONGEST_NOTICE else ""  # a whole page has all sorts of words
    if text.startswith("<"):
        found = (re.search(rf"<(?:\w+:)?{key}\b[^>]*>([^<]+)<", text, re.IGNORECASE) for key in _REASON_KEYS)
        return next((html.unescape(match[1]) for match in found if match is not None and match[1].strip()), "")
    return text


def _reason_in(document: Any, depth: int = 4) -> str:
    """Find the reason in a JSON error: a text, the first of a list, or the usual keys of an object."""
    if isinstance(document, str) or depth == 0:
        return document if isinstance(document, str) else ""
    if isinstance(document, list):
        return next((words for words in (_reason_in(each, depth - 1) for each in document[:3]) if words), "")
    if not isinstance(document, Mapping):
        return ""
    lowered = {str(key).lower(): value for key, value in document.items()}
    found = (_reason_in(lowered[key], depth - 1) for key in _REASON_KEYS if key in lowered)
    words = list(dict.fromkeys(filter(None, found)))[:2]
    if words:
        return ": ".join(words)
    named = ((key, _reason_in(value, depth - 1)) for key, value in list(document.items())[:3])
    return next((f"{key}: {value}" for key, value in named if value), "")


def is_html(text: str) -> bool:
    """Whether a text is a web page."""
    return text.lstrip()[:15].lower().startswith(("<!doctype html", "<html"))
