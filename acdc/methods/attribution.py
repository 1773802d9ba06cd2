"""Edge attribution: the estimated rise of the metric when an edge is removed, for all edges at once.

The gradient of the metric at a slot, taken at one or more states of the model, times the change that removal makes.
The states lie on the way from the ablated to the clean input, with everything behind the input left to follow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from acdc.asked import whole
from acdc.engine.gradients import Pass, Take
from acdc.engine.setting import Setting
from acdc.errors import SettingsError, warn
from acdc.graph import Slot
from acdc.methods.base import Log
from acdc.methods.choices import RULES, check_choice, check_steps
from acdc.metrics import Metric
from acdc.models.patched import run_unpatched
from acdc.models.torchstate import own_torch_state

#: Points on the way from the ablated to the clean input.
STEPS = 5
#: A gradient at the model's own logits is rounding where it is no larger a part of that at the corrupted prompts'.
_ROUNDING = 1e-9
#: No score is so many times what the metric changes by, unless the gradient has run away.
_FAR_BEYOND = 10.0
#: Where on the way, from 0 for the ablated to 1 for the clean input, the gradient is taken, and with what weight.
Points = Mapping[float, float]


def grid(steps: int, rule: str) -> Points:
    """The points of a rule for an integral over the way: each step's beginning (``left``) or its middle."""
    offset = {"left": 0.0, "midpoint": 0.5}[rule]
    return {(step + offset) / steps: 1 / steps for step in range(steps)}


@own_torch_state()
def edge_attribution(
    setting: Setting, measure: Metric, log: Log | None = None, *, steps: int = STEPS, rule: str = "left"
) -> np.ndarray:
    """Estimate what the removal of each edge from the whole graph costs, by gradients integrated over the input.

    EAP-IG (Hanna et al. 2024, arXiv 2403.17806). The score of an edge is the change of its source's contribution,
    ablated less clean, times the gradient at its slot, summed over positions and averaged over predictions and over
    `steps` inputs: the ablated one, and on in equal steps towards the clean one, which is left out; or those half a
    step further, with the midpoint rule.

    What always holds: the scores of a source's edges, summed over all slots that it feeds, are the attribution
    of the node, its change times the gradient at what it writes; also where heads share a norm behind their
    sum. What doesn't: that scores add up to the metric of the ablated run. Those of the input's edges do so in
    the limit of many steps; at any other cut they needn't.

    Args:
        setting: model, prompts and cached values.
        measure: the metric.
        log: is told of every gradient.
        steps: points on the way from the ablated to the clean input.
        rule: ``left``, whose error goes as one in `steps`, or ``midpoint``, as one in their square.

    Returns:
        ``[n_edges]`` float64; positive where removal is expected to raise the metric.

    Raises:
        SettingsError: `steps` isn't a whole number, or makes no sense.
        UnknownNameError: no such rule.
    """
    check_steps(steps := whole("steps", steps))
    check_choice("rule", rule, RULES)
    return attribution_at(setting, measure, grid(steps, rule), log)


def attribution_at(
    setting: Setting, measure: Metric, points: Points, log: Log | None = None, *, nodes: np.ndarray | None = None
) -> np.ndarray:
    """Scores of all edges by gradients at some points on the way of the input.

    Args:
        setting: model, prompts and cached values.
        measure: the metric.
        points: where gradients are taken, and their weights.
        log: is told of every gradient.
        nodes: ``[n_sources]``, to which each node's own attribution is added, by the gradient at what it writes.

    Returns:
        ``[n_edges]`` float64.
    """
    scores, given, log = np.zeros(setting.graph.n_edges), setting.contributions, log or Log()
    log.begin(len(given.chunks) * len(points), "gradient")
    done = 0
    for rows in given.chunks:
        ablated = given.ablated(rows)
        inputs = input_at(setting, rows, ablated)
        change = ablated - given.clean(rows)  # [n_sources, prompt, pos, d_model]
        del ablated
        for point, weight in points.items():

            def take_nodes(sources: slice, gradient: Tensor, change: Tensor = change, weight: float = weight) -> None:
                if nodes is not None:
                    found = change[sources].flatten(1) @ gradient.flatten()
                    nodes[sources] += weight * found.double().cpu().numpy()

            ran = Pass(setting, measure, rows, inputs(point))
            ran.at_slots(contract(scores, change, weight), None if nodes is None else take_nodes)
            done += 1
            log.at(done)
    return scores


def contract(scores: np.ndarray, change: Float[Tensor, "n_sources prompt pos d_model"], weight: float = 1.0) -> Take:
    """What adds to the scores of edges the changes of their sources times the gradients at their slots.

    Args:
        scores: ``[n_edges]``, added to.
        change: of what each source writes.
        weight: of this state.
    """

    def take(slots: Sequence[Slot], gradient: Tensor) -> None:
        estimates = gradient.flatten(1) @ change[: slots[0].n_parents].flatten(1).T  # [slot, parent]
        for slot, row in zip(slots, estimates.double().cpu().numpy(), strict=True):
            scores[slot.edges] += weight * row

    return take


def input_at(setting: Setting, rows: slice, ablated: Tensor) -> Callable[[float], Tensor]:
    """What the input nodes write on some prompts, from 0 for the ablated to 1 for the clean.

    Args:
        setting: model and prompts.
        rows: which prompts.
        ablated: what removed edges carry on them, ``[n_sources, prompt, pos, d_model]``.
    """
    clean = setting.contributions.inputs[:, rows]
    start = ablated[: len(clean)]

    def at(point: float) -> Tensor:
        return start + point * (clean - start)

    return at


@torch.no_grad()
def metric_ends(setting: Setting, measure: Metric) -> tuple[float, float]:
    """The metric of the model, and of the model with the input ablated and everything behind it left to follow."""

    def mean(logits: Tensor) -> float:
        return float(measure.per_prediction(logits, setting.model_logits, setting.answers).mean())

    ablated = setting.corrupted_logits
    if setting.ablation != "corrupted":  # else it's the corrupted run
        found = []
        for rows in setting.contributions.chunks:
            inputs = input_at(setting, rows, setting.contributions.ablated(rows))(0.0)
            _, residual = run_unpatched(setting.model, setting.graph, setting.tokens[rows], inputs)
            found.append(setting.predictions(residual, rows))
        ablated = torch.cat(found)
    return mean(setting.model_logits), mean(ablated)


def doubt_zero_input(setting: Setting, scores: np.ndarray, change: float, method: str) -> None:
    """Warn of scores by gradients at an input of zeros that are far beyond what the metric changes by.

    A norm that reads nothing but zeros divides by the root of its epsilon, and every layer multiplies by that again.

    Args:
        setting: with ablated inputs.
        scores: ``[n_edges]``, by gradients at these.
        change: of the metric, from the clean to the ablated input.
        method: for the message.
    """
    largest = float(np.abs(scores).max())
    if largest <= _FAR_BEYOND * abs(change) or any(
        bool(setting.contributions.ablated(rows)[: setting.graph.n_inputs].any())
        for rows in setting.contributions.chunks
    ):
        return
    warn(
        f"{method}: with {setting.ablation} ablation the ablated input is 0 everywhere, where norms divide by next to "
        f"nothing: scores go up to {largest:.3g} where the metric changes by {change:.3g}, and say little; take "
        "another ablation, or eap at the clean side."
    )


def check_gradient(setting: Setting, measure: Metric, method: str, instead: str) -> None:
    """Refuse a metric that has no gradient at the model itself, as KL and every other distance from it.

    Args:
        setting: the model's logits.
        measure: the metric.
        method: what needs it there, for the message.
        instead: what to take, besides other methods and metrics.

    Raises:
        SettingsError: the gradient is 0, or rounding.
    """

    def largest(logits: Tensor) -> float:
        leaf = logits.detach().clone().requires_grad_()
        with torch.enable_grad():
            total = measure.per_prediction(leaf, setting.model_logits, setting.answers).sum()
        return float(torch.autograd.grad(total, leaf)[0].abs().max())

    here, there = largest(setting.model_logits), largest(setting.corrupted_logits)
    if here <= _ROUNDING * max(1.0, there):
        raise SettingsError(
            f"{method} takes the gradient of the metric at the clean run, where that of {measure.name} is 0, so that "
            f"every score would be rounding; take {instead}, the method eap-ig, or a metric such as logit-diff."
        )
