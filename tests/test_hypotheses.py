"""Hypothesis tests of circuits: the table's p-values, and the faults of the code that came with the paper."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from families import random_model
from naive_circuits import Oracle, prompt_pairs, telling

import acdc
from acdc import Circuit, Graph
from acdc.engine.setting import prepare
from acdc.errors import SettingsError
from acdc.evaluation.hypotheses import at_least, at_most, equivalence, holm, hsic, independence
from acdc.evaluation.testing import hypothesis_tests
from acdc.pairs import PromptSet, TokenPair

pytestmark = [pytest.mark.random_models, pytest.mark.drawn]


@pytest.mark.parametrize(("better", "p"), [(60, 0.543), (65, 0.179), (70, 0.0248), (75, 0.00119)])
def test_equivalence_has_the_table_s_values_either_way(better, p):
    assert equivalence(better, 100 - better) == pytest.approx(p, rel=5e-3)
    assert equivalence(100 - better, better) == equivalence(better, 100 - better)


def test_equivalence_by_its_sum():
    n, k = 17, 13
    far = [i for i in range(n + 1) if abs(i / n - 0.5) >= abs(k / n - 0.5) - 1e-12]
    assert equivalence(k, n - k) == pytest.approx(sum(math.comb(n, i) * 0.6**i * 0.4 ** (n - i) for i in far))


def test_circuits_that_do_the_same_are_equivalent():
    assert equivalence(0, 0) == 1
    assert equivalence(50, 50) == pytest.approx(1)


@pytest.mark.parametrize(("x", "p"), [(83, 0.0206), (84, 0.0399), (85, 0.0726)])
def test_too_few_worse_edges_have_the_table_s_values(x, p):
    assert at_most(x) == pytest.approx(p, abs=5e-5)


@pytest.mark.parametrize(("x", "p"), [(95, 0.0576), (96, 0.0237)])
def test_enough_worse_circuits_have_the_table_s_values(x, p):
    assert at_least(x) == pytest.approx(p, abs=5e-5)


def test_hsic_by_its_traces():
    x, y = np.random.default_rng(0).normal(size=(2, 9))
    n, centre = 9, np.eye(9) - 1 / 9
    kernels = []
    for values in (x, y):
        distances = np.array([[abs(a - b) for b in values] for a in values])
        width = np.median([distances[i, j] for i in range(n) for j in range(i)])  # of its own distances alone
        kernels.append(np.exp(-(distances**2) / (2 * width**2)))
    k, other = kernels
    assert hsic(x, y) == pytest.approx(np.trace(centre @ k @ centre @ other) / 64)
    assert hsic(x, 1000 * y) == pytest.approx(hsic(x, y))  # each has a bandwidth of its own
    for scale in (1e-250, 1e-170, 1e-9, 1e200):  # whatever the unit of scores
        assert hsic(x, scale * y) == pytest.approx(hsic(x, y))


def test_scores_that_are_all_the_same_are_independent_of_anything():
    x = np.random.default_rng(0).normal(size=20)
    for other in (np.zeros(20), np.full(20, 3.5)):
        statistic, p = independence(x, other, np.random.default_rng(0))
        assert (statistic, p) == (0, 1)
    mostly = np.array([0.0] * 19 + [1.0])  # the median distance is 0
    assert 0 < hsic(mostly, x) < 1
    assert math.isfinite(independence(mostly, x, np.random.default_rng(0))[1])


def test_a_permutation_s_p_is_never_0_and_small_for_what_depends():
    rng = np.random.default_rng(0)
    x = rng.normal(size=60)
    assert independence(x, x**2, np.random.default_rng(1))[1] == 1 / 1001
    free = [independence(rng.normal(size=30), rng.normal(size=30), rng)[1] for _ in range(40)]
    assert 0.3 < np.mean(free) < 0.7
    assert np.mean(np.array(free) < 0.1) < 0.3


def test_holm_s_correction_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []
    # Of 1,041 edges one is rejected from x = 76 down, as with Bonferroni's.
    assert holm([at_most(76)] + [1.0] * 1040)[0] < 0.05 < holm([at_most(77)] + [1.0] * 1040)[0]


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def drawn(request):
    model = acdc.load_model(random_model(request.param, torch.float64))
    graph = Graph(model.graph_config)
    pairs = telling(model, prompt_pairs(8))
    return model, graph, acdc.set_up(model, pairs, bos="auto"), Oracle(model, pairs)


def circuit(graph, mask):
    return Circuit(graph, mask, np.zeros(graph.n_edges))


def test_the_whole_graph_is_its_model(drawn):
    _, graph, setting, _ = drawn
    found = hypothesis_tests(setting, circuit(graph, np.ones(graph.n_edges, bool)), "acdc")
    equal = found.tests[0]
    assert (equal.name, equal.p, equal.rejected) == ("equivalence", 1, False)
    assert equal.said == "better on 0, worse on 0, the same on 8"
    assert found.minimality == ()  # no walk adds an edge


def test_statistics_are_those_of_whole_patched_runs(drawn):
    _, graph, setting, oracle = drawn
    kept = graph.on_path(np.random.default_rng(0).random(graph.n_edges) < 0.3)
    found = hypothesis_tests(setting, circuit(graph, kept), "acdc")
    model, own, rest = map(oracle.differences, (np.ones_like(kept), kept, ~kept))
    assert (found.score, found.n_prompts, found.n_edges) == ("logit-diff", 8, kept.sum())
    equal, free, enough, needed = found.tests
    assert equal.statistic == pytest.approx((own > model).mean())
    assert free.statistic == pytest.approx(hsic(model, rest), abs=1e-6)
    assert free.p > 0
    assert (enough.p, needed.p) == (at_least(int(enough.statistic)), at_least(int(needed.statistic)))
    by_name = {one.edge: one for one in found.minimality}
    assert len(by_name) == kept.sum()
    for number in np.flatnonzero(kept)[::5]:
        less = kept.copy()
        less[number] = False
        change = ((oracle.differences(less) - own) ** 2).mean() ** 0.5
        one = by_name[graph.edge(number).name]
        assert one.change == pytest.approx(change, abs=1e-7, rel=1e-4)
        assert one.p == at_most(one.beats)
        assert one.p <= one.p_holm <= 1
    assert len({one.beats for one in found.minimality}) > 3


def test_edges_on_no_path_are_no_part_of_what_is_tested(drawn):
    _, graph, setting, _ = drawn
    kept = np.random.default_rng(0).random(graph.n_edges) < 0.15
    on_path = graph.on_path(kept)
    assert on_path.sum() < kept.sum()
    first, other = (hypothesis_tests(setting, circuit(graph, mask), "acdc") for mask in (kept, on_path))
    assert first == other


def test_two_runs_are_identical(drawn):
    _, graph, setting, _ = drawn
    kept = graph.on_path(np.random.default_rng(0).random(graph.n_edges) < 0.3)
    assert hypothesis_tests(setting, circuit(graph, kept), "acdc") == hypothesis_tests(
        setting, circuit(graph, kept), "acdc"
    )


@torch.no_grad()
def test_dead_edges_are_superfluous_though_rounding_moves_them():
    theirs = random_model("gpt2", torch.float32)
    theirs.transformer.h[0].attn.c_proj.weight[:8] = 0  # what the first head writes
    model = acdc.load_model(theirs)
    graph = Graph(model.graph_config)
    kept = graph.on_path(np.random.default_rng(0).random(graph.n_edges) < 0.3)
    dead = ["input->a0.h0<v>", "a0.h0->logits", "a0.h0->m1"]
    with_dead = circuit(graph, kept).with_edges(dead, "m1->logits")
    setting = acdc.set_up(model, telling(model, prompt_pairs(8)), bos="auto")
    found = hypothesis_tests(setting, with_dead, "acdc")
    assert set(dead) <= set(found.superfluous)
    by_name = {one.edge: one for one in found.minimality}
    assert {by_name[edge].beats for edge in dead} == {0}
    assert 0 < len(found.superfluous) < len(by_name)


@torch.no_grad()
def test_circuits_that_differ_by_rounding_are_ties():
    """A circuit of everything but a dead edge is its model."""
    theirs = random_model("gpt2", torch.float32)
    theirs.transformer.h[0].attn.c_proj.weight[:8] = 0
    model = acdc.load_model(theirs)
    graph = Graph(model.graph_config)
    most = circuit(graph, np.ones(graph.n_edges, bool)).without_nodes("a0.h0")
    equal = hypothesis_tests(acdc.set_up(model, prompt_pairs(8), bos="auto"), most, "acdc").tests[0]
    assert (equal.said, equal.p) == ("better on 0, worse on 0, the same on 8", 1)


def test_scores_that_differ_by_rounding_are_constant():
    """Where all is ablated by zeros every prompt has one score, but chunks of prompts round otherwise."""
    model = acdc.load_model(random_model("gpt2", torch.float32))
    graph, pairs = Graph(model.graph_config), [replace(pair, answers=((3,),), wrong_answers=((5,),)) for pair in many()]
    for size in (None, 5):
        setting = prepare(model, PromptSet(pairs, "pairs"), ablation="zero", batch_size=size)
        free = hypothesis_tests(setting, circuit(graph, np.ones(graph.n_edges, bool)), "acdc").tests[1]
        assert (free.name, free.statistic, free.p) == ("independence", 0, 1)


def many():
    """Twelve pairs of one length."""
    draws = np.random.default_rng(0).integers(2, 50, size=(12, 2, 7)).tolist()
    return [TokenPair(clean=tuple(one), corrupted=tuple(other), answer_positions=(6,)) for one, other in draws]


def test_prompts_that_were_used_are_not_tested_on(drawn):
    model, graph, _, _ = drawn
    with pytest.raises(SettingsError, match="hypothesis tests need prompts that the circuit wasn't found on"):
        acdc.evaluate(circuit(graph, np.ones(graph.n_edges, bool)), model, prompt_pairs(2), split="train", tests=True)


def test_without_other_prompts_there_is_nothing_to_test_on(drawn):
    model, graph, _, _ = drawn
    whole = circuit(graph, np.ones(graph.n_edges, bool))
    with (
        pytest.warns(acdc.AcdcWarning, match="no result on held-out prompts"),
        pytest.raises(SettingsError, match="there are no held-out prompts to test hypotheses on; give a `task`"),
    ):
        acdc.evaluate(whole, model, prompt_pairs(2), bos="auto", tests=True, progress=False)


def test_prompts_without_answers_have_no_score():
    model = acdc.load_model(random_model("gpt2", torch.float64))
    graph = Graph(model.graph_config)
    bare = [acdc.PromptPair(pair.clean, pair.corrupted) for pair in prompt_pairs(3)]
    setting = acdc.set_up(model, bare, bos="auto")
    with pytest.raises(SettingsError, match="hypothesis tests need a score of every prompt, and the pairs of"):
        hypothesis_tests(setting, circuit(graph, np.ones(graph.n_edges, bool)), "acdc")
