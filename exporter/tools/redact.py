"""Removes private values from a rig's answers: logins, workers, wallets, addresses and serial numbers."""

import re
from typing import Any, Final

from exporter.model.failures import Failure
from exporter.model.secrets import looks_secret, mask_urls
from exporter.sources.rigs.transport import parse_json

REMOVED: Final = "removed"
SAMPLE_ADDRESS: Final = "192.0.2.1"
"""Of the block that RFC 5737 sets aside for documentation."""

_PRIVATE_KEY: Final = re.compile(r"user|login|hostname|worker|wallet|account|e-?mail|ssid|private|salt", re.IGNORECASE)
_SERIAL_KEY: Final = re.compile(r"serial|serinum|miner_?id|dna|^uid$|sn\d*$", re.IGNORECASE)
_MAC: Final = re.compile(r"\b([0-9A-Fa-f]{2}([:-])[0-9A-Fa-f]{2}\2[0-9A-Fa-f]{2})(?:\2[0-9A-Fa-f]{2}){3}\b")
_WALLET: Final = re.compile(r"\b(?:bc1[a-z0-9]{20,}|[13][1-9A-HJ-NP-Za-km-z]{25,34})\b")
_BARE_MAC: Final = re.compile(r"\A([0-9A-Fa-f]{6})[0-9A-Fa-f]{6}\Z")
_INNER_SERIAL: Final = re.compile(r"(?<=\bDNA\[)[^\]]+")  # in the text that Avalons send inside JSON
_LAN: Final = re.compile(
    r"(?<![\d.])(?:10(?:\.\d{1,3}){3}|192\.168(?:\.\d{1,3}){2}|172\.(?:1[6-9]|2\d|3[01])(?:\.\d{1,3}){2})(?![\d.])"
)
_PAIR: Final = re.compile(r"""((\w[\w /-]{0,40})["']?\s*[:=]\s*["']?)([^"',|;&<>{}\[\]\s]+)""")
_SHAPES: Final = ((re.compile(r"\d"), "0"), (re.compile(r"[A-Z]"), "X"), (re.compile(r"[a-z]"), "x"))


def redacted(value: Any, address: str, key: str = "") -> Any:
    """Copy an answer without what is private. Shapes, types and figures stay; a MAC keeps its maker's half."""
    if isinstance(value, dict):
        return {name: redacted(inner, address, str(name)) for name, inner in value.items()}
    if isinstance(value, list):
        return [redacted(inner, address, key) for inner in value]
    if not isinstance(value, str):
        return value
    if value and (looks_secret(key) or _PRIVATE_KEY.search(key)):
        return REMOVED
    if _SERIAL_KEY.search(key):
        return _shape(value)
    if "mac" in key.lower():
        value = _BARE_MAC.sub(r"\g<1>000001", value)
    text = _MAC.sub(r"\1\g<2>00\g<2>00\g<2>01", mask_urls(value))
    text = _LAN.sub(SAMPLE_ADDRESS, text.replace(address, SAMPLE_ADDRESS))
    return _WALLET.sub(REMOVED, _INNER_SERIAL.sub(lambda found: _shape(found[0]), text))


def _shape(serial: str) -> str:
    """Return a serial number of the same shape, as Bitmain's are mostly letters; a word such as ``N/A`` is none."""
    if not any(map(str.isdigit, serial)):
        return serial
    for characters, sample in _SHAPES:
        serial = characters.sub(sample, serial)
    return serial


def redacted_text(text: str) -> str:
    """Return a text that is nearly JSON, or has ``key=value``, without the values of private keys."""
    return _PAIR.sub(lambda pair: pair[1] + redacted(pair[3], SAMPLE_ADDRESS, pair[2]), text)


def redacted_answer(answer: bytes, address: str) -> Any:
    """The answer as JSON without what is private; how long it was where it is no JSON object."""
    try:
        return redacted(dict(parse_json(answer)), address)
    except Failure as failure:
        return f"{len(answer):,} bytes: {failure.detail}"
