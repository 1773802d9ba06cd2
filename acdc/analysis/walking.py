"""The residual stream that each layer's attention reads, and how heads look there, by the engine's own functions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from acdc.analysis.named import Head
from acdc.engine.setting import Setting
from acdc.models.model import Model
from acdc.models.tokens import Tokens


def layer_inputs(model: Model, tokens: Tokens, n_layers: int | None = None) -> Iterator[Float[Tensor, "batch pos d"]]:
    """What the attention of each layer reads, ``[batch, pos, d_model]``, before its norm.

    Args:
        model: the model.
        tokens: the prompts.
        n_layers: only the first so many layers; by default all.
    """
    cfg = model.graph_config
    last = cfg.n_layers if n_layers is None else n_layers
    x = model.embed(tokens)[0]
    for layer in range(last):
        yield x
        if layer + 1 == last:
            return
        same = x.expand(cfg.n_heads, *x.shape)
        heads, rest = model.heads(layer, same, same, same, tokens)
        y = x + heads.sum(0) if rest is None else x + heads.sum(0) + rest
        if not cfg.attn_only:
            y = y + model.mlp(layer, x if cfg.parallel_attn_mlp else y)
        x = y


def patterns(
    model: Model, tokens: Tokens, heads: Sequence[Head]
) -> Iterator[tuple[Head, Float[Tensor, "batch pos pos"]]]:
    """How each head looks from each position at each other one: one head after the other, in the graph's order.

    Args:
        model: the model.
        tokens: the prompts; patterns behind a prompt's end mean nothing.
        heads: in the graph's order.
    """
    layers = [head.layer for head in heads]
    for layer, x in enumerate(layer_inputs(model, tokens, max(layers, default=-1) + 1)):
        for node in heads:
            if node.layer == layer:
                table = model.table(layer, tokens)
                yield node, model.attention[layer].pattern(node.head, x, x, table, tokens.filled)


def chosen(setting: Setting, prompts: Sequence[int]) -> Iterator[tuple[list[int], Tokens, Tokens]]:
    """Some prompts, as many at a time as the setting runs: their places in `prompts`, clean ones and corrupted ones."""
    together = max(rows.stop - rows.start for rows in setting.contributions.chunks)
    for start in range(0, len(prompts), together):
        places = list(range(start, min(start + together, len(prompts))))
        pairs = [setting.prompts.pairs[prompts[place]] for place in places]
        device = setting.model.device
        clean = Tokens.of([pair.clean for pair in pairs], device)
        yield places, clean, Tokens.of([pair.corrupted for pair in pairs], device)


def as_numpy(x: Tensor) -> Any:
    """A tensor as an array of float64 in main memory."""
    return x.detach().to("cpu", torch.float64).numpy()
