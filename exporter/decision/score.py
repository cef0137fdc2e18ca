"""The reassign score: by how much AI would pay more for the same kilowatt."""

from exporter.model.units import finite


def reassign_score(
    ai_value: float | None, conversion_margin: float | None, *, sale_value: float = 0.0, resale_decay: float = 0.0
) -> float | None:
    """Return the score, all figures in USD per kW and year; None without an AI value above zero or a margin.

        score = AI value + sale value - max(conversion margin - resale decay, 0)

    A margin below zero adds nothing: rigs that lose money can be switched off, which is curtailment's gain.

    Args:
        ai_value: of the AI business.
        conversion_margin: what mining would earn.
        sale_value: of the rigs, less their removal, levelised over the AI term.
        resale_decay: what the rigs' sale price loses per year; the former setting, in place of ``sale_value``.
    """
    if ai_value is None or ai_value <= 0:
        return None
    return advantage(ai_value, conversion_margin, sale_value=sale_value, resale_decay=resale_decay)


def advantage(
    ai_value: float | None, conversion_margin: float | None, *, sale_value: float, resale_decay: float
) -> float | None:
    """Return the score whatever the sign of the AI value, as for AI's low scenario."""
    if ai_value is None or conversion_margin is None:
        return None
    return finite(ai_value + sale_value - max(conversion_margin - resale_decay, 0.0))


def payback_years(
    capex: float | None, noi: float | None, conversion_margin: float | None, net_sale: float = 0.0
) -> float | None:
    """Return the years in which a conversion pays back, net of the mining margin given up; None if never.

    Args:
        capex: USD per utility kW.
        noi: the tenant's net operating income, USD per utility kW and year.
        conversion_margin: USD per kW and year; one below zero is no loss, because the rigs can be switched off.
        net_sale: what the rigs are sold for, less their removal, USD per utility kW.
    """
    if capex is None or noi is None or conversion_margin is None:
        return None
    gain = noi - max(conversion_margin, 0.0)
    return finite(max(capex - net_sale, 0.0) / gain) if gain > 0 else None
