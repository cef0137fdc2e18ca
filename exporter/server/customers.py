"""What a customer's login may see: his own rigs, in his own book."""

import re
from dataclasses import replace
from typing import Final

from aiohttp import web

from exporter.decision.explain import Explanation
from exporter.decision.values import RigDecision, SiteDecision, Verdict
from exporter.economics.values import Books, RigEconomics, SiteEconomics
from exporter.exposition.views import SiteView
from exporter.model.snapshot import SiteSnapshot

CUSTOMER: Final = web.RequestKey("customer", str)
"""Key of a request under which the guard notes the customer of its login."""
HOME: Final = "/rigs"
_PATHS: Final = re.compile(r"/(rigs|api/v1/rigs)(/.+)?|/static/[^/]+")
_NO_BOOKS: Final = Books()


def may_open(path: str) -> bool:
    """Return whether a customer's login may open a decoded path. Whatever is not listed is closed."""
    return _PATHS.fullmatch(path) is not None


def seen_by(request: web.Request, view: SiteView) -> SiteView:
    """Return what the request's login may see: everything, or a customer's rigs alone.

    Of a rig with a hosting contract the margin is the customer's, and the host's figures are absent.
    """
    customer = request.get(CUSTOMER)
    if customer is None:
        return view
    own = [rig for rig in view.rigs if rig.snapshot.rig.customer == customer]
    return SiteView(
        snapshot=SiteSnapshot(taken_at=view.snapshot.taken_at, rigs=tuple(rig.snapshot for rig in own)),
        economics=SiteEconomics(market=view.economics.market, rigs=tuple(_in_his_book(rig.economics) for rig in own)),
        decision=SiteDecision(rigs=tuple(_of_his_concern(rig.decision) for rig in own)),
        shard=view.shard,
    )


def explanation_for(request: web.Request, explanation: Explanation) -> Explanation:
    """Return an explanation as the request's login may see it: to a customer, without the host's prices and books."""
    if request.get(CUSTOMER) is None:
        return explanation
    return replace(explanation, decision=_of_his_concern(explanation.decision), inputs=(), lines=(), axis=(), flips=())


def _in_his_book(economics: RigEconomics) -> RigEconomics:
    books = economics.books or _NO_BOOKS
    if not books.contract:
        return economics
    judged = None if books.host_may_curtail else economics.opportunity_margin
    return RigEconomics(
        power=economics.power,
        power_source=economics.power_source,
        efficiency=economics.efficiency,
        revenue=economics.revenue,
        margin=books.customer_margin,
        potential_margin=judged,
        potential_power=economics.potential_power,
        books=Books(
            customer_margin=books.customer_margin,
            customer_potential=books.customer_potential,
            contract=books.contract,
            space_fee=books.space_fee,
        ),
    )


def _of_his_concern(decision: RigDecision) -> RigDecision:
    """Leave out that the host would convert the block."""
    shown = None if decision.verdict is Verdict.REASSIGN else decision.verdict
    since = None if shown is None else decision.verdict_since
    return RigDecision(verdict=shown, verdict_since=since, held=decision.held)
