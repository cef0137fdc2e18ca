"""``hashmargin capture``."""

from __future__ import annotations

from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import Final

import click

from exporter.cli.errors import EXIT_CODES, CommandError
from exporter.cli.options import credentials, path_type, resolvable, with_login
from exporter.cli.output import log_errors_only, progress, to_json

_ISSUE: Final = "https://github.com/hashmargin/hashmargin/issues/new?template=misread-rig.yml"


@click.command(
    epilog=f"""\b
Examples:
  hashmargin capture 10.1.0.17
  hashmargin capture 10.1.0.17 --folder /tmp --username root --password-file rig-password

{EXIT_CODES}"""
)
@click.argument("address")
@click.option(
    "--folder",
    type=path_type(folder=True),
    default=Path(),
    help="Directory for the file.  [default: working directory]",
)
@with_login
def capture(address: str, folder: Path, username: str | None, password_file: Path | None) -> None:
    """Record a rig's answers in a file for a bug report.

    Attach the file to an issue if a rig is not supported or is read wrongly. Only read requests are sent. Logins,
    workers, wallets, addresses and serial numbers are removed; check the file before you send it.
    """
    import asyncio

    from exporter.model.failures import RIG_ADVICE, Failure, Reason
    from exporter.sources.rigs.contract import Target
    from exporter.tools import capture

    target = Target(resolvable(address), credentials(username, password_file))
    log_errors_only()
    try:
        with progress(capture.questions(), "Requesting") as advance:
            name, record = asyncio.run(capture.capture(target, partial(advance, 1)))
        path = _unused(folder / name)
        path.write_text(to_json(record) + "\n", encoding="utf-8")
    except Failure as failure:
        unsupported = failure.reason is Reason.UNSUPPORTED  # the usual advice is to make a capture
        advice = (
            f"it answers none of our requests: report its make and model at {_ISSUE}"
            if unsupported
            else failure.advised(RIG_ADVICE)
        )
        raise CommandError(f"{address} could not be captured ({failure.reason}): {advice}") from None
    except OSError as error:
        raise CommandError(f"cannot write to {folder} ({error.strerror}): give another --folder") from None
    click.echo(f"Written to {path}: check it, then attach it to an issue at {_ISSUE}")


def _unused(path: Path) -> Path:
    """Add a number to the file name if it is taken, so that the capture of another rig of the same model is kept."""
    names = chain([path], (path.with_stem(f"{path.stem}_{number}") for number in count(2)))
    return next(name for name in names if not name.exists())
