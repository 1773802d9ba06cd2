"""What the machine has: processors, memory that is free, a GPU."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

#: Where Linux says what a container may have, and what is free.
_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_LIMIT, _TAKEN, _TAKEN_BY = (Path("/sys/fs/cgroup") / name for name in ("memory.max", "memory.current", "memory.stat"))
_MEMORY_INFO, _PAGES = Path("/proc/meminfo"), Path("/proc/self/statm")
#: What drivers of NVIDIA and AMD put there.
_GPUS = (Path("/dev/nvidiactl"), Path("/dev/kfd"))


def cores() -> int:
    """Processors that this process may use; a container can have less than the machine."""
    affinity: Any = getattr(os, "sched_getaffinity", None)  # not on every system
    found = len(affinity(0)) if affinity else os.cpu_count() or 1
    try:
        quota, period = _QUOTA.read_text().split()
        return max(1, min(found, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError, ZeroDivisionError):  # no cgroup, or no limit ("max")
        return found


def free_memory() -> int | None:
    """Memory that is free, in bytes; a container can have less than the machine. ``None`` where it can't be told."""
    found = [one for one in (_of_machine(), _of_container()) if one is not None]
    return min(found, default=None)


def held_memory() -> int | None:
    """Memory that this process holds, in bytes; ``None`` where it can't be told."""
    try:
        pages = _PAGES.read_text().split()[1]
    except OSError:
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def has_gpu() -> bool:
    """Whether there seems to be a GPU that torch would compute on; asked without torch."""
    return os.environ.get("CUDA_VISIBLE_DEVICES", "any") != "" and any(path.exists() for path in _GPUS)


def _of_machine() -> int | None:
    try:
        lines = _MEMORY_INFO.read_text().splitlines()
    except OSError:
        return None
    found = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), None)
    return None if found is None else 1024 * int(found)


def _of_container() -> int | None:
    """What is left to a container, whose file cache gives way."""
    try:
        cached = next(
            line.split()[1] for line in _TAKEN_BY.read_text().splitlines() if line.startswith("inactive_file")
        )
        return max(0, int(_LIMIT.read_text()) - int(_TAKEN.read_text()) + int(cached))
    except (OSError, ValueError, KeyError):  # no cgroup, or no limit ("max")
        return None
