"""A word file that was changed between a run and what is done with it: one sentence says so."""

import os
import time

import pytest

TEMPLATE = """
summary = "gifts"
templates = ["Then {friend} and {giver} met at the park. {giver} gave a ring to"]
answer = " {friend}"
wrong_answers = " {giver}"
[slots]
giver = "names"
friend = "names"
[corruptions.others]
isolates = "who they are"
replace = { giver = { another = "names" }, friend = { another = "names" } }
[words]
names = "names.toml"
"""
BEFORE = 'names = "Mary John Alice Paul Simon Anna James Laura Peter Sarah Mark Emma David Julia"'
AFTER = 'names = "Emma Mark Sarah Peter Laura James Anna Simon Paul Alice John Mary David Julia"'


@pytest.fixture
def options(file):
    file(BEFORE, name="names.toml")
    return [file(TEMPLATE, name="gifts.toml"), "--model", "tiny-tasks", "--n", 4, "--out", "run"]


def change(file, tmp_path):
    """Rewrite the word file, a minute after the run began."""
    later = time.time() + 60
    os.utime(tmp_path / file(AFTER, name="names.toml"), (later, later))


def test_a_finished_run_is_told_by_every_command(options, file, tmp_path, call, refused):
    assert call("discover", *options, "--threshold", 0.05)[0] == 0
    assert "changed" not in call("resume", "run")[2]
    change(file, tmp_path)
    assert "prompts of 'gifts.toml' aren't those that run was found on" in refused("evaluate", "run")
    assert "begun before names.toml was last changed" in refused("discover", *options, "--threshold", 0.05)
    assert "the data changed" in refused("discover", *options, "--threshold", 0.05, "--resume")
    code, _, err = call("resume", "run")
    assert code == 0
    assert f"{tmp_path / 'names.toml'} changed after that run began" in err


def test_an_interrupted_run_does_not_go_on(options, file, tmp_path, interrupted, refused):
    interrupted("discover", *options)
    change(file, tmp_path)
    assert "the data changed" in refused("resume", "run")
