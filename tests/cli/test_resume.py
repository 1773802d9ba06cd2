"""``acdc resume RUN`` and the folders that ``acdc discover`` names by itself."""

import json
import os
import shlex
import shutil
import time
from dataclasses import dataclass

import pytest
from tiny import gpt2, pairs

from acdc import PromptPair
from acdc import discover as discover_in_python
from acdc.errors import RunFolderError
from acdc.methods import Acdc
from acdc.runs.run import Run
from acdc.runs.trace import TraceWriter


def same(run, other):
    """The same decisions and circuit, numbers within the noise of float32 (batches may fall otherwise)."""
    return (
        [(one.edge, one.kept) for one in run.decisions] == [(one.edge, one.kept) for one in other.decisions]
        and (run.circuit.in_graph == other.circuit.in_graph).all()
        and run.circuit.scores == pytest.approx(other.circuit.scores, abs=1e-5)
    )


def test_a_run_goes_on_by_its_folder_alone_from_anywhere(
    interrupted, call, file, finished, gpt2_folder, tmp_path, monkeypatch
):
    shutil.copytree(gpt2_folder, tmp_path / "model")
    interrupted("discover", file(*pairs(8)), "--model", "./model", "--n", 4, "--threshold", 0.01, "--out", "out")
    (tmp_path / "elsewhere").mkdir()
    call("models")  # changes into the folder
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setattr("os.chdir", lambda path: None)
    said = interrupted("resume", "../out")
    again = shlex.split(said.rpartition("Go on with: ")[2])
    assert again == ["acdc", "resume", "../out"]
    code, out, err = call(*again[1:])
    assert code == 0, err
    assert "going on after 20 decisions" in err
    assert same(Run.load(tmp_path / "out"), Run.load(finished))
    request = json.loads((tmp_path / "out" / "run.json").read_text())["request"]
    assert (request["task"], request["model"]) == ("pairs.jsonl", "./model")  # as the user wrote them
    assert (tmp_path / "out" / "circuit.svg").exists()
    assert out


def test_every_option_is_asked_for_again(interrupted, call, file, gpt2_folder, tmp_path):
    options = ["--metric", "l2", "--ablation", "zero", "--order", "random", "--gates", "--seed", 7, "--split-input"]
    options += ["--engine", "reference", "--batch-size", 2, "--dtype", "float64", "--threshold", 0.5]
    args = ["discover", file(*pairs(6)), "--model", gpt2_folder, *options]
    interrupted(*args, "--out", "out")
    code, _, err = call("resume", "out")
    assert code == 0, err
    assert call(*args, "--out", "whole")[0] == 0
    assert same(Run.load(tmp_path / "out"), Run.load(tmp_path / "whole"))
    record = Run.load(tmp_path / "out").record
    assert (record.engine, record.batch_size, record.request.seed) == ("reference", 2, 7)


def test_a_finished_run_is_recognised_without_its_model(call, finished, tmp_path, monkeypatch):
    folder = shutil.copytree(finished, tmp_path / "run")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr("acdc.models.loading.find_source", lambda *args: pytest.fail("the model was opened"))
    code, out, err = call("resume", folder)
    assert code == 0, err
    assert "is finished already" in err
    assert "edges" in out
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def squared(circuit, model, answers):
    return (circuit - model).square().mean(-1)


@dataclass(frozen=True)
class Mine(Acdc):
    name = "mine"


def test_a_finished_run_whose_prompts_or_model_changed_says_so(call, file, gpt2_folder, tmp_path):
    shutil.copytree(gpt2_folder, tmp_path / "model")
    args = ["discover", file(*pairs(4)), "--model", "model", "--threshold", 10, "--out", "out"]
    assert call(*args)[0] == 0
    code, _, err = call("resume", "out")
    assert (code, "changed" in err) == (0, False)
    file(*pairs(5))
    code, _, err = call("resume", "out")
    assert code == 0
    assert f"acdc: warning: {tmp_path / 'pairs.jsonl'} changed after that run began" in err
    later = time.time() + 60
    os.utime(tmp_path / "model" / "config.json", (later, later))
    err = call("resume", "out")[2]
    assert f"{tmp_path / 'pairs.jsonl'} and {tmp_path / 'model'} changed after that run began" in err


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (lambda task: {"model": gpt2()}, "a GPT2LMHeadModel in memory"),
        (lambda task: {"task": [PromptPair((i, 1), (i, 2)) for i in range(4)]}, "the task prompt pairs"),
        (lambda task: {"method": Mine()}, "the method mine"),
        (lambda task: {"metric": squared}, "the metric squared"),
        (lambda task: {"method": Mine(), "metric": squared}, "the method mine and the metric squared"),
    ],
)
def test_what_only_a_program_has_is_a_sentence(refused, file, gpt2_folder, tmp_path, monkeypatch, changed, said):
    monkeypatch.chdir(tmp_path)
    append = TraceWriter.append

    def stopping(writer, decision):
        append(writer, decision)
        raise KeyboardInterrupt

    task = file(*pairs(4))
    asked = {"model": gpt2_folder, "task": task, "out": "out", "progress": False} | changed(task)
    with monkeypatch.context() as patched:
        patched.setattr(TraceWriter, "append", stopping)
        with pytest.raises(KeyboardInterrupt):
            discover_in_python(**asked)
    said = f"isn't finished, and was of {said}, which no name opens again; go on with it from Python"
    assert said in refused("resume", "out")
    with pytest.raises(RunFolderError, match=said):
        Run.load("out")
    assert discover_in_python(**asked, resume=True).record.finished


@pytest.mark.parametrize("what", ["nowhere", "plain", "file"])
def test_what_is_no_run_is_a_sentence(refused, tmp_path, what):
    (tmp_path / "plain").mkdir()
    (tmp_path / "file").write_text("")
    assert "is not a run folder" in refused("resume", what)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("request", {"task": "ioi"}),
        ("request", {"task": "ioi", "model": 5, "threshold": 1, "metric": "kl", "ablation": "zero"}),
        ("request", {"task": "ioi", "model": "x", "threshold": "1", "metric": "kl", "ablation": "zero"}),
        ("asked", 5),
        ("asked", {"batch_size": []}),
        ("asked", {"n": "x"}),
        ("asked", {"engine": {}}),
        ("directory", 5),
        ("directory", "nul\0byte"),
    ],
)
def test_a_damaged_request_is_a_sentence(interrupted, refused, file, gpt2_folder, tmp_path, part, value):
    interrupted("discover", file(*pairs(4)), "--model", gpt2_folder, "--out", "out")
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    (tmp_path / "out" / "run.json").write_text(json.dumps(record | {part: value}))
    if part == "directory":  # the model's path is absolute, and the file is here
        record = json.loads((tmp_path / "out" / "run.json").read_text())
        record["request"]["task"] = "gone.jsonl"
        (tmp_path / "out" / "run.json").write_text(json.dumps(record))
    assert refused("resume", "out")


def test_a_folder_that_is_being_written_is_a_sentence(interrupted, refused, file, gpt2_folder, tmp_path):
    interrupted("discover", file(*pairs(4)), "--model", gpt2_folder, "--out", "out")
    held = TraceWriter(tmp_path / "out" / "trace.jsonl")
    assert refused("resume", "out") == "another process is at work on out; wait for it."
    held.close()


# Folders that nobody named.


def run_folders(tmp_path):
    return sorted(path.name for path in (tmp_path / "runs").iterdir())


def test_other_settings_have_folders_of_their_own(call, file, gpt2_folder, tmp_path):
    base = ["discover", file(*pairs(8)), "--model", gpt2_folder, "--threshold", 1]
    runs = (
        [],
        ["--n", 4],
        ["--metric", "l2"],
        ["--gates"],
        ["--seed", 2],
        ["--ablation", "zero"],
        ["--order", "random"],
    )
    for options in (*runs, ["--dtype", "float64"], ["--split-input"]):
        code, _, err = call(*base, *options)
        assert code == 0, err
    name = f"pairs-{gpt2_folder.name}-1"
    endings = ("", "-n4", "-l2", "-gates", "-seed2", "-zero", "-random", "-float64", "-split_input")
    assert run_folders(tmp_path) == sorted(f"{name}{ending}" for ending in endings)


def test_a_name_that_is_taken_gets_a_number(call, file, gpt2_folder, tmp_path):
    (tmp_path / "other").mkdir()
    base = ["--model", gpt2_folder, "--threshold", 1]
    assert call("discover", file(*pairs(8)), *base)[0] == 0
    assert call("discover", file(*pairs(8, seed=1), name="other/pairs.jsonl"), *base)[0] == 0
    name = f"pairs-{gpt2_folder.name}-1"
    assert run_folders(tmp_path) == [name, f"{name}-2"]
    (tmp_path / "runs" / f"{name}-n4").mkdir()
    (tmp_path / "runs" / f"{name}-n4" / "thesis.txt").write_text("years of work")
    assert call("discover", "pairs.jsonl", *base, "--n", 4)[0] == 0
    assert (tmp_path / "runs" / f"{name}-n4-2" / "circuit.json").exists()


def test_resume_finds_the_run_of_the_same_settings(interrupted, call, file, gpt2_folder, tmp_path):
    (tmp_path / "other").mkdir()
    base = ["--model", gpt2_folder, "--threshold", 0.01]
    assert call("discover", file(*pairs(8)), *base)[0] == 0
    other = file(*pairs(8, seed=1), name="other/pairs.jsonl")
    interrupted("discover", other, *base)
    code, _, err = call("discover", other, *base, "--resume")
    assert code == 0, err
    assert "going on after 10 decisions" in err
    assert len(run_folders(tmp_path)) == 2


def test_the_same_run_again_is_not_begun_anew(call, refused, file, gpt2_folder):
    args = ["discover", file(*pairs(8)), "--model", gpt2_folder, "--threshold", 1]
    assert call(*args)[0] == 0
    assert "holds a run of these settings, finished; look at it by acdc show" in refused(*args)


def test_the_model_here_has_a_name(call, file, gpt2_folder, tmp_path, monkeypatch):
    shutil.copytree(gpt2_folder, tmp_path / "here")
    task = tmp_path / file(*pairs(4))
    call("models")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr("os.chdir", lambda path: None)
    code, _, err = call("discover", task, "--model", ".", "--threshold", 1)
    assert code == 0, err
    assert [path.name for path in (tmp_path / "here" / "runs").iterdir()] == ["pairs-here-1"]


def test_the_end_of_a_run_is_a_verdict(call, file, gpt2_folder):
    code, out, _ = call("discover", file(*pairs(8)), "--model", gpt2_folder, "--threshold", 10, "--out", "out")
    assert code == 0
    assert "The circuit is empty: no edge is worth its threshold of 10" in " ".join(out.split())
    assert "The circuit is empty" in " ".join(call("show", "out")[1].split())


def test_an_edited_run_is_shown_without_its_figures(call, finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "run")
    data = json.loads((folder / "circuit.json").read_text())
    name = next(name for name, edge in data["edges"].items() if edge["in_graph"])
    data["edges"][name]["in_graph"] = False
    (folder / "circuit.json").write_text(json.dumps(data))
    code, out, err = call("show", "run")
    assert code == 0, err
    said = " ".join(out.split())
    assert "edited since it was measured" in said
    assert "answers right" not in said
    assert "faithfulness" not in said
    for source in ("run", "run/circuit.json"):
        shown = json.loads(call("show", source, "--json")[1])
        assert shown["doubt"] == "edited since it was measured"
        assert "metric_circuit" not in shown["found"]
        assert "results" not in (shown["record"] or {})


@pytest.mark.parametrize("command", [["show"], ["export", "--format", "html-table", "--out", "c.html"]])
def test_a_lost_circuit_is_rebuilt_wherever_it_is_asked_for(call, finished, tmp_path, command):
    folder = shutil.copytree(finished, tmp_path / "run")
    (folder / "circuit.json").unlink()
    code, _, err = call(*command, "run")
    assert code == 0, err
    assert "The circuit is rebuilt from run/trace.jsonl." in err
    assert (folder / "circuit.json").read_bytes() == (finished / "circuit.json").read_bytes()


@pytest.mark.parametrize("what", ["run", "run/circuit.json"])
def test_export_checks_the_folder_that_a_circuit_is_in(refused, finished, tmp_path, what):
    folder = shutil.copytree(finished, tmp_path / "run")
    lines = (folder / "trace.jsonl").read_text().splitlines(keepends=True)
    (folder / "trace.jsonl").write_text("".join(lines[:-1]))
    assert "it ends where" in refused("export", what, "--format", "dot")
    assert "it ends where" in refused("show", what)
