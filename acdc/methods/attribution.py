"""Edge attribution: the estimated rise of the metric when an edge is removed, for all edges at once.

Attribution with gradients integrated over the input (EAP-IG, Hanna et al. 2024, arXiv
2403.17806): the gradient of the metric at a slot, averaged over inputs between the
ablated and the clean one, times the change that removal makes. Plain attribution (Syed et
al. 2023, arXiv 2310.10348) would be blind to KL, whose gradient is zero at the model.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from acdc.asked import whole
from acdc.engine.gradients import at_slots
from acdc.engine.setting import Setting
from acdc.errors import SettingsError
from acdc.graph import Slot
from acdc.methods.base import Log
from acdc.metrics import Metric
from acdc.models.torchstate import own_torch_state

#: Points on the way from the ablated to the clean input.
STEPS = 5


@own_torch_state()
def edge_attribution(setting: Setting, measure: Metric, log: Log | None = None, *, steps: int = STEPS) -> np.ndarray:
    """Estimate what the removal of each edge from the whole graph costs.

    The score of an edge is the change of its source's contribution, ablated less clean, times the gradient at
    its slot, summed over positions and averaged over predictions and over `steps` inputs: the ablated one, and
    on in equal steps towards the clean one, which is left out.

    What always holds: the scores of a source's edges, summed over all slots that it feeds, are the attribution
    of the node, its change times the gradient at what it writes; also where heads share a norm behind their
    sum. What doesn't: that scores add up to the metric of the ablated run. Those of the input's edges do so in
    the limit of many steps; at any other cut they needn't.

    Args:
        setting: model, prompts and cached values.
        measure: the metric.
        log: is told of every gradient.
        steps: points on the way from the ablated to the clean input.

    Returns:
        ``[n_edges]`` float64; positive where removal is expected to raise the metric.

    Raises:
        SettingsError: `steps` isn't a whole number of at least 1.
    """
    if (steps := whole("steps", steps)) < 1:
        raise SettingsError(f"`steps` must be at least 1, not {steps}.")
    scores = np.zeros(setting.graph.n_edges)
    given, log = setting.contributions, log or Log()
    log.begin(len(given.chunks) * steps, "gradient")
    done = 0
    for rows in given.chunks:
        ablated, clean_inputs = given.ablated(rows), given.inputs[:, rows]
        change = ablated - given.clean(rows)  # [n_sources, prompt, pos, d_model]
        ablated_inputs = ablated[: len(clean_inputs)]

        def contract(slots: Sequence[Slot], gradient: Tensor, change: Tensor = change) -> None:
            estimates = gradient.flatten(1) @ change[: slots[0].n_parents].flatten(1).T
            for slot, row in zip(slots, estimates.double().cpu().numpy(), strict=True):
                scores[slot.edges] += row / steps

        for step in range(steps):
            inputs = ablated_inputs + (step / steps) * (clean_inputs - ablated_inputs)
            at_slots(setting, measure, rows, inputs, contract)
            done += 1
            log.at(done)
    return scores
