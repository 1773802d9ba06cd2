"""The masks of each method: what is drawn at a step, what it costs, and what is kept at the end."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from acdc.graph import Graph
from acdc.methods.masks import hard_concrete
from acdc.methods.masks.training import Masks, chance_of

#: Where masks of subnetwork probing begin: the log odds of (0.9 - low) / (high - low), as in the ACDC paper's code.
_FIRST_OF_PROBING = 1.6094379124341003
#: Where those of edge pruning begin, and how far they differ.
_FIRST_OF_PRUNING, _SPREAD = 2.0, 0.01
#: Where those of uniform gradient sampling begin.
_FIRST_OF_UNIFORM = 1.0
#: Share of the steps in which a target is approached; the rest is for settling at it.
_WARM_UP = 0.6


def _uniform(shape: tuple[int, ...], chance: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=chance, dtype=torch.float64)


def _ends(graph: Graph) -> tuple[Tensor, Tensor]:
    """Of every edge, the index of its source, and of the node that reads it."""
    slots, sources = graph.ends(np.arange(graph.n_edges))
    readers = np.array([slot.node.index for slot in graph.slots])[slots]
    return torch.tensor(sources), torch.tensor(readers)


class Probing(Masks):
    """Hard concrete masks of edges, or of what nodes write, whose expected number costs."""

    def __init__(self, graph: Graph, over: Literal["edges", "nodes"], penalty: float) -> None:
        self._graph, self._over, self._penalty = graph, over, penalty
        self._sources, self._readers = _ends(graph)
        n_masks = graph.n_edges if over == "edges" else graph.n_sources - graph.n_inputs
        self._location = torch.full((n_masks,), _FIRST_OF_PROBING, dtype=torch.float64, requires_grad=True)
        self.parameters = [{"params": [self._location]}]

    def draw(self, step: int, n_prompts: int, chance: torch.Generator) -> tuple[Tensor, Tensor]:
        """A mask for all prompts; P(z != 0) of all, as a mean, times the penalty."""
        z = hard_concrete.drawn(self._location, _uniform(tuple(self._location.shape), chance))
        return self._of_edges(z), self._penalty * hard_concrete.alive(self._location).mean()

    def values(self) -> Tensor:
        """P(z != 0)."""
        return self._with_readers(hard_concrete.alive(self._location.detach()))

    def settled(self) -> Tensor:
        """As at the end of training."""
        return self._of_edges(hard_concrete.settled(self._location.detach()))

    def rounded(self) -> np.ndarray:
        """Where the median of z is at least 1/2."""
        return self._with_readers((self._location.detach() >= 0).double()).bool().numpy()

    def _of_nodes(self, z: Tensor) -> Tensor:
        """Values of masks of nodes, with a 1 for the inputs and for the logits, which always stay."""
        return torch.cat([z.new_ones(self._graph.n_inputs), z, z.new_ones(1)])

    def _of_edges(self, z: Tensor) -> Tensor:
        return z if self._over == "edges" else self._of_nodes(z)[self._sources]

    def _with_readers(self, z: Tensor) -> Tensor:
        """Of edges; where nodes have the masks, an edge is there if both its ends are."""
        return z if self._over == "edges" else self._of_nodes(z)[self._sources] * self._of_nodes(z)[self._readers]


class Pruning(Masks):
    """Hard concrete masks of every edge times one of what its source writes, driven to a share of edges removed."""

    def __init__(self, graph: Graph, n_kept: int, steps: int, seed: int) -> None:
        self._graph, self._n_kept, self._steps = graph, n_kept, steps
        self._target = 1 - n_kept / graph.n_edges
        self._sources, _ = _ends(graph)
        chance = chance_of(seed, 0)
        self._edges, self._writers = (
            (_FIRST_OF_PRUNING + _SPREAD * torch.randn(n, generator=chance, dtype=torch.float64)).requires_grad_()
            for n in (graph.n_edges, graph.n_sources)
        )
        self._multipliers = torch.zeros(2, dtype=torch.float64, requires_grad=True)
        self.parameters = [
            {"params": [self._edges, self._writers]},
            {"params": [self._multipliers], "maximize": True},
        ]

    def draw(self, step: int, n_prompts: int, chance: torch.Generator) -> tuple[Tensor, Tensor]:
        """A mask for all prompts; how far its sparsity is from the target of the step, by the multipliers."""
        edges, writers = (
            hard_concrete.drawn(location, _uniform(tuple(location.shape), chance))
            for location in (self._edges, self._writers)
        )
        z = edges * writers[self._sources]
        target = self._target * min(1.0, step / (_WARM_UP * self._steps))
        beyond = 1 - z.mean() - target
        return z, self._multipliers[0] * beyond + self._multipliers[1] * beyond.square()

    def values(self) -> Tensor:
        """P(z != 0)."""
        return self._log_values().exp()

    def settled(self) -> Tensor:
        """As at the end of training."""
        edges, writers = (hard_concrete.settled(one.detach()) for one in (self._edges, self._writers))
        return edges * writers[self._sources]

    def rounded(self) -> np.ndarray:
        """As many as asked for, of the largest values, ties by number."""
        kept = np.zeros(self._graph.n_edges, dtype=bool)
        kept[np.argsort(-self._log_values().numpy(), kind="stable")[: self._n_kept]] = True
        return kept

    def measured(self) -> dict[str, Any]:
        """The share of edges that should go, and that of the masks without chance."""
        reached = 1 - float(self.settled().mean())
        return {"target_sparsity": self._target, "soft_sparsity": reached}

    def _log_values(self) -> Tensor:
        edges, writers = (hard_concrete.log_alive(one.detach()) for one in (self._edges, self._writers))
        return edges + writers[self._sources]


class Uniform(Masks):
    """Masks that are 0, 1 or uniform between them, of every prompt anew; their mean is theta."""

    def __init__(self, graph: Graph, penalty: float) -> None:
        self._graph, self._penalty = graph, penalty
        self._location = torch.full((graph.n_edges,), _FIRST_OF_UNIFORM, dtype=torch.float64, requires_grad=True)
        self.parameters = [{"params": [self._location], "betas": (0.9, 0.995)}]

    def draw(self, step: int, n_prompts: int, chance: torch.Generator) -> tuple[Tensor, Tensor]:
        """A mask for every prompt; the sum of theta times the penalty."""
        theta = self._location.sigmoid()
        z = uniform_mask(theta, _uniform((n_prompts, len(theta)), chance))
        on_path = np.stack([self._graph.on_path(row) for row in (z.detach() > 0).numpy()])
        return z * torch.tensor(on_path), self._penalty * theta.sum()

    def values(self) -> Tensor:
        """Theta."""
        return self._location.detach().sigmoid()

    def settled(self) -> Tensor:
        """Their mean."""
        return self.values()


def uniform_mask(theta: Tensor, uniform: Tensor) -> Tensor:
    """Masks of a mean theta, ``[prompt, n_edges]``: uniform between 0 and 1 with the probability theta (1 - theta).

    The gradient of an edge comes from the prompts where its mask lies between; it is weighted so that it is their
    mean, times the prompts there are, if each is divided among as many.

    Args:
        theta: ``[n_edges]``.
        uniform: ``[prompt, n_edges]``.
    """
    window = (theta * (1 - theta)).detach()
    z = ((theta.detach() - uniform) / window.clamp(min=1e-300) + 0.5).clamp(0, 1)
    between = (z > 0) & (z < 1)
    weight = len(uniform) / between.sum(0).clamp(min=1)
    return z + between * weight * (theta - theta.detach())
