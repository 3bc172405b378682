"""Runs Python with few file descriptors: `python -m tests.support.limited COUNT ARGUMENTS...`."""

import os
import resource
import sys

if __name__ == "__main__":
    count = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))
    os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
