"""Circuits of nodes: what a node's score is, which edges a choice of nodes is, and that only real edges are counted."""

import json

import numpy as np
import pytest
import torch
from families import random_model
from test_families import prompts

import acdc
from acdc.editing import edges_among
from acdc.engine.setting import prepare
from acdc.errors import SettingsError, UnknownNameError
from acdc.graph import Graph
from acdc.methods.attribution import edge_attribution
from acdc.metrics import METRICS
from acdc.runs.selected import rule_of
from acdc.selection import Above, Greedy, Top, node_totals, select

SHAPES = [{}, {"parallel_attn_mlp": True}, {"attn_only": True}, {"split_input": True}]


def naive_totals(graph, scores):
    found = {node.name: 0.0 for node in graph.nodes}
    for edge in graph.edges():
        found[edge.source.name] += scores[edge.number]
    return found


def naive_nodes(graph, scores, n, by):
    """The best heads and MLPs, of equal ones the earlier first."""
    totals = naive_totals(graph, scores)
    inner = [node.name for node in graph.nodes if node.kind in ("head", "mlp")]
    return sorted(inner, key=lambda name: -(abs(totals[name]) if by == "magnitude" else totals[name]))[:n]


@pytest.mark.parametrize("by", ["magnitude", "value"])
@pytest.mark.parametrize("options", SHAPES)
def test_the_best_nodes_and_all_edges_among_them(options, by):
    graph = Graph.from_config(3, 2, **options)
    rng = np.random.default_rng(0)
    n_inner = sum(node.kind in ("head", "mlp") for node in graph.nodes)
    for n in (1, 2, 4, n_inner):
        scores = rng.integers(-2, 3, graph.n_edges).astype(float)  # many ties
        nodes = naive_nodes(graph, scores, n, by)
        found = select(graph, scores, Top(n, by=by, level="nodes"))
        np.testing.assert_array_equal(found, edges_among(graph, nodes))
        np.testing.assert_array_equal(found, graph.on_path(found))  # fed, and read
        np.testing.assert_array_equal(found, select(graph, scores, Top(n, by=by, level="nodes")))
    assert select(graph, scores, Top(n_inner, level="nodes")).all()


def test_only_edges_that_exist_are_counted():
    """EAP-IG counts whole rows of its matrix: 69,865 edges for the 32,491 of GPT-2 small."""
    graph = Graph.from_config(12, 12)
    found = select(graph, np.arange(graph.n_edges), Top(156, level="nodes"))
    assert int(found.sum()) == graph.n_edges == 32491
    few = select(graph, np.arange(graph.n_edges), Top(1, by="value", level="nodes"))
    (node,) = {edge.source.name for edge in graph.edges(few)} - {"input"}
    slots = len(graph.slots_of(graph.node(node)))
    assert int(few.sum()) == 2 + slots  # the input to it and to the logits, and it to the logits


def test_above_takes_nodes_by_their_sums_and_leaves_the_input_and_the_logits():
    graph = Graph.from_config(2, 2)
    scores = np.zeros(graph.n_edges)
    scores[graph.edge("m0->m1").number], scores[graph.edge("m0->logits").number] = 0.5, 0.25
    scores[graph.edge("m1->logits").number] = -0.75
    names = [edge.name for edge in graph.edges(select(graph, scores, Above(0.75, level="nodes")))]
    assert names == ["input->m0", "input->m1", "m0->m1", "input->logits", "m0->logits", "m1->logits"]
    names = [edge.name for edge in graph.edges(select(graph, scores, Above(0.75, by="value", level="nodes")))]
    assert names == ["input->m0", "input->logits", "m0->logits"]
    assert select(graph, scores, Above(0.8, level="nodes")).sum() == 1  # input->logits
    assert not select(graph, scores, Above(0.75)).sum() > 1  # the same number means another thing for edges


@pytest.mark.parametrize("family", ["gpt2", "llama", "gpt-neox-parallel", "gemma2"])
def test_a_nodes_score_is_its_own_attribution(family):
    """Against the change of its output times the gradient at it, by differences of the run itself."""
    setting = prepare(acdc.load_model(random_model(family, torch.float64)), prompts())
    scores = edge_attribution(setting, METRICS["kl"], steps=1)
    totals = node_totals(setting.graph, scores)
    from test_gradients import node_attribution

    expected = node_attribution(setting, 1)
    assert np.abs(expected).min() > 0
    np.testing.assert_allclose(totals[:-1], expected, rtol=0, atol=1e-10 * np.abs(expected).max())
    assert totals[-1] == 0


def test_a_file_says_the_level_and_old_files_are_read():
    assert Top(3).to_json() == {"top": 3, "by": "magnitude"}  # as files of before have it
    given = Top(3, by="value", level="nodes")
    assert json.loads(json.dumps(given.to_json())) == {"top": 3, "by": "value", "level": "nodes"}
    assert (given.words, Top(3).words) == ("top 3 nodes by value", "top 3 by magnitude")
    for rule in (given, Top(3), Above(0.5, level="nodes"), Greedy(7)):
        assert rule_of(rule.to_json()) == rule
    with pytest.raises(ValueError, match="edges or nodes are chosen"):
        rule_of({"top": 3, "by": "value", "depth": "nodes"})


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda graph: Top(0, level="nodes"), "takes at least 1 node, not 0"),
        (lambda graph: Greedy(3, level="nodes"), "`greedy` grows a circuit edge by edge; choose nodes by `top`"),
        (lambda graph: Above(-1.0, level="nodes"), "keeps every node"),
        (
            lambda graph: select(graph, np.zeros(graph.n_edges), Top(7, level="nodes")),
            "a selection of 7 nodes is more than the 6 heads and MLPs of the graph",
        ),
        (
            lambda graph: select(graph, _infinite(graph), Top(1, level="nodes")),
            "edges out of m0 are infinite and of both signs",
        ),
        (lambda graph: Top(3, level=3), "`level` must be a name"),
    ],
)
def test_what_makes_no_sense_is_refused(make, says):
    with pytest.raises(SettingsError, match=says):
        make(Graph.from_config(2, 2))


def _infinite(graph):
    scores = np.zeros(graph.n_edges)
    scores[graph.edge("m0->m1").number], scores[graph.edge("m0->logits").number] = np.inf, -np.inf
    return scores


def test_an_unknown_level_names_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean nodes"):
        Top(3, level="node")
