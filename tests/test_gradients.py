"""Gradients at slots, and the identity that every attribution made of them must keep."""

import numpy as np
import pytest
import torch
from families import random_model
from test_families import prompts

import acdc
from acdc.engine.gradients import at_slots
from acdc.engine.setting import prepare
from acdc.errors import SettingsError
from acdc.methods.attribution import edge_attribution
from acdc.metrics import METRICS


def run_with(setting, rows, inputs, extra):
    """The whole model's metric, with something added to what each node writes; one residual stream, no slots."""
    model, graph, tokens, at = setting.model, setting.graph, setting.tokens[rows], setting.graph.n_inputs
    n_heads = graph.cfg.n_heads
    x = (inputs + extra[:at]).sum(0)
    for layer in range(graph.cfg.n_layers):
        before, same = x, x.expand(n_heads, *x.shape)
        heads, rest = model.heads(layer, same, same, same, tokens)
        x = x + (heads + extra[at : at + n_heads]).sum(0)
        x = x if rest is None else x + rest
        x = x + model.mlp(layer, before if graph.cfg.parallel_attn_mlp else x) + extra[at + n_heads]
        at += n_heads + 1
    scored = setting.scored(rows)
    logits = setting.predictions(x, rows)
    values = METRICS["kl"].per_prediction(logits, setting.model_logits[scored], setting.answers[scored])
    return values.sum() / len(setting.rows)


def node_attribution(setting, steps):
    """The change of every node times the gradient at what it writes, ``[n_sources]``."""
    given, found = setting.contributions, 0.0
    for rows in given.chunks:
        ablated = given.ablated(rows)
        change, start = ablated - given.clean(rows), ablated[: setting.graph.n_inputs]
        for step in range(steps):
            extra = torch.zeros_like(change, requires_grad=True)
            inputs = start + step / steps * (given.inputs[:, rows] - start)
            (gradient,) = torch.autograd.grad(run_with(setting, rows, inputs, extra), extra)
            found = found + (gradient * change).sum((1, 2, 3)) / steps
    return found.numpy()


@pytest.mark.parametrize("ablation", ["corrupted", "zero", "mean"])
@pytest.mark.parametrize("family", ["gpt2", "gemma2", "olmo2", "gpt-neox-parallel"])
def test_scores_of_a_source_add_up_to_its_node_attribution(family, ablation):
    model = acdc.load_model(random_model(family, torch.float64))
    for batch_size, split_input, steps in ((None, False, 5), (2, family == "gpt2", 1)):
        setting = prepare(model, prompts(), ablation=ablation, batch_size=batch_size, split_input=split_input)
        scores = edge_attribution(setting, METRICS["kl"], steps=steps)
        by_source = np.zeros(setting.graph.n_sources)
        for slot in setting.graph.slots:
            by_source[: slot.n_parents] += scores[slot.edges]
        expected = node_attribution(setting, steps)
        assert np.abs(expected).max() > 1e-3
        assert np.allclose(by_source, expected, rtol=0, atol=1e-10 * max(1, np.abs(expected).max()))


def test_scores_of_the_inputs_edges_approach_what_its_removal_costs():
    """Completeness of integrated gradients, at the cut where it holds; the left rule's error goes as one in steps."""
    setting = prepare(acdc.load_model(random_model("gpt2", torch.float64)), prompts())
    metric = METRICS["kl"].per_prediction(setting.corrupted_logits, setting.model_logits, setting.answers).mean()
    inputs = np.zeros(setting.graph.n_edges, dtype=bool)
    for edge in setting.graph.edges():
        inputs[edge.number] = edge.source.name == "input"
    errors = [abs(edge_attribution(setting, METRICS["kl"], steps=n)[inputs].sum() - float(metric)) for n in (20, 80)]
    assert errors[1] < errors[0] / 2
    assert errors[1] < 0.1 * float(metric)


def test_every_slot_is_handed_over_once():
    setting = prepare(acdc.load_model(random_model("gpt2", torch.float64)), prompts(), batch_size=2)
    seen = []

    def take(slots, gradient):
        assert gradient.shape == (len(slots), *setting.contributions.inputs[0, rows].shape)
        assert not gradient.requires_grad
        seen.extend(slot.index for slot in slots)

    for rows in setting.contributions.chunks:
        at_slots(setting, METRICS["l2"], rows, setting.contributions.inputs[:, rows] * 0.5, take)
    assert sorted(seen) == sorted([slot.index for slot in setting.graph.slots] * 2)


@pytest.mark.parametrize("steps", [0, -1, 2.0, True, "5", None])
def test_steps_are_a_number_of_steps(steps):
    setting = prepare(acdc.load_model(random_model("gpt2", torch.float64)), prompts())
    with pytest.raises(SettingsError, match=r"`steps` must be"):
        edge_attribution(setting, METRICS["kl"], steps=steps)
