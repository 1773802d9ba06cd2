"""What norms multiply by where a few heads change, without writing out what these write."""

import numpy as np
import pytest
import torch

from acdc.engine.fast.gains import MixtureChange, gains
from acdc.models.norms import Norm

SLOTS, RUNS, PLACES, WIDTH, D_HEAD = 3, 4, 5, 16, 2


def draw(n_heads):
    """Inputs before the change, how heads' mixtures change, and which head each slot reads."""
    draws = torch.Generator().manual_seed(0)
    normal = lambda *shape: torch.randn(*shape, generator=draws, dtype=torch.float64)  # noqa: E731
    heads = [MixtureChange(7 * i, normal(D_HEAD, WIDTH), normal(RUNS, PLACES, D_HEAD)) for i in range(n_heads)]
    mask = np.random.default_rng(0).random((SLOTS, n_heads)) < 0.6
    return 10 * normal(SLOTS, PLACES, WIDTH), heads, mask | (np.arange(n_heads) == 0)


def written_out(before, heads, mask):
    """Inputs after the change, ``[slot, run, place, d_model]``."""
    changes = torch.stack([head.change @ head.weight for head in heads])
    return before[:, None] + torch.einsum("sh,hrpd->srpd", torch.from_numpy(mask).double(), changes)


@pytest.mark.parametrize("kind", ["layer", "rms"])
@pytest.mark.parametrize("n_heads", [1, 3])
def test_as_if_written_out(kind, n_heads):
    before, heads, mask = draw(n_heads)
    norm, known = Norm(kind, eps=0.1), {}
    after = written_out(before, heads, mask)
    expected = norm.inverse_scale(after)
    torch.testing.assert_close(gains(norm, before, heads, mask, known), expected, rtol=1e-12, atol=0)
    assert known
    again = gains(norm, before[:1], heads, mask[:1], known)  # what is known is used again, for other slots
    torch.testing.assert_close(again, expected[:1], rtol=1e-12, atol=0)


def test_what_would_lose_digits_is_not_given():
    before, heads, mask = draw(1)
    norm = Norm("rms", eps=0.1)
    assert gains(norm, before, heads, mask, {}) is not None
    weight = before[0, 0].repeat(D_HEAD, 1) / D_HEAD  # takes nearly all of what is there away
    takes = MixtureChange(0, weight, torch.full((RUNS, PLACES, D_HEAD), -0.999, dtype=torch.float64))
    assert gains(norm, before, [takes], mask, {}) is None
    before, (first, second), mask = draw(2)
    opposite = MixtureChange(7, first.weight, second.change - 10 * first.change)  # of which little is left
    much = MixtureChange(0, first.weight, 10 * first.change)
    assert gains(norm, before, [much, opposite], mask | True, {}) is None
    broken = MixtureChange(0, heads[0].weight, heads[0].change * torch.nan)
    assert gains(norm, before, [broken], mask[:, :1], {}) is None
