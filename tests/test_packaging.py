"""The wheel holds what it should, and light modules stay light."""

import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    if not find_spec("setuptools"):
        pytest.skip("building a wheel offline needs setuptools in the environment")
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    subprocess.run([*command, "--wheel-dir", out, sources(out / "source")], check=True)
    (path,) = out.glob("*.whl")
    with zipfile.ZipFile(path) as opened:
        yield opened


def sources(folder):
    """A copy of what the wheel is made of: building in place leaves folders behind."""
    for name in ("acdc", "tasks"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, folder)
    return folder


def modules(folder, package):
    return {f"{package}/{path.name}" for path in (ROOT / folder).glob("*.py")}


def test_the_wheel_holds_every_module(wheel):
    expected = modules("tasks", "acdc/tasks")
    for package in (ROOT / "acdc").rglob("__init__.py"):
        expected |= modules(package.parent, package.parent.relative_to(ROOT).as_posix())
    assert expected <= set(wheel.namelist())
    assert "acdc/py.typed" in wheel.namelist()


def test_the_wheel_holds_the_bundled_models(wheel):
    suffixes = {".json", ".safetensors", ".md"}
    files = [path for path in (ROOT / "acdc" / "bundled").rglob("*") if path.suffix in suffixes]
    assert {path.relative_to(ROOT).as_posix() for path in files} <= set(wheel.namelist())


def test_the_wheel_puts_nothing_but_acdc_into_an_environment(wheel):
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"acdc"}


def test_the_metadata_names_the_licence_the_command_and_the_tasks(wheel):
    folder = next(name.split("/")[0] for name in wheel.namelist() if ".dist-info/" in name)
    metadata = Parser().parsestr(wheel.read(f"{folder}/METADATA").decode())
    assert "MIT" in (metadata["License-Expression"], metadata["License"])
    assert any(name.startswith(folder) and name.endswith("/LICENSE") for name in wheel.namelist())
    entry_points = wheel.read(f"{folder}/entry_points.txt").decode()
    assert "acdc = acdc.cli.main:main" in entry_points
    assert "ioi = acdc.tasks." in entry_points


def test_light_modules_import_neither_torch_nor_transformer_lens():
    script = """
import sys
import acdc.circuit, acdc.cli.main, acdc.export, acdc.graph, acdc.metrics
import acdc.pairs.finding, acdc.pruning.pruner, acdc.runs.run
heavy = {"torch", "transformers", "transformer_lens", "networkx", "graphviz", "pygraphviz"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", script], check=True)
