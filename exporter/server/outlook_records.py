"""The record that ``/api/v1/outlook`` returns. Values are per utility kW of a block, in USD of today."""

from dataclasses import dataclass
from typing import Annotated

from exporter.decision.prospect import QUANTILES, BlockForecast, Outlook


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRecord:
    """Starting the conversion of a block after so many months."""

    months: Annotated[int, "Months from now. The last start is at the end of the rigs' life."]
    mean_usd_per_kilowatt: Annotated[float, "Mean value over all paths."]
    quantiles_usd_per_kilowatt: Annotated[tuple[float, ...], "Values at the `quantiles` of the outlook."]


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockOutlookRecord:
    """The outlook of one block."""

    block: Annotated[str, "Name of the block."]
    probability_ratio: Annotated[float, "Share of all paths on which starting now is worth more than `best_later`."]
    best_later_months: Annotated[int, "The start after now with the highest mean."]
    never_usd_per_kilowatt: Annotated[float, "Mean value of mining until the end of the rigs' life, without a lease."]
    starts: Annotated[tuple[StartRecord, ...], "The starts that are compared, by months."]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlookRecord:
    """Converting now, later or never, over many paths of price and difficulty. Null while there is no outlook."""

    asked_at_timestamp_seconds: Annotated[float, "Unix time of the market that it starts from, in seconds."]
    quantiles: Annotated[tuple[float, ...], "Shares of paths for which the quantiles are given."]
    hashprices_usd_per_petahash_day: Annotated[
        tuple[tuple[float, ...], ...], "Hashprice at those quantiles, for each month from now."
    ]
    blocks: Annotated[tuple[BlockOutlookRecord, ...], "The blocks with a known history."]


def outlook_record(outlook: Outlook) -> OutlookRecord:
    """Make the record of an outlook."""
    return OutlookRecord(
        asked_at_timestamp_seconds=outlook.asked_at,
        quantiles=QUANTILES,
        hashprices_usd_per_petahash_day=outlook.hashprices,
        blocks=tuple(map(_block_record, outlook.blocks)),
    )


def _block_record(forecast: BlockForecast) -> BlockOutlookRecord:
    return BlockOutlookRecord(
        block=forecast.block,
        probability_ratio=forecast.probability,
        best_later_months=forecast.best_later,
        never_usd_per_kilowatt=forecast.never,
        starts=tuple(
            StartRecord(
                months=start.months,
                mean_usd_per_kilowatt=start.mean,
                quantiles_usd_per_kilowatt=start.quantiles,
            )
            for start in forecast.starts
        ),
    )
