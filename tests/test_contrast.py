"""The diagram of two circuits: three colours, which edges and nodes are whose, and what is said of them."""

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pygraphviz
import pytest
from test_diagram import FOUND, SHAPES, SVG, box, grown, line, places, texts

from acdc.circuit import Circuit
from acdc.comparing import compare
from acdc.errors import RunFolderError, SettingsError, UnknownNameError
from acdc.export import FORMATS, PICTURES, export_comparison
from acdc.graph import Graph

DASHES = ("dashed", "dotted", "solid")  # only in the first, only in the second, in both


def two(shape="12x12", n=60):
    """Circuits that share some edges."""
    graph = SHAPES[shape]
    first, other = grown(graph, n, seed=1), grown(graph, n // 2, seed=2)
    mask = graph.on_path(other.in_graph | (first.in_graph & (np.arange(graph.n_edges) % 3 > 0)))
    return first, Circuit(
        graph, mask, np.where(mask, first.scores + other.scores, 0.0), replace(FOUND, options={"threshold": 0.01})
    )


def exported(comparison, format, folder, **options):
    return export_comparison(comparison, format, folder / f"two{FORMATS[format]}", **options).read_bytes()


def drawn(comparison, folder, **options):
    return pygraphviz.AGraph(string=exported(comparison, "dot", folder, **options).decode())


def every(attribute, diagram):
    return {edge.attr[attribute] for edge in diagram.edges()}


def edge_name(edge):
    return edge.attr["tooltip"].split(",")[0]


def group(circuits, edge):
    number = circuits[0].graph.edge(edge_name(edge)).number
    return DASHES[
        {(True, False): 0, (False, True): 1, (True, True): 2}[tuple(bool(c.in_graph[number]) for c in circuits)]
    ]


@pytest.mark.parametrize("shape", SHAPES)
def test_every_edge_is_drawn_as_what_it_is(tmp_path, shape):
    circuits = two(shape)
    diagram = drawn(compare(*circuits), tmp_path)
    either = circuits[0].in_graph | circuits[1].in_graph
    assert sorted(map(edge_name, diagram.edges())) == sorted(edge.name for edge in circuits[0].graph.edges(either))
    colors = {}
    for edge in diagram.edges():
        assert edge.attr["style"] == group(circuits, edge)
        colors.setdefault(edge.attr["style"], set()).add(edge.attr["color"][:7])
        assert edge[1] == circuits[0].graph.edge(edge_name(edge)).slot.node.name
    assert all(len(of) == 1 for of in colors.values())
    assert len(set.union(*colors.values())) == len(colors)


@pytest.mark.parametrize("shape", SHAPES)
def test_no_line_runs_behind_a_box_that_is_not_its_end(tmp_path, shape):
    circuits = two(shape)
    diagram = drawn(compare(*circuits), tmp_path)
    middles = {name: place for name, place in places(diagram).items() if not name.endswith(" in both")}
    for edge in diagram.edges():
        ends = edge_name(edge).split("->")[0], edge[1]
        points, _ = line(edge)
        others = np.array([place for name, place in middles.items() if name not in ends])
        if len(others):
            assert not (np.abs(points[:, None] - others) < box(diagram) + 1).all(2).any(), edge
        assert points[0, 0] == pytest.approx(middles[ends[0]][0], abs=box(diagram)[0])


def test_edges_of_both_are_drawn_before_all_others(tmp_path):
    circuits = two()
    svg = ET.fromstring(exported(compare(*circuits), "svg", tmp_path))
    names = [one.get("{http://www.w3.org/1999/xlink}title").split(",")[0] for one in svg.iter(f"{SVG}a")]
    order = [name for name in names if "->" in name]
    masks = [one.in_graph for one in circuits]
    both = [bool((masks[0] & masks[1])[circuits[0].graph.edge(name).number]) for name in dict.fromkeys(order)]
    assert sum(both) == (masks[0] & masks[1]).sum() > 0
    assert both == sorted(both, reverse=True)
    assert not all(both)


def test_nodes_of_one_alone_are_tinted_and_outlined_otherwise(tmp_path):
    graph = SHAPES["4x4"]

    def circuit(*names):
        mask = np.zeros(graph.n_edges, dtype=bool)
        mask[[graph.edge(name).number for name in names]] = True
        return Circuit(graph, mask, mask.astype(float))

    first = circuit("input->a0.h1<v>", "a0.h1->m2", "m2->logits")
    second = circuit("input->a0.h1<q>", "a0.h1->a1.h3<k>", "a1.h3->logits")
    diagram = drawn(compare(first, second), tmp_path)
    look = {name: diagram.get_node(name).attr for name in ("input", "a0.h1", "m2", "a1.h3")}
    assert look["input"]["fillcolor"] == look["a0.h1"]["fillcolor"]
    assert len({look[name]["fillcolor"] for name in ("input", "m2", "a1.h3")}) == 3
    assert [look[name]["style"].split(",")[-1] for name in ("m2", "a1.h3", "input")] == list(DASHES)
    # A part that shows of a node only one's edges doesn't make it one's own.
    part = drawn(compare(first, replace(second, scores=second.scores * 2)), tmp_path, strongest=3)
    assert part.get_node("input").attr["style"].endswith("solid")


def test_the_legend_has_names_and_counts(tmp_path):
    circuits = two()
    comparison = compare(*circuits)
    said = " ".join(texts(exported(comparison, "svg", tmp_path))).replace("\N{NO-BREAK SPACE}", " ")
    edges = comparison.pair.edges
    for name, count, dash in (
        ("only A", edges.only_first, 0),
        ("only B", edges.only_second, 1),
        ("both", edges.both, 2),
    ):
        assert re.search(rf"{name}: {count}\s+{DASHES[dash]}", said), said
    assert f"{edges.both} of {edges.first + edges.only_second} edges in both, Jaccard {edges.jaccard:.2f}" in said
    assert f"A: {edges.first} edges \N{MIDDLE DOT} threshold 0.0575" in said
    assert f"B: {edges.second} edges \N{MIDDLE DOT} threshold 0.01" in said
    assert "strongest" not in said
    against = compare(circuits[0], replace(circuits[1], found=replace(FOUND, task="pronouns")))
    assert "ioi on gpt2 against pronouns on gpt2" in texts(exported(against, "svg", tmp_path))


def test_sources_are_named_by_their_ends_and_stay_text(tmp_path):
    circuits = two()
    comparison = replace(compare(*circuits), sources=("/home/ann/runs/one<b>\x1b", "x" * 9_999))
    svg = exported(comparison, "svg", tmp_path)
    assert any("one<b>\N{REPLACEMENT CHARACTER}" in text for text in texts(svg))
    assert b"/home" not in svg
    assert float(re.search(rb'width="(\d+)pt"', svg)[1]) < 1500


def test_the_strongest_are_those_of_either_circuit_by_its_own_measure(tmp_path):
    first, second = two()
    second = replace(second, scores=1000 * second.scores)  # in another unit
    kept = [(np.abs(one.scores) / np.abs(one.scores[one.in_graph]).max()) * one.in_graph for one in (first, second)]
    sizes = np.maximum(*kept)
    wanted = {first.graph.edge(number).name for number in np.argsort(-sizes, kind="stable")[:12]}
    diagram = drawn(compare(first, second), tmp_path, strongest=12)
    assert set(map(edge_name, diagram.edges())) == wanted
    n_all = (first.in_graph | second.in_graph).sum()
    said = " ".join(texts(exported(compare(first, second), "svg", tmp_path, strongest=12)))
    assert f"12 strongest of {n_all} edges shown" in said
    counts = re.findall(r"(?:only [AB]|both): (\d+) of (\d+)", said)
    assert [sum(map(int, column)) for column in zip(*counts, strict=True)] == [12, n_all]
    assert "dead ends: edges left out" in said
    whole = " ".join(texts(exported(compare(first, second), "svg", tmp_path)))
    assert not re.search(r"only A: \d+ of", whole)
    assert "dead ends" not in whole


def test_circuits_without_scores_or_edges_are_drawn(tmp_path):
    first, second = two()
    for value in (0.0, np.nan):
        blank = [replace(one, scores=np.full_like(one.scores, value)) for one in (first, second)]
        assert every("penwidth", drawn(compare(*blank), tmp_path)) == {"1.00"}
        assert "width" not in " ".join(texts(exported(compare(*blank), "svg", tmp_path)))
        assert len(every("penwidth", drawn(compare(first, blank[1]), tmp_path))) > 1
    empty = replace(first, in_graph=np.zeros_like(first.in_graph))
    assert "No edge was kept." in texts(exported(compare(empty, empty), "svg", tmp_path))
    assert every("style", drawn(compare(empty, second), tmp_path)) == {"dotted"}
    assert every("style", drawn(compare(first, first), tmp_path)) == {"solid"}


def test_one_circuit_can_be_drawn_against_its_reference(tmp_path):
    first, second = two()
    said = " ".join(texts(exported(compare(first, reference=second), "svg", tmp_path)))
    assert "only reference:" in said


@pytest.mark.parametrize("format", PICTURES)
def test_the_same_two_give_the_same_bytes(tmp_path, format):
    comparison = compare(*two(n=20))
    assert exported(comparison, format, tmp_path) == exported(compare(*two(n=20)), format, tmp_path)


def test_what_can_not_be_drawn_is_refused(tmp_path, monkeypatch):
    first, second = two()
    with pytest.raises(SettingsError, match="a diagram shows two circuits, not 3; compare two alone"):
        exported(compare(first, second, first), "svg", tmp_path)
    for strongest in (0, -2, 2.5, "all", True):
        with pytest.raises(SettingsError, match="`strongest`"):
            exported(compare(first, second), "svg", tmp_path, strongest=strongest)
    with pytest.raises(UnknownNameError, match="unknown format of a diagram 'graphml': known: dot, pdf, png, svg"):
        export_comparison(compare(first, second), "graphml", tmp_path / "two")
    with pytest.raises(RunFolderError, match="can't write"):
        export_comparison(compare(first, second), "dot", tmp_path / "none" / "two.dot")
    monkeypatch.setattr("acdc.export._MAX_DRAWN", 20)
    with pytest.raises(SettingsError, match=r"too large to draw .* draw the strongest by `strongest`"):
        exported(compare(first, second), "svg", tmp_path)
    assert not list(tmp_path.iterdir())
    assert exported(compare(first, second), "dot", tmp_path, strongest=20)


def test_models_of_many_layers_take_seconds(tmp_path):
    graph = Graph.from_config(24, 16)
    assert exported(compare(grown(graph, 1_000, seed=1), grown(graph, 1_000, seed=2)), "dot", tmp_path)
