"""Node scores: sums of |score| over kept edges."""

import numpy as np
import pytest

from acdc.circuit import Circuit
from acdc.graph import Graph
from acdc.nodescores import node_scores

GRAPH = Graph.from_config(1, 1)


def circuit(scores, graph=GRAPH):
    mask = np.zeros(graph.n_edges, dtype=bool)
    values = np.full(graph.n_edges, 100.0)  # of edges that aren't kept
    for name, score in scores.items():
        number = graph.edge(name).number
        mask[number], values[number] = True, score
    return Circuit(graph, mask, values)


def test_every_kept_edge_counts_once_on_each_side_whatever_its_sign():
    scores = node_scores(circuit({"input->a0.h0<q>": 0.5, "input->a0.h0<v>": -2, "a0.h0->m0": -1, "m0->logits": 3}))
    # input, a0.h0, m0, logits
    assert scores.out.tolist() == [2.5, 1, 3, 0]
    assert scores.into.tolist() == [0, 2.5, 1, 3]
    assert scores.n_out.tolist() == [2, 1, 1, 0]
    assert scores.n_into.tolist() == [0, 2, 1, 1]
    assert [node.name for node in scores.strongest()] == ["m0", "input", "a0.h0"]
    assert [node.name for node in scores.strongest(1)] == ["m0"]


def test_unknown_scores_are_left_out_and_a_node_with_no_others_is_unknown():
    scores = node_scores(circuit({"input->m0": np.nan, "input->logits": 1, "m0->logits": np.nan, "a0.h0->m0": -np.inf}))
    assert scores.out == pytest.approx([1, np.inf, np.nan, 0], nan_ok=True)
    assert scores.into == pytest.approx([0, 0, np.inf, 1], nan_ok=True)
    assert [node.name for node in scores.strongest()] == ["a0.h0", "input", "m0"]


def test_an_empty_circuit_has_no_node_that_writes():
    scores = node_scores(circuit({}))
    assert scores.strongest() == []
    assert not scores.out.any()


@pytest.mark.parametrize("options", [{}, {"parallel_attn_mlp": True}, {"attn_only": True}, {"split_input": True}])
def test_the_sums_are_those_edge_by_edge(options):
    graph = Graph.from_config(3, 4, **options)
    rng = np.random.default_rng(0)
    found = Circuit(graph, rng.random(graph.n_edges) < 0.3, rng.normal(size=graph.n_edges))
    out, into = dict.fromkeys(graph.nodes, 0.0), dict.fromkeys(graph.nodes, 0.0)
    for edge in found.edges():
        out[edge.source] += abs(found.scores[edge.number])
        into[edge.slot.node] += abs(found.scores[edge.number])
    assert node_scores(found).out == pytest.approx(list(out.values()))
    assert node_scores(found).into == pytest.approx(list(into.values()))
