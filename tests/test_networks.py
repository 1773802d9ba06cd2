"""Circuits as GraphML, node-link JSON, networkx graphs and lists of edges: there and back, and what is none refused."""

import contextlib
import json
from dataclasses import replace

import networkx as nx
import numpy as np
import pytest

from acdc import Circuit, Graph, Provenance, export_circuit
from acdc.errors import AcdcError, CircuitFileError, NoGraphError, SettingsError
from acdc.interchange import from_networkx, open_circuit

SHAPES = [{}, {"parallel_attn_mlp": True}, {"attn_only": True}, {"split_input": True}]
FOUND = Provenance(
    task="ioi",
    model="some/model",
    method="eap-ig",
    metric="kl",
    ablation="corrupted",
    options={"steps": 5, "thresholds": [0.5, 0.1], "rule": "left", "fast": True},
    selection={"top": 9, "by": "value"},
    n_prompts=7,
    seed=3,
    split_input=False,
)


def circuit_of(found=FOUND, **options):
    graph = Graph.from_config(2, 2, 8, **options)
    rng = np.random.default_rng(0)
    mask = graph.on_path(rng.random(graph.n_edges) < 0.7)
    return Circuit(graph, mask, rng.standard_normal(graph.n_edges) * 1e-3, found)


def assert_same(found, circuit, *, scores=True):
    assert found.graph == circuit.graph
    np.testing.assert_array_equal(found.in_graph, circuit.in_graph)
    if scores:
        np.testing.assert_array_equal(found.scores[found.in_graph], circuit.scores[circuit.in_graph])
    assert np.isnan(found.scores[~found.in_graph]).all()


@pytest.mark.parametrize("format", ["graphml", "node-link"])
@pytest.mark.parametrize("options", SHAPES)
def test_there_and_back(tmp_path, format, options):
    circuit = circuit_of(**options)
    path = export_circuit(circuit, format, tmp_path / "c.data")
    for found in (open_circuit(path), open_circuit(path, graph=circuit.graph)):
        assert_same(found, circuit)
        assert found.found == FOUND
    export_circuit(found, format, tmp_path / "again.data")
    assert (tmp_path / "again.data").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("options", SHAPES)
def test_networkx_graphs_there_and_back(tmp_path, options):
    circuit = circuit_of(**options)
    assert_same(from_networkx(circuit.to_networkx()), circuit)
    assert from_networkx(circuit.to_networkx()).found == FOUND
    path = export_circuit(circuit, "node-link", tmp_path / "c.json")
    assert_same(from_networkx(nx.node_link_graph(json.loads(path.read_text()), edges="edges")), circuit)
    path = export_circuit(circuit, "graphml", tmp_path / "c.graphml")
    assert_same(from_networkx(nx.read_graphml(path)), circuit)


@pytest.mark.parametrize("options", SHAPES)
def test_lists_of_edges_there_and_back(tmp_path, options):
    circuit = circuit_of(**options)
    path = export_circuit(circuit, "edges", tmp_path / "edges.txt")
    assert path.read_text().startswith("# ioi on model: ")
    assert path.read_text().splitlines()[1:] == [edge.name for edge in circuit]
    assert_same(open_circuit(path, graph=circuit.graph), circuit, scores=False)
    with pytest.raises(NoGraphError):
        open_circuit(path)
    odd = replace(circuit, found=replace(FOUND, task="evil\nm0->logits", model="\x1b[31m"))
    export_circuit(odd, "edges", tmp_path / "odd.txt")
    assert_same(open_circuit(tmp_path / "odd.txt", graph=circuit.graph), circuit, scores=False)


@pytest.mark.parametrize("format", ["graphml", "node-link"])
def test_figures_and_unknown_scores_stay_behind(tmp_path, format):
    circuit = circuit_of().measured(metric_circuit=0.5, faithfulness=0.9, faithfulness_metric="kl")
    circuit.scores[np.flatnonzero(circuit.in_graph)[0]] = np.nan
    found = open_circuit(export_circuit(circuit, format, tmp_path / "c.data"))
    assert (found.found.has_figures, found.doubt, found.found.fingerprint) == (False, None, None)
    assert found.found == FOUND
    assert np.isnan(found.scores[found.in_graph]).sum() == 1


def test_graphs_of_others_need_names_and_a_graph():
    given = nx.DiGraph()
    given.add_edge("input", "m0", score=1)
    given.add_edge("m0", "a1.h0", letter="k", weight=3.0)
    given.add_edge("a1.h0", "logits", name="not an arrow")
    given.add_edge("input", "a0.h0")  # q, k and v
    graph = Graph.from_config(2, 2)
    names = [edge.name for edge in from_networkx(given, graph)]
    assert names == [
        "input->a0.h0<q>",
        "input->a0.h0<k>",
        "input->a0.h0<v>",
        "input->m0",
        "m0->a1.h0<k>",
        "a1.h0->logits",
    ]
    with pytest.raises(NoGraphError, match="doesn't say of what model"):
        from_networkx(given)
    with pytest.raises(SettingsError, match="undirected"):
        from_networkx(nx.Graph([("input", "m0")]), graph)
    with pytest.raises(SettingsError, match="a graph of networkx is wanted, not 3"):
        from_networkx(3)
    with pytest.raises(CircuitFileError, match="a node must be a node's name"):
        from_networkx(nx.DiGraph([(1, 2)]), graph)


HEAD = '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">'
KEYS = (
    '<key id="s" for="edge" attr.name="score" attr.type="double"/>'
    '<key id="c" for="graph" attr.name="cfg" attr.type="string"/>'
)
CFG = '{"n_layers": 2, "n_heads": 2}'


def graphml(inside, keys=KEYS, cfg=CFG, edgedefault="directed"):
    return f'{HEAD}{keys}<graph edgedefault="{edgedefault}"><data key="c">{cfg}</data>{inside}</graph></graphml>'


def node_link(edges=(), nodes=("input", "m0", "logits"), graph=None, **changes):
    data = {"directed": True, "multigraph": True, "graph": {"cfg": CFG} if graph is None else graph}
    return json.dumps({**data, "nodes": [{"id": node} for node in nodes], "edges": list(edges), **changes})


def link(source, target, **data):
    return {"source": source, "target": target, **data}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<", "it isn't XML"),
        ("<svg></svg>", "it is XML, but no GraphML: it begins with 'svg'"),
        (HEAD, "it isn't XML"),
        (f"{HEAD}</graphml>", "a graph without nodes"),
        (f'<!DOCTYPE x [<!ENTITY a "aaaa">]>{graphml("")}', "a document type of its own"),
        ('<?xml version="1.0" encoding="nonsense"?>' + graphml(""), "it isn't XML"),
        (graphml('<node id="m9"/>'), "unknown node 'm9'"),
        (graphml('<node id="m0"/>', edgedefault="undirected"), "its edges have no direction"),
        (graphml('<node id="m0"><graph edgedefault="directed"/></node>'), "a graph inside of a graph"),
        (graphml('<edge source="m0" target="m1" directed="false"/>'), "edge 1 has no direction"),
        (graphml('<edge source="m0" target="m7"/>'), "edge 1: unknown slot 'm7'"),
        (graphml('<edge source="m1" target="m0"/>'), "edge 1: there is no edge m1->m0"),
        (graphml('<edge target="m0"/>'), "the source of edge 1 must be a node's name"),
        (
            graphml('<edge source="m0" target="m1"><data key="s">much</data></edge>'),
            "'score' must be a number, not \"much\"",
        ),
        (
            graphml(f'<edge source="m0" target="m1"><data key="s">{"9" * 5000}</data></edge>'),
            "the score of edge 1 is out of all bounds",
        ),
        (
            graphml('<edge source="m0" target="m1"/><edge source="m0" target="m1"/>'),
            "edge 2, 'm0->m1', stands there already",
        ),
        (graphml('<node id="m0"/>', cfg='{"n_layers": 2}'), "it lacks cfg.n_heads"),
        (graphml('<node id="m0"/>', cfg="{"), "isn't a circuit: "),
        (graphml('<node id="m0"/>', cfg='{"n_layers": 3000, "n_heads": 1}'), "far more than a file"),
        (node_link([link("m0", "m7")]), "edge 1: unknown slot 'm7'"),
        (node_link([link("m0", "logits", letter="x")]), 'the letter of edge 1 must be q, k or v, not "x"'),
        (node_link([link("m0", "logits", score="1")]), "the score of edge 1 must be a number, not '1'"),
        (node_link([link("m0", "logits", score=10**400)]), "out of all bounds"),
        (node_link([link("m0", "logits", name="input->logits")]), "is called 'input->logits', and leads from 'm0' to"),
        (node_link([link("m0", "a1.h0", letter="q", name="m0->a1.h0<k>")]), "and leads from 'm0' to 'a1.h0<q>'"),
        (node_link([link(["m0"], "logits")]), "the source of edge 1 must be a node's name"),
        (node_link(["m0->logits"]), "entry 4 of its nodes and edges must be an object"),
        (node_link(directed=False), "its edges have no direction"),
        (node_link(edges={}, nodes=[]), "keeps none of"),
        (node_link(graph=[]), "graph must be an object"),
        (node_link(graph={"cfg": 3}), "cfg must be an object, not 3"),
        (
            node_link([link("m0", "logits")], graph={"cfg": CFG, "method": "x", "odd": {"a": 1}}),
            "found.options.odd must be",
        ),
        (node_link([link("m0", "logits")], graph={"cfg": CFG, "task": 3}), "found.task must be text"),
        ('{"directed": true, "nodes": 3}', "nodes must be a list"),
        ('{"directed": true, "directed": true}', "stands twice"),
        ('{"directed": true', "isn't a circuit"),
    ],
)
def test_hostile_files_are_a_sentence(tmp_path, text, says):
    (tmp_path / "c.graphml").write_text(text)
    with pytest.raises(CircuitFileError, match=says) as error:
        open_circuit(tmp_path / "c.graphml")
    assert str(error.value).isprintable()
    assert str(error.value).endswith((".", "?"))


def test_damaged_bytes_never_give_a_traceback(tmp_path):
    rng = np.random.default_rng(0)
    for format in ("graphml", "node-link"):
        good = export_circuit(circuit_of(), format, tmp_path / "good").read_bytes()
        for _ in range(60):
            bad = bytearray(good)
            for place in rng.integers(len(bad), size=3):
                bad[place] = rng.integers(256)
            cut = bad[: rng.integers(len(bad))] if rng.random() < 0.3 else bad
            (tmp_path / "bad.graphml").write_bytes(bytes(cut))
            with contextlib.suppress(AcdcError):
                open_circuit(tmp_path / "bad.graphml")


def test_an_entity_is_nothing_that_a_file_can_grow_by(tmp_path):
    bomb = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10 if i else "x"}">' for i in range(10))
    for encoding in ("utf-8", "utf-16"):
        text = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE g [{bomb}]>{graphml("&e9;")}'
        (tmp_path / "c.graphml").write_bytes(text.encode(encoding))
        with pytest.raises(CircuitFileError, match="document type"):
            open_circuit(tmp_path / "c.graphml")
