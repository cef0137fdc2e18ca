"""The pools that every simulated rig mines at: one in use and two in reserve."""

from dataclasses import dataclass
from typing import Any, Final

from exporter.simulation.faults import Fault
from exporter.simulation.machine import Machine, Vitals

ACCOUNT: Final = "prairie"
_THIEF: Final = "stranger"
_HOSTS: Final = ("btc.pool-a.example", "btc-backup.pool-a.example", "btc.pool-b.example")
PORT: Final = 3333


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolVitals:
    """One configured pool in the miner's own state."""

    index: int
    host: str
    worker: str
    alive: bool
    active: bool
    difficulty: int
    accepted: int
    rejected: int
    stale: int
    last_share_age: int  # s

    @property
    def status(self) -> str:
        """Return its state in cgminer's words."""
        return "Alive" if self.alive else "Dead"

    @property
    def url(self) -> str:
        """The URL as it is configured."""
        return f"stratum+tcp://{self.host}:{PORT}"


def pools(machine: Machine, vitals: Vitals) -> list[PoolVitals]:
    """List the pools; all work went to the first."""
    return [
        PoolVitals(
            index=index,
            host=host,
            worker=f"{_THIEF if machine.fault is Fault.WORKER_RENAMED else ACCOUNT}.{machine.name}",
            alive=machine.fault is not Fault.POOLS_DEAD,
            active=index == 0 and vitals.mining and machine.fault is not Fault.POOLS_DEAD,
            difficulty=vitals.share_difficulty,
            accepted=0 if index else vitals.accepted,
            rejected=0 if index else vitals.rejected,
            stale=0 if index else vitals.stale,
            last_share_age=int(vitals.now) % 7,
        )
        for index, host in enumerate(_HOSTS)
    ]


def pool_rows(machine: Machine, vitals: Vitals) -> list[dict[str, Any]]:
    """List the pools as a plain cgminer does, with times and difficulties as numbers."""
    return [
        {
            "POOL": pool.index,
            "URL": pool.url,
            "Status": pool.status,
            "Priority": pool.index,
            "Accepted": pool.accepted,
            "Rejected": pool.rejected,
            "Stale": pool.stale,
            "User": pool.worker,
            "Last Share Time": int(vitals.now) - pool.last_share_age if pool.active else 0,
            "Stratum Active": pool.active,
            "Stratum Difficulty": float(pool.difficulty) if pool.active else 0.0,
            "Work Difficulty": float(pool.difficulty) if pool.active else 0.0,
            "Difficulty Accepted": float(pool.accepted * pool.difficulty),
            "Difficulty Rejected": float(pool.rejected * pool.difficulty),
        }
        for pool in pools(machine, vitals)
    ]


def clock_text(seconds: int) -> str:
    """Write a span as cgminer does: ``0:00:03``."""
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def metric_text(difficulty: int) -> str:
    """Write a difficulty as cgminer does: ``524K``."""
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "K")):
        if difficulty >= size:
            return f"{difficulty // size}{unit}"
    return str(difficulty)
