"""The norms in front of (and behind) attention and MLPs, as plain numbers.

A norm is read from its module by trying it on random vectors, so that no list of
class names decides: Gemma's ``1 + weight``, parameter-free norms and LayerNorm all
come out as one small record. Plain arithmetic in the model's own precision replaces
the module's, which casts to float32 inside even in a float64 model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from acdc.errors import ModelError


@dataclass(frozen=True)
class Norm:
    """``weight * (x - mean) / scale + bias``, without the mean for ``rms``, or nothing for ``none``.

    Attributes:
        kind: ``layer`` (scale: standard deviation), ``rms`` (root mean square) or ``none``.
        weight, bias: ``[width]``.
        eps: added to the mean square below the root.
    """

    kind: Literal["layer", "rms", "none"]
    weight: Tensor | None = None
    bias: Tensor | None = None
    eps: float = 0.0

    def __call__(self, x: Tensor) -> Tensor:
        """Normalize the last dimension, ``[..., width]`` to the same shape."""
        if self.kind == "none":
            return x
        y = self.center(x) * self.inverse_scale(x)
        if self.weight is not None:
            y = y * self.weight
        return y if self.bias is None else y + self.bias

    def center(self, x: Tensor) -> Tensor:
        """``x`` minus its mean for ``layer``, else ``x``."""
        return x - x.mean(-1, keepdim=True) if self.kind == "layer" else x

    def inverse_scale(self, x: Tensor) -> Tensor:
        """What the centred ``x`` is multiplied by, ``[..., 1]``."""
        return torch.rsqrt(self.center(x).pow(2).mean(-1, keepdim=True) + self.eps)


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
    eps = next(
        (
            float(value)
            for name in ("eps", "variance_epsilon")
            if isinstance(value := getattr(module, name, None), float)
        ),
        0.0,
    )
    weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
    weight = None if weight is None else weight.detach()
    bias = bias.detach() if isinstance(bias, Tensor) else None
    weights = [weight] if weight is None else [weight, 1 + weight]
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    dtype = torch.float32 if weight is None else weight.dtype
    generator = torch.Generator().manual_seed(0)
    probe = torch.randn(4, width, generator=generator).to(device=device, dtype=dtype) + 0.5
    with torch.no_grad():
        try:
            expected = module(probe[None])[0]
        except RuntimeError:  # Some norms take [tokens, width] only.
            expected = module(probe)
        for kind in ("layer", "rms"):
            for candidate in weights:
                norm = Norm(kind, candidate, bias, eps)
                if torch.allclose(norm(probe), expected, rtol=_TOLERANCE[dtype], atol=_TOLERANCE[dtype]):
                    return norm
    raise ModelError(
        f"{where} is a {type(module).__name__}, which is neither a LayerNorm nor an RMSNorm; "
        "acdc can't open this model."
    )


_TOLERANCE = {torch.float64: 1e-5, torch.float32: 1e-5, torch.float16: 1e-2, torch.bfloat16: 5e-2}
