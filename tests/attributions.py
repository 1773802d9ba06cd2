"""Small random models on prompts, and slow ways to what attribution computes, for its tests."""

from functools import cache

import numpy as np
import torch
from families import random_model
from test_families import prompts

import acdc
from acdc.engine.setting import prepare
from acdc.metrics import Metric
from acdc.models.patched import run_patched

#: GPT-2; grouped queries; parallel blocks; norms behind heads and MLPs; a norm over all heads.
FAMILIES = ["gpt2", "llama", "gpt-neox-parallel", "gemma2", "olmo2"]
#: Linear in the logits, and so with a gradient at the model itself; no answers needed.
LINEAR = Metric(
    "linear", "", "nothing", lambda circuit, model, answers: (model - circuit)[:, 0] - (model - circuit)[:, 1]
)


@cache
def opened(family):
    return acdc.load_model(random_model(family, torch.float64))


@cache
def setting_of(family, ablation="corrupted", batch_size=2, n=3):
    return prepare(opened(family), prompts(n), ablation=ablation, batch_size=batch_size)


def metric_of(setting, kept, edit=None, measure=LINEAR):
    """The metric of a patched run of all prompts, slots edited on the way: the oracle."""
    total, given = 0.0, setting.contributions
    with torch.no_grad():
        for rows in given.chunks:
            own = None if edit is None else (lambda slots, x, rows=rows: edit(slots, x, rows))
            _, residual = run_patched(
                setting.model,
                setting.graph,
                setting.tokens[rows],
                given.inputs[:, rows],
                torch.as_tensor(kept),
                given.ablated(rows),
                edit=own,
            )
            scored = setting.scored(rows)
            values = measure.per_prediction(
                setting.predictions(residual, rows), setting.model_logits[scored], setting.answers[scored]
            )
            total += float(values.sum())
    return total / len(setting.rows)


def edges_of(setting, rng, n=12):
    """Some edges, those into q, k, v, MLPs and logits among them, by their numbers."""
    by_letter = {}
    for edge in setting.graph.edges():
        by_letter.setdefault((edge.slot.letter, edge.slot.node.kind), []).append(edge.number)
    return [
        int(number) for numbers in by_letter.values() for number in rng.choice(numbers, min(n, len(numbers)), False)
    ]


def every(setting):
    return np.ones(setting.graph.n_edges, dtype=bool)
