"""Prompts of equal length whose words stand at other tokens."""

import random
import re
import time
from typing import ClassVar

import made_tokenizers as made
import pytest
from given import Given

from acdc.errors import AcdcWarning, PromptError
from acdc.pairs import PromptPair, tokenize_pair

STORE = "When {} and {} went to the store, {} gave a drink to"


class Words:
    """A token for each word with its space, but several for these, and for a mark or a line break."""

    LONG: ClassVar = {"Philippa": ["Phil", "ippa"], "Alexandra": ["Alex", "andra"]}

    def __init__(self):
        self.ids = {}

    def encode(self, text, *, add_special_tokens=True):
        pieces = []
        for word in re.findall(r" ?[A-Za-z]+|\s|[^\sA-Za-z]", text):
            space = " " * word.startswith(" ")
            first, *rest = self.LONG.get(word.strip(), [word.removeprefix(" ")])
            pieces += [space + first, *rest]
        return [self.ids.setdefault(piece, len(self.ids)) for piece in pieces]

    def convert_ids_to_tokens(self, ids):
        names = list(self.ids)
        return [names[i] for i in ids]


class PutsASpace(Words):
    """The same, with a space before every text, and a mark before that."""

    def encode(self, text, *, add_special_tokens=True):
        ids = super().encode(f" {text}")
        return [self.ids.setdefault("<s>", len(self.ids)), *ids] if add_special_tokens else ids


@pytest.fixture(params=[Words, PutsASpace])
def tokenizer(request):
    return request.param()


def judged(tokenizer, clean, corrupted):
    return tokenize_pair(PromptPair(clean, corrupted), tokenizer).alignment


def refused(tokenizer, clean, corrupted):
    with pytest.raises(PromptError, match=r"^here: .* don't line up: .*`allow_misaligned=True`\.$") as caught:
        tokenize_pair(PromptPair(clean, corrupted, where="here"), tokenizer)
    allowed = tokenize_pair(PromptPair(clean, corrupted), tokenizer, allow_misaligned=True)
    assert allowed.alignment == "moved"
    return str(caught.value)


@pytest.mark.parametrize(
    ("clean", "corrupted"),
    [
        (STORE.format("Mary", "John", "John"), STORE.format("John", "Mary", "John")),
        (STORE.format("Mary", "John", "John"), STORE.format("Alice", "Paul", "Carl")),
        ("So Mary is a really great friend, isn't", "That person is a really great friend, isn't"),
        ("Mary met John.\n\nJohn and Mary", "John met Mary.\n\nMary and John"),
        ("Mary (John) and", "John (Mary) and"),
        (("When Mary", " and", " John"), ("When John", " and", " Mary")),
        (STORE.format("Philippa", "Alexandra", "x"), STORE.format("Alexandra", "Philippa", "x")),
        ("So Mary,Philippa", "So John,Alexandra"),
        ("The Basket Tractor Wagon (", "The Tractor Wagon Kettle ("),
        ("Mary and John", "Mary and John"),
        ("1, 2, 3, 4, 5,", "2, 3, 4, 5, 6,"),
        ("1 2 3 4 5", "2 3 4 5 6"),
        ("one two three four five", "two three four five six"),
        ("Monday Tuesday Wednesday Thursday", "Tuesday Wednesday Thursday Friday"),
        ("hot: cold\nbig: small\nup: down\nin:", "big: small\nup: down\nhot: cold\nin:"),
        ("Ann likes tea. Bob hates milk. Carl saw it.", "Bob hates milk. Carl saw it. Ann likes tea."),
        ("Mary, John, Ann, Paul,", "John, Ann, Paul, Carl,"),
        ("Mary and John and Mary and John and", "John and Mary and John and Mary and"),
    ],
)
def test_words_of_as_many_tokens_line_up(tokenizer, clean, corrupted):
    assert judged(tokenizer, clean, corrupted) == "lined up"


@pytest.mark.parametrize(
    ("clean", "corrupted", "said"),
    [
        (STORE.format("Philippa", "John", "x"), STORE.format("John", "Philippa", "x"), "word 2 is 'Philippa' ("),
        ("Mary saw Philippa, and\nJohn", "Philippa saw Mary, and\nJohn", "word 1 is 'Mary' ("),
        ("So  Mary and John", "So Mary and  John", "word 2 is 'Mary' ("),
        ("So Mary\n\n\nand John", "So\n\n\nMary and John", "word 2 is 'Mary'"),
        (("So", " Philippa", " and", " John"), ("So", " John", " and", " Philippa"), "piece 2 is ' Philippa' ("),
        (("So Philippa and John", " saw"), ("So John and Philippa", " saw"), "word 2 is 'Philippa' ("),
        (("So Philippa", " and John"), ("So John", " and", " Philippa"), "word 2 is 'Philippa' ("),
        (
            STORE.format("Mary", "Philippa", "Alexandra"),
            STORE.format("Philippa", "Alexandra", "Mary"),
            "word 2 is 'Mary'",
        ),
        ("So (Philippa,Mary) and", "So (Mary,Philippa) and", "word 2 has 'Philippa' in clean where 'Mary'"),
        ("So Philippa,Mary", "So Mary,Philippa", "word 2 has 'Philippa'"),
        (
            "So Mary and John met the friend",
            "Mary and John met the friend So",
            "'Mary and John' is word 2 of",
        ),
    ],
)
def test_words_that_move_are_refused(tokenizer, clean, corrupted, said):
    assert f"don't line up: {said}" in refused(tokenizer, clean, corrupted)


def test_both_token_lists_are_shown():
    said = refused(Words(), STORE.format("Philippa", "John", "x"), STORE.format("John", "Philippa", "x"))
    assert "'Philippa' (2 tokens [' Phil', 'ippa']) in clean and 'John' (1 token [' John']) in corrupted" in said


@pytest.mark.parametrize(
    ("clean", "corrupted"),
    [
        ("So Philippa is here", "So John is here now"),
        ("John", "Mary"),
        ("Mary.John", "John.Mary"),
        ("\u4eca\u5929\u5929\u6c14", "\u660e\u5929\u5929\u6c14"),
        ("So \u4eca\u5929 a", "So \u660e\u5929 a"),
    ],
)
def test_what_can_not_be_told_is_not_called_lined_up(tokenizer, clean, corrupted):
    assert judged(tokenizer, clean, corrupted) == "not judged"


def test_token_ids_and_borders_inside_tokens_are_not_judged():
    assert tokenize_pair(PromptPair((1, 2, 3), (3, 2, 1)), None).alignment == "not judged"
    assert tokenize_pair(PromptPair((1, 2, 3), (3, 2, 1)), made.smollm2()).alignment == "not judged"

    class Halves:
        """Two characters a token, whatever they are."""

        def encode(self, text, *, add_special_tokens=True):
            return [1000 * ord(text[i]) + ord(text[i + 1 : i + 2] or "~") for i in range(0, len(text), 2)]

        def convert_ids_to_tokens(self, ids):
            return [chr(i // 1000) + chr(i % 1000) for i in ids]

    assert judged(Halves(), "abc  def  gh", "axc  def  gy") == "not judged"


def test_misaligned_pairs_are_warned_of_once_with_their_number():
    moved = (STORE.format("Philippa", "John", "x"), STORE.format("John", "Philippa", "x"))
    pairs = [PromptPair(*moved, where="pair 1"), PromptPair("So Mary", "So John"), PromptPair(*moved[::-1])]
    tokenizer = Words()
    with pytest.raises(PromptError, match="pair 1: "):
        Given(*pairs).prompts(tokenizer, 3)
    with pytest.warns(AcdcWarning) as warned:
        prompts = Given(*pairs).prompts(tokenizer, 3, allow_misaligned=True)
    assert [str(warning.message) for warning in warned] == [
        "mine: in 2 of 3 prompt pairs clean and corrupted words don't stand at the same tokens (pair 1); there, tokens "
        "are patched from other words' tokens."
    ]
    assert prompts.alignment_in_words == "1 lined up token by token, 2 not lined up"


def test_judging_is_quick():
    tokenizer = made.smollm2()
    pair = PromptPair(STORE.format("Mary", "John", "John"), STORE.format("Alice", "Paul", "Carl"))
    start = time.process_time()
    for _ in range(100):
        tokenize_pair(pair, tokenizer)
    assert time.process_time() - start < 0.3


def test_long_texts_are_judged_in_bounded_time_and_not_by_chance():
    chance, tokenizer, words = random.Random(0), Words(), ["one", "two", "red", "cat", "dog", "the", "and"]
    clean, corrupted = ([chance.choice(words) for _ in range(3000)] for _ in range(2))
    start = time.process_time()
    assert judged(tokenizer, " ".join(clean), " ".join(corrupted)) == "not judged"
    assert time.process_time() - start < 20
    moved = [*clean[:1000], "Philippa", *clean[1000:]], ["Philippa", *clean]
    assert "don't line up" in refused(tokenizer, *map(" ".join, moved))
