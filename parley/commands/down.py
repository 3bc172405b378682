"""Stop the cluster that runs on this machine."""

import os
import signal
import time

import click

from deploy.local.state_dir import StateDir
from parley.failure import Failure

PATIENCE_SECONDS = 120.0
POLL_SECONDS = 0.05


@click.command()
def command() -> None:
    """Stop the cluster that runs in var/ (PARLEY_VAR), and wait until it has stopped."""
    state = StateDir.of(os.environ)
    running = state.running()
    if running is None:
        click.echo(f"No cluster runs in {state.shown}.")
        return
    try:
        os.kill(running.pid, signal.SIGTERM)
    except ProcessLookupError:  # it stopped in between
        return
    except PermissionError:
        raise Failure(f"The cluster in {state.shown} belongs to another user (process {running.pid}).") from None
    _await_end(state, running.pid)
    click.echo(f"The cluster in {state.shown} has stopped.")


def _await_end(state: StateDir, pid: int) -> None:
    ends = time.monotonic() + PATIENCE_SECONDS
    while state.running() is not None:
        if time.monotonic() > ends:
            raise Failure(f"The cluster has not stopped within {PATIENCE_SECONDS:g} s (process {pid}).")
        time.sleep(POLL_SECONDS)
