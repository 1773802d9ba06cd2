"""Exact patching: what the removal of each edge alone costs, by a run for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from acdc.methods.base import Cost, Found, Log, Method

if TYPE_CHECKING:
    from acdc.engine.setting import Setting
    from acdc.graph import Graph
    from acdc.metrics import Metric


@dataclass(frozen=True)
class Patching(Method):
    """What the removal of each edge alone from the whole model costs, by a run for each.

    No estimate: everything behind the edge is run. Each edge is tried in the whole model, so that no order of
    trying matters, and none knows of another: of two edges that can stand in for each other, neither has an effect.
    Prompts are run in chunks, as a setting has them, so that memory doesn't grow with their number.
    """

    name: ClassVar = "patching"
    source: ClassVar = "Goldowsky-Dill et al. 2023, arXiv 2304.05969, section 3"
    decides: ClassVar = False

    @property
    def runs_engine(self) -> bool:
        """For every edge."""
        return True

    def cost(self, graph: Graph) -> Cost:
        """A run an edge."""
        return Cost(graph.n_edges, note="at most: only what is behind the edge is computed")

    def find(self, setting: Setting, metric: Metric, log: Log | None = None) -> Found:
        """Score all edges; which to keep is for a selection."""
        from acdc.engine.choice import make_engine  # torch, as in acdc.methods.acdc
        from acdc.models.torchstate import own_torch_state

        log, graph = log or Log(), setting.graph
        scores, noise, done = np.zeros(graph.n_edges), 0.0, 0
        with own_torch_state():
            in_chunks = setting.engine == "fast" and setting.split is None
            parts = setting.parts() if in_chunks else [setting]
            log.begin(len(parts) * graph.n_edges, "edge")
            for part in parts:
                share = len(part.rows) / len(setting.rows)
                engine = make_engine(setting.engine, part, metric)
                noise += (share * engine.noise_floor()) ** 2  # of means over prompts of their own
                for slot in graph.slots:
                    scores[slot.edges] += share * engine.effects(slot)
                    done += slot.n_parents
                    log.at(done, slot.name)
        return Found(scores, measured={"cost": self.cost(graph).to_json(), "noise_floor": noise**0.5})
