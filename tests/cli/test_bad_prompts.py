"""What the command says of bad prompt files."""

import pytest
from tiny import VOCAB, pairs, save_gpt2

TEXT = {"clean": "Mary met John. John saw", "corrupted": "Mary met John. Ann saw", "answer": " Mary"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{clean: no}", "pairs.jsonl, line 2, column 2: this is not JSON:"),
        ('["clean", "corrupted"]', "pairs.jsonl, line 2: a line must be an object"),
        ({"clean": "Mary met"}, "pairs.jsonl, line 2: the field 'corrupted' (or 'corrupted_tokens') is missing."),
        (TEXT | {"clean": ""}, "pairs.jsonl, line 2: the clean prompt is empty."),
        ({"clean_tokens": [], "corrupted_tokens": [1]}, "pairs.jsonl, line 2: the clean prompt is empty."),
        (
            TEXT | {"corrupted": "Mary met."},
            "pairs.jsonl, line 2: the prompts differ in length: clean has 6 tokens "
            "['Mary', ' met', ' John', '.', ' John', ' saw'], corrupted has 3 ['Mary', ' met', '.']; "
            "make them line up token by token.",
        ),
        (
            TEXT | {"answer": " Mary Ann"},
            "pairs.jsonl, line 2: answer ' Mary Ann' is 2 tokens [' Mary', ' Ann']; an answer is one token.",
        ),
        (
            {"clean_tokens": [1, VOCAB], "corrupted_tokens": [1, 2]},
            f"pairs.jsonl, line 2: token id {VOCAB} is outside the vocabulary (0 to {VOCAB - 1}).",
        ),
        (
            {"clean_tokens": [1, 2], "corrupted_tokens": [1, -1]},
            f"pairs.jsonl, line 2: token id -1 is outside the vocabulary (0 to {VOCAB - 1}).",
        ),
        (
            {"clean_tokens": [1, 2], "corrupted_tokens": [1, 3], "answer_token": VOCAB},
            f"pairs.jsonl, line 2: answer token id {VOCAB} is outside the vocabulary (0 to {VOCAB - 1}).",
        ),
        (
            TEXT | {"answer_position": 6},
            "pairs.jsonl, line 2: answer position 6 is outside the prompt, which has tokens 0 to 5.",
        ),
        (
            {"clean_tokens": [1] * 17, "corrupted_tokens": [2] * 17},
            "pairs.jsonl, line 2: 17 tokens are more than the model's context of 16; shorten the prompt.",
        ),
    ],
)
def test_a_bad_line_is_named(discover, file, line, said):
    assert said in discover(file(TEXT, line))


@pytest.mark.parametrize("lines", [[], ["", "  "]])
def test_an_empty_file_is_refused(discover, file, lines):
    assert discover(file(*lines)) == "pairs.jsonl has no prompt pairs; write one a line."


def test_pairs_that_are_all_uncorrupted_are_refused(discover, file):
    same = {"clean_tokens": [1, 2], "corrupted_tokens": [1, 2]}
    assert "clean and corrupted prompts are equal in all 2 pairs" in discover(file(same, same))


def test_more_pairs_than_the_file_has_are_refused(discover, file):
    assert "has 4 prompt pairs, not 5" in discover(file(*pairs(4)), "--n", 5)


def test_fewer_than_one_pair_is_refused(discover, file):
    assert discover(file(*pairs()), "--n", 0) == "n must be at least 1, got 0."


def test_text_without_a_tokenizer_is_refused(discover, file, tmp_path):
    said = discover(file(TEXT), model=save_gpt2(tmp_path / "bare"))
    assert "this model has no tokenizer; give token ids" in said


def test_a_metric_whose_answers_are_missing_is_refused(discover, file):
    said = discover(file({"clean_tokens": [1, 2], "corrupted_tokens": [1, 3]}), "--metric", "logit-diff")
    assert (
        "the metric logit-diff needs right and wrong answers for every prompt pair; add them, or use kl or l2" in said
    )
