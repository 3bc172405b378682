"""The terminal of `parley up`: lines that cannot fail, and a Ctrl-C that does not reach `make` as well."""

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


def say(line: str) -> None:
    """Print a line; a terminal that has gone away is no reason to stop."""
    try:
        print(line, flush=True)
    except OSError:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - stays until the process ends


@contextmanager
def apart_from_make(environ: Mapping[str, str]) -> Iterator[None]:
    """Be the terminal's foreground job alone while the block runs, when `make` started this process.

    Otherwise Ctrl-C would end `make` with an error, however cleanly this process stops.
    """
    if "MAKELEVEL" not in environ or not _in_foreground():
        yield
        return
    makes_group = os.getpgrp()
    os.setpgid(0, 0)
    _give_terminal_to(os.getpgrp())
    # Ctrl-Z would now stop this process and leave make, and the shell, waiting for it.
    signal.signal(signal.SIGTSTP, lambda *_: None)
    try:
        yield
    finally:
        _give_terminal_to(makes_group)


def _in_foreground() -> bool:
    try:
        return os.tcgetpgrp(0) == os.getpgrp() != os.getpid()
    except OSError:  # no terminal
        return False


def _give_terminal_to(group: int) -> None:
    # The system stops a background process that does this, unless it blocks the signal.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    try:
        os.tcsetpgrp(0, group)
    except OSError:  # the terminal was closed
        return
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
