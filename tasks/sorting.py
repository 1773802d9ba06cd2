"""Digits in ascending order: "3 1 4 0 2 > 0 1 2 3 4"."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import permutations
from operator import ne
from typing import ClassVar

from acdc.pairs.sampling import in_split
from acdc.pairs.task import Split

from .algorithmic import Corruption, Others, SymbolTask, Written

DIGITS = tuple("0123456789")
LENGTH = 5


def _written(digits: str, said: Sequence[str]) -> Written:
    """The prompt of `digits`, and behind it the beginning of `said`."""
    return Written(
        symbols=(*digits, ">", *said[:-1]),
        answers={LENGTH + i: digit for i, digit in enumerate(sorted(digits))},
        spans={"input": (0, LENGTH), "output": (LENGTH + 1, 2 * LENGTH)},
    )


def _other(digits: str, others: Others[str]) -> str:
    """Digits of which at most two are sorted to the same places; there may be none without any."""
    return others.another(lambda other: sum(map(ne, sorted(other), sorted(digits))) >= LENGTH - 2)


def _other_digits(digits: str, others: Others[str]) -> Written:
    other = _other(digits, others)
    return _written(other, sorted(other))


def _other_input(digits: str, others: Others[str]) -> Written:
    return _written(_other(digits, others), sorted(digits))


def _other_order(digits: str, others: Others[str]) -> Written:
    order = digits
    while order == digits:
        order = "".join(others.chance.sample(digits, LENGTH))
    return _written(order, sorted(digits))


@cache
def _questions(split: Split) -> Sequence[str]:
    return ["".join(digits) for digits in permutations(DIGITS, LENGTH) if in_split(split, *digits)]


class Sorting(SymbolTask[str]):
    """Say five different digits in ascending order; a question is the five as they stand."""

    name = "sorting"
    summary = 'Sorting: "3 1 4 0 2 > 0 1" -> " 2"'
    source = "a common toy task"
    vocabulary = (*DIGITS, ">")
    outputs = DIGITS
    spans = ("input", "output")
    ways: ClassVar = {
        "other-digits": Corruption(
            "five other digits, in the input and in what is said of them, most answers others", _other_digits
        ),
        "other-input": Corruption(
            "five other digits in the input alone: what is read there, not what was said before", _other_input
        ),
        "other-order": Corruption(
            "the same digits in another order, which the answers don't depend on", _other_order, is_control=True
        ),
    }

    def questions(self, split: Split, symbols: Sequence[str]) -> Sequence[str]:
        """All orders of five digits; which digits, in whichever order, decides the split."""
        return _questions(split)

    def written(self, question: str) -> Written:
        """The digits, ">", and the sorted ones but the last; an answer follows each of these and ">"."""
        return _written(question, sorted(question))
