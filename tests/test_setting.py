"""What a run is set up with: ablated values, tied heads, attribution."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from families import random_model
from test_families import prompts
from tiny import save_toy

import acdc
from acdc.engine.fast.engine import FastEngine
from acdc.engine.reference import ReferenceEngine
from acdc.engine.setting import prepare
from acdc.methods.attribution import edge_attribution
from acdc.metrics import METRICS
from acdc.pairs import PromptSet, TokenPair
from acdc.pruning.pruner import Acdc, AcdcSettings

pytestmark = pytest.mark.drawn


@pytest.fixture(scope="module")
def gpt2():
    return acdc.load_model(random_model("gpt2", torch.float64))


def test_the_mean_is_over_the_clean_prompts_that_reach_a_position(gpt2):
    setting = prepare(gpt2, prompts(), ablation="mean")  # 12, 7 and 10 tokens
    every = slice(0, 3)
    clean, ablated = setting.contributions.clean(every), setting.contributions.ablated(every)
    assert torch.allclose(ablated[:, 2, 3], clean[:, :, 3].mean(1))
    assert torch.allclose(ablated[:, 0, 8], (clean[:, 0, 8] + clean[:, 2, 8]) / 2)
    assert torch.allclose(ablated[:, 0, 11], clean[:, 0, 11])


def test_zero_ablation_leaves_the_output_biases(gpt2):
    engine = ReferenceEngine(prepare(gpt2, prompts(), ablation="zero"), METRICS["kl"])
    biases = sum(attention.b_O for attention in gpt2.attention)
    expected = gpt2.logits(biases).double()
    assert torch.allclose(engine.logits(~engine.kept), expected.expand(29, -1))


@pytest.mark.parametrize("engine", [ReferenceEngine, FastEngine])
@pytest.mark.parametrize("family", ["gemma2", "olmo2", "gpt2"])
def test_every_before_is_the_metric_of_the_circuit_so_far(family, engine):
    """Where heads share a norm, dropping the edges into a head that nothing reads costs something too."""
    model = acdc.load_model(random_model(family, torch.float64))
    setting = prepare(model, prompts())
    run = Acdc(engine(setting, METRICS["kl"]), AcdcSettings(0.02))
    oracle = ReferenceEngine(setting, METRICS["kl"])
    checked = 0
    for i, decision in enumerate(run.decisions()):
        if i % 7 == 0:
            circuit = run.kept.copy()
            circuit[run.engine.graph.edge(decision.edge).number] = True
            assert decision.before == pytest.approx(oracle.metric_of(circuit), abs=1e-9)
            checked += 1
    assert checked > 3


def test_attribution_ranks_edges_as_their_removal_costs(gpt2):
    setting = prepare(gpt2, prompts())
    engine = ReferenceEngine(setting, METRICS["kl"])
    costs = np.zeros(engine.graph.n_edges)
    for edge in range(engine.graph.n_edges):
        kept = engine.kept.copy()
        kept[edge] = False
        costs[edge] = engine.metric_of(kept)
    estimates = edge_attribution(setting, METRICS["kl"])
    assert np.corrcoef(costs, estimates)[0, 1] > 0.5


@pytest.mark.parametrize("ablation", ["corrupted", "zero", "mean"])
def test_attribution_in_chunks_of_prompts_is_the_same(gpt2, ablation):
    whole, chunks = (prepare(gpt2, prompts(), ablation=ablation, batch_size=size) for size in (None, 2))
    for metric in (METRICS["kl"], METRICS["l2"]):
        assert np.allclose(edge_attribution(whole, metric), edge_attribution(chunks, metric), atol=1e-12)


def test_half_precision_has_a_noise_floor():
    model = acdc.load_model(random_model("gpt2"), dtype="bfloat16")
    half = ReferenceEngine(prepare(model, prompts()), METRICS["kl"]).noise_floor()
    full = ReferenceEngine(prepare(acdc.load_model(random_model("gpt2")), prompts()), METRICS["kl"]).noise_floor()
    assert half > 1e-4 > 1e-5 > full > 0


def test_the_noise_floor_shrinks_as_the_mean_over_prompts_does():
    model = acdc.load_model(random_model("gpt2"))
    few = prompts()
    many = replace(few, pairs=few.pairs * 16)
    one, sixteenth = (ReferenceEngine(prepare(model, drawn), METRICS["kl"]).noise_floor() for drawn in (few, many))
    assert one / 8 < sixteenth < one / 2  # a quarter, but for chance


@pytest.mark.parametrize("n", [1, 5])
def test_the_smallest_model_has_a_noise_floor(n, tmp_path):
    draws = np.random.default_rng(0)
    drawn = [TokenPair(*(tuple(draws.integers(20, size=6).tolist()) for _ in range(2)), (5,)) for _ in range(n)]
    model = acdc.load_model(save_toy(tmp_path / "toy", n_layers=1, n_heads=1))
    floor = ReferenceEngine(prepare(model, PromptSet(tuple(drawn), "drawn")), METRICS["kl"]).noise_floor()
    assert 1e-10 < floor < 1e-4
