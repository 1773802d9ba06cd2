"""Circuits and their file."""

import json
import time
from dataclasses import asdict

import numpy as np
import pytest

from acdc.circuit import Circuit, Provenance
from acdc.errors import CircuitFileError, RunFolderError, SettingsError
from acdc.files import atomic_write
from acdc.graph import Graph


def circuit_of(*names, graph=None, found=None):
    """A circuit of the named edges, with a score of its own for every edge."""
    graph = graph or Graph.from_config(2, 2, 8)
    mask = np.zeros(graph.n_edges, dtype=bool)
    mask[[graph.edge(name).number for name in names]] = True
    return Circuit(graph, mask, np.linspace(-1, 1, graph.n_edges), found or Provenance())


@pytest.fixture
def circuit():
    found = Provenance(
        task="ioi", model="gpt2", method="acdc", options={"threshold": 0.02, "gates": False}, n_prompts=50
    )
    return circuit_of("input->a0.h1<q>", "input->a0.h1<k>", "a0.h1->m1", "m1->logits", found=found)


@pytest.mark.parametrize("options", [{}, {"parallel_attn_mlp": True}, {"attn_only": True}, {"split_input": True}])
def test_a_saved_circuit_loads_as_it_was(tmp_path, options):
    graph = Graph.from_config(3, 2, 16, **options)
    rng = np.random.default_rng(0)
    found = Provenance(
        *("ioi", "gpt2", "acdc", "kl", "corrupted"),
        options={"threshold": 0.02, "order": "default", "gates": True},
        n_prompts=50,
        metric_circuit=0.1,
        metric_ablated=2.5,
    )
    before = Circuit(graph, rng.random(graph.n_edges) < 0.5, rng.standard_normal(graph.n_edges), found)
    before.save(tmp_path / "circuit.json")
    after = Circuit.load(tmp_path / "circuit.json")
    assert after.graph == graph
    assert after.found == found
    np.testing.assert_array_equal(after.in_graph, before.in_graph)
    np.testing.assert_array_equal(after.scores, before.scores)


def test_scores_that_are_no_numbers_survive_as_nan(tmp_path, circuit):
    circuit.scores[:3] = np.nan, np.inf, -np.inf
    circuit.save(tmp_path / "circuit.json")
    assert np.isnan(Circuit.load(tmp_path / "circuit.json").scores[:3]).all()
    np.testing.assert_array_equal(Circuit.load(tmp_path / "circuit.json").scores[3:], circuit.scores[3:])


def test_the_file_is_strict_json_with_the_keys_of_eap_ig(tmp_path, circuit):
    circuit.scores[0] = np.nan
    circuit.save(tmp_path / "circuit.json")

    def refuse(constant):
        raise AssertionError(f"{constant} isn't JSON")

    data = json.loads((tmp_path / "circuit.json").read_text(), parse_constant=refuse)
    assert {"n_layers", "n_heads", "parallel_attn_mlp", "d_model"} <= data["cfg"].keys()
    assert data["cfg"]["d_model"] == 8
    assert list(data["nodes"]) == [node.name for node in circuit.graph.nodes]
    assert [name for name, node in data["nodes"].items() if node["in_graph"]] == ["input", "a0.h1", "m1", "logits"]
    assert list(data["edges"]) == [edge.name for edge in circuit.graph.edges()]
    assert data["edges"]["m1->logits"] == {
        "score": circuit.scores[circuit.graph.edge("m1->logits").number],
        "in_graph": True,
    }
    assert data["edges"]["m0->logits"]["in_graph"] is False
    assert data["found"]["task"] == "ioi"


def eap_ig_file(path, **changes):
    """A file as EAP-IG writes it: its own order of edges and keys, its own cfg keys, no ``found``."""
    graph = Graph.from_config(1, 2)
    edges = {edge.name: {"score": float(edge.number), "in_graph": edge.number % 3 == 0} for edge in graph.edges()}
    data = {
        "cfg": {"n_layers": 1, "n_heads": 2, "parallel_attn_mlp": False, "d_model": 4, "dtype": "torch.float32"},
        "nodes": {node.name: {"in_graph": True, "score": None} for node in graph.nodes},
        "edges": dict(reversed(edges.items())),
    }
    data.update(changes)
    path.write_text(json.dumps(data))
    return path


def test_a_file_of_eap_ig_loads(tmp_path):
    circuit = Circuit.load(eap_ig_file(tmp_path / "graph.json"))
    assert circuit.graph == Graph.from_config(1, 2, 4)
    assert circuit.found == Provenance()
    np.testing.assert_array_equal(circuit.scores, np.arange(circuit.graph.n_edges))
    np.testing.assert_array_equal(circuit.in_graph, np.arange(circuit.graph.n_edges) % 3 == 0)


def test_edges_may_have_their_keys_in_any_order_and_others_besides(tmp_path):
    edges = {
        "input->m0": {"in_graph": True, "score": 2},
        "m0->logits": {"in_graph": True, "weight": 1, "score": 0.5},
    }
    circuit = Circuit.load(eap_ig_file(tmp_path / "graph.json", edges=edges))
    assert {edge.name: circuit.scores[edge.number] for edge in circuit.edges()} == {"input->m0": 2, "m0->logits": 0.5}


def test_what_a_later_version_adds_to_found_is_passed_over(tmp_path):
    path = eap_ig_file(tmp_path / "graph.json", found={"task": "ioi", "colour": "blue"})
    assert Circuit.load(path).found == Provenance(task="ioi")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cfg": {"n_layers": 0, "n_heads": 2}}, "at least 1"),
        ({"cfg": {"n_heads": 2}}, "n_layers"),
        ({"cfg": 3}, "isn't a circuit"),
        ({"edges": {"m0->m7": {"score": 0, "in_graph": True}}}, "unknown slot 'm7'"),
        ({"edges": {"m0->a0.h0<q>": {"score": 0, "in_graph": True}}}, "no edge m0->a0.h0<q>"),
        ({"edges": {"m0->logits": {"score": 1}}}, "m0->logits"),
        ({"edges": {"m0->logits": {"score": "high", "in_graph": True}}}, "m0->logits"),
        ({"edges": {"m0->logits": {"score": 0, "in_graph": "false"}}}, "m0->logits"),
        ({"edges": [1, 2]}, "isn't a circuit"),
        ({"found": "yesterday"}, "isn't a circuit"),
    ],
)
def test_a_wrong_file_is_an_error_that_says_where(tmp_path, changes, message):
    path = eap_ig_file(tmp_path / "graph.json", **changes)
    with pytest.raises(CircuitFileError, match=message) as error:
        Circuit.load(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "isn't JSON"),
        (b'{"cfg": {', "isn't JSON"),
        (b"\xff\xfe\x00", "isn't JSON"),
        (b"[]", "lacks cfg, edges, nodes"),
        (b'{"cfg": {}}', "lacks edges, nodes"),
    ],
)
def test_a_file_that_is_no_circuit_is_an_error(tmp_path, content, message):
    (tmp_path / "circuit.json").write_bytes(content)
    with pytest.raises(CircuitFileError, match=message):
        Circuit.load(tmp_path / "circuit.json")


def test_a_missing_file_or_a_folder_is_an_error(tmp_path):
    with pytest.raises(CircuitFileError, match="No such file"):
        Circuit.load(tmp_path / "nothing.json")
    with pytest.raises(CircuitFileError, match="it is a folder, not a file"):
        Circuit.load(tmp_path)


def test_a_large_circuit_saves_and_loads_quickly(tmp_path):
    graph = Graph.from_config(24, 14)  # Qwen2.5-0.5B
    circuit = Circuit(graph, np.ones(graph.n_edges, dtype=bool), np.zeros(graph.n_edges))
    start = time.perf_counter()
    circuit.save(tmp_path / "circuit.json")
    assert Circuit.load(tmp_path / "circuit.json").n_edges == 179_749
    assert time.perf_counter() - start < 20  # takes one second; quadratic work would take minutes


def test_arrays_of_another_length_are_errors():
    graph = Graph.from_config(1, 1)
    with pytest.raises(SettingsError, match="boolean array"):
        Circuit(graph, np.zeros(3, dtype=bool), np.zeros(8))
    with pytest.raises(SettingsError, match=r"scores must have shape \(8,\)"):
        Circuit(graph, np.zeros(8, dtype=bool), np.zeros(3))


def test_kept_edges_in_topological_order(circuit):
    assert circuit.n_edges == 4
    assert [edge.name for edge in circuit.edges()] == ["input->a0.h1<q>", "input->a0.h1<k>", "a0.h1->m1", "m1->logits"]
    assert repr(circuit) == f"Circuit(4 of {circuit.graph.n_edges} edges)"


def test_to_networkx_carries_scores_and_what_is_known(circuit):
    graph = circuit.to_networkx()
    assert set(graph.nodes) == {"input", "a0.h1", "m1", "logits"}
    score = circuit.scores[circuit.graph.edge("a0.h1->m1").number]
    assert graph.edges["a0.h1", "m1", "m1"] == {"name": "a0.h1->m1", "letter": None, "score": score}
    assert json.loads(graph.graph.pop("cfg")) == asdict(circuit.graph.cfg)
    assert graph.graph == {
        "task": "ioi",
        "model": "gpt2",
        "method": "acdc",
        "threshold": 0.02,
        "gates": False,
        "n_prompts": 50,
    }


def test_saving_into_a_missing_folder_is_an_error(tmp_path, circuit):
    with pytest.raises(RunFolderError, match="choose another folder"):
        circuit.save(tmp_path / "nowhere" / "circuit.json")


def write_then_fail(path):
    with atomic_write(path) as file:
        file.write("half of the n")
        raise ValueError("killed")


def test_atomic_write_keeps_the_old_file_when_the_block_raises(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(ValueError, match="killed"):
        write_then_fail(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_write_leaves_nothing_behind_where_no_file_was(tmp_path):
    with pytest.raises(ValueError, match="killed"):
        write_then_fail(tmp_path / "file.txt")
    assert not list(tmp_path.iterdir())


def test_atomic_write_replaces_text_and_bytes(tmp_path):
    path = tmp_path / "file"
    with atomic_write(path) as file:
        file.write("gr\u00fcn")
    assert path.read_bytes() == "gr\u00fcn".encode()
    with atomic_write(path, "wb") as file:
        file.write(b"\x00")
    assert path.read_bytes() == b"\x00"
    assert list(tmp_path.iterdir()) == [path]


def test_the_strongest_edges_come_first_and_unknown_scores_last(circuit):
    names = [edge.name for edge in circuit.edges()]
    for name, score in zip(names, [np.nan, 0.5, -2.0, 0.5], strict=True):
        circuit.scores[circuit.graph.edge(name).number] = score
    wanted = [names[2], names[1], names[3], names[0]]  # of two alike, the first of the graph
    assert [edge.name for edge in circuit.strongest()] == wanted
    assert [edge.name for edge in circuit.strongest(2)] == wanted[:2]
    assert [edge.name for edge in circuit.strongest(100)] == wanted
    assert circuit_of().strongest(3) == []
