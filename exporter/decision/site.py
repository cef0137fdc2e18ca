"""The decision for a whole site."""

from exporter.decision.score import payback_years, reassign_score
from exporter.decision.terms import DecisionTerms
from exporter.decision.values import BlockDecision, RigDecision, SiteDecision
from exporter.economics.site import per_kilowatt_year
from exporter.economics.values import BlockEconomics, MarketEconomics, SiteEconomics


def score_site(economics: SiteEconomics, terms: DecisionTerms) -> SiteDecision:
    """Score every rig and block at this moment; verdicts, which take time, are None."""
    ai_value = economics.market.ai_value_per_kilowatt_year
    decay = terms.resale_decay_usd_per_kilowatt_year
    return SiteDecision(
        rigs=tuple(
            RigDecision(
                reassign_score=reassign_score(
                    ai_value, per_kilowatt_year(rig.potential_margin, rig.potential_power), decay
                )
            )
            for rig in economics.rigs
        ),
        blocks=tuple(_score_block(block, economics.market, decay) for block in economics.blocks),
    )


def _score_block(block: BlockEconomics, market: MarketEconomics, decay: float) -> BlockDecision:
    mining = per_kilowatt_year(block.potential_margin, block.potential_power)
    return BlockDecision(
        name=block.name,
        reassign_score=reassign_score(market.ai_value_per_kilowatt_year, mining, decay),
        payback_years=payback_years(market.ai_capex_per_kilowatt, market.ai_noi_per_kilowatt_year, mining),
    )
