"""Random tokens that repeat themselves, as prompts on which induction heads and their kind show themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from acdc.analysis.tokenwise import all_tokens, token_embeddings
from acdc.models.model import Model
from acdc.models.tokens import Tokens

#: The shortest block that is repeated: in a shorter one the token before is also the token after the last occurrence.
SHORTEST = 3
_BLOCK = 4096  # rows of an embedding at a time


@dataclass(frozen=True)
class Repeated:
    """Prompts of random tokens.

    Attributes:
        exact: blocks of different tokens, each repeated to the prompt's end.
        alike: blocks, each followed once by the tokens that are nearest to its own, one by one.
        begins: where the first block of each begins. periods: tokens of the blocks of `alike`.
    """

    exact: Tokens
    alike: Tokens
    begins: int
    periods: tuple[int, ...]

    def after_alike(self, rows: slice) -> Bool[Tensor, "prompt pos pos"]:
        """From each token of the second block to the one behind that which it is near to, ``[prompt, pos_q, pos_k]``.

        The last token of a block has none behind it.
        """
        n = self.alike.ids.shape[1]
        mask = torch.zeros(len(self.periods[rows]), n, n, dtype=torch.bool)
        for made, period in zip(mask, self.periods[rows], strict=True):
            first = torch.arange(self.begins, self.begins + period - 1)
            made[first + period, first + 1] = True
        return mask


def repeated_tokens(model: Model, lead: Sequence[int], n: int, length: int, seed: int) -> Repeated | None:
    """Draw them. ``None`` where the model's context or vocabulary is too small for a block to repeat itself.

    Blocks are of a length of their own in each prompt, from a quarter to half of the prompt, so that no head that
    looks a fixed distance back passes for one that looks for a token. Special tokens of the tokenizer aren't drawn.

    Args:
        model: the model.
        lead: tokens that every prompt begins with.
        n: prompts of each kind.
        length: tokens of a prompt; less where the model's context is shorter.
        seed: of the draw.
    """
    vocabulary = all_tokens(model)
    room = min(length, model.n_ctx or length) - len(lead)
    longest = min(room // 2, len(vocabulary) - 1)
    if longest < SHORTEST:
        return None
    chance = np.random.default_rng(seed)
    shortest = min(max(SHORTEST, room // 4), longest)
    exact, blocks = [], []
    for _ in range(n):
        block = chance.choice(vocabulary, int(chance.integers(shortest, longest + 1)), replace=False)
        exact.append((*lead, *np.resize(block, room).tolist()))
        blocks.append(chance.choice(vocabulary, int(chance.integers(shortest, longest + 1)), replace=False))
    others = _nearest(model, blocks, vocabulary)
    alike = [(*lead, *block.tolist(), *near.tolist()) for block, near in zip(blocks, others, strict=True)]
    return Repeated(Tokens.of(exact, model.device), Tokens.of(alike, model.device), len(lead), tuple(map(len, blocks)))


def _nearest(
    model: Model, blocks: list[np.ndarray], vocabulary: Int[np.ndarray, " token"]
) -> list[Int[np.ndarray, " token"]]:
    """The token nearest to each of a block's, by the cosine of embeddings, that isn't itself in the block."""
    asked = np.concatenate(blocks)
    directions = torch.nn.functional.normalize(token_embeddings(model, asked), dim=-1)
    of_block = np.repeat(np.arange(len(blocks)), [len(block) for block in blocks])
    members = [set(block.tolist()) for block in blocks]
    best = torch.full((len(asked),), -torch.inf, dtype=directions.dtype)
    found = torch.zeros(len(asked), dtype=torch.long)
    for start in range(0, len(vocabulary), _BLOCK):
        some = vocabulary[start : start + _BLOCK]
        near = (directions @ torch.nn.functional.normalize(token_embeddings(model, some), dim=-1).T).cpu()
        inside = np.array([[token in block for token in some.tolist()] for block in members])
        near[torch.from_numpy(inside[of_block])] = -torch.inf
        value, place = near.max(-1)
        better = value > best
        best = torch.where(better, value, best)
        found = torch.where(better, torch.from_numpy(some)[place], found)
    return [found.numpy()[of_block == block] for block in range(len(blocks))]
