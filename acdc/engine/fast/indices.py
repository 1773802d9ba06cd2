"""Indices that reach a device without waiting for it.

A list in brackets is copied there too, but the host then waits until the device has done
everything before, which would be once for every step of every batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

#: Lists of numbers that are kept on a device: most are heads of a layer, the same in every batch.
_KEPT = 1024


def index(numbers: Sequence[int] | np.ndarray, device: torch.device) -> Tensor:
    """``[number]`` int64 on the device; not to be written to."""
    if isinstance(numbers, np.ndarray):
        return torch.as_tensor(numbers, dtype=torch.int64).to(device, non_blocking=True)
    return kept_index(tuple(numbers), device)


@lru_cache(_KEPT)
def kept_index(numbers: tuple[int, ...], device: torch.device) -> Tensor:
    """The same of a tuple; those asked for last are kept."""
    with torch.inference_mode(False):  # whoever asks for it later may want gradients
        return torch.tensor(numbers, dtype=torch.int64).to(device, non_blocking=True)


def rows(x: Tensor, numbers: Sequence[int]) -> Tensor:
    """``[number, ...]`` some of a tensor's rows, at least one; a view where they are next to each other."""
    first, n = numbers[0], len(numbers)
    return x[first : first + n] if tuple(numbers) == tuple(range(first, first + n)) else x[index(numbers, x.device)]
