"""EAP-IG as a method: edge attribution with gradients integrated over the input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from acdc.asked import option
from acdc.errors import warn
from acdc.methods.base import Cost, Found, Log, Method
from acdc.methods.choices import MOST_STEPS, RULES, check_choice, check_steps, check_tolerance
from acdc.methods.conservation import Conservation, cut_sums

if TYPE_CHECKING:
    from acdc.engine.setting import Setting
    from acdc.graph import Graph
    from acdc.metrics import Metric

_MEASURED_AT = "the scores of the input's edges must add up to the change of the metric"
ADVICE = 'raise `steps`, set `tolerance`, or take `rule="midpoint"`'


@dataclass(frozen=True)
class EapIg(Method):
    """What each edge's removal costs, by gradients averaged on the way from the ablated to the clean input.

    ⟨a'_u − a_u, mean over k of g_s(z(α_k))⟩, where z(α) is the run on the input α of the way from the ablated to the
    clean one (Hanna et al. 2024, arXiv 2403.17806). Its scores add up to the change of the metric at the cut
    behind the input, the more nearly the more steps; at any other cut they needn't, whatever the steps.

    Attributes:
        steps: points between the ablated and the clean input at which the gradient is taken.
        rule: where in each step: at its beginning, ``left``, as the authors' code does, or in its middle.
        tolerance: if above 0, `steps` are doubled until what the input's edges add up to is off by no more than this
            share of the metric's change.
    """

    name: ClassVar = "eap-ig"
    source: ClassVar = "Hanna et al. 2024, arXiv 2403.17806"
    decides: ClassVar = False

    steps: int = option(5, "Points between the ablated and the clean input.")
    rule: str = option(
        "left", "Where in each step the gradient is taken: left (its beginning) or midpoint.", later=True
    )
    tolerance: float = option(
        0.0, "Double the steps until the residual is no larger a share of the metric's change.", later=True
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_steps(self.steps)
        check_choice("rule", self.rule, RULES)
        check_tolerance(self.tolerance)

    @property
    def uses_gradients(self) -> bool:
        """They are all that it needs."""
        return True

    def cost(self, graph: Graph) -> Cost:
        """A gradient a step."""
        return Cost(self.steps, self.steps, note="at least: steps are doubled" if self.tolerance else "")

    def find(self, setting: Setting, metric: Metric, log: Log | None = None) -> Found:
        """Score all edges; which to keep is for a selection."""
        from acdc.methods.attribution import edge_attribution, metric_ends  # torch, as in acdc.methods.acdc

        clean, ablated = metric_ends(setting, metric)

        def score(steps: int) -> tuple[np.ndarray, Conservation]:
            scores = edge_attribution(setting, metric, log, steps=steps, rule=self.rule)
            sums = {"input": cut_sums(setting.graph, scores)["input"]}
            return scores, Conservation(_MEASURED_AT, sums, {"input": ablated - clean}, ablated - clean, ADVICE)

        return doubled(self.name, self.steps, self.tolerance, score)


def doubled(
    name: str,
    steps: int,
    tolerance: float,
    score: Callable[[int], tuple[np.ndarray, Conservation]],
    forwards: Callable[[int], int] = int,
) -> Found:
    """Score with some steps, and with twice as many until the residual is within a tolerance, if there is one.

    Args:
        name: of the method.
        steps: to begin with.
        tolerance: 0 for none.
        score: from a number of steps to scores and what they keep.
        forwards: of a number of steps.
    """
    tried = [steps]
    scores, meter = score(steps)
    while tolerance and not (meter.residual or 0.0) <= tolerance and 2 * steps <= MOST_STEPS:
        steps *= 2
        tried.append(steps)
        scores, meter = score(steps)
    if tolerance and meter.residual is not None and not meter.residual <= tolerance:
        warn(
            f"{name}: {meter.identity}, and are off by {meter.residual:.2g} of it after {steps} steps, more than the "
            f"tolerance {tolerance:g}; the metric may jump on the way, as where experts are chosen."
        )
    else:
        meter.warn_if_large(name)
    cost = Cost(sum(map(forwards, tried)), sum(tried), f"{steps} steps in the end" if len(tried) > 1 else "")
    return Found(scores, measured={"cost": cost.to_json(), "conservation": meter.to_json()})
