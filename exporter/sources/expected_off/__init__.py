"""What should be off: maintenance, curtailment, demand response. A rig that should be off is not a fault."""

from typing import Final

from pydantic import Field

from exporter.model.fields import Duration
from exporter.model.obligations import ObligationKind, OnStale
from exporter.sources.contract import SourceSettings

ON_STALE: Final = (
    "`hold` (its last state holds until its own end, however long), `unknown` (it holds for at most an hour, and then "
    "it is not known whether the rigs should mine)"
)


class ExpectedOffSettings(SourceSettings):
    """Settings of all these sources."""

    interval: Duration = Field(default=15.0, description="How often the value is requested.")
    max_age: Duration = Field(
        default=180.0, description="A value older than this is not used. The rigs that it named should then mine again."
    )
    on_stale: OnStale = Field(
        default=OnStale.MINE,
        description=f"What holds once the value is older than `max_age`: `mine` (it is not used), {ON_STALE}.",
    )
    off_because: ObligationKind = Field(
        default=ObligationKind.CALL,
        description="Why the rigs are off, for `mining_rig_expected_off_info`: `maintenance`, `schedule`, `call`, "
        "`cap`, `peak` or `award`.",
    )
