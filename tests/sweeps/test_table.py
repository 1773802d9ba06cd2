"""The table of a sweep: every figure of its runs, in two files that are always up to date and can be made again."""

import csv
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from made_sweeps import cells, figures, made

import acdc
from acdc.errors import AcdcWarning, SettingsError, UnknownNameError
from acdc.evaluation.intervals import Intervals
from acdc.results import STATES
from acdc.sweeps.outcome import FAILED, FINISHED, Outcome
from acdc.sweeps.rows import row_of
from acdc.sweeps.swept import Sweep
from acdc.sweeps.table import Table

pytestmark = pytest.mark.random_models


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A small sweep of a planted model, by two methods, one cell of which fails."""
    name = "planted-random-L2-H2-D32-E12-S0"
    axes = {"task": name, "model": name, "n": 6, "threshold": [0.01, 0.5], "seed": [0, 1]}
    folder = tmp_path_factory.mktemp("ran") / "s"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AcdcWarning)
        return acdc.sweep(axes, out=folder, jobs=0, progress=False)


def written(path):
    """Both files as lists of rows, what isn't known left out."""
    with (path / "table.csv").open(newline="") as file:
        texts = [{name: value for name, value in row.items() if value} for row in csv.DictReader(file)]
    rows = [
        {name: value for name, value in row.items() if value is not None}
        for row in pq.read_table(path / "table.parquet").to_pylist()
    ]
    return texts, rows


def test_the_row_of_a_cell_has_every_figure_of_its_run(ran):
    row = ran.rows[0]
    run = ran.run(row["cell"])
    assert (row["edges"], row["edges_all"]) == (run.circuit.n_edges, run.circuit.graph.n_edges)
    assert row["nodes"] == len(run.circuit.nodes())
    assert (row["n"], row["metric"], row["ablation"]) == (6, "kl", "corrupted")
    for prompts, evaluation in (("used", run.used), ("held_out", run.held_out)):
        assert row[f"faithfulness_{prompts}"] == evaluation.faithfulness
        assert row[f"faithfulness_complement_{prompts}"] == evaluation.share("complement")
        for state in STATES:
            ending = prompts if state == "circuit" else f"{state}_{prompts}"
            assert row.get(f"accuracy_{ending}") == evaluation.states[state].accuracy
            assert row.get(f"kl_{ending}") == (None if state == "model" else evaluation.states[state].metrics["kl"])
    assert row["tried"] == run.record.tried
    assert row["seconds"] == run.record.seconds


def test_intervals_are_those_of_evaluate(ran):
    row = ran.rows[-1]
    run = ran.run(row["cell"])
    of = Intervals(run.held_out).of("circuit", "kl")
    assert (row["kl_held_out_low"], row["kl_held_out_high"]) == (of.low, of.high)
    assert of.low < row["kl_held_out"] < of.high


def test_cells_of_a_planted_model_are_compared_with_its_own_edges(ran):
    best = ran.rows[0]
    assert (best["precision"], best["false_positive_rate"]) == (1.0, 0.0)
    assert best["recall"] == best["edges"] / 12


def test_a_reference_is_compared_with_and_another_one_again(ran, tmp_path):
    run = ran.run(ran.rows[-1]["cell"])
    run.circuit.save(tmp_path / "reference.json")
    folder = ran.folder
    folder.reference = str(tmp_path / "reference.json")
    try:
        again = Table(folder, writes=False).rows
        assert again[-1]["precision"] == again[-1]["recall"] == 1.0
        assert again[0]["recall"] == 1.0
        assert again[0]["precision"] < 1
    finally:
        folder.reference = None


def test_both_files_hold_the_rows(ran):
    texts, rows = written(ran.folder.path)
    assert [row["cell"] for row in rows] == [cell.name for cell in ran.folder.grid.cells]
    known = [{name: value for name, value in row.items() if value is not None} for row in ran.rows]
    assert rows == known
    assert [row.keys() for row in texts] == [row.keys() for row in known]
    assert float(texts[0]["kl_held_out"]) == rows[0]["kl_held_out"]


@pytest.mark.parametrize("damage", [b"", b"PAR1 torn", None])
@pytest.mark.parametrize("name", ["table.parquet", "table.csv"])
def test_a_broken_table_is_made_again_from_the_runs(ran, name, damage):
    file = ran.folder.path / name
    before = {one: (ran.folder.path / one).read_bytes() for one in ("table.parquet", "table.csv")}
    file.unlink()
    if damage is not None:
        file.write_bytes(damage)
    with pytest.warns(AcdcWarning, match=rf"{name} is (missing|broken.*); the table is made again from the runs"):
        Table(ran.folder)
    assert {one: (ran.folder.path / one).read_bytes() for one in before} == before


def test_who_only_reads_writes_nothing(ran):
    file = ran.folder.path / "table.parquet"
    content = file.read_bytes()
    file.unlink()
    try:
        assert len(Sweep.load(ran.folder.path).rows) == 4
        assert not file.exists()
    finally:
        file.write_bytes(content)


def test_what_is_in_the_table_is_not_measured_again(ran, monkeypatch):
    def never(*given, **named):
        raise AssertionError("measured again")

    monkeypatch.setattr("acdc.sweeps.table.row_of", never)
    assert len(Table(ran.folder).rows) == 4


def test_a_run_is_measured_again_where_only_its_folder_is_left(ran):
    folder, cell = ran.folder, ran.folder.grid.cells[0]
    told = row_of(folder, cell, folder.outcomes[cell.name])
    assert row_of(folder, cell, replace(folder.outcomes[cell.name], figures={})) == told


def test_a_run_that_somebody_damaged_says_so_in_its_row(ran):
    folder, cell = ran.folder, ran.folder.grid.cells[1]
    file = folder.run_folder(cell) / "circuit.json"
    content = file.read_bytes()
    file.write_bytes(b"{")
    try:
        row = row_of(folder, cell, Outcome(FINISHED))
    finally:
        file.write_bytes(content)
    assert (row["status"], row.get("edges")) == (FINISHED, None)
    assert str(file) in row["sentence"]


def test_a_failed_cell_has_its_sentence_and_gives_way_to_what_it_becomes(tmp_path):
    swept = made(tmp_path / "s", cells(seed=[0, 1]), failed=[1])
    cell = swept.folder.grid.cells[1]
    with Table(swept.folder) as table:
        assert [row["sentence"] for row in table.rows] == [None, "the model is too large."]
        table.add(cell, Outcome(FINISHED, figures={"edges": 3}))
    assert [(row["status"], row.get("edges")) for row in written(swept.folder.path)[1]] == [
        ("finished", 38),
        ("finished", 3),
    ]


def test_text_stays_text(tmp_path):
    names = ["=1+1", "+a", "-b", "@c", "two\nlines", "a,b", "\x1b[31m"]
    swept = made(tmp_path / "s", cells(task=names))
    Table(swept.folder)
    texts, rows = written(tmp_path / "s")
    assert [row["task"] for row in rows] == names
    assert [row["task"] for row in texts] == ["'=1+1", "'+a", "'-b", "'@c", "two\\nlines", "a,b", "\\x1b[31m"]


def test_a_setting_named_as_a_figure_keeps_both(tmp_path):
    swept = made(tmp_path / "s", cells(method=["random"], edges=[10, 20]))
    assert [(row["asked_edges"], row["edges"]) for row in swept.rows] == [(10, 42), (20, 42)]


def test_columns_of_numbers_are_numbers_whatever_came_first(tmp_path):
    swept = made(tmp_path / "s", cells(threshold=[1, 0.5], batch_size=[8, "auto"], gates=[True, None]))
    table = swept.table
    kinds = {
        name: str(table.schema.field(name).type) for name in ("threshold", "batch_size", "gates", "edges", "sentence")
    }
    assert kinds == {
        "threshold": "double",
        "batch_size": "string",
        "gates": "bool",
        "edges": "int64",
        "sentence": "string",
    }


def test_checkpoints_are_numbered_and_other_models_are_not(tmp_path):
    def numbers(*models):
        name = str(len(list(tmp_path.iterdir())))
        return [row.get("checkpoint") for row in made(tmp_path / name, cells(model=models)).rows]

    assert numbers("m/step-10", "m/step-200", "n/step-10") == [10, 200, None]
    assert numbers("a/checkpoint10/", "a/checkpoint20/") == [10, 20]
    assert (
        numbers("gpt2", "pythia-70m", "planted-random-L2-H2-D32-E12-S0", "planted-random-L2-H2-D32-E12-S1")
        == [None] * 4
    )


def test_a_row_that_was_held_back_is_written_soon(tmp_path, monkeypatch):
    swept = made(tmp_path / "s", [])
    all_cells = list(cells(seed=range(5)))
    swept.folder.grid = made(tmp_path / "t", all_cells).folder.grid
    monkeypatch.setattr("acdc.sweeps.table._SHARE", 0.02)
    table = Table(swept.folder)
    for cell in all_cells[:3]:
        table.add(cell, Outcome(FINISHED, figures=figures(cell.settings)))
    assert len(written(tmp_path / "s")[1]) < 3
    late = time.monotonic() + 60
    while len(written(tmp_path / "s")[1]) < 3 and time.monotonic() < late:
        time.sleep(0.05)
    assert len(written(tmp_path / "s")[1]) == 3
    table.add(all_cells[3], Outcome(FAILED, "why."))
    table.add(all_cells[4], Outcome(FAILED, "why."))
    assert len(written(tmp_path / "s")[1]) == 5


def test_a_run_is_had_by_the_name_of_its_cell(ran, tmp_path):
    assert ran.run(ran.rows[0]["cell"]).circuit.n_edges == ran.rows[0]["edges"]
    swept = made(tmp_path / "s", cells(seed=[0, 1]), failed=[1])
    with pytest.raises(UnknownNameError, match="did you mean ioi-tiny-tasks-acdc-0"):
        swept.run("ioi-tiny-tasks-acdc-00")
    with pytest.raises(SettingsError, match="failed: the model is too large"):
        swept.run("ioi-tiny-tasks-acdc-1")


def test_reading_a_table_starts_no_thread(ran):
    """Arrow's threads, if a process ends while they begin, end it by an abort."""
    script = (
        "import os, sys; from acdc.sweeps.swept import Sweep; import pyarrow.parquet; "
        "before = len(os.listdir('/proc/self/task')); Sweep.load(sys.argv[1]).rows; "
        "print(len(os.listdir('/proc/self/task')) - before)"
    )
    if not Path("/proc/self/task").exists():
        pytest.skip("needs Linux")
    command = [sys.executable, "-c", script, str(ran.folder.path)]
    assert subprocess.run(command, capture_output=True, check=True, text=True).stdout.split() == ["0"]


def test_what_a_run_warned_of_is_in_the_table_though_its_end_was_not_kept(tmp_path):
    name = "planted-random-L2-H2-D32-E12-S0"
    axes = {"task": name, "model": name, "n": 6, "threshold": 1e9}
    found = acdc.sweep(axes, out=tmp_path / "s", jobs=0, progress=False)
    (ended,) = (tmp_path / "s" / "ended").iterdir()
    ended.unlink()
    (tmp_path / "s" / "table.parquet").unlink()
    with pytest.warns(AcdcWarning, match="made again"):
        again = acdc.sweep(axes, out=tmp_path / "s", jobs=0, progress=False)
    assert again.rows[0]["warned"] == found.rows[0]["warned"]
    assert "nothing may be kept" in again.rows[0]["warned"]
