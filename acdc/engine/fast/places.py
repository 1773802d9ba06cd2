"""Which positions of which prompts are computed, flat: ragged prompts cost no padding.

Two sets matter. Only the *answers* are scored. *Live* are those that a removed edge can
change and an answer can see: from the first position where clean and corrupted prompts
differ, where attention looks back only, to the last answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from acdc.engine.ablations import ABLATIONS
from acdc.engine.fast.tactics import Tactics
from acdc.models.model import Model
from acdc.pairs import PromptSet


@dataclass(frozen=True)
class Places:
    """Positions of prompts, in the order of prompts and without gaps between them.

    Attributes:
        prompt, position: of each place.
        grid: places of each prompt, filled up by repeating one.
        cell: where each place stands in the flattened grid.
    """

    prompt: Int[Tensor, " place"]
    position: Int[Tensor, " place"]
    grid: Int[Tensor, "batch width"]
    cell: Int[Tensor, " place"]

    @staticmethod
    def of(positions: Sequence[Sequence[int]], device: torch.device) -> Places:
        """The given positions of each prompt."""
        width = max(len(found) for found in positions)
        prompt: list[int] = []
        position: list[int] = []
        grid: list[list[int]] = []
        cell: list[int] = []
        for row, found in enumerate(positions):
            start = len(position)
            prompt += [row] * len(found)
            position += found
            grid.append([start + min(i, len(found) - 1) for i in range(width)])
            cell += [row * width + i for i in range(len(found))]
        each = (prompt, position, grid, cell)
        return Places(*(torch.tensor(values, dtype=torch.int64, device=device) for values in each))

    def __len__(self) -> int:
        return len(self.prompt)

    def of_prompts(self, rows: slice) -> slice:
        """Which places are those of some prompts."""
        start, stop = torch.searchsorted(self.prompt.cpu(), torch.tensor([rows.start, rows.stop])).tolist()
        return slice(start, stop)

    def pick(self, x: Shaped[Tensor, "*any batch pos d"]) -> Shaped[Tensor, "*any place d"]:
        """Values at these places."""
        return x[..., self.prompt, self.position, :]

    def put(self, x: Shaped[Tensor, "*any place d"], into: Shaped[Tensor, "*any batch pos d"]) -> None:
        """Write values at these places."""
        into[..., self.prompt, self.position, :] = x

    def by_prompt(self, x: Shaped[Tensor, "*any place d"]) -> Shaped[Tensor, "*any batch width d"]:
        """Values in the grid."""
        if self.grid.numel() != len(self):
            x = x[..., self.grid.flatten(), :]
        return x.view(*x.shape[:-2], *self.grid.shape, x.shape[-1])

    def flat(self, x: Shaped[Tensor, "*any batch width d"]) -> Shaped[Tensor, "*any place d"]:
        """Values out of the grid."""
        x = x.flatten(-3, -2)
        return x if self.grid.numel() == len(self) else x[..., self.cell, :]


def live_positions(model: Model, prompts: PromptSet, ablation: str, tactics: Tactics) -> list[list[int]]:
    """The positions of each prompt that a removal can change and that a scored one can see."""
    found = []
    for pair in prompts.pairs:
        first, last = 0, len(pair.clean) - 1
        if model.looks_back:
            last = max(pair.answer_positions)
            if tactics.unchanged_skipped and ABLATIONS[ablation].is_corrupted_run:
                same = (a == b for a, b in zip(pair.clean, pair.corrupted, strict=True))
                first = next((i for i, equal in enumerate(same) if not equal), last)
        found.append(sorted({*range(first, last + 1), *pair.answer_positions}))
    return found
