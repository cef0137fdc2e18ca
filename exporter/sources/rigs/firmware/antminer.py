"""Stock Antminers: cgminer's API on 4028, one command per connection. They report no power.

Hashrate is ``GHS 5s``. The web interface (digest login) knows whose MAC this is, what is wrong, the mode and the
locate light. It is asked when a rig is identified, every :data:`WEB_SECONDS`, and when the rig stops or starts hashing.
"""

import asyncio
import hashlib
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from exporter.model.failures import Failure, Reason
from exporter.model.fleet import Credentials
from exporter.model.readings import Board, Fault, RigIdentity, RigReading
from exporter.sources.rigs import cgminer, coerce
from exporter.sources.rigs.contract import Answer, Firmware, Questions, Target
from exporter.sources.rigs.faults import worded_fault
from exporter.sources.rigs.transport import rpc
from exporter.sources.rigs.web import DigestSession

WEB_SECONDS: Final = 300.0
_WEB_PATIENCE: Final = 2.5
_RATE: Final = "GHS 5s"
_WINDOW: Final = 5.0  # s, of that
_SYSTEM_PAGE: Final = "/cgi-bin/get_system_info.cgi"
_SUMMARY_PAGE: Final = "/cgi-bin/summary.cgi"
_STATS_PAGE: Final = "/cgi-bin/stats.cgi"
_TYPE_PAGE: Final = "/cgi-bin/miner_type.cgi"
_LIGHT_PAGE: Final = "/cgi-bin/get_blink_status.cgi"
_PAGES: Final = (_SYSTEM_PAGE, _STATS_PAGE, _SUMMARY_PAGE, _LIGHT_PAGE)
FACTORY_LOGIN: Final = Credentials("root", "root")
_MODEL: Final = re.compile(r"Antminer [ST]\d", re.IGNORECASE)  # the S and T series mine bitcoin, others do not
_FOREIGN: Final = ("vnish", "hiveon", "luxminer", "bosminer", "boser", "kaonsu", "rwglr")
_STOCK_KEYS: Final = frozenset({"BMMiner", "CGMiner"})
_BOARDS: Final = 3  # of every air-cooled S and T
_MODES: Final = {0: "normal", 1: "sleep"}  # firmware disagrees on others: their number stands for itself
_SLEEP: Final = 1
_PAGE_LOST: Final = frozenset({Reason.AUTH, Reason.GARBLED})  # which costs no other page
_SENSORS: Final = 4  # of each kind on a board
_WATER_SENSORS: Final = "s21+ hyd"
"""The one hydro model of which it is known (from pyasic) which sensors sit in the water, and which on chips."""


@dataclass(frozen=True, slots=True)
class _Said:
    """What the web interface said at one visit."""

    login_refused: bool | None = None
    mode: int | None = None
    fault_light: bool | None = None
    hardware_error_ratio: float | None = None
    faults: tuple[Fault, ...] = ()

    @property
    def suspended(self) -> bool | None:
        """Whether the mode is to sleep."""
        return None if self.mode is None else self.mode == _SLEEP

    @property
    def power_mode(self) -> str:
        """The word for the mode; empty where it is unknown."""
        return "" if self.mode is None else _MODES.get(self.mode, str(self.mode))


_NOTHING: Final = _Said()


@dataclass(slots=True)
class _Web:
    """What the web interface of one rig said last, and when it is to be asked again (monotonic seconds)."""

    due: float
    said: _Said = _NOTHING
    mining: bool | None = None  # what the rig did then


class Reader:
    """See :class:`exporter.sources.rigs.contract.NativeReader`."""

    name = "antminer"
    firmware = Firmware(
        title="Bitmain stock (S and T series)",
        section="Bitmain stock",
        power="none",
        questions=Questions(
            rpc=("version", "stats", "summary", "pools"),
            pages={80: (*_PAGES, _TYPE_PAGE)},
        ),
        pyasic_types=frozenset({"ANTMINER"}),
    )
    probe = staticmethod(cgminer.version)

    def __init__(self) -> None:
        self._web: dict[str, _Web] = {}

    def recognises(self, answer: Answer) -> bool:
        """See :class:`exporter.sources.rigs.contract.NativeReader`."""
        version = coerce.first(answer, "VERSION")
        said = " ".join(map(str, (*version, *version.values()))).lower()
        stock = not _STOCK_KEYS.isdisjoint(version) and not any(name in said for name in _FOREIGN)
        return stock and _model(version) != ""

    async def identify(self, target: Target) -> RigIdentity:
        """See :class:`exporter.sources.rigs.contract.Reader`."""
        version = coerce.first(await rpc(target.address, "version"), "VERSION")
        pages, refused = await _visit(target, *_PAGES, _TYPE_PAGE)
        system, stats = pages.get(_SYSTEM_PAGE, {}), coerce.first(pages.get(_STATS_PAGE, {}), "STATS")
        self._web[target.address] = _Web(_first_visit(target.address), _said(pages, refused), _hashes(stats))
        return RigIdentity(
            reader=self.name,
            make="AntMiner",
            model=_model(version),
            firmware="Stock",
            firmware_version=coerce.text(version.get("CompileTime")),
            mac=coerce.mac(system.get("macaddr")),
            serial=coerce.text(system.get("serinum")) or coerce.text(system.get("serial_no")),
            hostname=coerce.text(system.get("hostname")),
            api_version=coerce.text(version.get("API")),
            control_board=coerce.text(pages.get(_TYPE_PAGE, {}).get("subtype")).partition("_")[0],
            board_serials=tuple(_serials(coerce.items(stats.get("chain")))),
        )

    async def page(self, target: Target, path: str) -> object:
        """Ask for a page behind the digest login. Raises Failure."""
        return await DigestSession(target.address, target.credentials or FACTORY_LOGIN).get_json(path)

    async def read(self, target: Target, identity: RigIdentity) -> RigReading:
        """See :class:`exporter.sources.rigs.contract.Reader`."""
        kind, stats = _kind_and_stats(await cgminer.optional(target.address, "stats"))
        coerce.expect_model(_model(kind), identity.model)
        # All that a summary says stands in the other two as well, on every build but some old ones.
        whole = _RATE in stats
        summary = stats if whole else coerce.first(await rpc(target.address, "summary"), "SUMMARY")
        pools = await cgminer.optional(target.address, "pools")
        unit = coerce.text(stats.get("rate_unit")) or "GH"
        expected = coerce.hashrate(stats.get("total_rateideal"), unit) or None
        hashrate = coerce.realised(summary.get(_RATE), "GH/s", expected)
        hydro = "hyd" in identity.model.lower()
        boards = cgminer.chains(stats, unit, 0 if hydro else _BOARDS)
        boards, temperatures = _cooled(boards, stats, identity.model) if hydro else (boards, ())
        fans, fans_expected = cgminer.fans(stats)
        mining = hashrate > 0
        seen = (*cgminer.board_faults(boards), *cgminer.fan_faults(fans)) if mining else ()
        web = await self._web_says(target, identity, mining=mining)
        return RigReading(
            hashrate=hashrate,
            hashrate_window=_WINDOW,
            average_hashrate=coerce.hashrate(summary.get("GHS av"), "GH/s"),
            expected_hashrate=expected,
            mining=mining,
            suspended=web.suspended,
            power_mode=web.power_mode,
            fault_light=web.fault_light,
            login_refused=web.login_refused,
            uptime=coerce.seconds(summary.get("Elapsed")),
            accepted_difficulty=cgminer.accepted_difficulty(pools),
            rejected_difficulty=cgminer.rejected_difficulty(pools),
            discarded_work=cgminer.discarded_work(pools),
            best_share=cgminer.best_share(pools),
            last_share_at=cgminer.last_share(pools),
            hardware_errors=coerce.counter(summary.get("no_matching_work" if whole else "Hardware Errors")),
            hardware_error_ratio=web.hardware_error_ratio,
            temperatures=temperatures,
            fans=fans,
            fans_expected=fans_expected,
            fan_duty=coerce.percentage(stats.get("fan_pwm")),
            boards=boards,
            pools=cgminer.pools(pools),
            faults=cgminer.merged(seen, web.faults),
        )

    async def _web_says(self, target: Target, identity: RigIdentity, *, mining: bool) -> _Said:
        """Give what the web interface said within :data:`WEB_SECONDS`. Raises Failure where another rig answers."""
        web = self._web.get(target.address)
        if web is None:
            web = self._web[target.address] = _Web(_first_visit(target.address))
        now = time.monotonic()
        if now < web.due and (web.mining is None or web.mining is mining):
            return web.said
        # Not asked again at once where this read is cut short.
        web.due, web.mining, web.said = now + WEB_SECONDS, mining, _NOTHING
        pages, refused = await _visit(target, *_PAGES)
        try:
            coerce.expect_mac(pages.get(_SYSTEM_PAGE, {}).get("macaddr"), identity.mac)
        except Failure:
            web.due = now  # it is refused at every read until it is identified
            raise
        web.said = _said(pages, refused)
        return web.said


def _first_visit(address: str) -> float:
    """Spread: a site must not be asked for all its web pages in its first round."""
    share = int.from_bytes(hashlib.blake2b(address.encode(), digest_size=4).digest()) / 2**32
    return time.monotonic() + WEB_SECONDS * share


async def _visit(target: Target, *paths: str) -> tuple[dict[str, Answer], bool | None]:
    """Ask for pages that a read can do without: a slow or absent web interface must not cost it.

    Returns:
        The pages that came, and whether the login was refused; None where nothing answered it.
    """
    session = DigestSession(target.address, target.credentials or FACTORY_LOGIN)
    pages: dict[str, Answer] = {}
    with suppress(TimeoutError):
        async with asyncio.timeout(_WEB_PATIENCE):
            for path in paths:
                try:
                    pages[path] = await session.get_json(path)
                except Failure as failure:
                    if failure.reason is Reason.AUTH and not pages:
                        return {}, True
                    if failure.reason not in _PAGE_LOST:
                        break
    return pages, False if pages else None


def _said(pages: Mapping[str, Answer], refused: bool | None) -> _Said:
    stats = coerce.first(pages.get(_STATS_PAGE, {}), "STATS")
    return _Said(
        login_refused=refused,
        mode=coerce.count(stats.get("miner-mode")),
        fault_light=coerce.flag(pages.get(_LIGHT_PAGE, {}).get("blink")),
        hardware_error_ratio=coerce.percentage(stats.get("hwp_total")),
        faults=tuple(_status_faults(pages.get(_SUMMARY_PAGE, {}))),
    )


def _hashes(stats: Mapping[str, Any]) -> bool | None:
    rate = coerce.counter(stats.get("rate_5s"))
    return None if rate is None else rate > 0


def _serials(chains: Iterable[Mapping[str, Any]]) -> Iterator[tuple[int, str]]:
    for chain in chains:
        index, serial = coerce.count(chain.get("index"), coerce.MAX_ITEMS), coerce.text(chain.get("sn"), 64)
        if index is not None and serial:
            yield index, serial


def _cooled(
    boards: tuple[Board, ...], stats: Mapping[str, Any], model: str
) -> tuple[tuple[Board, ...], tuple[tuple[str, float], ...]]:
    """Tell the sensors in the water of a hydro model from those on its boards, where that is known."""
    if not model.lower().startswith(_WATER_SENSORS):
        return tuple(replace(board, temperature_min=None, temperature_average=None) for board in boards), ()
    told = [(board, _four(stats, f"temp_pcb{board.index + 1}")) for board in boards]
    water = {
        "inlet": coerce.hottest(pcb[0] for _, pcb in told),
        "outlet": coerce.hottest(pcb[2] for _, pcb in told),
    }
    dry = tuple(_dry(board, pcb, _four(stats, f"temp_pic{board.index + 1}")) for board, pcb in told)
    return dry, coerce.by_sensor(water)


def _dry(board: Board, pcb: list[float | None], pic: list[float | None]) -> Board:
    own = (pcb[1], pcb[3], *pic[1:])
    return replace(
        board,
        temperature=coerce.hottest(own),
        temperature_min=coerce.coolest(own),
        temperature_average=coerce.mean(own),
        chip_temperature=pic[0],
        chip_temperature_min=None,
        chip_temperature_average=None,
    )


def _four(stats: Mapping[str, Any], key: str) -> list[float | None]:
    parts = coerce.text(stats.get(key)).split("-")
    return [coerce.celsius(part) for part in parts] if len(parts) == _SENSORS else [None] * _SENSORS


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
