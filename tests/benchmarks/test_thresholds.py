"""The benchmark of thresholds: a sweep with its table, its plots and the area under the curve."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import thresholds
from tiny import pairs, save_gpt2, write_pairs

from acdc.circuit import Circuit
from acdc.graph import Graph
from acdc.sweeps.grid import Grid
from acdc.sweeps.swept import Sweep

pytestmark = pytest.mark.random_models


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
def call(monkeypatch, run, model_folder):
    """Run the benchmark in an empty folder with a file of pairs; gives exit code, output and errors."""
    write_pairs(Path("pairs.jsonl"), pairs(n=3))

    def call(*args, task="pairs.jsonl", model=model_folder, values="0.01,0.1,1", out="sweep", plots=False):
        if not plots:
            monkeypatch.setattr(Sweep, "plot", lambda *_: [])  # drawing takes seconds
        return run(thresholds, task, "--model", model, "--thresholds", values, "--out", out, "--jobs", 0, *args)

    return call


def table(folder="sweep"):
    with Path(folder, "table.csv").open() as file:
        return sorted(csv.DictReader(file), key=lambda row: -float(row["threshold"]))


def record(row, folder="sweep"):
    return json.loads(Path(folder, "runs", row["cell"], "run.json").read_text())


def test_a_run_a_threshold_with_a_table_and_plots(call):
    code, out, err = call(plots=True)
    assert code == 0, err
    rows = table()
    assert [float(row["threshold"]) for row in rows] == [1, 0.1, 0.01]
    assert [int(row["edges"]) for row in rows] == [record(row)["in_circuit"] for row in rows]
    assert int(rows[0]["edges"]) < int(rows[-1]["edges"])
    assert out.index("threshold") < out.index("kl used")
    assert "area under" not in out
    drawn = [Path(line) for line in out.splitlines() if line.endswith((".png", ".svg"))]
    assert drawn
    assert all(path.is_file() for path in drawn)


def test_the_options_of_discover_reach_every_run(call):
    assert call("--metric", "l2", "--ablation", "zero", "--order", "increasing", "--n", "2", "--gates")[0] == 0
    assert len(table()) == 3
    for row in table():
        request = record(row)["request"]
        assert (request["metric"], request["ablation"], request["order"]) == ("l2", "zero", "increasing")
        assert (request["n"], request["gates"]) == (2, True)


def test_the_same_command_goes_on_and_other_settings_are_refused(call):
    assert call(values="0.1:1:2log")[0] == 0
    (one, other) = table()
    record_file = Path("sweep", "runs", one["cell"], "run.json")
    written = record_file.stat().st_mtime_ns
    assert call(values="0.1:1:2log")[0] == 0
    assert record_file.stat().st_mtime_ns == written
    assert table() == [one, other]
    code, _, err = call("--metric", "l2", values="0.1:1:2log")
    assert code == 2
    assert "metric" in err
    assert table() == [one, other]


def test_a_reference_gives_precision_recall_and_the_step_area(call):
    assert call(values="0.1")[0] == 0
    (found,) = table()
    reference = Path("sweep", "runs", found["cell"], "circuit.json")
    code, out, err = call("--reference", reference, out="compared")
    assert code == 0, err
    rows = {float(row["threshold"]): row for row in table("compared")}
    own = rows[0.1]
    assert (float(own["precision"]), float(own["recall"]), float(own["false_positive_rate"])) == (1, 1, 0)
    assert float(rows[1]["recall"]) < 1
    assert float(rows[0.01]["false_positive_rate"]) > 0
    assert "step rule: 1.000" in out  # the reference itself is one of the circuits


def test_by_default_there_are_thresholds_of_four_decades():
    values = [
        cell.settings["threshold"]
        for cell in Grid.of({"task": "ioi", "model": "tiny-tasks", "threshold": thresholds.DEFAULT}).cells
    ]
    assert len(values) == 13
    assert max(values) / min(values) == pytest.approx(1e4)


@pytest.mark.parametrize("values", ["", "0.1,x", "0.1,,1", "-1", "nan", "inf"])
def test_thresholds_that_are_none_are_refused(call, values):
    code, _, err = call(values=values)
    assert code == 2
    assert "threshold" in err
    assert err.count("\n") == 1
    assert not Path("sweep").exists()


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
    assert err.count("\n") == 1
    assert not Path("sweep").exists()


def test_a_reference_of_another_model_compares_nothing_and_it_is_said(call):
    circuit(0, n_layers=2).save("other.json")
    code, out, err = call("--reference", "other.json", values="1")
    assert code == 0
    assert "it isn't compared" in err
    assert "recall" not in out


def test_without_matplotlib_it_says_what_to_install(call, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, _, err = call()
    assert code == 2
    assert "pip install 'acdc-circuits[benchmarks]'" in err
    assert not Path("sweep").exists()
