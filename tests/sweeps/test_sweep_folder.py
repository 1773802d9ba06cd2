"""A sweep's folder: whose it is, what is left to do, and what kills, hands and other programs leave of it."""

import json
from pathlib import Path

import pytest

from acdc.errors import AcdcWarning, RunFolderError
from acdc.sweeps.folder import SweepFolder, is_sweep
from acdc.sweeps.grid import Grid
from acdc.sweeps.outcome import FAILED, FINISHED, Outcome


def grid(**changed):
    return Grid.of({"task": "ioi", "model": "tiny-tasks", "threshold": [0.1, 1.0], "n": 3, **changed})


@pytest.fixture
def held(tmp_path):
    """Hold a folder, do something in it, and let it go."""

    def held(path="s", what=lambda folder: None, some=None, **options):
        with SweepFolder.held(tmp_path / path, some or grid(), **options) as folder:
            what(folder)
            return folder

    return held


def finish(folder, cell, **figures):
    """What a finished cell leaves, as far as the folder looks at it."""
    folder.run_folder(cell).mkdir(exist_ok=True)
    (folder.run_folder(cell) / "run.json").write_text("{}")
    folder.ended(cell, Outcome(FINISHED, figures=figures))


def test_what_has_ended_is_there_again_and_what_failed_is_left_to_do(held, tmp_path):
    first, second = held().grid.cells

    def work(folder):
        finish(folder, first, cpr=0.5, cmd=float("nan"))
        folder.ended(second, Outcome(FAILED, "no such thing.", warned=("odd",), seconds=2.0))

    held("s", work)
    again = held()
    assert again.left == [second]
    assert again.outcomes[first.name].figures == {"cpr": 0.5, "cmd": None}
    assert again.outcomes[second.name] == Outcome(FAILED, "no such thing.", warned=("odd",), seconds=2.0)
    loaded = SweepFolder.load(tmp_path / "s")
    assert (loaded.grid.cells, loaded.outcomes) == (again.grid.cells, again.outcomes)
    assert loaded.directory == str(Path.cwd())
    assert is_sweep(tmp_path / "s")


def test_axes_in_another_order_are_the_same_sweep_and_its_cells_stay_in_the_order_they_had(held):
    first = held()
    swapped = Grid.of({"n": 3, "threshold": [1.0, 0.1], "model": "tiny-tasks", "task": "ioi"})
    assert held(some=swapped).grid.cells == first.grid.cells != swapped.cells


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"threshold": [0.1, 1.0, 2.0]}, "the axis threshold had 2 values and has 3"),
        ({"n": 4}, "n was 3 and is 4"),
        ({"seed": [0, 1]}, "the axis seed is new"),
    ],
)
def test_another_sweeps_folder_is_refused_by_what_differs_and_stays_as_it_is(held, tmp_path, changed, says):
    held()
    before = (tmp_path / "s" / "sweep.json").read_bytes()
    with pytest.raises(RunFolderError, match=f"holds another sweep: .*{says}.*choose another folder with `out`"):
        held(some=grid(**changed))
    with pytest.raises(RunFolderError, match=r"another sweep: curves were not measured in it \(`curve`\); ask"):
        held(curve=True)
    assert (tmp_path / "s" / "sweep.json").read_bytes() == before


def test_the_same_sweep_is_refused_where_it_is_not_to_be_gone_on_with(held):
    held(resume=False)
    with pytest.raises(RunFolderError, match="holds this sweep already; go on with it by `resume=True`"):
        held(resume=False)


def test_the_reference_can_be_another_and_stays_where_none_is_named(held, tmp_path):
    held(reference="one")
    assert held().reference == "one"
    assert held(reference="other").reference == SweepFolder.load(tmp_path / "s").reference == "other"


def test_two_at_a_time_are_refused_and_a_reader_isnt(held, tmp_path):
    def work(folder):
        with pytest.raises(RunFolderError, match="another process runs the sweep in"):
            held()
        assert len(SweepFolder.load(tmp_path / "s").left) == 2

    held("s", work)
    held()


def other(path):
    path.mkdir()
    (path / "thesis.tex").write_text("dear")


def run_of_another(path):
    (path / "runs" / "mine").mkdir(parents=True)


def linked_runs(path):
    path.mkdir()
    (path / "elsewhere").mkdir()
    (path / "runs").symlink_to(path / "elsewhere")


def file_for_runs(path):
    path.mkdir()
    (path / "ended").write_text("")


def sweep_that_is_a_folder(path):
    (path / "sweep.json").mkdir(parents=True)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: path.write_text(""), "is a file; choose another folder"),
        (lambda path: path.symlink_to("nowhere"), "is a link to nothing"),
        (other, "not a sweep's folder .it has no sweep.json, and holds thesis.tex"),
        (run_of_another, "holds runs that are none of this sweep's .mine."),
        (linked_runs, "is a link, not a folder"),
        (file_for_runs, "is a file, not a folder"),
        (sweep_that_is_a_folder, "is a folder, not a file"),
    ],
)
def test_what_is_no_sweeps_is_refused_and_left_alone(held, tmp_path, make, says):
    make(tmp_path / "s")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(RunFolderError, match=says):
        held()
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_a_name_that_no_folder_can_have_is_refused(held, name):
    with pytest.raises((RunFolderError, ValueError)):
        held(name)


def test_a_folder_of_this_sweep_whose_file_was_lost_is_gone_on_with(held, tmp_path):
    held("s", lambda folder: finish(folder, folder.grid.cells[0]))
    (tmp_path / "s" / "sweep.json").unlink()
    (tmp_path / "s" / ".sweep.json.x1.part").write_text("{")
    assert len(held().left) == 1
    assert not list((tmp_path / "s").glob("*.part"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "is not JSON"),
        ("[]", "must be an object"),
        ('{"format": "other", "version": 1, "curve": false, "grid": {}}', "format is 'other'"),
        ('{"format": "acdc-sweep", "version": 9, "curve": false, "grid": {}}', "its version is 9"),
        ('{"format": "acdc-sweep", "version": 1, "curve": false, "grid": {"axes": {}}}', "cells must be"),
        ('{"format": "acdc-sweep", "version": 1, "curve": 1, "grid": {}}', "curve must be true or false"),
    ],
)
def test_a_damaged_file_is_one_sentence_and_can_be_removed(held, tmp_path, content, says):
    held("s", lambda folder: finish(folder, folder.grid.cells[0]))
    (tmp_path / "s" / "sweep.json").write_text(content)
    with pytest.raises(RunFolderError, match=says) as error:
        SweepFolder.load(tmp_path / "s")
    assert "remove it and run the same sweep again" in str(error.value)
    with pytest.raises(RunFolderError, match=says):
        held()


def test_a_cell_named_out_of_the_folder_is_refused(held, tmp_path):
    held()
    file = tmp_path / "s" / "sweep.json"
    raw = json.loads(file.read_text())
    raw["grid"]["cells"][0]["name"] = "../../x"
    file.write_text(json.dumps(raw))
    with pytest.raises(RunFolderError, match="must be the name of a folder"):
        SweepFolder.load(tmp_path / "s")


@pytest.mark.parametrize("content", ["{", '{"status": "done"}', '{"status": "finished", "seconds": "long"}', "\0"])
def test_an_ended_file_that_says_nothing_is_warned_of_and_its_run_tells(held, tmp_path, content):
    first, second = held("s", lambda folder: finish(folder, folder.grid.cells[0])).grid.cells
    (tmp_path / "s" / "ended" / f"{first.name}.json").write_text(content)
    with pytest.warns(AcdcWarning, match="doesn't say how its cell ended"):
        assert held().left == [first, second]  # the run is none


def test_what_is_damaged_is_warned_of_once(held, tmp_path):
    first = held("s", lambda folder: finish(folder, folder.grid.cells[0])).grid.cells[0]
    (tmp_path / "s" / "ended" / f"{first.name}.json").write_text("{")
    with pytest.warns(AcdcWarning) as said:
        held()
    assert sum("doesn't say how its cell ended" in str(one.message) for one in said) == 1


def test_a_finished_run_that_was_removed_is_left_to_do(held, tmp_path):
    first, second = held("s", lambda folder: finish(folder, folder.grid.cells[0])).grid.cells
    (tmp_path / "s" / "runs" / first.name / "run.json").unlink()
    assert held().left == [first, second]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("none", "is not a sweep's folder .there is no such folder.; check the path"),
        ("file", "file is a file; give the folder of a sweep"),
        ("link", "link is a link to nothing; give the folder of a sweep"),
        (".", "is not a sweep's folder .it has no sweep.json.; give one that a sweep wrote"),
        ("lost", "it has no sweep.json.; where that was lost, run the same sweep into it again"),
    ],
)
def test_what_isnt_a_sweeps_isnt_loaded(tmp_path, name, says):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nothing")
    (tmp_path / "lost" / "runs").mkdir(parents=True)
    with pytest.raises(RunFolderError, match=says):
        SweepFolder.load(tmp_path / name)
    assert not is_sweep(tmp_path / name)
