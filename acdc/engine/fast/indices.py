"""Indices that reach a device without waiting for it.

A list in brackets is copied there too, but the host then waits until the device has done
everything before, which would be once for every step of every batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def index(numbers: Sequence[int] | np.ndarray, device: torch.device) -> Tensor:
    """``[number]`` int64 on the device."""
    return torch.as_tensor(numbers, dtype=torch.int64).to(device, non_blocking=True)
