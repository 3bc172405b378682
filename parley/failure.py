"""How a command tells that it failed: one sentence on stderr, exit status 1."""

from typing import IO, Any

import click

from libs.runtime.masking import masked


class Failure(click.ClickException):
    """The command cannot do what it was asked to; the message says why, and what to do."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the sentence, named by the command."""
        click.echo(f"parley: {masked(self.format_message())}", file=file, err=file is None)
