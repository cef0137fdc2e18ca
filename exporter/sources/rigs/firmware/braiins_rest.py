"""Braiins OS+ from 25.07 on, where it serves no cgminer API: its public REST API on port 80.

All but the API's version stands behind a login. The token that it gives is kept in memory and asked for anew only
where it is refused. Hashrate is ``last_1m``; power is the tuner's estimate. ``miner/errors`` is a log that keeps errors
of months ago, without marking which still hold: it is not read.
"""

import time
from collections.abc import Coroutine, Iterator, Mapping
from functools import lru_cache, partial
from typing import Any, Final

from exporter.model.failures import Failure, Reason
from exporter.model.fault_codes import FaultCode
from exporter.model.fleet import Credentials
from exporter.model.models import BITCOIN_ALGORITHM, model_name
from exporter.model.points import Point, PointList
from exporter.model.readings import Board, Fan, Fault, Pool, RigIdentity, RigReading, TunerState
from exporter.model.units import HASHES_PER_TERAHASH, HERTZ_PER_MEGAHERTZ
from exporter.sources.rigs import coerce
from exporter.sources.rigs.contract import Answer, Firmware, Questions, Recording, Target
from exporter.sources.rigs.faults import fault, lost_boards
from exporter.sources.rigs.seldom import Lacking
from exporter.sources.rigs.sessions import Sessions
from exporter.sources.rigs.transport import optional
from exporter.sources.rigs.web import get_json, get_value, log_in

VERSION: Final = "/api/v1/version/"
_LOGIN: Final = "/api/v1/auth/login"
_DETAILS: Final = "/api/v1/miner/details"
_STATS: Final = "/api/v1/miner/stats"
_BOARDS: Final = "/api/v1/miner/hw/hashboards"
_COOLING: Final = "/api/v1/cooling/state"
_TUNER: Final = "/api/v1/performance/tuner-state"
_POOLS: Final = "/api/v1/pools/"
_LOCATE: Final = "/api/v1/actions/locate"
_TARGETS: Final = "/api/v1/performance/target-profiles"
_CONSTRAINTS: Final = "/api/v1/configuration/constraints"
_MOST_PROFILES: Final = 64
_FACTORY_LOGIN: Final = Credentials("root", "root")
_WINDOW: Final = 60.0  # s, of last_1m
_LAST_SLOTS: Final = 6  # an S9 has its boards in slots 6 to 8, all others theirs from 1

# Numbers as the enumerations of Braiins' public API have them (braiins.bos.v1 MinerBrand, ControlBoardSocFamily,
# MinerStatus, TunerState, SensorLocation); those of which it is not plain what they mean to us are left out.
_MAKES: Final = {1: "AntMiner", 2: "WhatsMiner"}
_MAKES_BY_WORD: Final = {
    "antminer": "AntMiner",
    "bitmain": "AntMiner",
    "braiins": "Braiins",
    "whatsminer": "WhatsMiner",
}
_CONTROL_BOARDS: Final = {1: "CVITEK", 2: "BBB", 3: "AML", 4: "ZYNQ", 5: "BRAIINS"}
_STILL: Final = frozenset({1, 3, 4})  # not started, paused, suspended
_SUSPENDED: Final = {2: False, 3: True}  # normal, paused
_TUNED: Final = (2, 5)  # stable, and tuning on while it mines
_TUNER_STATES: Final = {
    **dict.fromkeys(_TUNED, TunerState.TUNED),
    1: TunerState.OFF,
    3: TunerState.TUNING,
    4: TunerState.FAILED,
}
_PREHEAT: Final = 6
_TUNER_MODES: Final = {"powertargetmodestate": "POWER_TARGET", "hashratetargetmodestate": "HASHRATE_TARGET"}
_ON_BOARD: Final = 2


QUESTIONS: Final = Questions(
    pages={80: (VERSION, _DETAILS, _STATS, _BOARDS, _COOLING, _TUNER, _POOLS, _LOCATE, _TARGETS, _CONSTRAINTS)},
    login=_LOGIN,
)


async def _version(address: str) -> Answer:
    return await get_json(address, VERSION)


class Reader:
    """See :class:`exporter.sources.rigs.contract.NativeReader`."""

    name = "braiins_rest"
    firmware = Firmware(
        title="Braiins OS+ 25.07 and later",
        section="Braiins OS",
        power="the tuner's estimate",
        recorded=(
            Recording("S19 XP", "25.07", "asic-rs"),
            Recording("S19 XP", "25.11", "asic-rs"),
            Recording("S21 Pro", "26.04", "asic-rs"),
        ),
        documented="API 25.07 to 26.04 (Braiins)",
        questions=QUESTIONS,
        pyasic_types=frozenset({"BRAIINS_OS"}),
        unread="GraphQL or gRPC",
    )
    probe = staticmethod(_version)

    def __init__(self) -> None:
        self._sessions = Sessions(_token, _FACTORY_LOGIN)
        self._lacking = Lacking()

    def recognises(self, answer: Answer) -> bool:
        """See :class:`exporter.sources.rigs.contract.NativeReader`."""
        return all(coerce.count(answer.get(part)) is not None for part in ("major", "minor", "patch"))

    def page(self, target: Target, path: str) -> Coroutine[Any, Any, object]:
        """Ask for a page with the token that is kept, or with a new one where that is refused. Raises Failure."""
        return self._sessions.ask(target, partial(_page, target.address, path))

    async def identify(self, target: Target) -> RigIdentity:
        """See :class:`exporter.sources.rigs.contract.Reader`."""
        self._lacking.forget(target.address)
        version = await _version(target.address)
        details = coerce.mapping(await self.page(target, _DETAILS))
        who = coerce.mapping(details.get("miner_identity"))
        if not who:
            raise Failure(Reason.UNSUPPORTED, "its REST API is not Braiins'")
        make, model = product(who.get("miner_model") or who.get("name"))
        boards = coerce.mapping(await optional(self.page(target, _BOARDS))).get("hashboards")
        supply = coerce.mapping(details.get("psu_info"))
        return RigIdentity(
            reader=self.name,
            make=make or _MAKES.get(_code(who.get("brand")), "Braiins"),
            model=model,
            firmware="BOS+",
            algorithm=BITCOIN_ALGORITHM,  # the firmware runs on no other hardware
            firmware_version=coerce.text(coerce.mapping(details.get("bos_version")).get("current")),
            mac=coerce.mac(details.get("mac_address")),
            serial=coerce.text(details.get("serial_number")),
            hostname=coerce.text(details.get("hostname")),
            api_version=".".join(str(coerce.count(version.get(part))) for part in ("major", "minor", "patch")),
            control_board=_CONTROL_BOARDS.get(_code(details.get("control_board_soc_family")), ""),
            power_supply_model=coerce.text(supply.get("model_name")),
            power_supply_serial=coerce.text(supply.get("serial_number")),
            board_serials=tuple(
                (slot(row.get("id"), index), serial)
                for index, row in enumerate(coerce.items(boards))
                if (serial := coerce.text(row.get("serial_number")))
            ),
            rated_hashrate=_gigahashes(details.get("sticker_hashrate")) or None,
        )

    async def read(self, target: Target, identity: RigIdentity) -> RigReading:
        """See :class:`exporter.sources.rigs.contract.Reader`."""
        details = coerce.mapping(await self.page(target, _DETAILS))
        coerce.expect_mac(details.get("mac_address"), identity.mac)
        ask = partial(self._lacking.ask, target.address, ask=partial(self.page, target))
        status = _code(details.get("status"))
        stats = coerce.mapping(await optional(ask(_STATS)))
        work = coerce.mapping(stats.get("miner_stats"))
        expected = _gigahashes(work.get("nominal_hashrate"))
        rates = coerce.mapping(work.get("real_hashrate"))
        rate = coerce.mapping(rates.get("last_1m")).get("gigahash_per_second", 0.0 if status in _STILL else None)
        hashrate = coerce.realised(rate, "GH/s", expected)
        shares = coerce.mapping(stats.get("pool_stats"))
        power = coerce.mapping(stats.get("power_stats")).get("approximated_consumption")
        rows = coerce.items(coerce.mapping(await optional(ask(_BOARDS))).get("hashboards"))
        boards = tuple(_board(index, row) for index, row in enumerate(rows))
        fans = coerce.items(coerce.mapping(await optional(ask(_COOLING))).get("fans"))
        tuner = coerce.mapping(await optional(ask(_TUNER)))
        mode = coerce.mapping(tuner.get("mode_state"))
        tuner_code = _code(tuner.get("overall_tuner_state"))
        tuner_state = _TUNER_STATES.get(tuner_code)
        aim = coerce.mapping(mode.get("powertargetmodestate")).get("current_target")
        return RigReading(
            hashrate=hashrate,
            hashrate_window=_WINDOW,
            average_hashrate=_gigahashes(rates.get("since_restart")),
            expected_hashrate=expected or None,
            power=coerce.watts(coerce.mapping(power).get("watt")),
            power_target=coerce.watts(coerce.mapping(aim).get("watt")),
            mining=hashrate > 0,
            suspended=_SUSPENDED.get(status),
            power_mode=next((word for key, word in _TUNER_MODES.items() if key in mode), ""),
            point=_in_force(mode),
            settled=False if tuner_code == _PREHEAT else None,
            tuner=tuner_state,
            fault_light=coerce.flag(await optional(ask(_LOCATE))),
            uptime=coerce.seconds(details.get("bosminer_uptime_s")),
            system_uptime=coerce.seconds(details.get("system_uptime_s")),
            best_share=coerce.difficulty(work.get("best_share_str", work.get("best_share"))),
            last_share_at=coerce.share_time(coerce.mapping(shares.get("last_share_time")).get("seconds"), time.time()),
            fans=tuple(
                Fan(coerce.index(row.get("position"), index), coerce.rpm(row.get("rpm")))
                for index, row in enumerate(fans)
            ),
            fan_duty=coerce.mean(coerce.ratio(row.get("target_speed_ratio")) for row in fans),
            boards=boards,
            pools=tuple(_pools(await optional(ask(_POOLS)))),
            faults=(*lost_boards(identity, boards), *_faults(tuner_state, rows)),
        )

    async def points(self, target: Target, identity: RigIdentity) -> PointList:  # noqa: ARG002 - none is of a model only
        """See :class:`exporter.sources.rigs.contract.ListsPoints`. The tuner's finished profiles are the points."""
        targets = coerce.mapping(await self.page(target, _TARGETS))
        constraints = coerce.mapping(await optional(self.page(target, _CONSTRAINTS)))
        powers = coerce.mapping(coerce.mapping(constraints.get("tuner_constraints")).get("power_target"))
        rows = [
            row
            for kind in ("power_target_profiles", "hashrate_target_profiles")
            for row in coerce.items(targets.get(kind), _MOST_PROFILES)
        ]
        return PointList(
            points=tuple(point for row in rows if (point := _point(row)) is not None),
            power_limit=_watts(powers.get("max")) or None,
        )


async def _page(address: str, path: str, token: str) -> object:
    return await get_value(address, path, headers={"Authorization": token})


async def _token(address: str, credentials: Credentials) -> str:
    answer = await log_in(address, _LOGIN, {"username": credentials.username, "password": credentials.password})
    token = coerce.text(answer.get("token"))
    if not token:
        raise Failure(Reason.GARBLED, "no token in its answer to the login")
    return token


def product(named: object) -> tuple[str, str]:
    """Return the make and the model that a name such as ``Antminer S19 XP`` has; no make if the name has none."""
    return _product(coerce.text(named))


@lru_cache(maxsize=4_096)  # each rig names its model at each poll
def _product(name: str) -> tuple[str, str]:
    for word, make in _MAKES_BY_WORD.items():
        if name.lower().startswith(word):
            return make, coerce.bitmain_model(name) if make == "AntMiner" else _own_name(make, name)
    return "", coerce.bitmain_model(name)


def _own_name(make: str, name: str) -> str:
    known = model_name(make, name)
    return known if known != name else name.partition(" ")[2] or name


def slot(number: object, position: int) -> int:
    """Return a board's index from the number of its slot, as Braiins counts them, or its position if it has none."""
    known = coerce.count(number, coerce.MAX_ITEMS)
    if not known:
        return position
    return known - (_LAST_SLOTS if known >= _LAST_SLOTS else 1)


def clock(value: object) -> float | None:
    """Read a clock in Hz; to cgminer's API recent releases write it in MHz, which can never be as many."""
    known = coerce.counter(value)
    if known is not None and known > coerce.MAX_MEGAHERTZ:
        known /= HERTZ_PER_MEGAHERTZ
    return coerce.megahertz(known)


def _code(value: object) -> int:
    """Read the number of an enumeration's member; 0 is what Braiins calls unspecified."""
    return coerce.count(value) or 0


def _gigahashes(value: object) -> float | None:
    return coerce.hashrate(coerce.mapping(value).get("gigahash_per_second"), "GH/s")


def _watts(value: object) -> float | None:
    return coerce.watts(coerce.mapping(value).get("watt"))


def _target(aim: object) -> str:
    """Name the target of the tuner: ``3000 W`` or ``110 TH/s``."""
    target = coerce.mapping(aim)
    watts, rate = _watts(target), coerce.hashrate(target.get("terahash_per_second"), "TH/s")
    if watts:
        return f"{watts:g} W"
    return f"{rate / HASHES_PER_TERAHASH:g} TH/s" if rate else ""


def _in_force(mode: Mapping[str, Any]) -> str:
    """Name the target in force. Dynamic power scaling lowers it on heat."""
    state = next((coerce.mapping(mode[key]) for key in _TUNER_MODES if mode.get(key)), {})
    return _target(state.get("current_target"))


def _point(row: Mapping[str, Any]) -> Point | None:
    name = _target(row.get("target"))
    if not name:
        return None
    return Point(
        name=name,
        hashrate=_gigahashes(row.get("measured_hashrate")) or None,
        power=_watts(row.get("estimated_power_consumption")) or None,
        tuned=True,
    )


def _degrees(value: object) -> float | None:
    return coerce.celsius(coerce.mapping(value).get("degree_c"))


def _board(index: int, row: Mapping[str, Any]) -> Board:
    stats = coerce.mapping(row.get("stats"))
    hottest = coerce.mapping(row.get("highest_chip_temp"))
    return Board(
        index=slot(row.get("id"), index),
        hashrate=_gigahashes(coerce.mapping(stats.get("real_hashrate")).get("last_1m")),
        expected_hashrate=_gigahashes(stats.get("nominal_hashrate")) or None,
        temperature=coerce.hottest((_degrees(row.get("board_temp")), _degrees(row.get("highest_outlet_temp")))),
        temperature_min=_degrees(row.get("lowest_inlet_temp")),
        chip_temperature=None if hottest.get("location") == _ON_BOARD else _degrees(hottest.get("temperature")),
        chips=coerce.count(row.get("chips_count")),
        frequency=clock(coerce.mapping(row.get("current_frequency")).get("hertz")),
        voltage=coerce.volts(coerce.mapping(row.get("current_voltage")).get("volt")),
    )


def _pools(groups: object) -> Iterator[Pool]:
    """Return the pools of all groups, in their order."""
    rows = (row for group in coerce.items(groups) for row in coerce.items(group.get("pools")))
    for index, row in zip(range(coerce.MAX_ITEMS), rows, strict=False):
        scheme, host = coerce.endpoint(row.get("url"))
        stats = coerce.mapping(row.get("stats"))
        active = coerce.flag(row.get("active"))
        yield Pool(
            index=index,
            host=host,
            scheme=scheme,
            worker=coerce.text(row.get("user")),
            up=coerce.flag(row.get("alive")),
            active=active,
            difficulty=coerce.difficulty(stats.get("last_difficulty")) if active else None,
            accepted=coerce.counter(stats.get("accepted_shares")),
            rejected=coerce.counter(stats.get("rejected_shares")),
            stale=coerce.counter(stats.get("stale_shares")),
        )


def _faults(tuner: TunerState | None, boards: list[Mapping[str, Any]]) -> Iterator[Fault]:
    if tuner is TunerState.FAILED:
        yield fault(FaultCode.TUNING_FAILED, vendor_code="TUNER_STATE_ERROR")
    for index, row in enumerate(boards):
        if row.get("enabled") is False:
            yield fault(FaultCode.BOARD_HASHRATE, f"board {slot(row.get('id'), index)}", "disabled")
