"""Circuits as text: lists of edges or of nodes."""

import numpy as np
import pytest
from theirs import GRAPH, KEPT, names, refused, text

from acdc import Provenance
from acdc.errors import AcdcWarning, CircuitFileError, SettingsError
from acdc.interchange import open_circuit
from acdc.selection import Top


def test_a_list_of_edges(tmp_path):
    content = "\ufeff# mine\r\n\r\n" + "\r\n".join(f"  {name}  # why" for name in KEPT) + "\r\n"
    for ending in ("\r\n", "\n", "\r"):
        circuit = open_circuit(text(tmp_path / "edges.txt", content.replace("\r\n", ending)), graph=GRAPH)
        assert names(circuit) == set(KEPT)
        assert np.isnan(circuit.scores).all()
        assert circuit.found == Provenance()


def test_a_list_of_nodes_is_all_edges_among_them_the_input_and_the_logits(tmp_path):
    wanted = {
        *("input->m0", "m0->logits", "input->logits", "a0.h1->m0", "a0.h1->logits"),
        *(f"input->a0.h1<{letter}>" for letter in "qkv"),
    }
    for content in ("a0.h1\nm0\n", "a0.h1, m0", "m0 a0.h1 # two", "# none\n\ninput;m0\n\n a0.h1,\tlogits\r\n"):
        circuit = open_circuit(text(tmp_path / "nodes.txt", content), graph=GRAPH, nodes=True)
        assert names(circuit) == wanted
        assert circuit.n_astray == 0


@pytest.mark.parametrize(
    ("content", "nodes", "says"),
    [
        ("m0->logits\nm9->logits", False, r"line 2: unknown node 'm9': did you mean m"),
        ("\n# x\na0.h1->a1.h9", False, r"line 3: unknown node 'a1.h9': did you mean a1.h"),
        ("a1.h0->a1.h0", False, "line 1: there is no edge a1.h0->a1.h0"),
        ("m9->*", False, "line 1: unknown node 'm9'"),
        ("*", False, r"line 1: '\*' is not an edge"),
        ("m1->m0", False, "line 1: there is no edge m1->m0"),
        ("m0", False, "line 1: 'm0' is a node, not an edge; for a list of nodes give `nodes=True`"),
        ("a0.h0, m0", False, "for a list of nodes give `nodes=True`"),
        ("hello", False, "line 1: 'hello' is not an edge; edges look like"),
        ("m0->logits m1->logits", False, "line 1: "),
        ("\x1b[31mm0->logits", False, "line 1: "),
        ("\u202em0->logits", False, "line 1: "),
        ("x" * 100_000, False, "line 1: "),
        ("", False, "is an empty circuit"),
        ("# only this\n\n", False, "is an empty circuit"),
        ("", True, "is an empty circuit"),
        ("a0.h1\na0.h9", True, r"line 2: unknown node 'a0.h9': did you mean a0.h"),
        ("a0.h1<q>", True, "line 1: unknown node"),
        ("m0->logits", True, "'m0->logits' is an edge, not a node; for a list of edges leave out `nodes=True`"),
        (b"m0->logits\xff", False, "isn't JSON, a file of torch.save or text in UTF-8"),
        ("m0->logits".encode("utf-16"), False, "text in UTF-8"),
    ],
)
def test_a_wrong_list_is_refused_with_the_line(tmp_path, content, nodes, says):
    refused(CircuitFileError, says, text(tmp_path / "list.txt", content), graph=GRAPH, nodes=nodes)


def test_an_arrow_may_lead_to_all_that_read(tmp_path):
    path = text(tmp_path / "e.txt", "m0 -> *\na0.h1->a1.h0\n*->a0.h1<k>\n*->m0")
    wanted = {edge.name for edge in GRAPH.edges() if edge.source.name == "m0" or edge.slot.name in ("a0.h1<k>", "m0")}
    with pytest.warns(AcdcWarning, match="on no path"):
        circuit = open_circuit(path, graph=GRAPH)
    assert names(circuit) == wanted | {f"a0.h1->a1.h0<{letter}>" for letter in "qkv"}


@pytest.mark.parametrize(
    "content",
    [
        b'<?xml version="1.0"?>\n<svg/>',
        b"<!doctype html>",
        b'digraph {\n\t"m0" -> "logits"\n}',
        b"edge,source,target\nm0->logits,m0,logits",
        b"m0->logits,0.5",
        b"hello",
        b"# a title\nm0 writes to logits",
        b"m0->logits; m1->logits",
        b"\x00\x01",
    ],
)
def test_what_is_no_list_is_not_taken_for_one(tmp_path, content):
    refused(
        CircuitFileError, r"is no circuit: .* line \d, '.*, is no edge .* and no node", text(tmp_path / "x", content)
    )


@pytest.mark.parametrize("content", [b"%PDF-1.7\n\xe2\xe3", b"\x89PNG\r\n\x1a\n", b"\x1f\x8b\x08", b"\x93NUMPY"])
def test_what_is_no_text_is_not_taken_for_a_list(tmp_path, content):
    refused(CircuitFileError, "isn't JSON, a file of torch.save or text in UTF-8", text(tmp_path / "x.csv", content))


def test_blanks_may_stand_around_an_arrow(tmp_path):
    path = text(tmp_path / "e.txt", "input -> m0\nm0 ->logits # x\n")
    assert names(open_circuit(path, graph=GRAPH)) == {"input->m0", "m0->logits"}


def test_what_stands_twice_is_said(tmp_path):
    path = text(tmp_path / "edges.txt", "m0->logits\ninput->m0\n\nm0->logits\nm0->logits\n")
    with pytest.warns(AcdcWarning, match=r"line 4: the edge m0->logits stands in line 1 already \(and 1 more such\)"):
        assert names(open_circuit(path, graph=GRAPH)) == {"m0->logits", "input->m0"}
    path = text(tmp_path / "nodes.txt", "m0, a0.h0\nm0")
    with pytest.warns(AcdcWarning, match="line 2: the node m0 stands in line 1 already"):
        open_circuit(path, graph=GRAPH, nodes=True)


def test_a_list_needs_a_graph_and_has_no_scores(tmp_path):
    path = text(tmp_path / "edges.txt", "m0->logits\ninput->m0")
    refused(SettingsError, "a list of edges by name, which doesn't say of what model; give its `graph`", path)
    refused(SettingsError, "a list of nodes", path, nodes=True)
    refused(SettingsError, "a list without scores", path, graph=GRAPH, selection=Top(2))
