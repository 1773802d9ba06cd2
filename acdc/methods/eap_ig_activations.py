"""EAP-IG over activations: each node's edges by gradients on the way of that node's own output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from acdc.asked import option
from acdc.methods.base import Cost, Found, Log, Method
from acdc.methods.choices import check_steps
from acdc.methods.conservation import Conservation, node_sums

if TYPE_CHECKING:
    from acdc.engine.setting import Setting
    from acdc.graph import Graph
    from acdc.metrics import Metric


@dataclass(frozen=True)
class EapIgActivations(Method):
    """The gradient at each slot averaged while one node's output goes from clean to ablated, all else left clean.

    s(w→s) = ⟨Δ_w, ∫ g_s(clean, a_w → a_w + αΔ_w) dα⟩, by the midpoint rule (the method that Hanna et al. 2024, arXiv
    2403.17806, call EAP-IG over activations). The scores of a node's edges add up to the exact effect of ablating all
    that it writes, the more nearly the more steps. Every node has runs of its own: to let the heads of a layer share
    them would leave out what they do together. That the authors' code, which takes every edge's gradient from every
    node's way, isn't complete is known; this is what was meant.

    Attributes:
        steps: points on the way of each node's output.
    """

    name: ClassVar = "eap-ig-activations"
    source: ClassVar = "Hanna et al. 2024, arXiv 2403.17806"
    decides: ClassVar = False

    steps: int = option(5, "Points between each node's clean and ablated output.")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_steps(self.steps)

    @property
    def uses_gradients(self) -> bool:
        """Many."""
        return True

    def cost(self, graph: Graph) -> Cost:
        """A gradient a node and step, and a run for what the node's ablation costs."""
        runs = graph.n_sources * self.steps
        return Cost(1 + runs + graph.n_sources, runs, note="at most: each from the node's layer on")

    def find(self, setting: Setting, metric: Metric, log: Log | None = None) -> Found:
        """Score all edges; which to keep is for a selection."""
        from acdc.methods.attribution import metric_ends  # torch, as in acdc.methods.acdc
        from acdc.methods.steps import by_activations

        clean, ablated = metric_ends(setting, metric)
        scores, exact = by_activations(setting, metric, log, steps=self.steps)
        names = [node.name for node in setting.graph.sources]
        meter = Conservation(
            identity="the scores of each node's edges must add up to what ablating all that it writes costs",
            sums=dict(zip(names, node_sums(setting.graph, scores).tolist(), strict=True)),
            expected=dict(zip(names, exact.tolist(), strict=True)),
            scale=ablated - clean,
            advice="raise `steps`",
        )
        meter.warn_if_large(self.name)
        return Found(scores, measured={"cost": self.cost(setting.graph).to_json(), "conservation": meter.to_json()})
