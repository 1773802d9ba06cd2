"""Pairs that are equal, uncorrupted, contradictory, or all answered alike."""

import made_tokenizers as made
import pytest
from given import warned

from acdc.errors import PromptError
from acdc.pairs import PromptPair, tokenize_pair


def pair(clean, right, wrong=(9,), corrupted=(1, 1, 1), where="here"):
    return PromptPair(clean, corrupted, (right,), (wrong,), where=where)


def test_what_is_well_is_passed_over():
    assert warned(None, pair((1, 2, 3), (4,)), pair((1, 2, 4), (5,)), pair((1, 2, 3), (4,), corrupted=(2, 2, 2))) == []


def test_duplicates():
    one, two = pair((1, 2, 3), (4,), where="line 1"), pair((1, 2, 4), (5,), where="line 2")
    again = pair((1, 2, 3), (4,), where="line 3")
    assert warned(None, one, two, again, again) == [
        "mine: 2 of 4 prompt pairs are duplicates (line 1 and line 3 are equal) and count as often as they stand "
        "there; leave one of equal ones."
    ]


def test_a_right_answer_among_the_wrong_ones():
    with pytest.raises(PromptError, match=r"^here: the right answer 4 is among the wrong answers too"):
        tokenize_pair(pair((1, 2, 3), (5, 4), (6, 4)), None)
    text = PromptPair(
        "So Mary is", "So John is", ((" a",), (" she",)), ((" the",), (" he", " she")), (0, -1), where="here"
    )
    with pytest.raises(PromptError, match=r"^here: the right answer ' she' is among the wrong answers too"):
        tokenize_pair(text, made.gpt2_like())
    mixed = PromptPair("So Mary is", "So John is", ((" a",),), (tuple(made.gpt2_like().encode(" a")),))
    with pytest.raises(PromptError, match="the right answer ' a' is among"):
        tokenize_pair(mixed, made.gpt2_like())


def test_an_answer_that_is_given_twice_counts_once():
    assert tokenize_pair(pair((1, 2, 3), (4, 5, 4), (6, 6)), None).answers == ((4, 5),)
    assert tokenize_pair(pair((1, 2, 3), (4, 5, 4), (6, 6)), None).wrong_answers == ((6,),)


def test_answers_all_alike():
    (said,) = warned(None, pair((1, 2, 3), (4,)), pair((1, 2, 4), (4,)))
    assert said.startswith("mine: the right answer is token 4 in all 2 prompt pairs, so that a circuit that always")
    two = (PromptPair(f"So {who} is", "So Peter is", ((" a",),), ((" the",),)) for who in ("Mary", "John"))
    (said,) = (said for said in warned(made.smollm2(), *two) if "in all" in said)
    assert "the right answer is ' a' in all 2 prompt pairs" in said


def test_pairs_that_are_not_corrupted():
    (said,) = warned(None, pair((1, 2, 3), (4,)), pair((1, 1, 1), (5,), where="line 2"))
    assert said.startswith("mine: in 1 of 2 prompt pairs clean and corrupted are equal (line 2), so that patching")


def test_pairs_that_contradict_each_other():
    one = pair((1, 2, 3), (4,), (5,), where="line 1")
    other = pair((1, 2, 3), (5,), (4,), corrupted=(2, 2, 2), where="line 2")
    (said,) = warned(None, one, other)
    assert "a right answer is a wrong one of another pair with the same clean prompt (line 1 and line 2)" in said


def test_held_out_pairs_are_called_so():
    assert warned(None, *[pair((1, 2, 3), (4,))] * 2, split="test")[0].startswith("mine, held out: ")
