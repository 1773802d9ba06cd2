"""Edge pruning as a method: masks driven to so many edges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from acdc.asked import option
from acdc.errors import SettingsError
from acdc.methods.masks.options import LearnedMasks

if TYPE_CHECKING:
    from acdc.graph import Graph
    from acdc.methods.masks.training import Masks

_SPARSITY = 0.95


@dataclass(frozen=True)
class EdgePruning(LearnedMasks):
    """Masks of every edge, times one of what its source writes, driven to a sparsity by Lagrange multipliers.

    The loss is the metric and ``l1 (s - t) + l2 (s - t)^2``, with s the share that the drawn masks remove, and t the
    share that should go, which rises over the first three fifths of the steps; l1 and l2 begin at 0 and are ascended.
    Adam decays nothing: the authors' default decays the multipliers too. Masks begin where they are often between 0
    and 1 (a log alpha of 2), and steps are small: the authors' 10 and 0.8 lose the circuits of planted models.

    Masks are rounded over the whole graph, not by the tensor: as many edges as were asked for stay, those of the
    largest masks, of equal ones the lower number; then those on no path go. An edge's score is the probability that
    its mask isn't 0.

    Attributes:
        sparsity: the share of the graph's edges that goes.
        edges: how many should stay, in place of a share; 0 for `sparsity`.

    Raises:
        SettingsError: an option makes no sense, or both are given.
    """

    name: ClassVar = "edge-pruning"
    source: ClassVar = "Bhaskar et al. 2024, arXiv 2406.16778"
    decides: ClassVar = True

    sparsity: float = option(_SPARSITY, "Share of the edges that should go.")
    edges: int = option(0, "Edges that should stay, in place of a share that goes; 0 for that share.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.sparsity < 1:
            raise SettingsError(f"`sparsity` must be a share, from 0 to less than 1, not {self.sparsity:g}.")
        if self.edges < 0:
            raise SettingsError(f"`edges` must be a number of edges, not {self.edges}.")
        if self.edges and self.sparsity != _SPARSITY:
            raise SettingsError("`sparsity` and `edges` both say how many edges should stay; give one of them.")

    def kept(self, graph: Graph) -> int:
        """How many edges of a graph should stay. Raises :class:`SettingsError` where it has fewer."""
        if self.edges > graph.n_edges:
            raise SettingsError(f"`edges` is {self.edges:,}, and the graph has {graph.n_edges:,}; ask for fewer.")
        return self.edges or max(1, round((1 - self.sparsity) * graph.n_edges))

    @property
    def least_edges(self) -> int:
        """Those that are to stay."""
        return self.edges

    def learned(self, graph: Graph) -> Masks:
        """Masks of a graph, before training."""
        from acdc.methods.masks.schemes import Pruning

        return Pruning(graph, self.kept(graph), self.steps, self.seed)
