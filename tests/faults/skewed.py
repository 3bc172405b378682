"""Runs a module under a clock that is wrong: `python -m tests.faults.skewed SECONDS -m MODULE`."""

import runpy
import sys
import time


def main() -> None:
    """Set the clock that Python code reads, then become the module."""
    seconds, module = float(sys.argv[1]), sys.argv[3]
    right, right_ns = time.time, time.time_ns
    time.time = lambda: right() + seconds
    time.time_ns = lambda: right_ns() + int(seconds * 1e9)
    sys.argv = [module]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
