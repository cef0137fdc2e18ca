"""``hashmargin report``."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from exporter.cli.errors import EXIT_CODES, CommandError, InputError
from exporter.cli.options import path_type
from exporter.cli.output import to_json
from exporter.cli.server import Server, with_scheme


@click.command(
    epilog=f"""\b
Examples:
  hashmargin report --prometheus http://prometheus:9090 --day 2026-11-28 --timezone America/Chicago
  hashmargin report --prometheus http://prometheus:9090 --month 2026-11 --output html --to november.html

{EXIT_CODES}"""
)
@click.option("--prometheus", required=True, metavar="URL", help="The Prometheus that scrapes the exporters.")
@click.option("--day", metavar="YYYY-MM-DD", help="Report this day.")
@click.option("--month", metavar="YYYY-MM", help="Report this month.")
@click.option("--timezone", default="UTC", show_default=True, metavar="ZONE", help="Time zone of the day or month.")
@click.option("--site", metavar="NAME", help="Only series with this target label `site`.")
@click.option(
    "--output",
    type=click.Choice(["markdown", "csv", "html", "json"]),
    default="markdown",
    show_default=True,
    help="html is made for print.",
)
@click.option("--to", type=path_type(must_exist=False), metavar="FILE", help="Write to this file.")
def report(
    prometheus: str, day: str | None, month: str | None, timezone: str, site: str | None, output: str, to: Path | None
) -> None:
    """Report a day or a month of a site.

    Shows the margin and what changed it since the span before, curtailment and what it saved, the worst blocks and
    rigs, rigs without an answer, and the alerts that fired. What is not recorded is unknown.
    """
    import time
    from zoneinfo import ZoneInfo

    from exporter.tools import report
    from exporter.tools.sites import UnknownSiteError
    from exporter.tools.spans import Span

    if (day is None) is (month is None):
        raise click.UsageError("give one of --day and --month")
    try:
        zone = ZoneInfo(timezone)
    except (ValueError, OSError, KeyError):
        raise InputError(f"{timezone!r} is not a time zone such as America/Chicago") from None
    named = day or month or ""
    try:
        span = Span.day(day, zone) if day else Span.month(named, zone)
    except ValueError:
        raise InputError(f"{named!r} is not a {'day such as 2026-11-28' if day else 'month such as 2026-11'}") from None
    if span.end > time.time():
        raise InputError(f"{named} is not over yet in {timezone}")
    try:
        record = Server(with_scheme(prometheus)).query(partial(report.query, span=span, site=site))
    except UnknownSiteError as error:
        raise InputError(str(error)) from None
    formats = {"markdown": report.as_markdown, "csv": report.as_csv, "html": report.as_page, "json": to_json}
    text = formats[output](record)
    if to is None:
        click.echo(text)
        return
    try:
        to.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise CommandError(f"cannot write {to} ({error.strerror}): give another --to") from None
