"""EAP as a method: edge attribution by one gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from acdc.methods.base import Cost, Found, Log, Method
from acdc.methods.conservation import Conservation, node_sums
from acdc.methods.sided import SIDES, Sided

if TYPE_CHECKING:
    from acdc.engine.setting import Setting
    from acdc.graph import Graph
    from acdc.metrics import Metric


@dataclass(frozen=True)
class Eap(Sided):
    """What each edge's removal costs to first order: its source's change times the gradient at its slot.

    EAP(u→s) = mean over prompts of ⟨a'_u − a_u, ∂m/∂x_s⟩, with a_u what a source writes, a'_u what its removed edges
    carry and x_s what a slot reads (Syed et al. 2023, arXiv 2310.10348). Of the corrupted side it is the same
    change times the gradient in the run on corrupted inputs, as TransformerLens takes it.

    KL, and every other distance from the model, has no gradient at the clean run: there it is refused.

    The scores of a node's edges add up to the attribution of the node, at either side and whatever the norms. To what
    the metric changes by they needn't add up, at any cut: it isn't linear.

    Attributes:
        side: where the gradient is taken: ``clean`` or ``corrupted``.
    """

    name: ClassVar = "eap"
    source: ClassVar = "Syed et al. 2023, arXiv 2310.10348"
    decides: ClassVar = False

    def find(self, setting: Setting, metric: Metric, log: Log | None = None) -> Found:
        """Score all edges; which to keep is for a selection.

        Raises:
            SettingsError: the metric has no gradient at the clean run.
        """
        self.check_metric(setting, metric)
        return at_sides(self, setting, metric, {SIDES[self.side]: 1.0}, log)


@dataclass(frozen=True)
class CleanCorrupted(Method):
    """The mean of EAP's scores by the gradient at the clean and at the corrupted run.

    ½⟨a'_u − a_u, g_s(clean) + g_s(corrupted)⟩: the trapezoidal rule on the ends of EAP-IG's way (Hanna et al. 2024,
    arXiv 2403.17806, whose code has it). As :class:`Eap`, it keeps the attribution of every node, and adds up to what
    the metric changes by only where that is quadratic on the way. By KL, whose gradient at the clean run is 0, it is
    half of EAP at the corrupted side.
    """

    name: ClassVar = "clean-corrupted"
    source: ClassVar = "Hanna et al. 2024, arXiv 2403.17806"
    decides: ClassVar = False

    @property
    def uses_gradients(self) -> bool:
        """It takes two."""
        return True

    def cost(self, graph: Graph) -> Cost:
        """Two gradients."""
        return Cost(2, 2)

    def find(self, setting: Setting, metric: Metric, log: Log | None = None) -> Found:
        """Score all edges; which to keep is for a selection."""
        return at_sides(self, setting, metric, {0.0: 0.5, 1.0: 0.5}, log)


def at_sides(method: Method, setting: Setting, metric: Metric, points: dict[float, float], log: Log | None) -> Found:
    """Scores by gradients at one end or both, and how well they keep the attribution of every node."""
    from acdc.methods.attribution import attribution_at, doubt_zero_input, metric_ends  # torch, as in acdc.methods.acdc
    from acdc.models.torchstate import own_torch_state

    graph = setting.graph
    nodes = np.zeros(graph.n_sources)
    with own_torch_state():
        scores = attribution_at(setting, metric, points, log, nodes=nodes)
        clean, ablated = metric_ends(setting, metric)
    names = [node.name for node in graph.sources]
    meter = Conservation(
        identity="the scores of each node's edges must add up to the node's own attribution (to the change of the "
        "metric they needn't, at any cut)",
        sums=dict(zip(names, node_sums(graph, scores).tolist(), strict=True)),
        expected=dict(zip(names, nodes.tolist(), strict=True)),
        scale=ablated - clean,
    )
    meter.warn_if_large(method.name)
    if 0.0 in points:
        doubt_zero_input(setting, scores, ablated - clean, method.name)
    cost = method.cost(graph)
    measured = {"conservation": meter.to_json()} | ({} if cost is None else {"cost": cost.to_json()})
    return Found(scores, measured=measured)
