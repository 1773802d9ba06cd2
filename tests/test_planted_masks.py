"""Learned masks find the circuits of planted models: precision and recall, of few steps on few prompts."""

from functools import cache

import pytest

from acdc import load_model
from acdc.discovery.setting_up import set_up
from acdc.methods import EdgePruning, Sp, Ugs
from acdc.metrics import METRICS
from acdc.planted import planted
from acdc.selection import Above, select

pytestmark = pytest.mark.drawn

NAMES = ["planted-sort", "planted-and"]
#: Of a circuit of four or five edges: at most one too many, and none missing.
PRECISION, RECALL = 0.8, 1.0


@cache
def setting_of(name):
    return set_up(load_model(name), name, n=12, corruption=planted(name).settings.corruption)


def check(name, kept):
    true = planted(name).circuit.in_graph
    assert (kept & true).sum() / true.sum() >= RECALL
    assert (kept & true).sum() / kept.sum() >= PRECISION


@pytest.mark.parametrize("name", NAMES)
def test_subnetwork_probing_over_edges(name):
    found = Sp(steps=200, learning_rate=0.2, batch=12, penalty=3.0).find(setting_of(name), METRICS["kl"])
    check(name, found.kept)
    assert found.measured["masks"]["metric_rounded"] < 0.01


@pytest.mark.parametrize("name", NAMES)
def test_subnetwork_probing_over_nodes(name):
    """Its nodes are those of the true edges, and the circuit is every edge among them."""
    found = Sp(masks="nodes", steps=100, learning_rate=0.2, batch=12).find(setting_of(name), METRICS["kl"])
    graph, true = setting_of(name).graph, planted(name).circuit.in_graph
    assert (graph.live_nodes(found.kept) == graph.live_nodes(true)).all()
    assert (found.kept | ~true).all()


@pytest.mark.parametrize("name", NAMES)
def test_edge_pruning_to_as_many_edges_as_are_true(name):
    true = len(planted(name).edges)
    found = EdgePruning(edges=true, steps=300, learning_rate=0.15, batch=6).find(setting_of(name), METRICS["kl"])
    check(name, found.kept)
    measured = found.measured["masks"]
    assert measured["edges"] == true
    assert measured["soft_sparsity"] == pytest.approx(measured["target_sparsity"], abs=0.03)


@pytest.mark.parametrize("name", NAMES)
def test_uniform_gradient_sampling(name):
    setting = setting_of(name)
    found = Ugs(steps=250, learning_rate=0.2, batch=12).find(setting, METRICS["kl"])
    assert found.kept is None
    check(name, select(setting.graph, found.scores, Above(0.5)))
