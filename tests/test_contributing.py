"""CONTRIBUTING.md answers where things are changed, in three files at most, all of them there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: What is asked, in its words.
ASKED = [
    "add a metric",
    "add an ablation",
    "add a method",
    "add a selection",
    "add an export format",
    "add a task",
    "add a model family",
    "add a look at a model",
    "add what a notebook shows",
    "add a command",
    "change colours",
    "change the memory estimate",
    "change how progress is shown",
]
#: Named already, and not there yet.


@pytest.fixture(scope="module")
def rows():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return {row[0]: row[1] for row in re.findall(r"^\| (add .*?|change .*?) \| (.*?) \|", text, re.MULTILINE)}


def test_all_are_answered(rows):
    assert list(rows) == ASKED


@pytest.mark.parametrize("asked", ASKED)
def test_in_three_files_at_most(rows, asked):
    named = re.findall(r"`(.*?)`", rows[asked])
    assert 1 <= len(named) <= 3
    for path in named:
        assert (ROOT / path).exists(), path
