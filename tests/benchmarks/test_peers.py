"""The comparison with a peer."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import engine as engine_benchmark
import peer_autocircuit
import peer_process
import peers
import pytest
import torch
from engine_floor import floor_flops
from shapes import Shape, prompts_of, timed_run, write_model, write_pairs

import acdc
from acdc.decision import TraceLine
from acdc.engine.setting import prepare
from acdc.graph import Graph

#: Speaks AutoCircuit's part without a model: given logits, seconds from a formula, every edge kept but one.
FAKE_PEER = """
import json, sys
from pathlib import Path
job = json.loads(Path(sys.argv[1]).read_text())
given = json.loads(Path("given.json").read_text())
runs = {}
for name, order in job["runs"].items():
    order = order or job["runs"]["AutoCircuit, acdc's order"]
    print("edge\\n" * len(order))
    block = lambda edge: 1 if edge.endswith("logits") else int(edge.split("->")[1].strip("am").partition(".")[0])
    runs[name] = {
        "setup": [100.0, 200.0],
        "edges": [[block(edge), 1.0 + block(edge), 2.0 + block(edge)] for edge in order],
        "kept": sorted(order[:-1]),
    }
Path(job["result"]).write_text(json.dumps({"versions": {"auto-circuit": "0"}, **given, "runs": runs}))
"""


@pytest.fixture(scope="module")
def given(tiny_shape, tmp_path_factory):
    """What a peer that runs the same model says of it: logits, by transformers alone, and edges."""
    from transformers import GPT2LMHeadModel

    folder = tmp_path_factory.mktemp("given")
    pairs = write_pairs(folder / "p.jsonl", n=3, length=6, changed=3, vocab_size=50)
    rows = [json.loads(line) for line in pairs.read_text().splitlines()]
    model = GPT2LMHeadModel.from_pretrained(write_model(folder / "model", tiny_shape))
    with torch.no_grad():
        logits = model(torch.tensor([row["clean_tokens"] for row in rows])).logits[:, -1]
    return {
        "logits": logits.tolist(),
        "edges": [edge.name for edge in peers.in_order(Graph.from_config(2, 2))],
    }


@pytest.fixture
def compare(run, tiny_shape, monkeypatch, tmp_path):
    """Run the comparison on a tiny model; gives exit code, output, errors and what was written."""
    monkeypatch.setitem(peers.SHAPES, "2-layer", tiny_shape)

    def compare(*args, venv="peer"):
        given = ["--shape", "2-layer", "--n", 3, "--length", 6, "--changed", 3, "--out", "out", "--venv", venv]
        code, out, err = run(peers, *given, *args)
        path = Path("out/peers.json")
        return code, out, err, json.loads(path.read_text()) if path.exists() else None

    return compare


def put_peer(script, folder="peer"):
    """An environment whose Python does what a script says with the job."""
    python = Path(folder, "bin", "python")
    python.parent.mkdir(parents=True)
    fake = Path(folder, "fake.py").absolute()
    fake.write_text(script)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{fake}" "$3"\n')
    python.chmod(0o755)


def put_fake_peer(given):
    Path("given.json").write_text(json.dumps(given))
    put_peer(FAKE_PEER)


def test_a_peer_stands_beside_both_engines(compare, given):
    put_fake_peer(given)
    code, out, err, record = compare()
    assert code == 0, err
    fast, reference, own, ours = record["rows"]
    assert [row["name"] for row in record["rows"]][2:] == [peers.OWN, peers.OURS]
    assert fast["kept"] == reference["kept"]
    assert (fast["times_the_first"], fast["jaccard"], reference["jaccard"]) == (1, 1, 1)
    assert record["not_measured"] is None
    assert record["largest_logit_difference"] < 1e-4
    graph = Graph.from_config(2, 2)
    names = [edge.name for edge in peers.in_order(graph)]
    for row in (own, ours):
        assert (row["edges_timed"], row["edges_tried"], row["scaled_up"]) == (graph.n_edges, graph.n_edges, False)
        assert row["kept"] == sorted(names[:-1])
        both = len(set(fast["kept"]) & set(row["kept"]))
        assert row["kept_by_both"] == both
        assert row["jaccard"] == both / len(set(fast["kept"]) | set(row["kept"]))
        assert row["times_the_first"] == row["cpu_seconds"] / fast["cpu_seconds"]
    in_block_1 = sum(peers.block_of(edge, graph) for edge in peers.in_order(graph))
    assert own["cpu_seconds"] == 100 + graph.n_edges + in_block_1
    assert own["wall_seconds"] == 200 + 2 * graph.n_edges + in_block_1
    assert own["cpu_seconds_an_edge_tried"] == own["cpu_seconds"] / graph.n_edges
    assert peers.OWN in out
    # The first edge that acdc takes out is the first that this peer decides otherwise.
    first = next(name for name in names if name not in fast["kept"])
    assert f"the first edge decided otherwise is {first}, whose removal costs" in out


def test_a_sample_is_scaled_up_by_the_edges_of_each_block(compare, given):
    put_fake_peer(given)
    code, out, err, record = compare("--sample", 2)
    assert code == 0, err
    fast, reference, peer = record["rows"]
    assert (fast["scaled_up"], reference["scaled_up"], peer["scaled_up"]) == (False, True, True)
    assert (reference["edges_timed"], peer["edges_timed"]) == (4, 4)
    graph = Graph.from_config(2, 2)
    in_block_1 = sum(peers.block_of(edge, graph) for edge in peers.in_order(graph))
    assert peer["cpu_seconds"] == pytest.approx(100 + graph.n_edges + in_block_1)
    assert peer["wall_seconds"] == pytest.approx(200 + 2 * graph.n_edges + in_block_1)
    assert (peer["edges_tried"], reference["edges_tried"]) == (graph.n_edges, fast["edges_tried"])
    assert peer["wall_seconds_an_edge_tried"] == peer["wall_seconds"] / graph.n_edges
    assert (peer["kept"], peer["jaccard"], reference["kept"]) == (None, None, None)
    assert "AutoCircuit: 4 edges timed, and the whole run scaled up" in out


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("raise RuntimeError('no such\\nluck today')", "luck today"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "ended with code -9"),
        ("", "result.json: No such file"),
    ],
)
def test_a_peer_that_fails_is_left_out(compare, script, words):
    put_peer(script)
    code, out, err, record = compare()
    assert code == 0, err
    assert words in record["not_measured"]
    assert f"AutoCircuit isn't measured: {record['not_measured']}" in out
    assert "Traceback" not in out + err
    assert [row["name"] for row in record["rows"]] == ["acdc, fast engine", "acdc, reference engine"]


def test_a_peer_with_another_model_or_graph_is_left_out(compare, given):
    one_off = [[given["logits"][0][0] + 0.1, *given["logits"][0][1:]], *given["logits"][1:]]
    put_fake_peer({**given, "logits": one_off})
    assert "its logits differ by 0.1: it runs another model" in compare()[3]["not_measured"]
    Path("given.json").write_text(json.dumps({**given, "edges": given["edges"][1:]}))
    record = compare()[3]
    assert record["not_measured"] == "its graph has other edges."
    assert len(record["rows"]) == 2


def test_an_environment_that_cant_be_made_is_said(compare):
    Path("file").write_text("")
    code, out, err, record = compare(venv="file/venv")
    assert code == 0, err
    assert "AutoCircuit isn't measured: file" in out
    assert "Traceback" not in out + err
    assert len(record["rows"]) == 2


def test_a_folder_that_is_something_else_is_left_alone(compare):
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("all of it")
    code, _, _, record = compare(venv="mine")
    assert code == 0
    assert "isn't a virtual environment" in record["not_measured"]
    assert [path.name for path in Path("mine").iterdir()] == ["thesis.txt"]


def test_an_environment_is_made_once_and_again_after_a_failure(monkeypatch, tmp_path):
    called = []

    def fake_run(command, **options):
        called.append(command)
        if "venv" in command:
            Path(command[-1], "bin").mkdir(exist_ok=True)
            Path(command[-1], "bin", "python").write_text("")
        fails = "pip" in command and len(called) < 3
        return SimpleNamespace(returncode=int(fails), stderr="ERROR: no such version\n\n[notice] a new pip\n" * fails)

    monkeypatch.setattr(subprocess, "run", fake_run)
    with pytest.raises(peer_process.PeerError, match=r"^ERROR: no such version$"):
        peer_process.environment(tmp_path / "new")
    assert len(called) == 2
    python = peer_process.environment(tmp_path / "new")
    assert python == tmp_path / "new" / "bin" / "python"
    assert str(peer_process.REQUIREMENTS) in called[-1]
    assert len(called) == 4
    assert peer_process.environment(tmp_path / "new") == python
    assert len(called) == 4


def test_the_order_that_the_peer_is_given_is_acdcs(tmp_path, tiny_model):
    prompts = prompts_of(tiny_model, write_pairs(tmp_path / "p.jsonl", n=2, length=6, changed=3, vocab_size=50))
    run = timed_run(tiny_model, prompts, 0.0)
    graph = Graph(tiny_model.graph_config)
    order = [edge.name for edge in peers.in_order(graph)]
    assert len(order) == len(set(order)) == graph.n_edges
    tried = [decision.edge for decision in run.decisions]
    assert tried == [name for name in order if name in set(tried)]


def test_a_sample_has_edges_of_every_block():
    graph = Graph.from_config(3, 4)
    picked = peers.sampled(graph, 5, seed=0)
    assert [peers.block_of(edge, graph) for edge in picked] == [2] * 5 + [1] * 5 + [0] * 5
    assert len(set(picked)) == 15
    assert picked == peers.sampled(graph, 5, seed=0) != peers.sampled(graph, 5, seed=1)
    assert len(peers.sampled(graph, 10**6, seed=0)) == graph.n_edges


def test_the_peers_names_are_translated():
    theirs = ["Resid Start", "A1.11", "MLP 10", "A1.11.Q", "A0.2.K", "A0.2.V", "Resid End"]
    ours = ["input", "a1.h11", "m10", "a1.h11<q>", "a0.h2<k>", "a0.h2<v>", "logits"]
    assert [peer_autocircuit.renamed(name) for name in theirs] == ours
    with pytest.raises(SystemExit, match="doesn't know"):
        peer_autocircuit.renamed("Resid Mid 1")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--changed", 7], "3 pairs of 6 tokens of which 7 differ can't be made"),
        (["--share", -1], "threshold must be a number of at least 0"),
        (["--length", 17], "16"),
    ],
)
def test_settings_that_make_no_sense_are_errors(compare, options, words):
    code, _, err, record = compare(*options)
    assert code == 2
    assert words in err
    assert err.count("\n") == 1
    assert record is None


def test_stretches_lie_in_the_middle_of_equal_parts_of_a_run():
    assert engine_benchmark.stretches(100, 4) == [12, 37, 62, 87]
    assert engine_benchmark.stretches(2, 10) == [0, 1]


def test_the_engine_benchmark_times_every_idea_and_says_how_far_the_floor_is(small_model_and_prompts):
    model, prompts = small_model_and_prompts
    setting = prepare(model, prompts)
    trace = [TraceLine.of(decision) for decision in timed_run(model, prompts, 0.001).decisions]
    rows = engine_benchmark.measure_ideas(setting, 0.001, trace, points=2)
    assert [rows[0].name, rows[-1].name] == ["fast", "reference"]
    assert {"without chains", "without short mlps"} < {row.name for row in rows}
    assert all(row.seconds > 0 for row in rows)
    assert floor_flops(setting, trace) > 0


@pytest.fixture(scope="module")
def small_model_and_prompts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engine")
    model = acdc.load_model(write_model(folder / "model", Shape(2, 2, 16, 40, n_ctx=8)))
    pairs = write_pairs(folder / "pairs.jsonl", n=3, length=6, changed=2, vocab_size=40)
    return model, prompts_of(model, pairs)
