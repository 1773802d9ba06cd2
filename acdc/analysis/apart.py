"""One head on some predictions, taken apart: by source position, and by who wrote what its three slots read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from acdc.models.attention import Attention, PositionTable
from acdc.models.model import Model
from acdc.models.rules import BackwardRules
from acdc.models.tokens import Tokens

#: What is nonlinear between the residual stream and a query, a key or a value is a constant factor.
_FROZEN = BackwardRules(norm=True, activation=True)


@dataclass(frozen=True)
class Parts:
    """What a head's share and score are made of.

    Attributes:
        by_position: the direct share by source position, ``[prediction, pos]``; NaN behind a prompt's end.
        pattern: how much the head looks there, likewise.
        looked_at: the position of the largest part in size, ``[prediction]``.
        totals: what is split through each letter, ``[prediction]``: through v the direct share, through q and k how far
            the score at that position is above the mean of those that the head can see.
        by_node: its split, ``[n_sources, prediction]``; NaN for nodes behind the head.
    """

    by_position: np.ndarray
    pattern: np.ndarray
    looked_at: np.ndarray
    totals: dict[str, np.ndarray]
    by_node: dict[str, np.ndarray]

    @classmethod
    def together(cls, blocks: Sequence[Parts]) -> Parts:
        """Those of all predictions, from those of some at a time."""

        def joined(name: str) -> dict[str, np.ndarray]:
            return {letter: np.concatenate([getattr(block, name)[letter] for block in blocks], -1) for letter in "qkv"}

        return cls(
            by_position=np.concatenate([block.by_position for block in blocks]),
            pattern=np.concatenate([block.pattern for block in blocks]),
            looked_at=np.concatenate([block.looked_at for block in blocks]),
            totals=joined("totals"),
            by_node=joined("by_node"),
        )


class Block:
    """One layer's attention on some predictions, each with its prompt to itself.

    Everything here is linear in what a slot reads: scales of norms, patterns, and the other side of a score are
    what they are on the clean prompt.
    """

    def __init__(
        self,
        model: Model,
        layer: int,
        x: Float[Tensor, "prompt pos d_model"],
        tokens: Tokens,
        prompt: Int[Tensor, " prediction"],
        position: Int[Tensor, " prediction"],
        reader: Float[Tensor, "prediction d_model"],
    ) -> None:
        """Nothing is taken apart yet.

        Args:
            model: the model.
            layer: which layer.
            x: what it reads.
            tokens: the prompts.
            prompt: of each prediction, among these.
            position: where each is read.
            reader: what reads the logit difference in the last residual stream, in float64.
        """
        self._attention: Attention = model.attention[layer].with_rules(_FROZEN)
        self._prompt, self._position, self._each = prompt, position, torch.arange(len(prompt), device=prompt.device)
        self._x = x[prompt]  # [prediction, pos, d_model]
        self._tokens = Tokens(tokens.ids[prompt], tuple(tokens.lengths[i] for i in prompt.tolist()))
        self._table: PositionTable = model.table(layer, self._tokens)
        self._readers = self._behind(reader)
        length = self._x.shape[1]
        seen = self._table.visible[..., :length, :length] & self._tokens.filled[:, None, :]
        seen = seen[self._each, position].double()
        self._seen = (seen / seen.sum(-1, keepdim=True))[..., None]  # weights of a mean, [prediction, pos, 1]

    def _behind(self, reader: Tensor) -> Float[Tensor, "head prediction d_model"]:
        """What reads the difference in each head's own output, in front of what stands between it and the stream."""
        attention = self._attention
        shape = (attention.n_heads, *self._x[:, 0].shape)
        if attention.post_norm.kind == "none":
            outputs = self._x.new_zeros(shape)
        else:
            x, filled = self._x, self._tokens.filled
            outputs = torch.stack(
                [
                    attention.head(head, x, x, x, self._table, filled)[self._each, self._position]
                    for head in range(attention.n_heads)
                ]
            )
        with torch.enable_grad():
            outputs.requires_grad_()
            read = (attention.contributions(outputs)[0].double() * reader).sum()
            return torch.autograd.grad(read, outputs)[0]

    def parts(self, head: int, written: Float[Tensor, "parent prompt pos d_model"], n_sources: int) -> Parts:
        """Take a head of the layer apart.

        Args:
            head: which of them.
            written: what the nodes in front of it write on the prompts.
            n_sources: nodes of the graph.
        """
        attention, x, filled = self._attention, self._x, self._tokens.filled
        pattern = attention.pattern(head, x, x, self._table, filled)[self._each, self._position]
        group = attention.group(head)
        with torch.enable_grad():
            leaves = {letter: x.detach().requires_grad_() for letter in "qkv"}
            value = attention.value(group, leaves["v"], self._table)
            reader = self._readers[head] @ attention.W_O[head].T  # [prediction, d_value]
            by_position = pattern.double() * (value.double() * reader.double()[:, None]).sum(-1)
            looked_at = by_position.detach().abs().argmax(-1)
            query = attention.query(head, leaves["q"], self._table)[self._each, self._position]
            keys = attention.key(group, leaves["k"], self._table).double()
            ahead = keys[self._each, looked_at] - (keys * self._seen).sum(1)
            score = attention.scale * (query.double() * ahead).sum(-1)
            (to_value,) = torch.autograd.grad(by_position.sum(), leaves["v"])
            to_query, to_key = torch.autograd.grad(score.sum(), [leaves["q"], leaves["k"]])
        share = by_position.detach().sum(-1)
        totals = {"v": share, "q": score.detach(), "k": score.detach()}
        by_node = {letter: x.new_full((n_sources, len(x)), torch.nan, dtype=torch.float64) for letter in "qkv"}
        to_query = to_query[self._each, self._position]
        for source, output in enumerate(written):
            by_node["q"][source] = (output[self._prompt, self._position] * to_query).double().sum(-1)
            for letter, reads in (("k", to_key), ("v", to_value)):
                by_node[letter][source] = (output[self._prompt] * reads).sum(-1).double().sum(-1)
        return Parts(
            by_position=_numbers(by_position.masked_fill(~filled, torch.nan)),
            pattern=_numbers(pattern.masked_fill(~filled, torch.nan)),
            looked_at=looked_at.cpu().numpy(),
            totals={letter: _numbers(total) for letter, total in totals.items()},
            by_node={letter: _numbers(values) for letter, values in by_node.items()},
        )


def _numbers(x: Tensor) -> np.ndarray:
    return x.detach().to("cpu", torch.float64).numpy()
