"""Gradients at slots, and the identity that every attribution made of them must keep."""

import numpy as np
import pytest
import torch
from families import random_model
from test_families import prompts

import acdc
from acdc.engine import circuits
from acdc.engine.gradients import Pass
from acdc.engine.setting import prepare
from acdc.errors import SettingsError
from acdc.methods.attribution import contract, edge_attribution
from acdc.metrics import METRICS
from acdc.models.patched import run_patched

pytestmark = pytest.mark.drawn


def patched(setting, measure, rows, inputs, take, kept):
    """The gradients of a whole patched run, by hooks; the oracle of :class:`Pass`, and it knows circuits too."""

    def watch(slots, total):
        total.register_hook(lambda gradient: take(slots, gradient))
        return total

    scored, ablated = setting.scored(rows), setting.contributions.ablated(rows)
    inputs = inputs.detach().requires_grad_()
    with torch.enable_grad():
        _, residual = run_patched(setting.model, setting.graph, setting.tokens[rows], inputs, kept, ablated, edit=watch)
        values = measure.per_prediction(
            setting.predictions(residual, rows), setting.model_logits[scored], setting.answers[scored]
        )
        (values.sum() / len(setting.rows)).backward(inputs=[inputs])
    return values.detach()


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
        Pass(setting, METRICS["l2"], rows, setting.contributions.inputs[:, rows] * 0.5).at_slots(take)
    assert sorted(seen) == sorted([slot.index for slot in setting.graph.slots] * 2)


#: Whatever stands between a slot and attention: latents, norms of a head, of all heads and behind the rotation, clips,
#: scales by position, biases by distance, sinks, soft caps, shared norms behind heads, multipliers, parallel blocks.
PARTS = ["gpt2", "llama", "llama4", "deepseek-v3", "gpt-oss", "olmo2", "olmo-clip", "hunyuan", "bloom", "gemma2"]
PARTS += ["stablelm-head-norms", "cohere-head-norms", "granite", "gpt-j", "qwen3"]


@pytest.mark.parametrize("family", PARTS)
def test_heads_together_give_each_slot_the_gradient_of_a_patched_run(family):
    setting = prepare(acdc.load_model(random_model(family, torch.float64)), prompts(), batch_size=2)
    every = torch.ones(setting.graph.n_edges, dtype=torch.bool)
    for rows in setting.contributions.chunks:
        inputs, found = 0.5 * setting.contributions.inputs[:, rows], []
        for kept in (None, every):
            gradients = {}

            def take(slots, gradient, gradients=gradients):
                gradients.update((slot.name, one.clone()) for slot, one in zip(slots, gradient, strict=True))

            if kept is None:
                ran = Pass(setting, METRICS["kl"], rows, inputs)
                ran.at_slots(take)
                values = ran.values
            else:
                values = patched(setting, METRICS["kl"], rows, inputs, take, kept)
            found.append((values, gradients))
        (values, fast), (others, slow) = found
        assert torch.allclose(values, others, atol=1e-12)
        assert fast.keys() == slow.keys()
        largest = max(float(one.abs().max()) for one in slow.values())
        for name, gradient in slow.items():
            assert gradient.abs().max() > 0
            assert torch.allclose(fast[name], gradient, rtol=0, atol=1e-10 * largest), name


def test_a_circuits_gradients_are_those_of_its_weights():
    """At a state between, which masks are trained at: the slope in each share is change times gradient."""
    setting = prepare(acdc.load_model(random_model("llama", torch.float64)), prompts())
    graph, rows, metric = setting.graph, slice(0, 3), METRICS["kl"]
    weights = torch.rand(graph.n_edges, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    leaf = weights.clone().requires_grad_()
    (logits,) = circuits.run(setting, [leaf])
    metric.per_prediction(logits, setting.model_logits, setting.answers).mean().backward()
    given, found = setting.contributions, np.zeros(graph.n_edges)
    ablated = given.ablated(rows)
    with torch.no_grad():
        written, _ = run_patched(setting.model, graph, setting.tokens, given.inputs, weights, ablated)
    patched(setting, metric, rows, given.inputs, contract(found, written - ablated), weights)
    assert np.abs(found).max() > 1e-3
    assert np.allclose(found, leaf.grad.numpy(), atol=1e-10)


@pytest.mark.parametrize("steps", [0, -1, 2.0, True, "5", None])
def test_steps_are_a_number_of_steps(steps):
    setting = prepare(acdc.load_model(random_model("gpt2", torch.float64)), prompts())
    with pytest.raises(SettingsError, match=r"`steps` must be"):
        edge_attribution(setting, METRICS["kl"], steps=steps)
