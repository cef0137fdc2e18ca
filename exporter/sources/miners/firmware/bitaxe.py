"""BitAxe and kin with AxeOS: one page of JSON on port 80. Hashrate is ``hashRate_1m`` where there is one."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from exporter.readings import Board, Fan, Fault, Pool, RigIdentity, RigReading
from exporter.sources.miners import coerce
from exporter.sources.miners.contract import Answer, Target
from exporter.sources.miners.faults import fault
from exporter.sources.miners.web import get_json

_PAGE: Final = "/api/system/info"
_FANS: Final = ("fanrpm", "fan2rpm")
_MODELS: Final = {"BM1397": "Max", "BM1366": "Ultra", "BM1368": "Supra", "BM1370": "Gamma"}


async def _system_info(address: str) -> Answer:
    return await get_json(address, _PAGE)


class Reader:
    """See :class:`exporter.sources.miners.contract.NativeReader`."""

    name = "bitaxe"
    probe = staticmethod(_system_info)

    def recognises(self, answer: Answer) -> bool:
        """See :class:`exporter.sources.miners.contract.NativeReader`."""
        return "ASICModel" in answer and "hashRate" in answer

    async def identify(self, target: Target) -> RigIdentity:
        """See :class:`exporter.sources.miners.contract.Reader`."""
        info = await _system_info(target.address)
        chip = coerce.text(info.get("ASICModel"))
        return RigIdentity(
            reader=self.name,
            make="BitAxe",
            model=coerce.text(info.get("deviceModel")) or _MODELS.get(chip, chip),
            firmware="AxeOS",
            firmware_version=coerce.text(info.get("version")),
            mac=coerce.mac(info.get("macAddr")),
            hostname=coerce.text(info.get("hostname")),
        )

    async def read(self, target: Target, identity: RigIdentity) -> RigReading:
        """See :class:`exporter.sources.miners.contract.Reader`."""
        info = await _system_info(target.address)
        coerce.expect_mac(info.get("macAddr"), identity.mac)
        expected = _expected(info)
        hashrate = coerce.realised(info.get("hashRate_1m", info.get("hashRate")), "GH/s", expected)
        regulator = coerce.celsius(info.get("vrTemp"))
        board = Board(
            index=0,
            hashrate=hashrate,
            chip_temperature=coerce.celsius(info.get("temp")),
            chips=coerce.count(info.get("asicCount")),
        )
        return RigReading(
            hashrate=hashrate,
            expected_hashrate=expected,
            power=coerce.watts(info.get("power")) or None,
            mining=hashrate > 0,
            uptime=coerce.seconds(info.get("uptimeSeconds")),
            temperatures=() if regulator is None else (("regulator", regulator),),
            fans=tuple(Fan(index, coerce.rpm(info[key])) for index, key in enumerate(_FANS) if key in info),
            boards=(board,),
            pools=tuple(_pools(info)),
            faults=tuple(_faults(info)),
        )


def _expected(info: Mapping[str, Any]) -> float | None:
    """Give what it should do: its own figure, else cores x chips x frequency, one hash per core and cycle."""
    if "expectedHashrate" in info:
        return coerce.hashrate(info["expectedHashrate"], "GH/s") or None
    cores, chips = coerce.count(info.get("smallCoreCount")), coerce.count(info.get("asicCount"))
    megahertz = coerce.number(info.get("frequency"), 0, 10_000)
    if cores is None or chips is None or megahertz is None:
        return None
    return coerce.hashrate(cores * chips * megahertz, "MH/s") or None


def _pools(info: Mapping[str, Any]) -> Iterator[Pool]:
    fallback = coerce.flag(info.get("isUsingFallbackStratum"))
    for index, prefix in enumerate(("stratum", "fallbackStratum")):
        scheme, host = coerce.endpoint(info.get(f"{prefix}URL"))
        if not host:
            continue
        port = coerce.count(info.get(f"{prefix}Port"), 65_535)
        active = None if fallback is None else fallback is bool(index)
        yield Pool(
            index=index,
            host=f"{host}:{port}" if port and ":" not in host else host,
            scheme=scheme or "stratum+tcp",
            worker=coerce.text(info.get(f"{prefix}User")),
            active=active,
            accepted=coerce.counter(info.get("sharesAccepted")) if active else None,
            rejected=coerce.counter(info.get("sharesRejected")) if active else None,
        )


def _faults(info: Mapping[str, Any]) -> Iterator[Fault]:
    if coerce.flag(info.get("overheat_mode")):
        yield fault("chip_temperature", "board 0", "overheat_mode")
    if coerce.flag(info.get("isUsingFallbackStratum")):
        yield fault("pool_dead", "pool 0", "isUsingFallbackStratum")
    power = coerce.text(info.get("power_fault"), 64)
    if power:
        yield fault("psu_output", "psu", power)
