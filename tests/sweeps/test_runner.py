"""Cells in one process: what goes wrong with one is its sentence, and the next one runs."""

import errno
import os
import sys

import numpy as np
import pytest
import torch

import acdc
from acdc.discovery import sharing, stages
from acdc.errors import RunFolderError
from acdc.runs.environment import forget_peak_memory, peak_memory_bytes
from acdc.runs.folder import is_finished
from acdc.sweeps.cells import Cell
from acdc.sweeps.grid import Grid
from acdc.sweeps.options import RunnerOptions
from acdc.sweeps.planning import plan
from acdc.sweeps.rows import CURVE
from acdc.sweeps.runner import Runner
from tests import tiny

pytestmark = [pytest.mark.random_models, pytest.mark.drawn]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A model's folder and a prompt file."""
    folder = tmp_path_factory.mktemp("place")
    tiny.save_gpt2(folder / "model")
    tiny.write_pairs(folder / "pairs.jsonl", tiny.pairs(8))
    return {"model": str(folder / "model"), "task": str(folder / "pairs.jsonl"), "n": 4, "threshold": 0.05}


@pytest.fixture
def runner():
    return Runner(RunnerOptions())


def run(runner, settings, out):
    return runner.run(Cell(out.name, settings), out)


def test_a_bad_prompt_file_is_named_with_its_line(place, runner, tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"clean_tokens": [1, 2]}\n')
    assert run(runner, place, tmp_path / "a").status == "finished"
    outcome = run(runner, place | {"task": str(tmp_path / "bad.jsonl")}, tmp_path / "b")
    assert outcome.status == "failed"
    assert "bad.jsonl, line 1" in outcome.sentence
    assert run(runner, place | {"threshold": 0.01}, tmp_path / "c").status == "finished"


def test_what_stands_in_a_cell_s_place_has_to_go(place, runner, tmp_path):
    (tmp_path / "a").touch()
    assert (
        run(runner, place, tmp_path / "a").sentence
        == f"{tmp_path / 'a'} is a file; remove it, and run the sweep again."
    )
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.tex").touch()
    outcome = run(runner, place, tmp_path / "b")
    assert outcome.sentence.endswith("(it has no run.json); remove it, and run the sweep again.")


def test_memory_that_runs_out_is_said_and_freed(place, runner, tmp_path, monkeypatch):
    def too_much(*args, **kwargs):
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(stages, "evaluate", too_much)
        outcome = run(runner, place, tmp_path / "a")
    assert outcome.sentence.startswith("out of memory; lower `batch_size` or `n`")
    assert run(runner, place, tmp_path / "a").status == "finished"


def test_logits_that_are_no_numbers_are_named_with_their_prompt(place, runner, tmp_path):
    model = tiny.gpt2(n_positions=64)
    with torch.no_grad():
        model.transformer.wpe.weight[40] = float("nan")  # behind the prompts that a model is checked on
    model.save_pretrained(tmp_path / "model")
    tiny.write_pairs(tmp_path / "long.jsonl", tiny.pairs(6, length=50))
    outcome = run(
        runner, place | {"model": str(tmp_path / "model"), "task": str(tmp_path / "long.jsonl")}, tmp_path / "a"
    )
    assert "NaN" in outcome.sentence
    assert "line " in outcome.sentence
    short = place | {"model": str(tmp_path / "model")}
    assert run(runner, short, tmp_path / "b").status == "finished"


def test_a_mistake_of_ours_is_a_sentence_too(place, runner, tmp_path, monkeypatch):
    def wrong(*args, **kwargs):
        return None + 1

    monkeypatch.setattr(stages, "introduce", wrong)
    outcome = run(runner, place, tmp_path / "a")
    assert outcome.sentence.startswith("acdc made a mistake: TypeError: unsupported operand")
    assert "(test_runner.py, line " in outcome.sentence


def test_a_full_disk_ends_the_sweep_and_loses_nothing(place, runner, tmp_path, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(RunFolderError, match=r"can't write .*trace.jsonl: No space left on device"):
            run(runner, place, tmp_path / "a")
    assert run(runner, place, tmp_path / "a").status == "finished"
    assert is_finished(tmp_path / "a")


def test_curves_are_measured_where_scores_rank_edges(place, tmp_path):
    settings = {name: value for name, value in place.items() if name != "threshold"}
    runner = Runner(RunnerOptions(curve=True))
    scored = settings | {"method": "eap-ig", "metric": "logit-diff", "steps": 2}
    figures = [run(runner, scored | {"top": n}, tmp_path / f"top{n}").figures for n in (5, 20)]
    (judged,) = acdc.evaluate(str(tmp_path / "top5"), split="test", curve=True, progress=False)
    families = judged.curve.families
    assert {name: figures[0][name] for name in CURVE} == {name: figures[1][name] for name in CURVE}
    assert figures[0]["cpr"] == pytest.approx(families["signed"].mib.cpr, abs=1e-5)
    assert figures[0]["smallest"] == families["signed"].smallest
    assert not set(CURVE) & run(runner, place, tmp_path / "acdc").figures.keys()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the peak is the process's")
def test_the_peak_is_of_the_cell_alone():
    before = np.ones(2**27 // 8)  # 128 MiB
    most = peak_memory_bytes()
    del before
    forget_peak_memory()
    assert peak_memory_bytes() < most - 2**26


def test_a_plan_says_what_each_cell_takes_in_its_turn(place, monkeypatch):
    opened, load = [], sharing.load_model

    def loaded(name, **asked):
        opened.append(name)
        return load(name, **asked)

    monkeypatch.setattr(sharing, "load_model", loaded)
    settings = {name: value for name, value in place.items() if name != "threshold"}
    grid = Grid.of(settings | {"method": ["acdc", "eap-ig"], "threshold": [0.01, 0.1], "seed": [0, 1]})
    planned = plan(grid, RunnerOptions())
    assert [one.cell for one in planned] == list(grid.cells)
    assert opened == [place["model"]]
    needs = {(one.cell.settings["method"], one.cell.settings["seed"]): [] for one in planned}
    for one in planned:
        assert one.needs.memory_bytes > peak_memory_bytes() / 2
        needs[one.cell.settings["method"], one.cell.settings["seed"]].append(one.needs.seconds)
    scored = needs["eap-ig", 0]
    assert min(scored) < max(scored)  # the scores are computed once


def test_a_plan_says_which_cells_will_fail(place, tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"clean_tokens": [1, 2]}\n')
    grid = Grid.of(place | {"task": [place["task"], str(tmp_path / "bad.jsonl")]})
    good, bad = plan(grid, RunnerOptions())
    assert good.needs.seconds > 0
    assert "bad.jsonl, line 1" in bad.needs
