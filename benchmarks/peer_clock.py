"""Seconds and memory of a piece of work in this process; the standard library alone, for any environment."""

from __future__ import annotations

import ctypes
import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

Result = TypeVar("Result")

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def measured(
    work: Callable[[], Result], repeats: int, between: Callable[[], Any] = lambda: None
) -> tuple[Result, dict[str, Any]]:
    """Do a piece of work some times.

    Args:
        work: what to do.
        repeats: how often.
        between: takes back what it leaves behind.

    Returns:
        What the first time gave; and ``cpu`` and ``wall``, seconds of the quickest time, and
        ``peak_bytes``, by how much the process grew at most in the last time: by then all libraries
        are loaded. It is ``None`` where there was only one, or the system doesn't say.
    """
    results, times, before = [], [], None
    for i in range(repeats):
        before = _start_of_peak() if i and i == repeats - 1 else None
        begin = _now()
        result = work()
        times.append(_since(begin))
        if not i:
            results.append(result)
        peak = None if before is None else 1024 * (_kib("VmHWM") - before)
        del result
        between()
        print("time", flush=True)
    cpu, wall = min(times)
    return results[0], {"cpu": cpu, "wall": wall, "peak_bytes": peak}


def _start_of_peak() -> int | None:
    """Set the process's highest memory to what it is, and give that in KiB, where Linux lets a process do so."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)  # what was freed would hide what is asked for next
        _RESET.write_text("5")
    except (AttributeError, TypeError, OSError):
        return None
    return _kib("VmRSS")


def _kib(name: str) -> int:
    (line,) = (line for line in _STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1])


def _now() -> tuple[float, float]:
    return time.process_time(), time.perf_counter()


def _since(begin: tuple[float, float]) -> tuple[float, float]:
    cpu, wall = _now()
    return cpu - begin[0], wall - begin[1]
