"""What stands in docstrings and in the README as an example runs, and gives what it says."""

import doctest
import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "acdc").rglob("*.py")
    if any(">>>" in line and "+SKIP" not in line for line in path.read_text(encoding="utf-8").splitlines())
)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_a_module(name):
    found = doctest.testmod(import_module(name), report=True)
    assert found.attempted
    assert not found.failed


def test_newcomers_find_examples():
    looked_at = {"acdc", "acdc.circuit", "acdc.export", "acdc.graph", "acdc.metrics", "acdc.pairs.pairs"}
    assert looked_at <= set(EXAMPLES)


def test_the_python_of_the_readme():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 2
    names = {}
    for block in blocks:
        exec(compile(block.replace('"gpt2"', '"tiny-tasks"'), "README.md", "exec"), names)  # the hub can't be reached
    assert names["run"].circuit.n_edges
    assert Path("circuit.svg").is_file()
