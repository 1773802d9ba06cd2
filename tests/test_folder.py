"""The run folder by itself: what is acdc's own in it, and under which versions a run went on."""

import json
import os
from datetime import datetime

import pytest

from acdc.errors import AcdcWarning, RunFolderError
from acdc.runs.folder import RunFolder, check_free, read_record
from acdc.runs.record import Record
from acdc.runs.run import Run

RAW = {
    "status": "running",
    "request": {"threshold": 0.1},
    "hashes": {},
    "versions": {},
    "started": "now",
    "seconds": 0.0,
}


def record(**versions):
    return Record.from_json(RAW | {"versions": versions})


def go_on(path, **versions):
    folder = RunFolder(path, record(**versions), resume=True)
    folder.trace.close()
    return folder.record.to_json()


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


# Only acdc's own files are written, by one process at a time.


def files_of(path):
    return {entry.name: (entry.read_bytes(), entry.lstat().st_mtime_ns) for entry in path.iterdir()}


@pytest.mark.parametrize("name", ["trace.jsonl", "run.json", "circuit.json"])
@pytest.mark.parametrize("kind", ["link", "dangling link", "pipe", "directory"])
def test_a_run_goes_on_only_over_files_of_its_own(tmp_path, name, kind):
    run = tmp_path / "run"
    go_on(run)
    dear = tmp_path / "dear.txt"
    dear.write_text("years of work")
    if (run / name).exists():
        (run / name).unlink()
    if kind == "pipe":
        os.mkfifo(run / name)
    elif kind == "directory":
        (run / name).mkdir()
    else:
        (run / name).symlink_to(dear if kind == "link" else tmp_path / "nowhere")
    with pytest.raises(RunFolderError):
        go_on(run)
    assert dear.read_text() == "years of work"
    assert not (tmp_path / "nowhere").exists()


def test_a_file_with_a_second_name_is_not_written(tmp_path):
    go_on(tmp_path / "run")
    dear = tmp_path / "dear.txt"
    dear.write_text("years of work")
    (tmp_path / "run" / "trace.jsonl").unlink()
    (tmp_path / "run" / "trace.jsonl").hardlink_to(dear)
    with pytest.raises(RunFolderError, match="has a second name elsewhere"):
        go_on(tmp_path / "run")
    assert dear.read_text() == "years of work"


def test_a_trace_that_is_no_trace_is_not_emptied(tmp_path):
    go_on(tmp_path)
    (tmp_path / "trace.jsonl").write_text("years of work")
    before = files_of(tmp_path)
    with pytest.raises(RunFolderError, match="it is not a run's trace"):
        go_on(tmp_path)
    assert files_of(tmp_path) == before


def test_a_folder_is_held_until_it_is_closed(tmp_path):
    with RunFolder(tmp_path / "run", record(), resume=True) as folder:
        folder.write_record()
        before = files_of(tmp_path / "run")
        for resume in (True, False):
            with pytest.raises(RunFolderError, match=r"another process is writing|exists already"):
                RunFolder(tmp_path / "run", record(), resume=resume)
        assert files_of(tmp_path / "run") == before
        with pytest.raises(RunFolderError, match="another process is at work on it"):
            Run.load(tmp_path / "run")
        assert not read_record(tmp_path / "run").finished
    go_on(tmp_path / "run")


def test_two_fresh_runs_do_not_make_one_folder(tmp_path, monkeypatch):
    """Both find it free; the second comes when the first has just begun."""
    with RunFolder(tmp_path / "run", record(), resume=False):
        monkeypatch.setattr("acdc.runs.folder.check_free", lambda *args, **kwargs: None)
        monkeypatch.setattr("acdc.runs.folder.is_regular", lambda path: False)
        with pytest.raises(RunFolderError, match="another process is writing"):
            RunFolder(tmp_path / "run", record(), resume=False)


def test_looking_at_a_run_clears_what_a_kill_left_but_not_what_is_being_written(tmp_path):
    go_on(tmp_path)
    part = tmp_path / ".circuit.json.abc12345.part"
    with RunFolder(tmp_path, record(), resume=True):
        part.write_text("half")
        with pytest.raises(RunFolderError, match="isn't finished"):
            Run.load(tmp_path)
        assert part.exists()
    with pytest.raises(RunFolderError, match="isn't finished; go on with it by acdc resume"):
        Run.load(tmp_path)
    assert not part.exists()


def test_only_files_are_cleared_away(tmp_path):
    go_on(tmp_path)
    (tmp_path / ".run.json.abc.part").mkdir()
    (tmp_path / ".circuit.svg.abc.part").symlink_to("run.json")
    go_on(tmp_path)
    assert (tmp_path / ".run.json.abc.part").is_dir()
    assert (tmp_path / ".circuit.svg.abc.part").is_symlink()


def test_a_kill_between_trace_and_record_leaves_a_folder_that_can_be_used(tmp_path):
    (tmp_path / "trace.jsonl").touch()
    (tmp_path / ".run.json.abc12345.part").write_text("half")
    for resume in (False, True):
        check_free(tmp_path, resume=resume)
    with RunFolder(tmp_path, record(), resume=False) as folder:
        assert not folder.resumed
    (tmp_path / "run.json").unlink()
    (tmp_path / "trace.jsonl").write_text("years of work")
    with pytest.raises(RunFolderError, match="is not a run folder"):
        check_free(tmp_path, resume=False)


# Advice that would work.


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ({"threshold": 0.1}, "running", "exists already; go on with it by"),
        ({"threshold": 0.2}, "running", r"with other settings \(threshold was 0\.1 and is 0\.2\)"),
        ({"threshold": 0.1}, "finished", "holds a run of these settings, finished; look at it by acdc show"),
        ({"threshold": 0.2}, "finished", "with other settings"),
    ],
)
def test_advice_to_go_on_is_given_where_it_would_work(tmp_path, asked, status, said):
    go_on(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps(RAW | {"status": status}))
    with pytest.raises(RunFolderError, match=said) as error:
        check_free(tmp_path, resume=False, asked=asked)
    assert ("go on" in str(error.value)) == ("go on" in said)


@pytest.mark.parametrize("status", ["running", "finished"])
def test_a_run_on_a_prompt_file_that_was_changed_since_is_no_run_of_these_settings(tmp_path, status):
    folder, file = tmp_path / "run", tmp_path / "pairs.jsonl"
    go_on(folder)
    asked = {"threshold": 0.1, "task": str(file)}
    started = "2026-01-01T12:00:00+00:00"
    (folder / "run.json").write_text(json.dumps(RAW | {"status": status, "started": started, "request": asked}))
    file.write_text("")
    for seconds, said in (
        (-60, "go on with it|of these settings"),
        (60, r"begun before .*pairs\.jsonl was last changed"),
    ):
        os.utime(file, (0, datetime.fromisoformat(started).timestamp() + seconds))
        with pytest.raises(RunFolderError, match=said):
            check_free(folder, resume=False, asked=asked)


def test_a_damaged_record_is_no_run_to_go_on_with(tmp_path):
    go_on(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(RunFolderError, match="can't be gone on with") as error:
        check_free(tmp_path, resume=False)
    assert "resume=True" not in str(error.value)
