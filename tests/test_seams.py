"""Where prompt and answer meet, and how answers are spelled."""

import made_tokenizers as made
import pytest
from given import warned

from acdc.prompts import PromptPair

ENDS, NEEDLESS, LACKS, UNLIKE, ODD = (
    "the prompt ends in a space",
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
        (" gave to", " Mary", "B", [LACKS, UNLIKE]),
        (" (", " B", " C", [NEEDLESS]),
        (' "', " B", " C", [NEEDLESS]),
        (" gave to\n", " Mary", " John", [NEEDLESS]),
        (" (", " B", "C", [NEEDLESS, UNLIKE]),
    ],
)
def test_the_seam(tokenizer, end, right, wrong, kinds):
    found = warned(tokenizer, pair(end, right, wrong))
    assert [kind for kind in (ENDS, NEEDLESS, LACKS, UNLIKE) if any(kind in said for said in found)] == kinds
    assert len(found) == len(kinds)
    assert all("in 1 of 1 prompt pair" in said and "(here: " in said and said.endswith(".") for said in found)


def test_the_count_and_the_way_out(tokenizer):
    other = PromptPair("So John is", "So Mary is", ((" a",),), ((" the",),))
    found = warned(tokenizer, pair(" to ", "B", "C"), other, pair(" gave to ", "B", "C"))
    assert found == [
        "mine: in 2 of 3 prompt pairs the prompt ends in a space (here: 'So Mary to ' and 'B'); end it before the "
        "space, and begin the answers with it, as this tokenizer's words do."
    ]


def test_token_ids_are_compared_as_they_are_spelled(tokenizer):
    (spaced,), (bare,) = tokenizer.encode(" Mary"), tokenizer.encode("B")
    (said,) = warned(tokenizer, PromptPair((5, 6), (5, 7), ((spaced,),), ((bare,),), where="here"))
    assert f"{UNLIKE} (here: ' Mary' and 'B')" in said


def test_ids_that_are_no_answers_of_this_tokenizer(tokenizer):
    for token in (0, len(tokenizer) + 5):
        (said,) = warned(tokenizer, PromptPair((5, 6), (5, 7), ((token,),), where="here"), vocab_size=2000)
        assert f"{ODD} (here: {token} is" in said


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
