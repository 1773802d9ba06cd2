"""Circuits as sets of edges: edits, combinations, and what they leave of how a circuit was found."""

from dataclasses import replace

import numpy as np
import pytest

from acdc.circuit import Circuit, Provenance
from acdc.errors import SettingsError, UnknownNameError
from acdc.export.summary import facts
from acdc.graph import Graph

GRAPH = Graph.from_config(3, 2, 8)
FOUND = Provenance("ioi", "gpt2", "acdc", "kl", "corrupted", {"threshold": 0.02, "seed": 0}, n_prompts=50, seed=0)
EDGES = ("input->a0.h1<q>", "input->a0.h1<k>", "a0.h1->m1", "m1->logits")


def circuit_of(*names, graph=GRAPH, found=FOUND, scores=None):
    mask = np.zeros(graph.n_edges, dtype=bool)
    mask[[graph.edge(name).number for name in names]] = True
    scores = np.linspace(-1, 1, graph.n_edges) if scores is None else scores
    return Circuit(graph, mask, scores, found)


@pytest.fixture
def circuit():
    return circuit_of(*EDGES).measured(metric_circuit=0.06, faithfulness=0.8, faithfulness_metric="kl")


def names(circuit):
    return [edge.name for edge in circuit]


def all_edges(*wanted):
    """Names of the graph's edges that a test of text picks, independently of the library's patterns."""
    return [edge.name for edge in GRAPH.edges() if any(pick(*edge.name.split("->")) for pick in wanted)]


@pytest.mark.parametrize(
    ("pattern", "picks"),
    [
        ("m0->logits", lambda source, slot: (source, slot) == ("m0", "logits")),
        (" m0 -> logits ", lambda source, slot: (source, slot) == ("m0", "logits")),
        ("a0.h1", lambda source, slot: source == "a0.h1" or slot.startswith("a0.h1<")),
        ("m1", lambda source, slot: "m1" in (source, slot)),
        ("input", lambda source, slot: source == "input"),
        ("logits", lambda source, slot: slot == "logits"),
        ("a2.h0<k>", lambda source, slot: slot == "a2.h0<k>"),
        ("m0->*", lambda source, slot: source == "m0"),
        ("*->a1.h1<v>", lambda source, slot: slot == "a1.h1<v>"),
        ("*->a1.h1", lambda source, slot: slot.startswith("a1.h1<")),
        ("a0.h0->a1.h1", lambda source, slot: source == "a0.h0" and slot.startswith("a1.h1<")),
        ("*->logits", lambda source, slot: slot == "logits"),
        ("*->*", lambda source, slot: True),
    ],
)
def test_a_pattern_stands_for_these_edges(pattern, picks):
    empty, full = circuit_of(), circuit_of(*all_edges(lambda *_: True))
    assert names(empty.with_edges(pattern)) == all_edges(picks)
    assert names(full.without_edges(pattern)) == all_edges(lambda *edge: not picks(*edge))
    assert pattern in full
    assert pattern not in empty


def test_edges_are_given_by_name_number_themselves_or_many_at_once():
    edge, node, slot = GRAPH.edge("m0->logits"), GRAPH.node("m1"), GRAPH.slot("a1.h0<q>")
    empty = circuit_of()
    for one in (edge, edge.name, edge.number, np.int64(edge.number), [edge], {edge.name}, (e for e in [edge])):
        assert names(empty.with_edges(one)) == ["m0->logits"]
    assert names(empty.with_edges(node)) == names(empty.with_edges("m1"))
    assert names(empty.with_edges(slot)) == names(empty.with_edges("a1.h0<q>"))
    assert names(empty.with_edges("m0->logits", ["m1->logits", edge])) == ["m0->logits", "m1->logits"]
    assert names(empty.with_edges(circuit_of(*EDGES))) == sorted(EDGES, key=lambda name: GRAPH.edge(name).number)
    assert edge in circuit_of("m0->logits")
    assert edge.number in circuit_of("m0->logits")
    assert node not in circuit_of("m0->logits")


def test_a_circuit_is_a_set(circuit):
    assert len(circuit) == circuit.n_edges == 4
    assert set(names(circuit)) == set(EDGES)
    assert [node.name for node in circuit.nodes()] == ["input", "a0.h1", "m1", "logits"]
    assert "a0.h1" in circuit
    assert "a0.h0" not in circuit
    assert "a0.h1->m1" in circuit
    assert "a0.h1->logits" not in circuit


def test_nodes_come_with_their_edges_to_the_circuit_and_go_with_all(circuit):
    added = set(names(circuit.with_nodes("m0"))) - set(EDGES)
    assert added == {"input->m0", "a0.h1->m0", "m0->m1", "m0->logits"}
    both = set(names(circuit.with_nodes("m0", "a1.h0"))) - set(EDGES) - added
    assert both == {
        *(f"{source}->a1.h0<{letter}>" for source in ("input", "a0.h1", "m0") for letter in "qkv"),
        *("a1.h0->m1", "a1.h0->logits"),
    }
    assert names(circuit.with_nodes(["m0", "a1.h0"])) == names(circuit.with_nodes("m0", GRAPH.node("a1.h0")))
    assert names(circuit.without_nodes("a0.h1")) == ["m1->logits"]
    assert names(circuit.without_nodes("a0.h1")) == names(circuit.without_edges("a0.h1"))
    assert set(names(circuit_of().with_nodes("m0"))) == {"input->m0", "m0->logits"}


def test_or_and_minus(circuit):
    other = circuit_of("m1->logits", "input->logits", found=Provenance())
    assert set(names(circuit | other)) == {*EDGES, "input->logits"}
    assert names(circuit & other) == ["m1->logits"]
    assert set(names(circuit - other)) == set(EDGES) - {"m1->logits"}
    assert names(other - circuit) == ["input->logits"]
    for wrong in (EDGES, None, 3):
        with pytest.raises(TypeError):
            circuit | wrong


def test_scores_under_or_are_of_who_keeps_the_edge_and_of_the_left_first():
    left = circuit_of("m0->logits", "m1->logits", scores=np.full(GRAPH.n_edges, 1.0))
    right = circuit_of("m1->logits", "m2->logits", scores=np.full(GRAPH.n_edges, 2.0))
    both = left | right
    assert {edge.name: both.scores[edge.number] for edge in both} == {
        "m0->logits": 1.0,
        "m1->logits": 1.0,
        "m2->logits": 2.0,
    }
    assert both.scores[GRAPH.edge("input->m0").number] == 1.0
    unknown = circuit_of("m2->logits", scores=np.full(GRAPH.n_edges, np.nan))
    assert ((left | unknown).scores == 1.0).all()
    assert ((unknown | left).scores == 1.0).all()


def test_circuits_of_different_graphs_do_not_combine(circuit):
    for options, says in (
        ({"n_layers": 2, "n_heads": 2}, "n_layers 3 against 2"),
        ({"n_layers": 3, "n_heads": 4}, "n_heads 2 against 4"),
        ({"n_layers": 3, "n_heads": 2, "parallel_attn_mlp": True}, "parallel_attn_mlp False against True"),
        ({"n_layers": 3, "n_heads": 2, "split_input": True}, "split_input False against True"),
    ):
        other = circuit_of(graph=Graph.from_config(**options))
        for combine in (Circuit.__or__, Circuit.__and__, Circuit.__sub__):
            with pytest.raises(SettingsError, match=says):
                combine(circuit, other)


def test_edges_on_no_path_stay_are_told_and_can_be_dropped(circuit):
    cut = circuit.without_edges("a0.h1->m1")
    assert set(names(cut)) == set(EDGES) - {"a0.h1->m1"}
    assert cut.n_astray == 3
    assert "3 of them on no path" in repr(cut)
    assert len(cut.on_path()) == 0
    more = circuit.with_edges("a1.h0->logits")
    assert (more.n_astray, set(names(more.on_path()))) == (1, set(EDGES))
    assert "no path" not in repr(circuit)


def test_what_changes_nothing_gives_the_circuit_itself_with_its_figures(circuit):
    for same in (
        circuit.on_path(),
        circuit.with_edges(*EDGES),
        circuit.with_edges(),
        circuit.without_edges("m0->logits"),
        circuit.without_nodes("m2"),
        circuit | circuit,
        circuit & circuit,
        circuit - circuit_of(),
        circuit | circuit_of("m1->logits"),
    ):
        assert same is circuit
    assert circuit.figures is not None


def edits(circuit):
    other = circuit_of("m1->logits", "input->logits")
    yield circuit.with_edges("m0->logits")
    yield circuit.without_edges("a0.h1->m1")
    yield circuit.with_nodes("m0")
    yield circuit.without_nodes("m1")
    yield circuit.with_edges("m2->logits").on_path()
    yield from (circuit | other, circuit & other, circuit - other)


def test_figures_never_travel_with_an_edit(circuit, tmp_path):
    for one in edits(circuit):
        one.save(tmp_path / "edited.json")
        for again in (one, Circuit.load(tmp_path / "edited.json")):
            assert not again.found.has_figures
            assert again.found.fingerprint is again.found.faithfulness_metric is None
            assert (again.figures, again.doubt) == (None, None)
            assert again.found.threshold == 0.02
            assert (again.found.task, again.found.n_prompts) == ("ioi", 50)
            assert again.found.edited_from["fingerprint"] == circuit.found.fingerprint
            assert again.found == one.found
            assert "edited" in repr(again)
            assert any(fact.startswith("edited: ") for fact in facts(again))
    assert circuit.figures is not None
    assert set(names(circuit)) == set(EDGES)


def test_edits_are_told_in_words_one_after_the_other(circuit):
    one = circuit.without_edges("a0.h1").with_edges(GRAPH.edge("m0->logits"), "m2->*").with_nodes("a0.h0")
    one = one | circuit_of("input->logits", found=Provenance("acronyms", "gpt2"))
    one = one.with_edges("a2.h1->m2").on_path()
    assert one.found.edited_from == {
        "fingerprint": circuit.found.fingerprint,
        "edits": [
            "removed a0.h1 (3 edges)",
            "added m0->logits and m2->* (2 edges)",
            "added the nodes a0.h0 (7 edges)",
            "joined with a circuit of 1 edge (acronyms on gpt2) (1 edge)",
            "added a2.h1->m2 (1 edge)",
            "dropped edges on no path (1 edge)",
        ],
    }


def test_a_measured_edit_vouches_for_itself_and_its_edits(circuit, tmp_path):
    one = circuit.with_edges("m0->logits").measured(metric_circuit=0.05)
    one.save(tmp_path / "edited.json")
    again = Circuit.load(tmp_path / "edited.json")
    assert again.figures.metric_circuit == 0.05
    assert replace(again, found=replace(again.found, edited_from=None)).edited


def test_a_selection_belongs_to_one_method(circuit):
    chosen = circuit_of("m0->logits", found=Provenance(method="eap-ig", selection={"top": 3, "by": "value"}))
    found = (replace(circuit, found=Provenance(method="acdc")) | chosen).found
    assert (found.method, found.selection) == (None, None)
    assert (replace(circuit, found=Provenance()) | chosen).found.selection == {"top": 3, "by": "value"}


def test_arrays_are_not_shared(circuit):
    one = circuit.with_edges("m0->logits")
    one.scores[:] = 7
    one.in_graph[:] = True
    assert circuit.n_edges == 4
    assert not (circuit.scores == 7).any()


def test_what_two_circuits_contradict_each_other_in_is_unknown_of_their_union(circuit):
    other = replace(FOUND, task="acronyms", options={"threshold": 0.05, "seed": 0}, bos="no")
    found = (circuit | circuit_of("input->logits", found=other)).found
    assert (found.task, found.model, found.bos, found.seed) == (None, "gpt2", "no", 0)
    assert found.options == {"seed": 0}
    assert (circuit | circuit_of("input->logits", found=Provenance())).found.task == "ioi"
    assert (circuit_of("input->logits", found=Provenance()) | circuit).found.task == "ioi"
    eap = replace(FOUND, method="eap-ig", options={"steps": 5})
    found = (circuit | circuit_of("input->logits", found=eap)).found
    assert (found.method, found.options) == (None, {})


@pytest.mark.parametrize(
    ("what", "error", "says"),
    [
        ("a0.h7", UnknownNameError, r"unknown node 'a0.h7': did you mean a0.h"),
        ("a0.h1<x>", UnknownNameError, r"unknown slot 'a0.h1<x>': did you mean a0.h1<"),
        ("mm0->logits", UnknownNameError, "did you mean m"),
        ("m0->logit", UnknownNameError, "did you mean logits"),
        ("m0->a1.h5", UnknownNameError, "did you mean a1.h"),
        ("*->a1.h5", UnknownNameError, "did you mean a1.h"),
        ("nothing->*", UnknownNameError, "unknown node 'nothing'"),
        ("m1->m0", SettingsError, "no edge m1->m0: m1 doesn't write before m0 reads"),
        ("m1->a0.h0", SettingsError, "no edge m1->a0.h0: m1 doesn't write before a0.h0 reads"),
        ("logits->*", SettingsError, r"no edge logits->\*: logits doesn't write before anything reads"),
        ("m0->input", SettingsError, "input reads nothing"),
        ("*->input", SettingsError, "input reads nothing"),
        ("", UnknownNameError, "unknown node ''"),
        ("->", UnknownNameError, "unknown node ''"),
        ("m0->", UnknownNameError, "unknown node ''"),
        ("a0.*", UnknownNameError, "did you mean a0.h"),
        (10**6, SettingsError, "edge number 1000000 is outside"),
        (-1, SettingsError, "edge number -1 is outside"),
        (True, SettingsError, "edges are given by name"),
        (1.0, SettingsError, "edges are given by name"),
        (None, SettingsError, "edges are given by name"),
        (b"m0->logits", SettingsError, "edges are given by name"),
        (np.ones(GRAPH.n_edges, dtype=bool), SettingsError, "edges are given by name"),
        ({"m0->logits": 1}, SettingsError, "edges are given by name"),
        (Graph.from_config(4, 2).edge("m3->logits"), UnknownNameError, "unknown node 'm3': did you mean m"),
    ],
)
def test_what_the_graph_does_not_have_is_refused(circuit, what, error, says):
    for attempt in (circuit.with_edges, circuit.without_edges, circuit.__contains__):
        with pytest.raises(error, match=says):
            attempt(what)


@pytest.mark.parametrize(
    ("what", "error", "says"),
    [
        ("a0.h7", UnknownNameError, "did you mean a0.h"),
        ("a0.h1<q>", UnknownNameError, "did you mean a0.h1"),
        ("m0->logits", UnknownNameError, "unknown node 'm0->logits'"),
        (3, SettingsError, "nodes are given by name"),
        (None, SettingsError, "nodes are given by name"),
    ],
)
def test_nodes_that_the_graph_does_not_have_are_refused(circuit, what, error, says):
    for attempt in (circuit.with_nodes, circuit.without_nodes):
        with pytest.raises(error, match=says):
            attempt(what)


def test_what_is_no_circuit_is_refused_in_words():
    nothing = np.zeros(GRAPH.n_edges, dtype=bool)
    for graph, scores, says in (
        (None, np.zeros(GRAPH.n_edges), "a circuit's graph must be an acdc.Graph, not None"),
        (GRAPH, [0.0] * GRAPH.n_edges, "scores must be an array of numbers, one for each edge, not "),
        (GRAPH, nothing, "scores must be an array of numbers, one for each edge, not one of bool"),
        (GRAPH, np.zeros(3), "scores must have shape"),
    ):
        with pytest.raises(SettingsError, match=says):
            Circuit(graph, nothing, scores)
