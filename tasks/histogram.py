"""How often each letter has occurred so far: "a b a c a" -> 1 1 2 1 3.

The causal form of the program `hist` of Weiss et al. 2021 (RASP, arXiv 2106.06981).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import permutations, product
from typing import ClassVar

from acdc.pairs.sampling import in_split
from acdc.pairs.task import Split

from .algorithmic import Corruption, Others, SymbolTask, Written, differ

LETTERS = tuple("abcde")
LENGTH = 6
COUNTS = tuple(str(count) for count in range(1, LENGTH + 1))


def _counts(letters: str) -> list[str]:
    return [str(letters[: i + 1].count(letter)) for i, letter in enumerate(letters)]


def _written(letters: str) -> Written:
    return Written(
        symbols=tuple(letters),
        answers=dict(enumerate(_counts(letters))),
        spans={"before": (0, LENGTH - 1), "last": (LENGTH - 1, LENGTH)},
    )


def _other_letters(letters: str, others: Others[str]) -> Written:
    return _written(others.another(lambda other: _counts(other)[-1] != _counts(letters)[-1]))


def _last_letter(letters: str, others: Others[str]) -> Written:
    changed = [letters[:-1] + letter for letter in LETTERS]
    return _written(others.chance.choice([other for other in changed if _counts(other)[-1] != _counts(letters)[-1]]))


def _renamed(letters: str, others: Others[str]) -> Written:
    names = [names for names in permutations(LETTERS) if differ(names, LETTERS)]
    return _written(letters.translate(str.maketrans("".join(LETTERS), "".join(others.chance.choice(names)))))


def _pattern(letters: str) -> str:
    """Which letters are equal, whatever they are."""
    return "".join(str(letters.index(letter)) for letter in letters)


@cache
def _questions(split: Split) -> Sequence[str]:
    found = []
    for letters in product(LETTERS, repeat=LENGTH - 1):
        # Behind all of the letters, every other one occurs for the second time.
        if len(set(letters)) < len(LETTERS) and in_split(split, _pattern("".join(letters))):
            found += ["".join((*letters, last)) for last in LETTERS]
    return found


class Histogram(SymbolTask[str]):
    """Say of each of six letters how often it has occurred up to there.

    A question is the six, the first five of them not all different.
    """

    name = "histogram"
    summary = 'Counting: at every letter of "a b a c a d" how often it has occurred: " 1", " 1", " 2", ...'
    source = "the causal form of hist in Weiss et al. 2021, arXiv 2106.06981"
    vocabulary = (*LETTERS, *COUNTS)
    outputs = COUNTS
    spans = ("before", "last")
    ways: ClassVar = {
        "other-letters": Corruption("other letters, the last of them with another count", _other_letters),
        "last-letter": Corruption("only the last letter is another one, with another count", _last_letter),
        "renamed": Corruption(
            "every letter stands for another one throughout, which no count depends on", _renamed, is_control=True
        ),
    }

    def questions(self, split: Split, symbols: Sequence[str]) -> Sequence[str]:
        """All rows of six letters; which of the first five are equal decides the split."""
        return _questions(split)

    def written(self, question: str) -> Written:
        """The letters; an answer follows each."""
        return _written(question)
