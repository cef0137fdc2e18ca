"""VNish (AnthillOS) on Antminers: pages of JSON on port 80, and what is left of cgminer's API on port 4028.

Hashrate is ``hr_realtime``, over an unknown window; power is the firmware's ``power_consumption``. What changes seldom
is asked for every :data:`SLOW_SECONDS`, or :data:`TUNING_SECONDS` while the rig tunes itself, and at once if the rig's
state or, except while it tunes itself, its clocks are other ones. Releases whose state has no time show by their shares
that they were not started again since. Some releases want a login for the summary: the rig
is then read from the open pages and port 4028. If port 80 is closed, port 4028 is used alone. Power is then the sum of
the boards', which older releases do not have.
"""

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from exporter.model.failures import Failure, Reason
from exporter.model.fault_codes import FaultCode
from exporter.model.models import UNKNOWN_ALGORITHM
from exporter.model.points import Point, PointList
from exporter.model.readings import Board, Fan, Fault, Pool, PowerSupply, RigIdentity, RigReading, TunerState
from exporter.sources.rigs import cgminer, coerce
from exporter.sources.rigs.contract import Answer, Firmware, Questions, Recording, Target
from exporter.sources.rigs.faults import fault, lost_boards, worded_fault
from exporter.sources.rigs.transport import OtherPage, optional
from exporter.sources.rigs.web import get_json, get_value

SLOW_SECONDS: Final = 300.0
TUNING_SECONDS: Final = 120.0
_STATE_SLACK: Final = 10.0  # s by which the rig's time in a state may differ from ours
_INFO: Final = "/api/v1/info"
_SUMMARY: Final = "/api/v1/summary"
_STATUS: Final = "/api/v1/status"
_PRESET: Final = "/api/v1/perf-summary"
_FACTORY: Final = "/api/v1/chains/factory-info"
_PRESETS: Final = "/api/v1/autotune/presets"
_MODEL: Final = "/api/v1/model"
_MOST_PRESETS: Final = 64
_TYPE: Final = re.compile(r"(.+?) *\(vnish *([^()]*)\)", re.IGNORECASE)  # of ``version``
_RPC_RATE: Final = "GHS 5s"
_OWN_POOLS: Final = "DevFee"
_USER_POOL: Final = "UserPool"  # others are the maker's: DevFee, Refund
_POOL_STATES: Final = {"active": (True, True), "working": (True, False), "offline": (False, False)}  # up, active
_TUNING: Final = "auto-tuning"
_MINING: Final = "mining"
_STOPPED: Final = "stopped"
_RUNNING: Final = frozenset({_MINING, "initializing", "starting", "restarting", _TUNING})
_UNTUNED: Final = "disabled"  # the preset that sets clock and voltage by hand
_PRESET_WATTS: Final = re.compile(r"(\d+) ?(?:watts?|W)\b")  # "2800 watt ~ 188 TH"
_PRESET_HASHRATE: Final = re.compile(r"~ ?(\d+(?:\.\d+)?) ?([MGTP])H")
_UPTIME: Final = re.compile(r"(?:(\d+) days?,? *)?(\d+):(\d\d)|(\d+) min")  # "1 days, 17:02", "1:55"
_SCHEME: Final = "stratum+tcp"  # of addresses without one, as VNish writes them
_WATER: Final = {"inlet": "inlet_water_temp", "outlet": "outlet_water_temp"}


async def _info(address: str) -> Answer:
    return await get_json(address, _INFO)


class _Now(NamedTuple):
    """What shows at each read whether what is asked seldom may be different."""

    at: float  # monotonic s
    state: str
    state_time: float | None  # s
    shares: float | None  # accepted since the miner process started, by the owner's pools
    expected: float | None  # H/s


@dataclass(slots=True)
class _Slow:
    """The answers to what is asked seldom, and the summary of that time."""

    asked: _Now
    shares: float | None  # of the latest read
    status: Answer
    preset: Mapping[str, Any]
    elapsed: float | None  # s
    rejected_difficulty: float | None
    last_share_at: float | None  # unix seconds

    def holds(self, now: _Now) -> bool:
        """Return whether the rig has mined or tuned itself since then, at the clocks of then, and not for too long."""
        if self.elapsed is None or now.state != self.asked.state or not self._runs_on(now):
            return False
        if now.state == _TUNING:  # which is to try other clocks
            return now.at - self.asked.at < TUNING_SECONDS
        return now.state == _MINING and now.expected == self.asked.expected and now.at - self.asked.at < SLOW_SECONDS

    def _runs_on(self, now: _Now) -> bool:
        """Return whether the rig is in its state since then: by its time in it, or else because no share is lost."""
        if now.state_time is not None and self.asked.state_time is not None:
            passed = now.at - self.asked.at
            return abs(now.state_time - self.asked.state_time - passed) <= _STATE_SLACK
        before, self.shares = self.shares, now.shares
        neither = now.state_time is None and self.asked.state_time is None
        return neither and before is not None and now.shares is not None and now.shares >= before

    def uptime(self, now: _Now) -> float | None:
        """Return how long the miner process runs: since then its time in its state has grown by as much."""
        if self.elapsed is None:
            return None
        if now.state_time is None or self.asked.state_time is None:
            return self.elapsed + (now.at - self.asked.at)
        return self.elapsed + (now.state_time - self.asked.state_time)


class Reader:
    """See :class:`exporter.sources.rigs.contract.NativeReader`."""

    name = "vnish"
    firmware = Firmware(
        title="VNish",
        section="VNish",
        power="reported; an estimate on most power supplies",
        recorded=(
            Recording("S21 Pro", "1.2.7", "proto-fleet"),
            Recording("S19 XP", "1.2.0-rc1", "public logs"),
            Recording("S9", "3.8.6", "foreman-apps"),
            Recording("S19j Pro", "1.2.0-rc3", "public tests"),
            Recording("S19", "1.2.6, failed to start", "public documents"),
            Recording("S21 Pro", "1.3.4, in part", "hi3-hashkit"),
            Recording("S21+ Hyd.", "1.2.8, in part", "public tests"),
            Recording("S19k Pro", "1.3.3, in part", "public tests"),
            Recording("S19 (88)", "1.2.6, immersion", "hass-miner"),
            Recording("S19j Pro", "1.2.0-rc5, immersion", "public code"),
        ),
        documented="API 1.2.6 to 1.3.4 (VNish)",
        questions=Questions(
            rpc=("version", "summary", "stats", "pools"),
            pages={80: (_INFO, _SUMMARY, _STATUS, _PRESET, _FACTORY, _PRESETS, _MODEL)},
        ),
        pyasic_types=frozenset({"VNISH"}),
    )
    probe = staticmethod(_info)

    def __init__(self) -> None:
        self._slow: dict[str, _Slow] = {}  # by address

    async def second_probe(self, address: str) -> Answer:
        """Ask for the type on port 4028, for rigs whose port 80 is closed. Raises Failure."""
        try:
            return await _ask_type(address)
        except OtherPage as page:  # the first probe has seen that web server: one is no evidence of a second
            raise Failure(page.reason, page.detail) from None

    def recognises(self, answer: Answer) -> bool:
        """See :class:`exporter.sources.rigs.contract.NativeReader`."""
        if _type(answer) is not None:
            return True
        bitcoin = coerce.text(answer.get("algorithm")).lower() in ("", "sha256", "sha256d", UNKNOWN_ALGORITHM)
        return bitcoin and coerce.text(answer.get("fw_name")).lower() in ("vnish", "anthillos")

    async def identify(self, target: Target) -> RigIdentity:
        """See :class:`exporter.sources.rigs.contract.Reader`."""
        self._slow.pop(target.address, None)
        try:
            info = await _info(target.address)
        except Failure as failure:
            if not _has_no_api(failure):
                raise
            kind = _type(await _ask_type(target.address))
            if kind is None:
                raise
            return RigIdentity(
                reader=self.name,
                make="AntMiner",
                model=coerce.bitmain_model(kind[1]),
                firmware="VNish",
                firmware_version=coerce.text(kind[2]),
            )
        factory = await optional(get_json(target.address, _FACTORY))
        network = coerce.mapping(coerce.mapping(info.get("system")).get("network_status"))
        return RigIdentity(
            reader=self.name,
            make="AntMiner",
            model=coerce.bitmain_model(info.get("miner")),
            firmware="VNish",
            algorithm=_algorithm(info),
            firmware_version=coerce.text(info.get("fw_version")),
            mac=coerce.mac(network.get("mac")),
            serial=_serial(info.get("serial")),
            hostname=coerce.text(network.get("hostname")),
            control_board=coerce.text(info.get("platform"), 64),
            power_supply_model=coerce.text(factory.get("psu_model"), 64),
            power_supply_serial=_serial(factory.get("psu_serial")),
            board_serials=tuple(_serials(coerce.items(factory.get("chains")))),
            rated_hashrate=coerce.hashrate(factory.get("hr_stock"), "GH/s") or None,
        )

    async def read(self, target: Target, identity: RigIdentity) -> RigReading:
        """See :class:`exporter.sources.rigs.contract.Reader`."""
        address = target.address
        try:
            page = await get_json(address, _SUMMARY)
        except Failure as failure:
            if failure.reason is Reason.AUTH and identity.mac:
                return await _read_without_login(address, identity, failure)
            if _has_no_api(failure):
                return await _read_by_rpc(address, identity, failure, {}, {}, {})
            raise
        miner = coerce.mapping(page.get("miner"))
        coerce.expect_model(coerce.bitmain_model(miner.get("miner_type")), identity.model)
        system = coerce.mapping((await optional(_info(address))).get("system"))
        coerce.expect_mac(coerce.mapping(system.get("network_status")).get("mac"), identity.mac)
        expected = coerce.hashrate(miner.get("hr_nominal"), "GH/s") or None
        in_state = coerce.mapping(miner.get("miner_status"))
        state, state_time = coerce.text(in_state.get("miner_state")), coerce.seconds(in_state.get("miner_state_time"))
        own = [row for row in coerce.items(miner.get("pools")) if row.get("pool_type", _USER_POOL) == _USER_POOL]
        pools = tuple(_pool(index, row) for index, row in enumerate(own))
        shares = coerce.total([pool.accepted for pool in pools])
        now = _Now(time.monotonic(), state, state_time, shares, expected)
        slow = await self._slowly(address, now)
        preset = slow.preset
        stopped = state in (_STOPPED, "failure")
        old = "hr_realtime" not in miner and "instant_hashrate" in miner  # releases that have the others mean the same
        rate = miner["instant_hashrate"] if old else miner.get("hr_realtime", 0.0 if stopped else None)
        average = miner.get("average_hashrate" if old else "hr_average")
        unit = "TH/s" if old else "GH/s"
        hashrate = coerce.realised(rate, unit, expected)
        cooling = coerce.mapping(miner.get("cooling"))
        fans, chains = coerce.items(cooling.get("fans")), coerce.items(miner.get("chains"))
        boards = tuple(_board(_index(position, row), row) for position, row in enumerate(chains))
        return RigReading(
            hashrate=hashrate,
            average_hashrate=coerce.hashrate(average, unit),
            expected_hashrate=expected,
            power=coerce.watts(miner.get("power_consumption")),
            power_target=_power_target(preset),
            power_supply=_power_supply(coerce.mapping(miner.get("psu"))),
            mining=hashrate > 0,
            suspended=True if state == _STOPPED else False if state in _RUNNING else None,
            power_mode=coerce.text(preset.get("name"), 64),
            point=_in_force(preset, slow.status),
            tuner=_tuner(state, preset),
            fault_light=coerce.flag(slow.status.get("find_miner")),
            uptime=slow.uptime(now),
            system_uptime=_uptime(system.get("uptime")),
            firmware_fee=coerce.percentage(miner.get("devfee_percent")),
            accepted_difficulty=coerce.total([coerce.counter(row.get("diffa")) for row in own]),
            rejected_difficulty=slow.rejected_difficulty,
            best_share=coerce.difficulty(miner.get("best_share")),
            last_share_at=_last_share(own) or slow.last_share_at,
            hardware_errors=coerce.counter(miner.get("hw_errors")),
            hardware_error_ratio=coerce.percentage(miner.get("hw_errors_percent")),
            temperatures=coerce.by_sensor(_water(chains)),
            fans=tuple(_fan(index, row) for index, row in enumerate(fans)),
            fans_expected=coerce.count(cooling.get("fan_num"), coerce.MAX_ITEMS),
            fan_duty=coerce.percentage(cooling.get("fan_duty")),
            boards=boards,
            pools=pools,
            faults=(*lost_boards(identity, boards), *_faults(miner, chains, () if _immersed(cooling) else fans)),
        )

    async def _slowly(self, address: str, now: _Now) -> _Slow:
        """Return what is asked seldom: it is not worth four questions at each read."""
        slow = self._slow.get(address)
        if slow is None or not slow.holds(now):
            summary = coerce.first(await cgminer.optional(address, "summary"), "SUMMARY")
            shares = cgminer.pools(_without_fee(await cgminer.optional(address, "pools")))
            slow = self._slow[address] = _Slow(
                asked=now,
                shares=now.shares,
                status=await optional(get_json(address, _STATUS)),
                preset=coerce.mapping((await optional(get_json(address, _PRESET))).get("current_preset")),
                elapsed=coerce.seconds(summary.get("Elapsed")),
                rejected_difficulty=shares.rejected_difficulty,
                last_share_at=shares.last_share_at,
            )
        return slow

    async def points(self, target: Target, identity: RigIdentity) -> PointList:  # noqa: ARG002 - none is of a model only
        """See :class:`exporter.sources.rigs.contract.ListsPoints`."""
        rows = coerce.items(await get_value(target.address, _PRESETS), _MOST_PRESETS)
        switcher = coerce.mapping((await optional(get_json(target.address, _PRESET))).get("preset_switcher"))
        model = await optional(get_json(target.address, _MODEL))
        known = [point for row in rows if (point := _listed(row)) is not None]
        if coerce.flag(switcher.get("enabled")):
            known = _within(known, switcher)
        return PointList(points=tuple(known), power_limit=coerce.watts(model.get("max_power_limit")) or None)


async def _read_without_login(address: str, identity: RigIdentity, refusal: Failure) -> RigReading:
    """Read what needs no login. Raises ``refusal`` if port 4028 has no hashrate, and OtherRig."""
    system = coerce.mapping((await optional(_info(address))).get("system"))
    coerce.expect_mac(coerce.mapping(system.get("network_status")).get("mac"), identity.mac)
    status = await optional(get_json(address, _STATUS))
    preset = coerce.mapping((await optional(get_json(address, _PRESET))).get("current_preset"))
    reading = await _read_by_rpc(address, identity, refusal, system, status, preset)
    return replace(reading, login_refused=True)


async def _read_by_rpc(
    address: str,
    identity: RigIdentity,
    rejected: Failure,
    system: Mapping[str, Any],
    status: Mapping[str, Any],
    preset: Mapping[str, Any],
) -> RigReading:
    """Read port 4028, beside what is known of the open pages. Raises ``rejected`` if it has no hashrate."""
    rows = coerce.items((await cgminer.optional(address, "stats")).get("STATS"))
    stats = rows[-1] if rows else {}
    summary = coerce.first(await cgminer.optional(address, "summary"), "SUMMARY") or stats
    if _RPC_RATE not in summary:
        raise Failure(rejected.reason, rejected.detail)  # a new one: it will hold this frame, which holds the other
    kind = _TYPE.match(coerce.text(rows[0].get("Type"))) if rows else None
    if kind is not None:
        coerce.expect_model(coerce.bitmain_model(kind[1]), identity.model)
    shares = cgminer.pools(_without_fee(await cgminer.optional(address, "pools")))
    unit = coerce.text(stats.get("rate_unit")) or "GH"
    expected = coerce.hashrate(stats.get("total_rateideal"), unit) or None
    hashrate = coerce.realised(summary.get(_RPC_RATE), "GH/s", expected)
    boards, (fans, fans_expected) = cgminer.chains(stats, unit, 0), cgminer.fans(stats)
    boards = boards if hashrate > 0 else cgminer.at_rest(boards)
    state = coerce.text(status.get("miner_state")) or coerce.text(stats.get("state"))
    return RigReading(
        hashrate=hashrate,
        hashrate_window=5.0,
        average_hashrate=coerce.hashrate(summary.get("GHS av"), "GH/s"),
        expected_hashrate=expected,
        power=coerce.total([board.power for board in boards]),
        power_target=_power_target(preset),
        mining=hashrate > 0,
        suspended=True if state == _STOPPED else False if state in _RUNNING else None,
        power_mode=coerce.text(preset.get("name"), 64),
        point=_in_force(preset, status),
        tuner=_tuner(state, preset),
        fault_light=coerce.flag(status.get("find_miner")),
        firmware_fee=coerce.percentage(summary.get("Fee Percent")),
        uptime=coerce.seconds(summary.get("Elapsed")),
        system_uptime=_uptime(system.get("uptime")),
        accepted_difficulty=shares.accepted_difficulty,
        rejected_difficulty=shares.rejected_difficulty,
        last_share_at=shares.last_share_at,
        best_share=coerce.difficulty(summary.get("Best Share")),
        hardware_errors=coerce.counter(summary.get("Hardware Errors")),
        fans=fans,
        fans_expected=fans_expected,
        fan_duty=coerce.percentage(stats.get("fan_pwm")),
        boards=boards,
        pools=tuple(replace(pool, scheme=pool.scheme or _SCHEME) for pool in shares.pools),
        faults=(*lost_boards(identity, boards), *(cgminer.board_faults(boards) if hashrate > 0 else ())),
    )


def _has_no_api(failure: Failure) -> bool:
    """Return whether port 80 is closed, or has the pages of releases up to 3.9: only port 4028 is left to read."""
    return failure.reason in (Reason.REFUSED, Reason.AUTH) or isinstance(failure, OtherPage)


async def _ask_type(address: str) -> Answer:
    """Return the answer that has the type: to ``version``, or to ``stats`` on builds without it. Raises Failure."""
    version = await cgminer.version(address)
    return version if "VERSION" in version else await cgminer.optional(address, "stats")


def _type(answer: Answer) -> re.Match[str] | None:
    """Return the model and the release in the type that ``version`` or ``stats`` has; None for other firmware."""
    row = coerce.first(answer, "VERSION") or coerce.first(answer, "STATS")
    return _TYPE.match(coerce.text(row.get("Type")))


def _algorithm(info: Answer) -> str:
    name = coerce.text(info.get("algorithm"), 32)
    return "" if name.lower() == UNKNOWN_ALGORITHM else name


def _index(position: int, chain: Mapping[str, Any]) -> int:
    """Return a board's index from 0: it is counted from 1, and the board of a slot between others may be missing."""
    return (coerce.count(chain.get("id"), coerce.MAX_ITEMS) or position + 1) - 1


def _serials(chains: list[Mapping[str, Any]]) -> Iterator[tuple[int, str]]:
    for position, chain in enumerate(chains):
        serial = coerce.text(chain.get("serial"), 64)
        if serial:
            yield _index(position, chain), serial


def _without_fee(pools: Answer) -> Answer:
    """Leave the developer's pool out of cgminer's: its shares are not the owner's."""
    return {"POOLS": [row for row in coerce.items(pools.get("POOLS")) if row.get("URL") != _OWN_POOLS]}


def _last_share(own: list[Mapping[str, Any]]) -> float | None:
    """Return when a pool last accepted a share, from the age that the summary has."""
    now = time.time()
    ages = (row.get("ls_time") for row in own if coerce.counter(row.get("accepted")))
    return max(filter(None, (coerce.share_time(age, now) for age in ages)), default=None)


def _power_target(preset: Mapping[str, Any]) -> float | None:
    """Return the watts in the preset's name."""
    watts = _PRESET_WATTS.match(coerce.text(preset.get("pretty"), 64))
    return coerce.watts(watts[1]) if watts else None


def _in_force(preset: Mapping[str, Any], status: Mapping[str, Any]) -> str:
    """Return the preset in force. A rig that is throttled runs at another point than its preset."""
    name, throttled = coerce.text(preset.get("name"), 64), coerce.number(status.get("throttled"), 20, 100)
    if name == _UNTUNED:
        return ""
    return name if throttled is None or throttled == 100 or not name else f"{name} at {throttled:g} %"  # noqa: PLR2004


def _listed(row: Mapping[str, Any]) -> Point | None:
    """Read a preset. Its watts and hashrate are only in its text: ``1450 watt ~ 62 TH``."""
    name, pretty = coerce.text(row.get("name"), 64), coerce.text(row.get("pretty"), 64)
    if not name or name == _UNTUNED:
        return None
    rate = _PRESET_HASHRATE.search(pretty)
    return Point(
        name=name,
        hashrate=None if rate is None else coerce.hashrate(rate[1], f"{rate[2]}H/s") or None,
        power=None if rate is None else _power_target(row),
        tuned={"tuned": True, "untuned": False}.get(coerce.text(row.get("status"))),
        allowed=coerce.flag(row.get("modded_psu_required")) is not True,
    )


def _within(points: list[Point], switcher: Mapping[str, Any]) -> list[Point]:
    """Disallow the presets outside of the bounds that the operator gave the preset switcher."""
    watts = {point.name: point.power for point in points}
    least, most = (watts.get(coerce.text(switcher.get(key), 64)) for key in ("min_preset", "top_preset"))

    def inside(point: Point) -> bool:
        known = point.power
        return known is None or ((least is None or known >= least) and (most is None or known <= most))

    return [point if inside(point) else replace(point, allowed=False) for point in points]


def _tuner(state: object, preset: Mapping[str, Any]) -> TunerState | None:
    if state == _TUNING:
        return TunerState.TUNING
    if preset.get("name") == _UNTUNED:
        return TunerState.OFF
    return TunerState.TUNED if preset.get("status") == "tuned" else None


def _power_supply(psu: Mapping[str, Any]) -> PowerSupply | None:
    hottest = coerce.hottest(map(coerce.celsius, coerce.mapping(psu.get("temps")).values()))
    return None if hottest is None else PowerSupply(temperature=hottest)


def _uptime(text: object) -> float | None:
    """Read a time since boot as ``uptime`` writes it, without its seconds."""
    found = _UPTIME.fullmatch(coerce.text(text, 64))
    if found is None:
        return None
    days, hours, minutes, alone = (int(part or 0) for part in found.groups())
    return coerce.seconds(((days * 24 + hours) * 60 + minutes + alone) * 60)


def _water(chains: list[Mapping[str, Any]]) -> dict[str, float | None]:
    """Return the hottest inlet and outlet of the boards of a hydro model."""
    return {end: coerce.hottest(coerce.celsius(chain.get(key)) for chain in chains) for end, key in _WATER.items()}


def _fan(index: int, row: Mapping[str, Any]) -> Fan:
    return Fan(index, coerce.rpm(row.get("rpm")))


def _board(index: int, row: Mapping[str, Any]) -> Board:
    chips = [coerce.count(number) or 0 for number in coerce.mapping(row.get("chip_statuses")).values()]
    pcb, chip = coerce.mapping(row.get("pcb_temp")), coerce.mapping(row.get("chip_temp"))
    board_max, chip_max = coerce.celsius(pcb.get("max")), coerce.celsius(chip.get("max"))
    # On hydro models the coolest sensor is in the water, and what is called the chips' is no hotter than their board.
    hydro = bool(row.get(_WATER["outlet"]))
    cool = chip_max is not None and board_max is not None and chip_max <= board_max
    return Board(
        index=index,
        hashrate=coerce.hashrate(row.get("hashrate_rt"), "GH/s"),
        expected_hashrate=coerce.hashrate(row.get("hashrate_ideal"), "GH/s") or None,
        temperature=board_max,
        temperature_min=None if hydro else coerce.celsius(pcb.get("min")),
        chip_temperature=None if cool else chip_max,
        chip_temperature_min=None if cool or hydro else coerce.celsius(chip.get("min")),
        chips=sum(chips) if chips else None,
        frequency=coerce.megahertz(row.get("frequency")),
        voltage=coerce.millivolts(row.get("voltage")),
        power=coerce.watts(row.get("power_consumption")),
        hardware_errors=coerce.counter(row.get("hw_errors")),
    )


def _pool(index: int, row: Mapping[str, Any]) -> Pool:
    scheme, host = coerce.endpoint(row.get("url"))
    up, active = _POOL_STATES.get(coerce.text(row.get("status")), (None, None))
    return Pool(
        index=index,
        host=host,
        scheme=scheme or _SCHEME,
        worker=coerce.text(row.get("user")),
        up=up,
        active=active,
        difficulty=None if active is False else coerce.difficulty(row.get("diff")),
        accepted=coerce.counter(row.get("accepted")),
        rejected=coerce.counter(row.get("rejected")),
        stale=coerce.counter(row.get("stale")),
    )


def _serial(value: object) -> str:
    """Read a serial number; releases write ``N/A`` where the hardware has none."""
    serial = coerce.text(value, 64)
    return "" if serial == "N/A" else serial


def _immersed(cooling: Mapping[str, Any]) -> bool:
    """Return whether the rig is set to immersion, in which some releases call every fan lost."""
    mode = coerce.mapping(coerce.mapping(cooling.get("settings")).get("mode"))
    return coerce.text(mode.get("name")).startswith("immers")


def _faults(
    miner: Mapping[str, Any], chains: Iterable[Mapping[str, Any]], fans: Iterable[Mapping[str, Any]]
) -> Iterator[Fault]:
    status = coerce.mapping(miner.get("miner_status"))
    if status.get("miner_state") == "failure":
        yield worded_fault(
            coerce.text(status.get("description")),
            vendor_code=coerce.text(str(status.get("failure_code", "failure")), 64),
        )
    for position, row in enumerate(chains):
        index = _index(position, row)
        state = coerce.mapping(row.get("status"))
        word = coerce.text(state.get("state"), 64)
        if word in ("failure", "disconnected"):
            yield worded_fault(f"board {word}: {coerce.text(state.get('description'))}", f"board {index}", word)
    for index, row in enumerate(fans):
        if row.get("status") not in (None, "ok"):
            yield fault(FaultCode.FAN_FAILED, f"fan {index}", coerce.text(row.get("status"), 64))
