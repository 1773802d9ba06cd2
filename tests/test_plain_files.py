"""Tasks in plain Python files: found by file and class, and whatever fails names the line."""

import sys

import pytest

from acdc.errors import AcdcError, UnknownNameError
from acdc.pairs.finding import file_of, find_task

GOOD = """
from __future__ import annotations
from dataclasses import dataclass
import acdc
from acdc.pairs.task import Generated

@dataclass
class Number:
    value: int

class Counting(acdc.Task):
    name = "counting"
    summary = "numbers"
    corruptions = {"next": "the next number"}
    source = "made up"

    def generate(self, tokenizer, n, seed, split, corruption):
        first = 1 if split == "train" else 100
        return Generated([acdc.PromptPair((first + i, 1), (first + i, Number(2).value)) for i in range(n)])
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text):
        (tmp_path / "mine.py").write_text(text)
        return "mine.py"

    return write


def test_a_class_of_a_file(file, tmp_path):
    before = list(sys.path)
    task = find_task(f"{file(GOOD)}:Counting")
    assert (task.name, task.summary, task.source) == ("mine.py:Counting", "numbers", "made up")
    assert [path.name for path in task.files] == ["mine.py"]
    assert [pair.clean for pair in task.prompts(None, 2).pairs] == [(1, 1), (2, 1)]
    assert sys.path == before
    assert [path.name for path in tmp_path.iterdir()] == ["mine.py"]
    assert file_of("mine.py:Counting").name == "mine.py"


@pytest.mark.parametrize(
    ("text", "name", "says"),
    [
        (GOOD, "mine.py", "name the class: mine.py:Counting."),
        ("x = 1", "mine.py", "it has no subclass of acdc.Task."),
        (GOOD, "mine.py:Countin", "mine.py: unknown class 'Countin': did you mean Counting?"),
        (GOOD, "mine.py:Number", "mine.py:Number can't be made without arguments: TypeError"),
        ("x = 1\ndef f(:", "mine.py:A", "mine.py, line 2: this is not Python: "),
        ("\n\n1 / 0", "mine.py:A", "mine.py, line 3: ZeroDivisionError: division by zero."),
        (
            "import nothing_like_it",
            "mine.py:A",
            "mine.py, line 1: ModuleNotFoundError: No module named 'nothing_like_it'.",
        ),
        ("raise SystemExit(3)", "mine.py:A", "mine.py, line 1: SystemExit: 3."),
        ("class A:\n    pass", "mine.py:A", "mine.py:A is not an acdc.Task, but of the type A."),
        (GOOD.replace('name = "counting"', "name = None"), "mine.py:Counting", "its `name` must be text, not None."),
        (GOOD, "gone.py:Counting", "gone.py doesn't exist"),
    ],
)
def test_what_is_wrong_is_one_sentence(file, text, name, says):
    file(text)
    with pytest.raises(AcdcError) as caught:
        find_task(name)
    assert says in str(caught.value)
    assert ("unknown" in says) == isinstance(caught.value, UnknownNameError)


def test_what_fails_while_prompts_are_made_names_its_line(file):
    task = find_task(f"{file(GOOD.replace('first = 1 if', 'first = 1 // 0 if'))}:Counting")
    with pytest.raises(AcdcError, match=r"mine\.py, line 18: ZeroDivisionError"):
        task.prompts(None, 2)


@pytest.mark.parametrize("method", ["__init__(self)", "generate(self, *args)"])
def test_code_that_ends_python_is_named_with_its_line(file, method):
    file(f"{GOOD}\n\nclass Ending(Counting):\n    def {method}:\n        raise SystemExit(3)\n")
    with pytest.raises(AcdcError, match=r"mine\.py, line \d+") as caught:
        find_task("mine.py:Ending").prompts(None, 2)
    assert "SystemExit: 3." in str(caught.value)


def test_who_stops_it_stops_it(file):
    file(f"{GOOD}\n\nclass Ending(Counting):\n    def __init__(self):\n        raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        find_task("mine.py:Ending")
