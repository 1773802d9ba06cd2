"""Published circuits: their nodes, their counts, and that they draw and compare without a model."""

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

import acdc
from acdc.errors import UnknownNameError
from acdc.export.roles import roles_of
from acdc.planted import planted
from acdc.references import reference, reference_names

#: Edges, of them added wholesale, as the papers count them, heads, nodes, and edges of the graph. From the papers.
PUBLISHED = {
    "ioi": (963, 690, 1041, 26, 40, 32491),
    "greater_than": (235, None, 262, 9, 23, 32491),
    "docstring": (24, 0, 37, 6, 8, 1281),
    "tracr_reverse": (11, 0, 15, 2, 8, 94),
    "tracr_proportion": (7, 0, 10, 1, 5, 32),
}
#: Of nodes alone: the heads.
NODES = {
    "acronyms": "a1.h0 a2.h2 a4.h11 a5.h8 a8.h11 a9.h9 a10.h10 a11.h4",
    "pronouns": "a0.h4 a4.h3 a6.h0 a9.h7 a10.h9",
}


def heads(found):
    return [node.name for node in found.circuit.nodes() if node.kind == "head"]


def test_every_reference_is_known_here():
    assert sorted([*PUBLISHED, *NODES]) == reference_names()


@pytest.mark.parametrize("name", PUBLISHED)
def test_counts_are_the_published_ones(name):
    found = reference(name)
    n_edges, n_wholesale, counted, n_heads, n_nodes, n_all = PUBLISHED[name]
    assert found.circuit.n_edges == n_edges
    assert n_wholesale is None or found.n_wholesale == n_wholesale
    assert n_edges + found.n_placeholders == counted
    assert (len(heads(found)), len(found.circuit.nodes())) == (n_heads, n_nodes)
    assert found.circuit.graph.n_edges == n_all
    assert found.circuit.n_astray == 0
    assert found.verified.n_edges == n_edges - found.n_wholesale


@pytest.mark.parametrize("name", NODES)
def test_circuits_of_nodes_alone_say_so(name):
    found = reference(name)
    assert found.level == "nodes"
    assert heads(found) == NODES[name].split()
    assert "Compare nodes" in found.note


@pytest.mark.parametrize("name", reference_names())
def test_every_node_has_one_role(name):
    found = reference(name)
    named = [node for nodes in found.roles.values() for node in nodes]
    live = {node.name for node in found.circuit.nodes() if node.kind in ("head", "mlp")}
    assert sorted(named) == sorted(live)
    assert roles_of(found.circuit) == {role: list(nodes) for role, nodes in found.roles.items()}


def test_the_kinds_of_ioi_edges_are_those_of_the_paper():
    def kind(node):
        return {"input": "embed", "logits": "out"}.get(node.kind, node.kind)

    counts = Counter(f"{kind(edge.source)}-{kind(edge.slot.node)}" for edge in reference("ioi").circuit)
    assert counts == {
        "mlp-head": 567,
        "head-head": 124,
        "head-mlp": 123,
        "mlp-mlp": 66,
        "embed-head": 45,
        "head-out": 13,
        "mlp-out": 12,
        "embed-mlp": 12,
        "embed-out": 1,
    }
    wholesale = {kind(edge.source) for edge in reference("ioi").circuit.graph.edges(reference("ioi").wholesale)}
    assert wholesale == {"mlp", "head"}


def test_greater_than_joins_what_its_groups_join():
    circuit = reference("greater_than").circuit
    for edge in ("input->m3", "a0.h1->m0", "a0.h3->a5.h5<k>", "m3->a6.h1<v>", "a9.h1->m9", "m8->a9.h1<q>", "m4->m5"):
        assert edge in circuit
    for edge in ("input->m4", "a0.h3->m0", "m4->a6.h1<k>", "m0->logits", "input->m8"):
        assert edge not in circuit


def test_a_reference_survives_its_file_and_says_where_it_is_from(tmp_path):
    found = reference("docstring")
    found.circuit.save(tmp_path / "docstring.json")
    again = acdc.open_circuit(tmp_path / "docstring.json")
    assert np.array_equal(again.in_graph, found.circuit.in_graph)
    assert again.found.task == "docstring"
    assert again.found.further["source"] == found.source
    assert roles_of(again)["argument mover"] == ["a3.h0", "a3.h6"]


@pytest.mark.parametrize("name", reference_names())
def test_each_is_drawn_with_its_roles(name, tmp_path):
    found = reference(name)
    dot = acdc.export_circuit(found.circuit, "dot", tmp_path / "circuit.dot").read_text()
    assert found.circuit.found.model in dot
    for role, nodes in found.roles.items():
        assert f"{nodes[0]}: {role}" in dot


@pytest.mark.parametrize(
    "roles", ["text", [1], {"a": "b"}, {"a": [1, "a9.h9"]}, {"<b>\\G": ["a0.h5"]}, {"a": ["a0.h5"] * 2}]
)
def test_roles_of_any_file_draw(roles, tmp_path):
    from dataclasses import replace

    circuit = reference("docstring").circuit
    circuit = replace(circuit, found=replace(circuit.found, further={"roles": roles}))
    picture = acdc.export_circuit(circuit, "svg", tmp_path / "circuit.svg").read_text()
    assert "a3.h6" in picture
    assert "<b>" not in picture


def test_a_published_circuit_is_compared_with_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    circuit = reference("ioi").verified
    found = acdc.compare(circuit, reference="ioi")
    assert found.agreements[0].precision == 1
    assert found.agreements[0].recall == pytest.approx(273 / 963)
    with pytest.raises(UnknownNameError, match="did you mean ioi"):
        acdc.compare(circuit, reference="iio")
    reference("greater_than").circuit.save(tmp_path / "ioi")  # a file of that name is meant
    assert acdc.compare(circuit, reference="ioi").reference.n_edges == 235


def test_unknown_names_say_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean greater_than"):
        reference("greaterthan")
    with pytest.raises(acdc.AcdcError, match="by its name"):
        reference(None)


def test_no_model_is_needed():
    code = "import sys, acdc.references as r; r.reference('ioi'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_planted_model_has_a_reference_of_its_own():
    found = reference("planted-sort")
    assert found.circuit.n_edges == len(planted("planted-sort").edges)
    assert acdc.compare(found.circuit, reference="planted-sort").agreements[0].f1 == 1
    with pytest.raises(UnknownNameError, match="planted-sort"):
        reference("planted-srt")
