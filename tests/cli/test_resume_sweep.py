"""``acdc resume`` with the folder of a sweep."""

import pytest

from acdc.sweeps.outcome import FAILED, Outcome


@pytest.fixture
def begun(call, monkeypatch, tmp_path):
    """A sweep of two cells of which one failed, and Ctrl-C came before the other."""

    def first(cells, *rest, **options):
        yield cells[0], Outcome(FAILED, "it was made up.")
        raise KeyboardInterrupt

    monkeypatch.setattr("acdc.sweeps.sweep.run_local", first)
    code, _, err = call("sweep", "--task", "ioi", "--model", "tiny-tasks", "--threshold", "0.1,1", "--out", "s")
    assert code == 130
    assert "interrupted; 0 of 2 cells are finished in s. Go on with: " in err


def test_a_sweep_goes_on_by_its_folder_alone(begun, call, monkeypatch, tmp_path):
    left = []

    def rest(cells, *rest, **options):
        left.extend(cells)
        yield from ((cell, Outcome(FAILED, "it was made up again.")) for cell in cells)

    monkeypatch.setattr("acdc.sweeps.sweep.run_local", rest)
    code, out, err = call("resume", "s")
    assert len(left) == 2
    assert code == 2  # nothing came of it
    assert "it was made up again." in err
    assert "0 of 2 cells finished" in out
    assert (tmp_path / "s" / "table.csv").read_text().count("it was made up again.") == 2


def test_ctrl_c_says_how_to_go_on(begun, call, monkeypatch):
    code, _, err = call("resume", "s")
    assert code == 130
    assert err.rstrip().endswith("interrupted; 0 of 2 cells are finished in s. Go on with: acdc resume s")


def test_a_damaged_sweep_is_one_sentence(begun, refused, tmp_path):
    (tmp_path / "s" / "sweep.json").write_text("{")
    assert refused("resume", "s").startswith("s/sweep.json is not JSON")
    (tmp_path / "s" / "sweep.json").unlink()
    assert refused("resume", "s").startswith(
        "s is not a sweep's folder (it has no sweep.json); where that was lost, run"
    )
    (tmp_path / "s" / "sweep.json").symlink_to("elsewhere")
    assert refused("resume", "s") == "s/sweep.json is a link, not a file; put the sweep's own in its place."
