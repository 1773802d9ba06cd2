"""What ``run.json`` says of a run: what was asked, on what, with which versions, and what it took."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import version

#: Libraries whose version can change a result (circuits have moved with them before).
_LIBRARIES = ("acdc-circuits", "torch", "transformer-lens", "transformers", "tokenizers", "numpy")


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that compute."""
    return {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}}


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
