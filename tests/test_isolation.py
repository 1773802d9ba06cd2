"""No code from the working directory: whatever lies there, nothing of it is run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_export import EDGES, circuit_of

#: What a run or an export imports, by acdc itself, by Python, or by what it starts.
MODULES = (
    *("torch", "click", "json", "pygraphviz", "graphviz", "networkx", "rich", "numpy", "transformers", "typing"),
    *("__future__", "importlib", "io", "re", "os", "tempfile", "subprocess", "shlex", "fileinput", "bz2", "warnings"),
    *("sitecustomize", "usercustomize", "zlib", "string", "pathlib", "tqdm", "wandb", "transformer_lens", "acdc_tasks"),
)


@pytest.fixture
def trap(tmp_path):
    """A folder with a circuit, in which every module and program leaves a mark; gives it and the marks."""
    folder, marks = tmp_path / "run", tmp_path / "marks"
    folder.mkdir()
    marks.mkdir()
    circuit_of(*EDGES).save(folder / "circuit.json")
    for name in MODULES:
        (folder / f"{name}.py").write_text(f"open({str(marks / name)!r}, 'w').close()\nraise SystemExit('{name}')\n")
    for name in ("dot", "neato", "git"):
        (folder / name).write_text(f"#!/bin/sh\ntouch '{marks / name}'\n")
        (folder / name).chmod(0o755)
    return folder, marks


def started(*command, cwd, **environment):
    done = subprocess.run(command, cwd=cwd, env=os.environ | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("path", ["", ".", ":", "{cwd}", "{link}"])
def test_drawing_runs_nothing_of_the_working_directory(trap, tmp_path, path):
    folder, marks = trap
    (tmp_path / "link").symlink_to(folder)
    place = path.format(cwd=folder, link=tmp_path / "link")
    script = f"""
import sys
here = sys.path.index('')
del sys.path[here]  # what the test itself imports is Python's
from acdc.circuit import Circuit
from acdc.export import export_circuit
circuit = Circuit.load("circuit.json")
export_circuit(circuit, "dot", "circuit.dot")
import acdc.export.render
sys.path[:0] = ['', {place!r}]  # as in a notebook
export_circuit(circuit, "svg", "circuit.svg")
"""
    started(
        *(sys.executable, "-c", script), cwd=folder, PATH=f"{place}{os.pathsep}{os.environ['PATH']}", GVBINDIR=place
    )
    assert (folder / "circuit.svg").read_bytes().startswith(b"<?xml")
    assert not list(marks.iterdir())


def test_the_module_runs_nothing_of_the_working_directory(trap):
    folder, marks = trap
    for name in ("runpy", "pkgutil"):
        assert not (folder / f"{name}.py").exists()  # Python itself runs those before acdc can say a word
    out = started(sys.executable, "-m", "acdc", "--help", cwd=folder)
    assert out.startswith("Usage: acdc [OPTIONS]")
    started(sys.executable, "-m", "acdc", "export", "circuit.json", "--format", "png", cwd=folder)
    started(sys.executable, "-m", "acdc", "tasks", cwd=folder)
    assert not list(marks.iterdir())


def test_a_package_that_lies_in_the_working_directory_registers_no_task(trap):
    folder, _ = trap
    (folder / "evil-1.0.dist-info").mkdir()
    (folder / "evil-1.0.dist-info" / "METADATA").write_text("Name: evil\nVersion: 1.0\n")
    (folder / "evil-1.0.dist-info" / "entry_points.txt").write_text("[acdc.tasks]\nevil = acdc_tasks:Task\n")
    assert "evil" not in started(sys.executable, "-m", "acdc", "tasks", cwd=folder)


def fake_pygraphviz(folder):
    """A package that draws one word."""
    (folder / "pygraphviz").mkdir(parents=True)
    (folder / "pygraphviz" / "__init__.py").write_text(
        "class AGraph:\n"
        "    graph_attr = {}\n"
        "    def __init__(self, string): pass\n"
        "    def draw(self, format, prog): return b'drawn by the fake'\n"
    )


DRAW = "from acdc.export.render import render; print(render('digraph {}', 'svg').decode())"


def test_an_installation_named_by_the_environment_is_found(tmp_path):
    fake_pygraphviz(tmp_path / "libs")
    (tmp_path / "cwd").mkdir()
    out = started(sys.executable, "-c", DRAW, cwd=tmp_path / "cwd", PYTHONPATH=str(tmp_path / "libs"))
    assert out.strip() == "drawn by the fake"


def test_an_installation_of_the_user_is_found(tmp_path):
    fake_pygraphviz(tmp_path / "libs")
    draw = f"import sys; sys.path.insert(0, {str(tmp_path / 'libs')!r}); {DRAW}"  # where site puts the user's, or not
    assert started(sys.executable, "-c", draw, cwd=tmp_path).strip() == "drawn by the fake"


@pytest.mark.skipif(os.name == "nt", reason="a shell script stands for Graphviz")
def test_the_system_s_graphviz_is_found_but_not_one_in_the_working_directory(tmp_path):
    for folder in ("bin", "cwd"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "dot").write_text(f"#!/bin/sh\ncat >/dev/null; echo drawn in {folder}\n")
        (tmp_path / folder / "dot").chmod(0o755)
    without = "import sys, numpy; sys.path[:] = [place for place in sys.path if 'site-packages' not in place]"
    path = os.pathsep.join(["", ".", str(tmp_path / "cwd"), str(tmp_path / "bin"), os.environ["PATH"]])
    root = str(Path(__file__).parents[1])
    out = started(sys.executable, "-c", f"{without}; {DRAW}", cwd=tmp_path / "cwd", PATH=path, PYTHONPATH=root)
    assert out.strip() == "drawn in bin"


def test_an_empty_part_of_pythonpath_is_not_the_working_directory(trap):
    folder, marks = trap
    export = ("export", "circuit.json", "--format", "png")
    early = set(MODULES) - {
        "click",
        "torch",
        "numpy",
        "rich",
        "pygraphviz",
        "tqdm",
    }  # these, Python may run before acdc
    for name in early:
        (folder / f"{name}.py").unlink()
    script = "import sys; del sys.path[0]; from acdc.cli.main import main; main()"  # as the installed command does
    for path in (f"{os.pathsep}{folder.parent}", f"{folder.parent}{os.pathsep}"):
        started(sys.executable, "-c", script, *export, cwd=folder, PYTHONPATH=path)
        (folder / "circuit.png").unlink()
    assert not list(marks.iterdir())
