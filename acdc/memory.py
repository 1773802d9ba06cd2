"""Out of memory, on whatever device, as one clear sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from acdc.errors import MemoryLimitError

#: What torch says on a CPU, where it raises a plain RuntimeError: on Linux, and on Windows.
_SAYINGS = ("can't allocate memory", "not enough memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that memory ran out."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError | MemoryLimitError):
        return True
    return isinstance(error, RuntimeError) and any(saying in str(error) for saying in _SAYINGS)


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turn running out of memory into a :class:`MemoryLimitError` that says what to lower."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise MemoryLimitError(
            "out of memory; lower --n (prompts), use shorter prompts, or open the model with --dtype bfloat16."
        ) from error
