"""The reassign score: by how much AI would pay more for the same kilowatt."""

from exporter.model.units import finite


def reassign_score(ai_value: float | None, mining_margin: float | None, resale_decay: float) -> float | None:
    """Return the score, all figures in USD per kW and year; None without an AI value above zero or a mining margin.

    A losing rig can simply be switched off, so a mining margin below zero adds nothing: avoiding that loss is
    curtailment's gain. ``resale_decay`` is what the rigs lose in resale price while they go on mining.
    """
    if ai_value is None or mining_margin is None or ai_value <= 0:
        return None
    return ai_value - max(mining_margin - resale_decay, 0.0)


def payback_years(capex: float | None, noi: float | None, mining_margin: float | None) -> float | None:
    """Return the years in which a conversion comes back, net of the mining margin given up; None where never.

    Args:
        capex: USD per utility kW.
        noi: the tenant's net operating income, USD per utility kW and year.
        mining_margin: USD per kW and year; a negative one is no loss, for a losing rig can be switched off.
    """
    if capex is None or noi is None or mining_margin is None:
        return None
    gain = noi - max(mining_margin, 0.0)
    return finite(capex / gain) if gain > 0 else None
