"""``acdc task check`` on a model: figures, groups, the worst prompts, doubts; and ``acdc tasks``."""

import contextlib
import io
import json
import sys
from unittest import mock

import pytest
from tiny import pairs

from acdc.cli.main import main

TEXT = {"clean": "Mary met John. John saw", "corrupted": "Mary met John. Ann saw", "answer": " Mary"}


@pytest.fixture(scope="module")
def checked():
    """The output of a check of pronouns on the bundled model."""
    out, err = io.StringIO(), io.StringIO()
    words = ["acdc", "task", "check", "pronouns", "--model", "tiny-tasks", "--n", "40"]
    with (
        mock.patch.object(sys, "argv", words),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    assert ended.value.code == 0, err.getvalue()
    return out.getvalue(), err.getvalue()


def test_every_corruption_on_used_and_held_out_prompts(checked):
    out, err = checked
    lines = [line.split() for line in out.splitlines()]
    firsts = [line[0] for line in lines if line[1:] and line[1].endswith("%")]
    assert firsts.count("clean") == 2
    assert firsts.count("that-person") == 2
    assert firsts.count("opposite-gender") == 2
    assert "40 prompts, used" in out
    assert "40 prompts, held out" in out
    used = next(line for line in lines if line[:1] == ["clean"])
    assert used[1] == "100.0%"
    assert "warning" not in err


def test_templates_answers_and_the_worst_prompts(checked):
    out, _ = checked
    assert "by template, 40 prompts, held out, under that-person" in out
    assert "by answer, 40 prompts, held out, under that-person" in out
    assert "' she'" in out
    assert "the worst 5 of 40 prompts, held out" in out
    assert out.count("the right answer's logit is") == 5
    assert out.count("; the model says ' ") + out.count("; the model") >= 5
    assert max(map(len, out.splitlines())) <= 110


def test_json_is_all_of_it(call, file, gpt2_folder):
    code, out, err = call("task", "check", file(*pairs(12)), "--model", gpt2_folder, "--n", 6, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["task"] == "pairs.jsonl"
    assert [(one["corruption"], one["which"], one["n_prompts"]) for one in found["prompts"]] == [
        ("file", "used", 6),
        ("file", "held out", 6),
    ]
    used = found["prompts"][0]
    mean = used["figures"]["clean"]["logit_difference"]["mean"]
    values = used["values"]["clean"]["logit_difference"]
    assert mean == pytest.approx(sum(values) / len(values))
    assert {"low", "high", "spread"} <= used["figures"]["corrupted"]["logit_difference"].keys()
    assert len(used["worst"]) == 5
    assert any("pairs are few" in doubt or "the model" in doubt for doubt in found["doubts"])


def test_json_without_a_model_says_what_can_be_told(call, file):
    code, out, err = call("task", "check", file(*pairs(12)), "--n", 6, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["prompts"][0]["lengths"] == [6]
    assert "figures" not in found["prompts"][0]


def test_doubts_are_warned_of_once_with_the_line(call, file, gpt2_folder):
    early = {"clean_tokens": [1, 2, 3], "corrupted_tokens": [1, 2, 4], "answer_token": 5, "answer_position": 1}
    for model in ((), ("--model", gpt2_folder)):
        code, _, err = call("task", "check", file(*pairs(5), early), *model)
        assert code == 0, err
        lines = [line for line in err.splitlines() if "before the first token that differs" in line]
        assert len(lines) == 1
        assert lines[0].startswith("acdc: warning: pairs.jsonl: in 1 of 6 prompt pairs the answer is read before")
        assert "pairs.jsonl, line 6: read after token 1, the first that differs is 2" in lines[0]


def test_held_out_pairs_that_are_used_ones_are_warned_of(call, file, gpt2_folder):
    lines = [TEXT | {"clean": clean} for clean in ("Mary met John. Ann and", "Mary and Ann. John met")]
    lines = [line | {"split": split} for line, split in zip(lines, ("train", "test"), strict=True)]
    code, _, err = call("task", "check", file(*lines), "--tokenizer", gpt2_folder)
    assert code == 0, err
    assert "have the clean prompt of a used one" in err


def test_one_corruption_alone(call, refused):
    words = ("task", "check", "pronouns", "--model", "tiny-tasks", "--n", 4)
    code, out, _ = call(*words, "--corruption", "opposite-gender")
    assert code == 0
    assert "that-person" not in out
    said = refused(*words, "--corruption", "oposite-gender")
    assert said.startswith("unknown corruption 'oposite-gender': did you mean opposite-gender")


def test_tasks_as_a_table_and_as_json(call):
    code, out, err = call("tasks")
    assert code == 0, err
    assert max(map(len, out.splitlines())) <= 80
    assert 'Antonyms: "The opposite of hot' in out
    code, found, _ = call("tasks", "--json")
    assert code == 0
    tasks = {task["name"]: task for task in json.loads(found)}
    assert tasks["ioi"]["metric"] == "logit-diff"
    assert tasks["ioi"]["has_reference"]
    assert "swapped-names" in tasks["ioi"]["corruptions"]
    assert all(name in out for name in tasks)
    assert len(out.splitlines()) <= 2 * len(tasks) + 6  # two lines a task
