"""``acdc show`` for other programs, and with as many edges as wanted."""

import csv
import json
import shutil
import subprocess
import sys

import pytest

from acdc.circuit import Circuit
from acdc.runs.run import Run


@pytest.fixture
def circuit(finished):
    return Circuit.load(finished / "circuit.json")


def by_size(circuit):
    scores = {edge.name: circuit.scores[edge.number] for edge in circuit.edges()}
    return sorted(scores.items(), key=lambda item: -abs(item[1]))


def test_json_is_the_whole_run(call, finished, circuit):
    code, out, err = call("show", finished, "--json")
    shown = json.loads(out)
    assert (code, err) == (0, "")
    assert shown["record"] == Run.load(finished).record.to_json()
    assert (shown["n_edges"], shown["of_edges"]) == (circuit.n_edges, 46)
    assert shown["found"]["metric"] == "kl"
    assert [(edge["edge"], edge["score"]) for edge in shown["edges"]] == by_size(circuit)
    for edge in shown["edges"]:
        slot = f"<{edge['slot']}>" if edge["slot"] else ""
        assert edge["edge"] == f"{edge['source']}->{edge['target']}{slot}"
    ends = {edge[end] for edge in shown["edges"] for end in ("source", "target")}
    assert set(shown["nodes"]) == ends


def test_json_of_a_circuit_file_has_no_record(call, finished):
    shown = json.loads(call("show", finished / "circuit.json", "--json")[1])
    assert shown["record"] is None
    assert shown["edges"]


def test_csv_has_a_line_an_edge(call, finished, circuit):
    for source in (finished, finished / "circuit.json"):
        code, out, err = call("show", source, "--csv")
        rows = list(csv.DictReader(out.splitlines()))
        assert (code, err) == (0, "")
        assert out.splitlines()[0] == "edge,source,target,slot,score"
        assert [(row["edge"], float(row["score"])) for row in rows] == by_size(circuit)
        assert {row["slot"] for row in rows} <= {"", "q", "k", "v"}


@pytest.mark.parametrize("top", [1, 3, 1000])
def test_top_gives_the_strongest(call, finished, circuit, top):
    wanted = by_size(circuit)[:top]
    assert [edge["edge"] for edge in json.loads(call("show", finished, "--json", "--top", top)[1])["edges"]] == [
        name for name, _ in wanted
    ]
    assert len(call("show", finished, "--csv", "--top", top)[1].splitlines()) == len(wanted) + 1
    out = call("show", finished, "--top", top)[1]
    assert f"the strongest {len(wanted)} of {circuit.n_edges} edges" in " ".join(out.split())


def test_scores_that_are_no_numbers_come_last_and_are_null(call, file):
    edges = {"input->m0": 0.5, "m0->logits": None, "input->logits": -2.0}
    whole = {
        "cfg": {"n_layers": 1, "n_heads": 1},
        "nodes": {},
        "edges": {name: {"score": score, "in_graph": True} for name, score in edges.items()},
    }
    name = file(json.dumps(whole), name="odd.json")
    shown = json.loads(call("show", name, "--json")[1])
    assert [(edge["edge"], edge["score"]) for edge in shown["edges"]] == [
        ("input->logits", -2.0),
        ("input->m0", 0.5),
        ("m0->logits", None),
    ]
    assert call("show", name, "--csv")[1].splitlines()[-1] == "m0->logits,m0,logits,,"


def test_nodes_are_shown_by_the_scores_of_what_they_write(call, finished, circuit):
    out = call("show", finished)[1]
    scores = json.loads(call("show", finished, "--json")[1])["node_scores"]
    for name in scores:
        written = [edge for edge in circuit.edges() if edge.source.name == name]
        assert scores[name]["out"] == pytest.approx(sum(abs(circuit.scores[edge.number]) for edge in written))
    writing = sorted((name for name in scores if name != "logits"), key=lambda name: -scores[name]["out"])
    assert f"{len(writing)} nodes that write" in out
    table = out[out.index("nodes that write") :]
    places = [table.index(f" {name} ") for name in writing]
    assert places == sorted(places)
    assert f"{scores[writing[0]]['out']:.4g}" in table


def test_json_and_csv_at_once_are_refused(refused, finished):
    assert refused("show", finished, "--json", "--csv").startswith("--json and --csv contradict each other")


@pytest.mark.parametrize("top", ["0", "-1", "1.5", "all"])
def test_a_top_that_is_no_number_of_edges_is_refused(refused, finished, top):
    assert "--top" in refused("show", finished, f"--top={top}")


def test_the_module_is_the_command():
    done = subprocess.run([sys.executable, "-m", "acdc", "shwo"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "acdc: unknown command 'shwo': did you mean show?\n")
    done = subprocess.run([sys.executable, "-m", "acdc", "task", "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: acdc task ")


def test_a_record_nested_too_deeply_is_refused(call, finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    record = json.loads((finished / "run.json").read_text())
    text = json.dumps({**record, "more": "DEEP"}).replace('"DEEP"', "[" * 900 + "]" * 900)
    (tmp_path / "run" / "run.json").write_text(text)
    code, out, err = call("show", "run", "--json")
    assert (code, out) == (2, "")
    assert err.startswith("acdc: ")
    assert "nested too deeply" in err
