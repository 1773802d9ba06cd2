"""Norms are read by trying, what is added below the root included."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from acdc.errors import ModelError
from acdc.models.norms import read_norm


class Bare(nn.Module):
    """A LayerNorm that says nothing of itself, as OLMo-1's."""

    def __init__(self, eps, weight=None):
        super().__init__()
        self.hidden = (eps, weight)

    def forward(self, x):
        eps, weight = self.hidden
        return F.layer_norm(x.float(), x.shape[-1:], weight, None, eps).to(x.dtype)


class Root(nn.Module):
    """An RMSNorm whose attribute says something else than it does."""

    def __init__(self, eps, said):
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(0.5, 2, 16))
        self.eps, self._own = said, eps

    def forward(self, x):
        return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self._own)


@pytest.mark.parametrize("eps", [1e-5, 1e-6, 1.5e-5, 3e-4, 0.0])
@pytest.mark.parametrize("make", [Bare, lambda eps: Root(eps, 1e-8), lambda eps: Root(eps, None)])
def test_what_is_added_below_the_root_is_measured_where_no_attribute_says_it(make, eps):
    norm = read_norm(make(eps), 16, "here")
    assert norm.eps == pytest.approx(eps, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("eps", [1e-5, 1e-6])
def test_an_attribute_that_is_right_is_taken_in_any_precision(dtype, eps):
    module = nn.LayerNorm(16, eps=eps).to(dtype)
    with torch.no_grad():
        module.weight.normal_(generator=torch.Generator().manual_seed(0))
    assert read_norm(module, 16, "here").eps == eps


@pytest.mark.parametrize("kind", ["layer", "rms"])
def test_each_head_may_have_a_norm_of_its_own(kind):
    weights = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))

    class Together(nn.Module):  # Cohere
        eps = 1e-5

        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(weights)

        def forward(self, x):
            x = x - x.mean(-1, keepdim=True) if kind == "layer" else x
            return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)

    class Apart(nn.Module):  # StableLM
        def __init__(self):
            super().__init__()
            make = nn.LayerNorm if kind == "layer" else nn.RMSNorm
            self.norms = nn.ModuleList(make(8, eps=1e-5) for _ in weights)
            for norm, weight in zip(self.norms, weights, strict=True):
                norm.weight = nn.Parameter(weight)

    x = torch.randn(5, 8, generator=torch.Generator().manual_seed(1))
    for module in (Together(), Apart()):
        norm = read_norm(module, 8, "here")
        assert (norm.kind, norm.eps) == (kind, 1e-5)
        for head, weight in enumerate(weights):
            alone = F.layer_norm(x, (8,), weight, None, 1e-5) if kind == "layer" else F.rms_norm(x, (8,), weight, 1e-5)
            assert torch.allclose(norm.of_heads([head])(x[None, None])[0, 0], alone, atol=1e-6)


def test_heads_with_norms_of_different_kinds_are_refused():
    module = nn.Module()
    module.norms = nn.ModuleList([nn.LayerNorm(8), nn.RMSNorm(8, eps=1e-5)])
    with pytest.raises(ModelError, match="norms of different kinds"):
        read_norm(module, 8, "blocks.0.attn.q_norm")


def test_what_is_no_norm_is_refused():
    with pytest.raises(ModelError, match=r"blocks.3.ln1 is a Tanh, which is neither"):
        read_norm(nn.Tanh(), 8, "blocks.3.ln1")
