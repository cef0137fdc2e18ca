"""The exporter's configuration for a simulated site, as its YAML file would hold it."""

from datetime import UTC, date, datetime, timedelta
from importlib.util import find_spec
from typing import Any, Final

from exporter.model.units import WATTS_PER_KILOWATT
from exporter.simulation.layout import Placement
from exporter.simulation.market import SLOT_SECONDS
from exporter.simulation.node import PASSWORD, USERNAME
from exporter.simulation.plant import Plant
from exporter.simulation.points import QUICK_RAMP_SECONDS, TUNING_FACTOR
from exporter.simulation.pool_server import TOKEN
from exporter.simulation.pools import ACCOUNT

_FEEDER_RESERVE: Final = 1.15
"""What a block's feeder carries, against the nameplates of its rigs."""

_MOST_READ_OFTEN: Final = 1_000
"""Rigs that one machine, which also simulates them, reads every few seconds."""

_QUICK_DECISION: Final = {
    "history": "1m",
    "history_needed": "15s",
    "reassign_after": "30s",
    "reassign_clear_after": "20s",
    "curtail_interval": "5s",
    "repair_after": "30s",
    "recover_after": "15s",
    "day_plan": {"interval": "1m"},
}
"""Days become seconds: verdicts keep up with a scripted wave of power prices."""

_POINTS: Final = {"list_interval": "30s", "settle": "10s", "stable": "30s", "dwell": "2m"}
_QUICK_POINTS: Final = {
    "ramp": f"{QUICK_RAMP_SECONDS:.0f}s",
    "cold_ramp": "15s",
    "untuned_ramp": f"{QUICK_RAMP_SECONDS * TUNING_FACTOR:.0f}s",
    "dwell": "15s",
    "most_changes_per_day": 1_000,
}
"""Rigs that ramp within seconds, and change their point every few minutes."""

CALL_AFTER: Final = timedelta(minutes=3)
CALL_LASTS: Final = timedelta(minutes=5)
_RESERVE: Final = 0.5
"""Share of the rated power that must run."""
_CALLED: Final = 0.8
"""Share of the rated power of the called block that may be drawn."""

_OUTLOOK: Final = {
    "drift": 0.1,
    "volatility": 0.5,
    "difficulty_growth": 0.2,
    "elasticity": 0.5,
    "fees_bitcoins_per_block": {"low": 0.01, "base": 0.03, "high": 0.08},
}

_BLOCK_TARIFFS: Final = (None, "ppa", None, "time-of-use")
"""The tariffs of blocks in turn; None is the site's own."""

_HOSTED_CUSTOMERS: Final = {"acme": {"contract": "acme-all-in"}, "birch": {"contract": "birch-share"}}
_CUSTOMERS: Final = tuple(_HOSTED_CUSTOMERS)
_HOSTED: Final = slice(3, None, 4)
"""Blocks of customers' rigs."""
_CONTRACT: Final = {"timezone": "America/Chicago", "host_tariff": "ppa"}
_CONTRACTS: Final = {
    "acme-all-in": _CONTRACT
    | {
        "usd_per_kilowatt_hour": 0.072,
        "usd_per_kilowatt_month": 2,
        "curtailment_credit_share": 0.5,
        "uptime": {"measure": "sla", "promised": 0.98},
    },
    "birch-share": _CONTRACT
    | {
        "pass_through": True,
        "revenue_share": 0.2,
        "host_may_curtail": True,
        "curtailment_credit_share": 0.25,
        "uptime": {"measure": "hashing", "promised": 0.95},
    },
}


def site_config(site: Plant) -> dict[str, Any]:
    """Return the whole configuration. Its times are short, so that a change in the simulation is soon seen."""
    config = _site(site)
    if site.power.wave_seconds is None:
        return config
    config["ai"] |= {"outlook": _OUTLOOK} if find_spec("numpy") is not None else {}
    return config | _quick(site)


def _quick(site: Plant) -> dict[str, Any]:
    polling = {"polling": {"interval": "5s"}} if len(site.placements) <= _MOST_READ_OFTEN else {}
    return polling | {
        "evaluation_interval": "5s",
        "decision": _QUICK_DECISION,
        "points": _POINTS | _QUICK_POINTS,
        "compliance": {"interval": "1m"},
    }


def owed(site: Plant) -> list[dict[str, Any]]:
    """Return what a site with scripted prices owes: reserve, which it keeps, and a call, which nobody follows.

    The call begins some minutes from now, and is about the second block.
    """
    begin = datetime.fromtimestamp(site.clock(), UTC) + CALL_AFTER
    block = site.blocks[min(1, len(site.blocks) - 1)]
    rated = {
        name: sum(placement.model.watts for placement in site.placements if name in ("", placement.block))
        for name in ("", block)
    }
    return [
        {
            "kind": "award",
            "event": "RRS-1",
            "reason": "responsive reserve",
            "floor_kilowatts": round(_RESERVE * rated[""] / WATTS_PER_KILOWATT, 1),
            "price_usd_per_megawatt_hour": 8,
        },
        {
            "kind": "call",
            "event": "call-1",
            "reason": "evening peak",
            "block": block,
            "from": begin.isoformat(timespec="seconds"),
            "until": (begin + CALL_LASTS).isoformat(timespec="seconds"),
            "cap_kilowatts": round(_CALLED * rated[block] / WATTS_PER_KILOWATT, 1),
        },
    ]


def _site(site: Plant) -> dict[str, Any]:
    hosted = site.blocks[_HOSTED]
    return {
        "site": "prairie-1",
        "fleet": {
            "defaults": {"worker": f"{ACCOUNT}.{{rig}}"},
            "rigs": [_rig(placement, hosted=placement.block in hosted) for placement in site.placements],
        },
        "blocks": {
            block: _block([placement for placement in site.placements if placement.block == block], number)
            for number, block in enumerate(site.blocks)
        },
        **({"customers": _HOSTED_CUSTOMERS, "contracts": _CONTRACTS} if hosted else {}),
        "tariff": "spot",
        "tariffs": _tariffs(site),
        "network": {
            "kind": "bitcoin_core",
            "url": site.sources["node"].url,
            "username": USERNAME,
            "password": PASSWORD,
            "interval": "15s",
        },
        "bitcoin": {
            "kind": "coinbase",
            "url": f"{site.sources['bitcoin'].url}/v2/prices/BTC-USD/spot",
            "interval": "15s",
        },
        "pools": {
            "main": {
                "kind": "braiins",
                "url": site.sources["pool"].url,
                "account": ACCOUNT,
                "api_key": TOKEN,
                "worker": "{rig}",
                "interval": "30s",
                "max_age": "5m",
            }
        },
        "power": {"overhead": 1.03},
        "points": _POINTS,
        "economics": {"pool_fee": 0.01, "opex_usd_per_kilowatt_month": 4, "rig_price_usd_per_terahash": 8},
        "ai": {
            "rent_usd_per_kilowatt_month": {"low": 145, "base": 150, "high": 160},
            "noi_share": {"low": 0.84, "base": 0.85, "high": 0.86},
            "capex_usd_per_kilowatt": {"low": 9_000, "base": 10_000, "high": 10_800},
            "discount_rate": 0.10,
            "term_years": 15,
            "utility_ratio": 1.4,
            "difficulty_growth": 0.3,
        },
        "gpus": {
            "endpoints": [
                {"kind": "dcgm_exporter", "url": f"{node.service.url}/metrics", "interval": "15s", "max_age": "40s"}
                for node in site.gpu_nodes
            ],
            "revenue_usd_per_hour": 2.1,
            "host_watts": 4_600,
            "pue": 1.3,
            "tariff": "ppa",
            "market": [
                {
                    "feed": "marketplace",
                    "model": "H100 SXM",
                    "utilization": 0.7,
                    "kilowatts_per_gpu": 1.275,
                    "platform_fee": 0.25,
                    "idle_power_ratio": 0.35,
                    "failures_per_year": 0.05,
                    "gpu_usd": 30_000,
                }
            ],
        },
        "ai_prices": {
            "marketplace": {
                "kind": "vastai_exporter",
                "url": f"{site.sources['gpu-market'].url}/metrics/global",
                "models": ["H100 SXM", "H100 PCIe"],
                "interval": "15s",
            },
            "index": {
                "kind": "ornn",
                "url": site.sources["gpu-market"].url,
                "models": ["H100 SXM"],
                "commitment": "interruptible",
                "interval": "15s",
            },
        },
        "ai_leases": {
            "north-hall": {
                "tenant": "cedar",
                "start": date(2026, 1, 1),
                "firm_kilowatts": 60,
                "usd_per_kilowatt_month": 150,
                "curtailable_kilowatts": 20,
                "curtailable_usd_per_kilowatt_month": 120,
                "curtailed_hours_per_year": 200,
                "throttled_power_ratio": 0.4,
                "throttled_rent_ratio": 0.6,
                "response_usd_per_kilowatt_year": 60,
            }
        },
    }


def _rig(placement: Placement, *, hosted: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": placement.name,
        "address": placement.address,
        "block": placement.block,
        "rack": placement.rack,
        "position": placement.position,
        "rated_terahash": placement.model.terahash,
        "rated_watts": placement.model.watts,
    }
    if hosted:
        row["customer"] = _CUSTOMERS[int(placement.rack.removeprefix("r")) % len(_CUSTOMERS)]
    if placement.family.credentials is not None:
        row["username"], row["password"] = placement.family.credentials
    return row


def _block(placements: list[Placement], number: int) -> dict[str, Any]:
    watts = sum(placement.model.watts for placement in placements) * _FEEDER_RESERVE
    block: dict[str, Any] = {
        "capacity_kilowatts": round(watts / WATTS_PER_KILOWATT, 1),
        "convertible": True,
        "moving_cost_usd_per_rig": 120,
    }
    tariff = _BLOCK_TARIFFS[number % len(_BLOCK_TARIFFS)]
    return block if tariff is None else block | {"tariff": tariff}


def _tariffs(site: Plant) -> dict[str, Any]:
    return {
        "spot": {
            "kind": "http_json",
            "url": f"{site.sources['power'].url}/prices",
            "slots": "slots",
            "start": "start",
            "end": "end",
            "price": "price",
            "currency": "USD",
            "unit": "MWh",
            "timezone": "UTC",
            "interval": "5s" if site.power.slot_seconds < SLOT_SECONDS else "15s",
        },
        "ppa": {"kind": "fixed", "usd_per_kilowatt_hour": 0.05},
        "time-of-use": {
            "kind": "time_of_use",
            "timezone": "America/Chicago",
            "periods": [
                {"price": 0.088, "days": "weekday", "from": "16:00", "to": "21:00"},
                {"price": 0.041, "from": "22:00", "to": "06:00"},
                {"price": 0.056},
            ],
        },
    }
