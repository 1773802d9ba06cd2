"""Prompts of different lengths side by side."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor


@dataclass(frozen=True)
class Tokens:
    """Prompts of different lengths as one right-padded tensor.

    Attributes:
        ids: ``[batch, pos]`` int64; what stands behind a prompt's end is never read.
        lengths: tokens of each prompt.
    """

    ids: Int[Tensor, "batch pos"]
    lengths: tuple[int, ...]

    @classmethod
    def of(cls, prompts: list[tuple[int, ...]], device: torch.device | str = "cpu") -> Tokens:
        """Pad lists of token ids on the right."""
        lengths = tuple(len(prompt) for prompt in prompts)
        ids = torch.zeros(len(prompts), max(lengths), dtype=torch.long)
        for row, prompt in zip(ids, prompts, strict=True):
            row[: len(prompt)] = torch.tensor(prompt)
        return cls(ids.to(device), lengths)

    @property
    def filled(self) -> Bool[Tensor, "batch pos"]:
        """``[batch, pos]`` bool, which positions hold a token."""
        positions = torch.arange(self.ids.shape[1], device=self.ids.device)
        return positions < torch.tensor(self.lengths, device=self.ids.device)[:, None]

    def __getitem__(self, rows: slice) -> Tokens:
        """Some of the prompts, padded as all of them are."""
        return Tokens(self.ids[rows], self.lengths[rows])
