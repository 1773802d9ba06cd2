"""Hidden units of MLPs: ablated under any circuit as by hooks on the model, scored as by finite differences."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch
from families import random_model
from naive import NaiveGpt2, NaiveLlama
from naive import run as naive_run
from test_gradients import node_attribution
from tiny import save_toy

import acdc
from acdc.engine import circuits
from acdc.engine.setting import prepare
from acdc.errors import SettingsError
from acdc.methods.hidden_units import hidden_unit_attribution
from acdc.metrics import METRICS
from acdc.pairs import PromptSet, TokenPair

pytestmark = pytest.mark.drawn

KL = METRICS["kl"]
LENGTH = 7
NAIVE = {"gpt2": NaiveGpt2, "llama": NaiveLlama}
#: transformers rotates, and norms, in float32, in a float64 model too; acdc takes its rotations from there.
NEAR = {"gpt2": 1e-10, "llama": 1e-6, "gemma2": 1e-5}


def down(model):
    """The modules that read hidden units, a layer each."""
    layers = model.transformer.h if hasattr(model, "transformer") else model.model.layers
    return [layer.mlp.c_proj if hasattr(layer.mlp, "c_proj") else layer.mlp.down_proj for layer in layers]


def pairs(n=3):
    draws = np.random.default_rng(1)
    return PromptSet(
        tuple(
            TokenPair(*(tuple(draws.integers(50, size=LENGTH).tolist()) for _ in "ab"), (LENGTH - 1,)) for _ in range(n)
        ),
        "random",
    )


def ids(setting, which):
    return torch.tensor([getattr(pair, which) for pair in setting.prompts.pairs])


def last_logits(model, tokens):
    """Of the naive copy, where there is one."""
    naive = NAIVE.get(model.config.model_type)
    return model(tokens).logits[:, -1] if naive is None else naive_run(naive(model), tokens, set(), {})[0]


@contextmanager
def hooked(model, change):
    """`change` is called with a layer and its hidden units, which it gives back."""
    hooks = [
        module.register_forward_pre_hook(lambda _, args, layer=layer: (change(layer, args[0]),))
        for layer, module in enumerate(down(model))
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def masked(kept, carried):
    return lambda layer, h: torch.where(kept[layer], h, carried[layer])


def units_of(model, tokens):
    seen = {}
    with torch.no_grad(), hooked(model, lambda layer, h: seen.setdefault(layer, h)):
        last_logits(model, tokens)
    return seen


def ablated_units(setting, model):
    if setting.ablation == "corrupted":
        return units_of(model, ids(setting, "corrupted"))
    clean = units_of(model, ids(setting, "clean"))
    if setting.ablation == "zero":
        return {layer: torch.zeros_like(h) for layer, h in clean.items()}
    return {layer: h.mean(0, keepdim=True).expand_as(h) for layer, h in clean.items()}


@pytest.fixture(scope="module")
def opened():
    models = {}

    def open_model(family):
        if family not in models:
            model = random_model(family, torch.float64)
            models[family] = model, acdc.load_model(model)
        return models[family]

    return open_model


def random_mask(model, share=0.5):
    widths = {module.weight.numel() // model.config.hidden_size for module in down(model)}
    return np.random.default_rng(2).random((len(down(model)), *widths)) < share


@pytest.mark.parametrize("ablation", ["corrupted", "zero", "mean"])
@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2"])
def test_a_mask_on_the_whole_model_is_hooks_on_it(opened, family, ablation):
    plain, model = opened(family)
    mask = random_mask(plain)
    for batch_size in (None, 2):
        setting = prepare(model, pairs(), ablation=ablation, batch_size=batch_size)
        carried, kept = ablated_units(setting, plain), torch.from_numpy(mask)
        with torch.no_grad(), hooked(plain, masked(kept, carried)):
            expected = last_logits(plain, ids(setting, "clean"))
        every = np.ones(setting.graph.n_edges, dtype=bool)
        (found,) = circuits.run(setting, [every], hidden_units=mask)
        torch.testing.assert_close(found, expected, rtol=0, atol=NEAR[family])
        assert (found - setting.model_logits).abs().max() > 1e-3


@pytest.mark.parametrize("family", NAIVE)
def test_a_mask_goes_with_any_circuit(opened, family):
    (plain, model), naive = opened(family), NAIVE[family]
    setting = prepare(model, pairs())
    mask, kept = random_mask(plain), torch.from_numpy(random_mask(plain))
    carried, graph = ablated_units(setting, plain), setting.graph
    for share in (0.3, 0.7):
        edges = np.random.default_rng(3).random(graph.n_edges) < share
        removed = {(edge.slot.name, edge.source.name) for edge in graph.edges(~edges)}
        with torch.no_grad():
            _, other = naive_run(naive(plain), ids(setting, "corrupted"), set(), {})
            with hooked(plain, masked(kept, carried)):
                expected, _ = naive_run(naive(plain), ids(setting, "clean"), removed, other)
        found, again = circuits.run(setting, [edges] * 2, hidden_units=mask)
        torch.testing.assert_close(found, expected, rtol=0, atol=NEAR[family])
        assert torch.equal(found, again)
        (whole,) = circuits.run(setting, [edges])
        assert (found - whole).abs().max() > 1e-4


def test_masks_of_all_and_of_none(opened):
    """All units: nothing changes. None: what the MLP writes is what its removed edges carry."""
    for family in ("gpt2", "llama", "gpt-neox-parallel", "granite"):
        _, model = opened(family)
        for ablation in ("corrupted", "mean"):
            setting = prepare(model, pairs(), ablation=ablation)
            graph, shape = setting.graph, (2, model.plain_mlp(0).plain.W_out.shape[0])
            edges = np.random.default_rng(3).random(graph.n_edges) < 0.7
            (whole,) = circuits.run(setting, [edges])
            (found,) = circuits.run(setting, [edges], hidden_units=np.ones(shape, dtype=bool))
            torch.testing.assert_close(found, whole, rtol=0, atol=1e-12)
            heads = edges & np.array([edge.source.kind != "mlp" for edge in graph.edges()])
            (expected,) = circuits.run(setting, [heads])
            (found,) = circuits.run(setting, [edges], hidden_units=np.zeros(shape, dtype=bool))
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2"])
def test_scores_are_finite_differences(opened, family):
    """At the ablated input, the one point of a single step, each unit is moved a little towards its ablated value."""
    plain, model = opened(family)
    setting = prepare(model, pairs())
    scores = hidden_unit_attribution(setting, KL, steps=1)
    clean, corrupted = (units_of(plain, ids(setting, which)) for which in ("clean", "corrupted"))
    rng, worst = np.random.default_rng(0), np.abs(scores).max()
    for layer in range(2):
        for unit in rng.integers(scores.shape[1], size=3):

            def moved(step, layer=layer, unit=unit):
                def change(at, h):
                    if at != layer:
                        return h
                    h = h.clone()
                    h[..., unit] += step * (corrupted[layer] - clean[layer])[..., unit]
                    return h

                with torch.no_grad(), hooked(plain, change):
                    logits = last_logits(plain, ids(setting, "corrupted"))
                return float(KL.per_prediction(logits, setting.model_logits, setting.answers).mean())

            step, near = (1e-4, 1e-5) if family in NAIVE else (1e-2, 1e-3)
            expected = (moved(step) - moved(-step)) / (2 * step)
            assert abs(scores[layer, unit] - expected) < near * worst
    assert np.abs(scores).min(1).max() > 0


@pytest.mark.parametrize("family", ["gpt2", "llama", "gpt-neox-parallel", "granite"])
@pytest.mark.parametrize("ablation", ["corrupted", "mean"])
def test_a_layers_scores_add_up_to_its_mlps_attribution(opened, family, ablation):
    _, model = opened(family)
    for batch_size in (None, 2):
        setting = prepare(model, pairs(), ablation=ablation, batch_size=batch_size)
        scores = hidden_unit_attribution(setting, KL, steps=3)
        expected = node_attribution(setting, 3)[[setting.graph.node(f"m{layer}").index for layer in range(2)]]
        assert np.abs(expected).min() > 1e-6
        np.testing.assert_allclose(scores.sum(1), expected, rtol=0, atol=1e-10 * np.abs(expected).max())


def test_what_has_no_hidden_units_or_is_no_mask_is_refused(opened, tmp_path):
    _, model = opened("gpt2")
    setting = prepare(model, pairs())
    every = np.ones(setting.graph.n_edges, dtype=bool)
    for mask, got in (
        (np.ones((2, 3), dtype=bool), r"bool of shape \(2, 3\)"),
        (np.ones((2, 128)), r"float64 of shape \(2, 128\)"),
        ([[True]], "a list"),
    ):
        with pytest.raises(SettingsError, match=rf"a boolean array of shape \(2, 128\), a row a layer, not by {got}"):
            circuits.run(setting, [every], hidden_units=mask)
    weights = torch.ones(len(every), requires_grad=True)
    with pytest.raises(SettingsError, match="no gradient passes"):
        list(circuits.run(setting, [weights], hidden_units=np.zeros((2, 128), dtype=bool)))
    with pytest.raises(SettingsError, match="`steps` must be from 1 to 1000"):
        hidden_unit_attribution(setting, KL, steps=0)
    experts = prepare(opened_experts(), pairs())
    with pytest.raises(SettingsError, match=r"the MLP of layer 0 of .* isn't plain \(experts"):
        hidden_unit_attribution(experts, KL)
    toy = acdc.load_model(save_toy(tmp_path / "toy", d_vocab=50), dtype="float64")
    with pytest.raises(SettingsError, match="has no MLPs, so it has no hidden units"):
        hidden_unit_attribution(prepare(toy, pairs()), KL)


def opened_experts():
    return acdc.load_model(random_model("mixtral", torch.float64))
