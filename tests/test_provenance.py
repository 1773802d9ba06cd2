"""Figures belong to their circuit: whatever is changed, they aren't shown with what they weren't measured on."""

import json
from dataclasses import replace

import networkx as nx
import numpy as np
import pytest

from acdc.circuit import Circuit, Provenance
from acdc.cli.tables import print_circuit
from acdc.errors import CircuitFileError
from acdc.export import export_circuit
from acdc.export.summary import facts
from acdc.graph import Graph
from acdc.provenance import EDITED, UNPROVEN

FOUND = Provenance(
    *("ioi", "gpt2", "acdc", "kl", "corrupted"),
    options={"threshold": 0.02, "order": "default", "gates": False},
    n_prompts=50,
    metric_circuit=0.0591,
    metric_ablated=2.4417,
    faithfulness=0.8375,
    faithfulness_metric="logit-diff",
    n_held_out=40,
    metric_held_out=0.0713,
    faithfulness_held_out=0.7961,
)
FIGURES = ("0.0591", "2.442", "84%", "0.0713", "80%")
EDGES = ("input->a0.h1<q>", "input->a0.h1<k>", "a0.h1->m1", "m1->logits")


@pytest.fixture
def circuit():
    graph = Graph.from_config(2, 2, 8)
    mask = np.zeros(graph.n_edges, dtype=bool)
    mask[[graph.edge(name).number for name in EDGES]] = True
    scores = np.linspace(-1, 1, graph.n_edges)
    scores[:2] = np.nan, np.inf
    return Circuit(graph, mask, scores, FOUND).measured()


def changed(circuit, **changes):
    arrays = {"in_graph": circuit.in_graph.copy(), "scores": circuit.scores.copy()}
    for name, (index, value) in changes.items():
        arrays[name][index] = value
    return replace(circuit, **arrays)


def written(circuit, format, path):
    return export_circuit(circuit, format, path / "c.out").read_text()


@pytest.fixture
def edited(circuit, tmp_path):
    """The circuit's file with one change, by the path to a value."""

    def edited(*path, value):
        circuit.save(tmp_path / "circuit.json")
        data = json.loads((tmp_path / "circuit.json").read_text())
        inner = data
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        (tmp_path / "edited.json").write_text(json.dumps(data))
        return Circuit.load(tmp_path / "edited.json")

    return edited


def test_figures_survive_a_file(circuit, tmp_path):
    circuit.save(tmp_path / "circuit.json")
    loaded = Circuit.load(tmp_path / "circuit.json")
    assert loaded.figures == circuit.found
    assert not loaded.edited
    assert loaded.doubt is None
    loaded.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "circuit.json").read_bytes()


def test_an_edited_copy_has_no_figures_even_when_it_is_saved_anew(circuit, tmp_path):
    last = circuit.graph.n_edges - 1
    for other in (
        changed(circuit, in_graph=(0, True)),
        changed(circuit, in_graph=(last, False)),
        changed(circuit, scores=(last, 0.5)),
        replace(circuit, found=replace(circuit.found, metric_circuit=0.01)),
        replace(circuit, found=replace(circuit.found, n_prompts=500)),
        replace(circuit, found=replace(circuit.found, task="acronyms")),
    ):
        other.save(tmp_path / "circuit.json")
        for one in (other, Circuit.load(tmp_path / "circuit.json")):
            assert one.edited
            assert one.figures is None
            assert EDITED in repr(one)
    circuit.in_graph[0] = True  # in place, too
    assert circuit.edited


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("edges", "m1->logits", "in_graph"), False),
        (("edges", "m0->logits", "in_graph"), True),
        (("edges", "m1->logits", "score"), 0.25),
        (("nodes", "m1", "in_graph"), False),
        (("nodes", "m1", "in_graph"), [1, 2]),
        (("found", "metric_circuit"), 0.001),
        (("found", "metric_ablated"), 9.0),
        (("found", "faithfulness"), 0.99),
        (("found", "faithfulness_held_out"), None),
        (("found", "n_held_out"), 4000),
        (("found", "options", "threshold"), 0.5),
        (("found", "options"), {}),
        (("found", "seed"), 3),
        (("found", "selection"), {"top": 4, "by": "value"}),
        (("found", "metric"), "l2"),
        (("found", "fingerprint"), "0" * 64),
        (("cfg", "d_model"), 16),
        (("cfg", "parallel_attn_mlp"), False),
    ],
)
def test_an_edited_file_has_no_figures(edited, path, value):
    circuit = edited(*path, value=value)
    if path == ("cfg", "parallel_attn_mlp"):  # as it was
        assert not circuit.edited
        return
    assert circuit.doubt == EDITED
    assert circuit.figures is None


def test_a_file_without_a_fingerprint_can_not_vouch_for_its_figures(edited):
    circuit = edited("found", "fingerprint", value=None)
    assert circuit.edited
    assert circuit.doubt == UNPROVEN
    assert UNPROVEN in facts(circuit)


def test_a_circuit_of_another_tool_has_nothing_to_vouch_for(edited):
    for found in (None, {}, {"task": "ioi", "metric": "kl", "n_prompts": 50}):
        circuit = edited("found", value=found)
        assert (circuit.edited, circuit.figures, circuit.doubt) == (False, None, None)


@pytest.mark.parametrize("format", ["svg", "dot", "html-table"])
def test_every_picture_and_table_says_so(circuit, tmp_path, format):
    other = changed(circuit, in_graph=(circuit.graph.edge("m0->logits").number, True))
    shown, hidden = written(circuit, format, tmp_path), written(other, format, tmp_path)
    for figure in FIGURES:
        assert figure in shown
        assert figure not in hidden
    assert EDITED not in shown
    assert EDITED in hidden


def test_graphml_and_networkx_say_so(circuit, tmp_path):
    other = changed(circuit, in_graph=(circuit.graph.edge("m0->logits").number, True))
    for one, has_figures in ((circuit, True), (other, False)):
        export_circuit(one, "graphml", tmp_path / "c.graphml")
        for attributes in (one.to_networkx().graph, nx.read_graphml(tmp_path / "c.graphml").graph):
            assert ("metric_circuit" in attributes) == has_figures
            assert ("faithfulness" in attributes) == has_figures
            assert attributes.get("doubt") == (None if has_figures else EDITED)
            assert attributes["threshold"] == 0.02


def test_the_terminal_s_tables_say_so(circuit, capsys):
    print_circuit(changed(circuit, in_graph=(circuit.graph.edge("m0->logits").number, True)))
    assert EDITED in " ".join(capsys.readouterr().out.split())


def test_facts_have_used_and_held_out_figures(circuit):
    found = facts(circuit)
    assert "kl 0.0591, 2.442 with every edge ablated" in found
    assert "faithfulness 84% (logit-diff)" in found
    assert "50 prompts" in found
    assert "held out: kl 0.0713, faithfulness 80% (logit-diff), 40 prompts" in found


def test_a_share_that_is_not_defined_is_said(circuit):
    one = replace(circuit, found=replace(circuit.found, faithfulness=None)).measured()
    assert "faithfulness not defined (logit-diff)" in facts(one)


def test_what_a_younger_version_adds_survives(edited, tmp_path):
    circuit = edited("found", "colour", value={"top": [1, 2.5, "\u00e9"], "name": None})
    assert not circuit.edited
    assert circuit.found.further == {"colour": {"top": [1, 2.5, "\u00e9"], "name": None}}
    circuit.save(tmp_path / "again.json")
    assert Circuit.load(tmp_path / "again.json").found.further == circuit.found.further
    renamed = replace(circuit, found=replace(circuit.found, task="mine"))
    renamed.save(tmp_path / "again.json")
    assert Circuit.load(tmp_path / "again.json").found.further == circuit.found.further


def test_figures_that_are_no_numbers_are_unknown_in_a_file(circuit, tmp_path):
    circuit.measured(metric_circuit=float("nan"), faithfulness=float("inf")).save(tmp_path / "circuit.json")
    found = Circuit.load(tmp_path / "circuit.json").found
    assert found.metric_circuit is found.faithfulness is None


@pytest.mark.parametrize("value", ["\ud83d", ["\udc00"], float("inf"), {"a": float("nan")}])
def test_what_can_not_be_written_back_is_refused(edited, value):
    with pytest.raises(CircuitFileError, match=r"found\.colour.*(half of a character|must be a finite number)"):
        edited("found", "colour", value=value)
