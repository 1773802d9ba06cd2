"""``--bos`` and ``--allow-misaligned``, of ``discover`` and of ``task check``."""

import json

import made_tokenizers as made
import pytest
from tiny import gpt2

STORE = "When {} and {} went to the store, {} gave a drink to"
PAIRS = [
    {"clean": STORE.format("Mary", "John", "John"), "corrupted": STORE.format("Alice", "Paul", "Carl")},
    {"clean": STORE.format("Peter", "John", "John"), "corrupted": STORE.format("Alice", "Paul", "Carl")},
]
MOVED = {"clean": STORE.format("kettle", "John", "John"), "corrupted": STORE.format("John", "kettle", "John")}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tokenizer = made.gpt2_like()
    gpt2(vocab_size=len(tokenizer), n_positions=32).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_bos_is_said_and_recorded(call, file, model, tmp_path):
    _, _, err = call("discover", file(*PAIRS), "--model", model, "--out", "plain", "--threshold", 100)
    assert "prompts begin without a BOS; the tokenizer has '<|endoftext|>' (" in err
    code, _, err = call("discover", file(*PAIRS), "--model", model, "--out", "run", "--threshold", 100, "--bos", "yes")
    assert code == 0, err
    assert "prompts begin with '<|endoftext|>'" in err
    record, plain = (json.loads((tmp_path / name / "run.json").read_text()) for name in ("run", "plain"))
    assert (record["request"]["bos"], plain["request"]["bos"]) == ("yes", "auto")
    assert record["request"]["allow_misaligned"] is False
    assert record["hashes"]["data"] != plain["hashes"]["data"]


def test_misaligned_pairs(call, refused, file, model):
    name = file(*PAIRS, MOVED)
    assert "pairs.jsonl, line 3: the prompts have as many tokens but" in refused(
        "task", "check", name, "--model", model
    )
    code, out, err = call("task", "check", name, "--model", model, "--allow-misaligned")
    assert code == 0, err
    assert out.startswith("pairs.jsonl: 3 pairs of ")
    assert "2 lined up token by token, 1 not lined up" in out
    assert "acdc: warning: pairs.jsonl: in 1 of 3 prompt pairs clean and corrupted words don't stand" in err
    run = ("discover", name, "--model", model, "--threshold", 100, "--out", "run")
    assert "line 3: the prompts have as many tokens but" in refused(*run)
    assert call(*run, "--allow-misaligned")[0] == 0


def test_task_check_says_how_prompts_begin(call, refused, file, model):
    out = call("task", "check", file(*PAIRS), "--model", model, "--bos", "yes")[1]
    assert out.splitlines()[1] == "prompts begin with '<|endoftext|>'"
    assert "unknown bos 'maybe': " in refused("task", "check", file(*PAIRS), "--model", model, "--bos", "maybe")


def test_tables_show_how_often_the_likeliest_token_is_right(call, file, model):
    pairs = [{**pair, "answer": f" {name}"} for pair, name in zip(PAIRS, ("Mary", "Peter"), strict=True)]
    code, out, err = call("discover", file(*pairs), "--model", model, "--out", "run", "--threshold", 100)
    assert code == 0, err
    assert "top-1 right" in out
    assert "acdc: warning: the model's likeliest token is a right answer on 0% of the predictions only" in err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"clean_tokens": [5, -1], "corrupted_tokens": [3]}, "token id -1 is outside the vocabulary (0 to "),
        (
            {"clean_tokens": [5, 2**70], "corrupted_tokens": [3]},
            "this is not JSON that can be used: a number has 22 digits",
        ),
        ({"clean_tokens": [5, 6], "corrupted_tokens": [5, 7], "answer_token": -2}, "answer token id -2 is outside"),
    ],
)
def test_numbers_that_are_no_token_ids(refused, file, model, line, said):
    for command in (("task", "check"), ("discover",)):
        assert f"pairs.jsonl, line 1: {said}" in refused(*command, file(line), "--model", model)
