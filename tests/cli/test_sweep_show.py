"""``acdc sweep show`` and ``acdc sweep plot``."""

import json

import pytest
from made_sweeps import cells, made

from acdc.sweeps.folder import SweepFolder
from acdc.sweeps.grid import Grid


@pytest.fixture
def folder(tmp_path):
    """A sweep's folder, as ``s``: four cells, one of which failed, and one that hasn't ended."""
    swept = made(tmp_path / "made", cells(threshold=[0.01, 0.1], seed=[0, 1]), failed=[1])
    grid = Grid({}, swept.folder.grid.cells)
    with SweepFolder.held(tmp_path / "s", grid) as held:
        for cell in grid.cells[:3]:
            (tmp_path / "s" / "runs" / cell.name).mkdir()
            (tmp_path / "s" / "runs" / cell.name / "run.json").write_text("{}")
            held.ended(cell, swept.folder.outcomes[cell.name])
    return "s"


def test_show_says_what_it_came_to(call, folder):
    code, out, err = call("sweep", "show", folder)
    assert (code, err) == (0, "")
    assert "4 cells in s: 2 finished, 1 failed, 1 waiting" in out
    assert "threshold" in out
    assert "0.01, 0.1" in out
    assert "failed: ioi-tiny-tasks-acdc-0.01-1: the model is too large." in out
    assert "308" in out


def test_show_as_json_has_every_row(call, folder):
    code, out, _ = call("sweep", "show", folder, "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["cells"], found["finished"], found["failed"], found["waiting"]) == (4, 2, 1, 1)
    assert [row["edges"] for row in found["rows"]] == [308, None, 38]
    assert found["axes"]["threshold"] == [0.01, 0.1]
    assert found["failures"][0]["sentence"] == "the model is too large."
    assert found["means"][0]["edges"] == {"mean": 308, "spread": 0}


def test_plot_prints_what_it_wrote(call, folder, tmp_path):
    code, out, _ = call("sweep", "plot", folder, "--x", "threshold", "--y", "kl", "--out", "p.svg")
    assert (code, out) == (0, "p.svg\n")
    assert b"<svg" in (tmp_path / "p.svg").read_bytes()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "none"), "none is not a sweep's folder"),
        (("plot", "s", "--y", "edgs"), "--y: unknown column 'edgs': did you mean edges"),
        (("plot", "s", "--y", "task", "--x", "edges"), "the column task doesn't hold numbers, and --y must"),
        (("plot", "s", "--out", "made.txt"), "made.txt is a file"),
        (("plot", "s", "--y", "kl", "--out", "made.png"), "made.png exists already; choose another file with --out."),
    ],
)
def test_bad_words_are_told_in_a_sentence(refused, folder, tmp_path, words, said):
    for name in ("made.txt", "made.png"):
        (tmp_path / name).write_text("")
    assert said in refused("sweep", *words)
