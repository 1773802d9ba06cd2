"""ACDC as a method: the pruner of :mod:`acdc.pruning` on an engine that runs the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from acdc.errors import warn
from acdc.methods.base import Cost, Found, Log, Method
from acdc.pruning.protocol import Pruning
from acdc.pruning.pruner import Acdc as Pruner
from acdc.pruning.pruner import AcdcSettings

if TYPE_CHECKING:
    from acdc.engine.setting import Setting
    from acdc.graph import Graph
    from acdc.metrics import Metric


@dataclass(frozen=True)
class Acdc(AcdcSettings, Method):
    """Greedy removal of edges from the output back, see :mod:`acdc.pruning.pruner`.

    Attributes:
        threshold, order, gates, seed: see :class:`acdc.pruning.pruner.AcdcSettings`, which holds them, since a
            finished run is replayed by them without a model.
    """

    name: ClassVar = "acdc"
    source: ClassVar = "Conmy et al. 2023, arXiv 2304.14997, Algorithm 1"
    decides: ClassVar = True
    prunes: ClassVar = True

    @property
    def uses_gradients(self) -> bool:
        """For the order of attribution."""
        return self.order == "attribution"

    def cost(self, graph: Graph) -> Cost:
        """A run an edge at most."""
        return Cost(graph.n_edges, note="at most: what a removal doesn't change isn't computed")

    def find(self, setting: Setting, metric: Metric, log: Log | None = None) -> Found:
        """Prune the whole graph; decisions of `log` that are past are replayed.

        Raises:
            RunFolderError: a past decision isn't the one that this run makes.
        """
        # torch takes seconds to import; a method is listed and its options are checked without it.
        from acdc.models.torchstate import own_torch_state

        with own_torch_state():
            return self._prune(setting, metric, log or Log())

    def _prune(self, setting: Setting, metric: Metric, log: Log) -> Found:
        from acdc.engine.choice import make_engine
        from acdc.methods.attribution import edge_attribution

        engine = make_engine(setting.engine, setting, metric)
        attribution = edge_attribution(setting, metric, log) if self.order == "attribution" else None
        setting.contributions.forget_clean()
        noise = engine.noise_floor()
        self._doubt(engine, metric, noise, str(setting.model.dtype).removeprefix("torch."))
        pruner = Pruner(engine, self, attribution=attribution, past=log.past, noise=noise)
        log.begin(engine.graph.n_edges, "edge")
        for decision in pruner.decisions():
            log.decide(decision)
            log.at(
                pruner.n_settled,
                f"tried {pruner.n_tried}, kept {pruner.n_kept}, {metric.name} {decision.left:.4g}",
            )
        log.at(pruner.n_settled)
        # What rounding did to the run itself, which sums otherwise than the reference.
        noise = max(noise, abs(engine.metric() - engine.metric_of(pruner.kept)))
        measured = {"noise_floor": noise, "drops_are_free": engine.drops_are_free, **pruner.counts(noise)}
        return Found(pruner.scores, pruner.kept, tuple(pruner.made), measured)

    def _doubt(self, engine: Pruning, metric: Metric, noise: float, dtype: str) -> None:
        """Warn of a threshold that lets nothing stay, or that rounding reaches."""
        ablated = engine.metric_of(np.zeros(engine.graph.n_edges, dtype=bool))
        if self.threshold >= ablated > 0:
            warn(
                f"ablating every edge costs {ablated:.4g} {metric.name}, no more than the threshold "
                f"{self.threshold:g}; nothing may be kept. Lower it, or check what the corruption changes."
            )
        if 0 < self.threshold < noise:
            warn(
                f"the threshold {self.threshold:g} is below the noise floor {noise:.2g} of "
                f"{metric.name} in {dtype}: some decisions will be rounding. Raise it, or use float64."
            )
