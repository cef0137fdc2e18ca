"""Takes out of a rig's answers what is private: logins, workers, wallets, and who and where the rig is."""

import re
from typing import Any, Final

from exporter.failures import Failure
from exporter.fields import looks_secret, mask_urls
from exporter.sources.miners.transport import parse_json

REMOVED: Final = "removed"
SAMPLE_ADDRESS: Final = "192.0.2.1"
"""Of the block that RFC 5737 sets aside for documentation."""

_PRIVATE_KEY: Final = re.compile(r"user|login|hostname|worker|wallet|account|e-?mail|ssid|private", re.IGNORECASE)
_SERIAL_KEY: Final = re.compile(r"serial|serinum|miner_?id|dna|^uid$|sn\d*$", re.IGNORECASE)
_MAC: Final = re.compile(r"\b([0-9A-Fa-f]{2}([:-])[0-9A-Fa-f]{2}\2[0-9A-Fa-f]{2})(?:\2[0-9A-Fa-f]{2}){3}\b")
_WALLET: Final = re.compile(r"\b(?:bc1[a-z0-9]{20,}|[13][1-9A-HJ-NP-Za-km-z]{25,34})\b")
_DIGIT: Final = re.compile(r"\d")


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
        return _DIGIT.sub("0", value)
    text = _MAC.sub(r"\1\g<2>00\g<2>00\g<2>01", mask_urls(value))
    return _WALLET.sub(REMOVED, text.replace(address, SAMPLE_ADDRESS))


def redacted_answer(answer: bytes, address: str) -> Any:
    """The answer as JSON without what is private; how long it was where it is no JSON object."""
    try:
        return redacted(dict(parse_json(answer)), address)
    except Failure as failure:
        return f"{len(answer):,} bytes: {failure.detail}"
