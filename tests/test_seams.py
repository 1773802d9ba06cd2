"""Where prompt and answer meet, and how answers are spelled."""

import re

import made_tokenizers as made
import pytest
from given import warned

from acdc.pairs import PromptPair

ENDS, BREAKS, NEEDLESS, LACKS, UNLIKE, ODD = (
    "the prompt ends in a space",
    "the prompt ends in line breaks that are other tokens before a word",
    "the answer begins with a space where none belongs",
    "the answer lacks the space that begins a new word",
    "some answers begin with a space and others don't",
    "an answer is a special token, or none of the tokenizer's",
)


@pytest.fixture(scope="module")
def tokenizer():
    return made.gpt2_like()


def pair(end, right, wrong=None, **fields):
    answers = ((right,),) if right is not None else ()
    wrong_answers = ((wrong,),) if wrong is not None else ()
    return PromptPair(f"So Mary{end}", f"So John{end}", answers, wrong_answers, where="here", **fields)


@pytest.mark.parametrize(
    ("end", "right", "wrong", "kinds"),
    [
        (" gave to", " Peter", " John", []),
        (" (", "B", "C", []),
        (" gave to\n", "B", "C", []),
        (" is 1", "7", "8", []),
        (" is 3.", "1", "2", []),
        (" isn", "'t", None, []),
        (" gave", ".", " a", []),
        (" gave to ", "B", "C", [ENDS]),
        (" gave to ", None, None, [ENDS]),
        (" gave to ", " Mary", " John", [ENDS]),
        (" gave to\t", " Mary", " John", [ENDS]),
        (" gave to", "B", "C", [LACKS]),
        (" is:", "B", "C", [LACKS]),
        (" is =", "B", "C", [LACKS]),
        (" ->", "B", "C", [LACKS]),
        ("=", "7", "8", []),
        (" is -", "7", "8", []),
        (" gave to", " Mary", "B", [LACKS, UNLIKE]),
        (" (", " B", " C", [NEEDLESS]),
        (' "', " B", " C", [NEEDLESS]),
        (" gave to\n", " Mary", " John", [NEEDLESS]),
        (" (", " B", "C", [NEEDLESS, UNLIKE]),
    ],
)
def test_the_seam(tokenizer, end, right, wrong, kinds):
    found = warned(tokenizer, pair(end, right, wrong))
    assert [kind for kind in (ENDS, BREAKS, NEEDLESS, LACKS, UNLIKE) if any(kind in said for said in found)] == kinds
    assert len(found) == len(kinds)
    assert all("in 1 of 1 prompt pair" in said and "(here: " in said and said.endswith(".") for said in found)


def test_the_count_and_the_way_out(tokenizer):
    other = PromptPair("So John is", "So Mary is", ((" a",),), ((" the",),))
    found = warned(tokenizer, pair(" to ", "B", "C"), other, pair(" gave to ", "B", "C"))
    assert found == [
        "mine: in 2 of 3 prompt pairs the prompt ends in a space (here: 'So Mary to ' and 'B'); end it before the "
        "space, and begin the answers with it, as this tokenizer's words do."
    ]


@pytest.mark.parametrize(("bos", "position"), [("auto", 1), ("yes", 1), ("auto", -3), ("yes", 3)])
def test_the_seam_where_an_answer_stands_inside_or_is_counted_from_the_beginning(tokenizer, bos, position):
    texts = ("So Mary is a", "So John is a")
    (said,) = warned(tokenizer, PromptPair(*texts, (("B",),), (), (position,), "here"), bos=bos)
    assert f"{LACKS} (here: '{'So Mary is a' if position == 3 else 'So Mary'}' and 'B')" in said.replace(
        "<|endoftext|>", ""
    )
    assert warned(tokenizer, PromptPair(*texts, ((" Mary",),), (), (position,), "here"), bos=bos) == []


def test_the_seam_to_token_ids(tokenizer):
    (bare,) = tokenizer.encode("B")
    (said,) = warned(tokenizer, pair(" gave to", bare))
    assert f"{LACKS} (here: 'So Mary gave to' and 'B')" in said


def test_token_ids_are_compared_as_they_are_spelled(tokenizer):
    (spaced,), (bare,) = tokenizer.encode(" Mary"), tokenizer.encode("B")
    (said,) = warned(tokenizer, PromptPair((5, 6), (5, 7), ((spaced,),), ((bare,),), where="here"))
    assert f"{UNLIKE} (here: ' Mary' and 'B')" in said


def test_ids_that_are_no_answers_of_this_tokenizer(tokenizer):
    for token in (0, len(tokenizer) + 5):
        (said,) = warned(tokenizer, PromptPair((5, 6), (5, 7), ((token,),), where="here"), vocab_size=4000)
        assert f"{ODD} (here: {token} is" in said


def test_line_breaks_that_are_one_token_at_the_end_and_two_before_a_word():
    class Blanks:  # as GPT-2 parts them
        def __init__(self):
            self.ids = {}

        def encode(self, text, *, add_special_tokens=True):
            return [self.ids.setdefault(word, len(self.ids)) for word in re.findall(r"\s+(?!\S)|\S+|\s", text)]

        def convert_ids_to_tokens(self, ids):
            return [list(self.ids)[i] for i in ids]

    (said,) = warned(Blanks(), pair(" gave to\n\n", "B"))
    assert f"{BREAKS} (here: 'So Mary gave to\\n\\n' and 'B'); leave one, or give pieces" in said
    assert warned(Blanks(), pair(" gave to\n", "B")) == []


def test_whole_words_need_no_spaces():
    # A tokenizer for which " Mary" and "Mary" are one token, as of toy models.
    class Words:
        def __init__(self):
            self.ids = {}

        def encode(self, text, *, add_special_tokens=True):
            return [self.ids.setdefault(word, len(self.ids)) for word in text.split()]

        def convert_ids_to_tokens(self, ids):
            return [list(self.ids)[i] for i in ids]

    for end, answer in ((" gave to", " Mary"), (" gave :", "Mary")):
        assert warned(Words(), pair(end, answer, " Peter")) == []
