"""Whole runs by the clock, alone and beside an earlier commit."""

import io
import json
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import engine
import engine_runs
import engine_whole
import pytest
from engine_agreement import Agreement
from engine_commits import earlier
from engine_loads import Made
from engine_process import Turns
from engine_runs import Code, EngineRunError, whole_runs
from engine_whole import against_table, compared, figures_of
from made_checkouts import made_checkout

import acdc
from acdc.pairs import PromptSet, TokenPair

DECISIONS = [("m1->logits", 0.5, True), ("m0->logits", 0.01, False), ("input->logits", 0.02, False)]


@pytest.fixture
def made(tmp_path):
    """A load for processes that open no model."""
    sides = [PromptSet((TokenPair((1, 2), (first, 2), (1,)),), "drawn") for first in (3, 4)]
    return Made(SimpleNamespace(), tmp_path, *sides)


@pytest.fixture
def runs(tmp_path, made):
    """Run made checkouts side by side."""

    def runs(*codes):
        return whole_runs([Code(code.name, code) for code in codes], made, 0.1, tmp_path / "runs")

    return runs


def test_runs_take_turns_and_are_timed_by_stages(tmp_path, runs, monkeypatch):
    monkeypatch.setattr(engine_runs, "TURN_SECONDS", 0.015)
    log = tmp_path / "log"
    old = made_checkout(tmp_path / "old", DECISIONS * 3, log=log, name="o", rest=0.05)
    new = made_checkout(tmp_path / "new", DECISIONS * 3, log=log, name="n", seconds=0.02, kl=0.25)
    before, now = runs(old, new)
    order = log.read_text()
    assert sorted(order) == ["n"] * 9 + ["o"] * 9
    assert "oooo" not in order
    assert "nnn" not in order.rstrip("n")
    assert before.decisions.cpu == pytest.approx(9 * 0.01, rel=0.5)
    assert now.decisions.cpu == pytest.approx(9 * 0.02, rel=0.5)
    assert before.rest.cpu == pytest.approx(0.05, rel=0.5)
    assert before.outside == pytest.approx(1 - before.decisions.cpu / before.whole.cpu)
    found = compared(before, now)
    assert found["ratios"]["decisions"] == pytest.approx(2, rel=0.5)
    agreed = Agreement(**found["agreement"])
    assert (agreed.prompts, agreed.alike, agreed.other, agreed.value) == (True, 9, None, 0)
    assert (agreed.number, agreed.number_at) == (0.25, "held_out.kl")
    about = {"about": "1 prompt", "threshold": 0.1, "floor": {"flops": 1e9, "matmul_flops_per_s": 1e9, "fraction": 0.5}}
    sides = {"old": figures_of(before) | about, "new": figures_of(now) | about}
    said = against_table({"against": "0ld", **sides, **found})
    assert "0ld" in said
    assert "decisions: all 9 alike" in said
    assert "held_out.kl" in said


def test_a_runs_clock_stands_still_while_others_have_their_turn(monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(readline=lambda: time.sleep(0.5) or "turn\n"))
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    turns = Turns(1.0)
    begin = turns.now()
    turns.end()
    assert turns.since(begin)[1] < 0.4


def test_interrupted_runs_are_ended(tmp_path, runs, monkeypatch):
    started = []

    class Noted(subprocess.Popen):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            started.append(self)

    def interrupt(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(engine_runs.subprocess, "Popen", Noted)
    monkeypatch.setattr(engine_runs._Process, "take_turn", interrupt)
    code = made_checkout(tmp_path / "code", DECISIONS, log=tmp_path / "log")
    with pytest.raises(KeyboardInterrupt):
        runs(code, code)
    assert len(started) == 2
    assert all(process.returncode is not None for process in started)


def test_other_decisions_are_told(tmp_path, runs):
    old = made_checkout(tmp_path / "old", DECISIONS, log=tmp_path / "log")
    new = made_checkout(tmp_path / "new", [("m1->logits", 0.6, True), ("m0->logits", 0.01, True)], log=tmp_path / "log")
    agreed = Agreement(**compared(*runs(old, new))["agreement"])
    assert (agreed.alike, agreed.decisions) == (1, (3, 2))
    assert agreed.value == pytest.approx(0.1)
    assert "1 of 3 and 2 alike, then m0->logits went where it was, m0->logits stayed now" in "\n".join(agreed.sentences)
    assert any("other prompts" in line for line in replace(agreed, prompts=False).sentences)


def test_the_code_must_be_the_one_asked_for_and_run(tmp_path, runs):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(EngineRunError, match=r"empty can't run this load \(acdc is imported from .*, which isn't in"):
        runs(empty)
    broken = made_checkout(tmp_path / "broken", DECISIONS, log=tmp_path / "log")
    (broken / "acdc" / "pruning" / "pruner.py").write_text("class Acdc: pass")
    shutil.rmtree(tmp_path / "runs")
    with pytest.raises(EngineRunError, match=r"broken can't run this load \(there is no class Acdc that makes"):
        runs(broken)


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_a_commit_is_unpacked_beside_the_working_tree(tmp_path):
    root = tmp_path / "root"
    scratches = (tmp_path / str(number) for number in range(9))

    def unpacked(commit):
        scratch = next(scratches)
        scratch.mkdir()
        return earlier(commit, scratch, root)

    def git(*words):
        mine = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", "-C", root, *mine, *words], check=True, capture_output=True)

    for name in ("acdc", "tasks"):
        (root / name).mkdir(parents=True)
    with pytest.raises(EngineRunError, match="isn't a git checkout"):
        unpacked("HEAD")
    git("init")
    git("commit", "--allow-empty", "-m", "nothing")
    for version in ("one", "two"):
        for name in ("acdc", "tasks"):
            (root / name / "__init__.py").write_text(f"# {version}")
        git("add", "-A")
        git("commit", "-m", version)
    (root / "acdc" / "__init__.py").write_text("# being written")
    code = unpacked("HEAD~1")
    assert (code.checkout / "acdc" / "__init__.py").read_text() == "# one"
    assert (code.checkout / "acdc" / "tasks" / "__init__.py").read_text() == "# one"
    assert (root / "acdc" / "__init__.py").read_text() == "# being written"
    assert not (root / ".git" / "worktrees").exists()
    for wrong, said in (("nonsense", "no commit 'nonsense'"), ("--all", "no commit '--all'"), ("HEAD~2", "no package")):
        with pytest.raises(EngineRunError, match=said):
            unpacked(wrong)


def test_what_against_leaves_no_room_for_is_refused(run):
    code, _, errors = run(engine, "--against", "HEAD", "--points", 3)
    assert code == 2
    assert errors == "engine: --against times whole runs alone; leave --points out.\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--circuits", "--methods"], "--circuits and --methods are measured one at a time; leave one out."),
        (["--method", "eap"], "--method chooses among --methods; give both."),
    ],
)
def test_options_that_would_be_ignored_are_refused(run, options, said):
    code, _, errors = run(engine, *options)
    assert (code, errors) == (2, f"engine: {said}\n")


def test_a_folder_that_cant_be_is_told_before_the_time_is_spent(run, monkeypatch, tmp_path):
    monkeypatch.setattr(engine, "measure", lambda *_: pytest.fail("it ran"))
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "out"):
        code, _, errors = run(engine, "--out", out)
        assert code == 2
        assert str(tmp_path / "file") in errors


def test_a_load_is_timed_and_written(run, monkeypatch, tmp_path):
    monkeypatch.setattr(engine_whole, "matmul_speed", lambda device: 1e10)  # a second
    code, said, errors = run(engine, "--n", 3, "--threshold", 0.2, "--points", 1, "--out", tmp_path / "out")
    assert code == 0, errors
    figures = json.loads((tmp_path / "out" / "engine.json").read_text())
    model = acdc.load_model("tiny-tasks", device="cpu")
    same = acdc.discover(model, "ioi", n=3, threshold=0.2, progress=False)
    assert (figures["tried"], figures["kept"]) == (same.record.tried, same.record.kept)
    stages = figures["stages"]
    assert stages["whole"]["cpu"] == pytest.approx(
        sum(stages[name]["cpu"] for name in ("opening", "decisions", "rest"))
    )
    assert min(stage["cpu"] for stage in stages.values()) > 0
    assert figures["rows"][0]["name"] == "fast"
    assert figures["rows"][-1]["name"] == "reference"
    assert figures["floor"]["fraction"] > 0
    assert "outside the decisions" in said
    assert "3 prompts of ioi, tiny-tasks, threshold 0.2" in said
