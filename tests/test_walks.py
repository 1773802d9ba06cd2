"""Random circuits: walks from the input to the logits, of the size asked for."""

from itertools import pairwise

import numpy as np
import pytest

from acdc import Graph
from acdc.errors import SettingsError
from acdc.randomcircuits import random_circuit, random_walk

SHAPES = [
    Graph.from_config(n_layers=2, n_heads=2),
    Graph.from_config(n_layers=2, n_heads=3, parallel_attn_mlp=True),
    Graph.from_config(n_layers=1, n_heads=1, attn_only=True),
    Graph.from_config(n_layers=2, n_heads=2, split_input=True),
]


@pytest.mark.parametrize("graph", SHAPES, ids=repr)
def test_a_random_circuit_is_on_paths_and_of_every_size_asked_for(graph):
    rng = np.random.default_rng(0)
    for size in range(1, graph.n_edges + 1):
        kept = random_circuit(graph, size, rng)
        assert kept.sum() == size
        assert (graph.on_path(kept) == kept).all()


def test_a_walk_leads_from_the_input_to_the_logits():
    graph, rng = SHAPES[0], np.random.default_rng(0)
    for _ in range(50):
        edges = [graph.edge(number) for number in random_walk(graph, rng)]
        assert edges[0].source.name == "input"
        assert edges[-1].slot.name == "logits"
        assert all(one.slot.node == other.source for one, other in pairwise(edges))


def test_every_out_edge_is_as_likely():
    graph, rng = SHAPES[0], np.random.default_rng(0)
    out = [slot.first_edge for slot in graph.slots]  # of the input
    first = [int(random_walk(graph, rng)[0]) for _ in range(4000)]
    shares = np.bincount(first, minlength=graph.n_edges)[out] / len(first)
    assert np.abs(shares - 1 / len(out)).max() < 4 * (1 / len(out) / len(first)) ** 0.5


def test_the_same_seed_gives_the_same_circuit_and_another_one_another():
    graph = SHAPES[0]
    first, again, other = (random_circuit(graph, 30, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize("size", [0, SHAPES[0].n_edges + 1])
def test_no_circuit_has_no_edge_or_more_than_there_are(size):
    with pytest.raises(SettingsError, match=r"has from 1 edge to the \d+ of its graph"):
        random_circuit(SHAPES[0], size, np.random.default_rng(0))
