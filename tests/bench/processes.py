"""What the kernel says of a process: its CPU time and its memory. Loopback load is in other processes."""

import re
import time
from collections.abc import Mapping
from pathlib import Path

_RESIDENT = re.compile(r"^VmRSS:\s+(\d+) kB$", re.MULTILINE)
_CPU_CLOCK = 2  # CPUCLOCK_SCHED of <linux/posix-timers.h>

Pids = Mapping[str, int]


def cpu_seconds(pid: int) -> float:
    """Return user and system time of all threads, ended ones too: /proc/<pid>/stat, but in nanoseconds."""
    return time.clock_gettime_ns((~pid << 3) | _CPU_CLOCK) / 1e9


def resident_bytes(pid: int) -> int:
    """Return the resident memory."""
    found = _RESIDENT.search(Path(f"/proc/{pid}/status").read_text())
    assert found is not None, f"process {pid} has ended"
    return int(found[1]) * 1024


class CpuMeter:
    """CPU time of several processes since the meter was made."""

    def __init__(self, pids: Pids) -> None:
        self._pids = pids
        self._started = {name: cpu_seconds(pid) for name, pid in pids.items()}

    def seconds(self) -> dict[str, float]:
        """Return what each has used."""
        return {name: cpu_seconds(pid) - self._started[name] for name, pid in self._pids.items()}
