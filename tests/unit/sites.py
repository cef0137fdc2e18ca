"""Builders of small sites for the tests of the pure rooms: the market of 21 March 2026, a 17.5 J/TH rig at $0.05."""

from dataclasses import replace
from typing import Any

from exporter.decision.history import MarginHistory
from exporter.decision.settings import DecisionSettings
from exporter.decision.site import decide
from exporter.decision.values import DecisionState, SiteDecision
from exporter.economics.margin import RigPricer
from exporter.economics.market import price_market
from exporter.economics.settings import (
    AiSettings,
    EconomicsSettings,
    PayoutScheme,
    PowerSettings,
    SiteSettings,
    TariffOverrides,
)
from exporter.economics.values import MarketEconomics, RigEconomics, SiteEconomics
from exporter.model.fleet import Block, Rig
from exporter.model.readings import NetworkState, Reading, RigReading
from exporter.model.snapshot import RigSnapshot, SiteSnapshot, TariffPrice

NOW = 1_774_100_000.0
HASHPRICE = 33.30
EPOCH_START = 941_472

POOL = EconomicsSettings(pool_fee=0.01)
AIR_COOLED = PowerSettings(overhead=1.03)
LEASE = AiSettings(rent_usd_per_kilowatt_month=150, capex_usd_per_kilowatt=10_000)
SITE = SiteSettings(economics=POOL, power=AIR_COOLED, ai=LEASE, tariff="ppa")


def network(**changes: Any) -> NetworkState:
    """1,000 blocks into the epoch, at the pace of ten minutes a block."""
    facts: dict[str, Any] = {
        "height": EPOCH_START + 1_000,
        "difficulty": 133.79e12,
        "block_fees": 0.0222,
        "epoch_start_time": NOW - 600_000,
        "tip_time": NOW,
    }
    return NetworkState(**(facts | changes))


def market(**changes: Any) -> MarketEconomics:
    """The market at those facts, at $70,370 a bitcoin."""
    return price_market(Reading(network(**changes), NOW), Reading(70_370.0, NOW), PayoutScheme.FPPS, None)


def flat_market(hashprice: float = HASHPRICE) -> MarketEconomics:
    """A market known only by its hashprice, flat ahead."""
    return MarketEconomics(payout_usd=hashprice, payout_btc=hashprice / 70_370, forward_payout_usd=hashprice)


def rig(
    *,
    hashrate: float | None = 200e12,
    power: float | None = 3_500.0,
    reject_ratio: float | None = 0.002,
    name: str = "a-01",
    block: str = "north",
    uptime: float | None = None,
    facts: dict[str, Any] | None = None,
    **changes: Any,
) -> RigSnapshot:
    """A rig that answers with ``hashrate`` and ``power``, or does not answer where ``hashrate`` is None.

    Its algorithm is set to SHA-256, unless ``facts`` set another.
    """
    reading = None if hashrate is None else Reading(RigReading(hashrate=hashrate, power=power, uptime=uptime), NOW)
    return RigSnapshot(
        rig=Rig(name=name, address="127.0.0.1", block=block, tariff="ppa", **({"algorithm": "sha256"} | (facts or {}))),
        reading=reading,
        reject_ratio=reject_ratio,
        **changes,
    )


def price(
    snapshot: RigSnapshot,
    *,
    at: MarketEconomics | None = None,
    power_price: float | None = 0.05,
    economics: EconomicsSettings = POOL,
    power: PowerSettings = AIR_COOLED,
    own: TariffOverrides | None = None,
    **prices: float,
) -> RigEconomics:
    """Price one rig, on the tariff ``ppa``; ``prices`` are further tariffs, ``own`` what it has otherwise."""
    tariffs = {name: TariffPrice(value) for name, value in prices.items()}
    if power_price is not None:
        tariffs["ppa"] = TariffPrice(power_price)
    settings = SiteSettings(economics=economics, power=power, tariffs={} if own is None else {"ppa": own})
    return RigPricer(flat_market() if at is None else at, tariffs, settings).price(snapshot)


def site(*rigs: RigSnapshot, **changes: Any) -> SiteSnapshot:
    """A site of these rigs with one block of 500 kW, on the market of :func:`network`."""
    facts: dict[str, Any] = {
        "taken_at": NOW,
        "rigs": rigs,
        "blocks": (Block(name="north", capacity_watts=500_000.0),),
        "network": Reading(network(), NOW),
        "bitcoin_price": Reading(70_370.0, NOW),
        "tariffs": {"ppa": TariffPrice(0.05)},
    }
    return SiteSnapshot(**(facts | changes))


def decided(
    snapshot: SiteSnapshot,
    economics: SiteEconomics,
    settings: DecisionSettings | None = None,
    site_settings: SiteSettings = SITE,
) -> SiteDecision:
    """What the first evaluation decides, with no past behind it."""
    return decide(DecisionState(), snapshot, economics, MarginHistory(), site_settings, settings or DecisionSettings())[
        0
    ]


def replace_tariff(snapshot: RigSnapshot, tariff: str) -> RigSnapshot:
    """The same rig, billed on another tariff."""
    return replace(snapshot, rig=replace(snapshot.rig, tariff=tariff))
