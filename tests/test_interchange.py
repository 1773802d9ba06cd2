"""Circuits of every kind of file, opened; what must be chosen, said or refused."""

import contextlib
import json
import pickle
import warnings
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from eap_ig_reader import write_pt
from theirs import CFG, EDGES, GRAPH, KEPT, UNMARKED, names, refused, text, write_json

from acdc import Circuit, Graph, Provenance
from acdc.errors import AcdcError, AcdcWarning, CircuitFileError, RunFolderError, SettingsError
from acdc.interchange import open_circuit
from acdc.selection import Above, Greedy, Top


@pytest.fixture(params=["json", "pt"])
def write(request, tmp_path):
    """A file of another tool of named edges, of either kind."""

    def write(edges=None, name="theirs"):
        edges = EDGES if edges is None else edges
        if request.param == "json":
            return write_json(tmp_path / f"{name}.json", edges)
        return write_pt(tmp_path / f"{name}.pt", CFG, edges)

    return write


def test_their_circuit_opens_as_it_is(write):
    circuit = open_circuit(write())
    assert circuit.graph == GRAPH
    assert names(circuit) == set(KEPT)
    assert {name: circuit.scores[GRAPH.edge(name).number] for name in EDGES} == {k: v for k, (v, _) in EDGES.items()}
    assert circuit.found == Provenance()


def test_our_own_file_and_folder_open_with_their_figures(tmp_path):
    mask = np.zeros(GRAPH.n_edges, dtype=bool)
    mask[[GRAPH.edge(name).number for name in KEPT]] = True
    ours = Circuit(GRAPH, mask, np.zeros(GRAPH.n_edges), Provenance("ioi", "gpt2", "acdc")).measured(metric_circuit=0.5)
    ours.save(tmp_path / "circuit.json")
    assert open_circuit(tmp_path / "circuit.json", graph=GRAPH).figures == ours.found
    refused(RunFolderError, "run", tmp_path)  # a folder, but no run's
    empty = replace(ours, in_graph=np.zeros_like(mask))
    empty.save(tmp_path / "empty.json")
    refused(CircuitFileError, "empty circuit: it keeps none of 46 edges", tmp_path / "empty.json")


def test_the_kind_is_told_by_what_a_file_holds(tmp_path):
    plain = write_json(tmp_path / "c.json")
    assert names(open_circuit(text(tmp_path / "c.circuit", b"\n " + plain.read_bytes()))) == set(KEPT)
    assert names(open_circuit(write_pt(tmp_path / "c.data", CFG, EDGES))) == set(KEPT)
    legacy = torch.load(write_pt(tmp_path / "c.pt", CFG, EDGES), weights_only=True)
    torch.save(legacy, tmp_path / "legacy.pt", _use_new_zipfile_serialization=False)
    assert names(open_circuit(tmp_path / "legacy.pt")) == set(KEPT)


def test_the_ending_decides_only_where_the_content_does_not(tmp_path):
    circuit = Circuit(GRAPH, np.ones(GRAPH.n_edges, dtype=bool), np.zeros(GRAPH.n_edges))
    circuit.save(tmp_path / "c.pt")
    assert len(open_circuit(tmp_path / "c.pt")) == GRAPH.n_edges
    for protocol in (2, 3, 4, 5):
        (tmp_path / "pickled").write_bytes(pickle.dumps(Fraction(1, 3), protocol=protocol))
        with pytest.raises(CircuitFileError, match="only running code from it would open"):
            open_circuit(tmp_path / "pickled")


def test_edges_on_no_path_stay_and_are_told(write):
    edges = EDGES | {"a1.h0->logits": (1.0, True), "input->m0": (2.0, True)}
    with pytest.warns(AcdcWarning, match="2 of 6 edges are on no path"):
        circuit = open_circuit(write(edges))
    assert circuit.n_edges == 6


def test_a_circuit_may_lack_scores(tmp_path):
    path = tmp_path / "c.json"
    edges = {name: {"in_graph": kept} for name, (_, kept) in EDGES.items()}
    path.write_text(json.dumps({"cfg": CFG, "nodes": {}, "edges": edges}))
    circuit = open_circuit(path)
    assert names(circuit) == set(KEPT)
    assert np.isnan(circuit.scores).all()


def test_scores_without_a_choice_need_a_selection(write):
    nothing, everything = ({name: (score, kept) for name, (score, _) in EDGES.items()} for kept in (False, True))
    for edges, marks in ((nothing, "no edge"), (everything, "every edge")):
        says = refused(SettingsError, f"marks {marks} as in the circuit; choose its circuit by", write(edges))
        assert "`selection=Top(100)`" in says
        assert names(open_circuit(write(edges), selection=Top(4))) == set(KEPT)
    assert names(open_circuit(write(nothing), selection=Above(0.75))) == set(KEPT)
    assert names(open_circuit(write(nothing), selection=Greedy(4))) == set(KEPT)


def test_files_without_in_graph_need_a_selection(tmp_path):
    lone = {"edges": {name: {"score": score} for name, (score, _) in EDGES.items()}}
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"cfg": CFG, "nodes": {}, **lone}))
    refused(SettingsError, "doesn't say which are in the circuit", path)
    circuit = open_circuit(path, selection=Top(4))
    assert names(circuit) == set(KEPT)
    assert circuit.found.selection == {"top": 4, "by": "magnitude"}
    path = write_pt(tmp_path / "c.pt", CFG, EDGES, edges_in_graph=None)
    refused(SettingsError, "doesn't say which are in the circuit", path)
    assert names(open_circuit(path, selection=Top(4))) == set(KEPT)
    with pytest.raises(CircuitFileError, match="in_graph"):  # a circuit's own door still wants them
        Circuit.load(tmp_path / "c.json")
    half = {name: {"score": 1.0} | ({"in_graph": True} if i % 2 else {}) for i, name in enumerate(EDGES)}
    refused(
        CircuitFileError,
        "23 of its 46 edges don't say",
        write_json(tmp_path / "half.json", edges={}, **{}),
    ) if 0 else None
    path = tmp_path / "half.json"
    path.write_text(json.dumps({"cfg": CFG, "nodes": {}, "edges": half}))
    path = tmp_path / "half.json"
    path.write_text(json.dumps({"cfg": CFG, "nodes": {}, "edges": half}))
    refused(CircuitFileError, "in_graph is missing in 23 of its 46 edges", path)


def test_a_selection_wins_over_what_is_marked_which_is_said(write):
    with pytest.warns(AcdcWarning, match=r"marks 4 edges as its circuit; .*\(above 0.01 by value\)"):
        circuit = open_circuit(write(), selection=Above(0.01, by="value"))
    assert circuit.n_edges > 4
    assert circuit.found.selection == {"above": 0.01, "by": "value"}


def test_a_selection_takes_the_figures_away(tmp_path):
    mask = np.ones(GRAPH.n_edges, dtype=bool)
    ours = Circuit(GRAPH, mask, np.arange(GRAPH.n_edges) + 1.0, Provenance("ioi", "gpt2", "acdc"))
    ours.measured(metric_circuit=0.5, faithfulness=0.9, faithfulness_metric="kl").save(tmp_path / "c.json")
    with pytest.warns(AcdcWarning, match="marks 46 edges"):
        circuit = open_circuit(tmp_path / "c.json", selection=Top(20))
    assert (circuit.found.has_figures, circuit.found.fingerprint, circuit.doubt) == (False, None, None)
    assert circuit.found.task == "ioi"
    assert open_circuit(tmp_path / "c.json").n_edges == 46  # ours says that all are kept, and means it


def test_ties_are_said(write):
    alike = dict.fromkeys(EDGES, (0.5, False))
    refused(SettingsError, "all 46 edges have the score 0.5, so none can be chosen", write(alike), selection=Top(4))
    some = {name: (1.0 if kept else 0.5, False) for name, (_, kept) in EDGES.items()}
    with pytest.warns(
        AcdcWarning, match=r"42 edges share the score 0.5, and 6 of them are chosen \(top 10 by magnitude"
    ):
        open_circuit(write(some), selection=Top(10))
    assert names(open_circuit(write(some), selection=Top(4))) == set(KEPT)


def test_scores_that_are_no_numbers_can_not_choose(write):
    edges = UNMARKED | {"m0->logits": (float("nan"), False)}
    refused(SettingsError, "the score of m0->logits is no number", write(edges), selection=Top(4))


def test_a_selection_of_nothing_is_said(write):
    edges = UNMARKED | {"a1.h0->logits": (50.0, False)}
    refused(
        SettingsError, r"of the edges chosen \(top 1 by magnitude\) none is on a path", write(edges), selection=Top(1)
    )
    refused(SettingsError, "more than the 46 of the graph", write(edges), selection=Top(47))
    refused(SettingsError, "none is on a path", write(edges), selection=Above(1e6))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"n_layers": 3, "n_heads": 2, "d_model": 8}, "another model: n_layers 2 against 3"),
        ({"n_layers": 2, "n_heads": 4, "d_model": 8}, "n_heads 2 against 4"),
        ({"n_layers": 2, "n_heads": 2, "d_model": 16}, "d_model 8 against 16"),
        ({"n_layers": 2, "n_heads": 2, "parallel_attn_mlp": True}, "parallel_attn_mlp False against True"),
        ({"n_layers": 2, "n_heads": 2, "split_input": True}, "split_input False against True"),
        ({"n_layers": 2, "n_heads": 2, "attn_only": True}, "attn_only False against True"),
        ({"n_layers": 5, "n_heads": 7, "d_model": 9}, "n_layers 2 against 5, n_heads 2 against 7, d_model 8 against 9"),
    ],
)
def test_another_model_s_circuit_is_refused_by_its_sizes(write, options, says):
    refused(CircuitFileError, says, write(), graph=Graph.from_config(**options))


def test_a_width_that_one_side_does_not_know_is_no_difference(write, tmp_path):
    assert open_circuit(write(), graph=Graph.from_config(2, 2)).graph == GRAPH
    cfg = {name: value for name, value in CFG.items() if name != "d_model"}
    assert open_circuit(write_json(tmp_path / "c.json", cfg=cfg), graph=GRAPH).graph == GRAPH


def test_neuron_level_files_are_refused(tmp_path):
    for key in ("neurons", "neurons_scores"):
        nodes = {"m0": {"in_graph": True, key: [True, False]}}
        path = write_json(tmp_path / "c.json", nodes=nodes)
        refused(CircuitFileError, f"neuron-level circuit .*nodes.m0.{key}", path, selection=Top(3))
        with pytest.raises(CircuitFileError, match="neuron-level"):
            Circuit.load(path)
        fine = write_json(tmp_path / "c.json", nodes={"m0": {"in_graph": True, "score": 1.0, key: None}})
        assert names(open_circuit(fine)) == set(KEPT)
    for key in ("neurons_in_graph", "neurons_scores"):
        path = write_pt(tmp_path / "c.pt", CFG, EDGES, **{key: torch.ones(7, 8)})
        refused(CircuitFileError, f"neuron-level circuit .*{key}", path)


def test_options_of_another_kind_are_refused(write, tmp_path):
    refused(SettingsError, "`nodes=True` is for a list of nodes", write(), nodes=True)
    refused(SettingsError, "`nodes` must be True or False", write(), nodes=1)
    refused(SettingsError, "`graph` must be an acdc.Graph", write(), graph="gpt2")
    refused(SettingsError, r"Top\(100\)", write(), selection=100)
    refused(SettingsError, "`path` must be a path", 3)
    refused(CircuitFileError, "can't read .*No such file", tmp_path / "nothing.pt")
    refused(CircuitFileError, "can't read", "no\nfile here")
    refused(CircuitFileError, "can't read .*name too long", "c" * 5000)


def test_damaged_text_never_gives_a_traceback(tmp_path):
    rng = np.random.default_rng(0)
    files = [write_json(tmp_path / "c.json").read_bytes(), "\n".join(KEPT).encode()]
    for number in range(300):
        content = bytearray(files[number % 2])
        for at in rng.integers(0, len(content), 2):
            content[at] = rng.integers(256)
        path = text(tmp_path / ("c.json" if number % 2 == 0 else "c.txt"), bytes(content))
        with contextlib.suppress(AcdcError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            open_circuit(path, graph=GRAPH, selection=Top(3) if number % 4 == 0 else None, nodes=number % 8 == 1)
