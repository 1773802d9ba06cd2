"""Multiplication digit by digit, the least significant first: "4 3 * 2 1 = 8 0 4 0" says that 34 times 12 is 408.

In that order a digit of the product depends on digits that stand to its left and on a carry, and small models learn
it from fewer examples (Lee et al. 2023, arXiv 2307.03381; Shen et al. 2023, arXiv 2311.14737).
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import cache
from itertools import accumulate
from typing import ClassVar, NamedTuple, overload

from acdc.pairs.sampling import TEST_SHARE
from acdc.pairs.task import Split

from .algorithmic import Corruption, Others, SymbolTask, Written

DIGITS = tuple("0123456789")


class Question(NamedTuple):
    """Two numbers of as many digits, written as usual, and whether the prompt has their digits in that order."""

    first: str
    second: str
    natural: bool

    def product(self) -> str:
        """The numbers' product, written as usual, with zeros before it up to twice as many digits."""
        return str(int(self.first) * int(self.second)).zfill(2 * len(self.first))


def _written(question: Question, said: str = "") -> Written:
    """The prompt of two numbers, and behind it the beginning of their product, or of another one that is `said`."""
    length, product = len(question.first), question.product()
    first, second, right, before = (
        digits if question.natural else digits[::-1]
        for digits in (question.first, question.second, product, said or product)
    )
    equals = 2 * length + 1
    return Written(
        symbols=(*first, "*", *second, "=", *before[:-1]),
        # Behind the beginning of another product no digit is right.
        answers={} if said else {equals + i: digit for i, digit in enumerate(right)},
        spans={"first": (0, length), "second": (length + 1, equals), "product": (equals + 1, equals + 2 * length)},
    )


@cache
def _share(number: str) -> int:
    """Which of five shares of all numbers one belongs to, by a hash."""
    return int.from_bytes(hashlib.sha256(number.encode()).digest()[:8], "big") % TEST_SHARE


def _is_test(first: str, second: str) -> bool:
    return (_share(first) + _share(second)) % TEST_SHARE == 0


def _neighbours(number: str) -> list[str]:
    """All numbers of as many digits that differ from one in a single digit."""
    return [
        number[:i] + digit + number[i + 1 :]
        for i, old in enumerate(number)
        for digit in DIGITS
        if digit != old and (i or digit != "0")
    ]


def _one_digit(question: Question, others: Others[Question]) -> Written:
    first, second, natural = question
    fitting = [other for other in _neighbours(first) if _is_test(other, second) == _is_test(first, second)]
    return _written(Question(others.chance.choice(fitting), second, natural))


def _other_first(question: Question, others: Others[Question]) -> Question:
    """The question with another first number that is in the same split with the second."""
    first, second, natural = question
    while True:
        other = str(others.chance.randrange(10 ** (len(first) - 1), 10 ** len(first)))
        if other not in (first, second) and _is_test(other, second) == _is_test(first, second):
            return Question(other, second, natural)


def _other_second(question: Question, others: Others[Question]) -> Question:
    """The question with another second number."""
    first, second, natural = question
    return _swapped(_other_first(Question(second, first, natural), others))


def _swapped(question: Question) -> Question:
    first, second, natural = question
    return Question(second, first, natural)


class _Questions(Sequence[Question]):
    """All questions of a split, none of which is ever listed: of five digits there are billions."""

    def __init__(self, split: Split, n_digits: int, natural: bool) -> None:
        self.natural = natural
        numbers = [str(number) for number in range(10 ** (n_digits - 1), 10**n_digits)]
        by_share: list[list[str]] = [[] for _ in range(TEST_SHARE)]
        for number in numbers:
            by_share[_share(number)].append(number)
        # Those that can stand behind a number of each share, ascending.
        self.seconds = [
            sorted(second for share in range(TEST_SHARE) if _in(split, first, share) for second in by_share[share])
            for first in range(TEST_SHARE)
        ]
        # In the test split, a digit of the first number must be exchangeable within its share.
        self.firsts = [
            number
            for number in numbers
            if split == "train" or any(_share(other) == _share(number) for other in _neighbours(number))
        ]
        self.ends = list(accumulate(len(self.seconds[_share(first)]) - self._has(first) for first in self.firsts))

    def _has(self, first: str) -> bool:
        """Whether the square of a number would be in the split, which is no question."""
        seconds = self.seconds[_share(first)]
        place = bisect_left(seconds, first)
        return place < len(seconds) and seconds[place] == first

    def __len__(self) -> int:
        return self.ends[-1]

    @overload
    def __getitem__(self, index: int) -> Question: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Question]: ...

    def __getitem__(self, index: int | slice) -> Question | Sequence[Question]:
        """The question at a place from 0 on."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        row = bisect_right(self.ends, index)
        if not 0 <= index < len(self):
            raise IndexError(index)
        first = self.firsts[row]
        seconds = self.seconds[_share(first)]
        place = index - (self.ends[row - 1] if row else 0)
        # Over the number itself.
        return Question(
            first, seconds[place + (self._has(first) and place >= bisect_left(seconds, first))], self.natural
        )


def _in(split: Split, first: int, second: int) -> bool:
    """Whether numbers of these shares are in a split together."""
    return ((first + second) % TEST_SHARE == 0) == (split == "test")


_questions = cache(_Questions)


class Multiplication(SymbolTask[Question]):
    """Say the product of two different numbers of two digits, a digit at a time.

    A subclass may have numbers of another length (`n_digits`), or their digits in the usual order (`natural`).
    """

    name = "multiplication"
    summary = 'Multiplication of two digits by two, the least significant first: "4 3 * 2 1 = 8 0" -> " 4"'
    source = "Lee et al. 2023, arXiv 2307.03381; Shen et al. 2023, arXiv 2311.14737"
    vocabulary = (*DIGITS, "*", "=")
    outputs = DIGITS
    spans = ("first", "second", "product")
    #: How many digits both numbers have; the product is filled up with zeros to twice as many.
    n_digits: ClassVar[int] = 2
    #: Whether the most significant digit comes first.
    natural: ClassVar[bool] = False
    ways: ClassVar = {
        "other-first": Corruption(
            "another first number, and what was said of the product goes with it",
            lambda question, others: _written(_other_first(question, others)),
        ),
        "other-second": Corruption(
            "another second number, and what was said of the product goes with it",
            lambda question, others: _written(_other_second(question, others)),
        ),
        "one-digit": Corruption(
            "one digit of the first number is another one, and what was said of the product goes with it", _one_digit
        ),
        "other-input": Corruption(
            "another first number alone: what is read there, not what was said of the product before",
            lambda question, others: _written(_other_first(question, others), said=question.product()),
        ),
        "swapped": Corruption(
            "the two numbers in the other order, which the product doesn't depend on",
            lambda question, others: _written(_swapped(question)),
            is_control=True,
        ),
    }

    def questions(self, split: Split, symbols: Sequence[str]) -> Sequence[Question]:
        """All pairs of different numbers; the two, in whichever order, decide the split."""
        return _questions(split, self.n_digits, self.natural)

    def written(self, question: Question) -> Written:
        """The digits of a number, "*", those of the other one, "=", and those of the product but the last."""
        return _written(question)


class Multiplication3(Multiplication):
    """Say the product of two different numbers of three digits, a digit at a time."""

    name = "multiplication_3"
    summary = "Multiplication of three digits by three, the least significant first"
    n_digits = 3


class Multiplication4(Multiplication):
    """Say the product of two different numbers of four digits, a digit at a time."""

    name = "multiplication_4"
    summary = "Multiplication of four digits by four, the least significant first"
    n_digits = 4


class Multiplication5(Multiplication):
    """Say the product of two different numbers of five digits, a digit at a time."""

    name = "multiplication_5"
    summary = "Multiplication of five digits by five, the least significant first"
    n_digits = 5


class MultiplicationNatural(Multiplication):
    """Say the product of two different numbers of two digits in the natural order, most significant digit first."""

    name = "multiplication_natural"
    summary = 'Multiplication of two digits by two, in the natural order: "3 4 * 1 2 = 0 4" -> " 0"'
    natural = True
