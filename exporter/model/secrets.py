"""Finds secrets in names, URLs and messages, so that no output shows them."""

import re
from typing import Final
from urllib.parse import unquote

MASK: Final = "***"
_SECRET_NAME: Final = re.compile(
    r"pass(word|wd|phrase)?$|secret|token$|api_?key|authorization|cookie$|credential", re.IGNORECASE
)
_LOGIN_IN_URL: Final = re.compile(r"(?<=://)[^/\s]+(?=@)")
_PARAMETERS: Final = tuple(re.compile(rf"(?<=[{ahead}])([^=&;#?\s'\"]+=)([^&\s'\"]+)") for ahead in ("?&#", ";"))
_SECRET_PARAMETER: Final = re.compile(
    r"token|key|passw|secret|sig|auth|credential|hmac|jwt|session|pwd|^(?:pass|sas|otp|pin)$", re.IGNORECASE
)
_KEY_IN_CODE: Final = 16  # characters: Azure's ``code`` is a key, others' is that of a zone
_NAMED: Final = (
    r"\b[\w.-]{0,40}"
    r"(?:token|key|passw(?:or)?d|pwd|secret|signature|credential|jwt|session_?id|authorization)[\"']?"
)
_VALUE: Final = r"(?!\d{4}-\d\d-\d\d)(?=[^\s\"']*\d)[\w.+/~=*-]{8,}"  # with a digit, and not a date
_SECRET_IN_WORDS: Final = re.compile(
    rf"({_NAMED}\s*=\s*[\"']?)[^\s\"'&,;)\]}}]+"  # token=abc
    rf"|({_NAMED}(?:(?:\s+\w{{1,20}}){{0,2}}\s*:\s*|\s)[\"']?){_VALUE}"  # API key provided: 1a2b3c4d
    rf"|(\b(?:Bearer|Basic)\s+){_VALUE}"
    r"|()\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?",  # a JSON Web Token
    re.IGNORECASE,
)


_SUSPICIOUS: Final = re.compile(r"[=\d]|://|eyj", re.IGNORECASE)
"""Every secret in words or in a URL has one of these beside it, or in it: rigs fail in few words, which have none."""


def looks_secret(name: str) -> bool:
    """Return whether values of this name are masked in all output."""
    return _SECRET_NAME.search(name) is not None


def mask_urls(text: str) -> str:
    """Mask users, passwords and keys in the URLs within a text."""
    text = _LOGIN_IN_URL.sub(MASK, text)
    for pattern in _PARAMETERS:
        text = pattern.sub(_parameter, text)
    return text


def _parameter(match: re.Match[str]) -> str:
    name = unquote(match[1][:-1])
    is_key = name.casefold() == "code" and len(match[2]) >= _KEY_IN_CODE
    return f"{match[1]}{MASK}" if is_key or _SECRET_PARAMETER.search(name) else match[0]


def mask_secrets(text: str) -> str:
    """Mask what looks like a secret in the words of a server, whoever's it is: ``token=...``, bearer tokens, keys."""
    if not _SUSPICIOUS.search(text):
        return text
    return _SECRET_IN_WORDS.sub(lambda match: f"{next(filter(None, match.groups()), '')}{MASK}", mask_urls(text))
