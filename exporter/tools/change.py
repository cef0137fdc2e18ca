"""Why the margin of a site changed, from the Prometheus that scrapes its exporters."""

from collections.abc import Mapping
from typing import Any, Final

from exporter.decision.change import CAUSES, Cause, cause_of, split
from exporter.model.failures import Failure, Reason
from exporter.sources.http import Endpoint
from exporter.sources.prometheus import ask_one, quoted
from exporter.tools import tables
from exporter.tools.sites import check_site

_QUERIES: Final = {
    "bitcoin": "max(mining_bitcoin_price_usd{site}{at})",
    "difficulty": "max(mining_network_difficulty{site}{at})",
    "subsidy": "max(mining_network_subsidy_bitcoins{site}{at})",
    "hashprice_btc": "max(mining_hashprice_bitcoins_per_petahash_day{site}{at})",
    "revenue": "sum(mining_block_revenue_usd_per_day{site}{at})",
    "cost": "sum(mining_block_power_cost_usd_per_day{site}{at})",
    "watts": "sum(mining_block_billed_power_watts{site}{at})",
    "uptime": "sum(mining_rigs{mining}{at}) / sum(mining_rigs{site}{at})",
}
_WORDS: Final = {"bitcoin_price": "bitcoin price", "power_price": "power price"}


async def query(endpoint: Endpoint, *, site: str | None, seconds: float) -> dict[str, Any]:
    """Return the change of the margin since so many seconds ago, by cause. Raises Failure and UnknownSiteError."""
    await check_site(endpoint, site)
    before, after = await _cause(endpoint, site, ago=seconds), await _cause(endpoint, site)
    return {"seconds": seconds, **_record(before, after)}


async def between(endpoint: Endpoint, site: str | None, before: float, after: float, seconds: float) -> dict[str, Any]:
    """Return the change between the means of two spans of so many seconds, by their ends (unix seconds)."""
    spans = [f"avg_over_time(({{}})[{seconds:.0f}s:5m] @ {end:.0f})" for end in (before, after)]
    return _record(*[await _cause(endpoint, site, mean=span) for span in spans])


def _record(before: Cause, after: Cause) -> dict[str, Any]:
    return {
        "margin_usd_per_day": {"before": before.margin, "after": after.margin},
        "causes_usd_per_day": dict(split(before, after)),
        "values": {name: {"before": getattr(before, name), "after": getattr(after, name)} for name in CAUSES},
    }


async def _cause(endpoint: Endpoint, site: str | None, *, ago: float = 0.0, mean: str = "{}") -> Cause:
    where = [] if site is None else [f'site="{quoted(site)}"']
    at = f" offset {ago:.0f}s" if ago else ""
    mining = [*where, 'status="mining"']
    selectors = {"{site}": "{" + ",".join(where) + "}", "{mining}": "{" + ",".join(mining) + "}"}
    values: dict[str, float] = {}
    for name, query in _QUERIES.items():
        text = query.replace("{at}", at)
        for mark, selector in selectors.items():
            text = text.replace(mark, selector)
        values[name] = (await ask_one(endpoint, mean.replace("{}", text))).value
    cause = cause_of(**values)
    if cause is None:
        raise Failure(Reason.NOT_READY, "no rig was mining at one of the two times: give another --since")
    return cause


def as_text(change: Mapping[str, Any]) -> str:
    """Format the change for a terminal, largest cause first."""
    margin, causes, values = change["margin_usd_per_day"], change["causes_usd_per_day"], change["values"]
    rows = [
        (
            _WORDS.get(name, name),
            tables.significant(values[name]["before"]),
            tables.significant(values[name]["after"]),
            f"{causes[name]:+,.2f}",
        )
        for name in sorted(causes, key=lambda name: -abs(causes[name]))
    ]
    difference = margin["after"] - margin["before"]
    rows.append(("margin", tables.figure(margin["before"]), tables.figure(margin["after"]), f"{difference:+,.2f}"))
    return tables.as_text(("cause", "before", "now", "margin, USD/day"), rows, right=(1, 2, 3))
