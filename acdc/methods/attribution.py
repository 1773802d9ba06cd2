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

from acdc.engine.setting import Setting
from acdc.graph import Slot
from acdc.metrics import Metric
from acdc.models.patched import run_patched

#: Points on the way from the ablated to the clean input.
STEPS = 5


def edge_attribution(setting: Setting, measure: Metric, *, steps: int = STEPS) -> np.ndarray:
    """Estimate what the removal of each edge from the whole graph costs.

    Args:
        setting: model, prompts and cached values.
        measure: the metric.
        steps: points on the way from the ablated to the clean input.

    Returns:
        ``[n_edges]`` float64; positive where removal is expected to raise the metric.
    """
    graph = setting.graph
    scores = np.zeros(graph.n_edges)
    every = torch.ones(graph.n_edges, dtype=torch.bool)
    given = setting.contributions
    for rows in given.chunks:
        ablated, clean_inputs, scored = given.ablated(rows), given.inputs[:, rows], setting.scored(rows)
        change = ablated - given.clean(rows)  # [n_sources, prompt, pos, d_model]
        ablated_inputs = ablated[: len(clean_inputs)]

        def contract_gradients(slots: Sequence[Slot], total: Tensor, change: Tensor = change) -> Tensor:
            def hook(gradient: Tensor) -> None:  # [slot, prompt, pos, d_model], like total
                estimates = torch.einsum("sbpd,ubpd->su", gradient, change[: slots[0].n_parents])
                for slot, row in zip(slots, estimates.double().cpu().numpy(), strict=True):
                    scores[slot.edges] += row / steps

            total.register_hook(hook)
            return total

        for step in range(steps):
            inputs = ablated_inputs + (step / steps) * (clean_inputs - ablated_inputs)
            inputs = inputs.detach().requires_grad_()
            with torch.enable_grad():
                _, residual = run_patched(
                    setting.model, graph, setting.tokens[rows], inputs, every, ablated, edit=contract_gradients
                )
                values = measure.per_prediction(
                    setting.predictions(residual, rows), setting.model_logits[scored], setting.answers[scored]
                )
                (values.sum() / len(setting.rows)).backward(inputs=[inputs])
    return scores
