"""The first configuration of a site: the text of its files, and writing them without replacing any."""

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

RIGS_FILE: Final = "rigs.csv"
PASSWORD_FILE: Final = "rig-password"  # noqa: S105 -- the name of a file
LOGIN: Final = "rigs"
STATE_FILE: Final = "state.sqlite"
_EVERYBODY: Final = 0o644
_OWNER: Final = 0o600

_PUBLIC_SOURCES: Final = """
network: { kind: mempool } # difficulty, block height and fees, from mempool.space
bitcoin: # US dollars per bitcoin: the median of three exchanges
  kind: median
  sources: [{ kind: kraken }, { kind: coinbase }, { kind: bitstamp }]
"""
_NO_PUBLIC_SOURCES: Final = """
# Without the difficulty and the bitcoin price, revenue and margin are absent. Sources: docs/sources.md
# network: { kind: bitcoin_core, cookie_file: /var/lib/bitcoind/.cookie }
# bitcoin: { kind: median, sources: [{ kind: kraken }, { kind: coinbase }, { kind: bitstamp }] }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstSite:
    """What the operator has answered. None and empty texts are left out of the configuration."""

    site: str
    block: str = ""
    power_price: float | None = None  # USD/kWh
    username: str = ""
    password_file: Path | None = None
    public_sources: bool = True

    def text(self, ranges: Iterable[str]) -> str:
        """Return the YAML file. ``ranges`` are the ranges that were scanned for the rigs of :data:`RIGS_FILE`."""
        scanned = tuple(ranges)
        lines = [
            "# Written by `hashmargin init`. All keys: docs/configuration.md",
            f"site: {_quoted(self.site)}",
            f"state: {{ path: {STATE_FILE} }} # what a restart must not lose",
            "",
            "fleet:",
            f"  csv: [{RIGS_FILE}] # add new rigs: hashmargin scan {' '.join(scanned)} --update {RIGS_FILE}",
            *self._login(scanned),
            *self._defaults(),
            "",
        ]
        if self.power_price is None:
            lines += [
                "# Without a power price, margins are absent.",
                "# tariffs: { power: { kind: fixed, usd_per_kilowatt_hour: 0.05 } }",
            ]
        else:
            price = f"{{ kind: fixed, usd_per_kilowatt_hour: {self.power_price:.10g} }}"
            lines.append(f"tariffs: {{ power: {price} }} # other contracts and markets: docs/sources.md")
        return "\n".join(lines) + "\n" + (_PUBLIC_SOURCES if self.public_sources else _NO_PUBLIC_SOURCES)

    @property
    def _has_login(self) -> bool:
        return bool(self.username) or self.password_file is not None

    def _login(self, scanned: Iterable[str]) -> list[str]:
        if not self._has_login:
            return []
        user = [f"      username: {_quoted(self.username)}"] if self.username else []
        secret = "password: ''" if self.password_file is None else f"password_file: {_quoted(str(self.password_file))}"
        networks = f"      cidr: [{', '.join(scanned)}] # it is sent only to rigs in these networks"
        return ["  logins:", f"    {LOGIN}:", *user, f"      {secret}", networks]

    def _defaults(self) -> list[str]:
        values = {"block": self.block, "login": LOGIN if self._has_login else ""}
        given = [f"    {key}: {_quoted(value)}" for key, value in values.items() if value]
        return ["  defaults:", *given] if given else []


def _quoted(text: str) -> str:
    """Quote a text for YAML, of which JSON's texts are a part."""
    return json.dumps(text, ensure_ascii=False)


class NewFiles:
    """Files that exist only together. A context manager that removes what it has written if the block raises."""

    def __init__(self) -> None:
        self._written: list[Path] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            for path in self._written:
                with suppress(OSError):
                    path.unlink()

    def write(self, path: Path, text: str, *, secret: bool = False) -> None:
        """Write a new file. Raises OSError, FileExistsError if there is one already."""
        path.touch(_OWNER if secret else _EVERYBODY, exist_ok=False)
        self._written.append(path)
        path.write_text(text, encoding="utf-8", newline="")
