"""What nodes do, drawn: labels from a mapping and from a file."""

import numpy as np
import pytest

import acdc
from acdc import Graph
from acdc.circuit import Circuit
from acdc.errors import SettingsError, UnknownNameError
from acdc.export.labels import labels_of
from acdc.references import reference

GRAPH = Graph.from_config(n_layers=2, n_heads=6)


@pytest.fixture
def circuit():
    return Circuit(GRAPH, np.ones(GRAPH.n_edges, dtype=bool), scores=np.ones(GRAPH.n_edges))


def dot(circuit, tmp_path, labels, **options):
    path = tmp_path / "circuit.dot"
    return acdc.export_circuit(circuit, "dot", path, labels=labels, **options).read_text()


def box(text, name):
    return next(line for line in text.splitlines() if line.strip().startswith((f'"{name}" [', f"{name} [")))


def test_boxes_say_their_label_and_have_its_colour(circuit, tmp_path):
    found = dot(circuit, tmp_path, {"a0.h1": "previous token", "a1.h0": "induction", "a1.h2": "induction"})
    plain = box(dot(circuit, tmp_path, {}), "a1.h0")
    fills = {name: box(found, name).split("fillcolor=")[1][:9] for name in ("a0.h1", "a1.h0", "a1.h2", "a1.h3")}
    assert fills["a1.h0"] == fills["a1.h2"] != fills["a0.h1"]
    assert fills["a1.h3"] == plain.split("fillcolor=")[1][:9] not in (fills["a1.h0"], fills["a0.h1"])
    assert 'tooltip="a1.h2: induction"' in box(found, "a1.h2")
    legend = [line for line in found.splitlines() if "previous token" in line and "BGCOLOR" in line]
    assert legend
    assert legend[0].index("induction") < legend[0].index("previous token")  # the commoner one first


def test_more_labels_than_colours_are_said_under_the_pointer(circuit, tmp_path):
    labels = {f"a{layer}.h{head}": f"kind {6 * layer + head}" for layer in range(2) for head in range(6)}
    found = dot(circuit, tmp_path, labels)
    for name, label in labels.items():
        assert f'tooltip="{name}: {label}"' in box(found, name)
    usual = box(dot(circuit, tmp_path, {}), "a0.h0").split("fillcolor=")[1][:9]
    assert sum(usual in box(found, name) for name in labels) == 4  # of 12, eight colours


def test_labels_take_the_place_of_roles_in_the_file(tmp_path):
    found = dot(reference("docstring").circuit, tmp_path, {"a3.h0": "mine"})
    assert "a3.h0: mine" in found
    assert "argument mover" not in found


def test_only_nodes_shown_stand_in_the_legend(circuit, tmp_path):
    one = GRAPH.edge("input->a1.h1<q>").number
    scores = np.ones(GRAPH.n_edges)
    scores[one] = 2
    few = Circuit(GRAPH, circuit.in_graph, scores=scores)
    found = dot(few, tmp_path, {"a1.h1": "seen", "a0.h0": "unseen"}, top=1)
    assert "seen" in found
    assert "unseen" not in found


def test_any_text_is_a_label(circuit, tmp_path):
    labels = {"a0.h0": "<b>&\\G \x1b[1m", "a0.h1": "x" * 500}
    picture = acdc.export_circuit(circuit, "svg", tmp_path / "c.svg", labels=labels).read_text()
    assert "<b>" not in picture
    assert "&lt;b&gt;&amp;\\G \N{REPLACEMENT CHARACTER}[1m" in picture
    assert "x" * 41 not in picture


def test_a_file_of_labels(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text('\ufefflayer,node,score,label\n0,a0.h1,0.5,"previous, token"\n\n1,m1,,\n1, a1.h5 ,1,induction\n')
    assert labels_of(GRAPH, path) == labels_of(GRAPH, str(path))
    assert labels_of(GRAPH, path) == {"a0.h1": "previous, token", "a1.h5": "induction"}


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", SettingsError, "line 1: the column 'node' is missing"),
        ("node;label\na0.h0;x\n", SettingsError, "line 1: the column 'node' is missing; .* separated by commas"),
        ("node,kind\n", SettingsError, "line 1: the column 'label' is missing"),
        ("node,label,node\n", SettingsError, "line 1: the column 'node' is there twice"),
        ("node,label\na0.h0,x\na0.h9,y\n", UnknownNameError, r"line 3: unknown node 'a0\.h9': did you mean a0"),
        ("node,label\na0.h0,x\na0.h0,y\n", SettingsError, "line 3: a0.h0 has two labels, 'x' and 'y'"),
        ("node,label\na0.h0,x,y\n", SettingsError, "line 2: 3 values for 2 columns"),
        ('node,label\na0.h0,"x\n', SettingsError, "line 2: this is not CSV"),
    ],
)
def test_bad_files(tmp_path, text, error, message):
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(error, match=rf"labels\.csv, {message}"):
        labels_of(GRAPH, tmp_path / "labels.csv")


def test_files_that_are_none(tmp_path):
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    for name, message in (("bytes.csv", "aren't text in UTF-8"), ("none.csv", "can't read"), (".", "it is a folder")):
        with pytest.raises(SettingsError, match=message):
            labels_of(GRAPH, tmp_path / name)


def test_bad_labels_and_formats(circuit, tmp_path):
    with pytest.raises(UnknownNameError, match=r"`labels`: unknown node 'a0h1': did you mean a0\.h1"):
        dot(circuit, tmp_path, {"a0h1": "x"})
    for labels in (["a0.h1"], 3, {"a0.h1": 3}, {("a", 0): "x"}):
        with pytest.raises(SettingsError, match="`labels` must"):
            dot(circuit, tmp_path, labels)
    with pytest.raises(SettingsError, match="a graphml file has no labels; leave out `labels`, which is for svg, png"):
        acdc.export_circuit(circuit, "graphml", tmp_path / "c.graphml", labels={})
