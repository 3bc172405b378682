"""Run the simulated upstream alone."""

import os
import sys

import click


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), help="Where to listen; 0 takes any free port.")
def command(port: int | None) -> None:
    """Run the simulator, which speaks OpenAI's Responses API, in the foreground until Ctrl-C."""
    arguments = [] if port is None else ["--port", str(port)]
    os.execv(sys.executable, [sys.executable, "-P", "-m", "simulator", *arguments])
