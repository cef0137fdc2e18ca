"""The simulated pool: Braiins Pool's API, with the credit that the shares of every rig earn, and daily rewards."""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from random import Random
from typing import Any, Final

from aiohttp import web

from exporter.economics.hashprice import hashprice, subsidy
from exporter.economics.reconciliation import expected_payout
from exporter.model.units import HASHES_PER_DIFFICULTY, SECONDS_PER_DAY, SECONDS_PER_HOUR
from exporter.simulation.faults import Fault
from exporter.simulation.machine import Machine
from exporter.simulation.node import DIFFICULTY, START_HEIGHT
from exporter.simulation.pools import ACCOUNT
from exporter.simulation.service import Service

TOKEN: Final = "watcher-of-the-prairie"  # noqa: S105 -- of the simulation
_FEE: Final = 0.01
_BLOCK_FEES: Final = 0.0222  # bitcoins
_PACE: Final = 5.0  # s between requests
_DAYS: Final = 8
_GIGAHASH: Final = 1e9


class PoolServer:
    """Credits every machine with the shares that it found in the last hour. They vary by chance.

    A machine whose worker was renamed mines for another account, and one without a live pool has no shares.
    ``skim`` is the share of a machine's work that the pool keeps, by name of the rig.
    """

    def __init__(
        self, seed: int, clock: Callable[[], float], host: str, port: int, machines: Mapping[str, Machine]
    ) -> None:
        self.skim: dict[str, float] = {}
        self._seed = seed
        self._clock = clock
        self._machines = machines
        self._asked_at = -math.inf
        routes = [
            web.get("/accounts/workers/json/btc", self._workers),
            web.get("/accounts/rewards/json/btc", self._rewards),
        ]
        self.service = Service("pool", host, port, routes)

    def _refusal(self, request: web.Request) -> web.Response | None:
        """Refuse a wrong token, and requests within five seconds of the last, as the pool does."""
        if request.headers.get("Pool-Auth-Token") != TOKEN:
            return web.Response(status=403, text="Access denied.")
        now = self._clock()
        waited, self._asked_at = now - self._asked_at, now
        if 0 <= waited < _PACE:
            return web.Response(status=429, text="Too many requests.", headers={"Retry-After": f"{_PACE:.0f}"})
        return None

    async def _workers(self, request: web.Request) -> web.Response:
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        ours = (machine for machine in self._machines.values() if machine.fault is not Fault.WORKER_RENAMED)
        return web.json_response({"btc": {"workers": dict(map(self._worker, ours))}})

    def _worker(self, machine: Machine) -> tuple[str, dict[str, Any]]:
        now = self._clock()
        rate = self._credited(machine, now)
        return f"{ACCOUNT}.{machine.name}", {
            "last_share": int(now) - 5 if rate > 0 else 0,
            "state": "ok" if rate > 0 else "off",
            "hash_rate_unit": "Gh/s",
            "hash_rate_5m": rate / _GIGAHASH,
            "hash_rate_60m": rate / _GIGAHASH,
            "hash_rate_24h": rate / _GIGAHASH,
        }

    def _credited(self, machine: Machine, now: float) -> float:
        """Return the mean hashrate (H/s) that a machine's shares of the last hour prove."""
        if machine.fault is Fault.POOLS_DEAD:
            return 0.0
        proof = machine.share_difficulty * HASHES_PER_DIFFICULTY
        shares = machine.mined(now, SECONDS_PER_HOUR) / proof
        chance = Random(f"{self._seed} {machine.name} {now // SECONDS_PER_HOUR}").gauss(0.0, 1.0)
        found = max(shares + chance * math.sqrt(shares), 0.0)
        rate: float = found * proof / SECONDS_PER_HOUR
        return rate * (1.0 - self.skim.get(machine.name, 0.0))

    async def _rewards(self, request: web.Request) -> web.Response:
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        today = self._clock() // SECONDS_PER_DAY * SECONDS_PER_DAY
        reward = subsidy(START_HEIGHT) + _BLOCK_FEES
        rate = sum(self._credited(machine, self._clock()) for machine in self._machines.values())
        pay = expected_payout(rate, 1.0, hashprice(DIFFICULTY, reward), _FEE)
        first, last = (_midnight(request.query[name]) for name in ("from", "to"))
        days = [today - ago * SECONDS_PER_DAY for ago in range(1, _DAYS + 1)]
        rows = [{"date": round(day), "total_reward": f"{pay:.8f}"} for day in days if first <= day <= last]
        return web.json_response({"btc": {"daily_rewards": rows}})


def _midnight(day: str) -> float:
    return datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()
