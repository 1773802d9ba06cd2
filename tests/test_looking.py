"""A pair token by token, as data and as lines."""

import pytest
from rich.cells import cell_len
from tiny import tokenizer

from acdc import PromptPair, shown_pair
from acdc.cli.token_rows import token_rows
from acdc.pairs import tokenize_pair
from acdc.pairs.looking import ShownToken

WORDS = tokenizer()
PAIR = PromptPair(
    "Mary met John. John saw",
    "Mary met John. Ann saw",
    ((" Mary",),),
    ((" John", " Ann"),),
    where="line 1",
    tags={"template": "t"},
    spans={"subject": ((15, 19),), "sentence": ((0, 14),), "people": ((0, 4), (9, 13), (15, 19))},
    corrupted_answers=((" John",),),
)


def shown(pair=PAIR, words=WORDS):
    return shown_pair(tokenize_pair(pair, words), words)


def lines(pair=PAIR, words=WORDS, width=80):
    return [line.plain for line in token_rows(shown(pair, words), width)]


def test_a_pair_as_data():
    found = shown()
    assert (found.where, found.tags) == ("line 1", {"template": "t"})
    assert found.tokens[1] == ShownToken(" met", " met", False, ("sentence",))
    assert found.tokens[4] == ShownToken(" John", " Ann", True, ("subject", "people"))
    (answer,) = found.answers
    assert (answer.position, answer.right, answer.wrong) == (5, (" Mary",), (" John", " Ann"))
    assert answer.corrupted == (" John",)


def test_several_answers_and_none():
    two = PromptPair("Mary met John", "Mary met Ann", ((" met",), (" Ann",)), (), (0, -1))
    assert [(one.position, one.right, one.wrong) for one in shown(two).answers] == [
        (0, (" met",), ()),
        (2, (" Ann",), ()),
    ]
    (bare,) = shown(PromptPair((1, 2), (1, 3)), None).answers
    assert (bare.position, bare.right) == (1, ())


def test_without_a_tokenizer_tokens_are_numbers():
    assert [token.clean for token in shown(PromptPair((11, 2), (11, 3)), None).tokens] == ["11", "2"]


def test_clean_stands_over_corrupted_with_marks_and_spans_below():
    assert lines() == [
        "token      0        1    2      3 4       5",
        "clean      Mary    | met| John |.| John  | saw|",
        "corrupted  Mary    | met| John |.| Ann   | saw|",
        "                                  ^^^^^      ?",
        "spans      sentence -    -      - subject",
        "           people        people   people",
    ]


@pytest.mark.parametrize("width", [20, 30, 41, 60, 80, 200])
def test_every_width_has_every_token_once_and_no_longer_line(width):
    found = lines(width=width)
    clean = "|".join(line[11:].rstrip("|") for line in found if line.startswith("clean"))
    assert [word.strip() for word in clean.split("|")] == ["Mary", "met", "John", ".", "John", "saw"]
    assert max(map(cell_len, found)) <= width
    assert sum(line.count("?") for line in found) == 1


def test_columns_line_up_whatever_the_tokens_are():
    words = ["\u4f60\u597d", "e\u0301", "\x1b[31m", "\u202e", "a\nb", "\U0001f600", "[bold]", "x" * 50, ""]
    found = shown(PromptPair(tuple(range(len(words))), tuple(range(1, len(words) + 1))), None)
    odd = [ShownToken(word, other, True, ()) for word, other in zip(words, words[::-1], strict=True)]
    rows = list(token_rows(type(found)("w", tuple(odd), (), {}), 200))
    ends = []
    for row in rows[1:3]:
        plain = row.plain
        assert plain.isprintable()
        ends.append([cell_len(plain[:i]) for i, character in enumerate(plain) if character == "|"])
    assert ends[0] == ends[1]
    assert len(ends[0]) == len(words)


def test_spans_that_overlap_stand_in_rows_of_their_own():
    rows = lines()
    (first,) = (line for line in rows if line.startswith("spans"))
    second = rows[rows.index(first) + 1]
    names = {name for line in (first, second) for name in line.split()}
    assert {"subject", "sentence", "people"} <= names
