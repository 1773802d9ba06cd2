"""Three-letter acronyms (García-Carrasco et al. 2024, arXiv 2405.04156).

"The Basket Tractor Wagon (" is continued with "B", "T", "W". Every word is two
tokens, the first its capital; the letters are tokenized one by one, so that no
tokenizer joins them.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from string import ascii_uppercase
from typing import ClassVar

from acdc.errors import PromptError, UnknownNameError
from acdc.pairs import Prompt, PromptPair, Tokenizer
from acdc.pairs.context import tokens_inside
from acdc.pairs.encoding import is_unknown
from acdc.pairs.fitting import capital_and_rest_words, require_tokenizer
from acdc.pairs.sampling import draw, openings_in_split
from acdc.pairs.task import Generated, Split, Task

from .nouns import NOUNS

Opening = tuple[str, str]
Words = tuple[str, str, str]
#: Which of the three words a corruption changes.
CHANGED = {"other-words": (0, 1, 2), "last-word": (2,), "first-word": (0,), "second-word": (1,)}
#: Where the words and the letters stand, in pieces of the prompt.
SPANS = {"first": ((1, 2),), "second": ((2, 3),), "third": ((3, 4),), "letters": ((5, 7),)}
# Of all words 1 in 26 or so has a given letter: far fewer tries than this do, unless
# there are hardly any words.
MAX_TRIES = 1000


class Acronyms(Task):
    """Spell an acronym: three words, an open bracket, and the words' first letters."""

    name = "acronyms"
    summary = 'Three-letter acronyms: "The Basket Tractor Wagon (" -> "B", "T", "W"'
    metric = "logit-diff"
    source = "García-Carrasco et al. 2024, arXiv 2405.04156"
    corruptions: ClassVar = {
        "other-words": "three other words with their own letters in the brackets, each letter another one",
        "last-word": "only the last word is another one, with another letter",
        "first-word": "only the first word is another one, with its own letter in the brackets",
        "second-word": "only the second word is another one, with its own letter in the brackets",
    }
    spans = ("first", "second", "third", "letters")

    def generate(self, tokenizer: Tokenizer | None, n: int, seed: int, split: Split, corruption: str) -> Generated:
        """Make `n` pairs of three different words; the first two decide the split.

        A pair has three answer positions, the bracket and the first two letters, and at
        each the other 25 capitals for wrong answers. The clean prompts are the same
        under every corruption; other words are another prompt's of the same split.

        Raises:
            PromptError: no tokenizer, or too few words fit it.
        """
        tokenizer = require_tokenizer(tokenizer, self.name)
        words, odd_words = capital_and_rest_words(tokenizer, NOUNS)
        # As token ids: to tokenize 75 letters a pair takes longer than all the rest.
        capitals = {capital: _capital_token(tokenizer, capital) for capital in ascii_uppercase}
        openings = _openings(split, tuple(words))
        chance = random.Random(f"{self.name} {split} {seed}")
        corrupting = random.Random(f"{self.name} {split} {seed} {corruption}")
        pairs = []
        # The third word is drawn by its place among the words that aren't in the opening.
        thirds = range(max(len(words) - 2, 0))
        for number, (opening, third) in enumerate(draw(self.name, split, n, chance, openings.all, thirds), start=1):
            clean = (*opening, [word for word in words if word not in opening][third])
            corrupted = _other_words(clean, words, openings, corruption, corrupting)
            pairs.append(
                PromptPair(
                    clean=_prompt(clean),
                    corrupted=_prompt(corrupted),
                    answers=tuple((word[0],) for word in clean),
                    wrong_answers=tuple(
                        tuple(token for capital, token in capitals.items() if capital != word[0]) for word in clean
                    ),
                    answer_positions=(-3, -2, -1),
                    where=f"task {self.name}, {split} pair {number}",
                    tags={"template": "The FIRST SECOND THIRD (", "slots": dict(zip(SPANS, clean, strict=False))},
                    spans=SPANS,
                    corrupted_spans=SPANS,
                    corrupted_answers=tuple((word[0],) for word in corrupted),
                )
            )
        return Generated(pairs, {"words": odd_words})


@dataclass(frozen=True)
class _Openings:
    """The first two words of a split's prompts: all, and by the word in either place."""

    all: tuple[Opening, ...]
    of: tuple[dict[str, list[Opening]], ...]


@lru_cache(maxsize=8)
def _openings(split: Split, words: tuple[str, ...]) -> _Openings:
    found = openings_in_split(split, words)
    of: tuple[dict[str, list[Opening]], ...] = ({}, {})
    for opening in found:
        for place, word in enumerate(opening):
            of[place].setdefault(word, []).append(opening)
    return _Openings(found, of)


def _capital_token(tokenizer: Tokenizer, capital: str) -> int:
    tokens = tokens_inside(tokenizer, capital)
    if len(tokens) != 1 or is_unknown(tokens, capital, tokenizer):
        raise PromptError(
            f"task acronyms needs capitals of one token, but this tokenizer makes {len(tokens)} of {capital!r}; "
            "write a file of prompt pairs instead."
        )
    return tokens[0]


def _prompt(words: Words) -> Prompt:
    return ("The", *(f" {word}" for word in words), " (", words[0][0], words[1][0])


def _other_words(clean: Words, words: Sequence[str], openings: _Openings, corruption: str, rng: random.Random) -> Words:
    """Three different words, with another letter than `clean` wherever `corruption` changes the word.

    Raises:
        UnknownNameError: there is no such corruption.
        PromptError: the words are too few.
    """
    if corruption not in CHANGED:
        raise UnknownNameError("corruption", corruption, CHANGED)
    changed = CHANGED[corruption]
    for _ in range(MAX_TRIES):
        found = _tried(clean, words, openings, changed, rng)
        if len(set(found)) == 3 and all(found[place][0] != clean[place][0] for place in changed):
            return found
    raise PromptError(
        "task acronyms: the words that fit this tokenizer are too few to corrupt a prompt; "
        "write a file of prompt pairs instead."
    )


def _tried(
    clean: Words, words: Sequence[str], openings: _Openings, changed: tuple[int, ...], rng: random.Random
) -> Words:
    """Words by chance in the changed places; the first two are on the split's side."""
    first, second, third = clean
    if changed == (0, 1, 2):
        first, second = rng.choice(openings.all)
    elif changed != (2,):
        (place,) = changed
        first, second = rng.choice(openings.of[1 - place][clean[1 - place]])
    return first, second, rng.choice(words) if 2 in changed else third
