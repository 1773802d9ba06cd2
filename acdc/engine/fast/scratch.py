"""Memory that is used again and again: to get fresh pages costs more than to fill them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


class Scratch:
    """Room for what is of no use after the next request of the same name."""

    def __init__(self) -> None:
        self._held: dict[str, Tensor] = {}

    def clear(self) -> None:
        """Free it all."""
        self._held.clear()

    def take(self, name: str, shape: Sequence[int], like: Tensor) -> Tensor:
        """An uninitialized tensor of that shape, with the precision and on the device of another."""
        needed = math.prod(shape)
        held = self._held.get(name)
        if held is None or len(held) < needed or held.dtype != like.dtype or held.device != like.device:
            self._held.pop(name, None)
            held = None  # freed before more is taken
            held = self._held[name] = torch.empty(needed, dtype=like.dtype, device=like.device)
        return held[:needed].view(tuple(shape))
