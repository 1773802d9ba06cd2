"""Attention patterns, and scales of norms, as they are on some prompts, whatever the model reads.

With both frozen, and no MLPs, the logits are linear in what the input nodes write (Elhage et al. 2021, A Mathematical
Framework for Transformer Circuits). A model with something frozen is another model: on the prompts themselves it is the
same, and on others, and where edges are removed, heads look where they looked, and norms divide by what they divided
by, on these.

Norms are those in front of attention and MLPs, those behind them, and the last. Norms of queries, keys and latents are
parts of how heads look, which patterns have in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from acdc.models.alike import run_heads

if TYPE_CHECKING:
    from acdc.models.model import Model
    from acdc.models.norms import Norm
    from acdc.models.tokens import Tokens


@dataclass(frozen=True)
class FrozenLayer:
    """What of a layer stays as it was; ``None`` for what doesn't.

    Attributes:
        pattern: how its heads look, ``[head, prompt, pos, pos]``.
        attention, heads: what the centred input of the norm in front of the heads is multiplied by, and of that behind
            their sum, ``[prompt, pos, 1]``. mlp, after: likewise in front of the MLP and behind it.
    """

    pattern: Float[Tensor, "head prompt pos pos"] | None
    attention: Float[Tensor, "prompt pos 1"] | None
    heads: Float[Tensor, "prompt pos 1"] | None
    mlp: Float[Tensor, "prompt pos 1"] | None = None
    after: Float[Tensor, "prompt pos 1"] | None = None


@dataclass(frozen=True)
class Frozen:
    """What of a model stays as it was on some prompts.

    Attributes:
        what: by name, some of :data:`acdc.engine.names.FREEZABLE`.
        layers: of each layer.
        final: of the last norm, at the predictions alone, ``[prediction, 1]``.
    """

    what: tuple[str, ...]
    layers: tuple[FrozenLayer, ...]
    final: Float[Tensor, "prediction 1"] | None

    @property
    def norms(self) -> bool:
        """Whether norms are."""
        return "norms" in self.what


@torch.no_grad()
def seen_on(
    model: Model,
    what: Sequence[str],
    tokens: Tokens,
    rows: Int[Tensor, " prediction"],
    columns: Int[Tensor, " prediction"],
) -> Frozen:
    """What is to stay, from a run of the model on some prompts.

    Args:
        model: the model, of which nothing is frozen yet.
        what: some of :data:`acdc.engine.names.FREEZABLE`.
        tokens: the prompts.
        rows: prompt of each prediction, ``[prediction]``.
        columns: position of each, likewise.
    """
    x = model.embed(tokens)[0]  # [prompt, pos, d_model]

    def scale(norm: Norm, y: Tensor) -> Tensor | None:
        return norm.inverse_scale(y) if "norms" in what and norm.kind != "none" else None

    layers = []
    for layer, attention in enumerate(model.attention):
        outputs, patterns = x.new_empty(attention.n_heads, *x.shape), list[Tensor]()
        run_heads(attention, x, model.table(layer, tokens), tokens.filled, outputs, patterns)
        heads, rest = attention.contributions(outputs)
        total = outputs.sum(0) if attention.b_O is None else outputs.sum(0) + attention.b_O
        y = x + heads.sum(0) if rest is None else x + heads.sum(0) + rest
        scales = [scale(attention.norm, x), scale(attention.post_norm, total)]
        if not model.graph_config.attn_only:
            read, mlp = (x if model.graph_config.parallel_attn_mlp else y), model.normed_mlp(layer)
            scales += [scale(mlp.before, read), scale(mlp.after, mlp.inside(mlp.before(read)))]
            y = y + mlp(read)
        layers.append(FrozenLayer(torch.cat(patterns) if "attention" in what else None, *scales))
        x = y
    return Frozen(tuple(what), tuple(layers), scale(model.final_norm, x[rows, columns]))
