"""What a run ran in: versions, the working directory, and the memory that it took."""

from __future__ import annotations

import contextlib
import platform
import sys
from importlib.metadata import version
from pathlib import Path

#: Libraries whose version can change a result (circuits have moved with them before).
_LIBRARIES = ("acdc-circuits", "torch", "transformer-lens", "transformers", "tokenizers", "numpy")
#: Where a process tells Linux, by a 5, to forget its peak.
_FORGET = Path("/proc/self/clear_refs")


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that compute."""
    return {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}}


def working_directory() -> str | None:
    """Where the relative paths of a request begin; unknown where the directory is gone."""
    try:
        return str(Path.cwd())
    except OSError:
        return None


def forget_peak_memory() -> None:
    """Let :func:`peak_memory_bytes` begin anew, where the system can: Linux, and a GPU."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()
    with contextlib.suppress(OSError):
        _FORGET.write_text("5")


def peak_memory_bytes() -> int | None:
    """Most memory that this process has held, in bytes; on a GPU, most that torch has held there."""
    torch = sys.modules.get("torch")  # a run folder is read without it
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated()
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak  # Linux counts in KiB
