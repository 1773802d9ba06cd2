"""Circuits drawn by chance: walks whose edges all count, and edges of which hardly one does."""

from collections import Counter

import numpy as np
import pytest
from tiny import pairs, write_pairs

import acdc
from acdc.errors import SettingsError, UnknownNameError
from acdc.graph import Graph
from acdc.methods import Random
from acdc.randomcircuits import random_edges, random_walks
from acdc.runs.run import Run

pytestmark = pytest.mark.random_models

GPT2 = Graph.from_config(12, 12)
SMALL = Graph.from_config(2, 2)
GRAPHS = [
    SMALL,
    Graph.from_config(3, 2, parallel_attn_mlp=True),
    Graph.from_config(2, 3, attn_only=True, split_input=True),
]


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("n", [1, 10, 30])
def test_every_edge_of_walks_is_on_a_path_and_there_are_as_many_as_asked_for(graph, n):
    for seed in range(20):
        kept = random_walks(graph, n, seed)
        np.testing.assert_array_equal(graph.on_path(kept), kept)
        assert n <= kept.sum() < n + 2 * (graph.cfg.n_layers + 1)


def test_a_walk_s_first_step_is_any_of_the_input_s_edges_with_equal_chance():
    draws, first = 20_000, Counter()
    inputs = {slot.first_edge for slot in SMALL.slots}  # the input is the first parent of every slot
    for seed in range(draws // 4):
        # one walk each: its first edge is the only one out of the input
        (edge,) = inputs & set(np.flatnonzero(random_walks(SMALL, 1, seed)).tolist())
        first[edge] += 1
    expected = draws / 4 / len(inputs)
    assert len(first) == len(inputs)
    assert sum((first[edge] - expected) ** 2 / expected for edge in inputs) < 40  # chi squared, 14 degrees of freedom


def test_of_a_split_input_either_half_begins_walks():
    graph = GRAPHS[2]
    starts = Counter()
    for seed in range(400):
        edges = [graph.edge(int(i)) for i in np.flatnonzero(random_walks(graph, 1, seed))]
        starts[next(edge.source.name for edge in edges if edge.source.index < 2)] += 1
    assert min(starts.values()) > 140
    assert set(starts) == {"embed", "pos_embed"}


def test_walks_on_gpt2_overshoot_hardly_and_uniform_edges_leave_nothing():
    for n in (32, 324, 1624):
        assert n <= random_walks(GPT2, n).sum() <= n + 12
    assert random_edges(GPT2, 324).sum() == 324
    assert GPT2.on_path(random_edges(GPT2, 32)).sum() == 0
    left = np.mean([GPT2.on_path(random_edges(GPT2, 649, seed)).sum() for seed in range(10)])
    assert left < 60


@pytest.mark.parametrize("draw", [random_walks, random_edges])
def test_all_edges_can_be_had_and_a_seed_gives_the_same_again(draw):
    for graph in GRAPHS:
        assert draw(graph, graph.n_edges).all()
        np.testing.assert_array_equal(draw(graph, 9, 3), draw(graph, 9, 3))
        assert (draw(graph, 9, 3) != draw(graph, 9, 4)).any()
        for wrong in (0, -1, graph.n_edges + 1):
            with pytest.raises(SettingsError, match="a random circuit of this graph has 1 to"):
                draw(graph, wrong)


def test_it_is_a_method_that_runs_nothing(gpt2_model, tmp_path):
    task = write_pairs(tmp_path / "pairs.jsonl", pairs(8))
    for kind in ("walks", "uniform"):
        folder, said = tmp_path / kind, []
        asked = {"method": "random", "kind": kind, "edges": 20, "seed": 5, "n": 4, "out": folder, "progress": False}
        run = acdc.discover(gpt2_model, task, **asked, announce=said.append)
        graph = run.circuit.graph
        drawn = (random_walks if kind == "walks" else random_edges)(graph, 20, 5)
        np.testing.assert_array_equal(run.circuit.in_graph, graph.on_path(drawn))
        assert run.decisions == ()
        assert run.record.engine is None
        assert run.record.request.options == {"kind": kind, "edges": 20}
        assert "random: 0 forwards of all prompts" in said
        assert list(Run.load(folder).circuit) == list(run.circuit)
        again = acdc.discover(gpt2_model, task, **asked, resume=True)
        assert again.record.fingerprint == run.record.fingerprint


def test_what_makes_no_sense_is_refused(gpt2_model, tmp_path):
    with pytest.raises(UnknownNameError, match="walks"):
        Random(kind="walk")
    with pytest.raises(SettingsError, match="`edges` must be at least 1, not 0"):
        Random(edges=0)
    with pytest.raises(SettingsError, match="the seed must be at least 0"):
        Random(seed=-1)
    task = write_pairs(tmp_path / "pairs.jsonl", pairs(8))
    with pytest.raises(SettingsError, match="the method random is to leave 100,000 edges, and the graph has"):
        acdc.discover(gpt2_model, task, method="random", edges=100_000, progress=False)
