"""What docs/sweeps.md has a newcomer type goes through as it stands there, in a short form of its sweep."""

import re
import shlex
from pathlib import Path

import pytest

import acdc.sweeps.planning
import acdc.sweeps.plots
from acdc.sweeps.grid import Grid
from acdc.sweeps.options import Needs
from acdc.sweeps.planning import Planned

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "sweeps.md").read_text(encoding="utf-8")
FILE = Path("docs/examples/small-circuits.toml")
#: Of the file and of commands, what makes them a matter of seconds.
SHORT = {
    'task = ["ioi", "pronouns"]': 'task = ["ioi"]',
    "n = 20": "n = 2",
    '"0:3"': "[0, 1]",
    '"0.0001:0.1:7log"': "[0.1, 1.0]",
    "[20, 50, 100, 200, 400, 800]": "[10, 20]",
}


def blocks(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def commands(page):
    lines = re.findall(r"^    acdc (.*)$", page, re.MULTILINE)
    return [shlex.split(line, comments=True) for line in lines]


@pytest.fixture
def short(monkeypatch, tmp_path):
    """The example's file in the working directory, made short; nothing is painted, nor timed to plan cells."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(acdc.sweeps.plots, "write", lambda figure, path: path.write_text("a picture"))
    monkeypatch.setattr(
        acdc.sweeps.planning, "plan", lambda grid, options: [Planned(cell, Needs(1)) for cell in grid.cells]
    )
    text = (ROOT / FILE).read_text(encoding="utf-8")
    for long, brief in SHORT.items():
        assert long in text
        text = text.replace(long, brief)
    FILE.parent.mkdir(parents=True)
    FILE.write_text(text, encoding="utf-8")


def test_the_page_shows_the_file(tmp_path):
    (shown,) = blocks("toml")
    (tmp_path / "shown.toml").write_text(shown, encoding="utf-8")
    assert Grid.of(tmp_path / "shown.toml") == Grid.of(ROOT / FILE)
    assert len(Grid.of(ROOT / FILE).cells) == 78


def test_every_command_and_all_python_of_the_page(call, short):
    pytest.importorskip("matplotlib")
    ran = 0
    for words in commands(PAGE):
        if "--cluster" in words:
            continue
        if "--task" in words:
            words = [*words, "--n", "2", "--seed", "0", "--dry-run"]  # the last of an option counts
        elif words[:2] == ["sweep", str(FILE)] and "--dry-run" not in words:
            words = [*words, "--jobs", "0"]
        code, out, err = call(*words)
        assert code == 0, (words, err)
        assert out
        ran += 1
    assert ran >= 8
    names = {}
    for block in blocks("python"):
        brief = block.replace("> 0.9", "> -9").replace("0.01:1:3log", "0.1:1:2log").replace('"n": 5', '"n": 2')
        exec(compile(brief, "docs/sweeps.md", "exec"), names)
    assert len(names["found"].rows) == 4
    assert Path("sweeps/in-python/table.parquet").is_file()


def test_the_readme_shows_commands_of_the_page():
    readme = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Many runs")[2].partition("\n## ")[0]
    assert len(commands(readme)) == 5
    assert all(words in commands(PAGE) for words in commands(readme))
