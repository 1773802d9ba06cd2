"""From the normed last residual stream to logits: a matrix, a bias, a scale, and a soft cap in some models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


@dataclass(frozen=True)
class Readout:
    """Logits in front of a soft cap: ``scale * (x @ weight + bias)``.

    Attributes:
        weight: ``[d_model, n_outputs]``.
        bias: ``[n_outputs]``, if there is one.
        scale: what logits are multiplied by (Cohere, Granite), else 1.
        capped: a soft cap comes behind it (Gemma 2).
    """

    weight: Float[Tensor, "d_model n_outputs"]
    bias: Float[Tensor, " n_outputs"] | None
    scale: float
    capped: bool

    @property
    def is_plain(self) -> bool:
        """Whether logits are no more than a matrix and a bias."""
        return self.scale == 1.0 and not self.capped

    def directions(self, tokens: Int[Tensor, " token"]) -> Float[Tensor, "token d_model"]:
        """What the normed residual is multiplied by to give some tokens' logits, in float64."""
        return self.scale * self.weight[:, tokens].T.double()

    def offsets(self, tokens: Int[Tensor, " token"]) -> Float[Tensor, " token"]:
        """What some tokens' logits are where the normed residual is 0, in float64."""
        if self.bias is None:
            return torch.zeros(tokens.shape, dtype=torch.float64, device=tokens.device)
        return self.scale * self.bias[tokens].double()

    def mean(self, dead: Bool[Tensor, " n_outputs"] | None) -> tuple[Float[Tensor, " d_model"], Float[Tensor, ""]]:
        """The same of the mean over all outputs: what the normed residual is multiplied by, and what is added.

        Args:
            dead: outputs that are left out, see :class:`acdc.models.model.Model`.
        """
        weight, bias = self.weight, torch.zeros_like(self.weight[0]) if self.bias is None else self.bias
        if dead is not None:
            weight, bias = weight[:, ~dead], bias[~dead]
        return self.scale * weight.mean(1, dtype=torch.float64), self.scale * bias.mean(dtype=torch.float64)


@torch.no_grad()
def read_readout(module: nn.Module, transform: Callable[[Tensor], Tensor] | None) -> Readout | None:
    """Read the unembedding's numbers, if they reproduce it.

    Args:
        module: the raw module, with a ``weight`` of ``[n_outputs, d_model]``.
        transform: what is done to its logits, elementwise and 0 at 0, if anything is.

    Returns:
        Them, or ``None`` where the module is more than a matrix and a bias.
    """
    weight: Tensor = module.weight.detach().T  # type: ignore[operator]
    bias = getattr(module, "bias", None)
    bias = bias.detach() if isinstance(bias, Tensor) else None
    if not _is_plain(module, weight, bias):
        return None
    if transform is None:
        return Readout(weight, bias, 1.0, False)
    with torch.enable_grad():  # on the CPU: what is done elementwise is the same everywhere
        zero = torch.zeros(1, weight.shape[1], dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(transform(zero.clone()).sum(), zero)  # it may overwrite what it's given
    scale = float(slope.flatten()[0])
    wide = torch.linspace(-50, 50, weight.shape[1], dtype=torch.float64)[None]
    straight = torch.allclose(transform(wide.clone()), scale * wide, rtol=1e-6, atol=1e-6)
    return Readout(weight, bias, scale, not straight)


#: Of modules that were tried out: their own parameters, and those as they were then, by number of edits.
_TRIED: WeakKeyDictionary[nn.Module, tuple[list[tuple[Tensor, int]], bool]] = WeakKeyDictionary()


def _is_plain(module: nn.Module, weight: Float[Tensor, "d_model n_outputs"], bias: Tensor | None) -> bool:
    """Whether a module is its weight and its bias: tried out once, and again when its parameters are others."""
    now: list[tuple[Tensor, int]] = [
        (each, 0 if each.is_inference() else each._version) for each in module.parameters(recurse=False)
    ]
    tried = _TRIED.get(module)
    if (
        tried is None
        or len(tried[0]) != len(now)
        or any(one is not other or then != since for (one, then), (other, since) in zip(tried[0], now, strict=True))
    ):
        probe = torch.randn(4, weight.shape[0], generator=torch.Generator().manual_seed(0)).to(weight) * 10
        logits = probe @ weight if bias is None else probe @ weight + bias
        close = 1e-4 if weight.element_size() >= 4 else 5e-2
        tried = now, torch.allclose(module(probe), logits, rtol=close, atol=close)
        _TRIED[module] = tried
    return tried[1]
