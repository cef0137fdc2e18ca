"""``hashmargin backtest``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from exporter.cli.errors import EXIT_CODES, CommandError, InputError
from exporter.cli.options import Number, load_file, path_type, with_output
from exporter.cli.output import to_json
from exporter.cli.server import Server

if TYPE_CHECKING:
    from exporter.tools import backtest as backtest_tool
    from exporter.tools.history import Row


@click.command(
    epilog=f"""\b
Examples:
  hashmargin backtest --sample
  hashmargin backtest --sample --config.file site.yml --folder report
  hashmargin backtest --history prices.csv --config.file site.yml
  hashmargin backtest --prometheus http://prometheus:9090 --days 90 --tariff spot --config.file site.yml

\b
A history file has one line per change of the market, with the columns time, power_price (USD/kWh) and hashprice
(USD/PH/day). Instead of hashprice it may have bitcoin (USD), difficulty and reward (BTC per block). With difficulty,
retargets are known as the exporter would know them. sale_price (USD/kWh) is what power can be sold at.

{EXIT_CODES}"""
)
@click.option("--sample", is_flag=True, help="Use the included history: published points, the rest generated.")
@click.option("--history", type=path_type(), metavar="FILE", help="Use a history from a CSV file.")
@click.option("--prometheus", metavar="URL", help="Use the history of the Prometheus that scrapes the exporter.")
@click.option(
    "--days", type=Number(1, 3_650), default=90.0, show_default=True, help="With --prometheus: length of the history."
)
@click.option("--tariff", metavar="NAME", help="With --prometheus: use the power price of this tariff.")
@click.option(
    "--hours-ahead",
    type=Number(0, 48),
    default=0.0,
    show_default=True,
    help="Hours for which power prices are known ahead, such as 24 in a day-ahead market.",
)
@click.option("--site", metavar="NAME", help="With --prometheus: only series with this target label `site`.")
@click.option(
    "--config.file",
    "config_file",
    type=path_type(),
    metavar="FILE",
    help="The site's YAML file, for its fleet and its economic settings.",
)
@click.option(
    "--folder",
    type=path_type(must_exist=False, folder=True),
    default=Path("backtest"),
    show_default=True,
    help="Directory for report.md, its plots and history.csv.",
)
@click.option("--no-plots", is_flag=True, help="Write the report without plots, which need matplotlib.")
@with_output
def backtest(
    sample: bool, history: Path | None, prometheus: str | None, config_file: Path | None, **options: Any
) -> None:
    """Compute what the verdicts would have earned.

    Replays the history of the market with the fleet of a configuration (with --sample, a sample fleet by default) and
    the decision code of the exporter. The report compares the verdicts' earnings with always mining, with curtailing
    at every loss, and with perfect foresight.
    """
    from exporter.tools import backtest, plots

    if sum((sample, history is not None, prometheus is not None)) != 1:
        raise click.UsageError("give one of --sample, --history and --prometheus")
    if config_file is None and not sample:
        raise click.UsageError("--config.file is required: the fleet and its economic settings come from it")
    drawn, folder = not options["no_plots"], options["folder"]
    if drawn and not plots.installed():
        raise CommandError("plots need matplotlib: run pip install 'hashmargin[backtest]', or add --no-plots")
    fleet = backtest.sample_fleet() if config_file is None else _configured_fleet(config_file)
    rows = _history(history, prometheus, options)
    try:
        folder.mkdir(parents=True, exist_ok=True)  # before the replay, which takes long
        result = backtest.replay(rows, fleet, known_ahead=options["hours_ahead"] * 3_600.0)
        report = backtest.write(rows, fleet, result, folder, drawn=drawn)
    except OSError as error:
        raise CommandError(f"cannot write to {folder} ({error.strerror}): give another --folder") from None
    if options["output"] == "json":
        click.echo(to_json(backtest.as_record(rows, result)))
    else:
        if any(row.generated for row in rows):
            click.secho("Part of this history is generated, not observed: see the report.", fg="yellow")
        click.echo(f"{backtest.money(result)}\n\nWritten to {report}")


def _history(file: Path | None, prometheus: str | None, options: Mapping[str, Any]) -> list[Row]:
    """Read the history from Prometheus, else from the file, else from the sample. Raises InputError, CommandError."""
    import time

    from exporter.tools import history

    if prometheus is not None:
        selection = {name: options[name] for name in ("tariff", "site", "days")}
        end = float(int(time.time()))
        rows = Server(prometheus).query(partial(history.query_history, end=end, **selection))
    else:
        try:
            rows = history.sample() if file is None else history.read_csv(file)
        except history.HistoryError as error:
            raise InputError(str(error)) from None
    if len(rows) < 2:  # noqa: PLR2004 -- see the message
        raise InputError("a history needs at least two points: the last one only marks its end")
    return rows


def _configured_fleet(config_file: Path) -> backtest_tool.Fleet:
    from exporter.tools.backtest import fleet_of

    settings = load_file(config_file)
    fleet = fleet_of(settings.site, settings.rigs, settings.fleet_blocks, settings.site_settings, settings.decision)
    if not fleet.groups:
        lacking = "rated_terahash and rated_watts" if not fleet.unknown else "algorithm: sha256"
        raise InputError(f"{config_file}: no rig has {lacking}, so there is nothing to replay")
    return fleet
