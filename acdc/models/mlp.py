"""An MLP as its weights and activation, where its module is no more than that.

Like norms, it is read by trying: the module is compared with the plain formula on random
vectors, so that no list of class names decides. What matches runs with fused kernels;
anything else (mixtures of experts, extra norms) runs through its own module.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from acdc.models.norms import Norm
from acdc.models.products import product

#: Numbers that are activated at a time, so that what is between stays in the cache.
_BLOCK = 2**18


def _gelu_tanh(x: Tensor) -> Tensor:
    """GELU's tanh approximation, in place.

    ``(1 + tanh(u / 2)) / 2 = sigmoid(u)``, so it is ``x sigmoid(sqrt(8 / pi) (x + 0.044715 x^3))``
    (Hendrycks and Gimpel 2016, arXiv 1606.08415); in passes over small blocks about half the time
    of the fused kernel, whose tanh is slow, and no fresh memory for the result.
    """
    if x.device.type != "cpu":
        return F.gelu(x, approximate="tanh")
    rows = max(1, _BLOCK // x.shape[-1])
    u = torch.empty_like(x[:rows])
    for part in x.split(rows):
        v = torch.mul(part, part, out=u[: len(part)])
        v = torch.addcmul(part, v, part, value=0.044715, out=v)
        part.mul_(v.mul_(math.sqrt(8 / math.pi)).sigmoid_())
    return x


#: Activations that may overwrite what they are given.
_ACTIVATIONS: tuple[Callable[[Tensor], Tensor], ...] = (
    _gelu_tanh,
    F.gelu,
    partial(F.relu, inplace=True),
    partial(F.silu, inplace=True),
)
#: How far a formula may be from its module, relative to the largest number.
TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-5, torch.float16: 1e-2, torch.bfloat16: 5e-2}


@dataclass(frozen=True)
class PlainMlp:
    """``act(x W_in + b_in) W_out + b_out``, or with a gate ``(act(x W_gate) * (x W_in)) W_out``.

    Attributes:
        W_in, W_gate: ``[d_model, d_mlp]``. W_out: ``[d_mlp, d_model]``.
        b_in: ``[d_mlp]``. b_out: ``[d_model]``.
        activation: what is between; may overwrite its argument.
    """

    W_in: Float[Tensor, "d_model d_mlp"]
    W_out: Float[Tensor, "d_mlp d_model"]
    b_in: Float[Tensor, " d_mlp"] | None
    b_out: Float[Tensor, " d_model"] | None
    W_gate: Float[Tensor, "d_model d_mlp"] | None
    activation: Callable[[Tensor], Tensor]

    def __call__(
        self, x: Float[Tensor, "row d_model"], inner: Float[Tensor, "row d_mlp"] | None = None
    ) -> Float[Tensor, "row d_model"]:
        """Run it on normed inputs.

        Args:
            x: ``[row, d_model]``.
            inner: room for the first product, ``[row, d_mlp]``.

        Returns:
            ``[row, d_model]``
        """
        gate = None if self.W_gate is None else product(x, self.W_gate)
        return self.written(self.activated(product(x, self.W_in, self.b_in, out=inner), gate))

    def hidden(self, x: Float[Tensor, "row d_model"]) -> Float[Tensor, "row d_mlp"]:
        """Its hidden units on normed inputs: what ``W_out`` reads."""
        gate = None if self.W_gate is None else product(x, self.W_gate)
        return self.activated(product(x, self.W_in, self.b_in), gate)

    def written(self, hidden: Float[Tensor, "row d_mlp"]) -> Float[Tensor, "row d_model"]:
        """From the hidden units to the output."""
        return product(hidden, self.W_out, self.b_out)

    def activated(
        self, inner: Float[Tensor, "row d_mlp"], gate: Float[Tensor, "row d_mlp"] | None
    ) -> Float[Tensor, "row d_mlp"]:
        """From the first products, which may be overwritten, to the hidden units."""
        return self.activation(inner) if gate is None else inner.mul_(self.activation(gate))


@dataclass(frozen=True)
class NormedMlp:
    """An MLP with the norms around it.

    Attributes:
        before: the norm in front. after: the norm behind, or none.
        plain: what is between.
        multiplier: what the block's output is multiplied by (Granite), else 1.
    """

    before: Norm
    plain: PlainMlp
    after: Norm
    multiplier: float

    def __call__(
        self, x: Float[Tensor, "row d_model"], inner: Float[Tensor, "row d_mlp"] | None = None
    ) -> Float[Tensor, "row d_model"]:
        """What the MLP writes, given its residual input, ``[row, d_model]`` to the same; see :class:`PlainMlp`."""
        return self.finish(self.plain(self.before(x), inner))

    def finish(self, y: Float[Tensor, "row d_model"]) -> Float[Tensor, "row d_model"]:
        """From the plain MLP's output to what is written, ``[row, d_model]``."""
        y = self.after(y)
        return y if self.multiplier == 1.0 else self.multiplier * y


class MlpReader:
    """Reads layers' MLPs; which activation one has is tried out once, and again when something in it is another."""

    def __init__(self) -> None:
        #: By layer: its parts as they were then, and which of the activations it was, ``None`` for none of them.
        self._tried: dict[int, tuple[list[tuple[object, int]], int | None]] = {}

    def read(self, layer: int, bridge: nn.Module, run: Callable[[Tensor], Tensor], d_model: int) -> PlainMlp | None:
        """Read an MLP's weights and prove that the formula reproduces it.

        Args:
            layer: which one it is.
            bridge: the MLP's bridge component.
            run: the module itself, on ``[batch, pos, d_model]`` normed inputs.
            d_model: width of the residual stream.

        Returns:
            The MLP, or ``None`` where it is something else.
        """
        found = _candidates(bridge)
        now, (before, known) = _parts(bridge), self._tried.get(layer, ([], None))
        same = len(now) == len(before) and all(a is b and i == j for (a, i), (b, j) in zip(now, before, strict=True))
        if not (now and same):
            known = _best(found, run, d_model) if found else None
            self._tried[layer] = now, known
        return None if known is None else found[known]


def _parts(bridge: nn.Module) -> list[tuple[object, int]]:
    """All modules and parameters of an MLP, with their numbers of edits; nothing where hooks may do something else."""
    modules = list(bridge.modules())
    if any(module._forward_hooks or module._forward_pre_hooks for module in modules):
        return []
    weights = [(each, 0 if each.is_inference() else each._version) for each in bridge.parameters()]
    return [*((module, 0) for module in modules), *weights]


def _candidates(bridge: nn.Module) -> list[PlainMlp]:
    """An MLP's weights with each activation; none where it hasn't such weights."""
    try:
        weights = {name: getattr(bridge, name, None) for name in ("W_in", "W_out", "W_gate", "b_in", "b_out")}
    except (AttributeError, NotImplementedError):
        return []
    W_in, W_out = weights.pop("W_in"), weights.pop("W_out")
    if W_in is None or W_out is None or W_in.dim() != 2:
        return []
    return [PlainMlp(W_in, W_out, weights["b_in"], weights["b_out"], weights["W_gate"], a) for a in _ACTIVATIONS]


@torch.no_grad()
def _best(candidates: Sequence[PlainMlp], run: Callable[[Tensor], Tensor], d_model: int) -> int | None:
    """Which formula reproduces a module, if one does."""
    W_in, W_gate = candidates[0].W_in, candidates[0].W_gate
    # Wide enough that activations differ.
    probe = 3 * torch.randn(1, 8, d_model, generator=torch.Generator().manual_seed(0)).to(W_in)
    expected = run(probe)[0]
    inner = product(probe[0], W_in, candidates[0].b_in)
    gate = inner if W_gate is None else probe[0] @ W_gate
    hidden = [one.activated(inner.clone(), None if W_gate is None else gate.clone()) for one in candidates]
    found = candidates[0].written(torch.cat(hidden)).chunk(len(candidates))
    errors = [float((one - expected).abs().max()) for one in found]
    best = min(range(len(errors)), key=errors.__getitem__)
    return best if errors[best] <= TOLERANCE[W_in.dtype] * float(expected.abs().max()) else None
