"""The control API: the state of the site, and switches for its faults and prices. JSON in, JSON out."""

import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final, TypeVar

from aiohttp import web

from exporter.simulation.faults import Fault
from exporter.simulation.plant import Plant
from exporter.simulation.points import SHARES
from exporter.simulation.service import Service, SourceFault
from exporter.simulation.wire import SimulationError

_MOST_BLOCKS: Final = 2_016
_MOST_USD: Final = 1e9

_Kind = TypeVar("_Kind", Fault, SourceFault)


SWITCHES: Final = (
    '/faults {"rig" or "block": NAME, "fault": FAULT or null}',
    '/points {"rig" or "block": NAME, "share": SHARE of the stock hashrate}',
    '/power {"usd_per_megawatt_hour": PRICE or null}',
    '/bitcoin {"usd": PRICE}',
    '/sources {"name": NAME, "fault": FAULT or null}',
    '/blocks {"mine": NUMBER}',
)
"""What can be posted, for those who ask."""


class BadRequestError(Exception):
    """An invalid request. The message is the reason."""


class Control:
    """Routes of the control API over a site."""

    def __init__(self, site: Plant, host: str, port: int) -> None:
        self._site = site
        self.service = Service(
            "control",
            host,
            port,
            [
                web.get("/", self._state),
                web.post("/faults", _answering(self._faults)),
                web.post("/points", _answering(self._points)),
                web.post("/power", _answering(self._power)),
                web.post("/bitcoin", _answering(self._bitcoin)),
                web.post("/sources", _answering(self._sources)),
                web.post("/blocks", _answering(self._blocks)),
            ],
        )

    async def _state(self, request: web.Request) -> web.Response:  # noqa: ARG002 - a handler has one
        return web.json_response(self.state())

    def state(self) -> dict[str, Any]:
        """Return the present state of the site."""
        site = self._site
        now = site.clock()
        site.node.chain.advance(now)
        return {
            "time": now,
            "rigs": {
                placement.name: {
                    "address": placement.address,
                    "block": placement.block,
                    "model": placement.model.name,
                    "fault": site.machines[placement.name].fault,
                }
                for placement in site.placements
            },
            "blocks": site.blocks,
            "sources": {name: {"url": service.url, "fault": service.fault} for name, service in site.sources.items()},
            "power_usd_per_megawatt_hour": site.power.price(now),
            "bitcoin_usd": site.bitcoin.price(),
            "height": site.node.chain.height,
            "requests": dict(site.switchboard.requests),
            "left_out": site.left_out,
            "switches": SWITCHES,
            "faults": {"rig": list(Fault), "source": list(SourceFault)},
        }

    async def _faults(self, body: dict[str, Any]) -> dict[str, Any]:
        site = self._site
        fault = None if body.get("fault") is None else _choice(body, "fault", Fault)
        rigs = self._named(body)
        await site.set_fault(rigs, fault)
        return {"rigs": rigs, "fault": fault}

    def _named(self, body: dict[str, Any]) -> list[str]:
        if "rig" in body:
            return [_member(body, "rig", self._site.machines)]
        if "block" in body:
            return self._site.rigs_of(_member(body, "block", self._site.blocks))
        raise BadRequestError("name a rig or a block")

    async def _points(self, body: dict[str, Any]) -> dict[str, Any]:
        share, rigs, now = _number(body, "share"), self._named(body), self._site.clock()
        if share not in SHARES:
            raise BadRequestError(f"share is one of {', '.join(map(str, SHARES))}")
        for rig in rigs:
            self._site.machines[rig].run_at(share, now)
        return {"rigs": rigs, "share": share}

    async def _power(self, body: dict[str, Any]) -> dict[str, Any]:
        key = "usd_per_megawatt_hour"
        self._site.power.override(None if body.get(key) is None else _number(body, key))
        return {key: self._site.power.price(self._site.clock())}

    async def _bitcoin(self, body: dict[str, Any]) -> dict[str, Any]:
        usd = _number(body, "usd")
        if usd <= 0:
            raise BadRequestError("usd is a price above 0")
        self._site.bitcoin.set(usd)
        return {"usd": self._site.bitcoin.price()}

    async def _sources(self, body: dict[str, Any]) -> dict[str, Any]:
        name = _member(body, "name", self._site.sources)
        fault = None if body.get("fault") is None else _choice(body, "fault", SourceFault)
        await self._site.set_source_fault(name, fault)
        return {"name": name, "fault": fault}

    async def _blocks(self, body: dict[str, Any]) -> dict[str, Any]:
        number = body.get("mine")
        if not isinstance(number, int) or isinstance(number, bool) or not 0 < number <= _MOST_BLOCKS:
            raise BadRequestError(f"mine is a whole number from 1 to {_MOST_BLOCKS}")
        now = self._site.clock()
        self._site.node.chain.advance(now)
        self._site.node.chain.mine(number, now)
        return {"height": self._site.node.chain.height}


def _answering(
    handle: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]],
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Wrap a handler of a JSON object. It gets the body; a BadRequestError becomes status 400 with the reason."""

    async def answer(request: web.Request) -> web.Response:
        try:
            body = json.loads(await request.read())
            return web.json_response(await handle(body)) if isinstance(body, dict) else _refuse("send a JSON object")
        except ValueError:
            return _refuse("send JSON")
        except (BadRequestError, SimulationError) as error:
            return _refuse(str(error))

    return answer


def _refuse(message: str) -> web.Response:
    return web.json_response({"error": message}, status=HTTPStatus.BAD_REQUEST)


def _number(body: dict[str, Any], key: str) -> float:
    value = body.get(key)
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= _MOST_USD:
        raise BadRequestError(f"{key} is to be a number")
    return float(value)


def _member(body: dict[str, Any], key: str, known: Any) -> str:
    value = body.get(key)
    if not isinstance(value, str) or value not in known:
        raise BadRequestError(f"there is no {key} {value!r}")
    return value


def _choice(body: dict[str, Any], key: str, kind: type[_Kind]) -> _Kind:
    try:
        return kind(body[key])
    except ValueError:
        raise BadRequestError(f"{key} is one of {', '.join(kind)}, or null") from None
