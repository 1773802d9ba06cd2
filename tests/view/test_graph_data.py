"""What the page's graph is made of: places, lines, scores and the film, without a browser."""

import json
import re

import numpy as np
import pytest
from graph_pages import decided

from acdc.circuit import Circuit
from acdc.decision import Decision
from acdc.errors import SettingsError
from acdc.explorer import data
from acdc.explorer.data import film_data, found_figures, graph_data
from acdc.graph import Graph
from acdc.provenance import Provenance

SHAPES = [
    {"n_layers": 3, "n_heads": 4},
    {"n_layers": 3, "n_heads": 4, "parallel_attn_mlp": True},
    {"n_layers": 2, "n_heads": 3, "attn_only": True},
    {"n_layers": 2, "n_heads": 2, "split_input": True},
    {"n_layers": 12, "n_heads": 12},
]


def scored(graph, n, seed=0, **found):
    scores = np.random.default_rng(seed).normal(size=graph.n_edges)
    kept = np.zeros(graph.n_edges, dtype=bool)
    kept[np.argsort(-np.abs(scores))[:n]] = True
    return Circuit(graph, kept, scores, Provenance(**found))


def points_of(path, steps=12):
    """Points on an SVG path of one M and relative c's, ``[n, 2]``."""
    start = np.array([float(value) for value in re.match(r"M([-.\d]+) ([-.\d]+)", path).groups()])
    points = [start]
    t = np.linspace(0, 1, steps)[:, None]
    for piece in path.split("c")[1:]:
        b, c, d = start + np.array([float(value) for value in piece.split()]).reshape(3, 2)
        points.extend((1 - t) ** 3 * start + 3 * (1 - t) ** 2 * t * b + 3 * (1 - t) * t**2 * c + t**3 * d)
        start = d
    return np.array(points)


def edges_of(drawn):
    """The edges as (source, reader, letter, points)."""
    edges, nodes = drawn["edges"], drawn["nodes"]
    ends = zip(edges["source"], edges["reader"], edges["letter"], edges["path"], strict=True)
    return [(nodes[source], nodes[reader], letter, points_of(path)) for source, reader, letter, path in ends]


@pytest.mark.parametrize("shape", SHAPES)
def test_no_line_passes_a_box_that_is_not_its_end(shape):
    graph = Graph.from_config(**shape)
    drawn = graph_data([scored(graph, min(300, graph.n_edges // 2))])
    half_width, half_height = drawn["box"][0] / 2, drawn["box"][1] / 2
    places = np.array([(node["x"], node["y"]) for node in drawn["nodes"]])
    for source, reader, _, points in edges_of(drawn):
        away = np.abs(points[:, None] - places)
        inside = (away[..., 0] < half_width) & (away[..., 1] < half_height)
        met = {drawn["nodes"][i]["name"] for i in np.flatnonzero(inside.any(0))}
        assert met <= {source["name"], reader["name"]}
        assert (points >= 0).all()
        assert (points <= drawn["size"]).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_lines_run_upwards_from_their_source_to_their_port(shape):
    graph = Graph.from_config(**shape)
    drawn = graph_data([scored(graph, 40)])
    half = drawn["box"][1] / 2
    for source, reader, letter, points in edges_of(drawn):
        assert (np.diff(points[:, 1]) <= 0.11).all()  # the places have one digit
        assert points[0, 1] == pytest.approx(source["y"] - half, abs=0.2)
        assert points[-1, 1] == pytest.approx(reader["y"] + half + 5, abs=0.2)
        if letter != "-":
            assert points[-1, 0] - reader["x"] == pytest.approx({"q": -16, "k": 0, "v": 16}[letter], abs=0.2)


def test_layers_stand_upwards_heads_by_number_and_mlps_beside_them():
    drawn = graph_data([scored(Graph.from_config(n_layers=4, n_heads=5), 100)])
    node = {one["name"]: one for one in drawn["nodes"]}
    assert node["logits"]["y"] < node["m3"]["y"] < node["a3.h0"]["y"] < node["m2"]["y"] < node["input"]["y"]
    assert len({node[f"a2.h{head}"]["y"] for head in range(5)}) == 1
    for head in range(5):
        assert len({node[f"a{layer}.h{head}"]["x"] for layer in range(4)}) == 1
    columns = [node[f"a0.h{head}"]["x"] for head in range(5)] + [node["m0"]["x"]]
    assert columns == sorted(columns)
    assert [row["label"] for row in drawn["rows"]] == ["input", *(f"layer {i}" for i in range(4)), "logits"]


def test_a_parallel_mlp_stands_in_the_row_of_its_heads():
    graph = Graph.from_config(n_layers=2, n_heads=3, parallel_attn_mlp=True)
    node = {one["name"]: one for one in graph_data([scored(graph, 20)])["nodes"]}
    assert node["m1"]["y"] == node["a1.h0"]["y"]


def test_all_kept_edges_are_drawn_and_of_the_others_the_first_by_rank():
    graph = Graph.from_config(n_layers=8, n_heads=8)
    weak = scored(graph, 5)
    weak.in_graph[np.argsort(np.abs(weak.scores))[:30]] = True  # kept, though they rank last
    drawn = graph_data([weak])
    edges = drawn["edges"]
    assert len(edges["path"]) == data.USUAL
    assert drawn["left_out"] == graph.n_edges - data.USUAL
    assert edges["kept"][0].count("1") == 35
    (ranked,) = drawn["ranked"]
    assert ranked == data.USUAL - 30
    first = sorted((f"{abs(score):.5g}" for score in weak.scores[np.argsort(-np.abs(weak.scores))[:ranked]]), key=float)
    assert sorted((f"{abs(score):.5g}" for score in edges["score"][0]), key=float)[-ranked:] == first


@pytest.mark.parametrize(
    ("found", "by"),
    [({"method": "acdc"}, "value"), ({"selection": {"top": 9, "by": "value"}}, "value"), ({}, "magnitude")],
)
def test_edges_rank_as_the_run_ranked_them(found, by):
    graph = Graph.from_config(n_layers=8, n_heads=8)
    drawn = graph_data([scored(graph, 0, **found)])
    assert drawn["by"] == [by]
    assert (min(drawn["edges"]["score"][0]) > 0) == (by == "value")


def test_two_runs_are_drawn_at_once_within_the_room_there_is():
    graph = Graph.from_config(n_layers=12, n_heads=12)
    one, other = scored(graph, 1900, seed=0), scored(graph, 1900, seed=1)
    drawn = graph_data([one, other])
    assert len(drawn["edges"]["path"]) == data.MOST
    for bits, circuit in zip(drawn["edges"]["kept"], (one, other), strict=True):
        assert bits.count("1") <= circuit.n_edges
        assert bits.count("1") > 1000
    with pytest.raises(SettingsError):
        graph_data([one, scored(Graph.from_config(n_layers=2, n_heads=2), 3)])


def test_unknown_scores_are_null_and_have_no_rank():
    graph = Graph.from_config(n_layers=1, n_heads=1)
    circuit = scored(graph, 3)
    circuit.scores[0] = np.nan
    drawn = json.loads(json.dumps(graph_data([circuit]), allow_nan=False))
    assert drawn["edges"]["score"][0][0] is None
    assert drawn["ranked"] == [graph.n_edges - 1]


def test_a_circuit_without_edges_or_scores_is_drawn():
    graph = Graph.from_config(n_layers=8, n_heads=8)
    nothing = Circuit(graph, np.zeros(graph.n_edges, dtype=bool), np.zeros(graph.n_edges))
    assert graph_data([nothing])["nodes"] == []
    drawn = graph_data([nothing.with_edges("input->m0", "m0->logits")])
    assert [node["name"] for node in drawn["nodes"]] == ["input", "m0", "logits"]


@pytest.mark.parametrize("gates", [False, True])
def test_at_the_end_of_the_film_the_circuit_is_left(gates):
    graph = Graph.from_config(n_layers=2, n_heads=2)
    decisions, circuit = decided(graph, gates=gates)
    film = film_data(graph, graph_data([circuit]), decisions, circuit.in_graph)
    assert [frame is None for frame in film["gone"]] == circuit.in_graph.tolist()
    assert len(film["edge"]) == len(decisions)
    assert film["before"][-1] == pytest.approx(decisions[-1].before, rel=1e-3)
    assert all(name.startswith("gate:") and name.endswith("<q>") for name in film["name"].values())
    assert bool(film["name"]) == gates
    for frame, (edge, decision) in enumerate(zip(film["edge"], decisions, strict=True)):
        if decision.source is not None:
            assert graph.edge(edge).name == decision.edge
            assert film["gone"][edge] == (None if decision.kept else frame + 1)


def test_an_edge_that_nobody_had_to_try_goes_with_the_last_that_read_its_reader():
    graph = Graph.from_config(n_layers=1, n_heads=1)
    edges = {edge.name: edge for edge in graph.edges()}
    kept = np.array([name in ("input->logits",) for name in edges])
    names = [f"{source}->logits" for source in ("m0", "a0.h0", "input")]
    tried = [Decision(edges[name].slot, edges[name].source, 0.0, 0.0, name == "input->logits") for name in names]
    circuit = Circuit(graph, kept, np.zeros(graph.n_edges))
    gone = film_data(graph, graph_data([circuit]), tried, kept)["gone"]
    assert gone[edges["input->m0"].number] == 1
    assert gone[edges["a0.h0->m0"].number] == 1
    assert gone[edges["input->a0.h0<k>"].number] == 2
    assert gone[edges["input->logits"].number] is None


def test_decisions_on_edges_that_are_not_drawn_are_one_frame():
    graph = Graph.from_config(n_layers=8, n_heads=8)
    decisions, circuit = decided(graph)
    film = film_data(graph, graph_data([circuit]), decisions, circuit.in_graph)
    assert sum(film["count"]) == len(decisions)
    assert len(film["edge"]) < len(decisions)
    left = [
        before if kept == "1" else after
        for before, after, kept in zip(film["before"], film["after"], film["kept"], strict=True)
    ]
    assert left[-1] == pytest.approx(decisions[-1].left, rel=1e-3)
    assert film_data(graph, {}, [], circuit.in_graph) is None


def test_a_circuit_without_a_run_has_no_figures():
    assert found_figures(None) == {}
