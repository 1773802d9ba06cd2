"""Circuits, records and traces that somebody made to do harm: refused at the door, at once and in one sentence."""

import json
import os
import resource
import time
from pathlib import Path

import numpy as np
import pytest

from acdc.circuit import Circuit
from acdc.errors import CircuitFileError, RunFolderError, SettingsError
from acdc.graph import MAX_EDGES, MAX_NODES, Graph, GraphConfig
from acdc.runs.folder import read_record
from acdc.runs.run import Run
from acdc.runs.trace import read_trace

STATM = Path("/proc/self/statm")
DEEP = "[" * 100_000 + "]" * 100_000
DIGITS = "9" * 5000
RECORD = {"status": "running", "request": {}, "hashes": {}, "versions": {}, "started": "now", "seconds": 1.0}
LINE = '{"edge": "m1->logits", "before": 0.0, "after": 0.5, "kept": true}\n'


def circuit_text(cfg='{"n_layers": 1, "n_heads": 1}', edges="{}", found="null"):
    return f'{{"cfg": {cfg}, "nodes": {{}}, "edges": {edges}, "found": {found}}}'


def edge_text(score="0.5", in_graph="true"):
    return circuit_text(edges=f'{{"m0->logits": {{"score": {score}, "in_graph": {in_graph}}}}}')


HOSTILE_CFG = [
    '{"n_layers": 1000000000, "n_heads": 1}',
    '{"n_layers": 1, "n_heads": 1000000000}',
    '{"n_layers": 200, "n_heads": 200}',
    '{"n_layers": 30000, "n_heads": 1}',
    f'{{"n_layers": {DIGITS}, "n_heads": 1}}',
    f'{{"n_layers": {"9" * 4000}, "n_heads": 1}}',
    f'{{"n_layers": 1, "n_heads": 1, "d_model": {"9" * 4000}}}',
    '{"n_layers": -3, "n_heads": 1}',
    '{"n_layers": 2.0, "n_heads": 1}',
    '{"n_layers": true, "n_heads": 1}',
    '{"n_layers": 1, "n_heads": 1, "d_model": -1}',
    '{"n_layers": 1, "n_layers": 2, "n_heads": 1}',
    '{"n_layers": 1e400, "n_heads": 1}',
    '{"n_layers": NaN, "n_heads": 1}',
]
HOSTILE_CIRCUITS = [
    *map(circuit_text, HOSTILE_CFG),
    circuit_text(cfg=DEEP),
    circuit_text(edges=DEEP),
    circuit_text(found=DEEP),
    circuit_text(found='{"task": "\\ud83d"}'),
    circuit_text(found='{"threshold": 1e999}'),
    circuit_text(found='{"threshold": -Infinity}'),
    circuit_text(found='{"n_prompts": 5, "n_prompts": 6}'),
    circuit_text(found='{"n_prompts": 1.5}'),
    edge_text(score=DIGITS),
    edge_text(score="9" * 400),
    edge_text(score='"high"'),
    edge_text(in_graph="1"),
    circuit_text(edges='{"m0->logits": {"score": 0, "in_graph": true}, "m0->logits": {"score": 1, "in_graph": false}}'),
    circuit_text(edges='{"m0->logits": {"score": 0, "score": 1}}'),
    circuit_text(edges='{"\\ud83d->logits": {"score": 0, "in_graph": true}}'),
    circuit_text(edges='{"m0->logits\\u0000": {"score": 0, "in_graph": true}}'),
    circuit_text() + circuit_text(),
    circuit_text()[:40],
    "",
    "\x00" * 50,
    DIGITS,
    "null",
    '"cfg nodes edges"',
]


@pytest.fixture
def bounded():
    """Whatever happens takes little memory and time."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(STATM.read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**29, hard))
    began = time.monotonic()
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    assert time.monotonic() - began < 5


needs_proc = pytest.mark.skipif(not STATM.exists(), reason="memory is measured on Linux")


@needs_proc
@pytest.mark.parametrize("number", range(len(HOSTILE_CIRCUITS)))
def test_a_hostile_circuit_is_refused_at_once(tmp_path, bounded, number):
    (tmp_path / "circuit.json").write_text(HOSTILE_CIRCUITS[number])
    with pytest.raises(CircuitFileError) as error:
        Circuit.load(tmp_path / "circuit.json")
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 700 + len(str(tmp_path))


@needs_proc
def test_a_small_file_of_a_large_model_still_loads(tmp_path, bounded):
    """A file may leave edges out; Llama-3.1-8B's graph is no burden."""
    edges = '{"m31->logits": {"score": 1, "in_graph": true}}'
    (tmp_path / "circuit.json").write_text(circuit_text('{"n_layers": 32, "n_heads": 32, "d_model": 4096}', edges))
    circuit = Circuit.load(tmp_path / "circuit.json")
    assert circuit.graph.n_edges == 1_592_881
    assert [edge.name for edge in circuit.edges()] == ["m31->logits"]


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity", "null"])
def test_a_score_that_is_no_number_is_none(tmp_path, constant):
    (tmp_path / "circuit.json").write_text(edge_text(score=constant))
    circuit = Circuit.load(tmp_path / "circuit.json")
    assert not np.isfinite(circuit.scores[circuit.graph.edge("m0->logits").number])


@pytest.mark.parametrize(
    "path", ["nul\0byte.json", "half \ud83d.json", "x" * 5000, "folder", "pipe", "nowhere/c.json", "link-to-pipe"]
)
def test_a_path_that_is_no_file_s_is_refused_and_never_waited_for(tmp_path, path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link-to-pipe").symlink_to("pipe")
    with pytest.raises(CircuitFileError, match="can't read"):
        Circuit.load(tmp_path / path)
    with pytest.raises(CircuitFileError, match="it is a device, not a file"):
        Circuit.load("/dev/zero")


def test_a_link_to_a_circuit_is_followed(tmp_path):
    """Caches of hub files are full of them."""
    (tmp_path / "blob").write_text(edge_text())
    (tmp_path / "circuit.json").symlink_to("blob")
    assert Circuit.load(tmp_path / "circuit.json").n_edges == 1


@pytest.mark.parametrize("name", ["run.json", "trace.jsonl", "circuit.json"])
@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_a_run_folder_of_anything_but_files_is_refused(tmp_path, name, kind):
    for file, text in (("run.json", json.dumps(RECORD)), ("trace.jsonl", LINE), ("circuit.json", edge_text())):
        (tmp_path / file).write_text(text)
    (tmp_path / name).rename(tmp_path / "dear.txt")
    if kind == "link":
        (tmp_path / name).symlink_to("dear.txt")
    elif kind == "pipe":
        os.mkfifo(tmp_path / name)
    else:
        (tmp_path / name).mkdir()
    with pytest.raises(RunFolderError, match=rf"{name} is a (link|pipe|folder), not a file"):
        Run.load(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        *(DEEP, DIGITS, "{", "null", "[]", "", "\x00", '"status"', json.dumps(RECORD) + "x"),
        *('{"status": "running", "status": "finished"}', json.dumps(RECORD | {"seconds": "x"})),
        json.dumps(RECORD).replace("1.0", DIGITS),
        json.dumps(RECORD).replace("1.0", "9" * 400),
        json.dumps(RECORD | {"request": {"task": "\ud83d"}}),
        json.dumps(RECORD | {"further": [float("inf")]}),
        json.dumps(RECORD | {"\ud83d": 1}),
    ],
)
def test_a_hostile_record_is_refused(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(RunFolderError, match=r"run\.json is not") as error:
        read_record(tmp_path)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 500 + len(str(tmp_path))


def test_a_record_of_a_gigabyte_is_refused(tmp_path):
    with (tmp_path / "run.json").open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(RunFolderError, match="it has 1,073,741,824 bytes, and at most"):
        read_record(tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        *(DEEP, DIGITS, "", "null", "{", "\x00\x00"),
        *(LINE.strip().replace("0.5", value) for value in ("NaN", "Infinity", "1e999", DIGITS, "9" * 400, "true")),
        LINE.strip().replace("m1", "\\ud83d"),
        LINE.strip().replace("m1", "m" * 10_000),
        LINE.strip().replace("}", ', "kept": false}'),
        LINE.strip().replace("}", f', "{"k" * 10_000}": 1}}'),
    ],
)
def test_a_hostile_line_of_a_trace_is_refused(tmp_path, line):
    (tmp_path / "trace.jsonl").write_text(f"{LINE}{line}\n{LINE}")
    with pytest.raises(RunFolderError, match=r"trace\.jsonl, line 2 is not a decision") as error:
        read_trace(tmp_path / "trace.jsonl")
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 500 + len(str(tmp_path))


@pytest.mark.parametrize("rest", ["years of work", '{"edge": 5', '{"before', "\ufeff"])
def test_a_trace_that_ends_in_something_else_is_no_trace(tmp_path, rest):
    (tmp_path / "trace.jsonl").write_text(f"{LINE}{rest}")
    with pytest.raises(RunFolderError, match="after line 1, in something that is no beginning of a decision"):
        read_trace(tmp_path / "trace.jsonl")


def test_a_trace_that_a_power_cut_left_zeros_in_goes_on(tmp_path):
    (tmp_path / "trace.jsonl").write_text(f'{LINE}{{"edge": "m0->lo\0\0\0')
    assert len(read_trace(tmp_path / "trace.jsonl")) == 1


@pytest.mark.parametrize(
    "shape",
    [
        (0, 1),
        (1, 0),
        (-1, 2),
        (2.0, 2),
        (True, 2),
        ("2", 2),
        (None, 1),
        (10**9, 1),
        (1, 10**9),
        (10**5000, 2),
        (2, 2, -1),
    ],
)
def test_a_graph_of_no_model_is_refused(shape):
    with pytest.raises(SettingsError, match=r"at least|too large") as error:
        Graph.from_config(*shape)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize("option", ["parallel_attn_mlp", "attn_only", "split_input"])
def test_an_option_of_a_graph_is_true_or_false(option):
    with pytest.raises(SettingsError, match=f"{option} is True or False, got 'no'"):
        Graph.from_config(1, 1, **{option: "no"})


def test_numpy_s_numbers_make_the_same_graph():
    assert GraphConfig(np.int64(2), np.int32(3), np.int64(8), np.bool_(True)) == GraphConfig(2, 3, 8, True)
    assert type(GraphConfig(np.int64(2), 3).n_layers) is int


@pytest.mark.parametrize("layers", [1, 2, 5])
@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("options", [{}, {"parallel_attn_mlp": True}, {"attn_only": True}, {"split_input": True}])
def test_the_size_of_a_graph_is_known_before_it_is_built(layers, heads, options):
    cfg = GraphConfig(layers, heads, **options)
    graph = Graph(cfg)
    assert (cfg.n_nodes, cfg.n_edges) == (len(graph.nodes), graph.n_edges)


def test_the_largest_model_there_is_has_a_graph():
    largest = GraphConfig(126, 128)  # Llama-3.1-405B
    assert largest.n_nodes < MAX_NODES
    assert largest.n_edges < MAX_EDGES


def test_a_number_of_too_many_digits_is_said_without_python_s_advice(tmp_path):
    (tmp_path / "circuit.json").write_text(edge_text(score=DIGITS))
    with pytest.raises(CircuitFileError, match=r"a number has too many digits\)\.$"):
        Circuit.load(tmp_path / "circuit.json")
