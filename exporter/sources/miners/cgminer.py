"""What firmware that descends from cgminer has in common: sections of rows, and its pools."""

from exporter.failures import Failure, Reason
from exporter.readings import Pool
from exporter.sources.miners import coerce
from exporter.sources.miners.contract import Answer
from exporter.sources.miners.transport import rpc


async def version(address: str) -> Answer:
    """Ask for ``version``: the probe of every cgminer descendant. Raises Failure."""
    return await rpc(address, "version")


async def optional(address: str, command: str) -> Answer:
    """Ask for what a read can do without: empty where the answer is no good. Raises Failure where none comes."""
    try:
        return await rpc(address, command)
    except Failure as failure:
        if failure.reason is not Reason.GARBLED:
            raise
        return {}


def pools(answer: Answer) -> tuple[Pool, ...]:
    """Translate the ``POOLS`` section, in its order; slots without a pool are left out."""
    rows = enumerate(coerce.items(answer.get("POOLS")))
    return tuple(_pool(index, row) for index, row in rows if coerce.text(row.get("URL")))


def _pool(index: int, row: Answer) -> Pool:
    scheme, host = coerce.endpoint(row.get("URL"))
    status = row.get("Status")
    return Pool(
        index=index,
        host=host,
        scheme=scheme,
        worker=coerce.text(row.get("User")),
        up=status == "Alive" if isinstance(status, str) else None,
        active=coerce.flag(row.get("Stratum Active")),
        accepted=coerce.counter(row.get("Accepted")),
        rejected=coerce.counter(row.get("Rejected")),
        stale=coerce.counter(row.get("Stale")),
    )
