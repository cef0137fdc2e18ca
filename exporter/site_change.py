"""Why the site's margin changed since yesterday, and the samples of it that a restart keeps."""

from typing import Final

from exporter.decision.change import (
    MarginChange,
    Sample,
    cause_of_site,
    change_since_yesterday,
    sampled,
    shifted,
)
from exporter.economics.values import SiteEconomics
from exporter.exposition.views import is_mining
from exporter.model.readings import Reading
from exporter.model.snapshot import SiteSnapshot
from exporter.state import State, document

_SAMPLES: Final = "margin change"


class SiteChange:
    """Samples what the margin is made of. Goes on with the samples in ``state``."""

    def __init__(self, state: State) -> None:
        kept = state.reading(_SAMPLES, tuple[Sample, ...])
        self._samples: tuple[Sample, ...] = () if kept is None else kept.value

    def observe(self, snapshot: SiteSnapshot, economics: SiteEconomics) -> MarginChange | None:
        """Note an evaluation after the first round of polls. Returns the change; None while it is not known."""
        mining = sum(rig.reading is not None and is_mining(rig.reading.value) for rig in snapshot.rigs)
        uptime = mining / len(snapshot.rigs) if snapshot.rigs else 0.0
        cause = cause_of_site(snapshot, economics, uptime)
        self._samples = sampled(self._samples, cause, snapshot.taken_at)
        return change_since_yesterday(self._samples, cause, snapshot.taken_at)

    def shift(self, seconds: float) -> None:
        """Go on after the system clock was set by ``seconds``."""
        self._samples = shifted(self._samples, seconds)

    def documents(self) -> dict[str, Reading[str]]:
        """Write the samples as a document for the state file; none before the first one."""
        return {_SAMPLES: document(Reading(self._samples, self._samples[-1].at))} if self._samples else {}
