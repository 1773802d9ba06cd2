"""Faithfulness over sizes: every point is a whole patched run of its circuit, and what is said of the points holds."""

import numpy as np
import pytest
import torch
from families import random_model
from naive_circuits import Oracle, prompt_pairs, telling, turned

import acdc
from acdc import Circuit, Graph
from acdc.comparison.areas import log_areas, mib_areas, mib_sizes
from acdc.errors import SettingsError
from acdc.metrics import METRICS, AnswerTokens
from acdc.selection import Greedy, Top, select

pytestmark = pytest.mark.random_models
OPTIONS = {"split": "train", "bos": "auto", "progress": False, "worst": 0}
RULES = {"signed": (Top, "value"), "absolute": (Top, "magnitude"), "greedy": (Greedy, "magnitude")}


def judged(family, pairs, **options):
    """A model, random scores of its edges, and their curve on pairs, on which the model is made right."""
    model = acdc.load_model(random_model(family, torch.float64))
    if isinstance(pairs, int):
        pairs = telling(model, prompt_pairs(pairs))
    graph = Graph(model.graph_config)
    scores = np.random.default_rng(0).normal(size=graph.n_edges)
    circuit = Circuit(graph, np.ones(graph.n_edges, bool), scores)
    (found,) = acdc.evaluate(circuit, model, pairs, curve=True, **OPTIONS | options)
    return model, circuit, found


@pytest.mark.parametrize("family", ["gpt2", "llama", "gpt-neox-parallel", "gemma3"])
def test_every_point_is_a_whole_patched_run_of_its_circuit(family):
    pairs = prompt_pairs(4)
    model, circuit, found = judged(family, pairs)
    oracle, graph, curve = Oracle(model, pairs), circuit.graph, found.curve
    empty, whole = oracle.differences(np.zeros(graph.n_edges, bool)), oracle.differences(np.ones(graph.n_edges, bool))
    assert abs(empty.mean() - whole.mean()) > 1e-3
    assert (curve.metric, curve.n_edges) == ("logit-diff", graph.n_edges)
    for name, family_points in curve.families.items():
        rule, by = RULES[name]
        assert {point.asked for point in family_points.points if point.in_mib} == set(mib_sizes(graph.n_edges))
        for point in family_points.points[::3]:
            mask = np.zeros(graph.n_edges, bool)
            if point.asked:
                mask = select(graph, circuit.scores, rule(point.asked, by))
            own = oracle.differences(mask)
            share = (own.mean() - empty.mean()) / (whole.mean() - empty.mean())  # a ratio of means
            assert point.faithfulness == pytest.approx(share, abs=1e-6)
            assert point.n_edges == graph.on_path(mask).sum()
        assert family_points.points[-1].faithfulness == pytest.approx(1, abs=1e-9)


def test_what_the_points_amount_to_is_that_of_their_shares():
    _, circuit, found = judged("gpt2", 6)
    n = circuit.graph.n_edges
    for family in found.curve.families.values():
        shares = {point.asked: point.faithfulness for point in family.points}
        assert family.mib == mib_areas([shares[size] for size in mib_sizes(n)])
        points = family.points
        assert family.log == log_areas([p.n_edges for p in points], [p.faithfulness for p in points], n)
        inside = [point.n_edges for point in points if 0.9 <= point.faithfulness <= 1.1 and point.n_edges]
        assert family.smallest == min(inside)
        low, high = family.smallest_interval.low, family.smallest_interval.high
        assert low <= high
        assert {low, high} <= {float(point.n_edges) for point in points}
    assert len({family.log.distance for family in found.curve.families.values()}) == 3
    rows = found.curve.rows()
    assert len(rows) == sum(len(family.points) for family in found.curve.families.values())
    assert found.to_json()["curve"]["families"]["signed"]["mib"]["cpr"] == found.curve.families["signed"].mib.cpr


def test_intervals_are_those_of_the_ratio_of_means_over_drawn_prompts():
    model, circuit, found = judged("gpt2", 6)
    oracle, graph = Oracle(model, telling(model, prompt_pairs(6))), circuit.graph
    point = found.curve.families["absolute"].points[-4]
    masks = (
        np.zeros(graph.n_edges, bool),
        select(graph, circuit.scores, Top(point.asked)),
        np.ones(graph.n_edges, bool),
    )
    empty, own, whole = map(oracle.differences, masks)
    drawn = np.random.default_rng(1).integers(6, size=(20_000, 6))
    shares = (own[drawn].mean(1) - empty[drawn].mean(1)) / (whole[drawn].mean(1) - empty[drawn].mean(1))
    spread = np.quantile(shares, [0.025, 0.975])
    assert (point.interval.low, point.interval.high) == pytest.approx(spread, abs=0.1 * np.ptp(spread))


def test_two_runs_give_the_same_to_the_bit():
    first, again = (judged("gpt2", prompt_pairs(4))[2].curve for _ in range(2))
    assert first == again


@pytest.mark.filterwarnings("ignore:.* a right answer is a wrong one of another pair:acdc.AcdcWarning")
def test_without_a_difference_to_keep_nothing_is_defined():
    """What the model gains on one half it loses on the other."""
    pairs = prompt_pairs(3)
    _, _, found = judged("gpt2", [*pairs, *map(turned, pairs)])
    assert found.curve.families == {}
    assert found.curve.rows() == []
    assert found.curve.doubt == "ablating every edge costs next to no logit-diff: there is nothing to keep."


def test_prompts_whose_own_denominator_is_small_are_counted():
    model = acdc.load_model(random_model("gpt2", torch.float64))
    one, *others = telling(model, prompt_pairs(6))
    model, circuit, found = judged("gpt2", [turned(one), *others])
    oracle, n = Oracle(model, [turned(one), *others]), circuit.graph.n_edges
    own = oracle.differences(np.ones(n, bool)) - oracle.differences(np.zeros(n, bool))
    small = (own / own.mean() < 0.1).sum()
    assert small >= 1
    assert found.curve.doubt.startswith(f"on {small} of 6 prompts ablating every edge costs less than a tenth")


@pytest.mark.parametrize(("score", "words"), [(0.5, "all of them are the same"), (np.nan, r"\d+ of them have none")])
def test_scores_that_rank_nothing_are_refused(score, words):
    model = acdc.load_model(random_model("gpt2", torch.float64))
    graph = Graph(model.graph_config)
    circuit = Circuit(graph, np.ones(graph.n_edges, bool), np.full(graph.n_edges, score))
    with pytest.raises(
        SettingsError, match=f"a curve needs a score of each of the .* edges, and {words}; give the run"
    ):
        acdc.evaluate(circuit, model, prompt_pairs(2), curve=True, **OPTIONS)


def test_scores_alone_are_enough():
    """A circuit that marks nothing, as a file of importances does."""
    model, circuit, found = judged("gpt2", prompt_pairs(3))
    none = Circuit(circuit.graph, ~circuit.in_graph, circuit.scores)
    (again,) = acdc.evaluate(none, model, prompt_pairs(3), curve=True, **OPTIONS)
    assert again.curve == found.curve


@pytest.mark.parametrize("vocab", [3, 50, 5000])
def test_kl_is_summed_over_the_vocabulary(vocab):
    """MIB's metrics average over it, which divides by 50,257 on GPT-2."""
    model, circuit = torch.zeros(1, vocab, dtype=torch.float64), torch.zeros(1, vocab, dtype=torch.float64)
    circuit[0, 0] = 3
    q = circuit.softmax(-1)[0]
    by_hand = sum(1 / vocab * np.log(1 / vocab / float(one)) for one in q)
    none = torch.full((1, 1), -1)
    found = METRICS["kl"].per_prediction(circuit, model, AnswerTokens(none, none))
    assert float(found) == pytest.approx(by_hand, rel=1e-9)


def test_by_kl_a_curve_is_of_the_sum_too():
    model, _, found = judged("gpt2", prompt_pairs(3), metric="kl")
    divided = judged("gpt2", prompt_pairs(3), metric="kl", convention="eap-ig", bos="auto")[2]
    assert found.curve.metric == "kl"
    assert found.evaluation.ablated.metrics["kl"] == pytest.approx(
        divided.evaluation.ablated.metrics["kl"] * model.n_outputs
    )
    shares = [[p.faithfulness for p in one.curve.families["signed"].points] for one in (found, divided)]
    assert shares[0] == pytest.approx(shares[1])
