"""Runs that were interrupted, and folders that are there already."""

import json
import shlex
import signal

import numpy as np
import pytest
from tiny import pairs

from acdc.runs.run import Run


def test_an_existing_folder_is_refused_and_untouched(discover, file, tmp_path):
    task = file(*pairs())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    assert "out exists already and is not a run folder (it has no run.json); choose another" in discover(task)
    assert "out is not a run folder (it has no run.json)" in discover(task, "--resume")


@pytest.fixture
def interrupted_run(interrupted, file, gpt2_folder):
    """A run that Ctrl-C ends after ten decisions; gives what was said."""

    def run(*options):
        task = file(*pairs(8))
        return interrupted("discover", task, "--model", gpt2_folder, "--n", 4, "--threshold", 0.01, *options)

    return run


def test_ctrl_c_keeps_the_checkpoint_and_says_how_to_go_on(interrupted_run, call, finished, tmp_path):
    said = interrupted_run("--out", "a run")
    assert "all decisions are in a run" in said
    assert json.loads((tmp_path / "a run" / "run.json").read_text())["status"] == "running"
    assert len((tmp_path / "a run" / "trace.jsonl").read_text().splitlines()) == 10
    assert not (tmp_path / "a run" / "circuit.json").exists()

    again = shlex.split(said.rpartition("Go on with: ")[2])
    assert again[0] == "acdc"
    code, _, err = call(*again[1:])
    assert code == 0
    assert "going on after 10 decisions in a run" in err
    resumed, whole = Run.load(tmp_path / "a run"), Run.load(finished)
    assert [(d.edge, d.kept) for d in resumed.decisions] == [(d.edge, d.kept) for d in whole.decisions]
    assert resumed.decisions[:10] == whole.decisions[:10]
    assert (resumed.circuit.in_graph == whole.circuit.in_graph).all()
    np.testing.assert_allclose(resumed.circuit.scores, whole.circuit.scores, atol=1e-7)  # a float32 model's rounding


def test_the_reference_engine_goes_on_to_the_bit(interrupted_run, call, file, gpt2_folder, tmp_path):
    said = interrupted_run("--out", "a run", "--engine", "reference")
    assert call(*shlex.split(said.rpartition("Go on with: ")[2])[1:])[0] == 0
    asked = ("--model", gpt2_folder, "--n", 4, "--threshold", 0.01, "--engine", "reference", "--out", "whole")
    assert call("discover", file(*pairs(8)), *asked)[0] == 0
    resumed, whole = (Run.load(tmp_path / name) for name in ("a run", "whole"))
    assert resumed.decisions == whole.decisions
    assert (resumed.circuit.in_graph == whole.circuit.in_graph).all()
    assert (resumed.circuit.scores == whole.circuit.scores).all()


def test_ctrl_c_before_the_first_decision_leaves_nothing(call, file, gpt2_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("acdc.discovery.setting_up.prepare", lambda *args, **kwargs: signal.raise_signal(signal.SIGINT))
    code, _, err = call("discover", file(*pairs()), "--model", gpt2_folder, "--out", "out")
    assert code == 130
    assert err.splitlines()[-1] == "acdc: interrupted."
    assert not (tmp_path / "out").exists()


def test_an_unfinished_run_is_not_shown_or_exported(interrupted_run, refused):
    interrupted_run("--out", "out")
    assert "isn't finished; go on with it by acdc resume out." in refused("show", "out")
    assert "out has no circuit.json" in refused("export", "out", "--format", "svg")


def test_resuming_with_another_threshold_is_refused(interrupted_run, refused, gpt2_folder):
    interrupted_run("--out", "out")
    same = ["discover", "pairs.jsonl", "--model", gpt2_folder, "--n", 4, "--out", "out", "--resume"]
    said = refused(*same, "--threshold", 0.06)
    assert "out holds a run with other settings: threshold was 0.01 and is 0.06." in said
    said = refused(*same, "--threshold", 0.01, "--gates", "--order", "increasing")
    assert "gates was False and is True; order was 'default' and is 'increasing'." in said


def test_resuming_with_other_prompts_is_refused(interrupted_run, refused, file, gpt2_folder):
    interrupted_run("--out", "out")
    file(*pairs(8, seed=1))
    same = ["discover", "pairs.jsonl", "--model", gpt2_folder, "--n", 4, "--out", "out", "--resume"]
    assert "other settings: the data changed." in refused(*same, "--threshold", 0.01)


def test_a_finished_run_is_only_reported(call, file, gpt2_folder, tmp_path):
    args = ["discover", file(*pairs(8)), "--model", gpt2_folder, "--n", 4, "--threshold", 0.01, "--out", "out"]
    code, first, err = call(*args)
    assert code == 0, err
    written = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in (tmp_path / "out").glob("*.json*")}
    code, second, err = call(*args, "--resume")
    assert code == 0
    assert "the run in out is finished already" in err
    assert second == first
    assert written == {
        path: (path.stat().st_mtime_ns, path.read_bytes()) for path in (tmp_path / "out").glob("*.json*")
    }
