"""The distribution of masks: its formulas against what is drawn, and against differences."""

import math

import pytest
import torch

from acdc.methods.masks import hard_concrete
from acdc.methods.masks.schemes import uniform_mask

DRAWS = 200_000
#: Five standard deviations of a share of so many draws, at most.
FAR = 5 * 0.5 / math.sqrt(DRAWS)


def uniform(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("location", [-4.0, -1.5986, 0.0, 1.6094, 3.0])
def test_the_share_of_masks_drawn_that_are_not_0_is_the_formula(location):
    z = hard_concrete.drawn(torch.tensor(location, dtype=torch.float64), uniform(DRAWS))
    assert (z >= 0).all()
    assert (z <= 1).all()
    alive = hard_concrete.alive(torch.tensor(location, dtype=torch.float64))
    assert float(alive) == pytest.approx(1 / (1 + math.exp(-location - 1.5986)), abs=1e-5)
    assert float((z != 0).double().mean()) == pytest.approx(float(alive), abs=FAR)
    # By symmetry it is 1 as often as one of the opposite location is 0.
    assert float((z == 1).double().mean()) == pytest.approx(1 - 1 / (1 + math.exp(location - 1.5986)), abs=FAR)
    assert float(hard_concrete.log_alive(torch.tensor(location))) == pytest.approx(math.log(alive), abs=1e-5)


def test_the_mean_of_the_masks_has_the_gradient_of_differences():
    """By the same draws: z is continuous in its location."""
    location = torch.tensor([-2.0, -0.3, 0.5, 1.6, 3.0], dtype=torch.float64, requires_grad=True)
    draws = uniform(2000, 5)
    for value in (
        lambda at: hard_concrete.drawn(at, draws).mean(0),
        hard_concrete.alive,
        hard_concrete.log_alive,
    ):
        (gradient,) = torch.autograd.grad(value(location).sum(), location)
        with torch.no_grad():
            differences = (value(location + 1e-6) - value(location - 1e-6)) / 2e-6
        assert gradient.abs().min() > 1e-3
        assert torch.allclose(gradient, differences, rtol=1e-3, atol=1e-5)


def test_far_out_a_mask_is_always_0_or_always_1():
    ends = torch.tensor([-60.0, 60.0, -math.inf, math.inf], dtype=torch.float64)
    z = hard_concrete.drawn(ends, uniform(1000, 4))
    assert torch.equal(z, torch.tensor([0.0, 1, 0, 1], dtype=torch.float64).expand(1000, 4))
    assert torch.equal(hard_concrete.settled(ends), z[0])
    near = torch.tensor([-1e-9, 0.0, 40.0, 41.0], dtype=torch.float64)
    assert (hard_concrete.settled(near) >= 0.5).tolist() == [False, True, True, True]
    # The logarithm still tells apart what is 1 after rounding.
    assert hard_concrete.alive(near)[2] == hard_concrete.alive(near)[3] == 1
    assert hard_concrete.log_alive(near)[2] < hard_concrete.log_alive(near)[3]


def test_the_mean_of_uniform_masks_is_theta():
    theta = torch.tensor([0.0, 1e-3, 0.2, 0.5, 0.731, 0.99, 1.0], dtype=torch.float64)
    z = uniform_mask(theta, uniform(DRAWS, len(theta)))
    assert torch.allclose(z.mean(0), theta, atol=FAR)
    between = (z > 0) & (z < 1)
    assert torch.allclose(between.double().mean(0), theta * (1 - theta), atol=FAR)
    assert z[:, 3][between[:, 3]].mean() == pytest.approx(0.5, abs=4 * FAR)


def test_uniform_masks_learn_from_what_lies_between():
    """The mean gradient of a function of the mask is its rise from 0 to 1, from any number of prompts."""
    theta = torch.tensor([0.3, 0.6], dtype=torch.float64, requires_grad=True)
    found = []
    for seed in range(300):
        z = uniform_mask(theta, uniform(64, 2, seed=seed))
        loss = (z[:, 0] ** 3 - 5 * z[:, 1]).mean()
        found.append(torch.autograd.grad(loss, theta)[0])
    assert torch.allclose(torch.stack(found).mean(0), torch.tensor([1.0, -5.0], dtype=torch.float64), atol=0.05)
