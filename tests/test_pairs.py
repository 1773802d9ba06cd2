"""A prompt pair of the wrong shape is one sentence, and what means the same is taken."""

import numpy as np
import pytest
import torch
from given import Given

import acdc
from acdc.errors import PromptError
from acdc.pairs import PromptPair, tokenize_pair


def message(**fields):
    with pytest.raises(PromptError) as caught:
        PromptPair(**{"clean": "a", "corrupted": "b", "where": "here", **fields})
    said = str(caught.value)
    assert said.endswith(".")
    assert "\n" not in said
    assert len(said) < 400
    return said


@pytest.mark.parametrize("name", ["answers", "wrong_answers"])
@pytest.mark.parametrize(
    "value",
    [
        *((" Lily",), " Lily", [" Lily", " Ann"], (5,), 5, None, {" Lily"}, {" Lily": 1}),
        *(((" a", 5),), ((True,),), ((1.0,),), ((None,),), (((" a",),),), ((b"a",),), (" a", (" b",))),
        [[" a" * 10_000, 10**400]],
    ],
)
def test_answers_of_another_shape(name, value):
    assert message(**{name: value}).startswith(f"here: `{name}` must be one entry a position, each a tuple of")


@pytest.mark.parametrize("name", ["clean", "corrupted"])
@pytest.mark.parametrize(
    "value",
    [5, None, b"a", 1.5, True, {"a"}, ("a", 5), (1.0,), (True,), (("a",),), [[1, 2]], np.array([[1]])],
)
def test_prompts_of_another_type(name, value):
    assert message(**{name: value}).startswith(f"here: the {name} prompt must be text, a tuple of pieces of text, or")


@pytest.mark.parametrize("value", [-1, "-1", None, (1.5,), (True,), ("1",), {1}])
def test_answer_positions_of_another_type(value):
    assert "`answer_positions` must be a tuple of whole numbers, like (-1,)" in message(answer_positions=value)


def test_half_of_a_character():
    assert "the clean prompt holds half of a character" in message(clean="\ud83d")
    assert "`answers` holds half of a character" in message(answers=((" \udc00",),))


def test_a_name_that_is_no_text():
    assert "`where` must be text" in message(where=5)
    assert message(tags=[1]) == "here: `tags` must be a mapping of names to values, not [1]."
    assert "`tags` must be a mapping" in message(tags=None)


@pytest.mark.parametrize("made", [list, tuple, np.array, torch.tensor])
def test_lists_and_arrays_are_taken_for_tuples(made):
    pair = PromptPair(made([1, 2]), made([1, 3]), [made([4])], [made([5, 6])], made([-1]))
    assert pair == PromptPair((1, 2), (1, 3), ((4,),), ((5, 6),), (-1,))
    assert {type(token) for token in (*pair.clean, *pair.answers[0], *pair.answer_positions)} == {int}
    assert len(acdc.pairs.PromptSet((tokenize_pair(pair, None),), "mine").sha256()) == 64


def test_numbers_and_texts_of_numpy():
    pair = PromptPair(tuple(np.arange(2)), (1, np.int32(3)), ((np.int64(4),),), ((np.uint8(5),),), (np.int64(-1),))
    assert pair == PromptPair((0, 1), (1, 3), ((4,),), ((5,),), (-1,))
    assert type(PromptPair(np.str_("a"), ["b", "c"]).clean) is str


@pytest.mark.parametrize("token", [-1, 2**31, 2**70, pytest.param(10**5000, id="digits")])
@pytest.mark.parametrize("field", ["clean", "corrupted", "answers", "wrong_answers"])
def test_numbers_that_are_no_token_ids(token, field, gpt2_model):
    fields = {"clean": (1, 2), "corrupted": (1, 2, 3) if field == "clean" else (1, 3), "where": "here"}
    fields[field] = ((token,),) if "answers" in field else (1, token)
    pair = PromptPair(**fields)
    for limits in ({}, {"vocab_size": 40}):
        for tokenizer in (None, gpt2_model.tokenizer):
            with pytest.raises(PromptError, match=r"^here: .*token id .* is outside the vocabulary \(") as caught:
                tokenize_pair(pair, tokenizer, **limits)
            assert len(str(caught.value)) < 200


def test_pairs_of_a_task_that_does_not_name_them_are_numbered():
    with pytest.raises(PromptError, match=r"^task mine, train pair 2: the prompts differ in length"):
        Given(PromptPair((1, 2), (1, 3)), PromptPair((1, 2), (1,))).prompts(None)
