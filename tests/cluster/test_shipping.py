"""Files that a worker's machine lacks go there and back, and the run is that of one process at home."""

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from same_runs import same

import acdc
from acdc.errors import RunFolderError
from acdc.pairs.finding import find_task
from acdc.pairs.template.starting import start_template
from acdc.sweeps.cells import Cell
from acdc.sweeps.options import RunnerOptions
from acdc.sweeps.outcome import FAILED, FINISHED
from acdc.sweeps.parcels import parcels_of, put
from acdc.sweeps.raymessages import Home, Lacking, Prepared, Returned, Sent
from acdc.sweeps.rayworker import Worker, forget
from acdc.sweeps.worker import Full

pytestmark = pytest.mark.random_models

BUNDLED = Path(acdc.__file__).parent / "bundled" / "tiny-tasks"
TIMES = ("started", "seconds", "peak_memory_bytes", "estimated_memory_bytes", "fingerprint", "cost")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The folder that a sweep is driven from, which is the working directory: a model's checkpoint and a template."""
    folder = tmp_path / "home"
    shutil.copytree(BUNDLED, folder / "models" / "step-1")
    (folder / "runs").mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    start_template("mine", find_task("ioi"))
    return folder


def cell(name="one", **settings):
    return Cell(name, {"model": "models/step-1", "task": "mine.toml", "threshold": 0.3, "n": 3} | settings)


def worker(home, contents=None):
    """A worker in this process, as on a machine that doesn't see the driver's files."""
    (home / "mark").write_text("x")
    place = Home.here(home, ("mark", "y"), "of-a-test")
    return Worker(RunnerOptions(threads=1), place, None if contents is None else contents.__getitem__)


def sent(parcels, contents):
    """Parcels on their way; what stands for Ray's references are keys of `contents`."""
    found = {}
    for parcel in parcels:
        for part in parcel.parts:
            contents[parcel, part.name] = Path(parcel.root, part.name).read_bytes()
        found[parcel] = Sent(parcel.digests, [(parcel, part.name) for part in parcel.parts])
    return found


def test_a_cell_names_its_models_folder_and_what_its_template_reads(home):
    model, task = parcels_of(cell())
    assert {part.name for part in model.parts} == {file.name for file in BUNDLED.iterdir() if file.is_file()}
    assert model.at(Path("/there")) == "/there"
    assert "mine.toml" in {Path(part.name).name for part in task.parts}
    assert task.at(Path("/there")) == "/there/mine.toml"
    assert parcels_of(cell(model="tiny-tasks", task="ioi")) == ()
    (home / "own.py").write_text("")
    assert parcels_of(cell(task="own.py:Kind"))[1].at(Path("/there")) == "/there/own.py:Kind"


def test_a_worker_that_sees_nothing_is_sent_files_and_hands_back_the_same_run(home, tmp_path, monkeypatch):
    alone = acdc.discover("models/step-1", "mine.toml", threshold=0.3, n=3, out="alone", threads=1, progress=False)
    contents = {}
    parcels = parcels_of(cell())
    one, going = worker(home, contents), sent(parcels, contents)
    home.rename(tmp_path / "away")  # nothing of it is on this machine
    assert one.prepare(cell(), parcels, {}) == Lacking(parcels)
    assert isinstance(one.prepare(cell(), parcels, going), Prepared)
    contents.clear()  # what is unpacked isn't fetched again
    ended = one.run(cell(), parcels)
    assert isinstance(ended, Returned)
    assert ended.outcome.status == FINISHED, ended.outcome.sentence
    (tmp_path / "away").rename(home)
    monkeypatch.chdir(home)
    put(ended.files, home / "runs" / "one", home / ".incoming")
    run = acdc.Run.load(home / "runs" / "one")
    assert same(run, alone)
    records = [json.loads((home / name / "run.json").read_text()) for name in ("alone", "runs/one")]
    assert records[0].keys() == records[1].keys()
    for key in records[0].keys() - set(TIMES):
        assert records[0][key] == records[1][key], key
    again = acdc.discover("models/step-1", "mine.toml", threshold=0.3, n=3, out="runs/one", resume=True)
    assert again.record.started == run.record.started  # its seal holds, and its model and prompts are found again
    forget("of-a-test")
    assert not list(tmp_path.glob("acdc-sweep-*"))


def test_the_same_files_under_the_same_path_are_used_where_they_are(home, tmp_path):
    parcels = parcels_of(cell())
    digests = {parcel: Sent(parcel.digests, []) for parcel in parcels}
    one = worker(home)
    shutil.copytree(home, tmp_path / "copy")
    shutil.rmtree(home)
    (tmp_path / "copy").rename(home)  # as on a machine that has its own copy: written at another time, alike inside
    others = tuple(
        replace(parcel, parts=tuple(replace(part, stamp=(0, 0)) for part in parcel.parts)) for parcel in parcels
    )
    assert one.prepare(cell(), others, {}) == Lacking(others)
    digests = {other: digests[parcel] for other, parcel in zip(others, parcels, strict=True)}
    assert isinstance(one.prepare(cell(), others, digests), Prepared)  # nothing is fetched: there are no references


def test_a_cells_failure_names_what_the_caller_named(home, tmp_path, monkeypatch):
    (home / "bad.jsonl").write_text("{}\n")
    bad = cell(task="bad.jsonl")
    contents = {}
    parcels = parcels_of(bad)
    one, going = worker(home, contents), sent(parcels, contents)
    home.rename(tmp_path / "away")
    assert isinstance(one.prepare(bad, parcels, going), Prepared)
    ended = one.run(bad, parcels)
    assert (ended.outcome.status, ended.files) == (FAILED, None)
    assert ended.outcome.sentence.startswith("bad.jsonl")


def test_no_room_on_a_worker_is_said(home, tmp_path, monkeypatch):
    def full(self, content):
        raise OSError(28, "No space left on device")

    contents = {}
    parcels = parcels_of(cell())
    one, going = worker(home, contents), sent(parcels, contents)
    home.rename(tmp_path / "away")
    monkeypatch.setattr(Path, "write_bytes", full)
    stopped = one.prepare(cell(), parcels, going)
    assert isinstance(stopped, Full)
    assert "models/step-1 can't be unpacked" in stopped.sentence
    assert "No space left" in stopped.sentence


def test_a_run_that_comes_back_takes_the_place_of_what_was_begun(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "old").write_text("")
    put({"run.json": b"{}"}, tmp_path / "run", tmp_path / ".incoming")
    assert [file.name for file in (tmp_path / "run").iterdir()] == ["run.json"]
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="can't write"):
        put({"run.json": b"{}"}, tmp_path / "file", tmp_path / ".incoming")
    assert not (tmp_path / ".incoming").exists()
