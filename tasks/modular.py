"""Arithmetic modulo a prime (Power et al. 2022, arXiv 2201.02177; Nanda et al. 2023, arXiv 2301.05217).

"17 + 5 =" is continued with " 22", "5 - 17 =" with " 47": 59 is the prime. Both tasks have the same symbols, so that
one model can do both, and circuits of models that do one or both can be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from operator import add, sub
from typing import ClassVar

from acdc.pairs.sampling import in_split
from acdc.pairs.task import Split

from .algorithmic import Corruption, Others, SymbolTask, Written, differ

#: All numbers are below it, and results are taken modulo it.
PRIME = 59
NUMBERS = tuple(map(str, range(PRIME)))
OPERATORS: dict[str, Callable[[int, int], int]] = {"+": add, "-": sub}
OPPOSITE = {"+": "-", "-": "+"}

Question = tuple[int, str, int]


def result(question: Question) -> int:
    """What is right behind the equals sign."""
    first, operator, second = question
    return OPERATORS[operator](first, second) % PRIME


def _written(question: Question) -> Written:
    first, operator, second = question
    return Written(
        symbols=(str(first), operator, str(second), "="),
        answers={3: str(result(question))},
        spans={"first": (0, 1), "operator": (1, 2), "second": (2, 3)},
    )


def _other_numbers(question: Question, others: Others[Question]) -> Written:
    return _written(
        others.another(lambda other: differ(other[::2], question[::2]) and result(other) != result(question))
    )


def _other_first(question: Question, others: Others[Question]) -> Written:
    return _written(others.another(lambda other: other[2] == question[2] and other != question))


def _other_second(question: Question, others: Others[Question]) -> Written:
    return _written(others.another(lambda other: other[0] == question[0] and other != question))


def _other_operator(question: Question, others: Others[Question]) -> Written:
    first, operator, second = question
    return _written((first, OPPOSITE[operator], second))


def _same_result(question: Question, others: Others[Question]) -> Written:
    return _written(others.another(lambda other: other != question and result(other) == result(question)))


@cache
def _questions(split: Split, operator: str) -> Sequence[Question]:
    return [
        (first, operator, second)
        for first in range(PRIME)
        for second in range(1, PRIME)
        if in_split(split, str(first), str(second))
    ]


class _Modular(SymbolTask[Question]):
    """What both tasks share."""

    source = "Power et al. 2022, arXiv 2201.02177; Nanda et al. 2023, arXiv 2301.05217"
    vocabulary = (*NUMBERS, *OPERATORS, "=")
    outputs = NUMBERS
    spans = ("first", "operator", "second")
    operator: ClassVar[str]
    ways: ClassVar = {
        "other-numbers": Corruption("two other numbers with another result", _other_numbers),
        "other-first": Corruption("another first number, and with it another result", _other_first),
        "other-second": Corruption("another second number, and with it another result", _other_second),
        "other-operator": Corruption("the other operator: which of the two is asked for", _other_operator),
        "same-result": Corruption(
            "two other numbers with the same result, so that the answer must not move", _same_result, is_control=True
        ),
    }

    def questions(self, split: Split, symbols: Sequence[str]) -> Sequence[Question]:
        """All pairs of numbers, the second not 0; the two, in whichever order, decide the split.

        With 0 behind it the operator wouldn't matter. Both orders, and both operators, lie in the same
        split: none gives the answer of a held-out question away.
        """
        return _questions(split, self.operator)

    def written(self, question: Question) -> Written:
        """Number, operator, number, "="; the result follows."""
        return _written(question)


class ModularAddition(_Modular):
    """Add two numbers modulo 59."""

    name = "modular_addition"
    summary = f'Addition modulo {PRIME}: "17 + 5 =" -> " 22"'
    operator = "+"


class ModularSubtraction(_Modular):
    """Subtract a number from another modulo 59."""

    name = "modular_subtraction"
    summary = f'Subtraction modulo {PRIME}: "5 - 17 =" -> " 47"'
    operator = "-"
