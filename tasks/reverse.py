"""Letters in reverse: "c a d b e > e b d a c".

The program `reverse` of Lindner et al. 2023 (Tracr, arXiv 2301.05062), which Conmy et al. 2023 (arXiv 2304.14997)
recover, with its output written out letter by letter.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import combinations, product
from typing import ClassVar

from acdc.pairs.sampling import in_split
from acdc.pairs.task import Split

from .algorithmic import Corruption, Others, SymbolTask, Written, differ

LETTERS = tuple("abcdef")
LENGTH = 5


def _written(letters: str, said: str) -> Written:
    """The prompt of `letters`, and behind it what is said of `said`."""
    return Written(
        symbols=(*letters, ">", *said[:0:-1]),
        answers={LENGTH + i: letter for i, letter in enumerate(reversed(letters))},
        spans={"input": (0, LENGTH), "output": (LENGTH + 1, 2 * LENGTH)},
    )


def _other_letters(letters: str, others: Others[str]) -> Written:
    other = others.another(lambda other: differ(other, letters))
    return _written(other, other)


def _other_input(letters: str, others: Others[str]) -> Written:
    return _written(others.another(lambda other: differ(other, letters)), letters)


def _swapped(letters: str, others: Others[str]) -> Written:
    places = [(i, j) for i, j in combinations(range(LENGTH), 2) if letters[i] != letters[j]]
    i, j = others.chance.choice(places)
    swapped = list(letters)
    swapped[i], swapped[j] = letters[j], letters[i]
    return _written("".join(swapped), "".join(swapped))


@cache
def _questions(split: Split) -> Sequence[str]:
    rows = product(LETTERS, repeat=LENGTH)
    return ["".join(letters) for letters in rows if len(set(letters)) > 1 and in_split(split, *letters)]


class Reverse(SymbolTask[str]):
    """Say five letters in reverse; a question is the five, not all of them equal."""

    name = "reverse"
    summary = 'Letters in reverse: "c a d b e > e b" -> " d"'
    source = "the program of Lindner et al. 2023, arXiv 2301.05062, letter by letter"
    vocabulary = (*LETTERS, ">")
    outputs = LETTERS
    spans = ("input", "output")
    ways: ClassVar = {
        "other-letters": Corruption(
            "another letter at every place, in the input and in what is said of it", _other_letters
        ),
        "other-input": Corruption(
            "another letter at every place of the input alone: what is read there, not what was said before",
            _other_input,
        ),
        "swapped-letters": Corruption("two letters change places: where letters stand, not which there are", _swapped),
    }

    def questions(self, split: Split, symbols: Sequence[str]) -> Sequence[str]:
        """All rows of letters; which letters, in whichever order, decides the split."""
        return _questions(split)

    def written(self, question: str) -> Written:
        """The letters, ">", and all that is said of them but the last; each of these and ">" is answered."""
        return _written(question, question)
