"""Braiins OS+ where it serves cgminer's API on 4028: BOSminer answers it all joined, without login.

Hashrate is ``MHS 1m``; power is the tuner's estimate, and its ``PowerLimit`` what it aims at. That API has no MAC
address nor serial numbers: they are asked over REST, at identification only, where that is served and takes our login.
"""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from exporter.model.failures import Failure, Reason
from exporter.model.models import BITCOIN_ALGORITHM
from exporter.model.readings import Board, Fan, Fault, RigIdentity, RigReading, TunerState
from exporter.sources.rigs import cgminer, coerce
from exporter.sources.rigs.contract import Answer, Firmware, Questions, Recording, Target
from exporter.sources.rigs.faults import lost_boards, worded_fault
from exporter.sources.rigs.firmware import braiins_rest
from exporter.sources.rigs.firmware.braiins_rest import clock, slot
from exporter.sources.rigs.transport import rpc

_READ: Final = ("summary", "devs", "devdetails", "temps", "fans", "tunerstatus", "pools")
_WINDOWS: Final = (("MHS 1m", 60.0), ("MHS 5s", 5.0))
_TUNED: Final = "Stable"
_TUNING: Final = frozenset({"Testing performance profile", "Tuning individual chips"})
_WELL: Final = frozenset({_TUNED, *_TUNING, "Paused", "Resuming"})
_WEB_TIMEOUT: Final = 1.5  # s


class Reader:
    """See :class:`exporter.sources.rigs.contract.NativeReader`."""

    name = "braiins"
    firmware = Firmware(
        title="Braiins OS+ with cgminer's API",
        section="Braiins OS",
        power="the tuner's estimate",
        recorded=(Recording("BMM 100", "0.1.0", "hi3-hashkit"), Recording("S9", "BOSminer+ 0.2.0", "Braiins")),
        documented="cgminer API (Braiins)",
        questions=Questions(
            rpc=("version", "devdetails", "+".join(_READ)),
            pages=braiins_rest.QUESTIONS.pages,
            login=braiins_rest.QUESTIONS.login,
        ),
        pyasic_types=frozenset({"BRAIINS_OS"}),
    )
    probe = staticmethod(cgminer.version)

    def __init__(self) -> None:
        self._joined = cgminer.Joined(*_READ, usable=lambda answer: "SUMMARY" in answer)

    def recognises(self, answer: Answer) -> bool:
        """See :class:`exporter.sources.rigs.contract.NativeReader`."""
        return not {"BOSer", "BOSminer", "BOSminer+"}.isdisjoint(coerce.first(answer, "VERSION"))

    async def identify(self, target: Target) -> RigIdentity:
        """See :class:`exporter.sources.rigs.contract.Reader`."""
        version = coerce.first(await rpc(target.address, "version"), "VERSION")
        details = coerce.first(await cgminer.optional(target.address, "devdetails"), "DEVDETAILS")
        self._joined.forget(target.address)
        make, model = braiins_rest.product(details.get("Model"))
        if not model:
            raise Failure(Reason.UNSUPPORTED, "it reports no model on port 4028")
        build = next((value for key, value in version.items() if key.startswith("BOS")), "")
        known = RigIdentity(
            reader=self.name,
            make=make or "AntMiner",
            model=model,
            firmware="BOS+",
            algorithm=BITCOIN_ALGORITHM,  # the firmware runs on no other hardware
            firmware_version=coerce.text(build),
            api_version=coerce.text(version.get("API")),
        )
        try:
            async with asyncio.timeout(_WEB_TIMEOUT):
                whole = await braiins_rest.Reader().identify(target)
        except (Failure, TimeoutError):
            return known
        return replace(
            whole,
            reader=known.reader,
            make=known.make,
            model=known.model,
            firmware_version=whole.firmware_version or known.firmware_version,
            api_version=known.api_version,
        )

    async def read(self, target: Target, identity: RigIdentity) -> RigReading:
        """See :class:`exporter.sources.rigs.contract.Reader`."""
        sections = await self._joined.ask(target.address)
        _, model = braiins_rest.product(coerce.first(sections["devdetails"], "DEVDETAILS").get("Model"))
        coerce.expect_model(model, identity.model)
        summary, pools = coerce.first(sections["summary"], "SUMMARY"), cgminer.pools(sections["pools"])
        tuner = coerce.first(sections["tunerstatus"], "TUNERSTATUS")
        devices = coerce.items(sections["devs"].get("DEVS"))
        chains = coerce.items(tuner.get("TunerChainStatus"))
        fans = dict(_fans(coerce.items(sections["fans"].get("FANS"))))
        expected = _nominal(devices)
        rate, window = next(((key, span) for key, span in _WINDOWS if key in summary), ("", None))
        hashrate = coerce.realised(summary.get(rate), "MH/s", expected)
        faults = tuple(_faults(chains))
        boards = tuple(_boards(devices, sections, chains))
        return RigReading(
            hashrate=hashrate,
            hashrate_window=window,
            average_hashrate=coerce.hashrate(summary.get("MHS av"), "MH/s"),
            expected_hashrate=expected,
            power=coerce.watts(tuner.get("ApproximateMinerPowerConsumption")),
            power_target=_power_target(tuner),
            mining=hashrate > 0,
            tuner=TunerState.FAILED if faults else _tuner_state(chains),
            uptime=coerce.seconds(summary.get("Elapsed")),
            accepted_difficulty=coerce.counter(summary.get("Difficulty Accepted")),
            rejected_difficulty=coerce.counter(summary.get("Difficulty Rejected")),
            discarded_work=coerce.counter(summary.get("Discarded")),
            best_share=coerce.difficulty(summary.get("Best Share")),
            last_share_at=pools.last_share_at,
            hardware_errors=coerce.counter(summary.get("Hardware Errors")),
            hardware_error_ratio=coerce.percentage(summary.get("Device Hardware%")),
            fans=tuple(fans),
            fan_duty=coerce.mean(fans.values()),
            boards=boards,
            pools=pools.pools,
            faults=(*lost_boards(identity, boards), *faults),
        )


def _fans(rows: list[Mapping[str, Any]]) -> Iterator[tuple[Fan, float | None]]:
    """Return the fans by their own number, each with its demanded speed. A slot without a fan has 0 of both."""
    for position, row in enumerate(rows):
        fan = Fan(coerce.index(row.get("ID"), position), coerce.rpm(row.get("RPM")))
        duty = coerce.percentage(row.get("Speed"))
        if fan.rpm or duty != 0:
            yield fan, duty


def _nominal(devices: list[Mapping[str, Any]]) -> float | None:
    return coerce.total([coerce.hashrate(row.get("Nominal MHS"), "MH/s") for row in devices]) or None


def _power_target(tuner: Mapping[str, Any]) -> float | None:
    """Return the tuner's target: less than the configured one while it scales down, such as in heat."""
    scaled = coerce.mapping(tuner.get("DynamicPowerScaling")).get("ScaledPowerLimit")
    return coerce.watts(scaled) or coerce.watts(tuner.get("PowerLimit"))


def _boards(
    devices: list[Mapping[str, Any]], sections: Mapping[str, Answer], chains: list[Mapping[str, Any]]
) -> Iterator[Board]:
    temperatures = {str(row.get("ID")): row for row in coerce.items(sections["temps"].get("TEMPS"))}
    details = {str(row.get("ID")): row for row in coerce.items(sections["devdetails"].get("DEVDETAILS"))}
    tuned = {str(row.get("HashchainIndex")): row for row in chains}
    for position, row in enumerate(devices):
        number = str(row.get("ID"))
        sensors, detail, chain = (known.get(number, {}) for known in (temperatures, details, tuned))
        yield Board(
            index=slot(row.get("ID"), position),
            hashrate=coerce.hashrate(row.get("MHS 1m", row.get("MHS 5s")), "MH/s"),
            expected_hashrate=coerce.hashrate(row.get("Nominal MHS"), "MH/s") or None,
            temperature=coerce.celsius(sensors.get("Board")),
            chip_temperature=coerce.celsius(sensors.get("Chip")),
            chips=coerce.count(detail.get("Chips")),
            frequency=clock(detail.get("Frequency")),
            voltage=coerce.volts(detail.get("Voltage")),
            power=coerce.watts(chain.get("ApproximatePowerConsumptionWatt")),
            hardware_errors=coerce.counter(row.get("Hardware Errors")),
        )


def _status(chain: Mapping[str, Any]) -> str:
    return coerce.text(chain.get("Status"), 64).partition(" {")[0]


def _tuner_state(chains: list[Mapping[str, Any]]) -> TunerState | None:
    """Return the tuner's state on boards without a fault: it tunes if it tunes any board."""
    states = {_status(chain) for chain in chains}
    if states & _TUNING:
        return TunerState.TUNING
    return TunerState.TUNED if states == {_TUNED} else None


def _faults(chains: list[Mapping[str, Any]]) -> Iterator[Fault]:
    for position, chain in enumerate(chains):
        status = _status(chain)
        if status and status not in _WELL:
            yield worded_fault(f"{status} tuning", f"board {slot(chain.get('HashchainIndex'), position)}", status)
