"""Norms as the fast engine takes them: in halves, and with their weights in the projections behind them."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from acdc.models.norms import Norm


def normalized(norm: Norm, x: Float[Tensor, "*any d"]) -> Float[Tensor, "*any d"]:
    """A norm without its weight and bias, which the projections carry."""
    if x.dim() > 2 and x.stride(0) == 0 and len(x) > 1:  # what all heads read alike is normed once
        return normalized(norm, x[:1]).expand_as(x)
    if norm.kind == "layer":
        return F.layer_norm(x, x.shape[-1:], eps=norm.eps)
    if norm.kind == "rms":
        square = torch.linalg.vector_norm(x, dim=-1, keepdim=True).pow_(2).div_(x.shape[-1])
        return x * torch.rsqrt(square + norm.eps)
    return x


def centred(norm: Norm, x: Tensor) -> Tensor | None:
    """The first half of :func:`normalized`: leaves a factor, ``[..., 1]``, or ``None`` for 1; centres in place."""
    if norm.kind == "none":
        return None
    if norm.kind == "layer":
        x -= x.mean(-1, keepdim=True)
    square = torch.linalg.vector_norm(x, dim=-1, keepdim=True).pow_(2).div_(x.shape[-1])
    return square.add_(norm.eps).rsqrt_()


def fold(norm: Norm, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Move a norm's weight and bias into the projection behind it, ``[..., d_model, width]``."""
    folded = weight if norm.weight is None else norm.weight[:, None] * weight
    if norm.bias is not None:
        extra = norm.bias @ weight  # [..., width]
        bias = extra if bias is None else bias + extra
    return folded.contiguous(), bias


def less_mean(norm: Norm, x: Tensor) -> Tensor:
    """Less its mean, where the norm takes that away."""
    return x - x.mean(-1, keepdim=True) if norm.kind == "layer" else x
