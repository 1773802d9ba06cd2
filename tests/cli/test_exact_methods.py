"""Patching, hybrid, random circuits, passes and budgets, as typed."""

import json

import pytest
from tiny import pairs

from acdc.runs.run import Run


@pytest.fixture
def run(call, file, gpt2_folder):
    """Run ``acdc discover`` on the tiny model; gives exit code, output and errors."""
    return lambda *options: call("discover", file(*pairs(8)), "--model", gpt2_folder, "--n", 4, *options)


def in_one_line(text):
    return " ".join(text.split())


def test_patching_scores_edges_and_is_shown(run, call, tmp_path):
    code, out, err = run("--method", "patching", "--top", 20, "--out", "out")
    assert code == 0, err
    assert "forwards of all prompts (at most: only what is behind the edge is computed)" in in_one_line(err + out)
    assert "patching top 20 by magnitude in kl" in in_one_line(out)
    record = json.loads(call("show", "out", "--json")[1])["record"]
    assert record["engine"] == "fast"
    assert record["noise_floor"] > 0
    assert Run.load(tmp_path / "out").decisions == ()


def test_hybrid_says_what_it_dropped_unseen_and_how_wrong_that_can_be(run, call):
    code, out, err = run("--method", "hybrid", "--threshold", 0.01, "--margin", 0.3, "--out", "out")
    assert code == 0, err
    shown = in_one_line(call("show", "out")[1])
    for said in (in_one_line(out), shown):
        assert "hybrid, threshold 0.01 in kl, corrupted ablation" in said
        assert "dropped unseen: " in said
        assert "with 95% confidence at most " in said
        assert "of them change the metric by more than 0.01 (at most " in said
        assert "if edges restored together don't undo each other's effects)" in said


def test_a_budget_says_the_threshold_and_the_size(run, call, tmp_path):
    code, out, err = run("--budget", 11)
    assert code == 0, err
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.endswith("-acdc-budget11-n4")
    loaded = Run.load(folder)
    said = in_one_line(out)
    assert f"{loaded.circuit.n_edges} of {loaded.circuit.graph.n_edges} edges" in said
    assert f"budget 11, threshold {loaded.record.found_threshold:g} in kl" in said
    assert loaded.circuit.n_edges <= 11
    code, out, err = call("resume", folder)
    assert code == 0, err
    assert call("evaluate", folder)[0] == 0
    assert "leave --threshold out" in run("--budget", 11, "--threshold", 0.1, "--out", "other")[2]


def test_passes_are_counted(run, call):
    code, out, err = run("--passes", 5, "--threshold", 0.003, "--out", "out")
    assert code == 0, err
    assert " passes in " in in_one_line(out)
    assert call("show", "out")[0] == 0


def test_a_random_circuit_is_drawn_and_judged(run, call, tmp_path):
    code, _, err = run("--method", "random", "--edges", 20, "--seed", 3)
    assert code == 0, err
    (folder,) = (tmp_path / "runs").iterdir()
    assert Run.load(folder).circuit.n_edges >= 20
    assert call("evaluate", folder)[0] == 0
    said = run("--method", "random", "--kind", "walk", "--out", "other")[2]
    assert "unknown kind of random circuit 'walk'" in said
    assert "walks" in said
    assert "and the graph has" in run("--method", "random", "--edges", 10**6, "--out", "another")[2]
