"""Stock Antminers: cgminer's API on 4028, one command per connection. They report no power.

Hashrate is ``GHS 5s``. The web interface (digest login) says what is wrong and whose MAC this is; it is asked every
:data:`WEB_SECONDS` only.
"""

import asyncio
import hashlib
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from exporter.failures import Failure
from exporter.fleet import Credentials
from exporter.readings import Fault, RigIdentity, RigReading
from exporter.sources.miners import cgminer, coerce
from exporter.sources.miners.contract import Answer, Target
from exporter.sources.miners.faults import worded_fault
from exporter.sources.miners.transport import rpc
from exporter.sources.miners.web import DigestSession

WEB_SECONDS: Final = 300.0
_WEB_PATIENCE: Final = 1.5
_RATE: Final = "GHS 5s"
_SUMMARY_PAGE: Final = "/cgi-bin/summary.cgi"
_SYSTEM_PAGE: Final = "/cgi-bin/get_system_info.cgi"
_FACTORY_LOGIN: Final = Credentials("root", "root")
_MODEL: Final = re.compile(r"Antminer [ST]\d", re.IGNORECASE)  # the S and T series mine bitcoin, others do not
_FOREIGN: Final = ("vnish", "hiveon", "luxminer", "bosminer", "boser", "kaonsu", "rwglr")
_STOCK_KEYS: Final = frozenset({"BMMiner", "CGMiner"})
_BOARDS: Final = 3  # of every air-cooled S and T


@dataclass(slots=True)
class _Web:
    """What the web interface said, and when it is to be asked again (monotonic seconds)."""

    due: float
    faults: tuple[Fault, ...] = ()


class Reader:
    """See :class:`exporter.sources.miners.contract.NativeReader`."""

    name = "antminer"
    probe = staticmethod(cgminer.version)

    def __init__(self) -> None:
        self._web: dict[str, _Web] = {}

    def recognises(self, answer: Answer) -> bool:
        """See :class:`exporter.sources.miners.contract.NativeReader`."""
        version = coerce.first(answer, "VERSION")
        said = " ".join(map(str, (*version, *version.values()))).lower()
        stock = not _STOCK_KEYS.isdisjoint(version) and not any(name in said for name in _FOREIGN)
        return stock and _model(version) != ""

    async def identify(self, target: Target) -> RigIdentity:
        """See :class:`exporter.sources.miners.contract.Reader`."""
        version = coerce.first(await rpc(target.address, "version"), "VERSION")
        system = await _page(_session(target), _SYSTEM_PAGE)
        return RigIdentity(
            reader=self.name,
            make="AntMiner",
            model=_model(version),
            firmware="Stock",
            firmware_version=coerce.text(version.get("CompileTime")),
            mac=coerce.mac(system.get("macaddr")),
            serial=coerce.text(system.get("serinum")),
            hostname=coerce.text(system.get("hostname")),
        )

    async def read(self, target: Target, identity: RigIdentity) -> RigReading:
        """See :class:`exporter.sources.miners.contract.Reader`."""
        kind, stats = _kind_and_stats(await cgminer.optional(target.address, "stats"))
        coerce.expect_model(_model(kind), identity.model)
        # All that a summary says stands in the other two as well, on every build but some old ones.
        whole = _RATE in stats
        summary = stats if whole else coerce.first(await rpc(target.address, "summary"), "SUMMARY")
        pools = await cgminer.optional(target.address, "pools")
        unit = coerce.text(stats.get("rate_unit")) or "GH"
        expected = coerce.hashrate(stats.get("total_rateideal"), unit) or None
        hashrate = coerce.realised(summary.get(_RATE), "GH/s", expected)
        boards = cgminer.chains(stats, unit, 0 if "hyd" in identity.model.lower() else _BOARDS)
        fans, fans_expected = cgminer.fans(stats)
        seen = (*cgminer.board_faults(boards), *cgminer.fan_faults(fans)) if hashrate > 0 else ()
        return RigReading(
            hashrate=hashrate,
            expected_hashrate=expected,
            mining=hashrate > 0,
            uptime=coerce.seconds(summary.get("Elapsed")),
            accepted_difficulty=cgminer.accepted_difficulty(pools),
            last_share_at=cgminer.last_share(pools),
            hardware_errors=coerce.counter(summary.get("no_matching_work" if whole else "Hardware Errors")),
            fans=fans,
            fans_expected=fans_expected,
            boards=boards,
            pools=cgminer.pools(pools),
            faults=cgminer.merged(seen, await self._web_faults(target, identity)),
        )

    async def _web_faults(self, target: Target, identity: RigIdentity) -> tuple[Fault, ...]:
        """Give what the web interface said within :data:`WEB_SECONDS`. Raises Failure where another rig answers."""
        now = time.monotonic()
        web = self._web.get(target.address)
        if web is None:  # spread: a site must not be asked for all its web pages in its first round
            web = self._web[target.address] = _Web(now + WEB_SECONDS * _spread(target.address))
        if now < web.due:
            return web.faults
        web.faults = ()
        session = _session(target)
        with suppress(TimeoutError):  # a slow web interface must not cost the reading
            async with asyncio.timeout(_WEB_PATIENCE):
                # Another rig stays due: it is refused at every read until it is identified.
                coerce.expect_mac((await _page(session, _SYSTEM_PAGE)).get("macaddr"), identity.mac)
                web.faults = tuple(_status_faults(await _page(session, _SUMMARY_PAGE)))
        web.due = now + WEB_SECONDS
        return web.faults


def _spread(address: str) -> float:
    return int.from_bytes(hashlib.blake2b(address.encode(), digest_size=4).digest()) / 2**32


def _session(target: Target) -> DigestSession:
    return DigestSession(target.address, target.credentials or _FACTORY_LOGIN)


async def _page(session: DigestSession, path: str) -> Mapping[str, Any]:
    """Ask for a page that the read can do without: empty where it cannot be had."""
    try:
        return await session.get_json(path)
    except Failure:
        return {}


def _model(version: Mapping[str, Any]) -> str:
    kind = coerce.text(version.get("Type"))
    return coerce.bitmain_model(kind) if _MODEL.match(kind) else ""


def _kind_and_stats(answer: Answer) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    rows = coerce.items(answer.get("STATS"))
    kind = rows[0] if rows else {}
    return kind, next((row for row in rows if "fan_num" in row or "chain_rate1" in row or "Elapsed" in row), {})


def _status_faults(page: Mapping[str, Any]) -> Iterator[Fault]:
    for status in coerce.items(coerce.first(page, "SUMMARY").get("status")):
        if status.get("status") == "s" or "status" not in status:
            continue
        kind, message = coerce.text(status.get("type")), coerce.text(status.get("msg"), 64)
        yield worded_fault(f"{message} {kind}", vendor_code=message or kind)
