"""The norms in front of (and behind) attention and MLPs, as plain numbers.

A norm is read from its module by trying it on random vectors, so that no list of
class names decides: Gemma's ``1 + weight``, parameter-free norms and LayerNorm all
come out as one small record. Plain arithmetic in the model's own precision replaces
the module's, which casts to float32 inside even in a float64 model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from acdc.errors import ModelError, SettingsError
from acdc.models.rules import BackwardRules


@dataclass(frozen=True)
class Norm:
    """``weight * (x - mean) / scale + bias``, without the mean for ``rms``, or nothing for ``none``.

    Attributes:
        kind: ``layer`` (scale: standard deviation), ``rms`` (root mean square) or ``none``.
        weight, bias: ``[width]``, or ``[head, width]`` where each head has its own (StableLM, Cohere).
        eps: added to the mean square below the root.
        constant_scale: on the way back, the scale is a constant.
        frozen: what the centred vectors are multiplied by, ``[..., 1]``, whatever they are; see
            :mod:`acdc.models.freezing`.
    """

    kind: Literal["layer", "rms", "none"]
    weight: Float[Tensor, "*head width"] | None = None
    bias: Float[Tensor, "*head width"] | None = None
    eps: float = 0.0
    constant_scale: bool = False
    frozen: Float[Tensor, "*place 1"] | None = None

    def __call__(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        """Normalize the last dimension, ``[..., width]`` to the same shape."""
        if self.kind == "none":
            return x
        y = self.center(x) * self.inverse_scale(x)
        if self.weight is not None:
            y = y * self.weight
        return y if self.bias is None else y + self.bias

    def of_heads(self, heads: list[int]) -> Norm:
        """The norm of some heads' vectors, ``[head, batch, pos, width]``, where each may have its own weights."""
        if self.weight is None or self.weight.dim() == 1:
            return self
        bias = None if self.bias is None else self.bias[heads, None, None]
        return replace(self, weight=self.weight[heads, None, None], bias=bias)

    def with_rules(self, rules: BackwardRules) -> Norm:
        """The same with a way back by the rules."""
        return replace(self, constant_scale=rules.norm)

    def with_bias_weight(self, weight: Float[Tensor, ""]) -> Norm:
        """The same with its bias multiplied by a number."""
        return self if self.bias is None else replace(self, bias=self.bias * weight)

    def with_frozen(self, scale: Float[Tensor, "*place 1"] | None) -> Norm:
        """The same with a scale that stays, if there is one."""
        return self if scale is None else replace(self, frozen=scale)

    def center(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        """``x`` minus its mean for ``layer``, else ``x``."""
        return x - x.mean(-1, keepdim=True) if self.kind == "layer" else x

    def inverse_scale(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch 1"]:
        """What the centred ``x`` is multiplied by, ``[..., 1]``."""
        if (frozen := self.frozen) is not None:
            check_frozen(x.shape[-frozen.dim() : -1], frozen.shape[:-1])
            return frozen
        inverse = torch.rsqrt(self.center(x).pow(2).mean(-1, keepdim=True) + self.eps)
        return inverse.detach() if self.constant_scale else inverse


def check_frozen(asked: Sequence[int], known: Sequence[int]) -> None:
    """Raise :class:`SettingsError` unless prompts, and positions of them, are as many as something is frozen on."""
    if tuple(asked) != tuple(known):
        raise SettingsError(
            f"this runs prompts or positions ({' x '.join(map(str, asked))}) that attention or norms aren't frozen on "
            f"({' x '.join(map(str, known))}); leave out `freeze`."
        )


def read_norm(module: nn.Module | None, width: int, where: str) -> Norm:
    """Read a norm module's numbers and prove that they reproduce it.

    Args:
        module: the raw module; ``None`` and identities become ``none``.
        width: size of the dimension that it normalizes.
        where: for messages ("blocks.3.ln1").

    Raises:
        ModelError: neither LayerNorm nor RMSNorm reproduces the module.
    """
    if module is None or isinstance(module, nn.Identity):
        return Norm("none")
    if isinstance(each := getattr(module, "norms", None), nn.ModuleList):  # StableLM: a module for each head
        return _stacked([read_norm(own, width, f"{where}.norms.{head}") for head, own in enumerate(each)], where)
    weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
    weight = None if weight is None else weight.detach()
    bias = bias.detach() if isinstance(bias, Tensor) else None
    weights = [weight] if weight is None else [weight, 1 + weight]
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    dtype = torch.float32 if weight is None else weight.dtype
    shape = (4, width) if weight is None or weight.dim() == 1 else (4, *weight.shape)
    usual = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device=device, dtype=dtype) + 0.5
    # What is added below the root hardly shows in vectors of usual size: a guess of 0 would pass for 1e-5.
    small = _SMALL * usual
    with torch.no_grad():
        expected, expected_small = _run(module, usual), _run(module, small)
        wide = torch.promote_types(dtype, torch.float32)  # squares of small numbers leave half precision
        usual, small = usual.to(wide), small.to(wide)
        found = [eps for name in _EPS if isinstance(eps := getattr(module, name, None), float)]
        for kind in ("layer", "rms"):
            for candidate in weights:
                measured = _measured_eps(Norm(kind, candidate, bias), small, expected_small)
                for eps in (*found, *measured):
                    norm = Norm(kind, candidate, bias, eps)
                    given = ((norm(usual), expected), (norm(small), expected_small))
                    if all(
                        torch.allclose(a, b.to(a), rtol=_TOLERANCE[dtype], atol=_TOLERANCE[dtype]) for a, b in given
                    ):
                        return norm
    raise ModelError(
        f"{where} is a {type(module).__name__}, which is neither a LayerNorm nor an RMSNorm; "
        "acdc can't open this model."
    )


#: Where modules keep what is added below the root; where in none of these, it is measured.
_EPS = ("eps", "variance_epsilon", "epsilon", "norm_eps")
#: Size of vectors whose mean square is about what is added to it.
_SMALL = 1e-3


def _run(module: nn.Module, x: Tensor) -> Tensor:
    try:
        return module(x[None])[0]
    except RuntimeError:  # Some norms take [tokens, width] only.
        return module(x)


def _measured_eps(bare: Norm, x: Tensor, normed: Tensor) -> tuple[float, ...]:
    """What must be added below the root for a norm without it to give what its module gives.

    Args:
        bare: the norm, with nothing added.
        x: vectors, ``[..., width]``.
        normed: what the module makes of them.

    Returns:
        It, rounded as people write it (1e-5 and not 1.00013e-5), to one digit and to two; 0 if it is nothing.
    """
    centred = bare.center(x.double())
    plain = normed.double() if bare.bias is None else normed.double() - bare.bias
    full = centred if bare.weight is None else centred * bare.weight
    gain = (plain * full).sum(-1) / full.square().sum(-1)
    eps = float((gain.pow(-2) - centred.square().mean(-1)).mean())
    if not 1e-9 < eps < 1:
        return (0.0,)
    return float(f"{eps:.1g}"), float(f"{eps:.2g}")


def _stacked(norms: list[Norm], where: str) -> Norm:
    """One norm of many heads, from each head's own."""
    first = norms[0]
    if any((norm.kind, norm.eps) != (first.kind, first.eps) for norm in norms):
        raise ModelError(f"{where}: its heads have norms of different kinds; acdc can't open this model.")

    def stack(tensors: list[Tensor | None]) -> Tensor | None:
        given = [tensor for tensor in tensors if tensor is not None]
        return torch.stack(given) if len(given) == len(tensors) else None

    return Norm(first.kind, stack([norm.weight for norm in norms]), stack([norm.bias for norm in norms]), first.eps)


_TOLERANCE = {torch.float64: 1e-5, torch.float32: 1e-5, torch.float16: 1e-2, torch.bfloat16: 5e-2}
