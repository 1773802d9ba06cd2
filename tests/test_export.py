"""Exported circuits: what is in each file, and that what users wrote can't break it."""

import itertools
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser

import networkx as nx
import numpy as np
import pygraphviz
import pytest

from acdc.circuit import Circuit, Provenance
from acdc.errors import RunFolderError, SettingsError, UnknownNameError
from acdc.export import FORMATS, export_circuit
from acdc.export.render import RenderError, render
from acdc.graph import Graph

FOUND = Provenance(
    *("ioi", "gpt2", "acdc", "kl", "corrupted"),
    options={"threshold": 0.0575, "order": "default", "gates": False},
    n_prompts=50,
    metric_circuit=0.1834,
    metric_ablated=2.4417,
)
EDGES = ("input->a0.h1<q>", "input->a0.h1<k>", "a0.h1->m1", "a0.h1->a1.h0<v>", "a1.h0->logits", "m1->logits")
HOSTILE = '</title><script>alert("1")</script> & \\N %s {0} \x00\x1b\n\u202e "quoted\' \u00e9\u6f22'


def circuit_of(*names, graph=None, found=FOUND):
    graph = graph or Graph.from_config(2, 2, 8)
    mask = np.zeros(graph.n_edges, dtype=bool)
    mask[[graph.edge(name).number for name in names]] = True
    return Circuit(graph, mask, np.where(mask, np.linspace(0.1, 1, graph.n_edges), 0.0), found).measured()


@pytest.fixture
def circuit():
    return circuit_of(*EDGES)


def exported(circuit, format, folder):
    return export_circuit(circuit, format, folder / f"circuit{FORMATS[format]}").read_bytes()


def drawn(circuit, folder):
    """The diagram, read back by Graphviz."""
    return pygraphviz.AGraph(string=exported(circuit, "dot", folder).decode())


def svg_texts(svg):
    return [element.text for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def height_of(diagram, node):
    return float(diagram.get_node(node).attr["pos"].split(",")[1])


@pytest.mark.parametrize(
    ("format", "start"),
    [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF"), ("dot", b"digraph"), ("html-table", b"<!DOCTYPE html>")],
)
def test_every_format_is_what_it_says(tmp_path, circuit, format, start):
    assert exported(circuit, format, tmp_path).startswith(start)
    assert len(list(tmp_path.iterdir())) == 1


def test_json_is_the_circuit_file(tmp_path, circuit):
    path = export_circuit(circuit, "json", str(tmp_path / "out.json"))
    assert [edge.name for edge in Circuit.load(path).edges()] == [edge.name for edge in circuit.edges()]


def test_an_unknown_format_names_the_nearest(tmp_path, circuit):
    with pytest.raises(UnknownNameError, match="unknown format 'graphm': did you mean graphml"):
        export_circuit(circuit, "graphm", tmp_path / "x")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("format", FORMATS)
def test_a_folder_that_cannot_be_written_is_an_error(tmp_path, circuit, format):
    with pytest.raises(RunFolderError, match="nowhere"):
        export_circuit(circuit, format, tmp_path / "nowhere" / "x")


@pytest.mark.parametrize("format", FORMATS)
def test_the_same_circuit_gives_the_same_file(tmp_path, circuit, format):
    assert exported(circuit, format, tmp_path) == exported(circuit, format, tmp_path)


def test_a_diagram_has_the_kept_edges_and_no_isolated_node(tmp_path, circuit):
    diagram = drawn(circuit, tmp_path)
    tooltips = [edge.attr["tooltip"].split(",")[0] for edge in diagram.edges()]
    assert sorted(tooltips) == sorted(EDGES)
    labels = {"layer 0", "layer 1"}
    assert set(diagram.nodes()) - labels == {"input", "a0.h1", "m1", "a1.h0", "logits"}


@pytest.mark.parametrize("parallel", [False, True])
def test_layers_go_up_from_the_input_to_the_logits(tmp_path, parallel):
    graph = Graph.from_config(2, 2, parallel_attn_mlp=parallel)
    everything = Circuit(graph, np.ones(graph.n_edges, dtype=bool), np.ones(graph.n_edges))
    diagram = drawn(everything, tmp_path)
    for edge in graph.edges():
        assert height_of(diagram, edge.source.name) < height_of(diagram, edge.slot.node.name)
    assert height_of(diagram, "a1.h0") == height_of(diagram, "a1.h1")
    assert (height_of(diagram, "a1.h0") == height_of(diagram, "m1")) is parallel


def test_boxes_do_not_overlap_and_lines_end_under_their_slot(tmp_path):
    graph = Graph.from_config(3, 40)  # a layer too full for one row
    mask = graph.on_path(np.random.default_rng(0).random(graph.n_edges) < 0.05)
    diagram = drawn(Circuit(graph, mask, np.ones(graph.n_edges)), tmp_path)
    places = {
        name: np.array(diagram.get_node(name).attr["pos"].split(","), float)
        for name in diagram.nodes()
        if not name.startswith("layer")
    }
    width, height = (72 * float(diagram.node_attr[side]) for side in ("width", "height"))
    points = np.array(list(places.values()))
    apart = np.abs(points[:, None] - points)
    overlap = (apart[..., 0] < width) & (apart[..., 1] < height)
    assert (overlap == np.eye(len(points), dtype=bool)).all()
    for edge in diagram.edges():
        tip = np.array(edge.attr["pos"].split()[0].split(",")[1:], float)
        assert abs(tip[0] - places[edge[1]][0]) < width / 2
        assert tip[1] == pytest.approx(places[edge[1]][1] - height / 2, abs=0.2)


def test_q_k_and_v_differ_in_colour_dash_and_place(tmp_path):
    diagram = drawn(circuit_of(*(f"input->a0.h0<{letter}>" for letter in "qkv"), "a0.h0->logits"), tmp_path)
    lines = [edge.attr for edge in diagram.edges() if edge[1] == "a0.h0"]
    for look in (lambda line: line["color"], lambda line: line["style"], lambda line: line["pos"].split()[0]):
        assert len({look(line) for line in lines}) == 3


def test_kinds_of_nodes_differ_in_colour(tmp_path, circuit):
    diagram = drawn(circuit, tmp_path)
    colours = {name: diagram.get_node(name).attr["fillcolor"] for name in ("input", "a0.h1", "m1", "logits")}
    assert len(set(colours.values())) == 4
    assert diagram.get_node("a1.h0").attr["fillcolor"] == colours["a0.h1"]


def test_lines_get_wider_with_the_size_of_the_score(tmp_path, circuit):
    scores = dict(zip(EDGES, [0.1, -0.9, 0.2, 0.4, -0.6, 0.8], strict=True))
    for name, score in scores.items():
        circuit.scores[circuit.graph.edge(name).number] = score
    diagram = drawn(circuit, tmp_path)
    widths = {edge.attr["tooltip"].split(",")[0]: float(edge.attr["penwidth"]) for edge in diagram.edges()}
    assert sorted(EDGES, key=widths.__getitem__) == sorted(EDGES, key=lambda name: abs(scores[name]))


def test_the_heading_tells_what_was_found(tmp_path, circuit):
    texts = " ".join(svg_texts(exported(circuit, "svg", tmp_path)))
    total = f"{circuit.graph.n_edges:,}"
    for fact in (
        "ioi on gpt2",
        f"6 of {total} edges",
        "threshold 0.0575",
        "kl 0.1834",
        "2.442 with every edge ablated",
    ):
        assert fact in texts


@pytest.mark.parametrize("format", FORMATS)
def test_a_circuit_of_unknown_origin_and_scores_exports(tmp_path, circuit, format):
    unknown = replace(circuit, found=Provenance(), scores=np.full_like(circuit.scores, np.nan))
    content = exported(unknown, format, tmp_path)
    assert b"None" not in content


@pytest.mark.parametrize("format", FORMATS)
def test_an_empty_circuit_exports(tmp_path, format):
    assert exported(circuit_of(), format, tmp_path)


def test_an_empty_circuit_says_so(tmp_path):
    assert "No edge was kept." in svg_texts(exported(circuit_of(), "svg", tmp_path))
    assert b"No edge was kept." in exported(circuit_of(), "html-table", tmp_path)


@pytest.mark.parametrize("format", FORMATS)
def test_what_a_user_wrote_is_escaped(tmp_path, circuit, format):
    hostile = replace(circuit, found=Provenance(*[HOSTILE] * 5, options={"threshold": 0.1, "order": HOSTILE}))
    content = exported(hostile, format, tmp_path)
    if format in ("svg", "graphml"):
        tags = {element.tag.rpartition("}")[2] for element in ET.fromstring(content).iter()}
        assert "script" not in tags
    if format == "html-table":
        assert "script" not in html_tags(content.decode())
    if format == "svg":
        assert any('<script>alert("1")</script>' in (text or "") for text in svg_texts(content))
    if format == "json":
        assert json.loads(content)["found"]["task"] == HOSTILE


def html_tags(page):
    tags = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, _: tags.append(tag)
    parser.feed(page)
    return tags


def test_graphml_reads_back(tmp_path, circuit):
    export_circuit(circuit, "graphml", tmp_path / "circuit.graphml")
    graph = nx.read_graphml(tmp_path / "circuit.graphml", force_multigraph=True)
    assert {name for *_, name in graph.edges(data="name")} == set(EDGES)
    assert {key for *_, key in graph.edges(keys=True)} == set(EDGES)  # ids in a GraphML file are unique
    assert graph.nodes["a1.h0"] == {"kind": "head", "layer": 1, "head": 0}
    assert graph.nodes["input"] == {"kind": "input"}
    scores = {data["name"]: data["score"] for *_, data in graph.edges(data=True)}
    assert scores == {name: circuit.scores[circuit.graph.edge(name).number] for name in EDGES}
    assert graph.graph["task"] == "ioi"
    assert graph.graph["threshold"] == 0.0575


def test_the_html_table_lists_edges_strongest_first(tmp_path, circuit):
    page = exported(circuit, "html-table", tmp_path).decode()
    rows = [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>(<td>.*?)</tr>", page)]
    assert len(rows) == len(EDGES)
    assert ["input", "a0.h1", "q"] in [row[:3] for row in rows]
    assert ["m1", "logits", ""] in [row[:3] for row in rows]
    sizes = [abs(float(row[3])) for row in rows]
    assert sizes == sorted(sizes, reverse=True)
    assert "http" not in page


def png_size(content):
    return int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")


def test_a_png_has_200_dots_an_inch_and_a_bound(tmp_path, circuit):
    points = re.search(rb'<svg width="(\d+)pt"', exported(circuit, "svg", tmp_path))
    width, _ = png_size(exported(circuit, "png", tmp_path))
    assert width == pytest.approx(int(points[1]) / 72 * 200, rel=0.02)
    names = ["input", *(f"m{layer}" for layer in range(80)), "logits"]
    tall = circuit_of(*(f"{a}->{b}" for a, b in itertools.pairwise(names)), graph=Graph.from_config(80, 1))
    assert 4900 < max(png_size(exported(tall, "png", tmp_path))) <= 5100


def test_a_circuit_too_large_to_draw_is_an_error_but_not_for_programs(tmp_path):
    graph = Graph.from_config(16, 14)
    large = Circuit(graph, np.ones(graph.n_edges, dtype=bool), np.ones(graph.n_edges))
    assert large.n_edges > 50_000
    with pytest.raises(SettingsError, match=r"too large to draw .* graphml, json or html-table"):
        export_circuit(large, "svg", tmp_path / "circuit.svg")
    assert exported(large, "html-table", tmp_path).count(b"<tr>") == large.n_edges + 1


def test_without_any_graphviz_the_error_says_what_to_do(monkeypatch):
    monkeypatch.setattr(sys, "path", [place for place in sys.path if "site-packages" not in place])
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RenderError, match="pip install pygraphviz"):
        render("digraph {}", "svg")


def test_what_graphviz_complains_of_is_in_the_error():
    with pytest.raises(RenderError, match="Graphviz failed"):
        render("this is not DOT", "svg")


def test_exporting_imports_no_torch(tmp_path, circuit):
    circuit.save(tmp_path / "circuit.json")
    script = """
import sys
from acdc.circuit import Circuit
from acdc.export import export_circuit, FORMATS
assert not {"graphviz", "pygraphviz", "networkx"} & set(sys.modules)
for format in ("svg", "graphml", "html-table"):
    export_circuit(Circuit.load("circuit.json"), format, "out" + FORMATS[format])
assert not {"torch", "transformer_lens"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)


def test_what_a_file_says_of_options_is_text_everywhere(tmp_path, circuit):
    options = {HOSTILE: HOSTILE, "steps": 5, "kinds": ["a", HOSTILE], "many": 10**400, "x": float("nan")}
    found = Provenance("ioi", "gpt2", "eap-ig", options=options, selection={"top": 100, "by": HOSTILE})
    hostile = replace(circuit, found=found).with_edges("m0->logits")
    hostile.save(tmp_path / "c.json")
    for one in (hostile, Circuit.load(tmp_path / "c.json")):
        for format in ("graphml", "html-table", "svg"):
            content = exported(one, format, tmp_path)
            assert not any(ord(character) < 32 for character in content.decode() if character not in "\n\r\t")
            if format != "html-table":
                ET.fromstring(content)
        assert b"<script>" not in exported(one, "html-table", tmp_path)
