"""Stock Antminers: cgminer's API on port 4028, and the web interface with a digest login on port 80.

Port 4028 takes one command per connection. The web interface adds the MAC address, serial numbers, faults, mode and
locate light. It is asked at identification, every :data:`WEB_SECONDS`, and when the rig starts or stops hashing. If
port 4028 is closed, the rig is read from the web interface alone.
"""

import hashlib
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

from exporter.model.failures import Failure, Reason
from exporter.model.fleet import Credentials
from exporter.model.models import known_model
from exporter.model.readings import Board, Fan, Fault, Pool, RigIdentity, RigReading, TunerState
from exporter.sources.rigs import cgminer, coerce
from exporter.sources.rigs.contract import Answer, Firmware, OtherRig, Questions, Recording, Target
from exporter.sources.rigs.faults import worded_fault
from exporter.sources.rigs.transport import rpc
from exporter.sources.rigs.web import DigestSession, digest_realm, visit

WEB_SECONDS: Final = 300.0
_WEB_TIMEOUT: Final = 2.5  # s, of a visit that a read can do without
_RATE: Final = "GHS 5s"
_WINDOW: Final = 5.0  # s, of that
_SYSTEM_PAGE: Final = "/cgi-bin/get_system_info.cgi"
_SUMMARY_PAGE: Final = "/cgi-bin/summary.cgi"
_STATS_PAGE: Final = "/cgi-bin/stats.cgi"
_POOLS_PAGE: Final = "/cgi-bin/pools.cgi"
_TYPE_PAGE: Final = "/cgi-bin/miner_type.cgi"
_LIGHT_PAGE: Final = "/cgi-bin/get_blink_status.cgi"
_PAGES: Final = (_SYSTEM_PAGE, _STATS_PAGE, _SUMMARY_PAGE, _LIGHT_PAGE)
_REALM: Final = "antMiner Configuration"
FACTORY_LOGIN: Final = Credentials("root", "root")
_BITCOIN: Final = re.compile(r"Antminer (?:[STRV]\d|BHB)", re.IGNORECASE)  # pyasic knows the units of other lines
_FOREIGN: Final = ("vnish", "luxminer", "bosminer", "boser", "kaonsu", "braiins")
_BUILDS: Final = {" hiveon": "Hiveon", " pitbit": "PitBit", " ex": "BitFuFu"}  # what they add to the type
_BUILD: Final = re.compile(r" \(([A-Za-z]+)\)$")  # how others add it: "Antminer S21 XP (HashMaster)"
_MSK: Final = re.compile(r" +v\.(\d[\d.]*)$")  # of the type, which has no maker in it: "S19-88 v.2.6.0.39"
_RWGLR: Final = "rwglr"  # in the version of MSK's miner program, and of Hiveon's
_BOS: Final = re.compile(r"braiins-am\d+-(s\d+\w*)", re.IGNORECASE)  # the type, which ends with the hardware
_BOS_RELEASE: Final = re.compile(r"-(\d{8}\S*)$")  # of its miner program: "bOS_am1-s9-20190221-0_572dd48c"
_PSU_WELL: Final = "PSU OK"
_STOCK_KEYS: Final = frozenset({"BMMiner", "CGMiner"})
_MODES: Final = {0: "normal", 1: "sleep"}  # builds disagree on others, which keep their number
_SLEEP: Final = 1
_PORT_CLOSED: Final = frozenset({Reason.REFUSED, Reason.AUTH})
_SENSORS: Final = 4  # of each kind on a board
_WATER_SENSORS: Final = "s21+ hyd"
"""The hydro model for which pyasic lists the board's sensors that are in the water."""


@dataclass(frozen=True, slots=True)
class _WebState:
    """What the web interface reported at one visit."""

    login_refused: bool | None = None
    mode: int | None = None
    fault_light: bool | None = None
    hardware_error_ratio: float | None = None
    faults: tuple[Fault, ...] = ()

    @property
    def suspended(self) -> bool | None:
        """Whether the mode is sleep."""
        return None if self.mode is None else self.mode == _SLEEP

    @property
    def power_mode(self) -> str:
        """The name of the mode; empty if unknown."""
        return "" if self.mode is None else _MODES.get(self.mode, str(self.mode))


_UNVISITED: Final = _WebState()


@dataclass(slots=True)
class _Web:
    """The last visit to a rig's web interface, and the time of the next one (monotonic seconds)."""

    due: float
    state: _WebState = _UNVISITED
    mining: bool | None = None  # at that visit


class Reader:
    """See :class:`exporter.sources.rigs.contract.NativeReader`."""

    name = "antminer"
    firmware = Firmware(
        title="Bitmain stock (S and T series), Hiveon, MSK, bOS of 2019",
        section="Bitmain stock",
        power="`chain_power`, on the builds that have it",
        recorded=(
            Recording("S19 Pro", "2022-12", "asic-rs"),
            Recording("S19", "2023-11", "proto-fleet"),
            Recording("S19-88 No PIC", "MSK 2.6.0.39", "pyasic"),
            Recording("S9", "Hiveon, 2021-07", "public logs"),
            Recording("S7", "3.5.3.0", "public logs"),
            Recording("S9", "bOS, 2019-02-21", "public logs"),
            Recording("S9", "2019-07-31", "foreman-apps"),
            Recording("S9", "Hiveon, 2019-11-20", "foreman-apps"),
            Recording("S9 Pro", "MSK 5.1", "foreman-apps"),
            Recording("S9", "asicseer, 2019-11-11", "foreman-apps"),
            Recording("S9k", "2019-09-29", "foreman-apps"),
            Recording("T15", "2019-12-13", "foreman-apps"),
            Recording("S17+, T17+", "2020-06-02, asleep", "foreman-apps"),
            Recording("S19", "2020-12-11, asleep", "foreman-apps"),
            Recording("S19 Pro", "2020-10, cold and overheated", "foreman-apps"),
            Recording("S19j Pro", "2021-05, in part", "public code"),
            Recording("S19 Pro+", "2023-03, in part", "public code"),
            Recording("S21 Pro", "2025-07, in part", "hi3-hashkit"),
        ),
        documented="keys of S21 Hyd. and web interface, by clients",
        questions=Questions(
            rpc=("version", "stats", "summary", "pools"), pages={80: (*_PAGES, _POOLS_PAGE, _TYPE_PAGE)}
        ),
        pyasic_types=frozenset({"ANTMINER"}),
    )
    probe = staticmethod(cgminer.version)

    def __init__(self) -> None:
        self._web: dict[str, _Web] = {}  # by address
        self._closed: dict[str, float] = {}  # until when port 4028 of an address is not tried again (monotonic s)

    async def second_probe(self, address: str) -> Answer:
        """Ask for the realm of the web interface's login. Raises Failure."""
        return {"realm": await digest_realm(address, _SYSTEM_PAGE)}

    def recognises(self, answer: Answer) -> bool:
        """See :class:`exporter.sources.rigs.contract.NativeReader`."""
        if answer.get("realm") == _REALM:
            return True
        version = coerce.first(answer, "VERSION")
        words = " ".join(map(str, (*version, *version.values()))).lower()
        foreign = any(name in words for name in _FOREIGN) and not _bos(version)
        return not foreign and not _STOCK_KEYS.isdisjoint(version) and _model(version) != ""

    async def identify(self, target: Target) -> RigIdentity:
        """See :class:`exporter.sources.rigs.contract.Reader`."""
        self._closed.pop(target.address, None)
        try:
            version: Mapping[str, Any] = coerce.first(await rpc(target.address, "version"), "VERSION")
        except Failure as failure:
            if failure.reason not in _PORT_CLOSED:
                raise
            return await self._identify_by_web(target)
        model = _model(version)
        if not model and version:
            raise Failure(Reason.UNSUPPORTED, "its type is none that this reader knows")
        pages, refused = await _visit(target, *_PAGES, _TYPE_PAGE)
        return self._identity(target, pages, refused, model, version)

    async def _identify_by_web(self, target: Target) -> RigIdentity:
        session = DigestSession(target.address, target.credentials or FACTORY_LOGIN)
        pages: dict[str, Answer] = {_SYSTEM_PAGE: await session.get_json(_SYSTEM_PAGE)}
        optional, _ = await _visit(target, _STATS_PAGE, _SUMMARY_PAGE, _LIGHT_PAGE, _TYPE_PAGE)
        info = coerce.mapping(optional.get(_STATS_PAGE, {}).get("INFO"))
        model = _model({"Type": pages[_SYSTEM_PAGE].get("minertype")}) or _model({"Type": info.get("type")})
        if not model:
            raise Failure(Reason.UNSUPPORTED, "its web interface names no model that this reader knows")
        return self._identity(target, pages | optional, False, model, info)

    def _identity(
        self, target: Target, pages: Mapping[str, Answer], refused: bool | None, model: str, version: Mapping[str, Any]
    ) -> RigIdentity:
        system, stats = pages.get(_SYSTEM_PAGE, {}), coerce.first(pages.get(_STATS_PAGE, {}), "STATS")
        self._web[target.address] = _Web(_first_visit(target.address), _web_state(pages, refused), _hashes(stats))
        firmware, firmware_version = _firmware(version)
        return RigIdentity(
            reader=self.name,
            make="AntMiner",
            model=model,
            firmware=firmware,
            firmware_version=firmware_version,
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
        closed_until = self._closed.get(target.address)
        if closed_until is None or time.monotonic() >= closed_until:
            try:
                reading = await self._read_by_rpc(target, identity)
            except OtherRig:
                raise
            except Failure as failure:
                if failure.reason not in _PORT_CLOSED:
                    raise
                rejected = failure
            else:
                self._closed.pop(target.address, None)
                return reading
        else:
            rejected = Failure(Reason.REFUSED, "port 4028 was closed and the web interface does not answer")
        try:
            reading = await _read_by_web(target, identity)
        except OtherRig:
            raise
        except Failure as failure:
            self._closed.pop(target.address, None)
            if failure.reason is Reason.AUTH and rejected.reason is Reason.REFUSED:
                raise Failure(Reason.AUTH, "port 4028 is closed, and the web interface rejects the login") from None
            raise rejected from None
        finally:
            del rejected  # it may hold this frame
        self._closed[target.address] = time.monotonic() + WEB_SECONDS
        return reading

    async def _read_by_rpc(self, target: Target, identity: RigIdentity) -> RigReading:
        kind, stats = _kind_and_stats(await cgminer.optional(target.address, "stats"))
        coerce.expect_model(_model(kind), identity.model)
        # Except on some old builds, everything in the summary is in the other two answers as well.
        whole = _RATE in stats
        summary = stats if whole else coerce.first(await rpc(target.address, "summary"), "SUMMARY")
        pools = cgminer.pools(await cgminer.optional(target.address, "pools"))
        if not stats and (by_web := await _attempt_by_web(target, identity)):
            return by_web if by_web.pools else _with_pools(by_web, pools)
        unit = coerce.text(stats.get("rate_unit")) or "GH"
        expected = coerce.hashrate(stats.get("total_rateideal"), unit) or None
        hashrate = coerce.realised(summary.get(_RATE), "GH/s", expected)
        boards, temperatures = _boards(stats, unit, identity.model)
        fans, fans_expected = cgminer.fans(stats)
        mining = hashrate > 0
        boards = boards if mining else cgminer.at_rest(boards)
        seen = (*cgminer.board_faults(boards), *cgminer.fan_faults(fans, fans_expected)) if mining else ()
        web = await self._web_state(target, identity, mining=mining)
        return RigReading(
            hashrate=hashrate,
            hashrate_window=_WINDOW,
            average_hashrate=coerce.hashrate(summary.get("GHS av"), "GH/s"),
            expected_hashrate=expected,
            power=cgminer.power(stats),
            tuner=TunerState.TUNING if coerce.flag(coerce.count(stats.get("tune_running"))) else None,
            mining=mining,
            suspended=web.suspended,
            power_mode=web.power_mode,
            point=web.power_mode,
            fault_light=web.fault_light,
            login_refused=web.login_refused,
            uptime=coerce.seconds(summary.get("Elapsed")),
            accepted_difficulty=pools.accepted_difficulty,
            rejected_difficulty=pools.rejected_difficulty,
            discarded_work=pools.discarded_work,
            best_share=pools.best_share,
            last_share_at=pools.last_share_at,
            hardware_errors=coerce.counter(summary.get("no_matching_work" if whole else "Hardware Errors")),
            hardware_error_ratio=web.hardware_error_ratio
            if "Device Hardware%" not in stats
            else coerce.percentage(stats["Device Hardware%"]),
            temperatures=temperatures,
            fans=fans,
            fans_expected=fans_expected,
            fan_duty=coerce.percentage(stats.get("fan_pwm")),
            boards=boards,
            pools=pools.pools,
            faults=cgminer.merged((*seen, *_supply_faults(stats)), web.faults),
        )

    async def _web_state(self, target: Target, identity: RigIdentity, *, mining: bool) -> _WebState:
        """Return the web interface's state, at most :data:`WEB_SECONDS` old. Raises Failure if another rig answers."""
        web = self._web.get(target.address)
        if web is None:
            web = self._web[target.address] = _Web(_first_visit(target.address))
        now = time.monotonic()
        if now < web.due and (web.mining is None or web.mining is mining):
            return web.state
        # Not asked again at once if this read is cut short.
        web.due, web.mining, web.state = now + WEB_SECONDS, mining, _UNVISITED
        pages, refused = await _visit(target, *_PAGES)
        try:
            coerce.expect_mac(pages.get(_SYSTEM_PAGE, {}).get("macaddr"), identity.mac)
        except Failure:
            web.due = now  # it fails at every read until the rig is identified
            raise
        web.state = _web_state(pages, refused)
        return web.state


# --- port 4028 ------------------------------------------------------------------------------------------------------


def _model(version: Mapping[str, Any]) -> str:
    """Read the model from the type, without what other firmware adds to it; empty if it is no rig of these."""
    kind = coerce.text(version.get("Type"))
    return _named(kind) or (_named(f"Antminer {kind}") if _is_rwglr(version) else "")


@lru_cache(maxsize=4_096)  # each rig names its type at each poll
def _named(kind: str) -> str:
    if bos := _BOS.fullmatch(kind):
        return coerce.bitmain_model(bos[1])
    kind, _ = _built(_MSK.sub("", kind))
    return coerce.bitmain_model(kind) if _BITCOIN.match(kind) else ""


def _built(kind: str) -> tuple[str, str]:
    """Return a type without what the firmware adds to it, and the firmware's name; that is empty if it adds none."""
    if named := _BUILD.search(kind):
        return kind[: named.start()], named[1]
    mark = next((mark for mark in _BUILDS if kind.lower().endswith(mark)), "")
    return kind[: len(kind) - len(mark)], _BUILDS.get(mark, "")


def _bos(version: Mapping[str, Any]) -> re.Match[str] | None:
    """Return the match of bOS's type, whose first group is the hardware; None for other firmware."""
    return _BOS.fullmatch(coerce.text(version.get("Type")))


def _is_rwglr(version: Mapping[str, Any]) -> bool:
    return _RWGLR in coerce.text(version.get("BMMiner"))


def _firmware(version: Mapping[str, Any]) -> tuple[str, str]:
    """Return the firmware's name and version. Both Hiveon and MSK run rwglr's program; MSK does not name itself."""
    if _bos(version):
        release = _BOS_RELEASE.search(coerce.text(version.get("BMMiner")))
        return "bOS", release[1] if release else ""
    kind, compiled = coerce.text(version.get("Type")), coerce.text(version.get("CompileTime"))
    if build := _built(kind)[1]:
        return build, compiled
    release = _MSK.search(kind)
    return ("MSK", release[1] if release else compiled) if _is_rwglr(version) else ("Stock", compiled)


def _supply_faults(stats: Mapping[str, Any]) -> tuple[Fault, ...]:
    """Report MSK's fault of the power supply."""
    state = coerce.text(stats.get("psu_status"), 64)
    return (worded_fault(f"PSU {state}", "psu", state),) if state and state != _PSU_WELL else ()


def _kind_and_stats(answer: Answer) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    rows = coerce.items(answer.get("STATS"))
    for row in rows:
        if "fan_num" in row or "chain_rate1" in row or "Elapsed" in row:
            return rows[0], row
    return rows[0] if rows else {}, {}


def _boards(stats: Mapping[str, Any], unit: str, model: str) -> tuple[tuple[Board, ...], tuple[tuple[str, float], ...]]:
    """Read the boards, and the temperatures of the water that cools them if there is any."""
    known = known_model("AntMiner", model)
    hydro = "hyd" in model.lower()
    boards = cgminer.chains(stats, unit, 0 if hydro or known is None else known.boards)
    if not hydro:
        return boards, ()
    if model.lower().startswith(_WATER_SENSORS):
        return _board_sensors(boards, stats)
    water = [_four(stats, f"temp_chip{board.index + 1}") for board in boards]
    in_water = any(inlet and outlet and rest == [None, None] for inlet, outlet, *rest in water)
    ends = {"inlet": coerce.hottest(four[0] for four in water), "outlet": coerce.hottest(four[1] for four in water)}
    return tuple(_without_spread(board, in_water=in_water) for board in boards), (
        coerce.by_sensor(ends) if in_water else ()
    )


def _without_spread(board: Board, *, in_water: bool) -> Board:
    """Keep the hottest sensor only: which of a hydro board's sensors are in the water is unknown."""
    chip = None if in_water else board.chip_temperature
    chip_min, chip_average = (None, None) if in_water else (board.chip_temperature_min, board.chip_temperature_average)
    return replace(
        board,
        temperature_min=None,
        temperature_average=None,
        chip_temperature=chip,
        chip_temperature_min=chip_min,
        chip_temperature_average=chip_average,
    )


def _board_sensors(
    boards: tuple[Board, ...], stats: Mapping[str, Any]
) -> tuple[tuple[Board, ...], tuple[tuple[str, float], ...]]:
    """Separate the sensors in the water from those on the boards, for the model of which the places are known."""
    pcbs = [(board, _four(stats, f"temp_pcb{board.index + 1}")) for board in boards]
    water = {
        "inlet": coerce.hottest(pcb[0] for _, pcb in pcbs),
        "outlet": coerce.hottest(pcb[2] for _, pcb in pcbs),
    }
    dry = tuple(_dry(board, pcb, _four(stats, f"temp_pic{board.index + 1}")) for board, pcb in pcbs)
    return dry, coerce.by_sensor(water)


def _dry(board: Board, pcb: list[float | None], pic: list[float | None]) -> Board:
    coolest, mean, hottest = coerce.spread((pcb[1], pcb[3], *pic[1:]))
    return replace(
        board,
        temperature=hottest,
        temperature_min=coolest,
        temperature_average=mean,
        chip_temperature=pic[0],
        chip_temperature_min=None,
        chip_temperature_average=None,
    )


def _four(stats: Mapping[str, Any], key: str) -> list[float | None]:
    parts = coerce.text(stats.get(key)).split("-")
    return [coerce.celsius(part) for part in parts] if len(parts) == _SENSORS else [None] * _SENSORS


# --- the web interface ----------------------------------------------------------------------------------------------


def _first_visit(address: str) -> float:
    """Return when to visit for the first time: spread, so that a site's web interfaces are not all asked at once."""
    share = int.from_bytes(hashlib.blake2b(address.encode(), digest_size=4).digest()) / 2**32
    return time.monotonic() + WEB_SECONDS * share


async def _visit(target: Target, *paths: str) -> tuple[dict[str, Answer], bool | None]:
    """Ask for pages behind the digest login, as :func:`exporter.sources.rigs.web.visit` does."""
    session = DigestSession(target.address, target.credentials or FACTORY_LOGIN)
    return await visit(session.get_json, paths, seconds=_WEB_TIMEOUT)


def _web_state(pages: Mapping[str, Answer], refused: bool | None) -> _WebState:
    stats = coerce.first(pages.get(_STATS_PAGE, {}), "STATS")
    return _WebState(
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


def _status_faults(page: Mapping[str, Any]) -> Iterator[Fault]:
    for status in coerce.items(coerce.first(page, "SUMMARY").get("status")):
        if status.get("status") == "s" or "status" not in status:
            continue
        kind, message = coerce.text(status.get("type")), coerce.text(status.get("msg"), 64)
        yield worded_fault(f"{message} {kind}", vendor_code=message or kind)


async def _attempt_by_web(target: Target, identity: RigIdentity) -> RigReading | None:
    """Read a rig whose API has no statistics from its web interface; None if that fails. Raises OtherRig."""
    try:
        return await _read_by_web(target, identity)
    except OtherRig:
        raise
    except Failure:
        return None


def _with_pools(reading: RigReading, pools: cgminer.Pools) -> RigReading:
    """Complete what the web interface provides by the pools of port 4028."""
    return replace(
        reading,
        accepted_difficulty=pools.accepted_difficulty,
        rejected_difficulty=pools.rejected_difficulty,
        discarded_work=pools.discarded_work,
        best_share=reading.best_share or pools.best_share,
        last_share_at=pools.last_share_at,
        pools=pools.pools,
    )


async def _read_by_web(target: Target, identity: RigIdentity) -> RigReading:
    """Read the whole rig from its web interface. Raises Failure."""
    session = DigestSession(target.address, target.credentials or FACTORY_LOGIN)
    system = await session.get_json(_SYSTEM_PAGE)
    coerce.expect_mac(system.get("macaddr"), identity.mac)
    pages = {_STATS_PAGE: await session.get_json(_STATS_PAGE)}
    optional, _ = await _visit(target, _SUMMARY_PAGE, _POOLS_PAGE, _LIGHT_PAGE)
    rows = pages[_STATS_PAGE].get("STATS")
    stats = coerce.first(pages[_STATS_PAGE], "STATS")
    summary = coerce.first(optional.get(_SUMMARY_PAGE, {}), "SUMMARY")
    unit = coerce.text(stats.get("rate_unit")) or "GH/s"
    expected = coerce.hashrate(stats.get("rate_ideal"), unit) or None
    asleep = rows == [] and not summary  # a sleeping rig serves both empty
    hashrate = coerce.realised(0.0 if asleep else stats.get("rate_5s", summary.get("rate_5s")), unit, expected)
    boards = tuple(_web_boards(coerce.items(stats.get("chain")), unit, hydro="hyd" in identity.model.lower()))
    fans = tuple(Fan(index, coerce.rpm(speed)) for index, speed in enumerate(_list(stats.get("fan"))))
    mining = hashrate > 0
    seen = (*cgminer.board_faults(boards), *cgminer.fan_faults(fans)) if mining else ()
    state = _web_state({**pages, **optional}, False)
    pools = coerce.items(optional.get(_POOLS_PAGE, {}).get("POOLS"))
    return RigReading(
        hashrate=hashrate,
        hashrate_window=_WINDOW,
        average_hashrate=coerce.hashrate(stats.get("rate_avg"), unit),
        expected_hashrate=expected,
        power=coerce.watts(coerce.leading_number(stats.get("chain_power"))),
        mining=mining,
        suspended=state.suspended,
        power_mode=state.power_mode,
        point=state.power_mode,
        fault_light=state.fault_light,
        login_refused=False,
        uptime=coerce.seconds(stats.get("elapsed")),
        accepted_difficulty=coerce.total([coerce.counter(pool.get("diffa")) for pool in pools]),
        rejected_difficulty=coerce.total([coerce.counter(pool.get("diffr")) for pool in pools]),
        discarded_work=coerce.total([coerce.counter(pool.get("discarded")) for pool in pools]),
        best_share=coerce.difficulty(summary.get("bestshare")),
        hardware_errors=coerce.counter(summary.get("hw_all")),
        hardware_error_ratio=state.hardware_error_ratio,
        fans=fans,
        fans_expected=coerce.count(stats.get("fan_num"), coerce.MAX_ITEMS),
        boards=boards,
        pools=tuple(_web_pool(index, pool) for index, pool in enumerate(pools) if coerce.text(pool.get("url"))),
        faults=cgminer.merged(seen, state.faults),
    )


def _list(value: object) -> list[object]:
    return value[: coerce.MAX_ITEMS] if isinstance(value, list) else []


def _web_boards(chains: Iterable[Mapping[str, Any]], unit: str, *, hydro: bool) -> Iterator[Board]:
    for position, chain in enumerate(chains):
        pcb, chip = coerce.sensors(chain.get("temp_pcb")), coerce.sensors(chain.get("temp_chip"))
        if hydro:  # which sensors are in the water is unknown
            chip = []
        chips = coerce.count(chain.get("asic_num"))
        yield Board(
            index=coerce.index(chain.get("index"), position),
            hashrate=coerce.hashrate(chain.get("rate_real"), unit),
            expected_hashrate=coerce.hashrate(chain.get("rate_ideal"), unit) or None,
            temperature=coerce.hottest(pcb),
            temperature_min=None if hydro else coerce.coolest(pcb),
            temperature_average=None if hydro else coerce.mean(pcb),
            chip_temperature=coerce.hottest(chip),
            chip_temperature_min=coerce.coolest(chip),
            chip_temperature_average=coerce.mean(chip),
            chips=chips,
            frequency=coerce.megahertz(chain.get("freq_avg")),
            hardware_errors=None if chips == 0 else coerce.counter(chain.get("hw")),  # 0 for an empty slot
        )


def _web_pool(index: int, pool: Mapping[str, Any]) -> Pool:
    scheme, host = coerce.endpoint(pool.get("url"))
    status = pool.get("status")
    return Pool(
        index=index,
        host=host,
        scheme=scheme,
        worker=coerce.text(pool.get("user")),
        up=status == "Alive" if isinstance(status, str) else None,
        difficulty=coerce.difficulty(pool.get("diff")),
        accepted=coerce.counter(pool.get("accepted")),
        rejected=coerce.counter(pool.get("rejected")),
        stale=coerce.counter(pool.get("stale")),
    )
