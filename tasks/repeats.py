"""Random words for tasks in which words occur again, under any tokenizer."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import perm
from string import ascii_lowercase
from typing import overload

from acdc.errors import PromptError
from acdc.pairs import Tokenizer
from acdc.pairs.fitting import one_token_words
from acdc.pairs.sampling import openings_in_split
from acdc.pairs.task import Split

LETTERS = tuple(ascii_lowercase)
#: Of all kinds, so that none calls for another by its meaning.
WORDS = tuple(
    """
    about across after against already although always apple army bank because become bed before behind below better
    between big bird blood blue body both bread break bridge bring build buy camera cat child choose clear company
    could country dead deep doctor door draw earth easy eight empty engine even every except eye face fall far
    father feel first fish five food free from garden gave girl glass half hand heavy hold horse hot however inside
    iron island keep king know language late law light local machine market maybe milk month more mother mountain
    music never nine nothing open other paper people plant price public quick river road room salt same send seven
    shall should simple sing slowly soon spring stand star still street strong such summer sun system table teach
    ten then through today together too town tree under until upon village voice wait walk warm water week wheel
    when white why wide window woman wood write wrong year yet
    """.split()  # noqa: SIM905 - a list literal would take a line a word
)
#: At most so many words are asked for, the last ones: a model needs some to see that words are repeated at all.
_MOST_ASKED = 4


def fitting_words(
    tokenizer: Tokenizer | None, least: int, task: str
) -> tuple[Sequence[str], Mapping[str, Sequence[str]]]:
    """Words of one token each, or, under a tokenizer that has few or none of them, letters; and the words left out.

    Raises:
        PromptError: fewer than `least` are one token.
    """
    if tokenizer is None:
        return LETTERS, {}
    words, left_out = one_token_words(tokenizer, WORDS)
    if len(words) < len(LETTERS):
        letters, _ = one_token_words(tokenizer, LETTERS)
        if len(letters) < least:
            raise PromptError(
                f"task {task} needs {least} words or letters of one token each, but this tokenizer has {len(words)} "
                f"and {len(letters)}; write a file of prompt pairs instead."
            )
        return letters, {"words": WORDS} if words else {}
    return words, {"words": left_out}


def are_letters(symbols: Sequence[str]) -> bool:
    """Whether letters are used, as for small models, whose context may be short."""
    return len(symbols[0]) == 1


def asked(first: Sequence[str], repeat: Sequence[str], start: int) -> dict[int, str]:
    """What followed words of `repeat`, which begins at the place `start`, where they stand in `first`.

    Of all that have a follower in `repeat`, at most the last four are asked for.
    """
    following = dict(pairwise(first))
    n = len(repeat)
    return {start + i: following[repeat[i]] for i in range(max(n - _MOST_ASKED, 0), n)}


def reordered(row: Sequence[str], chance: random.Random) -> tuple[str, ...]:
    """`row` in another order, in which all but the last are followed by another word than before."""
    following = dict(pairwise(row))
    while True:
        # The last stays: whatever stands behind the row would follow another.
        order = (*chance.sample(row[:-1], len(row) - 1), row[-1])
        if all(following.get(word) != after for word, after in pairwise(order)):
            return order


class Rows(Sequence[tuple[str, ...]]):
    """All rows of `length` different words whose first two, in whichever order, are in a split; made when asked for."""

    def __init__(self, words: Sequence[str], length: int, split: Split) -> None:
        self._words = words
        self._length = length
        self._openings = openings_in_split(split, tuple(words))

    def __len__(self) -> int:
        return len(self._openings) * perm(max(len(self._words) - 2, 0), self._length - 2)

    @overload
    def __getitem__(self, number: int) -> tuple[str, ...]: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[tuple[str, ...]]: ...
    def __getitem__(self, number: int | slice) -> tuple[str, ...] | Sequence[tuple[str, ...]]:
        if isinstance(number, slice):
            return [self[i] for i in range(*number.indices(len(self)))]
        if not 0 <= number < len(self):
            raise IndexError(number)
        number, place = divmod(number, len(self._openings))
        row = list(self._openings[place])
        left = [word for word in self._words if word not in row]
        for _ in range(self._length - 2):
            number, place = divmod(number, len(left))
            row.append(left.pop(place))
        return tuple(row)
