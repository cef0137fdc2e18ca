"""The decision for a whole site."""

from exporter.decision.history import MarginHistory, recent, watched
from exporter.decision.settings import DecisionSettings
from exporter.decision.values import BlockDecision, Clock, DecisionState, RigDecision, SiteDecision, Verdict
from exporter.decision.verdict import Turn, decide_block, decide_rig
from exporter.economics.site import rigs_by_block
from exporter.economics.values import SiteEconomics
from exporter.model.snapshot import SiteSnapshot

_NEW = Clock()


def decide(
    previous: DecisionState,
    snapshot: SiteSnapshot,
    economics: SiteEconomics,
    history: MarginHistory,
    terms: DecisionSettings,
    now: float,
) -> tuple[SiteDecision, DecisionState]:
    """Say the verdict on every rig and block, and what the next evaluation must know of this one.

    Args:
        previous: what the last evaluation returned; a new one at the first start.
        snapshot: the site.
        economics: the same snapshot, priced.
        history: hourly margins of the blocks, this moment's included.
        terms: thresholds and dwell times.
        now: unix seconds.
    """
    turn = Turn(
        terms=terms,
        market=economics.market,
        now=now,
        elapsed=watched(previous.evaluated_at, now, terms.longest_gap),
    )
    blocks: list[BlockDecision] = []
    rigs: dict[int, RigDecision] = {}
    block_clocks: dict[str, Clock] = {}
    rig_clocks: dict[str, Clock] = {}
    for (block, places), summed in zip(rigs_by_block(snapshot).items(), economics.blocks, strict=True):
        hours = recent(history.blocks.get(block.name, ()), now, terms.history)
        decision, clock = decide_block(previous.blocks.get(block.name, _NEW), block, summed, hours, turn)
        blocks.append(decision)
        block_clocks[block.name] = clock
        reassigned = decision.verdict is Verdict.REASSIGN
        for place in places:
            rig = snapshot.rigs[place]
            name = rig.rig.name
            before = previous.rigs.get(name, _NEW)
            rigs[place], rig_clocks[name] = decide_rig(
                before, rig, economics.rigs[place], turn, block_reassigned=reassigned
            )
    return (
        SiteDecision(rigs=tuple(rigs[place] for place in range(len(snapshot.rigs))), blocks=tuple(blocks)),
        DecisionState(evaluated_at=now, rigs=rig_clocks, blocks=block_clocks),
    )
