"""Only acdc's own files are written over, and what is written is what its name says."""

import os
import shutil

import pytest

from acdc.circuit import Circuit
from acdc.errors import RunFolderError
from acdc.export import FORMATS, export_circuit
from acdc.files import atomic_write

PICTURES = [format for format in FORMATS if format != "json"]


@pytest.fixture
def run(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


@pytest.mark.parametrize("format", PICTURES)
def test_a_picture_in_a_run_folder_is_drawn_anew(call, run, format):
    picture = run / f"circuit{FORMATS[format]}"
    for source in ("run", "run/circuit.json"):
        picture.write_text("old")
        assert call("export", source, "--format", format)[0] == 0
        assert picture.read_bytes() != b"old"


@pytest.mark.parametrize("format", PICTURES)
def test_a_file_beside_a_circuit_elsewhere_is_left(refused, call, run, tmp_path, format):
    for name in ("notes", "circuit"):  # the name alone makes no file acdc's
        shutil.copy(run / "circuit.json", tmp_path / f"{name}.json")
        mine = tmp_path / f"{name}{FORMATS[format]}"
        mine.write_text("years of work")
        said = refused("export", f"{name}.json", "--format", format)
        assert said == f"{mine.name} exists already; choose another file with --out."
        mine.unlink()
        assert call("export", f"{name}.json", "--format", format)[0] == 0


@pytest.mark.parametrize("record", ["", "{}", '{"status": "finished"}', "[1]"])
def test_a_folder_with_another_s_run_json_is_no_run_folder(refused, run, record):
    (run / "run.json").write_text(record)
    (run / "circuit.html").write_text("years of work")
    assert refused("export", "run", "--format", "html-table").startswith("run/circuit.html exists already")


def test_other_names_in_a_run_folder_are_left(refused, run):
    shutil.copy(run / "circuit.json", run / "notes.json")
    (run / "notes.html").write_text("years of work")
    assert refused("export", "run/notes.json", "--format", "html-table").startswith("run/notes.html exists already")


def stand_ins(path):
    """What may stand in a file's place, each made at `path`."""
    elsewhere = path.parent.parent / "dear.txt"
    elsewhere.write_text("dear")
    yield "a link", lambda: path.symlink_to(elsewhere)
    yield "a link", lambda: path.symlink_to("nowhere")
    yield "a folder", path.mkdir
    if hasattr(os, "mkfifo"):
        yield "a pipe", lambda: os.mkfifo(path)


def test_what_is_no_file_is_left(refused, run):
    picture = run / "circuit.dot"
    for _, make in stand_ins(picture):
        make()
        before = picture.lstat()
        assert refused("export", "run", "--format", "dot").startswith("run/circuit.dot exists already")
        assert refused("export", "run", "--out", "run/circuit.dot").startswith("run/circuit.dot exists already")
        assert os.path.samestat(picture.lstat(), before)
        picture.rmdir() if picture.is_dir() else picture.unlink()
    assert (run.parent / "dear.txt").read_text() == "dear"


def test_from_python_a_file_is_replaced_and_nothing_else(run):
    circuit = Circuit.load(run / "circuit.json")
    path = run / "out.dot"
    path.write_text("old")
    assert export_circuit(circuit, "dot", path).read_text() != "old"
    path.unlink()
    for kind, make in stand_ins(path):
        make()
        for write in (lambda: export_circuit(circuit, "dot", path), lambda: circuit.save(path)):
            with pytest.raises(RunFolderError, match=f"can't write .*: it is {kind}; choose another name"):
                write()
        path.rmdir() if path.is_dir() else path.unlink()
    assert (run.parent / "dear.txt").read_text() == "dear"


def test_discover_draws_over_nothing_that_is_not_a_file(call, run, tmp_path, gpt2_folder, finished):
    (tmp_path / "dear.svg").write_text("dear")
    (run / "circuit.svg").symlink_to(tmp_path / "dear.svg")
    task = finished.parent / "pairs.jsonl"
    code, out, err = call("discover", task, "--model", gpt2_folder, "--n", 4, "--out", "run", "--resume")
    assert code == 0, err
    assert "acdc: warning: no diagram: can't write run/circuit.svg: it is a link" in err
    assert (tmp_path / "dear.svg").read_text() == "dear"
    assert out.splitlines()[-1] == "run/circuit.json"


@pytest.mark.parametrize("name", ["a\0b.dot", "a\ud800b.dot"])
def test_a_name_that_no_file_can_have_is_refused(run, tmp_path, name):
    with pytest.raises(RunFolderError, match="no file can have that name"):
        export_circuit(Circuit.load(run / "circuit.json"), "dot", tmp_path / name)
    with pytest.raises(RunFolderError, match="no file can have that name"), atomic_write(tmp_path / name):
        pass


@pytest.mark.parametrize("ending", [*FORMATS.values(), ".SVG", ".Html"])
def test_the_ending_says_the_format(call, run, tmp_path, ending):
    code, out, err = call("export", "run", "--out", f"a.b{ending}")
    assert (code, out) == (0, f"a.b{ending}\n"), err
    format = next(name for name, known in FORMATS.items() if known == ending.lower())
    call("export", "run", "--format", format, "--out", "same")
    if format != "pdf":  # which holds its date
        assert (tmp_path / f"a.b{ending}").read_bytes() == (tmp_path / "same").read_bytes()


def test_an_ending_that_says_nothing_is_refused(refused, run):
    for name in ("a", "a.txt", ".svg", "svg"):
        said = refused("export", "run", "--out", name)
        assert said.startswith(f"{name} doesn't end in one of .svg, .png,")
    assert refused("export", "run").startswith("give --format, or a file to write with --out")


def test_an_ending_that_says_another_format_is_refused(refused, run):
    said = refused("export", "run", "--format", "svg", "--out", "a.png")
    assert said == "a.png ends as png does, but --format says svg; change one of them."


def test_a_file_that_is_said_to_be_there_is_there_and_a_circuit(call, refused, run):
    whole = (run / "circuit.json").read_bytes()
    (run / "circuit.json").unlink()
    assert call("export", "run", "--format", "json")[1] == "run/circuit.json\n"
    assert (run / "circuit.json").read_bytes() == whole
    (run / "circuit.json").write_text("torn")
    assert refused("export", "run", "--format", "json").startswith("run/circuit.json isn't a circuit")
    assert refused("export", "run/run.json", "--format", "json").startswith("run/run.json isn't a circuit")
