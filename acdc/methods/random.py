"""Random circuits, to hold others against: no metric, no run of the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from acdc.asked import option
from acdc.errors import SettingsError, UnknownNameError
from acdc.methods.base import Cost, Found, Log, Method
from acdc.randomcircuits import random_circuit, random_edges

if TYPE_CHECKING:
    from acdc.engine.setting import Setting
    from acdc.graph import Graph
    from acdc.metrics import Metric

#: How edges are drawn, by name.
KINDS = {"walks": random_circuit, "uniform": random_edges}


@dataclass(frozen=True)
class Random(Method):
    """Edges drawn by chance; their scores are 0, as nothing is measured.

    The draws are in :mod:`acdc.randomcircuits`.

    Attributes:
        kind: ``walks`` from the input to the logits, whose edges all count; or ``uniform``, each set of edges as
            likely as any other, most of which are on no path while they are few, so that hardly a circuit is left.
        edges: how many.
        seed: of the draw.
    """

    name: ClassVar = "random"
    source: ClassVar = "Shi et al. 2024, arXiv 2410.13032, section 3"
    decides: ClassVar = True

    kind: str = option("walks", "walks (from the input to the logits) or uniform (any edges).")
    edges: int = option(100, "How many are drawn.")
    seed: int = option(0, "Of the draw.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind not in KINDS:
            raise UnknownNameError("kind of random circuit", self.kind, KINDS)
        if self.edges < 1:
            raise SettingsError(f"`edges` must be at least 1, not {self.edges}.")
        if self.seed < 0:
            raise SettingsError(f"the seed must be at least 0, got {self.seed}.")

    @property
    def runs_engine(self) -> bool:
        """It runs nothing."""
        return False

    @property
    def least_edges(self) -> int:
        """Those that it draws."""
        return self.edges

    def cost(self, graph: Graph) -> Cost:
        """Nothing is run."""
        return Cost(0)

    def find(self, setting: Setting, metric: Metric, log: Log | None = None) -> Found:
        """Draw a circuit.

        Raises:
            SettingsError: the graph hasn't as many edges.
        """
        kept = KINDS[self.kind](setting.graph, self.edges, np.random.default_rng(self.seed))
        return Found(np.zeros(setting.graph.n_edges), kept, measured={"cost": self.cost(setting.graph).to_json()})
