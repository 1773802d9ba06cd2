"""HISP as a method: head importance scores for pruning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from acdc.methods.base import Cost, Found, Log, Method
from acdc.methods.conservation import Conservation

if TYPE_CHECKING:
    from acdc.engine.setting import Setting
    from acdc.graph import Graph
    from acdc.metrics import Metric

#: The least that a layer's importance is divided by.
_FLOOR = 1e-6


@dataclass(frozen=True)
class Hisp(Method):
    """The importance of each head's query, key and value and of each MLP, and edges among the important ones.

    I(c) = mean over prompts of |⟨a_c − a'_c, ∂m/∂a_c⟩|, summed over positions first: the gradient of a mask that mixes
    a component's clean with its ablated value. Within a layer it is divided by the L2 norm of all its components, at
    least 1e-6 (Michel et al. 2019, arXiv 1905.10650, as in Conmy et al. 2023, arXiv 2304.14997). So a layer that does
    nothing has a head as important as the best layer's: that is the method's.

    It scores components, not edges. An edge stays as long as both its ends do: its score is the smaller of the
    score of its slot's component and that of its source, which for a head is the largest of its q, k and v. The
    input and the logits, which are never pruned, don't count; the edge between them has the largest score of all.

    At the clean run KL, and every other distance from the model, has no gradient: it is refused.
    """

    name: ClassVar = "hisp"
    source: ClassVar = "Michel et al. 2019, arXiv 1905.10650, as in arXiv 2304.14997"
    decides: ClassVar = False

    @property
    def uses_gradients(self) -> bool:
        """It takes one."""
        return True

    def cost(self, graph: Graph) -> Cost:
        """One gradient, and the vectors of heads on clean and ablated prompts."""
        return Cost(3, 1)

    def find(self, setting: Setting, metric: Metric, log: Log | None = None) -> Found:
        """Score all edges; which to keep is for a selection.

        Raises:
            SettingsError: the metric has no gradient at the clean run.
        """
        from acdc.methods.attribution import check_gradient  # torch, as in acdc.methods.acdc
        from acdc.methods.importance import component_importance

        check_gradient(setting, metric, "hisp", 'the method eap with `side="corrupted"`')
        scores = _edge_scores(setting.graph, _by_layer(setting.graph, component_importance(setting, metric, log)))
        meter = Conservation("it keeps none: absolute values of components don't add up to anything", {}, {}, 1.0)
        return Found(scores, measured={"cost": self.cost(setting.graph).to_json(), "conservation": meter.to_json()})


def _by_layer(graph: Graph, importance: np.ndarray) -> np.ndarray:
    """Importance of slots' components, each layer's of length one."""
    layers = np.array([-1 if slot.node.layer is None else slot.node.layer for slot in graph.slots])
    scores = importance.copy()
    for layer in range(graph.cfg.n_layers):
        own = layers == layer
        scores[own] /= max(float(np.linalg.norm(scores[own])), _FLOOR)
    return scores


def _edge_scores(graph: Graph, components: np.ndarray) -> np.ndarray:
    """``[n_edges]``, from the scores of slots' components, ``[n_slots]``."""
    sources = np.full(graph.n_sources, np.inf)
    for node in graph.sources:
        if slots := graph.slots_of(node):
            sources[node.index] = max(components[slot.index] for slot in slots)
    scores = np.empty(graph.n_edges)
    for slot in graph.slots:
        own = np.inf if slot.node.kind == "logits" else components[slot.index]
        scores[slot.edges] = np.minimum(sources[: slot.n_parents], own)
    scores[np.isinf(scores)] = components.max()
    return scores
