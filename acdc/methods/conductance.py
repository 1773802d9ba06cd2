"""Conductance of edges (CEAP): gradients times what sources change by on each step of the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from acdc.asked import option
from acdc.methods.base import Cost, Found, Log, Method
from acdc.methods.choices import check_choice, check_steps, check_tolerance
from acdc.methods.conservation import Conservation, cut_sums
from acdc.methods.eap_ig import doubled

if TYPE_CHECKING:
    from acdc.engine.setting import Setting
    from acdc.graph import Graph
    from acdc.metrics import Metric

#: Where in each step of the way the gradient is taken.
_RULES = ("right", "midpoint")


@dataclass(frozen=True)
class Conductance(Method):
    """EAP-IG with the change that each source makes on each step, in place of that from end to end.

    Σ_k ⟨a_u(α_{k−1}) − a_u(α_k), g_s⟩ over the steps of the input's way from the ablated end, α_0 = 0, to the clean
    one, α_M = 1 (CEAP, arXiv 2606.16920; the conductance of Dhamdhere et al. 2018, arXiv 1805.12233). The gradient is
    that in the middle of the step, or, as in the paper, at its clean end; one step by that rule is EAP.

    Its scores add up to the change of the metric across *every* cut, the more nearly the more steps: a_u(α) follows the
    input, so that each step's sum is the metric's own change, to first order. Where removed edges don't carry the
    corrupted run's values, the way begins at the ablated input all the same, and what other nodes change by is what
    follows from that.

    Attributes:
        steps: of the way.
        rule: where in each step the gradient is taken: in its ``midpoint``, or at its clean end, ``right``.
        tolerance: if above 0, `steps` are doubled until no cut is off by more than this share of the metric's change.
    """

    name: ClassVar = "conductance"
    source: ClassVar = "CEAP, arXiv 2606.16920"
    decides: ClassVar = False

    steps: int = option(5, "Steps between the ablated and the clean input.")
    rule: str = option("midpoint", "Where in each step the gradient is taken: midpoint, or right (its clean end).")
    tolerance: float = option(0.0, "Double the steps until the residual is no larger a share of the metric's change.")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_steps(self.steps)
        check_choice("rule", self.rule, _RULES)
        check_tolerance(self.tolerance)

    @property
    def uses_gradients(self) -> bool:
        """A few."""
        return True

    def cost(self, graph: Graph) -> Cost:
        """A gradient a step; and what nodes write at the ends of steps, which is another run by the midpoint rule."""
        note = "at least: steps are doubled" if self.tolerance else ""
        return Cost(self._forwards(self.steps), self.steps, note)

    def _forwards(self, steps: int) -> int:
        return (steps if self.rule == "right" else 2 * steps) + 1

    def find(self, setting: Setting, metric: Metric, log: Log | None = None) -> Found:
        """Score all edges; which to keep is for a selection.

        Raises:
            SettingsError: the only gradient is at the clean run, and the metric has none there.
        """
        from acdc.methods.attribution import check_gradient, metric_ends  # torch, as in acdc.methods.acdc
        from acdc.methods.steps import conductance

        if self.rule == "right" and self.steps == 1 and not self.tolerance:
            check_gradient(setting, metric, 'conductance of one step by `rule="right"`', "more `steps`")
        clean, ablated = metric_ends(setting, metric)

        def score(steps: int) -> tuple[np.ndarray, Conservation]:
            scores = conductance(setting, metric, log, steps=steps, rule=self.rule)
            sums = cut_sums(setting.graph, scores)
            expected = dict.fromkeys(sums, ablated - clean)
            return scores, Conservation(_IDENTITY, sums, expected, ablated - clean, _ADVICE)

        return doubled(self.name, self.steps, self.tolerance, score, self._forwards)


_IDENTITY = "the scores of the edges across any cut must add up to the change of the metric"
_ADVICE = "raise `steps`, or set `tolerance`"
