"""EAP against finite differences of patched runs, on either side, and what it refuses."""

import warnings

import numpy as np
import pytest
import torch
from attributions import FAMILIES, LINEAR, edges_of, every, metric_of, setting_of

from acdc.errors import AcdcWarning, SettingsError, UnknownNameError
from acdc.methods import CleanCorrupted, Eap, EapIg, Gim, RelP
from acdc.methods.conservation import node_sums
from acdc.metrics import METRICS

pytestmark = pytest.mark.drawn


def differences(setting, edges, measure=LINEAR, size=1e-4):
    """The slope of the metric in the share of each edge that is ablated, at none."""
    found = []
    for number in edges:
        weights = torch.ones(setting.graph.n_edges, dtype=torch.float64)
        values = []
        for step in (size, -size):
            weights[number] = 1 - step
            values.append(metric_of(setting, weights, measure=measure))
        found.append((values[0] - values[1]) / (2 * size))
    return np.array(found)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_score_is_the_slope_of_the_metric_in_the_share_of_the_edge(family):
    setting = setting_of(family)
    edges = edges_of(setting, np.random.default_rng(0), 4)
    expected = differences(setting, edges)
    scores = Eap().find(setting, LINEAR).scores
    assert np.abs(expected).max() > 1e-2
    assert (expected != 0).all()
    assert np.allclose(scores[edges], expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("ablation", ["corrupted", "zero", "mean"])
@pytest.mark.parametrize("family", ["gpt2", "gemma2"])
def test_scores_of_a_nodes_edges_add_up_to_its_attribution_mlps_and_post_norms_included(family, ablation):
    """METHODS E 1 and 2; the node's own by the slope of all its edges at once."""
    setting = setting_of(family, ablation)
    scores = Eap().find(setting, LINEAR)
    sums = node_sums(setting.graph, scores.scores)
    for node in setting.graph.sources:
        own = [edge.number for edge in setting.graph.edges() if edge.source == node]
        values = []
        for step in (1e-4, -1e-4):
            weights = torch.ones(setting.graph.n_edges, dtype=torch.float64)
            weights[own] = 1 - step
            values.append(metric_of(setting, weights))
        assert sums[node.index] == pytest.approx((values[0] - values[1]) / 2e-4, rel=1e-6, abs=1e-8)
    assert np.abs(sums).min() > 0
    assert scores.measured["conservation"]["residual"] < 1e-12


def test_the_corrupted_side_is_the_clean_one_with_the_roles_swapped_and_the_sign_turned():
    from attributions import opened
    from test_families import prompts

    from acdc.engine.setting import prepare
    from acdc.pairs import PromptSet, TokenPair

    pairs = prompts()
    swapped = PromptSet(tuple(TokenPair(p.corrupted, p.clean, p.answer_positions) for p in pairs.pairs), "swapped")
    setting, other = setting_of("gpt2"), prepare(opened("gpt2"), swapped)
    there = Eap("corrupted").find(setting, LINEAR).scores
    assert np.allclose(there, -Eap().find(other, LINEAR).scores, atol=1e-12)
    here = Eap().find(setting, LINEAR).scores
    assert np.abs(here - there).max() > 0.01
    assert np.allclose(CleanCorrupted().find(setting, LINEAR).scores, (here + there) / 2, atol=1e-12)


@pytest.mark.parametrize("name", ["kl", "l2"])
def test_a_metric_without_a_gradient_at_the_model_is_refused_and_ranks_no_noise(name):
    setting = setting_of("gpt2")
    with pytest.raises(SettingsError, match=rf"gradient .* of {name} is 0.*`side=\"corrupted\"`.*eap-ig"):
        Eap().find(setting, METRICS[name])
    assert np.abs(Eap("corrupted").find(setting, METRICS[name]).scores).max() > 1e-3
    assert np.abs(CleanCorrupted().find(setting, METRICS[name]).scores).max() > 1e-3


def test_a_prompts_weight_does_not_depend_on_its_batch():
    """METHODS E 15: three prompts of unequal length, two and one at a time, all at once, and one by one."""
    for method in (Eap(), Eap("corrupted"), EapIg(3), CleanCorrupted()):
        found = [method.find(setting_of("gpt2", batch_size=size), LINEAR).scores for size in (1, 2, 3)]
        assert np.abs(found[0]).max() > 0.01
        assert np.allclose(found[0], found[1], atol=1e-12)
        assert np.allclose(found[0], found[2], atol=1e-12)


@pytest.mark.parametrize("method", [Eap("corrupted"), CleanCorrupted(), Gim("corrupted"), RelP()], ids=lambda m: m.name)
def test_gradients_that_run_away_at_an_input_of_zeros_are_warned_of(method):
    said = rf"{method.name}: with zero ablation the ablated input is 0 everywhere.* eap at the clean side\."
    with pytest.warns(AcdcWarning, match=said):
        found = method.find(setting_of("llama", "zero"), LINEAR)
    assert np.abs(found.scores).max() > 1000
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for other in ("corrupted", "mean"):
            method.find(setting_of("llama", other), LINEAR)
        Eap().find(setting_of("llama", "zero"), LINEAR)


def test_a_side_is_clean_or_corrupted():
    with pytest.raises(UnknownNameError, match="unknown side 'corupted': did you mean corrupted"):
        Eap("corupted")
    assert Eap().cost(setting_of("gpt2").graph).words == "1 forward and 1 backward of all prompts"


def test_whole_edges_are_not_what_eap_scores():
    """The slope isn't the step: else the test above would hold of exact patching too."""
    setting = setting_of("gpt2")
    edges = edges_of(setting, np.random.default_rng(1), 4)
    scores = Eap().find(setting, LINEAR).scores
    exact = []
    for number in edges:
        kept = every(setting)
        kept[number] = False
        exact.append(metric_of(setting, kept))
    assert np.abs(scores[edges] - exact).max() > 1e-3
