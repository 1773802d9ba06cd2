"""Edge attribution split by named parts of the prompts: at which of them an edge matters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from acdc.asked import whole
from acdc.engine.gradients import Pass
from acdc.engine.setting import Setting
from acdc.errors import SettingsError
from acdc.graph import Slot
from acdc.methods.attribution import STEPS, contract, grid, input_at
from acdc.methods.choices import RULES, check_choice, check_steps
from acdc.metrics import Metric
from acdc.models.torchstate import own_torch_state

#: Tokens of no span.
OTHER = "other"


@own_torch_state()
def edge_attribution_by_span(
    setting: Setting, measure: Metric, *, steps: int = STEPS, rule: str = "left"
) -> dict[str, np.ndarray]:
    """:func:`acdc.methods.attribution.edge_attribution`, by the spans that the prompt pairs name.

    An edge's score at a span is its source's change times the gradient at its slot, summed over the span's tokens
    (the non-crossing edges of Haklay et al. 2025, arXiv 2502.04577). Every token belongs to one span, the first that
    covers it, or to :data:`OTHER`: so an edge's scores at all spans add up to its score.

    Args:
        setting: model, prompts and cached values.
        measure: the metric.
        steps: points on the way from the ablated to the clean input.
        rule: ``left`` or ``midpoint``.

    Returns:
        By the name of each span, :data:`OTHER` last: ``[n_edges]`` float64.

    Raises:
        SettingsError: the pairs name no spans, or one is called like :data:`OTHER`; or `steps` makes no sense.
        UnknownNameError: no such rule.
    """
    check_steps(steps := whole("steps", steps))
    check_choice("rule", rule, RULES)
    names = list(dict.fromkeys(name for pair in setting.prompts.pairs for name in pair.spans))
    if not names or OTHER in names:
        why = "name no spans" if not names else f"name a span {OTHER}, which the tokens of none are called"
        raise SettingsError(f"the prompt pairs {why}; take a task of a template, or name other spans.")
    given, scores = setting.contributions, {name: np.zeros(setting.graph.n_edges) for name in (*names, OTHER)}
    for rows in given.chunks:
        ablated = given.ablated(rows)
        inputs, change = input_at(setting, rows, ablated), ablated - given.clean(rows)
        places = _places(setting, rows, names)
        del ablated
        for point, weight in grid(steps, rule).items():
            takes = {name: contract(scores[name], change, weight) for name in scores}

            def take(slots: Sequence[Slot], gradient: Tensor, takes: dict = takes, places: dict = places) -> None:
                for name, inside in places.items():
                    takes[name](slots, gradient * inside[None, :, :, None])

            Pass(setting, measure, rows, inputs(point)).at_slots(take)
    return scores


def _places(setting: Setting, rows: slice, names: Sequence[str]) -> dict[str, Bool[Tensor, "prompt pos"]]:
    """Which tokens of some prompts are of each span, and of none."""
    filled = setting.tokens[rows].filled
    left, found = torch.ones_like(filled), {}
    for name in names:
        inside = torch.zeros_like(filled)
        for row, pair in enumerate(setting.prompts.pairs[rows]):
            for start, stop in pair.spans.get(name, ()):
                inside[row, start:stop] = True
        found[name] = inside & left
        left = left & ~inside
    return {**found, OTHER: left}
