"""Uniform gradient sampling as a method: masks that are seldom between 0 and 1, and learn there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from acdc.asked import option
from acdc.methods.masks.options import LearnedMasks

if TYPE_CHECKING:
    from acdc.graph import Graph
    from acdc.methods.masks.training import Masks


@dataclass(frozen=True)
class Ugs(LearnedMasks):
    """Masks that are 0 or 1, or uniform between them with the probability theta (1 - theta); their mean is theta.

    The loss is the metric and `penalty` times the sum of theta. Every prompt has masks of its own, without edges on no
    path; an edge learns from the prompts where its mask lies between, by the mean of their gradients: on average what
    its removal costs. Its score is theta. Which edges stay is for a selection: ``Above(0.5)`` keeps those that are
    there more often than not. The authors' code has one more term, on nodes, that the method does without.

    Attributes:
        penalty: what an edge costs, in the metric.

    Raises:
        SettingsError: an option makes no sense.
    """

    name: ClassVar = "ugs"
    source: ClassVar = "Li and Janson 2024, arXiv 2409.09951"
    decides: ClassVar = False

    penalty: float = option(0.001, "What an edge costs, in the metric.")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_positive("penalty", self.penalty)

    def learned(self, graph: Graph) -> Masks:
        """Masks of a graph, before training."""
        from acdc.methods.masks.schemes import Uniform

        return Uniform(graph, self.penalty)
