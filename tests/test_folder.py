"""The run folder by itself: what is acdc's own in it, and under which versions a run went on."""

import json

import pytest

from acdc.errors import AcdcWarning, RunFolderError
from acdc.runs.folder import RunFolder, check_free


def record(**versions):
    return {
        "status": "running",
        "request": {"threshold": 0.1},
        "hashes": {},
        "versions": versions,
        "started": "now",
        "seconds": 0.0,
    }


def go_on(path, **versions):
    folder = RunFolder(path, record(**versions), resume=True)
    folder.trace.close()
    return folder.record


def test_resuming_under_other_versions_is_warned_of_and_kept(tmp_path):
    assert "earlier_versions" not in go_on(tmp_path, torch="2.6", numpy="2.0")
    with pytest.warns(AcdcWarning, match=r"under other versions: torch was 2\.6 and is 2\.7; decisions may differ"):
        go_on(tmp_path, torch="2.7", numpy="2.0")
    written = json.loads((tmp_path / "run.json").read_text())  # at once: a kill loses nothing
    assert written["versions"] == {"torch": "2.7", "numpy": "2.0"}
    assert written["earlier_versions"] == [{"torch": "2.6", "numpy": "2.0"}]
    assert go_on(tmp_path, torch="2.7", numpy="2.0")["earlier_versions"] == [{"torch": "2.6", "numpy": "2.0"}]
    with pytest.warns(AcdcWarning, match="rust was absent and is 1"):
        assert len(go_on(tmp_path, torch="2.7", numpy="2.0", rust="1")["earlier_versions"]) == 2


def test_only_half_written_files_of_acdc_are_cleared_away(tmp_path):
    go_on(tmp_path)
    ours = [".run.json.abc12345.part", ".circuit.json.abc12345.part", ".circuit.html.abc12345.part"]
    theirs = [".film.mkv.part", ".run.part", ".circuit.part"]
    for name in ours + theirs:
        (tmp_path / name).write_text("half")
    go_on(tmp_path)
    assert {path.name for path in tmp_path.glob(".*")} == set(theirs)


def test_a_folder_of_half_written_files_of_others_is_not_free(tmp_path):
    (tmp_path / ".run.json.abc12345.part").write_text("half")
    check_free(tmp_path, resume=False)
    (tmp_path / ".film.mkv.part").write_text("half")
    with pytest.raises(RunFolderError, match="exists already"):
        check_free(tmp_path, resume=False)


def test_a_link_to_nothing_is_refused_before_a_model_is_opened(tmp_path):
    (tmp_path / "run").symlink_to(tmp_path / "gone")
    with pytest.raises(RunFolderError, match=r"run is a link to nothing; choose another folder with `out`\.$"):
        check_free(tmp_path / "run", resume=False)
