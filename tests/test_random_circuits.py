"""Circuits drawn by chance: walks whose edges all count, and edges of which hardly one does."""

from collections import Counter

import numpy as np
import pytest
from tiny import pairs, write_pairs

import acdc
from acdc.errors import SettingsError, UnknownNameError
from acdc.graph import Graph
from acdc.methods import Random
from acdc.randomcircuits import random_circuit, random_edges, random_walk
from acdc.runs.run import Run
from acdc.selection import Top

pytestmark = pytest.mark.random_models

GPT2 = Graph.from_config(12, 12)
SMALL = Graph.from_config(2, 2)


def test_uniform_edges_leave_next_to_nothing_of_a_large_graph():
    def left(n, seed):
        drawn = random_edges(GPT2, n, np.random.default_rng(seed))
        assert drawn.sum() == n
        return GPT2.on_path(drawn).sum()

    assert left(32, 0) == 0
    assert np.mean([left(649, seed) for seed in range(10)]) < 60
    walks = random_circuit(GPT2, 324, np.random.default_rng(0))
    assert GPT2.on_path(walks).sum() == 324


def test_of_a_split_input_either_half_begins_walks():
    graph = Graph.from_config(2, 3, attn_only=True, split_input=True)
    starts, rng = Counter(), np.random.default_rng(0)
    for _ in range(400):
        starts[graph.edge(int(random_walk(graph, rng)[0])).source.name] += 1
    assert min(starts.values()) > 140
    assert set(starts) == {"embed", "pos_embed"}


@pytest.mark.parametrize("draw", [random_circuit, random_edges])
def test_all_edges_can_be_had_and_a_wrong_number_cannot(draw):
    assert draw(SMALL, SMALL.n_edges, np.random.default_rng(0)).all()
    for wrong in (0, -1, SMALL.n_edges + 1):
        with pytest.raises(SettingsError, match="a random circuit has from 1 edge to the"):
            draw(SMALL, wrong, np.random.default_rng(0))


def test_it_is_a_method_that_runs_nothing(gpt2_model, tmp_path):
    task = write_pairs(tmp_path / "pairs.jsonl", pairs(8))
    for kind in ("walks", "uniform"):
        folder, said = tmp_path / kind, []
        asked = {"method": "random", "kind": kind, "edges": 20, "seed": 5, "n": 4, "out": folder, "progress": False}
        run = acdc.discover(gpt2_model, task, **asked, announce=said.append)
        graph = run.circuit.graph
        drawn = (random_circuit if kind == "walks" else random_edges)(graph, 20, np.random.default_rng(5))
        np.testing.assert_array_equal(run.circuit.in_graph, graph.on_path(drawn))
        assert run.decisions == ()
        assert run.record.engine is None
        assert run.record.request.options == {"kind": kind, "edges": 20}
        assert "cost of random: 0 forwards of all prompts" in said
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


def test_a_run_says_how_many_of_the_edges_chosen_are_on_no_path(gpt2_model, tmp_path):
    task, said = write_pairs(tmp_path / "pairs.jsonl", pairs(8)), []
    run = acdc.discover(gpt2_model, task, method="ifr", select=Top(20), n=4, progress=False, announce=said.append)
    left = 20 - run.circuit.n_edges
    assert left > 0
    assert f"{left} of 20 edges are on no path from the input to the logits: left out" in said
    said.clear()
    acdc.discover(gpt2_model, task, method="random", edges=20, n=4, progress=False, announce=said.append)
    assert not any("on no path" in line for line in said)
