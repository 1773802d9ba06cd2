"""Closing brackets: "( [ ] { }" is continued with ")", which is due.

Sequences of the Dyck languages that transformers are studied on (e.g. Ebrahimi et al. 2020, arXiv 2010.04303).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import product
from typing import ClassVar

from acdc.pairs.sampling import in_split
from acdc.pairs.task import Split

from .algorithmic import Corruption, Others, SymbolTask, Written

CLOSING = {"(": ")", "[": "]", "{": "}"}
LENGTHS = (5, 6, 7, 8)
DEPTH = 4


def _partners(brackets: str) -> tuple[list[int], list[tuple[int, int]]]:
    """Places of the brackets that are open at the end, and of the pairs that are closed."""
    still_open: list[int] = []
    closed = []
    for place, bracket in enumerate(brackets):
        if bracket in CLOSING:
            still_open.append(place)
        else:
            closed.append((still_open.pop(), place))
    return still_open, closed


def _due(brackets: str) -> str:
    """The closing bracket that is due."""
    return CLOSING[brackets[_partners(brackets)[0][-1]]]


def _written(brackets: str) -> Written:
    place = _partners(brackets)[0][-1]
    return Written(
        symbols=tuple(brackets),
        answers={len(brackets) - 1: _due(brackets)},
        spans={"open": (place, place + 1), "closed": (place + 1, len(brackets))},
    )


def _replaced(brackets: str, place: int, bracket: str) -> str:
    return brackets[:place] + bracket + brackets[place + 1 :]


def _other_open(brackets: str, others: Others[str]) -> Written:
    place = _partners(brackets)[0][-1]
    kinds = [kind for kind in CLOSING if kind != brackets[place]]
    return _written(_replaced(brackets, place, others.chance.choice(kinds)))


def _other_sequence(brackets: str, others: Others[str]) -> Written:
    return _written(others.another(lambda other: len(other) == len(brackets) and _due(other) != _due(brackets)))


def _other_closed(brackets: str, others: Others[str]) -> Written:
    start, end = others.chance.choice(_partners(brackets)[1])
    kind = others.chance.choice([kind for kind in CLOSING if kind != brackets[start]])
    return _written(_replaced(_replaced(brackets, start, kind), end, CLOSING[kind]))


def _shapes(length: int) -> list[tuple[int, ...]]:
    """All ups (1) and downs (-1) of `length` that end with a down, never below 0 or above the depth, and above 0."""
    found = []
    for shape in product((1, -1), repeat=length):
        depths = [sum(shape[: i + 1]) for i in range(length)]
        if shape[-1] == -1 and min(depths) >= 0 and max(depths) <= DEPTH and depths[-1] > 0:
            found.append(shape)
    return found


def _filled(shape: Sequence[int], kinds: Sequence[str]) -> str:
    """The brackets of a shape, opened in the order of `kinds`."""
    left, still_open, found = list(kinds), [], []
    for step in shape:
        if step == 1:
            still_open.append(left.pop(0))
            found.append(still_open[-1])
        else:
            found.append(CLOSING[still_open.pop()])
    return "".join(found)


@cache
def _questions(split: Split) -> Sequence[str]:
    shapes = [shape for length in LENGTHS for shape in _shapes(length) if in_split(split, str(shape))]
    return [_filled(shape, kinds) for shape in shapes for kinds in product(CLOSING, repeat=shape.count(1))]


class Brackets(SymbolTask[str]):
    """Close the innermost bracket that is open; the last that stands there is a closing one, which doesn't tell.

    A question is five to eight brackets of three kinds, at most four of them open at once.
    """

    name = "brackets"
    summary = 'Closing brackets: "( [ ] { }" -> " )"'
    source = "Dyck languages, as in Ebrahimi et al. 2020, arXiv 2010.04303"
    vocabulary = (*CLOSING, *CLOSING.values())
    outputs = tuple(CLOSING.values())
    spans = ("open", "closed")
    ways: ClassVar = {
        "other-open": Corruption("the bracket that is to be closed is of another kind", _other_open),
        "other-sequence": Corruption("another sequence of equal length, with another answer", _other_sequence),
        "other-closed": Corruption(
            "a pair that is closed already is of another kind, which doesn't matter", _other_closed, is_control=True
        ),
    }

    def questions(self, split: Split, symbols: Sequence[str]) -> Sequence[str]:
        """All sequences; where brackets open and close, whatever their kinds, decides the split."""
        return _questions(split)

    def written(self, question: str) -> Written:
        """The brackets; the answer follows the last."""
        return _written(question)
