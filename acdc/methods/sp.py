"""Subnetwork probing as a method: hard concrete masks of edges or nodes, whose expected number costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, cast

from acdc.asked import option
from acdc.errors import UnknownNameError
from acdc.methods.masks.options import LearnedMasks

if TYPE_CHECKING:
    from acdc.graph import Graph
    from acdc.methods.masks.training import Masks

_OVER = ("edges", "nodes")


@dataclass(frozen=True)
class Sp(LearnedMasks):
    """Subnetwork probing: the loss is the metric and `penalty` times the share of masks that aren't 0.

    That share is its expectation, the mean of P(z != 0) (Louizos et al. 2018, arXiv 1712.01312, equation 12), of
    the very masks that are drawn. An edge stays if the median of its mask is at least 1/2. Its score is P(z != 0).

    Masks of nodes weigh what a head or an MLP writes, for all its readers alike; the input always stays. Their
    circuit has all edges between nodes that stay, and an edge's score is the probability that both its ends do.

    Attributes:
        masks: over ``edges`` or ``nodes``.
        penalty: how much of the metric is given up to be rid of all masks.

    Raises:
        SettingsError: an option makes no sense.
        UnknownNameError: masks are over something else.
    """

    name: ClassVar = "sp"
    source: ClassVar = "Cao et al. 2021, arXiv 2104.03514; over edges as in Conmy et al. 2023, arXiv 2304.14997"
    decides: ClassVar = True

    masks: str = option("edges", "What has masks, edges or nodes.")
    penalty: float = option(1.0, "How much of the metric may be lost for the removal of all edges or nodes.")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_positive("penalty", self.penalty)
        if self.masks not in _OVER:
            raise UnknownNameError("kind of masks", self.masks, _OVER)

    def learned(self, graph: Graph) -> Masks:
        """Masks of a graph, before training."""
        from acdc.methods.masks.schemes import Probing

        return Probing(graph, cast(Literal["edges", "nodes"], self.masks), self.penalty)
