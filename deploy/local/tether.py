"""Runs a command that dies with its parent: `tether.py PARENT_PID COMMAND...` (on Linux; elsewhere just the command).

A file of its own, started with `python -I -S`, because setting this between fork and exec in the
supervisor would run Python code in a forked process that has threads.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1


def command(tied: Sequence[str]) -> list[str]:
    """Return the command line that runs `tied` until this process dies, however it dies."""
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *tied]


def main(arguments: list[str]) -> None:
    """Become the command; it keeps the process id, and gets SIGKILL when its parent is gone."""
    parent, tied = int(arguments[0]), arguments[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the tie was made
            sys.exit(1)
    try:
        os.execvp(tied[0], tied)
    except OSError as error:
        sys.exit(f"{tied[0]}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
