"""One patched run, plain enough to be checked by eye: the oracle for everything faster.

Every slot reads the sum of all that was written before it, where kept edges carry the
writer's current value and removed ones its ablated value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

import torch
from torch import Tensor

from acdc.graph import Graph, Slot
from acdc.models.model import Model
from acdc.models.tokens import Tokens

#: From slots and their inputs, ``[slot, batch, pos, d_model]``, to the inputs to use.
Edit = Callable[[Sequence[Slot], Tensor], Tensor]


def run_patched(
    model: Model,
    graph: Graph,
    tokens: Tokens,
    inputs: Tensor,
    kept: Tensor,
    ablated: Tensor,
    *,
    edit: Edit | None = None,
) -> tuple[Tensor, Tensor]:
    """Run the model with some edges ablated.

    Args:
        model: the model.
        graph: its graph, with the input split or not.
        tokens: the prompts, for their lengths.
        inputs: what the input nodes write, ``[1 or 2, batch, pos, d_model]``.
        kept: ``[n_edges]`` bool, the edges that carry current values.
        ablated: what removed edges carry, ``[n_sources, batch, pos, d_model]``.
        edit: sees, and may replace, the input of every slot.

    Returns:
        What every node wrote, ``[n_sources, batch, pos, d_model]``, and the last residual
        stream, ``[batch, pos, d_model]``.
    """
    written = inputs.new_empty(graph.n_sources, *inputs.shape[1:])  # [n_sources, batch, pos, d_model]
    written[: len(inputs)] = inputs
    n_written = len(inputs)
    constant = torch.zeros_like(inputs[0])  # what belongs to no node, e.g. output biases

    def read(slots: Sequence[Slot], constant: Tensor) -> Tensor:
        """Inputs of slots that share their parents, ``[slot, batch, pos, d_model]``."""
        n = slots[0].n_parents
        keep = torch.stack([kept[slot.edges] for slot in slots]).to(inputs)  # [slot, parent]
        total = torch.tensordot(keep, written[:n], 1).add_(torch.tensordot(1 - keep, ablated[:n], 1)).add_(constant)
        return total if edit is None else edit(slots, total)

    slots = iter(graph.slots)
    n_heads = graph.cfg.n_heads
    for layer in range(graph.cfg.n_layers):
        q, k, v = read(list(islice(slots, 3 * n_heads)), constant).split(n_heads)
        heads, rest = model.heads(layer, q, k, v, tokens)
        before_attention = constant
        constant = constant if rest is None else constant + rest
        written[n_written : n_written + n_heads] = heads
        n_written += n_heads
        if not graph.cfg.attn_only:
            seen = before_attention if graph.cfg.parallel_attn_mlp else constant
            written[n_written] = model.mlp(layer, read([next(slots)], seen)[0])
            n_written += 1
    return written, read([next(slots)], constant)[0]


def run_unpatched(model: Model, graph: Graph, tokens: Tokens, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """The same with every edge kept, where all slots of a layer read one running sum.

    Args:
        model: the model.
        graph: its graph.
        tokens: the prompts, for their lengths.
        inputs: what the input nodes write, ``[1 or 2, batch, pos, d_model]``.

    Returns:
        As :func:`run_patched` does.
    """
    written = inputs.new_empty(graph.n_sources, *inputs.shape[1:])  # [n_sources, batch, pos, d_model]
    written[: len(inputs)] = inputs
    at, n_heads = len(inputs), graph.cfg.n_heads
    x = inputs.sum(0)  # [batch, pos, d_model]
    for layer in range(graph.cfg.n_layers):
        same = x.expand(n_heads, *x.shape)
        heads, rest = model.heads(layer, same, same, same, tokens)
        written[at : at + n_heads] = heads
        at += n_heads
        before_attention = x
        x = x + heads.sum(0) if rest is None else x + heads.sum(0) + rest
        if not graph.cfg.attn_only:
            written[at] = model.mlp(layer, before_attention if graph.cfg.parallel_attn_mlp else x)
            x = x + written[at]
            at += 1
    return written, x
