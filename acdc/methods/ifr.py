"""Information flow routes: how much nearer each source brings what a slot reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from acdc.methods.base import Cost, Found, Log, Method
from acdc.methods.conservation import Conservation

if TYPE_CHECKING:
    from acdc.engine.setting import Setting
    from acdc.graph import Graph
    from acdc.metrics import Metric

_TIES = "the metric has no part in it; q, k, v and all heads of a layer tie, as they read one residual stream"


@dataclass(frozen=True)
class Ifr(Method):
    """The share of each source in the residual stream that a slot reads, on the clean prompts alone.

    p(u, s) = max(‖x_s‖₁ − ‖x_s − a_u‖₁, 0) at every position; s(u→s) is the mean over positions, then prompts, of
    p / Σ_u p, and 0 where no source has any (Ferrando and Voita 2024, arXiv 2403.00824, on the edges of this
    graph as EAP-IG's code has it; norms are passed over). No metric has a part in it, nor has what is ablated.

    The q, k and v slots of a layer, of all its heads, read one residual stream and so have equal scores: which of
    these edges the top n takes is by their numbers, and says nothing. A selection that grows from the logits, or one
    by a threshold, doesn't part them by chance.

    The scores of a slot's edges add up to 1, less what positions lack at which no source has a part.
    """

    name: ClassVar = "ifr"
    source: ClassVar = "Ferrando and Voita 2024, arXiv 2403.00824"
    decides: ClassVar = False

    def cost(self, graph: Graph) -> Cost:
        """A run of the clean prompts."""
        return Cost(1, note=_TIES)

    def find(self, setting: Setting, metric: Metric, log: Log | None = None) -> Found:
        """Score all edges; which to keep is for a selection."""
        from acdc.methods.routes import information_flow  # torch, as in acdc.methods.acdc

        graph, scores = setting.graph, information_flow(setting, log)
        sums = {  # one for all heads of a layer, which tie
            slot.name if slot.letter is None else f"a{slot.node.layer}": float(scores[slot.edges].sum())
            for slot in graph.slots
        }
        meter = Conservation(
            identity="the scores of the edges into each slot must add up to 1",
            sums=sums,
            expected=dict.fromkeys(sums, 1.0),
            scale=1.0,
        )
        meter.warn_if_large(self.name)
        return Found(scores, measured={"cost": self.cost(graph).to_json(), "conservation": meter.to_json()})
