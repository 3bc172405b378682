"""Run the whole cluster on this machine."""

import os
import sys

import click

from deploy.local import up
from libs.runtime.errors import StartError
from parley.failure import Failure


@click.command()
def command() -> None:
    """Run the whole cluster on this machine until Ctrl-C.

    State and logs are kept in var/ (PARLEY_VAR), the port is 8080 (PARLEY_PORT; 0 takes any free one).
    Without an upstream, from OPENAI_API_KEY, OPENAI_BASE_URL or parley.toml, a simulator answers.
    """
    try:
        status = up.run(os.environ)
    except StartError as error:
        raise Failure(str(error)) from None
    sys.exit(status)
