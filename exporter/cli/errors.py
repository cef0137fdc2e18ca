"""Errors that end a command, and the exit codes that all commands share."""

from __future__ import annotations

from typing import Any, Final

import click

EXIT_CODES: Final = """\b
Exit codes:
  0  done, or stopped by Ctrl-C or SIGTERM
  1  the command failed; the message gives the reason
  2  the command line or the configuration is invalid"""


class CommandError(click.ClickException):
    """A command failed. The message is one sentence for the operator and includes the next step."""

    def show(self, file: Any = None) -> None:
        """Print only the message, without usage."""
        click.echo(f"hashmargin: {self.format_message()}", file=file, err=file is None)


class InputError(CommandError):
    """The command line, the configuration or an input file is invalid."""

    exit_code = 2
