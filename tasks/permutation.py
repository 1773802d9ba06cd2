"""Letters put into an order that is told: "2 0 1 : a b c > c a b"."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import permutations, product
from typing import ClassVar

from acdc.pairs.sampling import in_split
from acdc.pairs.task import Split

from .algorithmic import Corruption, Others, SymbolTask, Written, differ

LETTERS = tuple("abcdefgh")
PLACES = tuple("012")
LENGTH = len(PLACES)
#: An order, and the letters.
Question = tuple[str, str]


def _said(question: Question) -> str:
    order, letters = question
    return "".join(letters[int(place)] for place in order)


def _written(question: Question, said: str) -> Written:
    """The prompt of `question`, and behind it the beginning of `said`."""
    order, letters = question
    start = 2 * LENGTH + 1  # of what is said; here stands ">"
    return Written(
        symbols=(*order, ":", *letters, ">", *said[:-1]),
        answers={start + i: letter for i, letter in enumerate(_said(question))},
        spans={
            "order": (0, LENGTH),
            "letters": (LENGTH + 1, start),
            "output": (start + 1, start + LENGTH),
        },
    )


def _other_letters(question: Question, others: Others[Question]) -> Written:
    order, letters = question
    _, found = others.another(lambda other: differ(other[1], letters))
    return _written((order, found), _said((order, found)))


def _other_order(question: Question, others: Others[Question]) -> Written:
    order, letters = question
    found, _ = others.another(lambda other: differ(other[0], order))
    return _written((found, letters), _said((found, letters)))


def _other_order_alone(question: Question, others: Others[Question]) -> Written:
    order, letters = question
    found, _ = others.another(lambda other: differ(other[0], order))
    return _written((found, letters), _said(question))


@cache
def _questions(split: Split) -> Sequence[Question]:
    rows = ["".join(letters) for letters in permutations(LETTERS, LENGTH)]
    orders = ["".join(order) for order in permutations(PLACES)]
    return list(product(orders, [row for row in rows if in_split(split, row)]))


class Permutation(SymbolTask[Question]):
    """Put three different letters into an order: what is said first is the letter at the first place named."""

    name = "permutation"
    summary = 'Putting letters into an order: "2 0 1 : a b c > c" -> " a"'
    source = "a common toy task"
    vocabulary = (*PLACES, *LETTERS, ":", ">")
    outputs = LETTERS
    spans = ("order", "letters", "output")
    ways: ClassVar = {
        "other-order": Corruption("the same letters under another order, each answer another one", _other_order),
        "other-letters": Corruption("other letters under the same order, each answer another one", _other_letters),
        "other-order-alone": Corruption(
            "another order, with what was said before as it was: how the order is read", _other_order_alone
        ),
    }

    def questions(self, split: Split, symbols: Sequence[str]) -> Sequence[Question]:
        """All orders of all rows of letters; the row of letters decides the split."""
        return _questions(split)

    def written(self, question: Question) -> Written:
        """The order, ":", the letters, ">", and what is said but for the last; each of these and ">" is answered."""
        return _written(question, _said(question))
