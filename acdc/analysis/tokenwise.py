"""Tokens by themselves: what heads read of one, and what they write of it, whatever stands around it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from acdc.analysis.named import Head
from acdc.engine.setting import Setting
from acdc.errors import SettingsError
from acdc.models.attention import Attention
from acdc.models.model import Model
from acdc.models.tokens import Tokens
from acdc.pairs.tokenizer import special_ids, text_of


def all_tokens(model: Model) -> Int[np.ndarray, " token"]:
    """Ids of all tokens that may stand in a text: no special ones, and none that the tokenizer doesn't know."""
    tokenizer: Any = model.tokenizer
    known = model.vocab_size
    if hasattr(tokenizer, "__len__"):  # embeddings may be padded
        known = min(known, len(tokenizer))
    return np.array(sorted(set(range(known)) - special_ids(tokenizer)), dtype=np.int64)


def task_tokens(setting: Setting) -> Int[np.ndarray, " token"]:
    """Ids of the different tokens in a setting's clean and corrupted prompts, but for special ones."""
    used = {token for pair in setting.prompts.pairs for token in (*pair.clean, *pair.corrupted)}
    return np.array(sorted(used - special_ids(setting.model.tokenizer)), dtype=np.int64)


def spelled(model: Model, tokens: Sequence[int]) -> list[str]:
    """How tokens read; their numbers where there is no tokenizer."""
    if model.tokenizer is None:
        return [str(token) for token in tokens]
    return [text_of([token], model.tokenizer) for token in tokens]


def token_embeddings(model: Model, ids: Int[np.ndarray, " token"]) -> Float[Tensor, "token d_model"]:
    """What the input writes for tokens without their positions, ``[token, d_model]``."""
    tokens = Tokens(torch.as_tensor(ids, dtype=torch.long, device=model.device)[:, None], (1,) * len(ids))
    return model.embed(tokens, split=model.has_position_embedding)[0][:, 0]


def token_inputs(
    model: Model, ids: Int[np.ndarray, " token"], heads: Iterable[Head], *, first_mlp: bool = True
) -> dict[int, Float[Tensor, "token d_model"]]:
    """What heads read of tokens by themselves: ``[token, d_model]`` by the heads' layers.

    That is their embeddings without positions; behind the first MLP also what that writes of them, since in many
    models it is part of the embedding in all but name (Wang et al. 2022, arXiv 2211.00593; McDougall et al. 2023,
    arXiv 2310.04625).

    Args:
        model: the model.
        ids: the tokens.
        heads: that read.
        first_mlp: with the first MLP.
    """
    x, layers = token_embeddings(model, ids), {head.layer for head in heads}
    if not first_mlp or model.graph_config.attn_only or layers == {0}:
        return dict.fromkeys(layers, x)
    later = x + model.mlp(0, x[:, None])[:, 0]
    return {layer: later if layer else x for layer in layers}


def values(
    model: Model, node: Head, x: Float[Tensor, "batch pos d_model"], tokens: Tokens
) -> Float[Tensor, "batch pos d_model"]:
    """What a head writes for each source position if it looks nowhere else, before a norm that its layer's heads share.

    The sum of these by its attention weights is the head's output.

    Args:
        model: the model.
        node: the head.
        x: what its value slot reads.
        tokens: the prompts.
    """
    attention = model.attention[node.layer]
    group = attention.group(node.head)
    weight, bias, _, _ = attention.parts("v")
    read = attention.before("v", x) @ weight[group]
    v = read if bias is None else read + bias[group]
    return attention.behind("v", v[None], [group], model.table(node.layer, tokens))[0] @ attention.W_O[node.head]


def read_out(
    model: Model, x: Float[Tensor, "*place d_model"], tokens: Int[np.ndarray, " token"] | None = None
) -> Float[Tensor, "*place token"]:
    """What a part of the last residual stream adds to logits before a soft cap, where the final norm's scale is 1.

    Args:
        model: the model.
        x: the part, ``[..., d_model]``.
        tokens: whose logits; by default all outputs'.

    Raises:
        SettingsError: logits are more than a matrix and a bias of the normed residual.
    """
    readout, norm = model.readout(), model.final_norm
    if readout is None:
        raise SettingsError(
            f"{model.name} makes logits by more than a matrix and a bias, so that no head has a direct share in them."
        )
    weight = readout.weight
    if tokens is not None:  # few: in float32 at least, so that halves don't make them level
        weight = weight[:, torch.as_tensor(tokens, device=model.device)]
        x, weight = (each.to(torch.promote_types(each.dtype, torch.float32)) for each in (x, weight))
    x = norm.center(x)
    return readout.scale * ((x if norm.weight is None else x * norm.weight) @ weight)


def as_added(
    attention: Attention, value: Float[Tensor, "*batch d_model"], inverse_scale: Float[Tensor, "*place 1"] | float
) -> Float[Tensor, "*batch d_model"]:
    """What of a head's output arrives in the residual stream, with the scale of a norm behind its layer's heads frozen.

    Args:
        attention: its layer's.
        value: the head's output, or a part of it.
        inverse_scale: what the centred output is multiplied by, where there is such a norm.
    """
    norm = attention.post_norm
    if norm.kind == "none":
        return attention.multiplier * value
    gained = attention.multiplier * norm.center(value) * inverse_scale
    return gained if norm.weight is None else gained * norm.weight
