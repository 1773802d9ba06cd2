"""Multi-head latent attention (DeepSeek-V2 and V3) as weights of heads behind a latent.

Keys and values of all heads come from one latent of few dimensions, and so may queries; a part of
every key, the one that is rotated, is the same for all heads and passes the latent as it is
(DeepSeek-AI 2024, arXiv 2405.04434, section 2.1). Bridges don't split it; its own module's
weights are taken. The rotated dimensions come first here, as everywhere in acdc: no product of
a query and a key sees the order.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from acdc.models.attention import Latent
from acdc.models.norms import read_norm


def is_latent(own: nn.Module) -> bool:
    """Whether an attention module is multi-head latent attention."""
    return hasattr(own, "kv_a_proj_with_mqa") and hasattr(own, "kv_b_proj")


def read_latent(own: Any, n_heads: int, where: str) -> dict[str, Any]:
    """The weights and latents of an attention module, by the names of :class:`acdc.models.attention.Attention`.

    Args:
        own: the model's own module.
        n_heads: its heads.
        where: for messages.

    Raises:
        ModelError: a norm that acdc doesn't know.
    """
    rank, rotated, plain = int(own.kv_lora_rank), int(own.qk_rope_head_dim), int(own.qk_nope_head_dim)
    down, down_bias = _linear(own.kv_a_proj_with_mqa)
    norm = read_norm(_raw(own.kv_a_layernorm), rank, f"{where}.kv_a_layernorm")
    up = _linear(own.kv_b_proj)[0].unflatten(1, (n_heads, -1)).transpose(0, 1)  # [head, rank, key and value]
    W_K = up.new_zeros(n_heads, rank + rotated, rotated + plain)
    W_K[:, :rank, rotated:] = up[..., :plain]
    W_K[:, rank:, :rotated] = torch.eye(rotated).to(up)
    W_V = up.new_zeros(n_heads, rank + rotated, up.shape[-1] - plain)
    W_V[:, :rank] = up[..., plain:]
    q_latent = None
    if own.q_lora_rank is None:
        queries, bias = _linear(own.q_proj)
    else:
        queries, bias = _linear(own.q_b_proj)
        q_norm = read_norm(_raw(own.q_a_layernorm), int(own.q_lora_rank), f"{where}.q_a_layernorm")
        q_latent = Latent(*_linear(own.q_a_proj), q_norm, int(own.q_lora_rank))

    def rotated_first(x: Tensor) -> Tensor:  # [..., head * d_head] to [head, ..., d_head]
        by_head = x.unflatten(-1, (n_heads, -1)).movedim(-2, 0)
        return torch.cat((by_head[..., plain:], by_head[..., :plain]), -1)

    out, b_O = _linear(own.o_proj)
    return {
        "W_Q": rotated_first(queries),
        "W_K": W_K,
        "W_V": W_V,
        "W_O": out.unflatten(0, (n_heads, -1)),
        "b_Q": None if bias is None else rotated_first(bias),
        "b_K": None,
        "b_V": None,
        "b_O": b_O,
        "q_latent": q_latent,
        "kv_latent": Latent(down, down_bias, norm, rank),
    }


def _raw(module: Any) -> Any:
    """The model's own module, whether a bridge stands before it or not."""
    return getattr(module, "original_component", module)


def _linear(module: Any) -> tuple[Tensor, Tensor | None]:
    """Weight, ``[in, out]``, and bias of a linear module."""
    own = _raw(module)
    return own.weight.detach().T, None if own.bias is None else own.bias.detach()
