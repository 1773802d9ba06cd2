"""What an attention module does to its scores, by the names under which modules keep it."""

from __future__ import annotations

from torch import Tensor, nn


def score_scale(own: nn.Module, d_head: int) -> float:
    """What an attention module multiplies its scores by."""
    if hasattr(own, "scaling"):  # most of transformers 5
        return float(own.scaling)  # type: ignore[arg-type]
    if hasattr(own, "scale_attn"):  # GPT-J
        return 1 / float(own.scale_attn)  # type: ignore[arg-type]
    if hasattr(own, "inv_norm_factor"):  # Falcon
        return float(own.inv_norm_factor)  # type: ignore[arg-type]
    if hasattr(own, "softmax_scale"):  # MPT
        return float(own.softmax_scale)  # type: ignore[arg-type]
    if hasattr(own, "scale"):  # TransformerLens' native models
        return 1 / float(own.scale)  # type: ignore[arg-type]
    return 1.0  # GPT-Neo


def clip(own: nn.Module) -> float | None:
    """Where an attention module cuts off its queries, keys and values (OLMo-1, MPT)."""
    clip = getattr(own, "clip_qkv", None) or getattr(getattr(own, "config", None), "clip_qkv", None)
    return None if clip is None else float(clip)


def sinks(own: nn.Module) -> Tensor | None:
    """Scores of the key that takes attention and gives nothing, ``[head]`` (gpt-oss)."""
    sinks = getattr(own, "sinks", None)
    return sinks.detach() if isinstance(sinks, Tensor) else None


def soft_cap(own: nn.Module) -> float | None:
    """Where it cuts off its scores by a tanh (Gemma 2)."""
    for name in ("attn_logit_softcapping", "attn_scores_soft_cap"):
        cap = getattr(own, name, None)
        if cap is not None and float(cap) > 0:
            return float(cap)
    return None
