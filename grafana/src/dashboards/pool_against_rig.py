"""Pool against rig: what rigs report, what their shares prove, what pools credit and pay."""

from grafana_foundation_sdk.builders import dashboard as builders

from dashboards import panels
from dashboards.frame import BLOCKS, begin
from dashboards.panels import (
    HASHRATE,
    IN_BLOCK,
    NONE_WANTED,
    PLAIN,
    RATIO,
    USD_PER_DAY,
    Column,
    Face,
    Panel,
    Query,
    largest,
    open_with,
    series,
    total,
)

_CHOSEN = 'block=~"$block"'
_BLOCK = "site, block"
_BITCOIN = "currencyBTC"
_SHORT: panels.Steps = ((None, "green"), (0.02, "orange"), (0.05, "red"))
_UNPAID: panels.Steps = ((None, "green"), (0.01, "red"))


def build() -> builders.Dashboard:
    """Deficits and leaks by rig and block, workers without credit, and payouts."""
    page = begin(
        "hashmargin / Pool against rig",
        "hashmargin-pool-against-rig",
        "What rigs report, their shares prove, and pools credit and pay, over the same windows of up to 36 hours.",
        BLOCKS,
    )
    for panel in (*_now(), *_over_time(), *_each(), *_payouts()):
        page.with_panel(panel)
    return page


def _now() -> list[Panel]:
    uncredited = f"{series('mining_rig_pool_credited')} == 0"
    leak, lost = series("mining_block_pool_leak"), series("mining_block_pool_leak_usd_per_day")
    return [
        panels.figures(
            Face("Lost by leaks", "What leaks of blocks cost now. Unknown if one cannot be priced.", USD_PER_DAY, 6, 5),
            f"sum by (site) ({lost}) unless on (site) ({leak} == 1 unless on (job, site, instance, block) {lost})"
            f" or sum by (site) ({leak}) == 0",
        ),
        panels.figures(
            Face("Deficit", "Share of the reported hashrate that the pools did not credit.", RATIO, 6, 5),
            f"1 - {total('mining_block_pool_credited_hashrate_hashes_per_second', by='site')}"
            f" / {total('mining_block_pool_reported_hashrate_hashes_per_second', by='site')}",
            _SHORT,
        ),
        panels.figures(
            Face("Rigs that leak", "Rigs with a leak in two windows in a row.", PLAIN, 6, 5),
            f"sum by (site) ({series('mining_rig_pool_leak')})",
            NONE_WANTED,
        ),
        panels.figures(
            Face("Rigs without credit", "Rigs whose worker has no work at the pool, or is not listed.", PLAIN, 6, 5),
            f"count by (site) ({uncredited}) or 0 * count by (site) ({series('mining_rig_pool_credited')})",
            NONE_WANTED,
        ),
    ]


def _over_time() -> list[Panel]:
    return [
        panels.lines(
            Face("Hashrate", "Over the reconciled window, of all rigs with a worker at a pool.", HASHRATE),
            *(
                Query(
                    total(f"mining_block_pool_{each}_hashrate_hashes_per_second", _CHOSEN, by="site"),
                    f"{{{{site}}}} {each}",
                )
                for each in ("reported", "accepted", "credited")
            ),
        ),
        panels.lines(
            Face("Deficit by block", "Share of the reported hashrate that the pools did not credit.", RATIO),
            Query(largest("mining_block_pool_deficit_ratio", _CHOSEN, by=_BLOCK), "{{site}} {{block}}"),
        ),
    ]


def _each() -> list[Panel]:
    by = "site, block, rig"
    worst = f"topk(25, {series('mining_rig_pool_deficit_ratio')}) * {IN_BLOCK}"
    uncredited = f"1 - ({series('mining_rig_pool_credited')} == 0)"
    return [
        panels.rows(
            Face("Blocks", "Their balance over the latest window.", PLAIN, 12, 9),
            Column("Deficit", largest("mining_block_pool_deficit_ratio", _CHOSEN, by=_BLOCK), RATIO, _SHORT),
            Column("Error", largest("mining_block_pool_error_ratio", _CHOSEN, by=_BLOCK), RATIO),
            Column("Sigmas", largest("mining_block_pool_deficit_sigmas", _CHOSEN, by=_BLOCK), PLAIN),
            Column("Leak", largest("mining_block_pool_leak_usd_per_day", _CHOSEN, by=_BLOCK), USD_PER_DAY),
            key="block",
        ),
        panels.rows(
            Face(
                "Rigs with the largest deficits",
                "The 25 with the largest. Chance alone is below the error.",
                RATIO,
                12,
                9,
            ),
            Column("Deficit", f"max by ({by}) ({worst})", RATIO, _SHORT),
            key="rig",
            link=open_with("hashmargin-rig", "rig"),
        ),
        panels.rows(
            Face(
                "Workers without credit", "Rigs whose worker has no work at the pool, or is not listed.", PLAIN, 12, 8
            ),
            Column(
                "No credit",
                f"max by ({by}) ({uncredited} * {IN_BLOCK})",
                PLAIN,
                shown_as=panels.texts(**{"1": ("yes", "red")}),
            ),
            key="rig",
            link=open_with("hashmargin-rig", "rig"),
        ),
        panels.rows(
            Face("Accounts", "Workers that pools list, and those of no rig.", PLAIN, 12, 8),
            Column("Workers", total("mining_pool_workers", by="site, account"), PLAIN),
            Column("Of no rig", total("mining_pool_workers_unmatched", by="site, account"), PLAIN, NONE_WANTED),
            Column(
                "Credited", largest("mining_pool_credited_hashrate_hashes_per_second", by="site, account"), HASHRATE
            ),
            key="account",
        ),
    ]


def _payouts() -> list[Panel]:
    by = "site, account"
    return [
        panels.lines(
            Face("Payout of the latest paid day", "Expected by the pool's scheme after its fee, and paid.", _BITCOIN),
            Query(largest("mining_pool_payout_expected_bitcoins", by=by), "{{site}} {{account}} expected"),
            Query(largest("mining_pool_payout_paid_bitcoins", by=by), "{{site}} {{account}} paid"),
        ),
        panels.rows(
            Face("Payouts", "A shortfall is judged per day, luck over weeks.", PLAIN, 12, 8),
            Column("Shortfall", largest("mining_pool_payout_shortfall_ratio", by=by), RATIO, _UNPAID),
            Column("Luck", largest("mining_pool_payout_luck_ratio", by=by), RATIO),
            key="account",
        ),
    ]
