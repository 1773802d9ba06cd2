"""A sweep from its call to its table: what fails, what ends it, and how it goes on."""

import csv
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny import pairs, save_gpt2, write_pairs

import acdc
from acdc.errors import AcdcWarning, RunFolderError, RunInterrupted, SettingsError, SweepInterrupted
from acdc.sweeps.grid import Grid
from acdc.sweeps.outcome import FAILED, FINISHED, Outcome
from acdc.sweeps.sweep import check, go_on, sweep

pytestmark = pytest.mark.random_models

AXES = {"task": "ioi", "model": "tiny-tasks", "threshold": [0.1, 1.0], "n": 3, "seed": [0, 1]}


class MadeUp:
    """A runner whose cells fail at once, unless a test says otherwise."""

    ran: list
    does: dict

    def __init__(self, options):
        self.options = options

    def run(self, cell, out):
        self.ran.append(cell.name)
        what = self.does.get(len(self.ran))
        if isinstance(what, BaseException):
            raise what
        return what or Outcome(FAILED, "it was made up.")


@pytest.fixture
def runner(monkeypatch):
    MadeUp.ran, MadeUp.does = [], {}
    monkeypatch.setattr("acdc.sweeps.runner.Runner", MadeUp)
    return MadeUp


def table(folder):
    with (folder / "table.csv").open() as file:
        return list(csv.DictReader(file))


def test_every_failure_is_a_row_and_is_tried_again(runner, tmp_path):
    found = sweep(AXES, out=tmp_path, jobs=0, progress=False)
    assert [row["sentence"] for row in table(tmp_path)] == ["it was made up."] * 4
    assert len(found.failed) == len(set(runner.ran)) == 4
    said = []
    sweep(AXES, out=tmp_path, jobs=0, progress=False, announce=said.append)
    assert len(runner.ran) == 8
    assert "0 of 4 cells are finished already; 4 cells that failed will be tried again" in said[-1]


@pytest.mark.parametrize("raised", [KeyboardInterrupt(), RunInterrupted("x", 3)])
def test_ctrl_c_says_what_is_done_and_leaves_a_folder_that_goes_on(runner, tmp_path, raised):
    runner.does[3] = raised
    with pytest.raises(SweepInterrupted, match=f"0 of 4 cells are finished in {tmp_path}"):
        sweep(AXES, out=tmp_path, jobs=0, progress=False)
    assert len(table(tmp_path)) == 2
    sweep(AXES, out=tmp_path, jobs=0, progress=False)
    assert len(table(tmp_path)) == 4


def test_a_full_disk_ends_the_sweep_in_one_sentence_and_nothing_is_lost(runner, tmp_path):
    runner.does[2] = RunFolderError("can't write x: No space left on device.")
    with pytest.raises(RunFolderError) as error:
        sweep(AXES, out=tmp_path, jobs=0, progress=False)
    assert str(error.value) == (
        "can't write x: No space left on device; the sweep ends with 0 of 4 cells finished in "
        f"{tmp_path}, and goes on, once that is mended, when the same is asked for."
    )
    assert len(table(tmp_path)) == 1


def test_finished_cells_are_known_before_any_work_even_if_a_kill_came_before_it_was_noted(
    gpt2_folder, tmp_path, monkeypatch
):
    task = write_pairs(tmp_path / "pairs.jsonl", pairs(8))
    axes = {"task": str(task), "model": str(gpt2_folder), "threshold": [0.01, 0.1], "n": 4}
    first = sweep(axes, out=tmp_path / "s", jobs=0, progress=False)
    assert [row["status"] for row in first.rows] == [FINISHED] * 2
    before = table(tmp_path / "s")
    next((tmp_path / "s" / "ended").iterdir()).unlink()
    monkeypatch.setattr("acdc.sweeps.runner.Runner", None)  # any use of it would fail
    again = go_on(tmp_path / "s", progress=False)
    assert table(tmp_path / "s") == before
    assert again.rows[0]["edges"] == first.rows[0]["edges"]


def test_relative_paths_begin_where_the_sweep_did(runner, tmp_path, monkeypatch):
    (tmp_path / "home").mkdir()
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    (tmp_path / "home" / "pairs.jsonl").write_text('{"clean": "a b", "corrupted": "a c", "answer": " d"}\n')
    sweep({"task": "pairs.jsonl", "model": "tiny-tasks", "threshold": 0.1}, out="s", jobs=0, progress=False)
    monkeypatch.chdir(tmp_path / "else")
    where = []

    def seen(cells, *rest, **options):
        where.append(Path.cwd())
        yield cells[0], Outcome(FAILED, "again.")

    monkeypatch.setattr("acdc.sweeps.sweep.run_local", seen)
    assert go_on(tmp_path / "home" / "s", progress=False).failed[0]["sentence"] == "again."
    assert where == [tmp_path / "home"]
    assert Path.cwd() == tmp_path / "else"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"jobs": -1}, "`jobs` must be from 0 to 1024, not -1"),
        ({"jobs": 5000}, "`jobs` must be from 0 to 1024"),
        ({"jobs": 1.5}, "`jobs` must be a whole number"),
        ({"jobs": True}, "`jobs` must be a whole number"),
        ({"memory": 0}, "`memory` must be a number over 0"),
        ({"memory": float("nan")}, "`memory` must be a number over 0"),
        ({"memory": "much"}, "`memory` must be a number"),
        ({"memory": 1, "jobs": 0}, "leave it out with `jobs=0`"),
        ({"cpus": 1}, "`cpus` is of cells on a cluster; leave it out without `cluster`"),
        ({"gpus": 1}, "`gpus` is of cells on a cluster"),
        ({"cluster": "ray", "jobs": 2}, "`jobs` is of processes on this machine; leave it out with `cluster`"),
        ({"cluster": "ray", "cpus": -1}, "`cpus` must be a number over 0"),
        ({"curve": 1}, "`curve` must be True or False"),
        ({"out": 3}, "`out` must be a path"),
    ],
)
def test_settings_that_make_no_sense_are_refused_before_anything_is_made(tmp_path, options, says):
    with pytest.raises(SettingsError, match=says):
        sweep(AXES, **{"out": tmp_path / "s", "progress": False, **options})
    assert not (tmp_path / "s").exists()


def test_a_reference_that_is_none_is_refused_at_once(tmp_path):
    with pytest.raises(acdc.AcdcError, match="ioi"):
        sweep(AXES, out=tmp_path / "s", reference="ioii", progress=False)
    assert not (tmp_path / "s").exists()


def test_the_process_that_conducts_never_imports_torch(tmp_path):
    code = (
        "import sys\n"
        "from acdc.sweeps import sweep\n"
        "sweep.run_local = lambda cells, *rest, **options: (cell for cell in ())\n"
        f"sweep.sweep({AXES!r}, out={str(tmp_path)!r}, progress=False)\n"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_prompt_file_that_was_changed_ends_a_sweep_whose_cells_had_run_on_it(tmp_path):
    file = tmp_path / "pairs.jsonl"
    write_pairs(file, pairs(6))
    save_gpt2(tmp_path / "model")
    axes = {"task": str(file), "model": str(tmp_path / "model"), "threshold": [0.1, 1.0]}
    options = {"out": tmp_path / "s", "jobs": 0, "progress": False}
    assert [row["status"] for row in sweep(axes, **options).rows] == ["finished"] * 2
    os.utime(tmp_path / "model" / "config.json", (time.time() + 60, time.time() + 60))
    with pytest.warns(AcdcWarning, match="model was changed after cells of this sweep had run on it"):
        sweep(axes, **options)
    os.utime(tmp_path / "model" / "config.json", (0, 0))
    write_pairs(file, pairs(7))
    for again in (lambda: sweep(axes, **options), lambda: check(Grid.of(axes), out=tmp_path / "s")):
        with pytest.raises(RunFolderError, match=r"pairs\.jsonl was changed after cells of the sweep in .* had run on"):
            again()
