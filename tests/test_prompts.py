"""Checking prompt pairs against a tokenizer, and sets of them."""

import re

import pytest

from acdc.errors import AcdcWarning, PromptError
from acdc.pairs import PromptPair, PromptSet, TokenPair, tokenize_pair


class Letters:
    """A tokenizer with a token for every character, except that "th" is one; 1 comes first."""

    def encode(self, text, *, add_special_tokens=True):
        ids = [200 if piece == "th" else ord(piece) for piece in re.findall("th|.", text)]
        return [1, *ids] if add_special_tokens else ids

    def convert_ids_to_tokens(self, ids):
        return ["th" if i == 200 else chr(i) for i in ids]


def check(pair, **options):
    return tokenize_pair(pair, Letters(), **options)


def test_text_gets_the_tokenizers_own_special_tokens():
    pair = check(PromptPair("ab", "ac"))
    assert pair.clean == (1, ord("a"), ord("b"))
    assert pair.answer_positions == (2,)


def test_pieces_are_tokenized_one_by_one():
    pair = check(PromptPair(("at", "h"), ("at", "x")))
    assert pair.clean == (1, ord("a"), ord("t"), ord("h"))


def test_token_ids_need_no_tokenizer():
    pair = tokenize_pair(PromptPair((1, 2), (1, 3), ((4,),), ((5, 6),)), None)
    assert pair == TokenPair((1, 2), (1, 3), (1,), ((4,),), ((5, 6),))


def test_an_answer_that_would_join_the_prompts_last_token_is_taken_by_itself():
    pair = check(PromptPair("at", "ax", (("h",),)))
    assert pair.answers == ((ord("h"),),)


def test_answers_go_along_when_positions_are_sorted():
    pair = check(PromptPair("abc", "abd", (("x",), ("y",)), (("z",), ("w",)), answer_positions=(-1, 1)))
    assert pair.answer_positions == (1, 3)
    assert pair.answers == ((ord("y"),), (ord("x"),))
    assert pair.wrong_answers == ((ord("w"),), (ord("z"),))


@pytest.mark.parametrize("position", [-5, 4, 100])
def test_answer_positions_outside_the_prompt(position):
    with pytest.raises(PromptError, match=rf"here: answer position {position} is outside .* tokens 0 to 3"):
        check(PromptPair("abc", "abd", answer_positions=(position,), where="here"))


def test_no_and_double_answer_positions():
    with pytest.raises(PromptError, match="no answer position"):
        check(PromptPair("abc", "abd", answer_positions=()))
    with pytest.raises(PromptError, match="occurs twice"):
        check(PromptPair("abc", "abd", answer_positions=(3, -1)))


def test_both_token_lists_are_shown_when_lengths_differ():
    with pytest.raises(PromptError, match=r"clean has 4 tokens .*'a', 'th', 'b'\], corrupted has 3 .*'a', 'b'\]"):
        check(PromptPair("athb", "ab"))
    with pytest.raises(PromptError, match=r"clean has 1 token \[7\], corrupted has 2 \[7, 8\]"):
        tokenize_pair(PromptPair((7,), (7, 8)), None)


def test_limits_are_the_models():
    pair = PromptPair((1, 2), (1, 3), ((4,),))
    assert tokenize_pair(pair, None, vocab_size=5, max_length=2)
    assert tokenize_pair(pair, None, vocab_size=4, n_outputs=5)
    with pytest.raises(PromptError, match="answer token id 4 is outside"):
        tokenize_pair(pair, None, vocab_size=4)
    with pytest.raises(PromptError, match=r"token id 3 is outside the vocabulary \(0 to 2\)"):
        tokenize_pair(pair, None, vocab_size=3)
    with pytest.raises(PromptError, match="2 tokens are more than the model's context of 1"):
        tokenize_pair(pair, None, max_length=1)


def test_text_answers_need_a_tokenizer():
    with pytest.raises(PromptError, match="answer 'x' is text, but this model has no tokenizer"):
        tokenize_pair(PromptPair((1,), (2,), (("x",),)), None)


@pytest.mark.parametrize("name", ["answers", "wrong_answers"])
def test_empty_entries_of_answers(name):
    empty = PromptPair((1, 2), (1, 3), **{name: ((4,), ())}, answer_positions=(0, 1), where="here")
    with pytest.raises(PromptError, match=f"here: an entry of the {name.replace('_', ' ')} is empty; name one, or"):
        tokenize_pair(empty, None)


@pytest.mark.parametrize("empty", ["", (), ("", "")])
def test_empty_prompts(empty):
    with pytest.raises(PromptError, match="the clean prompt is empty"):
        check(PromptPair(empty, "a"))
    with pytest.raises(PromptError, match="the corrupted prompt is empty"):
        check(PromptPair("a", empty))


def test_a_set_needs_a_pair_that_differs():
    same, other = TokenPair((1,), (1,), (0,)), TokenPair((1,), (2,), (0,))
    with pytest.raises(PromptError, match="mine: there are no prompt pairs"):
        PromptSet((), "mine")
    with pytest.raises(PromptError, match="equal in all 2 pairs"):
        PromptSet((same, same), "mine")
    with pytest.raises(PromptError, match="equal in the only pair"):
        PromptSet((same,), "mine")
    assert len(PromptSet((same, other), "mine")) == 2


def test_a_set_has_answers_where_all_pairs_have():
    bare, full = TokenPair((1,), (2,), (0,)), TokenPair((1,), (2,), (0,), ((3,),), ((4,),))
    for pairs, expected in (((full, full), True), ((bare, bare), False)):
        prompts = PromptSet(pairs, "mine")
        assert prompts.has_answers is prompts.has_wrong_answers is expected


def test_answers_on_some_pairs_only_are_warned_of():
    bare, full = TokenPair((1,), (2,), (0,)), TokenPair((1,), (2,), (0,), ((3,),), ((4,),))
    with pytest.warns(AcdcWarning) as warned:
        assert not PromptSet((full, full, bare), "mine").has_answers
    assert [str(warning.message) for warning in warned] == [
        "mine: answers on 2 of 3 pairs: accuracy isn't shown.",
        "mine: wrong answers on 2 of 3 pairs: the logit difference isn't shown.",
    ]


def test_the_hash_is_of_the_data_alone():
    def sha256(pair, task="mine"):
        return PromptSet((pair,), task).sha256()

    pair = TokenPair((1, 2), (1, 3), (1,), ((4,),), ((5,),), where="line 1")
    assert sha256(pair) == sha256(TokenPair((1, 2), (1, 3), (1,), ((4,),), ((5,),), where="line 9"), "yours")
    others = [
        TokenPair((1, 9), (1, 3), (1,), ((4,),), ((5,),)),
        TokenPair((1, 2), (1, 9), (1,), ((4,),), ((5,),)),
        TokenPair((1, 2), (1, 3), (0,), ((4,),), ((5,),)),
        TokenPair((1, 2), (1, 3), (1,), ((9,),), ((5,),)),
        TokenPair((1, 2), (1, 3), (1,), ((4,),), ((9,),)),
    ]
    assert len({sha256(other) for other in [pair, *others]}) == 6


def test_a_prompt_that_fits_no_run_is_not_tokenized():
    class Never:
        def encode(self, text, *, add_special_tokens=True):
            raise AssertionError

    for clean in ("a " * 10**6, ("a", "b" * 10**6)):
        with pytest.raises(PromptError, match="and at most 1,000,000 are taken"):
            tokenize_pair(PromptPair(clean=clean, corrupted="b"), Never())
