"""Rules for the way back: a model that computes what it always does, and hands other gradients back.

Relevance methods (RelP, GIM) are attribution with a changed backward pass. Each rule here changes the gradient of one
kind of part, and never a value: with rules on, logits are the same bit by bit. The parts that follow them are
replaced one by one (:meth:`acdc.models.model.Model.with_rules`), so that a rule can't be set and stay without effect,
and a model without rules has none of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class BackwardRules:
    """What the way back does otherwise than the gradient; by default nothing.

    Attributes:
        norm: what a norm divides by is a constant (every norm: before and behind a block, of queries and keys, of
            latents, the final one).
        activation: an elementwise function f is the product of z and the constant f(z)/z, at 0 of z and f'(0): the
            activations of MLPs, soft caps, and clipped queries, keys and values.
        pattern: where a head looks is a constant, so that nothing goes back to queries and keys.
        temperature: of the softmax of the scores, on the way back alone.
        query, key, value: what goes back through queries, keys and values is multiplied by this.
        gate, up: likewise through the two factors of a gated MLP: the activated one, and the other.
    """

    norm: bool = False
    activation: bool = False
    pattern: bool = False
    temperature: float = 1.0
    query: float = 1.0
    key: float = 1.0
    value: float = 1.0
    gate: float = 1.0
    up: float = 1.0

    def of_heads(self, letter: str) -> float:
        """What goes back through queries, keys or values (``q``, ``k`` or ``v``) is multiplied by."""
        return {"q": self.query, "k": self.key, "v": self.value}[letter]

    @property
    def scales_gates(self) -> bool:
        """Whether the factors of a gated MLP are handed back otherwise than by the gradient."""
        return (self.gate, self.up) != (1.0, 1.0)

    @property
    def changes_mlps(self) -> bool:
        """Whether the inside of an MLP has a rule, so that its own module can't be differentiated."""
        return self.activation or self.scales_gates

    def elementwise(self, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """An elementwise function of a tensor, and its way back by the rule."""
        return by_secant(function, x) if self.activation else function(x)

    def softmax(self, scores: Float[Tensor, "*batch key"], dtype: torch.dtype) -> Float[Tensor, "*batch key"]:
        """Softmax over the last dimension in some precision, and its way back by the rule."""
        if self.temperature == 1.0:
            return scores.softmax(-1, dtype=dtype)
        return _Softmax.apply(scores, dtype, self.temperature)


#: The gradient as it is.
NO_RULES = BackwardRules()


def scaled_back(x: Tensor, factor: float) -> Tensor:
    """A tensor itself; its gradient is multiplied by a factor."""
    return x if factor == 1.0 else _ScaledBack.apply(x, factor)


def by_secant(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """``f(x)`` elementwise; on the way back, ``f(x)/x`` (at 0: ``f'(0)``) stands in the derivative's place.

    Args:
        function: elementwise, 0 at 0, with a gradient.
        x: where.
    """
    return _Secant.apply(x, function)


def handed_back_by(value: Tensor, way: Tensor) -> Tensor:
    """The one tensor's values, with the other's way back; of the same shape."""
    return _HandedBackBy.apply(value, way)


def with_bias_weight(y: Tensor, bias: Tensor | None, weight: Tensor | None) -> Tensor:
    """What a linear map gives, as if its bias had been multiplied by a weight; infinite biases are left alone."""
    if bias is None or weight is None:
        return y
    bias = bias.detach()
    return y + (weight - 1) * bias.masked_fill(~bias.isfinite(), 0.0)


class _ScaledBack(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * ctx.factor, None


class _Secant(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        y = function(x.clone())  # it may overwrite what it's given
        slope = y / x
        if bool((zero := x == 0).any()):
            slope = torch.where(zero, _slope_at_0(function, x), slope)
        # Logits of minus infinity have no relevance.
        ctx.save_for_backward(slope.masked_fill(~x.isfinite(), 0.0))
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (slope,) = ctx.saved_tensors
        return gradient * slope, None


def _slope_at_0(function: Callable[[Tensor], Tensor], like: Tensor) -> Tensor:
    """``f'(0)`` of every element, of the shape of a tensor."""
    with torch.enable_grad():
        zeros = torch.zeros_like(like).requires_grad_()
        return torch.autograd.grad(function(zeros.clone()).sum(), zeros)[0]


class _HandedBackBy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, way: Tensor) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:
        return None, gradient


class _Softmax(torch.autograd.Function):
    """Softmax whose Jacobian is that at another temperature T: ``diag(p) - p p'`` with p = softmax(x / T).

    The factor 1 / T that the derivative of softmax(x / T) would have besides isn't in it, as in GIM's own code.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, dtype: torch.dtype, temperature: float) -> Tensor:
        ctx.save_for_backward((x / temperature).softmax(-1, dtype=dtype))
        ctx.dtype = x.dtype
        return x.softmax(-1, dtype=dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (p,) = ctx.saved_tensors
        return (p * (gradient - (gradient * p).sum(-1, keepdim=True))).to(ctx.dtype), None, None
