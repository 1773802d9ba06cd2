"""The benchmark of thresholds: table, plots, resuming, errors."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import thresholds
from sweep_plots import draw
from tiny import pairs, save_gpt2, write_pairs

import acdc.discovery.stages
from acdc.circuit import Circuit
from acdc.graph import Graph
from acdc.runs.trace import TraceWriter


def circuit(*kept, n_layers=1):
    graph = Graph.from_config(n_layers=n_layers, n_heads=1)
    mask = np.zeros(graph.n_edges, dtype=bool)
    mask[list(kept)] = True
    return Circuit(graph, mask, np.zeros(graph.n_edges))


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    """A model with few edges, so that a sweep takes a second."""
    return save_gpt2(tmp_path_factory.mktemp("models") / "one-layer", n_layer=1)


@pytest.fixture
def call(monkeypatch, capsys, tmp_path, model_folder):
    """Run the benchmark in an empty folder with a file of pairs; gives exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    write_pairs(Path("pairs.jsonl"), pairs(n=3))

    def call(*args, task="pairs.jsonl", model=model_folder, values="0.01,0.1,1", out="sweep", plots=False):
        monkeypatch.setattr(thresholds, "draw", draw if plots else lambda *_: [])  # drawing takes seconds
        given = ["thresholds.py", task, "--model", model, "--thresholds", values, "--out", out, *args]
        monkeypatch.setattr(sys, "argv", [str(argument) for argument in given])
        capsys.readouterr()
        code = 0
        try:
            thresholds.run()
        except SystemExit as ended:
            code = ended.code
        return code, *capsys.readouterr()

    return call


def table(folder="sweep"):
    with (Path(folder) / "thresholds.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_run_a_threshold_with_a_table_and_plots(call):
    code, out, err = call(plots=True)
    assert code == 0, err
    rows = table()
    assert [float(row["threshold"]) for row in rows] == [1, 0.1, 0.01]
    for row in rows:
        record = json.loads(Path("sweep", f"threshold-{float(row['threshold']):g}", "run.json").read_text())
        used = record["results"]["used"]
        assert int(row["edges_kept"]) == record["in_circuit"]
        assert int(row["edges_all"]) == record["graph"]["edges"]
        assert int(row["edges_tried"]) == record["tried"]
        assert float(row["seconds"]) == record["seconds"]
        assert row["metric"] == "kl"
        assert float(row["kl_used"]) == float(row["metric_used"]) == used["circuit"]["metrics"]["kl"]
        assert float(row["kl_ablated_used"]) == used["ablated"]["metrics"]["kl"]
        assert float(row["logit_difference_used"]) == used["circuit"]["logit_difference"]
        assert float(row["logit_difference_model_used"]) == used["model"]["logit_difference"]
        assert float(row["accuracy_used"]) == used["circuit"]["accuracy"]
        assert row["kl_held_out"] == row["recall"] == ""  # a file has no other prompts; no reference was given
    kept = [int(row["edges_kept"]) for row in rows]
    assert kept == sorted(kept)
    assert kept[0] < kept[-1]
    for name in ("edges", "kl", "logit-difference", "time"):
        assert Path("sweep", f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "</svg>" in Path("sweep", f"{name}.svg").read_text()
        assert str(Path("sweep", f"{name}.svg")) in out
    assert not Path("sweep", "roc.png").exists()


def test_the_options_of_discover_reach_every_run(call):
    assert call("--metric", "l2", "--ablation", "zero", "--order", "increasing", "--n", "2", "--gates")[0] == 0
    for row in table():
        request = json.loads(Path("sweep", f"threshold-{float(row['threshold']):g}", "run.json").read_text())["request"]
        assert (request["metric"], request["ablation"], request["order"]) == ("l2", "zero", "increasing")
        assert (request["n"], request["gates"]) == (2, True)
        assert row["metric"] == "l2"
    assert any(row["metric_used"] != row["kl_used"] for row in table())


def test_held_out_prompts_are_shown_where_the_task_has_some(call):
    assert call("--n", "2", task="ioi", model="tiny-tasks", values="2")[0] == 0
    (row,) = table()
    record = json.loads(Path("sweep", "threshold-2", "run.json").read_text())
    held_out = record["results"]["held_out"]
    assert float(row["kl_held_out"]) == held_out["circuit"]["metrics"]["kl"] != float(row["kl_used"])
    assert float(row["accuracy_held_out"]) == held_out["circuit"]["accuracy"]


def test_an_interrupted_sweep_goes_on_where_it_was(call, monkeypatch):
    assert call(out="whole")[0] == 0
    in_the_second = int(table("whole")[0]["edges_tried"]) + 3
    tried = []
    append = TraceWriter.append

    def counting(self, decision):
        append(self, decision)
        tried.append(decision)
        if len(tried) == in_the_second:
            raise KeyboardInterrupt

    monkeypatch.setattr(TraceWriter, "append", counting)
    code, _, err = call()
    assert code == 130
    assert "the same command goes on" in err
    first = Path("sweep", "threshold-1", "run.json")
    assert json.loads(first.read_text())["status"] == "finished"
    assert len(table()) == 1
    stamp = first.stat().st_mtime_ns

    assert call()[0] == 0
    assert first.stat().st_mtime_ns == stamp
    assert len(tried) == sum(int(row["edges_tried"]) for row in table())  # none twice
    without_time = [[{**row, "seconds": None} for row in table(folder)] for folder in ("sweep", "whole")]
    assert without_time[0] == without_time[1]


def test_a_finished_sweep_is_read_and_not_run(call, monkeypatch):
    assert call()[0] == 0
    before = table()

    def no_run(*args, **options):
        raise AssertionError("a finished run was repeated")

    monkeypatch.setattr(acdc.discovery.stages, "found", no_run)
    assert call()[0] == 0
    assert table() == before


def test_other_settings_in_the_same_folder_are_refused(call):
    assert call(values="1")[0] == 0
    code, _, err = call("--metric", "l2", values="1")
    assert code == 2
    assert "metric was 'kl' and is 'l2'" in err


def test_a_reference_gives_precision_recall_and_the_step_area(call):
    assert call(values="0.1")[0] == 0
    code, out, _ = call("--reference", "sweep/threshold-0.1/circuit.json", out="compared", plots=True)
    assert code == 0
    rows = {float(row["threshold"]): row for row in table("compared")}
    own = rows[0.1]
    assert (float(own["precision"]), float(own["recall"]), float(own["false_positive_rate"])) == (1, 1, 0)
    assert float(rows[1]["recall"]) < 1
    assert float(rows[0.01]["false_positive_rate"]) > 0
    assert "step rule: 1.000" in out  # the reference itself is one of the circuits
    assert Path("compared", "roc.svg").is_file()


@pytest.mark.parametrize("values", ["", "0.1,x", "0.1,,1", "0", "-1", "nan", "inf"])
def test_thresholds_that_are_none_are_refused(call, values):
    code, _, err = call(values=values)
    assert code == 2
    assert err.startswith("thresholds: --thresholds takes numbers above 0")
    assert not Path("sweep").exists()


def test_thresholds_are_taken_once_and_sorted():
    assert thresholds.parse_thresholds("0.1, 1,0.10,1e-1") == [1, 0.1]
    assert len(thresholds.parse_thresholds(thresholds.DEFAULT)) >= 10


def test_a_reference_of_another_model_is_refused(call):
    circuit(0, n_layers=2).save("other.json")
    code, _, err = call("--reference", "other.json")
    assert code == 2
    assert err.count("\n") == 1
    assert "the reference circuit is of another graph: n_layers 2 against 1, n_heads 1 against 2; give one of" in err
    assert not Path("sweep").exists()


@pytest.mark.parametrize(("keep", "words"), [(False, "keeps no edge"), (True, "keeps every edge")])
def test_a_reference_that_tells_nothing_is_refused(call, keep, words):
    graph = Graph.from_config(n_layers=1, n_heads=2)  # the model's, without d_model as in files by hand
    Circuit(graph, np.full(graph.n_edges, keep), np.zeros(graph.n_edges)).save("empty.json")
    code, _, err = call("--reference", "empty.json")
    assert code == 2
    assert words in err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"task": "ioj"}, "unknown task 'ioj': did you mean ioi?"),
        ({"model": "tiny-task"}, "tiny-tasks"),
    ],
)
def test_errors_are_one_sentence(call, options, words):
    code, _, err = call(**options)
    assert code == 2
    assert words in err
    assert "Traceback" not in err
    assert not Path("sweep").exists()


def test_what_the_system_refuses_is_one_sentence(call):
    code, _, err = call("--reference", "x" * 300)
    assert code == 2
    assert err.startswith("thresholds: ")
    assert "File name too long" in err
    assert err.count("\n") == 1


def test_warnings_have_the_name_of_the_benchmark(call):
    rows = [{"clean_tokens": [1, 2], "corrupted_tokens": [3, 2], "answer_token": token} for token in (5, 6)]
    Path("poor.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert "thresholds: warning: the model is right on" in call(task="poor.jsonl", values="1")[2]


def test_without_matplotlib_it_says_what_to_install(call, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, _, err = call()
    assert code == 2
    assert "pip install 'acdc-circuits[benchmarks]'" in err
    assert not Path("sweep").exists()
