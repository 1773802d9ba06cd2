"""The conservation meter: sums across cuts, residuals, and when it warns."""

import numpy as np
import pytest

from acdc.errors import AcdcWarning
from acdc.graph import Graph
from acdc.methods.conservation import Conservation, cut_sums, node_sums


def edges_across(graph, written):
    """Those from nodes that have written to nodes that haven't, by their names."""
    return [edge.number for edge in graph.edges() if edge.source.name in written and edge.slot.node.name not in written]


@pytest.mark.parametrize("parallel", [False, True])
def test_a_cut_is_crossed_by_the_edges_from_what_wrote_to_what_is_to_come(parallel):
    graph = Graph.from_config(2, 2, parallel_attn_mlp=parallel)
    scores = np.random.default_rng(0).normal(size=graph.n_edges)
    sums = cut_sums(graph, scores)
    assert list(sums) == ["input", "a0", "m0", "a1", "m1"]
    written = {"input"}
    for name, more in (("input", []), ("a0", ["a0.h0", "a0.h1"]), ("m0", ["m0"]), ("a1", ["a1.h0", "a1.h1"])):
        written |= set(more)
        assert sums[name] == pytest.approx(scores[edges_across(graph, written)].sum(), abs=1e-12)
    assert sums["m1"] == pytest.approx(scores[graph.slot("logits").edges].sum(), abs=1e-12)


def test_a_split_input_and_no_mlps_have_cuts_too():
    graph = Graph.from_config(2, 2, split_input=True, attn_only=True)
    assert list(cut_sums(graph, np.ones(graph.n_edges))) == ["input", "a0", "a1"]
    assert cut_sums(graph, np.ones(graph.n_edges))["input"] == 2 * (12 + 1)


def test_edges_out_of_a_node_are_summed():
    graph = Graph.from_config(2, 2)
    scores = np.random.default_rng(1).normal(size=graph.n_edges)
    for node, found in zip(graph.sources, node_sums(graph, scores), strict=True):
        own = [edge.number for edge in graph.edges() if edge.source == node]
        assert found == pytest.approx(scores[own].sum(), abs=1e-12)


def test_a_residual_is_a_share_of_what_the_metric_changes_by():
    meter = Conservation("they add up", {"input": 1.0, "m0": 1.9}, {"input": 2.0, "m0": 2.0}, scale=-2.0)
    assert meter.residuals == pytest.approx({"input": 0.5, "m0": 0.05})
    assert (meter.worst, meter.residual) == ("input", 0.5)
    assert meter.to_json()["parts"]["m0"] == [1.9, 2.0]
    assert Conservation("they add up", {"input": 0.5}, {"input": 0.0}, scale=0.0).residual == 0.5


def test_a_large_residual_is_warned_of_and_a_small_one_is_not():
    large = Conservation("they add up to the change", {"input": 1.0}, {"input": 2.0}, 2.0, "raise `steps`")
    with pytest.warns(AcdcWarning, match=r"eap-ig: they add up .* at input .* off by 50% .*; raise `steps`\."):
        large.warn_if_large("eap-ig")
    Conservation("they add up", {"input": 1.9}, {"input": 2.0}, 2.0).warn_if_large("eap-ig")
    Conservation("it has none", {}, {}, 2.0).warn_if_large("hisp")
    assert Conservation("", {"input": float("nan")}, {"input": 2.0}, 2.0).is_large


def test_without_an_identity_the_record_says_so_and_no_more():
    assert Conservation("hisp has none", {}, {}, 1.0).to_json() == {"identity": "hisp has none"}
