"""One patched run, plain enough to be checked by eye: the oracle for everything faster.

Every slot reads the sum of all that was written before it, where kept edges carry the
writer's current value and removed ones its ablated value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from acdc.graph import Graph, Slot
from acdc.models.alike import heads_alike
from acdc.models.model import Model
from acdc.models.tokens import Tokens

#: From slots and their inputs to the inputs to use.
Edit = Callable[[Sequence[Slot], Float[Tensor, "slot batch pos d_model"]], Float[Tensor, "slot batch pos d_model"]]
#: From a layer and what its MLP reads to what that writes.
Mlp = Callable[[int, Float[Tensor, "batch pos d_model"]], Float[Tensor, "batch pos d_model"]]


def run_patched(
    model: Model,
    graph: Graph,
    tokens: Tokens,
    inputs: Float[Tensor, "n_inputs batch pos d_model"],
    kept: Bool[Tensor, " n_edges"] | Float[Tensor, "*batch n_edges"],
    ablated: Float[Tensor, "n_sources batch pos d_model"],
    *,
    edit: Edit | None = None,
    mlp: Mlp | None = None,
) -> tuple[Float[Tensor, "n_sources batch pos d_model"], Float[Tensor, "batch pos d_model"]]:
    """Run the model with some edges ablated, or each to a part.

    Args:
        model: the model.
        graph: its graph, with the input split or not.
        tokens: the prompts, for their lengths.
        inputs: what the input nodes write.
        kept: the edges that carry current values; or numbers from 0 to 1, the share of
            the current value that each carries, the rest being ablated, of all prompts alike or of every prompt
            its own. They may have a gradient.
        ablated: what removed edges carry.
        edit: sees, and may replace, the input of every slot.
        mlp: in place of the model's MLPs.

    Returns:
        What every node wrote, and the last residual stream.
    """
    written = _Apart(inputs) if kept.requires_grad and torch.is_grad_enabled() else _Together(inputs, graph.n_sources)
    carried = _once(ablated)
    constant = torch.zeros_like(inputs[0])  # what belongs to no node, e.g. output biases

    def read(slots: Sequence[Slot], constant: Tensor) -> Tensor:
        """Inputs of slots that share their parents, ``[slot, batch, pos, d_model]``."""
        n = slots[0].n_parents
        keep = torch.stack([kept[..., slot.edges] for slot in slots]).to(inputs)  # [slot, parent], or a batch between
        total = written.weighted(keep).add_(_sums(1 - keep, carried[:n])).add_(constant)
        return total if edit is None else edit(slots, total)

    slots = iter(graph.slots)
    n_heads = graph.cfg.n_heads
    mlp = model.mlp if mlp is None else mlp
    for layer in range(graph.cfg.n_layers):
        q, k, v = read(list(islice(slots, 3 * n_heads)), constant).split(n_heads)
        heads, rest = model.heads(layer, q, k, v, tokens)
        before_attention = constant
        constant = constant if rest is None else constant + rest
        written.add(heads)
        if not graph.cfg.attn_only:
            seen = before_attention if graph.cfg.parallel_attn_mlp else constant
            written.add(mlp(layer, read([next(slots)], seen)[0])[None])
    return written.all(), read([next(slots)], constant)[0]


class _Together:
    """What nodes wrote, in one piece, so that a sum over them is one product."""

    def __init__(self, inputs: Tensor, n_sources: int) -> None:
        self._written = inputs.new_empty(n_sources, *inputs.shape[1:])  # [n_sources, batch, pos, d_model]
        self._n = 0
        self.add(inputs)

    def add(self, written: Tensor) -> None:
        """What the next nodes wrote, ``[source, batch, pos, d_model]``."""
        self._written[self._n : self._n + len(written)] = written
        self._n += len(written)

    def weighted(self, weights: Tensor) -> Tensor:
        """Sums over the first nodes by weights of :func:`_sums`, to ``[slot, batch, pos, d_model]``."""
        return _sums(weights, self._written[: weights.shape[-1]])

    def all(self) -> Tensor:
        """``[n_sources, batch, pos, d_model]``."""
        return self._written


class _Apart:
    """The same in the pieces in which it came: the weights' gradient needs it as it was, with nothing written over."""

    def __init__(self, inputs: Tensor) -> None:
        self._pieces = [inputs]

    def add(self, written: Tensor) -> None:
        """As in :class:`_Together`."""
        self._pieces.append(written)

    def weighted(self, weights: Tensor) -> Tensor:
        """As in :class:`_Together`."""
        at, total = 0, weights.new_zeros(())
        for piece in self._pieces:
            if at == weights.shape[-1]:
                break
            total = total + _sums(weights[..., at : at + len(piece)], piece)
            at += len(piece)
        return total

    def all(self) -> Tensor:
        """As in :class:`_Together`."""
        return torch.cat(self._pieces)


def _sums(weights: Tensor, values: Tensor) -> Tensor:
    """Weighted sums over sources, by ``[slot, source]`` for all prompts, or ``[slot, batch, source]``."""
    if weights.ndim == 2:
        return torch.tensordot(weights, values, 1)
    return torch.einsum("sbu,ubpd->sbpd", weights, values)


def _once(ablated: Tensor) -> Tensor:
    """Values that are the same for all prompts, once and not for every prompt: sums over them are as short."""
    for dim, (size, stride) in enumerate(zip(ablated.shape, ablated.stride(), strict=True)):
        if dim and size > 1 and not stride:
            ablated = ablated.narrow(dim, 0, 1)
    return ablated


def run_unpatched(
    model: Model, graph: Graph, tokens: Tokens, inputs: Float[Tensor, "n_inputs batch pos d_model"]
) -> tuple[Float[Tensor, "n_sources batch pos d_model"], Float[Tensor, "batch pos d_model"]]:
    """The same with every edge kept, where all slots of a layer read one running sum.

    Args:
        model: the model.
        graph: its graph.
        tokens: the prompts, for their lengths.
        inputs: what the input nodes write.

    Returns:
        As :func:`run_patched` does.
    """
    written = inputs.new_empty(graph.n_sources, *inputs.shape[1:])  # [n_sources, batch, pos, d_model]
    written[: len(inputs)] = inputs
    at, n_heads = len(inputs), graph.cfg.n_heads
    x = inputs.sum(0)  # [batch, pos, d_model]
    for layer in range(graph.cfg.n_layers):
        heads = written[at : at + n_heads]
        rest = heads_alike(model.attention[layer], x, model.table(layer, tokens), tokens.filled, heads)
        at += n_heads
        before_attention = x
        x = x + heads.sum(0) if rest is None else x + heads.sum(0) + rest
        if not graph.cfg.attn_only:
            written[at] = model.mlp(layer, before_attention if graph.cfg.parallel_attn_mlp else x)
            x = x + written[at]
            at += 1
    return written, x
