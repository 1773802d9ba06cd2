"""EAP-IG's files at node level: circuits of nodes chosen by the nodes' own scores, and counted by real edges."""

import json

import numpy as np
import pytest
import torch
from eap_ig_reader import names_of, write_pt
from theirs import CFG, EDGES, GRAPH, refused, write_json

from acdc.editing import edges_among
from acdc.errors import AcdcWarning, CircuitFileError, SettingsError
from acdc.interchange import open_circuit
from acdc.selection import Above, Top

SCORES = {"input": 9.0, "a0.h0": -3.0, "a0.h1": 1.0, "m0": 2.0, "a1.h0": 0.5, "a1.h1": 0.5, "m1": -0.25}
NOTHING = dict.fromkeys(EDGES, (0.0, False))


@pytest.fixture(params=["json", "pt"])
def write(request, tmp_path):
    def write(scores=SCORES, edges=NOTHING):
        if request.param == "json":
            nodes = {name: {"in_graph": True, "score": scores[name]} for name in scores}
            return write_json(tmp_path / "c.json", edges, nodes=nodes)
        return write_pt(tmp_path / "c.pt", CFG, edges, nodes_scores=torch.tensor([scores[n] for n in names_of(CFG)[0]]))

    return write


def test_nodes_are_chosen_by_their_own_scores(write):
    circuit = open_circuit(write(), selection=Top(2, level="nodes"))
    np.testing.assert_array_equal(circuit.in_graph, edges_among(GRAPH, ["a0.h0", "m0"]))
    assert circuit.found.selection == {"top": 2, "by": "magnitude", "level": "nodes"}
    by_value = open_circuit(write(), selection=Above(1.0, by="value", level="nodes"))
    np.testing.assert_array_equal(by_value.in_graph, edges_among(GRAPH, ["a0.h1", "m0"]))
    with pytest.warns(AcdcWarning, match="2 nodes share the score 0.5, and 1 of them are chosen"):
        open_circuit(write(), selection=Top(4, level="nodes"))


def test_they_need_a_choice_among_nodes(write):
    refused(SettingsError, "holds the scores of nodes and marks no edge as in the circuit", write())
    everything = dict.fromkeys(EDGES, (0.0, True))
    refused(SettingsError, "holds the scores of nodes and marks every edge", write(edges=everything))
    refused(SettingsError, "holds scores of nodes, and none of edges; choose nodes", write(), selection=Top(3))
    refused(SettingsError, "7 nodes is more than the 6 heads and MLPs", write(), selection=Top(7, level="nodes"))
    broken = SCORES | {"m0": float("nan")}
    refused((SettingsError, CircuitFileError), "m0", write(broken), selection=Top(2, level="nodes"))


def test_without_scores_of_nodes_those_of_edges_are_summed(write, tmp_path):
    path = write_json(tmp_path / "edges.json", {name: (score, False) for name, (score, _) in EDGES.items()})
    circuit = open_circuit(path, selection=Top(1, level="nodes"))
    assert circuit.n_edges == len({edge.name for edge in circuit}) <= GRAPH.n_edges
    assert len(circuit.nodes()) == 3


def test_a_score_that_is_none_is_a_sentence(tmp_path):
    for score in ("much", [1.0], True):
        nodes = {"m0": {"in_graph": True, "score": score}}
        refused(CircuitFileError, "nodes.m0.score must be a number", write_json(tmp_path / "c.json", nodes=nodes))
    nodes = {"m7": {"in_graph": True, "score": 1.0}}
    refused(CircuitFileError, "unknown node 'm7'", write_json(tmp_path / "c.json", nodes=nodes))
    some = {"m0": {"in_graph": True, "score": 1.0}}
    path = write_json(tmp_path / "c.json", NOTHING, nodes=some)
    refused(SettingsError, "score of a0.h0 is no number", path, selection=Top(1, level="nodes"))
    assert json.loads(path.read_text())["nodes"] == some
    path = write_pt(tmp_path / "c.pt", CFG, NOTHING, nodes_scores=torch.zeros(3))
    refused(CircuitFileError, "its nodes_scores has the shape 3, but its cfg needs 7", path)
